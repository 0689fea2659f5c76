//! Where to: host, path and method to the one operation that was declared for them.
//!
//! Deny-all by construction: what no template names has no route. Literals win over parameters at
//! each segment, as OpenAPI 3.1 section "Path Templating" asks; two templates that differ only in
//! the names of their parameters are the same path and cannot both be declared.

use std::fmt;

use ahash::AHashMap;

use crate::proto::target::Path;

/// One segment of a declared path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Matches this decoded text and nothing else.
    Literal(Box<str>),
    /// Matches any one non-empty segment.
    Parameter(Box<str>),
    /// `**`: matches any number of segments, none included; only at the end.
    Rest,
}

/// Why a template was not taken into the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    NoLeadingSlash,
    EmptySegment,
    /// A brace that neither opens nor closes a whole segment.
    PartialParameter(String),
    RepeatedParameter(String),
    RestNotLast,
    /// The same path and method are declared twice; the value of the first.
    Conflict(usize),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::NoLeadingSlash => out.write_str("it does not begin with a slash"),
            TemplateError::EmptySegment => out.write_str("a segment is empty"),
            TemplateError::PartialParameter(part) => {
                write!(out, "a parameter must be a whole segment, `{part}` is not")
            }
            TemplateError::RepeatedParameter(name) => write!(out, "`{name}` stands in it twice"),
            TemplateError::RestNotLast => out.write_str("`**` stands before the end"),
            TemplateError::Conflict(_) => out.write_str("it is declared already"),
        }
    }
}

/// The outcome of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// The value that was declared.
    Found(usize),
    /// The path is declared, the method is not: these are, sorted, for the `Allow` field.
    MethodNotDeclared(&'a [(Box<str>, usize)]),
    NotDeclared,
}

/// Declared paths as a tree of segments.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    root: Node,
}

#[derive(Clone, Debug, Default)]
struct Node {
    literals: AHashMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    methods: Vec<(Box<str>, usize)>,
    rest: Vec<(Box<str>, usize)>,
}

