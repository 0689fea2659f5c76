//! References of schemas: relative to what, and to which place (RFC 3986 section 5.2).

/// The parts of a reference; the fragment stands apart.
struct Parts<'u> {
    /// With its colon.
    scheme: &'u str,
    /// With its slashes.
    authority: &'u str,
    path: &'u str,
    /// With its question mark.
    query: &'u str,
}

/// A reference and its fragment, if there is a `#`.
pub fn split(reference: &str) -> (&str, Option<&str>) {
    match reference.split_once('#') {
        Some((reference, fragment)) => (reference, Some(fragment)),
        None => (reference, None),
    }
}

fn parts(reference: &str) -> Parts<'_> {
    let is_scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    let colon = reference
        .find(':')
        .filter(|&at| is_scheme(&reference[..at]));
    let (scheme, rest) = reference.split_at(colon.map_or(0, |at| at + 1));
    let host = match rest.starts_with("//") {
        true => rest[2..].find(['/', '?']).map_or(rest.len(), |at| at + 2),
        false => 0,
    };
    let (authority, rest) = rest.split_at(host);
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    Parts {
        scheme,
        authority,
        path,
        query,
    }
}

/// What a reference without its fragment means where `base` is the place.
pub fn resolve(base: &str, reference: &str) -> String {
    let (to, from) = (parts(reference), parts(base));
    if !to.scheme.is_empty() {
        return reference.to_owned();
    }
    if !to.authority.is_empty() {
        return format!("{}{reference}", from.scheme);
    }
    if to.path.is_empty() {
        let query = if to.query.is_empty() {
            from.query
        } else {
            to.query
        };
        return format!("{}{}{}{query}", from.scheme, from.authority, from.path);
    }
    let merged = match (to.path.starts_with('/'), from.path.rfind('/')) {
        (true, _) => to.path.to_owned(),
        (false, Some(at)) => format!("{}{}", &from.path[..=at], to.path),
        (false, None) if !from.authority.is_empty() => format!("/{}", to.path),
        (false, None) => to.path.to_owned(),
    };
    let path = without_dots(&merged);
    format!("{}{}{path}{}", from.scheme, from.authority, to.query)
}

/// RFC 3986 section 5.2.4, segment by segment.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." if kept.last().is_some_and(|last| !last.is_empty()) => {
                kept.pop();
            }
            ".." => {}
            _ => kept.push(segment),
        }
        if is_last && matches!(segment, "." | "..") {
            kept.push("");
        }
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_mean_what_the_rfc_says() {
        let base = "http://a/b/c/d;p?q";
        for (reference, meant) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("urn:x:y", "urn:x:y"),
        ] {
            assert_eq!(resolve(base, reference), meant, "{reference}");
        }
        assert_eq!(resolve("", "other.yaml"), "other.yaml");
        assert_eq!(resolve("api/main.yaml", "other.yaml"), "api/other.yaml");
        assert_eq!(resolve("urn:uuid:1", ""), "urn:uuid:1");
        assert_eq!(resolve("http://a", "b"), "http://a/b");
    }
}
