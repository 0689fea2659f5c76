//! Executable documents (GraphQL specification of October 2021, section 2): read strictly, within
//! bounds, into flat lists over the text.
//!
//! Definitions of types have no place in a request and are refused, as are names that are defined
//! twice and an operation without a name beside others (section 5.2). Depth of the parser's own
//! calls is bounded by [`NESTING`], time and memory by the count of tokens.

use std::ops::Range;

use crate::policy::contract::graphql::Rule;
use crate::proto::graphql::{Kind, Lexer, SyntaxError};

/// Deepest nesting of selections, of values, and of types: far beyond what a person writes.
const NESTING: usize = 64;

/// Most definitions of one document; each is compared with the others by name.
const DEFINITIONS: usize = 64;

/// Most variables of one operation.
const VARIABLES: usize = 128;

/// A part of the document's text.
pub type Span = Range<usize>;

/// What a selection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// Named by its field.
    Field { is_aliased: bool },
    /// `...Name`, named by its fragment.
    Spread,
    /// `... on Type { }`, named by its type; without one the name is empty.
    Inline,
}

/// One selection. Those inside of it follow it in the list, up to `end`.
#[derive(Clone, Debug)]
pub struct Selection {
    pub selected: Selected,
    pub name: Span,
    pub end: usize,
    pub arguments: Range<usize>,
    pub directives: usize,
}

/// `name: value`, the value as it is written.
#[derive(Clone, Debug)]
pub struct Argument {
    pub name: Span,
    pub value: Span,
}

/// `$name: Type = default`.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Without the dollar sign.
    pub name: Span,
    pub default: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationType {
    Query,
    Mutation,
    Subscription,
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub kind: OperationType,
    /// Empty: it has none.
    pub name: Span,
    pub variables: Range<usize>,
    pub directives: usize,
    pub selections: Range<usize>,
}

#[derive(Clone, Debug)]
pub struct Fragment {
    pub name: Span,
    /// The type that it is on.
    pub on: Span,
    pub directives: usize,
    pub selections: Range<usize>,
}

/// What was read of a document; its lists are used again for the next.
#[derive(Clone, Debug, Default)]
pub struct Document {
    pub operations: Vec<Operation>,
    pub fragments: Vec<Fragment>,
    pub selections: Vec<Selection>,
    pub arguments: Vec<Argument>,
    pub variables: Vec<Variable>,
}

impl Document {
    /// Reads a text of at most `tokens` words.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn read(&mut self, text: &str, tokens: usize) -> Result<(), Rule> {
        self.operations.clear();
        self.fragments.clear();
        self.selections.clear();
        self.arguments.clear();
        self.variables.clear();
        let mut parser = Parser {
            text,
            lexer: Lexer::new(text),
            left: tokens,
            kind: None,
            span: 0..0,
            depth: 0,
            document: self,
        };
        parser.advance()?;
        parser.definitions()
    }
}

struct Parser<'a, 'd> {
    text: &'a str,
    lexer: Lexer<'a>,
    left: usize,
    /// The token at hand; none at the end.
    kind: Option<Kind>,
    span: Span,
    depth: usize,
    document: &'d mut Document,
}

const SYNTAX: Rule = "syntax";

impl Parser<'_, '_> {
    fn advance(&mut self) -> Result<(), Rule> {
        let Some(token) = self.lexer.next() else {
            self.kind = None;
            self.span = self.text.len()..self.text.len();
            return Ok(());
        };
        let token = token.map_err(|SyntaxError| SYNTAX)?;
        self.left = self.left.checked_sub(1).ok_or("tokens")?;
        self.kind = Some(token.kind);
        self.span = token.start..token.end;
        Ok(())
    }

    fn is(&self, punctuator: u8) -> bool {
        self.kind == Some(Kind::Punctuator(punctuator))
    }

    fn eat(&mut self, punctuator: u8) -> Result<bool, Rule> {
        let found = self.is(punctuator);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, punctuator: u8) -> Result<(), Rule> {
        match self.eat(punctuator)? {
            true => Ok(()),
            false => Err(SYNTAX),
        }
    }

    fn is_word(&self, word: &str) -> bool {
        self.kind == Some(Kind::Name) && &self.text[self.span.clone()] == word
    }

    fn name(&mut self) -> Result<Span, Rule> {
        if self.kind != Some(Kind::Name) {
            return Err(SYNTAX);
        }
        let span = self.span.clone();
        self.advance()?;
        Ok(span)
    }

