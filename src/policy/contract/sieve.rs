//! Bodies of many records that are checked while they come in, in the memory of one record.
//!
//! What stays true: no byte of a record is let through before the record is known to be good, and
//! the verdict is that of the check of the whole body, however it was split. What was let through
//! before a fault is the beginning of a body that must never be ended.

use std::ops::Range;

use crate::policy::contract::body::Content;
use crate::policy::contract::cutter::{Cutter, Form, Part};
use crate::policy::contract::schema::{self, Each, Schema};
use crate::policy::denial::Denial;

/// How much may be streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Longest body in bytes.
    pub body: u64,
    /// Longest record in bytes.
    pub record: usize,
}

/// How a body of one media type is taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records {
    form: Form,
    each: Each,
}

/// How far the sieve came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// So much of the piece was taken.
    pub used: usize,
    /// A record that came to its end.
    pub record: Option<Record>,
}

/// A good record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place among the items of an array; none: there is no array.
    pub index: Option<usize>,
    /// Where it stands in what was let through.
    pub place: Range<usize>,
}

/// Why a body is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub denial: Denial,
    /// JSON pointer, which begins with the index of the record.
    pub pointer: String,
    pub rule: &'static str,
}

/// A body on its way through the check.
pub struct Sieve<'c> {
    schema: &'c Schema,
    each: Each,
    is_required: bool,
    is_array: bool,
    bounds: Bounds,
    cutter: Cutter,
    /// The beginning of a record whose end has not come yet.
    pending: Vec<u8>,
    count: usize,
    is_empty: bool,
}

impl Records {
    /// Of what is declared; what stands against it where the records cannot be told apart.
    pub fn of(content: &Content) -> Result<Records, &'static str> {
        match content {
            Content::Json(schema) => Ok(Records {
                form: Form::Array,
                each: schema.each()?,
            }),
            Content::Records(records) => Ok(Records {
                form: Form::Sequence(records.cut),
                each: match records.is_array {
                    true => records.schema.each()?,
                    false => records.schema.alone(),
                },
            }),
            Content::Unread
            | Content::Bytes(_)
            | Content::Form(_)
            | Content::Parts(_)
            | Content::Text(_) => Err("it holds no records"),
        }
    }
}

