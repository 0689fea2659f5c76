//! The JSON Schema test suite: every file of both drafts, the optional ones included.
//!
//! A schema either compiles, and then gives the suite's answer for every instance, or is refused
//! at load for a reason that is listed here, with the number of schemas and why it is so. Where the
//! suite is not followed on purpose the instance is listed as well. The lists are exact: what comes
//! up or goes away is an error.

use std::collections::BTreeMap;

use portcullis::policy::contract::schema::{
    Compiler, Dialect, Direction, Documents, Formats, SchemaError, Scratch, Unknown,
};

use crate::suite::{self, Group};

/// What is expected of one draft.
struct Draft {
    folder: &'static str,
    dialect: Dialect,
    /// Optional files that ask for what is not declared here, and why it is not.
    outside: &'static [(&'static str, &'static str)],
    /// What schemas are refused for at load, how many, and why they are.
    refused: &'static [(&'static str, usize, &'static str)],
    /// File, schema, number of instances that are answered otherwise, and why.
    departures: &'static [(&'static str, &'static str, usize, &'static str)],
    /// Whether unknown keywords are notes, as JSON Schema has it, or errors, as here by default.
    unknown: Unknown,
    /// Instances that are answered as the suite does: of the required files, of the optional ones
    /// that ask for what is declared here, and of those outside.
    answered: [usize; 3],
}

const NO_FORMAT: &str = "the format is not declared: a document that asks for it does not load";
const OTHER_DRAFT: &str = "a schema of another draft, which OpenAPI 3.1 has no place for";
const EARLIER: &str = "a keyword of earlier drafts, which 2020-12 does not know";
const LABELS: &str = "the contextual rules of RFC 5892 appendix A.3 to A.9 are not checked, the form \
                      of labels is";

const DRAFT_2020_12: Draft = Draft {
    folder: "draft2020-12",
    dialect: Dialect::OpenApi31,
    outside: &[
        ("optional/cross-draft", OTHER_DRAFT),
        ("optional/dependencies-compatibility", EARLIER),
        ("optional/format/idn-email", NO_FORMAT),
        ("optional/format/idn-hostname", NO_FORMAT),
        ("optional/format/iri", NO_FORMAT),
        ("optional/format/iri-reference", NO_FORMAT),
        ("optional/format/relative-json-pointer", NO_FORMAT),
        ("optional/format/unknown", NO_FORMAT),
        ("optional/format/uri-template", NO_FORMAT),
    ],
    refused: &[
        (
            "$schema: the dialect is not the one of the document",
            1,
            OTHER_DRAFT,
        ),
        ("the format \"idn-email\" is not enforced", 1, NO_FORMAT),
        ("the format \"idn-hostname\" is not enforced", 2, NO_FORMAT),
        ("the format \"iri\" is not enforced", 1, NO_FORMAT),
        ("the format \"iri-reference\" is not enforced", 1, NO_FORMAT),
        (
            "the format \"relative-json-pointer\" is not enforced",
            1,
            NO_FORMAT,
        ),
        ("the format \"unknown\" is not enforced", 1, NO_FORMAT),
        ("the format \"uri-template\" is not enforced", 1, NO_FORMAT),
    ],
    departures: &[
        (
            "optional/dependencies-compatibility",
            "boolean subschemas",
            2,
            EARLIER,
        ),
        (
            "optional/dependencies-compatibility",
            "dependencies with escaped characters",
            2,
            EARLIER,
        ),
        (
            "optional/dependencies-compatibility",
            "multiple dependents required",
            3,
            EARLIER,
        ),
        (
            "optional/dependencies-compatibility",
            "schema dependencies with escaped characters",
            3,
            EARLIER,
        ),
        (
            "optional/dependencies-compatibility",
            "single dependency",
            1,
            EARLIER,
        ),
        (
            "optional/dependencies-compatibility",
            "single schema dependency",
            3,
            EARLIER,
        ),
        (
            "optional/format/hostname",
            "validation of A-label (punycode) host names",
            13,
            LABELS,
        ),
    ],
    unknown: Unknown::Noted,
    answered: [1299, 661, 22],
};

const NOT_30: &str = "a keyword that OpenAPI 3.0 does not have";

