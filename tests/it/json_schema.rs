//! The JSON Schema test suite: every file of both drafts, the optional ones included.
//!
//! A schema either compiles, and then gives the suite's answer for every instance, or is refused
//! at load for a reason that is listed here by keyword. Where the suite is not followed on purpose
//! the instance is listed as well. The lists are exact: an entry that nothing needs is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::policy::contract::schema::{
    Compiler, Dialect, Direction, Documents, Formats, SchemaError, Scratch, Unknown,
};
use referencing::meta;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One schema of the suite and its instances.
#[derive(Deserialize)]
struct Group {
    description: String,
    schema: Value,
    tests: Vec<Instance>,
}

/// `data` stays as it is written: a number that went through a double would be another one.
#[derive(Deserialize)]
struct Instance {
    data: Box<RawValue>,
    valid: bool,
}

/// What is expected of one draft.
struct Draft {
    folder: &'static str,
    dialect: Dialect,
    /// Keywords that are known not to be enforced, so that a schema with one does not load.
    keywords: &'static [&'static str],
    /// Formats of which the same is true.
    formats: &'static [&'static str],
    /// Keywords that are enforced, but not with these values, and what is said then.
    values: &'static [(&'static str, &'static str)],
    /// File, schema and number of instances that are answered otherwise on purpose.
    departures: &'static [(&'static str, &'static str, usize)],
    /// Whether unknown keywords are notes, as JSON Schema has it, or errors, as here by default.
    unknown: Unknown,
    /// Instances that are answered: of the required files, and of all.
    required: usize,
    instances: usize,
}

const DRAFT_2020_12: Draft = Draft {
    folder: "draft2020-12",
    dialect: Dialect::OpenApi31,
    keywords: &[],
    formats: &[
        "idn-email",
        "idn-hostname",
        "iri",
        "iri-reference",
        "relative-json-pointer",
        "unknown",
        "uri-template",
    ],
    values: &[("$schema", "the dialect is not the one of the document")],
    departures: &[
        // A keyword of earlier drafts: not known.
        (
            "optional/dependencies-compatibility",
            "boolean subschemas",
            2,
        ),
        (
            "optional/dependencies-compatibility",
            "dependencies with escaped characters",
            2,
        ),
        (
            "optional/dependencies-compatibility",
            "multiple dependents required",
            3,
        ),
        (
            "optional/dependencies-compatibility",
            "schema dependencies with escaped characters",
            3,
        ),
        (
            "optional/dependencies-compatibility",
            "single dependency",
            1,
        ),
        (
            "optional/dependencies-compatibility",
            "single schema dependency",
            3,
        ),
        // What `format` means is the choice of the caller, not of the meta-schema.
        (
            "optional/format-assertion",
            "schema that uses custom metaschema with format-assertion: false",
            1,
        ),
        (
            "optional/format-assertion",
            "schema that uses custom metaschema with format-assertion: true",
            1,
        ),
        // The contextual rules of RFC 5892 appendix A.3 to A.9 are not checked; the form of the labels
        // is.
        (
            "optional/format/hostname",
            "validation of A-label (punycode) host names",
            13,
        ),
    ],
    unknown: Unknown::Noted,
    required: 1299,
    instances: 1980,
};

const DRAFT_4: Draft = Draft {
    folder: "draft4",
    dialect: Dialect::OpenApi30,
    keywords: &[
        "additionalItems",
        "definitions",
        "dependencies",
        "id",
        "patternProperties",
    ],
    formats: &["unknown"],
    values: &[
        ("$ref", "leads nowhere"),
        ("id", "`id` beside $ref has no effect in OpenAPI 3.0"),
        ("items", "a schema must be an object"),
        (
            "maxItems",
            "`maxItems` beside $ref has no effect in OpenAPI 3.0",
        ),
        ("type", "is no type"),
    ],
    departures: &[
        // Two hyphens in that place are reserved since RFC 5891.
        ("optional/format/hostname", "validation of host names", 1),
        // 1.0 is an integer, as it is in 2020-12.
        (
            "optional/zeroTerminatedFloats",
            "some languages do not distinguish between different types of numeric value",
            1,
        ),
    ],
    unknown: Unknown::Refused,
    required: 401,
    instances: 686,
};

#[test]
fn draft_2020_12_answers_as_the_suite_does() {
    check(&DRAFT_2020_12);
}

#[test]
fn draft_4_answers_as_the_suite_does() {
    check(&DRAFT_4);
}

/// What came of the suite.
#[derive(Default)]
struct Tally {
    /// Answered as the suite does, and all: of the required files, then of the optional ones.
    right: [usize; 2],
    all: [usize; 2],
    keywords: BTreeSet<String>,
    formats: BTreeSet<String>,
    values: BTreeSet<(String, String)>,
    /// File and schema, and how many instances.
    wrong: BTreeMap<(String, String), usize>,
}

