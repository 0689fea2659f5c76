//! Where the records of a body begin and end, told while the body comes in.
//!
//! ```text
//! array:    Start -[-> First -> (Scalar | Nested) -> Behind -,-> Next -> (Scalar | Nested) ...
//!                        +----------- ] -----------> End <- ] --+
//! lines:    Start -> Line -> LineEnd -> Start
//! sequence: Start -RS-> Line -> LineEnd -> Start
//! ```
//!
//! What stays true: whatever the pieces, the cuts are the same. What is cut out as one record is
//! not known to be JSON; that whoever checks it has to find. If every record is a JSON value, then
//! the body is what it claims to be, and no reader takes its records for others.

use crate::policy::contract::records::Cut;
use crate::policy::contract::schema::DEPTH;

/// How the records of a body are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The items of one JSON array.
    Array,
    Sequence(Cut),
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// So many belong to no record.
    Between(usize),
    /// So many belong to a record, which may end behind them.
    Record { length: usize, ends: bool },
}

/// Cuts a body of any length without keeping any of it.
#[derive(Clone, Debug)]
pub struct Cutter {
    form: Form,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// Behind the bracket: an item, or the end of an empty array.
    First,
    /// Behind a comma: an item.
    Next,
    /// A number or a word.
    Scalar,
    /// A string, an array or an object.
    Nested(Nested),
    Behind,
    End,
    Line,
    LineEnd,
}

/// How far a string, an array or an object is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Nested {
    depth: usize,
    is_text: bool,
    is_escaped: bool,
}

impl Cutter {
    pub fn new(form: Form) -> Cutter {
        Cutter {
            form,
            state: State::Start,
        }
    }

    /// What the first of `bytes`, of which there are some, are; the rule that they break.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Part, &'static str> {
        match self.form {
            Form::Array => self.next_of_array(bytes),
            Form::Sequence(cut) => self.next_of_sequence(cut, bytes),
        }
    }

    /// The body is over. Whether a record was under way, which is whole by that.
    pub fn finish(&self) -> Result<bool, &'static str> {
        match (self.form, self.state) {
            (Form::Array, State::End) | (Form::Sequence(_), State::Start) => Ok(false),
            (Form::Sequence(Cut::Lines), State::Line) => Ok(true),
            // RFC 7464 section 2.4: without its end nobody knows whether it is whole.
            (Form::Sequence(_), _) => Err("record"),
            (Form::Array, _) => Err("json"),
        }
    }

    fn next_of_sequence(&mut self, cut: Cut, bytes: &[u8]) -> Result<Part, &'static str> {
        match (self.state, cut) {
            (State::LineEnd, _) => {
                self.state = State::Start;
                return Ok(Part::Between(1));
            }
            (State::Start, Cut::Sequence) => {
                self.state = State::Line;
                return match bytes {
                    [0x1e, ..] => Ok(Part::Between(1)),
                    _ => Err("record"),
                };
            }
            _ => self.state = State::Line,
        }
        let end = memchr::memchr(b'\n', bytes);
        if end.is_some() {
            self.state = State::LineEnd;
        }
        Ok(Part::Record {
            length: end.unwrap_or(bytes.len()),
            ends: end.is_some(),
        })
    }

    fn next_of_array(&mut self, bytes: &[u8]) -> Result<Part, &'static str> {
        match self.state {
            State::Scalar => return Ok(self.scalar(bytes)),
            State::Nested(nested) => return self.nested(nested, bytes),
            _ => {}
        }
        let blank = bytes.iter().take_while(|byte| is_blank(**byte)).count();
        if blank > 0 {
            return Ok(Part::Between(blank));
        }
        self.state = match (self.state, bytes[0]) {
            (State::Start, b'[') => State::First,
            (State::First | State::Behind, b']') => State::End,
            (State::Behind, b',') => State::Next,
            (State::First | State::Next, byte) => return self.begin(byte, bytes),
            _ => return Err("json"),
        };
        Ok(Part::Between(1))
    }

    fn begin(&mut self, byte: u8, bytes: &[u8]) -> Result<Part, &'static str> {
        match byte {
            b',' | b']' => Err("json"),
            b'"' | b'{' | b'[' => self.nested(Nested::default(), bytes),
            _ => {
                self.state = State::Scalar;
                Ok(self.scalar(bytes))
            }
        }
    }

    fn scalar(&mut self, bytes: &[u8]) -> Part {
        let ends = |byte: &u8| is_blank(*byte) || matches!(byte, b',' | b']');
        let end = bytes.iter().position(ends);
        if end.is_some() {
            self.state = State::Behind;
        }
        Part::Record {
            length: end.unwrap_or(bytes.len()),
            ends: end.is_some(),
        }
    }

    /// Which bracket closes which is left to the check of the record: one too many ends it early,
    /// and then it is no JSON.
    fn nested(&mut self, mut nested: Nested, bytes: &[u8]) -> Result<Part, &'static str> {
        let mut at = 0;
        while at < bytes.len() {
            at += nested.take(&bytes[at..])?;
            if nested.depth == 0 && !nested.is_text {
                self.state = State::Behind;
                return Ok(Part::Record {
                    length: at,
                    ends: true,
                });
            }
        }
        self.state = State::Nested(nested);
        Ok(Part::Record {
            length: at,
            ends: false,
        })
    }
}

