//! The walk over the tape of a body, led by the rules.

use ahash::RandomState;
use serde_json::Value;
use simd_json::{Buffers, Node, StaticNode, Tape};

use super::Schema;
use super::number::Number;
use super::program::{
    Additional, ArrayRule, NumberRule, ObjectRule, Rule, RuleId, StringRule, types,
};

/// Deepest nesting of a body.
const DEPTH: usize = 64;

/// Steps of one check: alternatives within alternatives could otherwise take for ever.
const STEPS: u32 = 1 << 20;

/// Objects up to here have their names compared one with another, larger ones by their hashes.
const FEW: usize = 12;

/// Longest pointer that is kept for the log.
const POINTER: usize = 256;

/// What a check reuses; one per shard.
pub struct Scratch {
    /// The body as it came, for [`lookup`](Scratch::lookup).
    original: Vec<u8>,
    /// The copy that the parser edits.
    edited: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    hashes: Vec<u64>,
    hasher: RandomState,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch {
            original: Vec::new(),
            edited: Vec::new(),
            buffers: Buffers::with_max_depth(4096, DEPTH),
            tape: Tape(Vec::new()),
            hashes: Vec::new(),
            hasher: RandomState::new(),
        }
    }
}

/// Where and by which keyword a value was refused; never the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer to the value, cut at 256 bytes.
    pub pointer: String,
    pub keyword: &'static str,
}

impl Scratch {
    /// The text, or the digits of the integer, at a JSON pointer of the body checked last.
    pub fn lookup(&self, pointer: &str) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.original).ok()?;
        match body.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            Value::Number(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }
}

impl Schema {
    /// Checks a whole body, which is only read.
    pub fn check(&self, body: &[u8], scratch: &mut Scratch) -> Result<(), Violation> {
        scratch.original.clear();
        scratch.original.extend_from_slice(body);
        let mut edited = std::mem::take(&mut scratch.edited);
        edited.clear();
        edited.extend_from_slice(body);
        let mut tape = std::mem::replace(&mut scratch.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape(&mut edited, &mut scratch.buffers, &mut tape);
        let outcome = match parsed {
            Ok(()) => unique_names(&tape.0, &mut scratch.hashes, &scratch.hasher)
                .and_then(|()| self.check_nodes(&tape.0)),
            Err(_) => Err(violation("json")),
        };
        scratch.tape = tape.reset();
        scratch.edited = edited;
        outcome
    }

    /// Checks the text of a parameter, taken for any type that JSON could give it.
    pub fn check_text(&self, text: &str, _scratch: &mut Scratch) -> Result<(), Violation> {
        let as_text = || self.check_nodes(&[Node::String(text)]);
        let Some(other) = reading(text) else {
            return as_text();
        };
        match self.check_nodes(&[other]) {
            Ok(()) => Ok(()),
            // A value of the right type is told what is wrong with it.
            Err(refused) => as_text().map_err(|as_text| match refused.keyword {
                "type" => as_text,
                _ => refused,
            }),
        }
    }

    /// Checks the texts of an array parameter.
    pub fn check_texts(&self, texts: &[&str], _scratch: &mut Scratch) -> Result<(), Violation> {
        let items = self.items(self.root);
        let mut nodes = vec![Node::Array {
            len: texts.len(),
            count: texts.len(),
        }];
        nodes.extend(texts.iter().map(|text| {
            let fits = |node: &Node<'_>| {
                let outcome = items.map(|rule| self.walk(&[*node]).value(rule, 0));
                outcome.is_none_or(|told| told.map_err(|fault| fault.keyword) != Err("type"))
            };
            reading(text).filter(fits).unwrap_or(Node::String(text))
        }));
        self.check_nodes(&nodes)
    }

    /// The rule of the items, also behind references.
    fn items(&self, rule: RuleId) -> Option<RuleId> {
        let rule = &self.program.rules[rule];
        let own = rule.array.as_ref().and_then(|array| array.items);
        // References do not loop, which was seen to at load.
        own.or_else(|| rule.reference.and_then(|next| self.items(next)))
    }