/// Reads `/accounts/{accountId}/**` into segments.
pub fn template(text: &str) -> Result<Vec<Segment>, TemplateError> {
    let rest = text
        .strip_prefix('/')
        .ok_or(TemplateError::NoLeadingSlash)?;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let mut segments = Vec::new();
    for part in rest.split('/') {
        if segments.last() == Some(&Segment::Rest) {
            return Err(TemplateError::RestNotLast);
        }
        let segment = segment(part)?;
        if let Segment::Parameter(name) = &segment
            && segments.contains(&segment)
        {
            return Err(TemplateError::RepeatedParameter(name.to_string()));
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn segment(part: &str) -> Result<Segment, TemplateError> {
    if part.is_empty() {
        return Err(TemplateError::EmptySegment);
    }
    if part == "**" {
        return Ok(Segment::Rest);
    }
    let name = part
        .strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'));
    match name {
        Some(name) if !name.is_empty() && !name.contains(['{', '}']) => {
            Ok(Segment::Parameter(name.into()))
        }
        None if !part.contains(['{', '}']) => Ok(Segment::Literal(part.into())),
        _ => Err(TemplateError::PartialParameter(part.to_owned())),
    }
}

impl Routes {
    /// Declares `method` on a path. Methods are case-sensitive (RFC 9110 section 9.1).
    pub fn declare(
        &mut self,
        segments: &[Segment],
        method: &str,
        value: usize,
    ) -> Result<(), TemplateError> {
        let mut node = &mut self.root;
        let mut is_rest = false;
        for segment in segments {
            match segment {
                Segment::Literal(text) => node = node.literals.entry(text.clone()).or_default(),
                Segment::Parameter(_) => node = node.parameter.get_or_insert_default(),
                Segment::Rest => is_rest = true,
            }
        }
        let methods = if is_rest {
            &mut node.rest
        } else {
            &mut node.methods
        };
        match methods.binary_search_by(|(declared, _)| (**declared).cmp(method)) {
            Ok(at) => Err(TemplateError::Conflict(methods[at].1)),
            Err(at) => {
                methods.insert(at, (method.into(), value));
                Ok(())
            }
        }
    }

    /// Finds the declaration for a path and method.
    ///
    /// The most specific path decides and is never left again for a more general one because of
    /// its method: a `DELETE` that `/users/me` lacks must not fall through to `/users/{id}`.
    pub fn find(&self, path: &Path, method: &[u8]) -> Match<'_> {
        let mut segments = [""; crate::proto::limits::SEGMENTS];
        let mut count = 0;
        // A path that came from `Path::read` is never deeper than the array.
        for (slot, segment) in segments.iter_mut().zip(path.segments()) {
            *slot = segment;
            count += 1;
        }
        let Some(methods) = self.root.search(&segments[..count]) else {
            return Match::NotDeclared;
        };
        match methods.binary_search_by(|(declared, _)| declared.as_bytes().cmp(method)) {
            Ok(at) => Match::Found(methods[at].1),
            Err(_) => Match::MethodNotDeclared(methods),
        }
    }
}

impl Node {
    /// Each node of the tree is visited once at most, since each has one parent.
    fn search(&self, segments: &[&str]) -> Option<&[(Box<str>, usize)]> {
        let here = match segments {
            [] => Some(&self.methods).filter(|methods| !methods.is_empty()),
            [first, others @ ..] => {
                let literal = self
                    .literals
                    .get(*first)
                    .and_then(|node| node.search(others));
                if literal.is_some() {
                    return literal;
                }
                let parameter = self.parameter.as_ref().filter(|_| !first.is_empty());
                return parameter
                    .and_then(|node| node.search(others))
                    .or_else(|| self.any_below());
            }
        };
        here.map(Vec::as_slice).or_else(|| self.any_below())
    }

    fn any_below(&self) -> Option<&[(Box<str>, usize)]> {
        Some(self.rest.as_slice()).filter(|methods| !methods.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn routes(declared: &[(&str, &str)]) -> Routes {
        let mut routes = Routes::default();
        for (value, (method, path)) in declared.iter().enumerate() {
            routes
                .declare(&template(path).unwrap(), method, value)
                .unwrap();
        }
        routes
    }

    fn path(raw: &str) -> Path {
        let mut path = Path::default();
        path.read(raw.as_bytes()).unwrap();
        path
    }

    #[test]
    fn what_is_not_declared_does_not_exist() {
        let routes = routes(&[
            ("GET", "/accounts/{id}"),
            ("GET", "/accounts/{id}/balances"),
        ]);
        assert_eq!(routes.find(&path("/accounts/7"), b"GET"), Match::Found(0));
        assert_eq!(
            routes.find(&path("/accounts/7/balances"), b"GET"),
            Match::Found(1)
        );
        for raw in [
            "/",
            "/accounts",
            "/accounts/",
            "/Accounts/7",
            "/accounts/7/",
            "/accounts/7/x",
        ] {
            assert_eq!(routes.find(&path(raw), b"GET"), Match::NotDeclared, "{raw}");
        }
    }

    #[test]
    fn the_declared_methods_are_told() {
        let routes = routes(&[("PUT", "/a"), ("GET", "/a")]);
        let Match::MethodNotDeclared(allowed) = routes.find(&path("/a"), b"get") else {
            panic!("methods are case-sensitive");
        };
        let names: Vec<_> = allowed.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["GET", "PUT"]);
    }

    #[test]
    fn literals_win_and_do_not_fall_through_by_method() {
        let routes = routes(&[
            ("GET", "/users/me"),
            ("DELETE", "/users/{id}"),
            ("GET", "/users/{id}/x"),
        ]);
        assert_eq!(routes.find(&path("/users/me"), b"GET"), Match::Found(0));
        assert!(matches!(
            routes.find(&path("/users/me"), b"DELETE"),
            Match::MethodNotDeclared(_)
        ));
        assert_eq!(routes.find(&path("/users/me/x"), b"GET"), Match::Found(2));
    }

    #[test]
    fn rest_takes_what_nothing_more_specific_takes() {
        let routes = routes(&[("GET", "/legacy/**"), ("GET", "/legacy/{id}/x")]);
        assert_eq!(routes.find(&path("/legacy"), b"GET"), Match::Found(0));
        assert_eq!(routes.find(&path("/legacy/1/2/3"), b"GET"), Match::Found(0));
        assert_eq!(routes.find(&path("/legacy/1/x"), b"GET"), Match::Found(1));
        assert_eq!(routes.find(&path("/other"), b"GET"), Match::NotDeclared);
    }

    #[test]
    fn malformed_and_conflicting_templates_are_refused() {
        assert_eq!(template("a"), Err(TemplateError::NoLeadingSlash));
        assert_eq!(template("/a//b"), Err(TemplateError::EmptySegment));
        assert_eq!(template("/a/"), Err(TemplateError::EmptySegment));
        assert_eq!(template("/**/a"), Err(TemplateError::RestNotLast));
        assert_eq!(
            template("/x{a}"),
            Err(TemplateError::PartialParameter("x{a}".into()))
        );
        assert_eq!(
            template("/{}"),
            Err(TemplateError::PartialParameter("{}".into()))
        );
        assert_eq!(
            template("/{a}/{a}"),
            Err(TemplateError::RepeatedParameter("a".into()))
        );
        let mut routes = routes(&[("GET", "/a/{b}")]);
        let again = routes.declare(&template("/a/{c}").unwrap(), "GET", 1);
        assert_eq!(again, Err(TemplateError::Conflict(0)));
    }

    /// Whether `segments` match one template, by reading both from left to right.
    fn matches(template: &[Segment], segments: &[&str]) -> bool {
        match (template, segments) {
            ([], []) => true,
            ([Segment::Rest], _) => true,
            ([Segment::Literal(text), template @ ..], [first, segments @ ..]) => {
                **text == **first && matches(template, segments)
            }
            ([Segment::Parameter(_), template @ ..], [first, segments @ ..]) => {
                !first.is_empty() && matches(template, segments)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_tree_finds_a_route_exactly_when_a_linear_scan_does(
            declared in prop::collection::vec("(/(a|b|\\{p\\}|\\{q\\})){1,3}(/\\*\\*)?", 1..8),
            raw in "(/[abc]){0,4}/[abc]?",
        ) {
            let mut routes = Routes::default();
            let mut scanned = Vec::new();
            for (value, text) in declared.iter().enumerate() {
                let Ok(segments) = template(text) else { continue };
                if routes.declare(&segments, "GET", value).is_ok() {
                    scanned.push((value, segments));
                }
            }
            let path = path(&raw);
            let segments: Vec<&str> = path.segments().collect();
            let expected: Vec<usize> = scanned.iter().filter(|(_, template)| matches(template, &segments)).map(|(value, _)| *value).collect();
            match routes.find(&path, b"GET") {
                Match::Found(value) => prop_assert!(expected.contains(&value)),
                other => {
                    prop_assert_eq!(other, Match::NotDeclared);
                    prop_assert!(expected.is_empty());
                }
            }
        }
    }
}