impl Nested {
    /// Goes on by one byte, or by a run of those within a string.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        if self.is_text {
            return Ok(self.take_text(bytes));
        }
        match bytes[0] {
            b'"' => self.is_text = true,
            b'{' | b'[' => {
                self.depth += 1;
                // The array around the records counts as well.
                if self.depth >= DEPTH {
                    return Err("depth");
                }
            }
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        Ok(1)
    }

    fn take_text(&mut self, bytes: &[u8]) -> usize {
        if std::mem::take(&mut self.is_escaped) {
            return 1;
        }
        let Some(at) = memchr::memchr2(b'"', b'\\', bytes) else {
            return bytes.len();
        };
        match bytes[at] {
            b'"' => self.is_text = false,
            _ => self.is_escaped = true,
        }
        at + 1
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a body that comes in pieces of `step` bytes, and whether it ended well.
    fn cut(form: Form, body: &[u8], step: usize) -> (Vec<String>, Result<(), &'static str>) {
        let (mut cutter, mut found, mut record) = (Cutter::new(form), Vec::new(), Vec::new());
        let mut take = |record: &mut Vec<u8>| {
            found.push(String::from_utf8_lossy(&std::mem::take(record)).into_owned());
        };
        for mut rest in body.chunks(step) {
            while !rest.is_empty() {
                let length = match cutter.next(rest) {
                    Ok(Part::Between(length)) => length,
                    Ok(Part::Record { length, ends }) => {
                        record.extend_from_slice(&rest[..length]);
                        if ends {
                            take(&mut record);
                        }
                        length
                    }
                    Err(rule) => return (found, Err(rule)),
                };
                rest = &rest[length..];
            }
        }
        let outcome = cutter.finish().map(|is_open| {
            if is_open {
                take(&mut record);
            }
        });
        (found, outcome)
    }

    #[test]
    fn items_are_cut_wherever_the_body_is_split() {
        let body = br#" [ 1 ,"a]\",\\", {"b":[2,"}"]},[[]] , true,-1e9,"",null ] "#;
        let records = [
            "1",
            r#""a]\",\\""#,
            r#"{"b":[2,"}"]}"#,
            "[[]]",
            "true",
            "-1e9",
            "\"\"",
            "null",
        ];
        for step in 1..=body.len() {
            let (found, outcome) = cut(Form::Array, body, step);
            assert_eq!(
                (&found[..], outcome),
                (&records.map(String::from)[..], Ok(()))
            );
        }
        assert_eq!(cut(Form::Array, b"[]", 1), (Vec::new(), Ok(())));
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for bad in [
            "",
            " ",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1],",
            "[1]]",
            "[1]x",
            "{}",
            "1",
            "\u{feff}[1]",
            "[\"a",
            "[\"a\\\"]",
            "[{]",
            "]",
            "[1\u{b},2]]",
        ] {
            for step in 1..=bad.len().max(1) {
                assert!(cut(Form::Array, bad.as_bytes(), step).1.is_err(), "{bad:?}");
            }
        }
    }

    #[test]
    fn nesting_is_bounded_with_the_array_around() {
        for (depth, holds) in [(DEPTH, true), (DEPTH + 1, false), (100_000, false)] {
            let body = "[".repeat(depth) + &"]".repeat(depth);
            assert_eq!(cut(Form::Array, body.as_bytes(), 7).1.is_ok(), holds);
        }
    }

    #[test]
    fn lines_and_sequences_are_cut_as_whole_ones_are() {
        for body in [
            "",
            "1",
            "1\n",
            "1\n{}\r\n[2]",
            "\n",
            "1\n\n2",
            "\u{1e}1\n",
            "\u{1e}1",
            "\u{1e}",
        ] {
            for cut_by in [Cut::Lines, Cut::Sequence] {
                let whole: Result<Vec<_>, _> = cut_by.records(body.as_bytes()).collect();
                for step in 1..=body.len().max(1) {
                    let (found, outcome) = cut(Form::Sequence(cut_by), body.as_bytes(), step);
                    let is_blank = found.iter().any(|each| each.trim_ascii().is_empty());
                    let found = outcome.ok().filter(|()| !is_blank).map(|()| found);
                    let expected = whole.clone().ok().map(|whole| {
                        let texts = whole.iter().map(|each| String::from_utf8_lossy(each));
                        texts.map(String::from).collect::<Vec<_>>()
                    });
                    assert_eq!(found, expected, "{body:?} by {cut_by:?}");
                }
            }
        }
    }
}