    fn walk<'w>(&'w self, nodes: &'w [Node<'w>]) -> Walk<'w> {
        Walk {
            rules: &self.program.rules,
            nodes,
            steps: 0,
        }
    }

    fn check_nodes(&self, nodes: &[Node<'_>]) -> Result<(), Violation> {
        self.walk(nodes)
            .value(self.root, 0)
            .map_err(|fault| Violation {
                pointer: pointer(nodes, fault.node),
                keyword: fault.keyword,
            })
    }
}

fn violation(keyword: &'static str) -> Violation {
    Violation {
        pointer: String::new(),
        keyword,
    }
}

/// A boolean or number that the text could be; numbers as JSON writes them.
fn reading(text: &str) -> Option<Node<'static>> {
    match text {
        "true" => return Some(Node::Static(StaticNode::Bool(true))),
        "false" => return Some(Node::Static(StaticNode::Bool(false))),
        _ => {}
    }
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    let is_whole = text.bytes().skip(1).all(|byte| byte.is_ascii_digit());
    let node = match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(value), _, _) => StaticNode::I64(value),
        (None, Some(value), _) => StaticNode::U64(value),
        // A whole number beyond 64 bits is not known exactly.
        (None, None, Some(value)) if !is_whole => StaticNode::F64(value),
        _ => return None,
    };
    Some(Node::Static(node))
}

/// No object may name a member twice (RFC 8259 section 4): which of the two counts is anyone's
/// guess.
fn unique_names(
    nodes: &[Node<'_>],
    hashes: &mut Vec<u64>,
    hasher: &RandomState,
) -> Result<(), Violation> {
    for (at, node) in nodes.iter().enumerate() {
        let Node::Object { len, .. } = *node else {
            continue;
        };
        let is_unique = if len <= FEW {
            let mut names = [""; FEW];
            for (slot, (name, _)) in names.iter_mut().zip(members(nodes, at)) {
                *slot = name;
            }
            let names = &names[..len];
            (1..len).all(|index| !names[..index].contains(&names[index]))
        } else {
            // Keyed, so that a client cannot aim for collisions, which count as repetitions.
            hashes.clear();
            hashes.extend(members(nodes, at).map(|(name, _)| hasher.hash_one(name)));
            hashes.sort_unstable();
            hashes.windows(2).all(|pair| pair[0] != pair[1])
        };
        if !is_unique {
            return Err(Violation {
                pointer: pointer(nodes, at),
                keyword: "unique names",
            });
        }
    }
    Ok(())
}

/// How many nodes a value takes.
fn extent(node: &Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    }
}

/// The members of the object at `at`: names, and where their values stand.
fn members<'n>(nodes: &'n [Node<'n>], at: usize) -> impl Iterator<Item = (&'n str, usize)> {
    let len = match nodes[at] {
        Node::Object { len, .. } => len,
        Node::Array { .. } | Node::String(_) | Node::Static(_) => 0,
    };
    let mut next = at + 1;
    (0..len).map_while(move |_| {
        let Some(Node::String(name)) = nodes.get(next) else {
            return None;
        };
        let value = next + 1;
        next = value + extent(nodes.get(value)?);
        Some((*name, value))
    })
}

/// Where the items of the array at `at` stand.
fn items<'n>(nodes: &'n [Node<'n>], at: usize) -> impl Iterator<Item = usize> {
    let len = match nodes[at] {
        Node::Array { len, .. } => len,
        Node::Object { .. } | Node::String(_) | Node::Static(_) => 0,
    };
    let mut next = at + 1;
    (0..len).map_while(move |_| {
        let value = next;
        next = value + extent(nodes.get(value)?);
        Some(value)
    })
}

