//! What the `jsonschema` crate says of an instance is what is said here: for every schema of the
//! documents of this project and of the JSON Schema test suite, over instances made from the
//! schema and over mutations of them, the same in every run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis::policy::contract::openapi::yaml;
use portcullis::policy::contract::schema::{
    Compiler, Dialect, Direction, Documents, Formats, Scratch, Unknown, Violation,
};
use serde_json::{Map, Value, json};

use crate::{json_schema, suite};

/// Instances of each schema, and mutations of each instance.
const INSTANCES: usize = 12;
const MUTATIONS: usize = 12;

/// Deepest nesting of what is made.
const DEPTH: usize = 6;

/// The documents of this project.
const DOCUMENTS: [&str; 5] = [
    "config/accounts.yaml",
    "loadtest/portcullis/api.yaml",
    "src/policy/contract/openapi/bank.yaml",
    "tests/golden/policy/answers.yaml",
    "tests/golden/policy/api.yaml",
];

/// Formats of OpenAPI, which JSON Schema does not know.
const FORMATS: [&str; 5] = ["int32", "int64", "float", "double", "byte"];

/// Formats of draft 4; the crate knows no others in it.
const DRAFT_4: [&str; 6] = ["date-time", "email", "hostname", "ipv4", "ipv6", "uri"];

/// One schema under comparison.
struct Subject<'d> {
    document: &'d Value,
    pointer: String,
    dialect: Dialect,
    formats: Formats,
    /// Others that it may refer to.
    documents: Option<&'d Documents>,
}

/// The other documents, for the crate.
struct Others(Documents);

impl referencing::Retrieve for Others {
    fn retrieve(
        &self,
        uri: &referencing::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let found = self.0.get(uri.as_str());
        found
            .cloned()
            .ok_or_else(|| "there is no such document".into())
    }
}

#[derive(Default)]
struct Tally {
    schemas: usize,
    instances: usize,
    valid: usize,
    /// Schemas that one of the two does not take, by why.
    left_out: BTreeMap<String, usize>,
    /// Differences that are meant, and all others.
    explained: usize,
    differences: Vec<String>,
}

#[test]
fn the_schemas_of_our_documents_are_read_alike() {
    let mut tally = Tally::default();
    for name in DOCUMENTS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let before = tally.schemas;
        tally.compare_document(&path);
        assert!(tally.schemas > before, "{name}");
    }
    for group in suite::own() {
        let subject = Subject {
            document: &group.schema,
            pointer: String::new(),
            dialect: Dialect::OpenApi31,
            formats: Formats::Enforced,
            documents: None,
        };
        subject.compare(&mut tally);
    }
    tally.print("our documents and cases");
    tally.assert_none();
    assert_eq!(tally.left_out, BTreeMap::new());
    assert!(tally.schemas >= 20 && tally.valid >= 100);
}

/// Published descriptions up to this size are compared: the crate compiles all of one for each schema.
const PUBLISHED: u64 = 64 * 1024;

/// Those that `tests/published` has fetched.
#[test]
fn the_schemas_of_published_documents_are_read_alike() {
    let fetched = std::env::var_os("PORTCULLIS_PUBLISHED").map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/published");
    let packages = std::fs::read_dir(fetched.unwrap_or(own))
        .into_iter()
        .flatten()
        .flatten();
    let files = packages.filter_map(|package| std::fs::read_dir(package.path()).ok());
    let files = files.flatten().flatten();
    let files = files.filter(|file| file.metadata().is_ok_and(|found| found.len() <= PUBLISHED));
    let mut files: Vec<PathBuf> = files.map(|file| file.path()).collect();
    files.sort();
    if files.is_empty() {
        eprintln!("published: run tests/published first: NOTHING IS TESTED HERE");
        return;
    }
    let mut tally = Tally::default();
    files.iter().for_each(|file| tally.compare_document(file));
    tally.print("published documents");
    tally.assert_none();
    assert!(tally.schemas >= 100 && tally.valid >= 1_000);
}

