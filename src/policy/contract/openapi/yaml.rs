//! The text of a description becomes one JSON value and the place of everything in it.
//!
//! Owns the subset of YAML 1.2 that has one reading. JSON is read as the YAML that it is. What two
//! readers could take for two documents is refused with its place: duplicate keys, anchors and
//! aliases (a small file that unfolds into a huge one), merge keys, tags, several documents.
//! Numbers are kept as they are written where no double holds them. Reading is iterative and
//! bounded; nothing panics on any text.

use std::fmt::Write;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use serde_json::{Map, Value};

use crate::diagnostic::Position;
use crate::policy::contract::openapi::number::{self, Unreadable};
use crate::policy::contract::openapi::positions::Positions;
use crate::policy::contract::schema::Numbers;

/// Longest text in bytes. The largest descriptions that are published have some ten megabytes.
pub const TEXT: usize = 16 * 1024 * 1024;

/// Deepest nesting. Descriptions with inline schemas stay below thirty.
pub const DEPTH: usize = 100;

/// Most values, each of which has a place to remember.
pub const NODES: usize = 1_000_000;

/// Descriptions have one value for about so many bytes.
const BYTES_PER_NODE: usize = 24;

/// A document and where its parts stand.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub root: Value,
    pub positions: Positions,
    /// The numbers of which the value holds only what is nearest, by their JSON pointer.
    pub numbers: Numbers,
}

/// Something that cannot be read in exactly one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub position: Position,
    pub message: String,
    pub hint: &'static str,
}

/// A mapping or sequence that is still open.
struct Open {
    value: Value,
    /// Length of the pointer up to this container.
    pointer: usize,
    /// The key that waits for its value.
    key: Option<String>,
}

#[derive(Default)]
struct Builder {
    tree: Tree,
    faults: Vec<Fault>,
    open: Vec<Open>,
    /// The pointer of the value that comes next.
    pointer: String,
    documents: usize,
    nodes: usize,
    most_nodes: usize,
}

/// Reads one document. All faults at once, but for those after which the rest has no structure.
pub fn read(text: &str) -> Result<Tree, Vec<Fault>> {
    read_within(text, NODES)
}

fn read_within(text: &str, most_nodes: usize) -> Result<Tree, Vec<Fault>> {
    let start = Position { line: 1, column: 1 };
    if text.len() > TEXT {
        let message = format!("the file is larger than {TEXT} bytes");
        return Err(vec![fault(start, message, "split the API")]);
    }
    let mut builder = Builder {
        most_nodes,
        ..Builder::default()
    };
    let expected = (text.len() / BYTES_PER_NODE).min(most_nodes);
    builder.tree.positions.reserve(expected);
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(next) = parser.next_event() {
        let outcome = match next {
            Ok((event, span)) => builder.take(event, position(&span.start)),
            Err(error) => Err(fault(
                position(error.marker()),
                format!("neither YAML nor JSON: {}", error.info()),
                "check indentation (by spaces, never tabs), quotes and brackets around this place",
            )),
        };
        if let Err(fault) = outcome {
            builder.faults.push(fault);
            break;
        }
    }
    if builder.faults.is_empty() && builder.documents == 0 {
        let message = "the file is empty".to_owned();
        let hint = "begin with `openapi: 3.1.0`";
        builder.faults.push(fault(start, message, hint));
    }
    match builder.faults.is_empty() {
        true => Ok(builder.tree),
        false => Err(builder.faults),
    }
}

/// Appends `/token` with the escapes of RFC 6901 section 3.
pub fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    if !token.contains(['~', '/']) {
        return pointer.push_str(token);
    }
    for character in token.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