/// The JSON pointer to a node, found from the root; only failures ask for it.
fn pointer(nodes: &[Node<'_>], target: usize) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at != target && out.len() < POINTER {
        let holds = |value: usize| {
            let end = nodes.get(value).map_or(0, |node| value + extent(node));
            (value..end).contains(&target)
        };
        let step = match nodes.get(at) {
            Some(Node::Object { .. }) => members(nodes, at)
                .find(|(_, value)| holds(*value))
                .map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)),
            Some(Node::Array { .. }) => items(nodes, at)
                .enumerate()
                .find(|(_, value)| holds(*value))
                .map(|(index, value)| (index.to_string(), value)),
            _ => None,
        };
        let Some((name, value)) = step else {
            break;
        };
        out.push('/');
        out.push_str(&name);
        at = value;
    }
    let end = out.floor_char_boundary(POINTER);
    out.truncate(end);
    out
}

/// A value that was refused.
struct Fault {
    node: usize,
    keyword: &'static str,
}

type Outcome = Result<(), Fault>;

struct Walk<'w> {
    rules: &'w [Rule],
    nodes: &'w [Node<'w>],
    steps: u32,
}

fn check(holds: bool, node: usize, keyword: &'static str) -> Outcome {
    match holds {
        true => Ok(()),
        false => Err(Fault { node, keyword }),
    }
}

impl Walk<'_> {
    /// Recursion is bounded: the value by the depth of a body, the rules in place because they do
    /// not loop.
    fn value(&mut self, id: RuleId, at: usize) -> Outcome {
        self.steps += 1;
        check(self.steps < STEPS, at, "complexity")?;
        let rules = self.rules;
        let rule = &rules[id];
        if let Some(keyword) = rule.never {
            return check(false, at, keyword);
        }
        let node = self.nodes[at];
        check(rule.types & type_of(&node) != 0, at, "type")?;
        match node {
            Node::String(text) => {
                if let Some(rule) = &rule.string {
                    string(rule, text, at)?;
                }
            }
            Node::Static(value) => {
                if let (Some(rule), Some(number)) = (&rule.number, number_of(value)) {
                    number_in(rule, number, at)?;
                }
            }
            Node::Array { len, .. } => {
                if let Some(rule) = &rule.array {
                    self.array(rule, len, at)?;
                }
            }
            Node::Object { len, .. } => {
                if let Some(rule) = &rule.object {
                    self.object(rule, len, at)?;
                }
            }
        }
        if let Some((keyword, values)) = &rule.values {
            let is_one = values.iter().any(|value| equals(self.nodes, at, value));
            check(is_one, at, keyword)?;
        }
        self.in_place(rule, at)
    }

    fn in_place(&mut self, rule: &Rule, at: usize) -> Outcome {
        if let Some(next) = rule.reference {
            self.value(next, at)?;
        }
        for &next in &rule.all_of {
            self.value(next, at)?;
        }
        if !rule.any_of.is_empty() {
            let any = rule.any_of.iter().any(|&next| self.value(next, at).is_ok());
            check(any, at, "anyOf")?;
        }
        if !rule.one_of.is_empty() {
            let alternatives = rule.one_of.iter();
            let count = alternatives
                .filter(|&&next| self.value(next, at).is_ok())
                .take(2)
                .count();
            check(count == 1, at, "oneOf")?;
        }
        // An alternative that gave up must not look like one that was refused.
        check(self.steps < STEPS, at, "complexity")
    }

    fn array(&mut self, rule: &ArrayRule, len: usize, at: usize) -> Outcome {
        check(
            rule.min_items.is_none_or(|least| len >= least),
            at,
            "minItems",
        )?;
        check(
            rule.max_items.is_none_or(|most| len <= most),
            at,
            "maxItems",
        )?;
        if let Some(item) = rule.items {
            for value in items(self.nodes, at) {
                self.value(item, value)?;
            }
        }
        Ok(())
    }

    fn object(&mut self, rule: &ObjectRule, len: usize, at: usize) -> Outcome {
        check(
            rule.min_properties.is_none_or(|least| len >= least),
            at,
            "minProperties",
        )?;
        check(
            rule.max_properties.is_none_or(|most| len <= most),
            at,
            "maxProperties",
        )?;
        let mut required = rule.required;
        for (name, value) in members(self.nodes, at) {
            let member = rule.members.find(name);
            if member.is_some_and(|member| member.is_required) {
                required -= 1;
            }
            match (member.and_then(|member| member.rule), rule.additional) {
                (Some(next), _) => self.value(next, value)?,
                (None, Additional::Allowed) => {}
                (None, Additional::Refused) => return check(false, value, "additionalProperties"),
                (None, Additional::Checked(next)) => self.value(next, value)?,
            }
        }
        // Names are unique, so every required one was counted once.
        check(required == 0, at, "required")
    }
}