/// The folders of the suite, how they are read, and what is not compared: why, and how many schemas.
type Suite = (&'static str, Dialect, &'static [(&'static str, usize)]);

const SUITES: [Suite; 2] = [
    (
        "draft2020-12",
        Dialect::OpenApi31,
        &[
            ("$schema: the dialect is not the one of the document", 1),
            ("the format \"idn-email\" is not enforced", 1),
            ("the format \"idn-hostname\" is not enforced", 2),
            ("the format \"iri\" is not enforced", 1),
            ("the format \"iri-reference\" is not enforced", 1),
            ("the format \"relative-json-pointer\" is not enforced", 1),
            ("the format \"unknown\" is not enforced", 1),
            ("the format \"uri-template\" is not enforced", 1),
        ],
    ),
    (
        "draft4",
        Dialect::OpenApi30,
        &[
            ("$ref: leads nowhere", 8),
            ("`maxItems` beside $ref has no effect in OpenAPI 3.0", 1),
            ("additionalItems: is not enforced", 11),
            ("dependencies: is not enforced", 5),
            ("id: is not enforced", 7),
            ("items: a schema must be an object", 6),
            ("patternProperties: is not enforced", 13),
            ("the format \"unknown\" is not enforced", 1),
            ("type: is no type", 13),
        ],
    ),
];

#[test]
fn the_schemas_of_the_suite_are_read_alike() {
    let Some(root) = suite::root() else {
        return;
    };
    let documents = suite::remotes(&root.join("../remotes"));
    for (folder, dialect, left_out) in SUITES {
        let mut tally = Tally::default();
        for (name, file) in suite::files(&root.join(folder)) {
            let formats = match name.contains('/') {
                true => Formats::Enforced,
                false => Formats::Noted,
            };
            for mut group in suite::groups(&file) {
                if dialect == Dialect::OpenApi30 {
                    suite::as_described(&mut group.schema);
                }
                let subject = Subject {
                    document: &group.schema,
                    pointer: String::new(),
                    dialect,
                    formats,
                    documents: Some(&documents),
                };
                subject.compare(&mut tally);
            }
        }
        tally.print(folder);
        tally.assert_none();
        let listed = left_out.iter();
        let listed = listed.map(|&(why, count)| (why.to_owned(), count));
        assert_eq!(tally.left_out, listed.collect(), "{folder}");
        assert!(tally.schemas >= 90 && tally.valid >= 5_000, "{folder}");
    }
}

/// Everything that stands under `schema`, and the named schemas.
fn schemas(value: &Value, pointer: String, found: &mut Vec<String>) {
    let step = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let is_named = pointer == "/components/schemas";
                match key == "schema" || is_named {
                    true => found.push(step(key)),
                    false => schemas(value, step(key), found),
                }
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                schemas(value, step(&at.to_string()), found);
            }
        }
        _ => {}
    }
}

impl Tally {
    fn compare_document(&mut self, path: &Path) {
        let text = std::fs::read_to_string(path).unwrap();
        let Ok(tree) = yaml::read(&text) else {
            return *self.left_out.entry("is not read".to_owned()).or_default() += 1;
        };
        let document = tree.root;
        let version = document["openapi"].as_str().unwrap_or_default();
        let dialect = match version.starts_with("3.0") {
            true => Dialect::OpenApi30,
            false => Dialect::OpenApi31,
        };
        let mut pointers = Vec::new();
        schemas(&document, String::new(), &mut pointers);
        for pointer in pointers {
            let subject = Subject {
                document: &document,
                pointer,
                dialect,
                formats: Formats::Enforced,
                documents: None,
            };
            subject.compare(self);
        }
    }

    fn print(&self, of: &str) {
        let left_out: usize = self.left_out.values().sum();
        println!(
            "{of}: {} schemas, {} instances, {} of them valid, {} told otherwise on purpose; {left_out} left out",
            self.schemas, self.instances, self.valid, self.explained
        );
        for (why, count) in &self.left_out {
            println!("{of}: left out {count:>3}: {why}");
        }
    }

