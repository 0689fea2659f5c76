//! How many items a field is asked for: by its arguments such as `first`, written in the document
//! or sent as variables, also inside of input objects.
//!
//! Whatever a backend may read as a number is one here: `1e3`, and `"10"` in quotes. A negative
//! size counts as more than any limit, since some backends take -1 for all.

use crate::policy::contract::graphql::document::{Argument, Document, Span};
use crate::policy::contract::graphql::envelope;
use crate::proto::graphql::{Kind, Lexer};

/// Deepest nesting of objects in a variable that sizes are looked for in.
const DEPTH: usize = 16;

/// Which arguments are sizes, and what is assumed without them.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    arguments: Vec<Box<str>>,
    /// Of fields that are lists although nobody asks for a size.
    assumed: ahash::AHashMap<Box<str>, u64>,
}

/// What a value says of sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    /// As a number.
    own: Option<u64>,
    /// By its members that are named as sizes are.
    within: Option<u64>,
}

/// The variables of one operation.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// Their names in the document, sorted, and what they say.
    values: Vec<(Span, Size)>,
}

impl Sizes {
    pub fn new<'n>(
        arguments: impl IntoIterator<Item = &'n str>,
        assumed: impl IntoIterator<Item = (&'n str, u64)>,
    ) -> Sizes {
        let assumed = assumed.into_iter();
        Sizes {
            arguments: arguments.into_iter().map(Into::into).collect(),
            assumed: assumed.map(|(name, size)| (name.into(), size)).collect(),
        }
    }

    fn is_size(&self, name: &str) -> bool {
        self.arguments.iter().any(|each| **each == *name)
    }

    /// How many items a field is asked for; the largest size counts.
    pub fn of(
        &self,
        text: &str,
        field: &str,
        arguments: &[Argument],
        variables: &Variables,
    ) -> u64 {
        let mut asked = None;
        for argument in arguments {
            let size = self.literal(&text[argument.value.clone()], text, variables);
            let own = match self.is_size(&text[argument.name.clone()]) {
                true => size.own,
                false => None,
            };
            asked = asked.max(own).max(size.within);
        }
        asked.unwrap_or_else(|| self.assumed.get(field).copied().unwrap_or(1))
    }

    /// A value as it is written in a document.
    fn literal(&self, value: &str, text: &str, variables: &Variables) -> Size {
        if value.starts_with('$') {
            // White space and comments may stand before the name.
            let is_other = |byte: char| !byte.is_ascii_alphanumeric() && byte != '_';
            let name = value.rsplit(is_other).next();
            return variables.find(text, name.unwrap_or_default());
        }
        if !value.starts_with(['{', '[']) {
            return Size {
                own: number(value),
                within: None,
            };
        }
        // Of everything below, what follows the name of a size; variables anywhere.
        let mut within = None;
        let mut tokens = Lexer::new(value).flatten();
        let mut name = "";
        while let Some(token) = tokens.next() {
            let word = &value[token.start..token.end];
            match token.kind {
                Kind::Name => name = word,
                Kind::Punctuator(b':') => continue,
                Kind::Punctuator(b'$') => {
                    let variable = tokens
                        .next()
                        .map_or("", |next| &value[next.start..next.end]);
                    let size = variables.find(text, variable);
                    let own = size.own.filter(|_| self.is_size(name));
                    within = within.max(own).max(size.within);
                    name = "";
                }
                Kind::Int | Kind::Float | Kind::String if self.is_size(name) => {
                    within = within.max(number(word));
                    name = "";
                }
                _ => name = "",
            }
        }
        Size { own: None, within }
    }

    /// A value as JSON has it.
    fn json(&self, value: &str, depth: usize) -> Size {
        if !value.starts_with(['{', '[']) {
            return Size {
                own: number(value),
                within: None,
            };
        }
        if depth == DEPTH {
            // Deeper than anybody looks: as if everything was asked for.
            return Size {
                own: None,
                within: Some(u64::MAX),
            };
        }
        let mut within = None;
        for (name, member) in envelope::members(value) {
            let size = self.json(member, depth + 1);
            let is_size = || self.arguments.iter().any(|each| envelope::says(name, each));
            let own = size.own.filter(|_| is_size());
            within = within.max(own).max(size.within);
        }
        for item in envelope::items(value) {
            within = within.max(self.json(item, depth + 1).within);
        }
        Size { own: None, within }
    }
}

