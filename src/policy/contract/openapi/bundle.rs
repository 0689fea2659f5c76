//! A description in several files becomes one: what `$ref` names in another file is read when the
//! description is, and stands below a key of its own from then on. Nothing is read later, and
//! never from a network.
//!
//! What stays true: only relative paths are followed, and none leads out of the directory of the
//! description; every file is read once, so that files may refer to each other in a circle.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Position};
use crate::policy::contract::openapi::node::lookup;
use crate::policy::contract::openapi::place::{self, Keyword, Kind, Reference};
use crate::policy::contract::openapi::positions::Positions;
use crate::policy::contract::openapi::yaml::{self, Tree, push_token};
use crate::policy::contract::schema::uri;

/// Where the other files stand in the tree.
const KEY: &str = "x-files";

/// Most files of one description, and bytes of all others together.
const FILES: usize = 256;
const BYTES: usize = yaml::TEXT;

/// Reads the text of a file below the directory of the description, by its relative path.
pub type Open<'o> = &'o dyn Fn(&str) -> Result<String, String>;

/// Another file of a description.
#[derive(Debug)]
pub struct Other {
    /// The pointer to where it stands in the tree.
    pub place: String,
    pub file: PathBuf,
    /// By pointers within the file.
    pub positions: Positions,
}

/// What was read, by its path relative to the description, whose own is empty.
struct Part {
    name: String,
    tree: Tree,
}

struct Bundle<'o> {
    open: Open<'o>,
    /// The description's own file.
    file: &'o Path,
    /// The description first.
    parts: Vec<Part>,
    bytes: usize,
    /// Whether `$id` means anything, and what it names in the description.
    reads_ids: bool,
    ids: Vec<String>,
    /// Places that something leads to, by part, pointer and kind.
    pending: VecDeque<(usize, String, Kind)>,
    seen: HashSet<(usize, String, Kind)>,
    /// References that have to be written anew, by part and pointer.
    written: Vec<(usize, String, String)>,
    faults: Vec<Diagnostic>,
}

/// Takes all other files into the tree of the description.
pub fn bundle(tree: &mut Tree, file: &Path, open: Open<'_>) -> Result<Vec<Other>, Vec<Diagnostic>> {
    let version = tree.root.get("openapi").and_then(Value::as_str);
    let reads_ids = version.is_some_and(|version| version.starts_with("3.1"));
    let mut ids = Vec::new();
    if reads_ids {
        place::ids(&tree.root, "", &mut ids);
    }
    let mut bundle = Bundle {
        open,
        file,
        parts: vec![Part {
            name: String::new(),
            tree: std::mem::take(tree),
        }],
        bytes: 0,
        reads_ids,
        ids,
        pending: VecDeque::from([(0, String::new(), Kind::Document)]),
        seen: HashSet::new(),
        written: Vec::new(),
        faults: Vec::new(),
    };
    bundle.follow();
    bundle.write();
    let Bundle { parts, faults, .. } = bundle;
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut parts = parts.into_iter();
    *tree = parts.next().map(|own| own.tree).unwrap_or_default();
    let mut others = Vec::new();
    let mut files = serde_json::Map::new();
    for Part { name, tree: other } in parts {
        let place = place(&name);
        for (pointer, number) in other.numbers {
            tree.numbers.insert(format!("{place}{pointer}"), number);
        }
        others.push(Other {
            place,
            file: beside(file, &name),
            positions: other.positions,
        });
        files.insert(name, other.root);
    }
    if !others.is_empty() {
        tree.root[KEY] = Value::Object(files);
    }
    Ok(others)
}