impl<'c> Sieve<'c> {
    /// `is_required`: whether there has to be a body.
    pub fn new(
        records: Records,
        schema: &'c Schema,
        bounds: Bounds,
        is_required: bool,
    ) -> Sieve<'c> {
        Sieve {
            schema,
            each: records.each,
            is_required,
            is_array: records.form == Form::Array,
            bounds,
            cutter: Cutter::new(records.form),
            pending: Vec::new(),
            count: 0,
            is_empty: true,
        }
    }

    /// How much there is of a record that is not whole yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Takes the next piece of the content up to the end of a record, and appends what is good to
    /// `out`.
    pub fn next(
        &mut self,
        piece: &[u8],
        memory: &mut schema::Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Cut, Fault> {
        self.is_empty = self.is_empty && piece.is_empty();
        let mut used = 0;
        while used < piece.len() {
            let rest = &piece[used..];
            let part = self.cutter.next(rest);
            match part.map_err(|rule| self.invalid("", rule))? {
                Part::Between(length) => {
                    out.extend_from_slice(&rest[..length]);
                    used += length;
                }
                Part::Record { length, ends } => {
                    let record = self.take(&rest[..length], ends, memory, out)?;
                    used += length;
                    if record.is_some() {
                        return Ok(Cut { used, record });
                    }
                }
            }
        }
        Ok(Cut { used, record: None })
    }

    /// The content is over. Only now may the body that was let through be ended. A last record may
    /// have come to its end with it.
    pub fn finish(
        &mut self,
        memory: &mut schema::Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Cut, Fault> {
        if self.is_empty {
            return match self.is_required {
                true => Err(self.fault(Denial::MissingBody, "", "required")),
                false => Ok(Cut::default()),
            };
        }
        let is_open = self.cutter.finish();
        let record = match is_open.map_err(|rule| self.invalid("", rule))? {
            true => self.take(b"", true, memory, out)?,
            false => None,
        };
        match self.count < self.each.least {
            true => Err(self.whole("minItems")),
            false => Ok(Cut { used: 0, record }),
        }
    }

    fn take(
        &mut self,
        part: &[u8],
        ends: bool,
        memory: &mut schema::Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Option<Record>, Fault> {
        if self.pending.len() + part.len() > self.bounds.record {
            return Err(self.fault(Denial::BodyTooLarge, "", "max_record"));
        }
        if !ends {
            self.pending.extend_from_slice(part);
            return Ok(None);
        }
        let start = out.len();
        // Most records come whole.
        if self.pending.is_empty() {
            self.judge(part, memory)?;
            out.extend_from_slice(part);
        } else {
            let mut record = std::mem::take(&mut self.pending);
            record.extend_from_slice(part);
            self.judge(&record, memory)?;
            out.extend_from_slice(&record);
            record.clear();
            self.pending = record;
        }
        Ok(Some(Record {
            index: self.is_array.then_some(self.count - 1),
            place: start..out.len(),
        }))
    }

    fn judge(&mut self, record: &[u8], memory: &mut schema::Scratch) -> Result<(), Fault> {
        if self.each.most.is_some_and(|most| self.count >= most) {
            return Err(self.whole("maxItems"));
        }
        if record.trim_ascii().is_empty() {
            return Err(self.invalid("", "record"));
        }
        let checked = self.schema.check_one(self.each, record, memory);
        checked.map_err(|violation| self.invalid(&violation.pointer, violation.keyword))?;
        self.count += 1;
        Ok(())
    }

    fn invalid(&self, pointer: &str, rule: &'static str) -> Fault {
        self.fault(Denial::InvalidBody, pointer, rule)
    }

    /// Of the record at hand.
    fn fault(&self, denial: Denial, pointer: &str, rule: &'static str) -> Fault {
        Fault {
            denial,
            pointer: format!("/{}{pointer}", self.count),
            rule,
        }
    }

    /// Of all records together.
    fn whole(&self, rule: &'static str) -> Fault {
        Fault {
            denial: Denial::InvalidBody,
            pointer: String::new(),
            rule,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::policy::contract::records::{self, Cut};
    use crate::policy::contract::schema::Dialect;

    const BOUNDS: Bounds = Bounds {
        body: 1 << 20,
        record: 64,
    };

    fn compiled(schema: serde_json::Value) -> Schema {
        Schema::compile(&schema, "", Dialect::OpenApi31).unwrap()
    }

    fn array() -> Content {
        Content::Json(compiled(
            json!({"type": "array", "minItems": 1, "maxItems": 4,
            "items": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": ["null", "boolean"]},
                {"type": "string", "maxLength": 4}, {"type": "array", "items": {"type": "integer"}},
                {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}},
                    "additionalProperties": false}]}}),
        ))
    }

    fn lines(cut: Cut) -> Content {
        Content::Records(records::Records {
            cut,
            schema: compiled(json!({"type": ["integer", "object"], "maximum": 9})),
            is_array: false,
        })
    }

    fn schema(content: &Content) -> &Schema {
        match content {
            Content::Json(schema) => schema,
            Content::Records(records) => &records.schema,
            _ => panic!("no records"),
        }
    }

    /// What goes on of a body that comes in pieces which end at `ends`.
    fn run(content: &Content, bounds: Bounds, pieces: &[&[u8]]) -> (Vec<u8>, Result<(), Fault>) {
        let records = Records::of(content).unwrap();
        let mut sieve = Sieve::new(records, schema(content), bounds, true);
        let (mut memory, mut out) = (schema::Scratch::default(), Vec::new());
        let mut records = Vec::new();
        let mut feed = |piece: &[u8]| {
            let mut rest = piece;
            while !rest.is_empty() {
                let cut = sieve.next(rest, &mut memory, &mut out)?;
                records.extend(cut.record);
                rest = &rest[cut.used..];
            }
            Ok(())
        };
        let fed = pieces.iter().try_for_each(|piece| feed(piece));
        let outcome = fed.and_then(|()| {
            records.extend(sieve.finish(&mut memory, &mut out)?.record);
            Ok(())
        });
        assert!(sieve.pending.len() <= bounds.record);
        // Each record is told of once, in order, whatever came of the one behind it.
        assert_eq!(records.len(), sieve.count);
        assert!(
            records
                .windows(2)
                .all(|two| two[0].place.end <= two[1].place.start)
        );
        if sieve.is_array {
            let indices = records.iter().enumerate();
            assert!(
                indices
                    .map(|(at, record)| (Some(at), record.index))
                    .all(|(a, b)| a == b)
            );
        }
        (out, outcome)
    }

    /// The verdict of the check of a whole body.
    fn holds(content: &Content, body: &[u8]) -> bool {
        let mut memory = schema::Scratch::default();
        match content {
            Content::Json(schema) => schema.check(body, &mut memory).is_ok(),
            Content::Records(records) => {
                !body.is_empty() && {
                    let mut records = records.cut.records(body);
                    records.all(|record| {
                        let text =
                            record.and_then(|text| std::str::from_utf8(text).map_err(|_| ""));
                        let schema = schema(content);
                        text.is_ok_and(|text| schema.check_value(text, &mut memory).is_ok())
                    })
                }
            }
            _ => panic!("no records"),
        }
    }

    #[test]
    fn faults_are_told_by_their_record() {
        let array = array();
        for (body, denial, pointer, rule) in [
            ("[1,10]", Denial::InvalidBody, "/1", "anyOf"),
            ("[1,{\"a\":2}]", Denial::InvalidBody, "/1", "anyOf"),
            ("[1,2,3,4,5]", Denial::InvalidBody, "", "maxItems"),
            ("[ ]", Denial::InvalidBody, "", "minItems"),
            ("[1,", Denial::InvalidBody, "/1", "json"),
            ("", Denial::MissingBody, "/0", "required"),
        ] {
            let fault = run(&array, BOUNDS, &[body.as_bytes()]).1.unwrap_err();
            assert_eq!(
                (fault.denial, &*fault.pointer, fault.rule),
                (denial, pointer, rule),
                "{body}"
            );
        }
    }

    #[test]
    fn nothing_of_a_bad_record_goes_on_and_none_is_longer_than_its_bound() {
        let array = array();
        let (out, outcome) = run(
            &array,
            BOUNDS,
            &[b"[1, {\"a\":", b"\"x\"}, {\"a\"", b":2}]"],
        );
        assert!(outcome.is_err());
        assert_eq!(out, b"[1, {\"a\":\"x\"}, ");
        let record = |length: usize| format!("[{{\"a\":\"{}\"}}]", "x".repeat(length - 8));
        for step in [1, 7, 1000] {
            for (length, holds) in [(64, true), (65, false), (9999, false)] {
                let body = record(length);
                let pieces: Vec<_> = body.as_bytes().chunks(step).collect();
                let (_, outcome) = run(&array, BOUNDS, &pieces);
                let denial = outcome.err().map(|fault| fault.denial);
                assert_eq!(denial, (!holds).then_some(Denial::BodyTooLarge));
            }
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        let words = [
            "1",
            "9",
            "10",
            "-0",
            "01",
            "1.0",
            "true",
            "null",
            "nul",
            "\"a\"",
            "\"\\\"]\"",
            "\"\\u00e9\"",
            "\"\\ud800\"",
            "{}",
            "{\"a\":\"x\"}",
            "{\"a\":\"x\",\"a\":\"y\"}",
            "{\"a\":1}",
            "{\"b\":1}",
            "[1,2]",
            "[1,]",
            "[}",
            "[[1]]",
            "\"",
            "\\",
            "é",
            "\u{feff}",
            "\u{1e}",
            "\0",
        ];
        prop_oneof![
            8 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
            6 => proptest::sample::select(vec![",", "\n", " ", "[", "]", ", ", "\r\n", "\n\u{1e}"])
                .prop_map(str::to_owned),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn every_split_gives_the_verdict_on_the_whole(
            records in proptest::collection::vec(piece(), 0..6),
            form in 0..4_usize,
            ends in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        ) {
            let (content, body) = match form {
                0 => (array(), format!("[{}]", records.join(","))),
                1 => (array(), records.concat()),
                2 => (lines(Cut::Lines), records.join("\n")),
                _ => (lines(Cut::Sequence), records.iter().map(|each| format!("\u{1e}{each}\n")).collect()),
            };
            let body = body.as_bytes();
            let mut ends: Vec<_> = ends.iter().map(|end| end.index(body.len() + 1)).collect();
            ends.extend([0, body.len()]);
            ends.sort_unstable();
            let pieces: Vec<_> = ends.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
            let (out, outcome) = run(&content, BOUNDS, &pieces);
            let text = String::from_utf8_lossy(body);
            prop_assert_eq!(outcome.is_ok(), holds(&content, body), "{:?} {:?}", text, outcome);
            prop_assert!(body.starts_with(&out), "{:?}", text);
            prop_assert!(outcome.is_err() || out == body, "{:?}", text);
            // At every byte as well.
            let bytes: Vec<_> = body.chunks(1).collect();
            let (other, again) = run(&content, BOUNDS, &bytes);
            prop_assert_eq!(again.is_ok(), outcome.is_ok());
            prop_assert!(outcome.is_err() || other == out);
        }
    }
}