    /// Section 2.8: a fragment cannot be named `on`.
    fn fragment_name(&mut self) -> Result<Span, Rule> {
        match self.is_word("on") {
            true => Err(SYNTAX),
            false => self.name(),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Rule>) -> Result<T, Rule> {
        if self.depth == NESTING {
            return Err("nesting");
        }
        self.depth += 1;
        let outcome = read(self);
        self.depth -= 1;
        outcome
    }

    fn definitions(&mut self) -> Result<(), Rule> {
        while self.kind.is_some() {
            let document = &self.document;
            if document.operations.len() + document.fragments.len() == DEFINITIONS {
                return Err("definitions");
            }
            match self.is_word("fragment") {
                true => self.fragment()?,
                false => self.operation()?,
            }
        }
        let operations = &self.document.operations;
        let has_nameless = operations.iter().any(|each| each.name.is_empty());
        match operations.len() {
            0 => Err("operation"),
            1 => Ok(()),
            _ if has_nameless => Err("lone-operation"),
            _ => Ok(()),
        }
    }

    fn operation(&mut self) -> Result<(), Rule> {
        let mut operation = Operation {
            kind: OperationType::Query,
            name: 0..0,
            variables: 0..0,
            directives: 0,
            selections: 0..0,
        };
        if !self.is(b'{') {
            operation.kind = self.operation_type()?;
            if self.kind == Some(Kind::Name) {
                operation.name = self.name()?;
            }
            operation.variables = self.variables()?;
            operation.directives = self.directives(false)?;
        }
        operation.selections = self.selection_set()?;
        let name = &self.text[operation.name.clone()];
        let mut others = self.document.operations.iter();
        let is_known = others.any(|each| &self.text[each.name.clone()] == name);
        if is_known && !name.is_empty() {
            return Err("repeated-operation");
        }
        self.document.operations.push(operation);
        Ok(())
    }

    fn operation_type(&mut self) -> Result<OperationType, Rule> {
        let kind = match &self.text[self.span.clone()] {
            "query" => OperationType::Query,
            "mutation" => OperationType::Mutation,
            "subscription" => OperationType::Subscription,
            _ => return Err(SYNTAX),
        };
        self.name()?;
        Ok(kind)
    }

    fn fragment(&mut self) -> Result<(), Rule> {
        self.advance()?;
        let name = self.fragment_name()?;
        if !self.is_word("on") {
            return Err(SYNTAX);
        }
        self.advance()?;
        let on = self.name()?;
        let directives = self.directives(false)?;
        let selections = self.selection_set()?;
        let text = &self.text[name.clone()];
        let mut others = self.document.fragments.iter();
        if others.any(|each| &self.text[each.name.clone()] == text) {
            return Err("repeated-fragment");
        }
        self.document.fragments.push(Fragment {
            name,
            on,
            directives,
            selections,
        });
        Ok(())
    }

    fn variables(&mut self) -> Result<Range<usize>, Rule> {
        let start = self.document.variables.len();
        if self.eat(b'(')? {
            loop {
                self.expect(b'$')?;
                let name = self.name()?;
                self.expect(b':')?;
                self.nested(Self::type_reference)?;
                let default = match self.eat(b'=')? {
                    true => Some(self.value(true)?),
                    false => None,
                };
                self.directives(true)?;
                self.document.variables.push(Variable { name, default });
                if self.document.variables.len() - start > VARIABLES {
                    return Err("variables");
                }
                if self.eat(b')')? {
                    break;
                }
            }
        }
        let end = self.document.variables.len();
        let own = &self.document.variables[start..];
        let is_known = |(index, each): (usize, &Variable)| {
            let name = &self.text[each.name.clone()];
            let mut before = own[..index].iter();
            before.any(|other| &self.text[other.name.clone()] == name)
        };
        match own.iter().enumerate().any(is_known) {
            true => Err("repeated-variable"),
            false => Ok(start..end),
        }
    }

    /// Section 2.11.
    fn type_reference(&mut self) -> Result<(), Rule> {
        if self.eat(b'[')? {
            self.nested(Self::type_reference)?;
            self.expect(b']')?;
        } else {
            self.name()?;
        }
        self.eat(b'!')?;
        Ok(())
    }

    /// How many there are.
    fn directives(&mut self, is_const: bool) -> Result<usize, Rule> {
        let mut count = 0;
        while self.eat(b'@')? {
            self.name()?;
            self.arguments(is_const)?;
            count += 1;
        }
        Ok(count)
    }

    fn arguments(&mut self, is_const: bool) -> Result<Range<usize>, Rule> {
        let start = self.document.arguments.len();
        if self.eat(b'(')? {
            loop {
                let name = self.name()?;
                self.expect(b':')?;
                let value = self.value(is_const)?;
                self.document.arguments.push(Argument { name, value });
                if self.eat(b')')? {
                    break;
                }
            }
        }
        Ok(start..self.document.arguments.len())
    }

    /// Section 2.9; the text of the value.
    fn value(&mut self, is_const: bool) -> Result<Span, Rule> {
        let start = self.span.start;
        let mut end = self.span.end;
        match self.kind {
            Some(Kind::Int | Kind::Float | Kind::String | Kind::Block | Kind::Name) => {
                self.advance()?;
            }
            Some(Kind::Punctuator(b'$')) if !is_const => {
                self.advance()?;
                end = self.name()?.end;
            }
            Some(Kind::Punctuator(b'[')) => {
                self.advance()?;
                end = self.nested(|parser| parser.values(is_const))?;
            }
            Some(Kind::Punctuator(b'{')) => {
                self.advance()?;
                end = self.nested(|parser| parser.fields(is_const))?;
            }
            _ => return Err(SYNTAX),
        }
        Ok(start..end)
    }

    /// The rest of a list; where it ends.
    fn values(&mut self, is_const: bool) -> Result<usize, Rule> {
        while !self.is(b']') {
            self.value(is_const)?;
        }
        let end = self.span.end;
        self.advance()?;
        Ok(end)
    }

    /// The rest of an input object; where it ends.
    fn fields(&mut self, is_const: bool) -> Result<usize, Rule> {
        while !self.is(b'}') {
            self.name()?;
            self.expect(b':')?;
            self.value(is_const)?;
        }
        let end = self.span.end;
        self.advance()?;
        Ok(end)
    }

    fn selection_set(&mut self) -> Result<Range<usize>, Rule> {
        self.expect(b'{')?;
        self.nested(|parser| {
            let start = parser.document.selections.len();
            loop {
                parser.selection()?;
                if parser.eat(b'}')? {
                    return Ok(start..parser.document.selections.len());
                }
            }
        })
    }

    fn selection(&mut self) -> Result<(), Rule> {
        let index = self.document.selections.len();
        let is_spread = self.kind == Some(Kind::Spread);
        let selection = match is_spread {
            true => self.spread()?,
            false => self.field()?,
        };
        let can_hold = selection.selected != Selected::Spread;
        let must_hold = selection.selected == Selected::Inline;
        self.document.selections.push(selection);
        if must_hold || (can_hold && self.is(b'{')) {
            self.selection_set()?;
        }
        self.document.selections[index].end = self.document.selections.len();
        Ok(())
    }

    /// `alias: name(arguments) @directives`
    fn field(&mut self) -> Result<Selection, Rule> {
        let mut name = self.name()?;
        let is_aliased = self.eat(b':')?;
        if is_aliased {
            name = self.name()?;
        }
        let arguments = self.arguments(false)?;
        Ok(Selection {
            selected: Selected::Field { is_aliased },
            name,
            end: 0,
            arguments,
            directives: self.directives(false)?,
        })
    }

    /// What begins with three dots.
    fn spread(&mut self) -> Result<Selection, Rule> {
        self.advance()?;
        let (selected, name) = if self.is_word("on") {
            self.advance()?;
            (Selected::Inline, self.name()?)
        } else if self.kind == Some(Kind::Name) {
            (Selected::Spread, self.name()?)
        } else {
            (Selected::Inline, 0..0)
        };
        Ok(Selection {
            selected,
            name,
            end: 0,
            arguments: 0..0,
            directives: self.directives(false)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Document, Rule> {
        let mut document = Document::default();
        document.read(text, 1000).map(|()| document)
    }

    #[test]
    fn every_part_of_the_grammar_is_read() {
        let text = r#"query Q($a: [Int!]! = [1, 2] @d(x: {y: 1}), $b: T) @live {
            me: user(id: $a, f: {g: [1.5, "s", null, E, true, {}]}) @include(if: $b) { id ...F }
            ... on U @skip(if: true) { x } ... { y } ... @d { z }
        } fragment F on V @d { fragment(query: "on") on }
        mutation M { on }"#;
        let document = read(text).unwrap();
        assert_eq!(document.operations.len(), 2);
        assert_eq!(&text[document.operations[1].name.clone()], "M");
        assert_eq!(document.operations[0].directives, 1);
        let names: Vec<&str> = document.selections[document.operations[0].selections.clone()]
            .iter()
            .map(|selection| &text[selection.name.clone()])
            .collect();
        assert_eq!(names, ["user", "id", "F", "U", "x", "", "y", "", "z"]);
        assert_eq!(document.selections[0].end, 3);
        let values: Vec<&str> = document
            .arguments
            .iter()
            .map(|argument| &text[argument.value.clone()])
            .collect();
        assert!(values.contains(&"{g: [1.5, \"s\", null, E, true, {}]}"));
        assert!(values.contains(&"$a"));
    }

    #[test]
    fn what_the_grammar_has_no_place_for_is_refused() {
        for bad in [
            "{",
            "}",
            "{}",
            "{a",
            "{a}}",
            "{a:}",
            "{a()}",
            "{a(b)}",
            "{a(b:)}",
            "{a(b: $)}",
            "{a{}}",
            "{...}",
            "{... on}",
            "{... on T}",
            "{...F{a}}",
            "{a @}",
            "{a} b",
            "query",
            "query Q",
            "query Q() {a}",
            "query Q($a) {a}",
            "query Q($a: ) {a}",
            "query Q($a: [Int) {a}",
            "query Q($a: Int = $b) {a}",
            "query Q(a: Int) {a}",
            "fragment on on T {a} {a}",
            "fragment F {a} {a}",
            "fragment F on T {a} {...on}",
            "type A {b: C}",
            "extend type A {b: C}",
            "schema {query: Q}",
            "\"text\" {a}",
            "{a(b: [1)}",
            "{a(b: {c})}",
            "{a(b: {c: })}",
            "{a!}",
            "query Q {a} {b}b",
            "[a]",
            "{a $b}",
            "{a(b: 1 2)}",
        ] {
            assert_eq!(read(bad).err(), Some("syntax"), "{bad}");
        }
    }

    #[test]
    fn definitions_are_told_apart() {
        for (bad, rule) in [
            ("", "operation"),
            (" # nothing\n", "operation"),
            ("fragment F on T {a}", "operation"),
            ("{a} {b}", "lone-operation"),
            ("query Q {a} {b}", "lone-operation"),
            ("query Q {a} mutation Q {b}", "repeated-operation"),
            (
                "{a} fragment F on T {a} fragment F on U {b}",
                "repeated-fragment",
            ),
            ("query Q($a: A, $a: B) {a}", "repeated-variable"),
        ] {
            assert_eq!(read(bad).err(), Some(rule), "{bad}");
        }
    }

    #[test]
    fn size_and_nesting_are_bounded() {
        let deep = |count: usize| format!("{}{}", "{a".repeat(count), "}".repeat(count));
        assert!(read(&deep(NESTING)).is_ok());
        assert_eq!(read(&deep(NESTING + 1)).err(), Some("nesting"));
        let list = |count: usize| format!("{{a(b: {}{})}}", "[".repeat(count), "]".repeat(count));
        assert!(read(&list(NESTING - 1)).is_ok());
        assert_eq!(read(&list(NESTING)).err(), Some("nesting"));
        let many = format!("query Q($a: {}T{}) {{a}}", "[".repeat(100), "]".repeat(100));
        assert_eq!(read(&many).err(), Some("nesting"));
        let mut document = Document::default();
        assert_eq!(document.read("{a b}", 4), Ok(()));
        assert_eq!(document.read("{a b}", 3), Err("tokens"));
        let fragments = |count: usize| {
            let each = (0..count).map(|index| format!("fragment F{index} on T {{a}} "));
            format!("{{a}} {}", each.collect::<String>())
        };
        assert!(read(&fragments(DEFINITIONS - 1)).is_ok());
        assert_eq!(read(&fragments(DEFINITIONS)).err(), Some("definitions"));
        let variables = |count: usize| {
            let each = (0..count).map(|index| format!("$v{index}: T "));
            format!("query Q({}) {{a}}", each.collect::<String>())
        };
        assert!(read(&variables(VARIABLES)).is_ok());
        assert_eq!(read(&variables(VARIABLES + 1)).err(), Some("variables"));
        for start in 0..deep(9).len() {
            assert!(read(&deep(9)[..start]).is_err());
        }
    }
}
