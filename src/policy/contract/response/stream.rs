//! Responses of records that are judged while they come in, in the memory of one record.
//!
//! What stays true: no byte of a record leaves before the record was judged and rid of what is not
//! for its reader, whatever the pieces. What left before a fault is the beginning of a body that
//! must never be ended.

use super::body::Sees;
use super::{Expected, ResponseContract, refused};
use crate::policy::contract::Scratch;
use crate::policy::contract::body::{Content, Media};
use crate::policy::contract::cutter::{Cutter, Form, Part};
use crate::policy::contract::records::Records;
use crate::policy::denial::Denial;

/// A body on its way.
pub struct Stream<'c> {
    contract: &'c ResponseContract,
    records: &'c Records,
    expected: Expected,
    /// Whether records may have to be changed.
    edits: bool,
    cutter: Cutter,
    /// The beginning of a record whose end has not come yet.
    pending: Vec<u8>,
    count: usize,
    /// A fault was let pass behind which nobody can tell records apart.
    is_raw: bool,
    /// The first fault that was let pass, or what was taken out, with its detail for the log.
    reported: Option<(Denial, String)>,
}

impl ResponseContract {
    /// Bodies of records are judged one by one, and leave as they come.
    #[must_use]
    pub fn with_streams(self) -> ResponseContract {
        ResponseContract {
            streams: true,
            ..self
        }
    }

    pub fn streams(&self) -> bool {
        self.streams
    }

    /// Whether an operation answers with records each of which can be judged for itself.
    pub fn has_records(&self) -> bool {
        self.responses.media().any(|media| records(media).is_some())
    }

    /// For a body that leaves record by record; none where it has to be collected.
    pub fn stream(&self, expected: Expected) -> Option<Stream<'_>> {
        let media = self.media(expected).filter(|_| self.streams)?;
        let records = records(media)?;
        Some(Stream {
            contract: self,
            records,
            expected,
            edits: self.edits(media),
            cutter: Cutter::new(Form::Sequence(records.cut)),
            pending: Vec::new(),
            count: 0,
            is_raw: false,
            reported: None,
        })
    }

    /// What of a body leaves is known after its head has left: it may be another one.
    pub(super) fn streaming(&self, expected: Expected) -> Expected {
        let stream = self.stream(expected);
        Expected {
            is_changed: stream.is_some_and(|stream| stream.edits),
            ..expected
        }
    }
}

fn records(media: &Media) -> Option<&Records> {
    match &media.content {
        Content::Records(records) if !records.is_array => Some(records),
        _ => None,
    }
}