impl Bundle<'_> {
    /// Everything that the description leads to, each place once.
    fn follow(&mut self) {
        while let Some((part, pointer, kind)) = self.pending.pop_front() {
            let root = &self.parts[part].tree.root;
            for reference in place::references(root, &pointer, kind, self.reads_ids) {
                if self
                    .seen
                    .insert((part, reference.pointer.clone(), Kind::Plain))
                {
                    self.reference(part, &reference);
                }
            }
        }
    }

    /// Each reference to the place where what it names will stand.
    fn write(&mut self) {
        for (part, pointer, text) in self.written.drain(..) {
            if let Some(place) = self.parts[part].tree.root.pointer_mut(&pointer) {
                *place = Value::String(text);
            }
        }
    }

    fn reference(&mut self, part: usize, reference: &Reference) {
        match self.target(part, reference) {
            Ok(None) => {}
            Ok(Some((target, fragment))) => {
                let root = &self.parts[target].tree.root;
                if let Ok(node) = lookup(root, &format!("#{fragment}")) {
                    let next = (target, node.pointer, reference.kind);
                    if self.seen.insert(next.clone()) {
                        self.pending.push_back(next);
                    }
                }
                let name = &self.parts[target].name;
                let text = match name.as_str() {
                    "" => format!("#{fragment}"),
                    name => format!("#{}{fragment}", place(name)),
                };
                if text != reference.text {
                    self.written.push((part, reference.pointer.clone(), text));
                }
            }
            Err(message) => {
                let from = &self.parts[part];
                let position = from.tree.positions.find(&reference.pointer);
                let own = beside(self.file, &from.name);
                let position = position.unwrap_or(Position { line: 1, column: 1 });
                let fault = Diagnostic::new(own, position, message).at(&reference.pointer);
                let hint = "name a file below the directory of the description, as in `parts/common.yaml#/Name`";
                self.faults.push(fault.with_hint(hint));
            }
        }
    }

    /// The part that a reference leads to, and the pointer there as it stands in a URI. None: it
    /// names a schema by `$id` or an anchor, which is for the compiler of schemas.
    fn target(
        &mut self,
        part: usize,
        reference: &Reference,
    ) -> Result<Option<(usize, String)>, String> {
        let text = match reference.keyword {
            Keyword::Ref | Keyword::DynamicRef => reference.text.clone(),
            Keyword::Mapping => match self.mapped(part, &reference.text) {
                Some(text) => text,
                None => return Ok(None),
            },
        };
        let (path, fragment) = text.split_once('#').unwrap_or((&text, ""));
        let is_pointer = fragment.is_empty() || fragment.starts_with('/');
        let is_named = match path {
            "" => !reference.base.is_empty() || part == 0 && !is_pointer,
            path => {
                let named = uri::resolve(&reference.base, path);
                self.ids.contains(&named)
            }
        };
        if is_named {
            return Ok(None);
        }
        let target = match path {
            "" => part,
            path => {
                let name = relative(&self.parts[part].name, path)?;
                self.load(&name)?
            }
        };
        if !is_pointer {
            return Err(format!(
                "`{text}`: an anchor is read in the description itself, or below a `$id`"
            ));
        }
        if reference.keyword == Keyword::DynamicRef && (part, target) != (0, 0) {
            return Err(format!(
                "`{text}`: `$dynamicRef` is read in the description itself, or below a `$id`"
            ));
        }
        Ok(Some((target, fragment.to_owned())))
    }

    /// What stands in a mapping is the name of a schema or a reference. None: a name that is left to
    /// the compiler.
    fn mapped(&self, part: usize, text: &str) -> Option<String> {
        if text.contains(['#', '/', '.']) {
            return Some(text.to_owned());
        }
        let own = format!("#/components/schemas/{text}");
        let is_own = part > 0 && lookup(&self.parts[part].tree.root, &own).is_ok();
        is_own.then_some(own)
    }

    /// The index of a part, which is read where it is not yet.
    fn load(&mut self, target: &str) -> Result<usize, String> {
        if self.file.file_name().is_some_and(|own| own == target) {
            return Ok(0);
        }
        if let Some(known) = self.parts.iter().position(|part| part.name == target) {
            return Ok(known);
        }
        if self.parts.len() > FILES {
            return Err(format!("the description is in more than {FILES} files"));
        }
        let text = (self.open)(target)?;
        self.bytes += text.len();
        if self.bytes > BYTES {
            return Err(format!("the other files have more than {BYTES} bytes"));
        }
        let tree = yaml::read(&text).unwrap_or_else(|faults| {
            let file = beside(self.file, target);
            let told = faults.into_iter().map(|fault| {
                Diagnostic::new(&file, fault.position, fault.message).with_hint(fault.hint)
            });
            self.faults.extend(told);
            Tree::default()
        });
        self.parts.push(Part {
            name: target.to_owned(),
            tree,
        });
        Ok(self.parts.len() - 1)
    }
}