    fn assert_none(&self) {
        let shown: Vec<&str> = self
            .differences
            .iter()
            .take(20)
            .map(String::as_str)
            .collect();
        assert!(
            shown.is_empty(),
            "{} differ:\n{}",
            self.differences.len(),
            shown.join("\n\n")
        );
    }
}

impl Subject<'_> {
    fn compare(&self, tally: &mut Tally) {
        let compiler = Compiler::new(self.document, self.dialect).direction(Direction::Neither);
        // What OpenAPI 3.0 has not of draft 4 would be noted only, and enforced by the crate.
        let unknown = match (self.dialect, self.documents) {
            (Dialect::OpenApi30, Some(_)) => Unknown::Refused,
            _ => Unknown::Noted,
        };
        let mut compiler = compiler.formats(self.formats).unknown(unknown);
        if let Some(documents) = self.documents {
            compiler = compiler.documents("", documents);
        }
        let ours = compiler.compile(&self.pointer);
        let is_checking = self.formats == Formats::Enforced;
        let theirs = match self.dialect {
            Dialect::OpenApi30 => jsonschema::options().with_draft(jsonschema::Draft::Draft4),
            // 2020-12, or the vocabularies of the meta-schema that a schema names.
            Dialect::OpenApi31 => jsonschema::options(),
        };
        let theirs = theirs
            .should_validate_formats(is_checking)
            .with_retriever(Others(self.documents.cloned().unwrap_or_default()))
            .build(&self.standalone());
        let (ours, theirs) = match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (Err(errors), _) => {
                let told = json_schema::told(&errors[0]);
                return *tally.left_out.entry(told).or_default() += 1;
            }
            (Ok(_), Err(error)) => {
                let told = format!("the crate: {error}");
                return *tally.left_out.entry(told).or_default() += 1;
            }
        };
        tally.schemas += 1;
        let mut random = fastrand::Rng::with_seed(0x5C4E_3A00 + tally.schemas as u64);
        let mut scratch = Scratch::default();
        let schema = self.document.pointer(&self.pointer).unwrap();
        for _ in 0..INSTANCES {
            let instance = self.instance(schema, &mut random, DEPTH);
            for at in 0..=MUTATIONS {
                let mut value = instance.clone();
                (0..at.min(3)).for_each(|_| mutate(&mut value, &mut random));
                let expected = theirs.is_valid(&value);
                let text = match at % 2 {
                    0 => value.to_string(),
                    _ => serde_json::to_string_pretty(&value).unwrap(),
                };
                let outcome = ours.check(text.as_bytes(), &mut scratch);
                let is_explained = || {
                    // With whole numbers written as such the crate has to say the same.
                    let mut whole = value.clone();
                    without_zero_fractions(&mut whole);
                    self.dialect == Dialect::OpenApi30 && theirs.is_valid(&whole) == outcome.is_ok()
                        || outcome.as_ref().is_err_and(|told| self.is_ours(told))
                        || self.is_explained(schema, &value)
                };
                if outcome.is_ok() != expected && is_explained() {
                    tally.explained += 1;
                } else if outcome.is_ok() != expected {
                    let why = theirs.validate(&value).err();
                    tally
                        .differences
                        .push(format!("{schema}\n{text}\n{outcome:?} {why:?}"));
                }
                tally.instances += 1;
                tally.valid += usize::from(expected);
            }
        }
    }

    /// What OpenAPI adds to JSON Schema is a note to the crate, and enforced here.
    fn is_ours(&self, violation: &Violation) -> bool {
        let of_open_api = || {
            let schema = self.document.pointer(&violation.schema)?;
            let format = schema.get("format")?.as_str()?;
            Some(match self.dialect {
                Dialect::OpenApi30 => !DRAFT_4.contains(&format),
                Dialect::OpenApi31 => FORMATS.contains(&format),
            })
        };
        match violation.keyword {
            "discriminator" => true,
            "format" => of_open_api() == Some(true),
            _ => false,
        }
    }

    /// Numbers are compared by value here, whatever the draft and however large: 1.0 is an integer,
    /// which draft 4 denies, and a multiple beyond 2^53 is not rounded to a double. `dependencies`
    /// is no keyword of 2020-12 but of the drafts before, which the crate enforces all the same.
    fn is_explained(&self, schema: &Value, value: &Value) -> bool {
        let told = schema.to_string();
        if self.dialect == Dialect::OpenApi31 && told.contains("\"dependencies\"") {
            return true;
        }
        any_number(value, &|number| {
            let size = number.as_f64().map_or(0.0, f64::abs);
            size >= 2_f64.powi(53) && told.contains("multipleOf")
        })
    }

    /// A schema with the whole document below a key that says nothing, so that references work.
    fn standalone(&self) -> Value {
        if self.pointer.is_empty() {
            return self.document.clone();
        }
        let mut root = self.document.clone();
        let fragment = self.pointer.replace('{', "%7B").replace('}', "%7D");
        root["allOf"] = json!([{"$ref": format!("#{fragment}")}]);
        if self.dialect == Dialect::OpenApi30 {
            as_draft_4(&mut root);
        }
        root
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        for _ in 0..8 {
            let target = schema.get("$ref").and_then(Value::as_str);
            let target = target.and_then(|target| target.strip_prefix('#'));
            match target.and_then(|target| self.document.pointer(target)) {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    /// Something that may well be valid.
    fn instance(&self, schema: &Value, random: &mut fastrand::Rng, depth: usize) -> Value {
        let schema = self.resolve(schema);
        let Some(map) = schema.as_object().filter(|_| depth > 0) else {
            return anything(random, 1);
        };
        if let Some(value) = map.get("const") {
            return value.clone();
        }
        if let Some(values) = map.get("enum").and_then(Value::as_array)
            && let Some(value) = random.choice(values)
        {
            return value.clone();
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(next) = map.get(key).and_then(Value::as_array)
                && let Some(next) = random.choice(next)
                && !map.contains_key("properties")
            {
                return self.instance(next, random, depth - 1);
            }
        }
        let parts: Vec<&Value> = map
            .get("allOf")
            .and_then(Value::as_array)
            .map_or(Vec::new(), |list| {
                list.iter().map(|part| self.resolve(part)).collect()
            });
        let of = |key: &str| {
            let own = map.get(key);
            own.or_else(|| parts.iter().find_map(|part| part.get(key)))
        };
        let declared = match of("type") {
            Some(Value::Array(names)) => random.choice(names).and_then(Value::as_str),
            Some(name) => name.as_str(),
            None => None,
        };
        let has = |keys: &[&str]| keys.iter().any(|key| of(key).is_some());
        let kind = declared.unwrap_or_else(|| {
            if has(&[
                "properties",
                "required",
                "patternProperties",
                "additionalProperties",
                "minProperties",
                "maxProperties",
                "propertyNames",
                "dependentRequired",
                "dependentSchemas",
                "unevaluatedProperties",
            ]) {
                "object"
            } else if has(&[
                "items",
                "prefixItems",
                "contains",
                "minItems",
                "maxItems",
                "uniqueItems",
                "unevaluatedItems",
            ]) {
                "array"
            } else if has(&[
                "minimum",
                "maximum",
                "exclusiveMinimum",
                "exclusiveMaximum",
                "multipleOf",
            ]) {
                "number"
            } else if has(&["minLength", "maxLength", "pattern", "format"]) {
                "string"
            } else {
                "any"
            }
        });
        match kind {
            "object" => {
                let mut members = Map::new();
                let all = std::iter::once(schema).chain(parts.iter().copied());
                for part in all {
                    for (name, next) in part
                        .get("properties")
                        .and_then(Value::as_object)
                        .into_iter()
                        .flatten()
                    {
                        let needed = part["required"]
                            .as_array()
                            .is_some_and(|names| names.contains(&json!(name)));
                        if needed || random.u8(..4) > 0 {
                            members.insert(name.clone(), self.instance(next, random, depth - 1));
                        }
                    }
                    for name in part
                        .get("required")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                    {
                        let name = name.as_str().unwrap_or_default().to_owned();
                        members.entry(name).or_insert_with(|| anything(random, 1));
                    }
                    if let Some(next) = part
                        .get("additionalProperties")
                        .filter(|next| next.is_object())
                    {
                        for _ in 0..random.u8(..3) {
                            members.insert(word(random), self.instance(next, random, depth - 1));
                        }
                    }
                }
                Value::Object(members)
            }
            "array" => {
                let least = of("minItems").and_then(Value::as_u64).unwrap_or(0) as usize;
                let most = of("maxItems")
                    .and_then(Value::as_u64)
                    .map_or(least + 3, |most| (most as usize).min(least + 5));
                let count = random.usize(least.min(12)..=most.max(least).min(12));
                let prefix = of("prefixItems").and_then(Value::as_array);
                let item = |at: usize| {
                    let own = prefix.and_then(|list| list.get(at));
                    own.or_else(|| of("items")).or_else(|| of("contains"))
                };
                let items = (0..count).map(|at| match item(at) {
                    Some(next) => self.instance(next, random, depth - 1),
                    None => anything(random, 1),
                });
                items.collect()
            }
            "integer" | "number" => number(&of, kind == "integer", random),
            "string" => text(&of, random),
            "boolean" => json!(random.bool()),
            "null" => Value::Null,
            _ => anything(random, 2),
        }
    }
}

fn without_zero_fractions(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0);
            if let Some(whole) = whole.filter(|whole| whole.abs() < 2_f64.powi(63)) {
                *value = json!(whole as i64);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(without_zero_fractions),
        Value::Object(map) => map.values_mut().for_each(without_zero_fractions),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn any_number(value: &Value, test: &dyn Fn(&serde_json::Number) -> bool) -> bool {
    match value {
        Value::Number(number) => test(number),
        Value::Array(list) => list.iter().any(|each| any_number(each, test)),
        Value::Object(map) => map.values().any(|each| any_number(each, test)),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// What OpenAPI 3.0 says otherwise than draft 4, in the words of draft 4.
fn as_draft_4(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(as_draft_4);
            // A member may have that name as well.
            let said = map.get("nullable").and_then(Value::as_bool);
            if said.is_some() {
                map.remove("nullable");
            }
            if said == Some(true)
                && let Some(name) = map.remove("type")
            {
                map.insert("type".to_owned(), json!([name, "null"]));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(as_draft_4),
        _ => {}
    }
}

fn number<'v>(
    of: &impl Fn(&str) -> Option<&'v Value>,
    is_whole: bool,
    random: &mut fastrand::Rng,
) -> Value {
    let bound = |key, other| of(key).or_else(|| of(other)).and_then(Value::as_f64);
    let least = bound("minimum", "exclusiveMinimum").unwrap_or(-20.0);
    let most = bound("maximum", "exclusiveMaximum").unwrap_or(least + 1000.0);
    let step = of("multipleOf")
        .and_then(Value::as_f64)
        .filter(|step| *step >= 1e-3);
    let value = match random.u8(..6) {
        0 => least,
        1 => most,
        _ => least + (most - least) * random.f64(),
    };
    match (step, is_whole) {
        (Some(step), _) if step.fract() == 0.0 => json!(((value / step).round() * step) as i64),
        (Some(step), _) => {
            json!(((value / step).round() / (1.0 / step).round() * 1e6).round() / 1e6)
        }
        (None, true) => json!(value.round() as i64),
        (None, false) => json!((value * 100.0).round() / 100.0),
    }
}

fn text<'v>(of: &impl Fn(&str) -> Option<&'v Value>, random: &mut fastrand::Rng) -> Value {
    let sample = match of("format").and_then(Value::as_str) {
        Some("uuid") => "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
        Some("date") => "2026-11-23",
        Some("date-time") => "2026-11-23T10:15:30.123Z",
        Some("time") => "10:15:30Z",
        Some("email") => "joe.bloggs@example.com",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("uri") => "https://example.com/a?b=c#d",
        Some("hostname") => "www.example.com",
        _ => "",
    };
    if !sample.is_empty() {
        return json!(sample);
    }
    if let Some(pattern) = of("pattern").and_then(Value::as_str)
        && let Some(made) = matching(pattern, random)
    {
        return json!(made);
    }
    let least = of("minLength").and_then(Value::as_u64).unwrap_or(0) as usize;
    let most = of("maxLength")
        .and_then(Value::as_u64)
        .map_or(least + 12, |most| most as usize);
    let count = random.usize(least.min(300)..=most.max(least).min(300));
    json!((0..count).map(|_| character(random)).collect::<String>())
}

/// A text that a pattern matches, if it is put together of classes.
fn matching(pattern: &str, random: &mut fastrand::Rng) -> Option<String> {
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let plain = pattern.trim_start_matches('^').trim_end_matches('$');
    let strategy = proptest::string::string_regex(plain).ok()?;
    let mut seed = [0; 32];
    seed.fill_with(|| random.u8(..));
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    Some(strategy.new_tree(&mut runner).ok()?.current())
}

fn character(random: &mut fastrand::Rng) -> char {
    *random
        .choice(&[
            'a',
            'b',
            'Z',
            '7',
            ' ',
            '-',
            '_',
            '"',
            '\\',
            '\n',
            'é',
            '\u{1F600}',
        ])
        .unwrap()
}

fn word(random: &mut fastrand::Rng) -> String {
    (*random
        .choice(&[
            "foo", "bar", "baz", "a", "id", "name", "x-y", "", "\"q\"", "ünï",
        ])
        .unwrap())
    .to_owned()
}

fn anything(random: &mut fastrand::Rng, depth: usize) -> Value {
    match random.u8(..if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.i32(-5..1200)),
        3 => json!(f64::from(random.i32(-500..5000)) / 4.0),
        4 => json!(word(random)),
        5 => json!(
            random
                .choice([1_i64 << 53, i64::MAX, i64::MIN, 0, -1])
                .unwrap()
        ),
        6 => (0..random.u8(..4))
            .map(|_| anything(random, depth - 1))
            .collect(),
        _ => (0..random.u8(..4))
            .map(|_| (word(random), anything(random, depth - 1)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// One change somewhere.
fn mutate(value: &mut Value, random: &mut fastrand::Rng) {
    let goes_down = random.u8(..4) > 0;
    match value {
        Value::Object(map) if goes_down && !map.is_empty() => {
            let at = random.usize(..map.len());
            let Some((_, inner)) = map.iter_mut().nth(at) else {
                return;
            };
            mutate(inner, random);
        }
        Value::Array(list) if goes_down && !list.is_empty() => {
            let at = random.usize(..list.len());
            mutate(&mut list[at], random);
        }
        Value::Object(map) => match random.u8(..3) {
            0 => drop(map.insert(word(random), anything(random, 1))),
            1 => {
                let name = map.keys().nth(random.usize(..map.len().max(1))).cloned();
                name.map(|name| map.remove(&name));
            }
            _ => *value = anything(random, 1),
        },
        Value::Array(list) => match random.u8(..4) {
            0 => list.push(anything(random, 1)),
            1 => drop(list.pop()),
            2 => list.extend(list.first().cloned()),
            _ => *value = anything(random, 1),
        },
        Value::Number(number) => {
            let near = number.as_f64().unwrap_or(0.0);
            *value = match random.u8(..5) {
                0 => json!(-near),
                1 => json!(near + 0.5),
                2 => json!((near as i64).saturating_add(1)),
                3 => json!((near as i64).saturating_mul(1000)),
                _ => anything(random, 1),
            };
        }
        Value::String(text) => match random.u8(..4) {
            0 => text.push(character(random)),
            1 => drop(text.pop()),
            2 => *text = text.repeat(2),
            _ => *value = anything(random, 1),
        },
        Value::Null | Value::Bool(_) => *value = anything(random, 1),
    }
}