fn check(draft: &Draft) {
    let Some(root) = suite() else {
        return;
    };
    let documents = remotes(&root.join("../remotes"));
    let root = root.join(draft.folder);
    let mut tally = Tally::default();
    for (name, file) in files(&root) {
        let text = fs::read_to_string(&file).unwrap();
        let groups: Vec<Group> = serde_json::from_str(&text).unwrap();
        for group in &groups {
            tally.count(&name, group, draft, &documents);
        }
    }
    let listed = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let values = draft.values.iter();
    let values = values.map(|&(keyword, told)| (keyword.to_owned(), told.to_owned()));
    let departures = draft.departures.iter();
    let departures =
        departures.map(|&(file, schema, count)| ((file.to_owned(), schema.to_owned()), count));
    let Tally { right, all, .. } = tally;
    for (which, right, all) in [
        ("required", right[0], all[0]),
        ("optional", right[1], all[1]),
    ] {
        let share = 100.0 * right as f64 / all as f64;
        println!(
            "{:>13} {which} {right:>5} of {all:>5} {share:>6.1} %",
            draft.folder
        );
    }
    for ((file, schema), count) in &tally.wrong {
        println!(
            "{:>13} otherwise {count:>4}: {file}, {schema}",
            draft.folder
        );
    }
    for refused in tally.keywords.iter().chain(&tally.formats) {
        println!("{:>13} refused at load: {refused}", draft.folder);
    }
    for (keyword, told) in &tally.values {
        println!("{:>13} refused at load: {keyword}: {told}", draft.folder);
    }
    assert_eq!(tally.wrong, departures.collect(), "answered otherwise");
    assert_eq!(tally.keywords, listed(draft.keywords), "refused keywords");
    assert_eq!(tally.formats, listed(draft.formats), "refused formats");
    assert_eq!(tally.values, values.collect(), "refused values");
    let counted = [right[0], right[0] + right[1]];
    assert_eq!(
        counted,
        [draft.required, draft.instances],
        "{}",
        draft.folder
    );
}

fn suite() -> Option<PathBuf> {
    let Some(root) = std::env::var_os("PORTCULLIS_CONFORMANCE").map(PathBuf::from) else {
        eprintln!("json_schema: PORTCULLIS_CONFORMANCE is not set: NOTHING IS TESTED HERE");
        return None;
    };
    let suite = root.join("json-schema-test-suite/tests");
    if !suite.is_dir() {
        eprintln!(
            "json_schema: there is no {}: NOTHING IS TESTED HERE",
            suite.display()
        );
        return None;
    }
    Some(suite)
}

/// The documents that the suite expects to find at `http://localhost:1234/`.
fn remotes(root: &Path) -> Documents {
    let mut found = Documents::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().display();
            let text = fs::read_to_string(&path).unwrap();
            let document = serde_json::from_str(&text).unwrap();
            found.insert(format!("http://localhost:1234/{name}"), document);
        }
    }
    // The suite takes the meta-schemas for known.
    for (uri, document) in [
        ("schema", &meta::DRAFT202012),
        ("meta/core", &meta::DRAFT202012_CORE),
        ("meta/applicator", &meta::DRAFT202012_APPLICATOR),
        ("meta/unevaluated", &meta::DRAFT202012_UNEVALUATED),
        ("meta/validation", &meta::DRAFT202012_VALIDATION),
        ("meta/meta-data", &meta::DRAFT202012_META_DATA),
        (
            "meta/format-annotation",
            &meta::DRAFT202012_FORMAT_ANNOTATION,
        ),
        ("meta/content", &meta::DRAFT202012_CONTENT),
    ] {
        let uri = format!("https://json-schema.org/draft/2020-12/{uri}");
        found.insert(uri, Value::clone(document));
    }
    found
}

/// Names such as `optional/format/date`, and where they are.
fn files(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for folder in ["", "optional", "optional/format"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let name = path.strip_prefix(root).unwrap().with_extension("");
                found.push((name.display().to_string(), path));
            }
        }
    }
    found.sort();
    found
}

impl Tally {
    fn count(&mut self, file: &str, group: &Group, draft: &Draft, documents: &Documents) {
        let compiler = Compiler::new(&group.schema, draft.dialect);
        // What is required of all has formats as notes; only optional files ask for checks.
        let is_optional = usize::from(file.contains('/'));
        let formats = [Formats::Noted, Formats::Enforced][is_optional];
        let compiler = compiler.direction(Direction::Neither).formats(formats);
        let compiler = compiler.unknown(draft.unknown);
        self.all[is_optional] += group.tests.len();
        let schema = match compiler.documents("", documents).compile("") {
            Ok(schema) => schema,
            Err(errors) => {
                assert!(!errors.is_empty(), "{file}: refused without a reason");
                errors.iter().for_each(|error| self.refused(error));
                return;
            }
        };
        let mut scratch = Scratch::default();
        for instance in &group.tests {
            let body = instance.data.get().as_bytes();
            let holds = schema.check(body, &mut scratch).is_ok();
            // Found by the walk along the index, whichever walk accepted the body.
            let faults = schema.violations(body, 1, &mut scratch);
            assert_eq!(holds, faults.is_empty(), "{file}: {}", group.description);
            if holds == instance.valid {
                self.right[is_optional] += 1;
            } else {
                let place = (file.to_owned(), group.description.clone());
                *self.wrong.entry(place).or_default() += 1;
            }
        }
    }

    /// Files a reason under the keyword that the error points to.
    fn refused(&mut self, error: &SchemaError) {
        let keyword = error.pointer.rsplit('/').next().unwrap();
        let keyword = keyword.replace("~1", "/").replace("~0", "~");
        let message = error.message.as_str();
        if message == format!("the keyword `{keyword}` is not enforced") {
            self.keywords.insert(keyword);
            return;
        }
        let format = message.strip_prefix("the format \"");
        if let Some(name) = format.and_then(|rest| rest.strip_suffix("\" is not enforced")) {
            self.formats.insert(name.to_owned());
            return;
        }
        // These two begin with the value that is in the document.
        let told = ["leads nowhere", "is no type"]
            .into_iter()
            .find(|end| message.ends_with(end));
        self.values
            .insert((keyword, told.unwrap_or(message).to_owned()));
    }
}
