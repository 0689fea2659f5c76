//! Sequences of JSON documents: one a line (`application/x-ndjson`, `application/jsonl`), or each
//! behind a record separator (`application/json-seq`, RFC 7464).
//!
//! What stays true: what one reader takes for one record no other takes for two. A line is one
//! document, none is empty, and only the last may lack its end.

use crate::policy::contract::forms::{Broken, Memory};
use crate::policy::contract::schema::Schema;

/// How records are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// By line feeds.
    Lines,
    /// By a record separator before each and a line feed behind it.
    Sequence,
}

impl Cut {
    /// None: the media type is no sequence of documents.
    pub fn of(essence: &str) -> Option<Cut> {
        match essence {
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines" => Some(Cut::Lines),
            "application/json-seq" => Some(Cut::Sequence),
            _ => None,
        }
    }

    /// The records one after the other; an error behind the last that can be told.
    pub fn records(self, body: &[u8]) -> impl Iterator<Item = Result<&[u8], &'static str>> {
        let mut rest = body;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (record, behind) = self.first(rest);
            rest = behind;
            Some(record)
        })
    }

    fn first(self, rest: &[u8]) -> (Result<&[u8], &'static str>, &[u8]) {
        let rest = match (self, rest) {
            (Cut::Lines, rest) | (Cut::Sequence, [0x1e, rest @ ..]) => rest,
            (Cut::Sequence, _) => return (Err("record"), &[]),
        };
        let end = memchr::memchr(b'\n', rest);
        let (record, behind) = match (self, end) {
            (_, Some(end)) => (&rest[..end], &rest[end + 1..]),
            (Cut::Lines, None) => (rest, &[][..]),
            // RFC 7464 section 2.4: without its end nobody knows whether it is whole.
            (Cut::Sequence, None) => return (Err("record"), &[]),
        };
        match record.trim_ascii().is_empty() {
            true => (Err("record"), &[]),
            false => (Ok(record), behind),
        }
    }
}

/// The records of a body, and what they must be.
pub struct Records {
    pub cut: Cut,
    pub schema: Schema,
    /// Whether the schema speaks of all records as an array, not of each.
    pub is_array: bool,
}

impl Records {
    /// Checks a whole body. Pointers begin with the index of the record.
    pub fn check(&self, body: &[u8], memory: &mut Memory<'_>) -> Result<(), Broken> {
        let json = &mut *memory.json;
        json.clear();
        json.push('[');
        for (index, record) in self.cut.records(body).enumerate() {
            let broken = |rule: &'static str| (format!("/{index}"), rule);
            let text = record.and_then(|record| std::str::from_utf8(record).map_err(|_| "json"));
            let text = text.map_err(broken)?;
            if self.is_array {
                // Alone in its line, so that no text can become two records.
                serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| broken("json"))?;
                if index > 0 {
                    json.push(',');
                }
                json.push_str(text);
                continue;
            }
            let checked = self.schema.check_value(text, memory.schema);
            checked.map_err(|violation| {
                let pointer = format!("/{index}{}", violation.pointer);
                (pointer, violation.keyword)
            })?;
        }
        if !self.is_array {
            return Ok(());
        }
        json.push(']');
        let checked = self.schema.check_value(json, memory.schema);
        checked.map_err(|violation| (violation.pointer, violation.keyword))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(cut: Cut, body: &str) -> Vec<Result<&str, &'static str>> {
        let records = cut.records(body.as_bytes());
        let records = records.map(|record| record.map(|text| std::str::from_utf8(text).unwrap()));
        records.collect()
    }

    #[test]
    fn records_are_lines_or_stand_behind_separators() {
        assert_eq!(
            cut(Cut::Lines, "1\n{}\r\n[]"),
            [Ok("1"), Ok("{}\r"), Ok("[]")]
        );
        assert_eq!(cut(Cut::Lines, ""), []);
        assert_eq!(cut(Cut::Lines, "1\n"), [Ok("1")]);
        assert_eq!(cut(Cut::Lines, "1\n\n2"), [Ok("1"), Err("record")]);
        assert_eq!(cut(Cut::Lines, " \n1"), [Err("record")]);
        let sequence = "\u{1e}1\n\u{1e}{}\n";
        assert_eq!(cut(Cut::Sequence, sequence), [Ok("1"), Ok("{}")]);
        for bad in ["1\n", "\u{1e}1", "\u{1e}\n", "\u{1e}\u{1e}1\n"] {
            let found = cut(Cut::Sequence, bad);
            let is_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert!(!found.iter().all(|each| each.is_ok_and(is_json)), "{bad:?}");
        }
    }
}