/// The pointer to a file by its name.
fn place(name: &str) -> String {
    let mut pointer = format!("/{KEY}");
    push_token(&mut pointer, name);
    pointer
}

fn beside(file: &Path, name: &str) -> PathBuf {
    match name {
        "" => file.to_owned(),
        name => file.parent().unwrap_or(Path::new("")).join(name),
    }
}

/// A path as it stands in a file, relative to the description.
fn relative(from: &str, path: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if path.contains("://") || path.starts_with('/') || !path.bytes().all(is_plain) {
        return Err(format!("`{path}` is no relative path to a file"));
    }
    let directory = from.rsplit_once('/').map(|(directory, _)| directory);
    let mut steps: Vec<&str> = directory.map_or(Vec::new(), |text| text.split('/').collect());
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                let outside = || format!("`{path}` leads out of the directory of the description");
                steps.pop().ok_or_else(outside)?;
            }
            step => steps.push(step),
        }
    }
    Ok(steps.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::contract::openapi::Document;
    use crate::policy::contract::schema::{Schema, Scratch};

    const ROOT: &str = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\nservers: [{url: https://a.example}]\npaths:\n  /a:\n    post:\n      operationId: a\n      requestBody:\n        content:\n          application/json:\n            schema: {$ref: 'parts/order.yaml'}\n      responses: {'200': {$ref: 'parts/answers.yaml#/Done'}}\n";

    fn open(name: &str) -> Result<String, String> {
        let text = match name {
            "parts/order.yaml" => {
                "type: object\nrequired: [item]\nproperties:\n  item: {$ref: 'deep/item.yaml#/$defs/Item'}\n  next: {$ref: '#'}\n  again: {$ref: 'order.yaml'}\n"
            }
            "parts/deep/item.yaml" => {
                "$defs:\n  Item: {type: integer, maximum: 5, example: {$ref: 'nowhere.yaml'}}\n  Order: {$ref: '../order.yaml'}\n"
            }
            "parts/answers.yaml" => "Done: {description: Done}\n",
            other => return Err(format!("{other} is not there")),
        };
        Ok(text.to_owned())
    }

    #[test]
    fn a_description_may_be_in_several_files_that_refer_to_each_other() {
        let document = Document::read_with(Path::new("api/root.yaml"), ROOT, &open).unwrap();
        assert_eq!(document.operations().unwrap().len(), 1);
        let mut scratch = Scratch::default();
        let pointer = "/paths/~1a/post/requestBody/content/application~1json/schema";
        let body = Schema::compile(&document.tree.root, pointer, document.dialect).unwrap();
        for (text, holds) in [
            (r#"{"item":5}"#, true),
            (r#"{"item":6}"#, false),
            (r#"{"item":1,"next":{"item":2,"again":{"item":3}}}"#, true),
            (
                r#"{"item":1,"next":{"item":2,"again":{"item":"x"}}}"#,
                false,
            ),
        ] {
            assert_eq!(
                body.check(text.as_bytes(), &mut scratch).is_ok(),
                holds,
                "{text}"
            );
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused_with_its_place() {
        for (reference, told) in [
            ("https://a.example/x.yaml", "no relative path"),
            ("//a.example/x.yaml", "no relative path"),
            ("file:x.yaml", "no relative path"),
            ("/etc/x.yaml", "no relative path"),
            ("../x.yaml", "leads out"),
            ("parts/../../x.yaml", "leads out"),
            ("parts/%2e%2e/x.yaml", "no relative path"),
            ("parts/none.yaml", "is not there"),
        ] {
            let text = ROOT.replace("parts/order.yaml", reference);
            let faults = Document::read_with(Path::new("root.yaml"), &text, &open).unwrap_err();
            assert_eq!(faults.len(), 1, "{reference}");
            assert!(faults[0].message.contains(told), "{reference} {faults:?}");
            assert_eq!(faults[0].position.line, 11);
        }
    }

    #[test]
    fn faults_in_other_files_are_told_with_their_file() {
        let open = |name: &str| match name {
            "parts/order.yaml" => {
                Ok("type: object\nproperties:\n  a: {type: strange}\n".to_owned())
            }
            other => open(other),
        };
        let document = Document::read_with(Path::new("api/root.yaml"), ROOT, &open).unwrap();
        let faults = document.operations().err().unwrap();
        assert_eq!(faults[0].file, Path::new("api/parts/order.yaml"));
        assert_eq!(faults[0].position.line, 3);
        let broken = |_: &str| Ok("a: [\n".to_owned());
        let faults = Document::read_with(Path::new("api/root.yaml"), ROOT, &broken).unwrap_err();
        assert_eq!(faults[0].file, Path::new("api/parts/order.yaml"));
    }

    /// The schema of the body of `/a` in a description whose body refers to `o.yaml#/B`.
    fn body(more: &str, other: &'static str) -> Result<Schema, String> {
        let text = ROOT.replace("parts/order.yaml", "o.yaml#/B") + more;
        let open = |name: &str| match name {
            "o.yaml" => Ok(other.to_owned()),
            name => open(name),
        };
        let document = Document::read_with(Path::new("root.yaml"), &text, &open)
            .map_err(|faults| faults[0].message.clone())?;
        let pointer = "/paths/~1a/post/requestBody/content/application~1json/schema";
        Schema::compile(&document.tree.root, pointer, document.dialect)
            .map_err(|errors| errors[0].message.clone())
    }

    const MORE: &str = "components: {schemas: {A: {type: string, $anchor: n}}}\n";

    #[test]
    fn members_may_have_the_names_of_keywords() {
        let other = "components: {schemas: {A: {type: integer}}}\nB:\n  $defs: {default: {$ref: '#/components/schemas/A'}, x-a: {$ref: '#/components/schemas/A'}}\n  patternProperties: {enum: {$ref: '#/components/schemas/A'}}\n  properties:\n    plain: &a {$ref: '#/components/schemas/A'}\n"
            .replace("&a ", "");
        let names = [
            "example",
            "examples",
            "default",
            "const",
            "x-foo",
            "$ref",
            "properties",
            "$id",
            "discriminator",
        ];
        let members = names.map(|name| format!("    {name}: {{$ref: '#/components/schemas/A'}}\n"));
        let more = "    by: {$ref: '#/B/$defs/default'}\n    way: {$ref: '#/B/$defs/x-a'}\n";
        let other: &'static str = Box::leak(format!("{other}{}{more}", members.concat()).into());
        let body = body(MORE, other).unwrap();
        let mut scratch = Scratch::default();
        for name in names.iter().chain(&["plain", "enum", "by", "way"]) {
            let check = |text: String, scratch: &mut Scratch| body.check(text.as_bytes(), scratch);
            assert!(
                check(format!("{{\"{name}\":1}}"), &mut scratch).is_ok(),
                "{name}"
            );
            assert!(
                check(format!("{{\"{name}\":\"a\"}}"), &mut scratch).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn values_refer_to_nothing_whatever_is_in_them() {
        let other = "B: {const: {$ref: 'nowhere.yaml'}, default: {$ref: '#/x'}, x-own: {$ref: 'none.yaml'}, examples: [{$ref: 'none.yaml'}]}\n";
        let body = body("", other).unwrap();
        let text = br#"{"$ref":"nowhere.yaml"}"#;
        assert!(body.check(text, &mut Scratch::default()).is_ok());
    }

    #[test]
    fn mappings_name_the_schemas_of_their_file() {
        let other = "B: {oneOf: [{$ref: '#/C'}, {$ref: '#/components/schemas/D'}], discriminator: {propertyName: t, mapping: {c: '#/C', d: D}}}\nC: {required: [t, c]}\ncomponents: {schemas: {D: {required: [t]}}}\n";
        let body = body("", other).unwrap();
        for (text, holds) in [
            (r#"{"t":"c","c":1}"#, true),
            (r#"{"t":"c"}"#, false),
            (r#"{"t":"d"}"#, true),
        ] {
            let checked = body.check(text.as_bytes(), &mut Scratch::default());
            assert_eq!(checked.is_ok(), holds, "{text}");
        }
    }

    #[test]
    fn responses_by_default_may_be_in_another_file() {
        let text = ROOT.replace(
            "responses: {",
            "responses: {default: {$ref: 'parts/answers.yaml#/Done'}, ",
        );
        let document = Document::read_with(Path::new("root.yaml"), &text, &open).unwrap();
        let operations = document.operations().unwrap();
        assert!(matches!(operations[0].responses, Some(Ok(_))));
    }

    #[test]
    fn schemas_have_their_own_names_below_an_id() {
        let mut scratch = Scratch::default();
        for other in [
            // From the outside into a schema with a name: what is in it refers to itself.
            "B: {$ref: '#/C/$defs/in'}\nC: {$id: 'https://x.example/c', $defs: {in: {$ref: '#/$defs/a'}, a: {type: integer}}}\n",
            "B: {$id: 'https://x.example/c', $ref: '#n', $defs: {in: {$anchor: n, type: integer}}}\n",
        ] {
            let body = body(MORE, other).unwrap();
            assert!(body.check(b"1", &mut scratch).is_ok(), "{other}");
            assert!(body.check(b"\"a\"", &mut scratch).is_err(), "{other}");
        }
        // Never the anchor of another file.
        for other in [
            "B: {$ref: '#n'}\nC: {$anchor: n, type: integer}\n",
            "B: {$dynamicRef: '#n'}\nC: {$dynamicAnchor: n, type: integer}\n",
            "B: {$ref: 'o.yaml#n'}\nC: {$anchor: n, type: integer}\n",
        ] {
            let told = body(MORE, other).unwrap_err();
            assert!(told.contains("is read in the description itself"), "{told}");
        }
    }

    #[test]
    fn names_reach_through_the_whole_description() {
        let components = "components:\n  schemas:\n    A: {$anchor: n, type: integer}\n    I: {$id: 'https://x.example/i', type: integer}\n    J: {$id: 'https://x.example/j', $ref: i}\n    Page: {$id: page, properties: {items: {items: {$dynamicRef: '#item'}}}, $defs: {item: {$dynamicAnchor: item, not: {}}}}\n    Own: {$id: own, $ref: page, $defs: {item: {$dynamicAnchor: item, type: integer}}}\n";
        for (reference, right, wrong) in [
            ("#n", "1", "\"a\""),
            ("https://x.example/i", "1", "\"a\""),
            ("#/components/schemas/J", "1", "\"a\""),
            (
                "#/components/schemas/Own",
                r#"{"items":[1]}"#,
                r#"{"items":["a"]}"#,
            ),
            ("own", r#"{"items":[1]}"#, r#"{"items":["a"]}"#),
        ] {
            let text = ROOT.replace("parts/order.yaml", reference) + components;
            let document = Document::read_with(Path::new("root.yaml"), &text, &open).unwrap();
            let pointer = "/paths/~1a/post/requestBody/content/application~1json/schema";
            let body = Schema::compile(&document.tree.root, pointer, document.dialect).unwrap();
            let mut scratch = Scratch::default();
            assert!(
                body.check(right.as_bytes(), &mut scratch).is_ok(),
                "{reference}"
            );
            assert!(
                body.check(wrong.as_bytes(), &mut scratch).is_err(),
                "{reference}"
            );
        }
    }
}