const DRAFT_4: Draft = Draft {
    folder: "draft4",
    dialect: Dialect::OpenApi30,
    outside: &[("optional/format/unknown", NO_FORMAT)],
    refused: &[
        (
            "$ref: leads nowhere",
            13,
            "refers by `id`, or to the meta-schema of draft 4",
        ),
        ("`id` beside $ref has no effect in OpenAPI 3.0", 1, NOT_30),
        (
            "`maxItems` beside $ref has no effect in OpenAPI 3.0",
            1,
            "what is ignored must not be there to be relied on",
        ),
        ("additionalItems: is not enforced", 11, NOT_30),
        ("dependencies: is not enforced", 5, NOT_30),
        ("id: is not enforced", 10, NOT_30),
        (
            "items: a schema must be an object",
            14,
            "OpenAPI 3.0 has one schema for all items",
        ),
        ("patternProperties: is not enforced", 13, NOT_30),
        ("the format \"unknown\" is not enforced", 1, NO_FORMAT),
        (
            "type: is no type",
            13,
            "OpenAPI 3.0 has no lists of types, and `nullable` for null",
        ),
    ],
    departures: &[
        (
            "optional/format/hostname",
            "validation of host names",
            1,
            "two hyphens in that place are reserved since RFC 5891",
        ),
        (
            "optional/zeroTerminatedFloats",
            "some languages do not distinguish between different types of numeric value",
            1,
            "1.0 is an integer, as it is in 2020-12",
        ),
    ],
    unknown: Unknown::Refused,
    answered: [419, 285, 0],
};

/// In the form of the suite and without it: every keyword is met by values that it accepts and by
/// values that it refuses, and another validator says the same.
#[test]
fn our_own_cases_are_answered_as_they_say() {
    let (mut accepted, mut refused) = (0, 0);
    for group in suite::own() {
        let compiler = Compiler::new(&group.schema, Dialect::OpenApi31);
        let ours = compiler
            .compile("")
            .unwrap_or_else(|found| panic!("{found:?}"));
        let theirs = jsonschema::options().should_validate_formats(true);
        let theirs = theirs.build(&group.schema).unwrap();
        let mut scratch = Scratch::default();
        for test in &group.tests {
            let text = test.data.get();
            let told = ours.check(text.as_bytes(), &mut scratch);
            assert_eq!(
                told.is_ok(),
                test.valid,
                "{}: {text} {told:?}",
                group.description
            );
            let value = serde_json::from_str(text).unwrap();
            assert_eq!(
                theirs.is_valid(&value),
                test.valid,
                "{}: {text}",
                group.description
            );
            *if test.valid {
                &mut accepted
            } else {
                &mut refused
            } += 1;
        }
    }
    assert!(accepted >= 30 && refused >= 40, "{accepted} {refused}");
}

#[test]
fn draft_2020_12_answers_as_the_suite_does() {
    check(&DRAFT_2020_12);
}

#[test]
fn draft_4_answers_as_the_suite_does() {
    check(&DRAFT_4);
}

/// The kinds of files.
const KINDS: [&str; 3] = ["required", "optional", "outside"];

/// What came of the suite.
#[derive(Default)]
struct Tally {
    /// Instances by the kind of their file: answered as the suite does, answered, and all.
    right: [usize; 3],
    answered: [usize; 3],
    all: [usize; 3],
    /// What was said at load, and of how many schemas.
    refused: BTreeMap<String, usize>,
    /// File and schema, and how many instances.
    wrong: BTreeMap<(String, String), usize>,
}

fn check(draft: &Draft) {
    let Some(root) = suite::root() else {
        return;
    };
    let documents = suite::remotes(&root.join("../remotes"));
    let mut tally = Tally::default();
    for (name, file) in suite::files(&root.join(draft.folder)) {
        for mut group in suite::groups(&file) {
            if draft.dialect == Dialect::OpenApi30 {
                suite::as_described(&mut group.schema);
            }
            tally.count(&name, &group, draft, &documents);
        }
    }
    tally.print(draft);
    let departures = draft.departures.iter();
    let departures = departures
        .map(|&(file, schema, count, _)| ((file.to_owned(), schema.to_owned()), count))
        .collect();
    assert_eq!(tally.wrong, departures, "answered otherwise");
    let refused = draft.refused.iter();
    let refused = refused.map(|&(what, count, _)| (what.to_owned(), count));
    assert_eq!(tally.refused, refused.collect(), "refused at load");
    assert_eq!(tally.right, draft.answered, "{}", draft.folder);
    let share = |kind: usize| tally.right[kind] as f64 / tally.answered[kind] as f64;
    assert!(share(0) == 1.0, "not all that is required");
    assert!(share(1) >= 0.95, "too little of what is declared");
}