impl Variables {
    /// What the variables of an operation say: as sent (`sent` is a JSON object that was found
    /// valid, or empty), or else by their defaults.
    pub fn read(
        &mut self,
        (text, document): (&str, &Document),
        operation: usize,
        sent: &str,
        sizes: &Sizes,
    ) {
        self.values.clear();
        let declared = document.operations[operation].variables.clone();
        for variable in &document.variables[declared] {
            let default = variable.default.clone();
            let size = default.map(|default| sizes.literal(&text[default], text, self));
            let name = variable.name.clone();
            self.values.push((name, size.unwrap_or_default()));
        }
        self.values
            .sort_unstable_by(|(a, _), (b, _)| text[a.clone()].cmp(&text[b.clone()]));
        for (name, value) in envelope::members(sent) {
            if let Some(at) = self.position(text, name) {
                self.values[at].1 = sizes.json(value, 0);
            }
        }
    }

    /// Of a name as JSON has it.
    fn position(&self, text: &str, quoted: &str) -> Option<usize> {
        if quoted.contains('\\') {
            let mut names = self.values.iter();
            return names.position(|(name, _)| envelope::says(quoted, &text[name.clone()]));
        }
        let wanted = envelope::inner(quoted);
        let found = self
            .values
            .binary_search_by(|(name, _)| text[name.clone()].cmp(wanted));
        found.ok()
    }

    fn find(&self, text: &str, name: &str) -> Size {
        let found = self
            .values
            .binary_search_by(|(each, _)| text[each.clone()].cmp(name));
        found.map_or_else(|_| Size::default(), |at| self.values[at].1)
    }
}

/// The number that a text is, in quotes or without them, rounded up.
fn number(text: &str) -> Option<u64> {
    let text = text.trim_matches('"').trim();
    if let Ok(whole) = text.parse() {
        return Some(whole);
    }
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let number: f64 = text.parse().ok().filter(|_| is_number)?;
    match number < 0.0 {
        true => Some(u64::MAX),
        // A conversion that saturates.
        false => Some(number.ceil() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(arguments: &str, declared: &str, sent: &str) -> u64 {
        let text = format!("query Q{declared} {{ a({arguments}) }}");
        let mut document = Document::default();
        document.read(&text, 1000).unwrap();
        let sizes = Sizes::new(["first", "last"], [("a", 20)]);
        let mut variables = Variables::default();
        variables.read((&text, &document), 0, sent, &sizes);
        let arguments = &document.arguments[document.selections[0].arguments.clone()];
        sizes.of(&text, "a", arguments, &variables)
    }

    #[test]
    fn sizes_are_found_wherever_they_are_written() {
        for (arguments, expected) in [
            ("first: 10", 10),
            ("first: 3, last: 8", 8),
            ("x: 10", 20),
            ("first: null", 20),
            ("first: ALL", 20),
            ("first: 0", 0),
            ("first: \"30\"", 30),
            ("first: 1e3", 1000),
            ("first: 1.5", 2),
            ("first: -1", u64::MAX),
            ("first: 99999999999999999999", u64::MAX),
            ("page: {first: 40}", 40),
            ("page: {x: [{y: 2, first: 50}], last: 3}", 50),
            ("page: {name: first, x: 99}", 20),
        ] {
            assert_eq!(size(arguments, "", ""), expected, "{arguments}");
        }
    }

    #[test]
    fn variables_are_as_sent_or_else_their_defaults() {
        let declared = "($n: Int = 5, $page: Page = {first: 6}, $z: Int)";
        for (arguments, sent, expected) in [
            ("first: $n", "", 5),
            ("first: $n", "{\"n\": 70}", 70),
            ("first: $n", "{\"\\u006e\": 70}", 70),
            ("first: $n", "{\"n\": null}", 20),
            ("first: $n", "{\"n\": -2}", u64::MAX),
            ("first: $n", "{\"n\": \"8\"}", 8),
            ("first: $ # note\n n", "{\"n\": 9}", 9),
            ("first: $z", "{\"other\": 9}", 20),
            ("page: $page", "", 6),
            (
                "page: $page",
                "{\"page\": {\"x\": [{\"fir\\u0073t\": 80}]}}",
                80,
            ),
            ("page: {first: $n, x: $page}", "{\"n\": 3}", 6),
            ("page: {x: $n}", "{\"n\": 3}", 20),
        ] {
            assert_eq!(
                size(arguments, declared, sent),
                expected,
                "{arguments} {sent}"
            );
        }
        let deep = format!("{{\"page\": {}1{}}}", "[".repeat(40), "]".repeat(40));
        assert_eq!(size("page: $page", declared, &deep), u64::MAX);
    }
}
