//! Sequences of JSON documents: one a line (`application/x-ndjson`, `application/jsonl`), or each
//! behind a record separator (`application/json-seq`, RFC 7464).
//!
//! What stays true: what one reader takes for one record no other takes for two. A line is one
//! document, none is empty, and only the last may lack its end.

use crate::policy::contract::forms::{Broken, Memory};
use crate::policy::contract::schema::{Edited, Schema, Violation, Wanted, is_over};

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

    /// Writes a record so that it can be told apart.
    fn write(self, record: &str, out: &mut String) {
        if self == Cut::Sequence {
            out.push('\u{1e}');
        }
        out.push_str(record);
        out.push('\n');
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
#[derive(Clone)]
pub struct Records {
    pub cut: Cut,
    pub schema: Schema,
    /// Whether the schema speaks of all records as an array, not of each.
    pub is_array: bool,
}

/// Between records that are written as one array. No record holds a line feed, so what was changed
/// comes apart again where it was put together.
const JOINT: &str = "\n,";

impl Records {
    /// Checks a whole body. Pointers begin with the index of the record.
    pub fn check(&self, body: &[u8], memory: &mut Memory<'_>) -> Result<(), Broken> {
        if self.is_array {
            self.join(body, memory.json)?;
            let checked = self.schema.check_value(memory.json, memory.schema);
            return checked.map_err(|violation| (violation.pointer, violation.keyword));
        }
        for (index, record) in self.cut.records(body).enumerate() {
            let checked = self.schema.check_value(text(index, record)?, memory.schema);
            if let Err(violation) = checked {
                self.find_all((index, body), None, memory);
                return Err(within(index, &violation));
            }
        }
        Ok(())
    }

    /// Finds what else is wrong, where more is wanted than the fault of the record at `bad`.
    /// `wanted`: where records are edited.
    fn find_all(
        &self,
        (bad, body): (usize, &[u8]),
        wanted: Option<Wanted<'_>>,
        memory: &mut Memory<'_>,
    ) {
        let most = memory.schema.wanted();
        let found = memory.schema.take_found().into_iter();
        let mut all: Vec<Violation> = found.map(|each| placed(bad, each)).collect();
        let is_over = all.iter().any(|each| is_over(each.keyword));
        let others = self.cut.records(body).enumerate().skip(bad + 1);
        for (index, record) in others {
            let Ok(text) = text(index, record) else {
                break;
            };
            if is_over || all.len() >= most {
                break;
            }
            let is_bad = match wanted {
                Some(wanted) => self
                    .schema
                    .edit(text.as_bytes(), wanted, memory.schema)
                    .is_err(),
                None => self.schema.check_value(text, memory.schema).is_err(),
            };
            let found = memory.schema.take_found().into_iter().filter(|_| is_bad);
            all.extend(found.map(|each| placed(index, each)));
        }
        all.truncate(most);
        memory.schema.put_found(all);
    }

    /// Checks a whole body, and takes out of each record what is not to go on. What remains, if
    /// anything was changed, is the rewritten body.
    pub fn edit(
        &self,
        body: &[u8],
        wanted: Wanted<'_>,
        memory: &mut Memory<'_>,
    ) -> Result<Edited, Broken> {
        match self.is_array {
            true => self.edit_all(body, wanted, memory),
            false => self.edit_each(body, wanted, memory),
        }
    }

    fn edit_each(
        &self,
        body: &[u8],
        wanted: Wanted<'_>,
        memory: &mut Memory<'_>,
    ) -> Result<Edited, Broken> {
        let mut all = Edited::default();
        let mut noted = Vec::new();
        memory.json.clear();
        for (index, record) in self.cut.records(body).enumerate() {
            let record = text(index, record)?;
            let edited = self.schema.edit(record.as_bytes(), wanted, memory.schema);
            let edited = match edited {
                Ok(edited) => edited,
                Err(violation) => {
                    self.find_all((index, body), Some(wanted), memory);
                    return Err(within(index, &violation));
                }
            };
            let left = memory.schema.wanted().saturating_sub(noted.len());
            let found = memory.schema.take_found().into_iter().take(left);
            noted.extend(found.map(|each| placed(index, each)));
            let record = match edited.is_changed {
                true => memory.schema.rewritten(),
                false => record,
            };
            self.cut.write(record, memory.json);
            all.is_changed |= edited.is_changed;
        }
        self.finish(body, &all, memory);
        all.undeclared = noted.first().cloned();
        memory.schema.put_found(noted);
        Ok(all)
    }

    fn edit_all(
        &self,
        body: &[u8],
        wanted: Wanted<'_>,
        memory: &mut Memory<'_>,
    ) -> Result<Edited, Broken> {
        self.join(body, memory.json)?;
        let edited = self
            .schema
            .edit(memory.json.as_bytes(), wanted, memory.schema);
        let edited = edited.map_err(|violation| (violation.pointer, violation.keyword))?;
        if edited.is_changed {
            memory.json.clear();
            let array = memory.schema.rewritten();
            let inside = array.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
            // A mask has taken the place of all records.
            let inside = inside.ok_or((String::new(), "x-mask"))?;
            let records = inside.split(JOINT);
            records.for_each(|record| self.cut.write(record, memory.json));
            self.finish(body, &edited, memory);
        }
        Ok(edited)
    }

    /// The last line ends as it did.
    fn finish(&self, body: &[u8], edited: &Edited, memory: &mut Memory<'_>) {
        if edited.is_changed {
            if !body.ends_with(b"\n") {
                memory.json.pop();
            }
            memory.schema.swap_rewritten(memory.json);
        }
    }

    /// Writes all records as one array.
    fn join(&self, body: &[u8], json: &mut String) -> Result<(), Broken> {
        json.clear();
        json.push('[');
        for (index, record) in self.cut.records(body).enumerate() {
            let text = text(index, record)?;
            // Alone in its line, so that no text can become two records.
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(text);
            parsed.map_err(|_| (format!("/{index}"), "json"))?;
            if index > 0 {
                json.push_str(JOINT);
            }
            json.push_str(text);
        }
        json.push(']');
        Ok(())
    }
}

fn text<'a>(index: usize, record: Result<&'a [u8], &'static str>) -> Result<&'a str, Broken> {
    let text = record.and_then(|record| std::str::from_utf8(record).map_err(|_| "json"));
    text.map_err(|rule| (format!("/{index}"), rule))
}

fn placed(index: usize, found: Violation) -> Violation {
    Violation {
        pointer: format!("/{index}{}", found.pointer),
        ..found
    }
}

fn within(index: usize, violation: &Violation) -> Broken {
    let pointer = format!("/{index}{}", violation.pointer);
    (pointer, violation.keyword)
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