impl Tally {
    fn print(&self, draft: &Draft) {
        let folder = draft.folder;
        for (kind, name) in KINDS.iter().enumerate() {
            let (right, answered, all) = (self.right[kind], self.answered[kind], self.all[kind]);
            let share = 100.0 * right as f64 / answered.max(1) as f64;
            println!(
                "{folder:>13} {name:<8} {right:>5} of {answered:>5} answered alike {share:>6.1} %, \
                 {all:>5} in all"
            );
        }
        let why = |reason: Option<&str>| reason.unwrap_or("NOT LISTED").to_owned();
        for ((file, schema), count) in &self.wrong {
            let mut listed = draft.departures.iter();
            let found = listed.find(|(of, name, ..)| of == file && name == schema);
            let reason = why(found.map(|(.., reason)| *reason));
            println!("{folder:>13} otherwise {count:>3}: {file}, {schema}: {reason}");
        }
        for (what, count) in &self.refused {
            let mut listed = draft.refused.iter();
            let found = listed.find(|(name, ..)| name == what);
            let reason = why(found.map(|(.., reason)| *reason));
            println!("{folder:>13} refused at load {count:>3}: {what}: {reason}");
        }
        for (file, reason) in draft.outside {
            println!("{folder:>13} outside: {file}: {reason}");
        }
    }

    fn count(&mut self, file: &str, group: &Group, draft: &Draft, documents: &Documents) {
        let compiler = Compiler::new(&group.schema, draft.dialect);
        let is_outside = draft.outside.iter().any(|(name, _)| *name == file);
        let is_optional = file.contains('/');
        let kind = usize::from(is_optional) + usize::from(is_outside);
        // What is required of all has formats as notes; only optional files ask for checks.
        let formats = match is_optional {
            true => Formats::Enforced,
            false => Formats::Noted,
        };
        let compiler = compiler.direction(Direction::Neither).formats(formats);
        let compiler = compiler.unknown(draft.unknown);
        self.all[kind] += group.tests.len();
        let schema = match compiler.documents("", documents).compile("") {
            Ok(schema) => schema,
            Err(errors) => {
                assert!(!errors.is_empty(), "{file}: refused without a reason");
                let mut told: Vec<String> = errors.iter().map(told).collect();
                told.sort();
                told.dedup();
                told.into_iter()
                    .for_each(|what| *self.refused.entry(what).or_default() += 1);
                return;
            }
        };
        let mut scratch = Scratch::default();
        self.answered[kind] += group.tests.len();
        for instance in &group.tests {
            let body = instance.data.get().as_bytes();
            let holds = schema.check(body, &mut scratch).is_ok();
            // Found by the walk along the index, whichever walk accepted the body.
            let faults = schema.violations(body, 1, &mut scratch);
            assert_eq!(holds, faults.is_empty(), "{file}: {}", group.description);
            if holds == instance.valid {
                self.right[kind] += 1;
            } else {
                let place = (file.to_owned(), group.description.clone());
                *self.wrong.entry(place).or_default() += 1;
            }
        }
    }
}

/// A reason by the keyword that the error points to, without the values that are in the document.
pub fn told(error: &SchemaError) -> String {
    let keyword = error.pointer.rsplit('/').next().unwrap();
    let keyword = keyword.replace("~1", "/").replace("~0", "~");
    let message = error.message.as_str();
    if message.starts_with("the format ") || message.contains("beside $ref") {
        return message.to_owned();
    }
    let ends = ["leads nowhere", "is no type", "is not enforced"];
    let end = ends.into_iter().find(|end| message.ends_with(end));
    format!("{keyword}: {}", end.unwrap_or(message))
}