fn type_of(node: &Node<'_>) -> u8 {
    match node {
        Node::String(_) => types::STRING,
        Node::Object { .. } => types::OBJECT,
        Node::Array { .. } => types::ARRAY,
        Node::Static(StaticNode::Null) => types::NULL,
        Node::Static(StaticNode::Bool(_)) => types::BOOLEAN,
        Node::Static(value) => match number_of(*value) {
            Some(number) if number.is_whole() => types::INTEGER,
            _ => types::NUMBER,
        },
    }
}

fn number_of(value: StaticNode) -> Option<Number> {
    match value {
        StaticNode::I64(value) => Some(Number::Whole(i128::from(value))),
        StaticNode::U64(value) => Some(Number::Whole(i128::from(value))),
        StaticNode::F64(value) => Some(Number::from_double(value)),
        _ => None,
    }
}

fn number_in(rule: &NumberRule, number: Number, at: usize) -> Outcome {
    use std::cmp::Ordering::{Equal, Greater, Less};
    if let Some((bound, is_open)) = rule.minimum {
        let side = number.compare(bound);
        let keyword = if is_open {
            "exclusiveMinimum"
        } else {
            "minimum"
        };
        check(
            side == Some(Greater) || (side == Some(Equal) && !is_open),
            at,
            keyword,
        )?;
    }
    if let Some((bound, is_open)) = rule.maximum {
        let side = number.compare(bound);
        let keyword = if is_open {
            "exclusiveMaximum"
        } else {
            "maximum"
        };
        check(
            side == Some(Less) || (side == Some(Equal) && !is_open),
            at,
            keyword,
        )?;
    }
    if let Some((least, most)) = rule.format {
        let is_in = number.compare(least) != Some(Less) && number.compare(most) != Some(Greater);
        check(is_in, at, "format")?;
    }
    Ok(())
}

fn string(rule: &StringRule, text: &str, at: usize) -> Outcome {
    if rule.min_length.is_some() || rule.max_length.is_some() {
        // Bytes are at least as many as code points, which mostly decides.
        let length = text.chars().count();
        check(
            rule.min_length.is_none_or(|least| length >= least),
            at,
            "minLength",
        )?;
        check(
            rule.max_length.is_none_or(|most| length <= most),
            at,
            "maxLength",
        )?;
    }
    if let Some(format) = rule.format {
        check(format.accepts(text), at, "format")?;
    }
    if let Some(pattern) = &rule.pattern {
        check(pattern.is_match(text), at, "pattern")?;
    }
    Ok(())
}