impl Stream<'_> {
    /// How much there is of a record that is not whole yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    pub fn reported(&self) -> Option<&(Denial, String)> {
        self.reported.as_ref()
    }

    /// Takes the next piece of the content, and appends what may leave to `out`, also before a
    /// fault.
    pub fn feed(
        &mut self,
        piece: &[u8],
        sees: &Sees<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Denial> {
        let mut rest = piece;
        while !rest.is_empty() && !self.is_raw {
            match self.cutter.next(rest) {
                Ok(Part::Between(length)) => {
                    out.extend_from_slice(&rest[..length]);
                    rest = &rest[length..];
                }
                Ok(Part::Record { length, ends }) => {
                    let (record, behind) = rest.split_at(length);
                    rest = behind;
                    self.take((record, ends), sees, scratch, out)?;
                }
                Err(rule) => {
                    self.fault((Denial::InvalidResponse, String::new(), rule), scratch)?;
                    self.is_raw = true;
                }
            }
        }
        out.extend_from_slice(rest);
        Ok(())
    }

    /// The content is over. Only now may the body that left be ended.
    pub fn finish(
        &mut self,
        sees: &Sees<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Denial> {
        if self.is_raw {
            return Ok(());
        }
        match self.cutter.finish() {
            Ok(true) => self.take((b"", true), sees, scratch, out),
            Ok(false) => Ok(()),
            Err(rule) => {
                self.fault((Denial::InvalidResponse, String::new(), rule), scratch)?;
                out.append(&mut self.pending);
                Ok(())
            }
        }
    }

    fn take(
        &mut self,
        (part, ends): (&[u8], bool),
        sees: &Sees<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Denial> {
        if self.pending.len() + part.len() > self.contract.max_body {
            let fault = (Denial::ResponseTooLarge, String::new(), "max_response_body");
            self.fault(fault, scratch)?;
            out.append(&mut self.pending);
            out.extend_from_slice(part);
            self.is_raw = true;
            return Ok(());
        }
        if !ends {
            self.pending.extend_from_slice(part);
            return Ok(());
        }
        // Most records come whole.
        if self.pending.is_empty() {
            self.judge(part, sees, scratch, out)?;
        } else {
            let mut record = std::mem::take(&mut self.pending);
            record.extend_from_slice(part);
            self.judge(&record, sees, scratch, out)?;
            record.clear();
            self.pending = record;
        }
        self.count += 1;
        Ok(())
    }

    fn judge(
        &mut self,
        record: &[u8],
        sees: &Sees<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Denial> {
        scratch.begin(self.contract.violations);
        let schema = &self.records.schema;
        let wanted = self.contract.wanted(sees);
        let outcome = match record.trim_ascii().is_empty() {
            true => Err((String::new(), "record")),
            false if self.edits => schema
                .edit(record, wanted, &mut scratch.schema)
                .map_err(super::body::broken),
            false => schema
                .check(record, &mut scratch.schema)
                .map(|()| Default::default())
                .map_err(super::body::broken),
        };
        match outcome {
            Ok(edited) => {
                let judged = self.contract.edited(self.expected, &edited, scratch)?;
                self.note(judged, scratch);
                out.extend_from_slice(match edited.is_changed {
                    true => scratch.rewritten(),
                    false => record,
                });
                Ok(())
            }
            Err((pointer, rule)) => {
                let passes = self.fault((Denial::InvalidResponse, pointer, rule), scratch);
                scratch.add_found("response");
                passes?;
                out.extend_from_slice(record);
                Ok(())
            }
        }
    }

    /// A fault of the record at hand: an error, unless it is let pass.
    fn fault(
        &mut self,
        (denial, pointer, rule): (Denial, String, &'static str),
        scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        let pointer = format!("/{}{pointer}", self.count);
        let named = (self.expected.declared, None);
        let fault = refused(denial, &pointer, rule);
        let judged = self.contract.fault(named, true, fault, scratch)?;
        self.note(judged, scratch);
        Ok(())
    }

    fn note(&mut self, judged: Expected, scratch: &Scratch) {
        if let Some(denial) = judged.reported.filter(|_| self.reported.is_none()) {
            self.reported = Some((denial, scratch.details().to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Declared, Enforcement, Masks, Responses, Status};
    use super::*;
    use crate::policy::contract::media_type::MediaRange;
    use crate::policy::contract::records::Cut;
    use crate::policy::contract::schema::{Compiler, Dialect, Direction, Mask, Pointer};
    use proptest::prelude::*;
    use serde_json::json;

    const MOST: usize = 64;

    fn contract(cut: Cut, enforcement: Enforcement, hides: bool) -> ResponseContract {
        let mut document = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "integer", "maximum": 9}, "b": {"type": "string"}}});
        if hides {
            document["properties"]["s"] = json!({"type": "string", "writeOnly": true});
            document["properties"]["v"] = json!({"type": "string", "x-visible-to": ["x"]});
        }
        let compiler = Compiler::new(&document, Dialect::OpenApi31).direction(Direction::Response);
        let (range, separator) = match cut {
            Cut::Lines => ("application/x-ndjson", cut),
            Cut::Sequence => ("application/json-seq", cut),
        };
        let content = Content::Records(Records {
            cut: separator,
            schema: compiler.compile("").unwrap(),
            is_array: false,
        });
        let range = MediaRange::read(range.as_bytes()).unwrap();
        let declared = Declared {
            status: Status::Exact(200),
            media: vec![Media { range, content }].into(),
            headers: Box::default(),
        };
        let contract =
            ResponseContract::new(Responses::new(vec![declared]), enforcement, MOST, &[]);
        let pointers = match hides {
            true => vec![(Pointer::read("/b").unwrap(), Mask::Fixed)],
            false => vec![],
        };
        contract.with_streams().with_masks(Masks {
            pointers: pointers.into(),
            ..Masks::default()
        })
    }

    fn expected() -> Expected {
        Expected {
            declared: Some(0),
            media_type: Some(0),
            ..Expected::default()
        }
    }

    type Outcome = Result<Option<Denial>, Denial>;

    fn run<'p>(
        contract: &ResponseContract,
        pieces: impl IntoIterator<Item = &'p [u8]>,
    ) -> (String, Outcome) {
        let mut stream = contract.stream(expected()).unwrap();
        let (mut scratch, mut out) = (Scratch::default(), Vec::new());
        let sees = |_: &[Box<str>]| false;
        let fed = pieces
            .into_iter()
            .try_for_each(|piece| stream.feed(piece, &sees, &mut scratch, &mut out));
        let outcome = fed.and_then(|()| stream.finish(&sees, &mut scratch, &mut out));
        assert!(stream.pending() <= MOST);
        let outcome = outcome.map(|()| stream.reported().map(|(denial, _)| *denial));
        (String::from_utf8_lossy(&out).into_owned(), outcome)
    }

    #[test]
    fn each_record_is_judged_and_rid_of_what_is_hidden() {
        let (invalid, long) = (Denial::InvalidResponse, Denial::ResponseTooLarge);
        let strip = contract(Cut::Lines, Enforcement::Strip, true);
        let good = "{\"a\":1,\"b\":\"x\",\"s\":\"1\",\"v\":\"2\",\"u\":3}\n{\"a\":2}\n";
        let kept = "{\"a\":1,\"b\":\"****\"}\n{\"a\":2}\n";
        assert_eq!(
            run(&strip, [good.as_bytes()]),
            (kept.into(), Ok(Some(invalid)))
        );
        for (body, left, denial) in [
            ("{\"a\":1}\n{\"a\":10}\n{\"a\":3}\n", "{\"a\":1}\n", invalid),
            ("{\"a\":1}\n\n{\"a\":3}\n", "{\"a\":1}\n", invalid),
            ("{\"a\":1}\n[", "{\"a\":1}\n", invalid),
            ("{\"a\":1}\n{\"b\":\"\u{fffd}\"}", "{\"a\":1}\n", invalid),
        ] {
            for hides in [true, false] {
                let strict = contract(Cut::Lines, Enforcement::Reject, hides);
                let told = run(&strict, [body.as_bytes()]);
                assert_eq!(told, (left.into(), Err(denial)), "{body}");
            }
            // What nobody can read does not leave where something is hidden.
            let noted = contract(Cut::Lines, Enforcement::Report, true);
            assert_eq!(run(&noted, [body.as_bytes()]).1, Err(denial), "{body}");
            let noted = contract(Cut::Lines, Enforcement::Report, false);
            let told = run(&noted, [body.as_bytes()]);
            assert_eq!(told, (body.into(), Ok(Some(denial))), "{body}");
        }
        let record = |length: usize| format!("{{\"a\":1,\"b\":\"{}\"}}", "x".repeat(length - 14));
        for step in [1, 7, 1000] {
            for (length, is_good) in [(MOST, true), (MOST + 1, false), (9999, false)] {
                let strict = contract(Cut::Lines, Enforcement::Reject, false);
                let body = record(length);
                let (left, outcome) = run(&strict, body.as_bytes().chunks(step));
                assert_eq!(outcome.err(), (!is_good).then_some(long));
                assert_eq!(left, if is_good { &*body } else { "" });
            }
        }
        let sequence = contract(Cut::Sequence, Enforcement::Reject, false);
        let body = "\u{1e}{\"a\":1}\n\u{1e}{\"a\":2}";
        let (left, outcome) = run(&sequence, [body.as_bytes()]);
        assert_eq!((&*left, outcome), ("\u{1e}{\"a\":1}\n\u{1e}", Err(invalid)));
    }

    #[test]
    fn what_a_schema_hides_is_taken_out_where_nothing_else_is() {
        let strict = contract(Cut::Lines, Enforcement::Reject, true).with_masks(Masks::default());
        let mut scratch = Scratch::default();
        let body = b"{\"a\":1,\"s\":\"1\",\"v\":\"2\"}\n";
        let whole = strict.check_body(expected(), body, &|_| false, &mut scratch);
        assert!(whole.unwrap().is_changed);
        assert_eq!(scratch.rewritten(), b"{\"a\":1}\n");
        assert_eq!(run(&strict, [&body[..]]).0, "{\"a\":1}\n");
    }

    fn piece() -> impl Strategy<Value = String> {
        let records = [
            "{\"a\":1}",
            "{\"a\":1,\"b\":\"x\"}",
            "{\"a\":9,\"s\":\"q\",\"u\":[1,2]}",
            "{\"v\":\"\\u00e9\",\"a\":2}",
            "{\"a\":10}",
            "{\"a\":1,\"a\":2}",
            "{\"b\":\"x\"}",
            "{}",
            "[1]",
            "{\"a\":1",
            "",
            "\u{1e}",
        ];
        proptest::sample::select(records.to_vec()).prop_map(str::to_owned)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_split_gives_what_the_whole_body_gives(
            records in proptest::collection::vec(piece(), 0..5),
            is_sequence: bool,
            mode in 0..3_usize,
            hides: bool,
            ends in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        ) {
            let cut = if is_sequence { Cut::Sequence } else { Cut::Lines };
            let mode = [Enforcement::Reject, Enforcement::Strip, Enforcement::Report][mode];
            let contract = contract(cut, mode, hides);
            let body: String = match cut {
                Cut::Lines => records.join("\n"),
                Cut::Sequence => records.iter().map(|each| format!("\u{1e}{each}\n")).collect(),
            };
            let body = body.as_bytes();
            let mut ends: Vec<_> = ends.iter().map(|end| end.index(body.len() + 1)).collect();
            ends.extend([0, body.len()]);
            ends.sort_unstable();
            let (left, outcome) = run(&contract, ends.windows(2).map(|pair| &body[pair[0]..pair[1]]));
            prop_assert_eq!(&run(&contract, body.chunks(1)), &(left.clone(), outcome));
            // The check of the whole is the judge.
            let mut scratch = Scratch::default();
            let whole = contract.check_body(expected(), body, &|_| false, &mut scratch);
            prop_assert_eq!(outcome, whole.map(|it| it.reported), "{:?}", String::from_utf8_lossy(body));
            if let Ok(passed) = whole {
                let kept = if passed.is_changed { scratch.rewritten() } else { body };
                prop_assert_eq!(&*left, &*String::from_utf8_lossy(kept));
            }
        }
    }
}