fn position(marker: &Marker) -> Position {
    Position {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

fn fault(position: Position, message: String, hint: &'static str) -> Fault {
    Fault {
        position,
        message,
        hint,
    }
}

impl Builder {
    /// `Err` ends the reading.
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(_) => self.begin(at),
            Event::MappingStart(anchor, tag) => {
                self.plain(anchor, tag.is_some(), at);
                self.enter(Value::Object(Map::new()), at)
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain(anchor, tag.is_some(), at);
                self.enter(Value::Array(Vec::new()), at)
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.leave();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.plain(anchor, tag.is_some(), at);
                self.scalar(&text, style, at)
            }
            Event::Alias(_) => {
                self.refuse(at, "an alias", "use a `$ref` into `components`");
                self.scalar("*", ScalarStyle::SingleQuoted, at)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, at: Position) -> Result<(), Fault> {
        self.documents += 1;
        if self.documents > 1 {
            let message = "a second document in one file".to_owned();
            return Err(fault(at, message, "give each API its own file"));
        }
        Ok(())
    }

    /// Anchors and tags change what a node means for the readers that know them.
    fn plain(&mut self, anchor: usize, has_tag: bool, at: Position) {
        if anchor > 0 {
            self.refuse(at, "an anchor", "use a `$ref` into `components`");
        }
        if has_tag {
            self.refuse(at, "a tag", "write the plain value; quote it for a string");
        }
    }

    fn refuse(&mut self, at: Position, what: &str, hint: &'static str) {
        let message = format!("{what} is not accepted here");
        self.faults.push(fault(at, message, hint));
    }

    fn enter(&mut self, value: Value, at: Position) -> Result<(), Fault> {
        if self.open.len() >= DEPTH {
            let message = format!("nested deeper than {DEPTH} levels");
            return Err(fault(at, message, "use a `$ref` into `components`"));
        }
        if self.expects_key() {
            let message = "a key that is not a plain text".to_owned();
            return Err(fault(at, message, "write `key: value`"));
        }
        self.place(at)?;
        self.open.push(Open {
            value,
            pointer: self.pointer.len(),
            key: None,
        });
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(closed) = self.open.pop() {
            self.pointer.truncate(closed.pointer);
            self.attach(closed.value);
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, at: Position) -> Result<(), Fault> {
        if self.expects_key() {
            self.name(text, style, at);
            return Ok(());
        }
        self.place(at)?;
        let value = match style {
            ScalarStyle::Plain => self.resolve(text).unwrap_or_else(|(message, hint)| {
                self.faults.push(fault(at, message, hint));
                Value::Null
            }),
            _ => Value::String(text.to_owned()),
        };
        self.attach(value);
        Ok(())
    }

    /// The value of a plain scalar by the core schema (YAML 1.2.2 section 10.3).
    fn resolve(&mut self, text: &str) -> Result<Value, Unreadable> {
        Ok(match text {
            "" | "~" | "null" | "Null" | "NULL" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ if number::is_special(text) => {
                return Err((format!("`{text}` is not a JSON number"), "quote it"));
            }
            _ if number::looks_numeric(text) => {
                let (nearest, exact) = number::read(text)?;
                if let Some(exact) = exact {
                    self.tree.numbers.insert(self.pointer.clone(), exact);
                }
                Value::Number(nearest)
            }
            _ => Value::String(text.to_owned()),
        })
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                value: Value::Object(_),
                key: None,
                ..
            })
        )
    }

    /// Takes a key; the pointer then names its value.
    fn name(&mut self, text: &str, style: ScalarStyle, at: Position) {
        let Some(Open {
            value: Value::Object(members),
            key,
            pointer,
        }) = self.open.last_mut()
        else {
            return;
        };
        *key = Some(text.to_owned());
        self.pointer.truncate(*pointer);
        push_token(&mut self.pointer, text);
        if members.contains_key(text) {
            let first = self.tree.positions.find(&self.pointer);
            let line = first.map_or(0, |first| first.line);
            let message = format!("the key `{text}` is already in line {line}");
            let hint = "keep one of them: readers disagree on which of two counts";
            self.faults.push(fault(at, message, hint));
        } else {
            self.tree.positions.insert(&self.pointer, at);
        }
        if style == ScalarStyle::Plain && text == "<<" {
            self.refuse(at, "a merge key", "use a `$ref` into `components`");
        }
    }

    /// Remembers where a value stands, unless its key has been remembered.
    fn place(&mut self, at: Position) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > self.most_nodes {
            let message = format!("more than {} values", self.most_nodes);
            return Err(fault(at, message, "split the API"));
        }
        match self.open.last() {
            None => {
                self.tree.positions.insert("", at);
            }
            Some(Open {
                value: Value::Array(items),
                pointer,
                ..
            }) => {
                self.pointer.truncate(*pointer);
                // Writing to a string cannot fail.
                let _ = write!(self.pointer, "/{}", items.len());
                self.tree.positions.insert(&self.pointer, at);
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn attach(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.tree.root = value,
            Some(Open {
                value: Value::Array(items),
                ..
            }) => items.push(value),
            Some(Open {
                value: Value::Object(members),
                key,
                ..
            }) => {
                if let Some(key) = key.take() {
                    members.insert(key, value);
                }
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn root(text: &str) -> Value {
        read(text).unwrap().root
    }

    /// The first fault as `line:column message`.
    fn refused(text: &str) -> String {
        let faults = read(text).unwrap_err();
        let Fault {
            position, message, ..
        } = &faults[0];
        format!("{}:{} {message}", position.line, position.column)
    }

    #[test]
    fn yaml_and_json_give_the_same_tree() {
        let expected = json!({"a": [1, -2, 0.5, "x"], "b": {"c": null, "d": true}, "e": "1"});
        assert_eq!(
            root("a: [1, -2, .5, x]\nb:\n  c:\n  d: true\ne: '1'\n"),
            expected
        );
        assert_eq!(root(&expected.to_string()), expected);
        let pretty = serde_json::to_string_pretty(&expected).unwrap();
        assert_eq!(root(&pretty), expected);
        assert_eq!(root(&pretty.replace("  ", "\t")), expected);
        assert_eq!(root(&pretty.replace('\n', "\r\n")), expected);
        assert_eq!(root(&format!("\u{feff}{pretty}")), expected);
    }

    #[test]
    fn members_stand_where_their_key_does_and_items_where_they_begin() {
        let tree = read("a:\n  - b: 1\n    c/d: 2\n  - x\n").unwrap();
        for (pointer, line, column) in [
            ("", 1, 1),
            ("/a", 1, 1),
            ("/a/0", 2, 5),
            ("/a/0/b", 2, 5),
            ("/a/0/c~1d", 3, 5),
            ("/a/1", 4, 5),
        ] {
            let expected = Position { line, column };
            assert_eq!(tree.positions.find(pointer), Some(expected), "{pointer}");
        }
        let json = read("{\n  \"a\": {\"b\": [10, 20]}\n}").unwrap();
        let at = |pointer: &str| json.positions.find(pointer).unwrap();
        assert_eq!(at("/a/b"), Position { line: 2, column: 9 });
        assert_eq!(
            at("/a/b/1"),
            Position {
                line: 2,
                column: 19
            }
        );
    }

    #[test]
    fn keys_are_texts() {
        assert_eq!(root("200: a\ntrue: b\n"), json!({"200": "a", "true": "b"}));
        assert!(refused("? [a]\n: b\n").contains("not a plain text"));
        assert!(refused("{[a]: b}").contains("not a plain text"));
    }

    #[test]
    fn numbers_that_were_rounded_before_are_held_as_written() {
        for text in [
            "18446744073709552000",
            "-9223372036854776000",
            "100000000000000000000",
        ] {
            let number = root(&format!("a: {text}\n"))["a"].as_f64().unwrap();
            assert_eq!(number.to_string(), text);
        }
    }

    #[test]
    fn numbers_that_no_double_holds_are_kept_as_they_are_written() {
        let tree = read(
            "a: 18446744073709551616\nb: [0.12345678901234567891, 1, 2.5]\nc: {d/e: +1e400}\n\
             f: -.1e-400\ng: 1234567890123456789012.\nh: -18446744073709551617.5e3\n",
        );
        let tree = tree.unwrap();
        let mut numbers: Vec<_> = tree.numbers.iter().collect();
        numbers.sort();
        let numbers: Vec<(&str, &str)> = numbers
            .into_iter()
            .map(|(at, text)| (&**at, &**text))
            .collect();
        assert_eq!(
            numbers,
            [
                ("/a", "18446744073709551616"),
                ("/b/0", "0.12345678901234567891"),
                ("/c/d~1e", "1e400"),
                ("/f", "-0.1e-400"),
                ("/g", "1234567890123456789012"),
                ("/h", "-18446744073709551617.5e3"),
            ]
        );
        assert_eq!(tree.root["c"]["d/e"], json!(f64::MAX));
        assert_eq!(tree.root["a"], json!(18446744073709551616.0));
    }

    #[test]
    fn what_has_two_readings_is_refused_where_it_stands() {
        for (text, expected) in [
            ("a: 1\nb: 2\na: 3\n", "3:1 the key `a` is already in line 1"),
            (
                "{\"a\": 1, \"\\u0061\": 2}",
                "1:10 the key `a` is already in line 1",
            ),
            (
                "200: 1\n'200': 2\n",
                "2:1 the key `200` is already in line 1",
            ),
            ("a: &x 1\n", "1:4 an anchor is not accepted here"),
            ("a: !!str 1\n", "1:4 a tag is not accepted here"),
            ("a: 1\n<<: {b: 2}\n", "2:1 a merge key is not accepted here"),
            ("a: 1\n---\nb: 2\n", "2:1 a second document in one file"),
            ("a: 0755\n", "1:4 `0755` is another number for some readers"),
            ("a: 0x1F\n", "1:4 `0x1F` is another number for some readers"),
            ("a: .inf\n", "1:4 `.inf` is not a JSON number"),
            ("", "1:1 the file is empty"),
            ("# only a comment\n", "1:1 the file is empty"),
        ] {
            assert_eq!(refused(text), expected, "{text:?}");
        }
    }

    #[test]
    fn aliases_are_refused_with_their_anchors_all_at_once() {
        let faults = read("a: &x {b: 1}\nc: *x\nd: *x\n").unwrap_err();
        let lines: Vec<_> = faults.iter().map(|fault| fault.position.line).collect();
        assert_eq!(lines, [1, 2, 3]);
    }

    #[test]
    fn numbers_are_held_exactly() {
        assert_eq!(
            root(
                "- 18446744073709551615\n- -9223372036854775808\n- +7\n- 0\n- -0\n- 0.10\n- 1e3\n- 0e0\n- 123456789.012345"
            ),
            json!([
                u64::MAX,
                i64::MIN,
                7,
                0,
                0,
                0.1,
                1000.0,
                0.0,
                123_456_789.012_345
            ])
        );
        assert_eq!(
            root("- 1.2.3\n- 2024-01-01\n- 1_000\n- e5\n- '.'\n- yes\n- 0xg\n-\n"),
            json!([
                "1.2.3",
                "2024-01-01",
                "1_000",
                "e5",
                ".",
                "yes",
                "0xg",
                null
            ])
        );
    }

    #[test]
    fn structure_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(DEPTH)).is_ok());
        assert!(refused(&nested(DEPTH + 1)).contains("nested deeper"));
        assert!(refused(&"- ".repeat(100_000)).contains("nested deeper"));
        assert!(refused(&"[".repeat(100_000)).contains("recursion limit"));
        assert!(refused(&" ".repeat(TEXT + 1)).contains("larger than"));
        // The sequence itself is one of the values.
        let items = |count: usize| format!("[{}]", "0,".repeat(count - 1));
        assert!(read_within(&items(100), 100).is_ok());
        let faults = read_within(&items(101), 100).unwrap_err();
        assert!(faults[0].message.contains("more than 100 values"));
    }

    #[test]
    fn broken_text_is_told_with_its_place() {
        for (text, place) in [
            ("a: [1, 2\nb: 3\n", "2:"),
            ("a: 'x\n", "1:"),
            ("{\"a\": }x", "1:"),
        ] {
            let told = refused(text);
            assert!(told.starts_with(place), "{told}");
            assert!(told.contains("neither YAML nor JSON"), "{told}");
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\u{e4}\n\t]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{1,8}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The pointers to a value and to all that is in it.
    fn collect(value: &Value, pointer: &str, found: &mut Vec<String>) {
        found.push(pointer.to_owned());
        let mut below = |token: &str, value: &Value| {
            let mut pointer = pointer.to_owned();
            push_token(&mut pointer, token);
            collect(value, &pointer, found);
        };
        match value {
            Value::Object(members) => members.iter().for_each(|(name, each)| below(name, each)),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items.for_each(|(index, each)| below(&index.to_string(), each));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    proptest! {
        #[test]
        fn json_is_read_as_json(value in json_value()) {
            prop_assert_eq!(&root(&value.to_string()), &value);
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let tree = read(&pretty).unwrap();
            prop_assert_eq!(&tree.root, &value);
            let mut pointers = Vec::new();
            collect(&value, "", &mut pointers);
            for pointer in &pointers {
                prop_assert!(tree.positions.find(pointer).is_some(), "{}", pointer);
            }
            prop_assert_eq!(tree.positions.len(), pointers.len());
        }

        #[test]
        fn no_text_panics(text in "[-\\[\\]{}:,&*!|>'\"%@` \n\tab0<?#~.]{0,60}") {
            let _ = read(&text);
        }
    }
}