/// Equality by value: numbers however written, objects in any order.
fn equals(nodes: &[Node<'_>], at: usize, value: &Value) -> bool {
    match (&nodes[at], value) {
        (Node::String(text), Value::String(other)) => *text == other.as_str(),
        (Node::Static(StaticNode::Null), Value::Null) => true,
        (Node::Static(StaticNode::Bool(flag)), Value::Bool(other)) => flag == other,
        (Node::Static(node), Value::Number(other)) => {
            number_of(*node).is_some_and(|number| number.equals(Number::from_json(other)))
        }
        (Node::Array { len, .. }, Value::Array(list)) => {
            *len == list.len()
                && items(nodes, at)
                    .zip(list)
                    .all(|(item, other)| equals(nodes, item, other))
        }
        (Node::Object { len, .. }, Value::Object(map)) => {
            *len == map.len()
                && members(nodes, at).all(|(name, value)| {
                    map.get(name)
                        .is_some_and(|other| equals(nodes, value, other))
                })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn schema(schema: Value) -> Schema {
        Schema::compile(&schema, "", Dialect::OpenApi31).unwrap()
    }

    fn check(schema: &Schema, body: &str) -> Result<(), (String, &'static str)> {
        let mut scratch = Scratch::default();
        let outcome = schema.check(body.as_bytes(), &mut scratch);
        outcome.map_err(|violation| (violation.pointer, violation.keyword))
    }

    fn refused(pointer: &str, keyword: &'static str) -> Result<(), (String, &'static str)> {
        Err((pointer.to_owned(), keyword))
    }

    #[test]
    fn a_payment_is_checked_to_its_leaves() {
        let payment = schema(json!({
            "type": "object", "additionalProperties": false,
            "required": ["id", "amount"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "amount": {"type": "integer", "minimum": 1, "maximum": 1000},
                "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 3}},
                "a/b~c": {"type": "boolean"}
            }
        }));
        let id = "2eb8aa08-aa98-11ea-b4aa-73b441d16380";
        let with = |rest: &str| format!("{{\"id\":\"{id}\",\"amount\":5{rest}}}");
        assert_eq!(check(&payment, &with("")), Ok(()));
        assert_eq!(
            check(
                &payment,
                &with(",\"tags\":[\"a\",\"\\u00e9\\u00e9\\u00e9\"]")
            ),
            Ok(())
        );
        for (body, pointer, keyword) in [
            (with(",\"x\":1"), "/x", "additionalProperties"),
            (with(",\"tags\":[\"a\",\"abcd\"]"), "/tags/1", "maxLength"),
            (with(",\"tags\":[\"a\",\"b\",\"c\"]"), "/tags", "maxItems"),
            (with(",\"tags\":[1]"), "/tags/0", "type"),
            (with(",\"a/b~c\":0"), "/a~1b~0c", "type"),
            (with(",\"amount\":6"), "", "unique names"),
            (with(",\"\\u0061mount\":6"), "", "unique names"),
            (
                format!("{{\"id\":\"{id}\",\"amount\":1.5}}"),
                "/amount",
                "type",
            ),
            (
                format!("{{\"id\":\"{id}\",\"amount\":1001}}"),
                "/amount",
                "maximum",
            ),
            (
                format!("{{\"id\":\"{id}\",\"amount\":18446744073709551616}}"),
                "",
                "json",
            ),
            ("{\"amount\":5}".to_owned(), "", "required"),
            ("[]".to_owned(), "", "type"),
            (with("") + "x", "", "json"),
            (with("") + "{}", "", "json"),
            (String::new(), "", "json"),
        ] {
            assert_eq!(check(&payment, &body), refused(pointer, keyword), "{body}");
        }
        assert_eq!(
            check(&payment, &format!("{{\"id\":\"{id}\",\"amount\":5.0}}")),
            Ok(())
        );
    }

    #[test]
    fn what_no_schema_describes_is_still_checked_as_json() {
        let any = schema(json!({}));
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(&any, &deep(60)), Ok(()));
        assert_eq!(check(&any, &deep(100)), refused("", "json"));
        assert_eq!(
            check(&any, "{\"a\":{\"b\":[{\"c\":1,\"c\":2}]}}"),
            refused("/a/b/0", "unique names")
        );
        let many: String = (0..40).map(|n| format!("\"k{n}\":{n},")).collect();
        assert_eq!(check(&any, &format!("{{{many}\"last\":0}}")), Ok(()));
        assert_eq!(
            check(&any, &format!("{{{many}\"k7\":0}}")),
            refused("", "unique names")
        );
        for bad in [
            &b"\"\xff\""[..],
            b"\"\x01\"",
            b"\"\\ud800\"",
            b"\xef\xbb\xbf1",
            b"01",
            b"[1,]",
        ] {
            let outcome = any.check(bad, &mut Scratch::default());
            assert!(outcome.is_err(), "{bad:?}");
        }
    }

    #[test]
    fn alternatives_are_counted() {
        let one = schema(json!({"oneOf": [{"type": "integer"}, {"minimum": 2}]}));
        assert_eq!(check(&one, "1"), Ok(()));
        assert_eq!(check(&one, "2.5"), Ok(()));
        assert_eq!(check(&one, "3"), refused("", "oneOf"));
        assert_eq!(check(&one, "1.5"), refused("", "oneOf"));
        let any = schema(json!({"anyOf": [{"type": "string"}, {"type": "null"}]}));
        assert_eq!(check(&any, "null"), Ok(()));
        assert_eq!(check(&any, "1"), refused("", "anyOf"));
    }

    #[test]
    fn nested_alternatives_end() {
        let tree = schema(json!({"anyOf": [
            {"type": "array", "items": {"$ref": "#"}, "minItems": 2},
            {"type": "array", "items": {"$ref": "#"}, "minItems": 3},
            {"type": "array", "items": {"$ref": "#"}, "maxItems": 0}]}));
        let body = "[".repeat(50) + &"]".repeat(50);
        assert!(check(&tree, &body).is_err());
        assert_eq!(check(&tree, "[[],[]]"), Ok(()));
    }

    #[test]
    fn values_are_equal_however_they_are_written() {
        let values = schema(json!({"enum": [1, "a", {"x": [1, null], "y": true}]}));
        for good in [
            "1",
            "1.0",
            "\"a\"",
            "\"\\u0061\"",
            "{\"y\":true,\"x\":[1.0,null]}",
        ] {
            assert_eq!(check(&values, good), Ok(()), "{good}");
        }
        for bad in [
            "true",
            "2",
            "\"A\"",
            "{\"x\":[1,null]}",
            "{\"x\":[null,1],\"y\":true}",
            "null",
        ] {
            assert_eq!(check(&values, bad), refused("", "enum"), "{bad}");
        }
    }

    #[test]
    fn parameters_are_read_as_the_schema_allows() {
        let mut scratch = Scratch::default();
        let mut fits =
            |declared: Value, text: &str| schema(declared).check_text(text, &mut scratch).is_ok();
        assert!(fits(json!({"type": "integer", "maximum": 5}), "5"));
        assert!(!fits(json!({"type": "integer"}), "5a"));
        assert!(!fits(json!({"type": "integer"}), "05"));
        assert!(!fits(json!({"type": "integer"}), " 5"));
        assert!(!fits(json!({"type": "integer"}), "99999999999999999999"));
        assert!(fits(json!({"type": "string", "maxLength": 2}), "12"));
        assert!(fits(json!({"type": "boolean"}), "true"));
        assert!(!fits(json!({"type": "boolean"}), "True"));
        assert!(fits(json!({"type": ["null", "number"]}), "-1.5e3"));
        let list = schema(json!({"type": "array", "maxItems": 2, "items": {"type": "integer"}}));
        assert!(list.check_texts(&["1", "2"], &mut scratch).is_ok());
        assert!(list.check_texts(&["1", "x"], &mut scratch).is_err());
        assert!(list.check_texts(&["1", "2", "3"], &mut scratch).is_err());
        let texts = schema(json!({"type": "array", "items": {"type": "string"}}));
        assert!(texts.check_texts(&["1", "true"], &mut scratch).is_ok());
    }

    #[test]
    fn values_can_be_looked_up_in_what_was_checked() {
        let mut scratch = Scratch::default();
        let body = br#"{"a":{"b":["x","\u0079"]},"n":7,"f":1.5}"#;
        assert!(schema(json!({})).check(body, &mut scratch).is_ok());
        assert_eq!(scratch.lookup("/a/b/1").as_deref(), Some("y"));
        assert_eq!(scratch.lookup("/n").as_deref(), Some("7"));
        for absent in ["/f", "/a", "/x", "/a/b/2", "a"] {
            assert_eq!(scratch.lookup(absent), None, "{absent}");
        }
    }

    #[test]
    fn unusable_schemas_say_where_and_why() {
        for (declared, pointer) in [
            (json!({"uniqueItems": true}), "/uniqueItems"),
            (json!({"properties": {"a": {"if": {}}}}), "/properties/a/if"),
            (json!({"items": {"format": "hostname"}}), "/items/format"),
            (json!({"type": "strnig"}), "/type"),
            (json!({"nullable": true, "type": "string"}), "/nullable"),
            (json!({"pattern": "(?=x)"}), "/pattern"),
            (json!({"$ref": "other.yaml#/X"}), "/$ref"),
            (json!({"$ref": "#/nowhere"}), "/$ref"),
            (json!({"minLength": -1}), "/minLength"),
            (json!({"exclusiveMinimum": true}), "/exclusiveMinimum"),
            (json!({"allOf": []}), "/allOf"),
            (json!({"required": "a"}), "/required"),
        ] {
            let errors = Schema::compile(&declared, "", Dialect::OpenApi31).unwrap_err();
            let places: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
            assert_eq!(places, [pointer], "{declared}");
        }
        let looping = json!({"allOf": [{"$ref": "#"}]});
        assert!(Schema::compile(&looping, "", Dialect::OpenApi31).is_err());
        let several = json!({"not": {}, "properties": {"a": {"not": {}}}});
        let errors = Schema::compile(&several, "", Dialect::OpenApi31).unwrap_err();
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn open_api_3_0_has_its_own_reading() {
        let compile = |declared: Value| Schema::compile(&declared, "", Dialect::OpenApi30);
        let nullable = compile(json!({"type": "string", "nullable": true})).unwrap();
        assert_eq!(check(&nullable, "null"), Ok(()));
        let open = compile(json!({"minimum": 1, "exclusiveMinimum": true})).unwrap();
        assert_eq!(check(&open, "1"), refused("", "exclusiveMinimum"));
        assert_eq!(check(&open, "1.1"), Ok(()));
        for bad in [
            json!({"type": ["string", "null"]}),
            json!({"type": "null"}),
            json!({"const": 1}),
            json!({"nullable": true}),
            json!({"exclusiveMinimum": true}),
            json!({"exclusiveMinimum": 1}),
            json!({"$ref": "#/x", "maxLength": 1, "x": {}}),
            json!({"items": true}),
        ] {
            assert!(compile(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_belongs_to_responses_is_not_sent() {
        let order = schema(json!({"required": ["id", "sum"], "properties": {
            "id": {"type": "string", "readOnly": true}, "sum": {"type": "integer"}}}));
        assert_eq!(check(&order, "{\"sum\":1}"), Ok(()));
        assert_eq!(
            check(&order, "{\"sum\":1,\"id\":\"x\"}"),
            refused("/id", "readOnly")
        );
    }

    proptest! {
        #[test]
        fn bodies_are_refused_or_accepted_but_never_changed(body: Vec<u8>) {
            let before = body.clone();
            let mut scratch = Scratch::default();
            let any = schema(json!({}));
            let accepted = any.check(&body, &mut scratch).is_ok();
            prop_assert_eq!(&body, &before);
            if accepted {
                prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
            }
        }

        #[test]
        fn what_is_accepted_reads_the_same_elsewhere(text in "[\\[\\]{}:,\"a0-9.eE\\\\u-]{0,24}") {
            let any = schema(json!({}));
            if any.check(text.as_bytes(), &mut Scratch::default()).is_ok() {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
            }
        }
    }
}
