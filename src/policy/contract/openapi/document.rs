//! A description, the operations in it, and where everything in it stands.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Position};
use crate::policy::contract::Contract;
use crate::policy::contract::lint::Levels;
use crate::policy::contract::openapi::bundle::{self, Open, Other};
use crate::policy::contract::openapi::lint::{self, Found};
use crate::policy::contract::openapi::node::{Node, Report, sorted};
use crate::policy::contract::openapi::operation;
use crate::policy::contract::openapi::yaml::{self, Tree};
use crate::policy::contract::parameters::Location;
use crate::policy::contract::response::Responses;
use crate::policy::contract::schema::{Backtracking, Dialect};
use crate::policy::route::Segment;

/// A description that was read and has a supported version.
#[derive(Debug)]
pub struct Document {
    pub(super) file: PathBuf,
    pub(super) tree: Tree,
    /// The other files that it is in.
    others: Vec<Other>,
    pub(super) dialect: Dialect,
    pub(super) levels: Levels,
    pub(super) backtracking: Backtracking,
}

/// What a description says of one operation.
#[derive(Clone)]
pub struct Operation {
    /// `operationId`, unique in the document: visible ASCII; or method and path, where there is none.
    pub id: String,
    /// The JSON pointer to it.
    pub pointer: String,
    /// In capitals, as in a request line.
    pub method: String,
    /// The template with the path of the server before it.
    pub path: String,
    pub template: Vec<Segment>,
    /// Where the method stands in the file.
    pub position: Position,
    pub security: Security,
    pub parameters: Vec<DeclaredParameter>,
    pub contract: Contract,
    /// None: the operation does not say what it answers. What is wrong with the responses bears
    /// only on operations whose responses are checked.
    pub responses: Option<Result<Responses, Vec<Diagnostic>>>,
    /// What is wrong with the operation itself; one that is faulty must not be served.
    pub faults: Vec<Diagnostic>,
    /// What its schemas say without effect.
    pub notes: Vec<Found>,
}

/// A parameter by its place and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredParameter {
    pub location: Location,
    pub name: String,
    pub required: bool,
    pub is_array: bool,
    /// Whether the value stands in the request as it is, so that it can be compared with another.
    pub is_plain: bool,
}

/// Who may call an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// The document does not say, neither here nor for all operations.
    Undeclared,
    /// Everyone: no requirement, or an empty one among others.
    Anonymous,
    /// The bearer of a token that has all scopes of one of the alternatives.
    Scopes(Vec<Vec<String>>),
}

impl Document {
    /// Reads the text of `file`, which refers to no other. All that is wrong with the text and the
    /// outermost keys at once.
    pub fn read(file: &Path, text: &str) -> Result<Document, Vec<Diagnostic>> {
        let nothing = |name: &str| Err(format!("{name} is another file, and none is read here"));
        Document::read_with(file, text, &nothing)
    }

    /// The same, with other files by their path relative to the directory of `file`.
    pub fn read_with(file: &Path, text: &str, open: Open<'_>) -> Result<Document, Vec<Diagnostic>> {
        let mut tree = yaml::read(text).map_err(|faults| {
            let told = faults.into_iter().map(|fault| {
                Diagnostic::new(file, fault.position, fault.message).with_hint(fault.hint)
            });
            told.collect::<Vec<_>>()
        })?;
        let mut document = Document {
            file: file.to_owned(),
            others: bundle::bundle(&mut tree, file, open)?,
            tree,
            dialect: Dialect::OpenApi31,
            levels: Levels::default(),
            backtracking: Backtracking::new([], Backtracking::STEPS),
        };
        let mut report = Report::new(&document);
        let dialect = version(&mut report);
        operation::check_outline(&mut report);
        let dialect = report.settle(dialect)?;
        // Without a dialect there was an error.
        document.dialect = dialect.unwrap_or(document.dialect);
        Ok(document)
    }

    /// The same document, read with other levels: what they tolerate is no error.
    #[must_use]
    pub fn with_levels(self, levels: Levels) -> Document {
        Document { levels, ..self }
    }

    /// The same document, with patterns that need not run in linear time.
    #[must_use]
    pub fn with_backtracking(self, backtracking: Backtracking) -> Document {
        Document {
            backtracking,
            ..self
        }
    }

    /// What of it was asked for, when all operations have been read.
    pub fn backtracking(&self) -> &Backtracking {
        &self.backtracking
    }

    /// What is open, impossible or without effect in these operations of the document, each thing
    /// once, in the order of the file.
    pub fn lints(&self, operations: &[Operation]) -> Vec<Found> {
        let mut found = lint::read(self, operations);
        found.extend(
            operations
                .iter()
                .flat_map(|each| each.notes.iter().cloned()),
        );
        let key = |each: &Found| {
            (
                each.diagnostic.position,
                each.lint,
                each.diagnostic.pointer.clone(),
            )
        };
        found.sort_by_key(key);
        found.dedup_by_key(|each| key(each));
        found
    }

    /// All operations in the order of the file, below the path of the servers that the document
    /// names; all errors at once.
    pub fn operations(&self) -> Result<Vec<Operation>, Vec<Diagnostic>> {
        let mut operations = self.all_operations(None)?;
        let faults = operations
            .iter_mut()
            .flat_map(|each| std::mem::take(&mut each.faults));
        let faults = sorted(faults.collect());
        match faults.is_empty() {
            true => Ok(operations),
            false => Err(faults),
        }
    }

    /// The same, but what is wrong with single operations stands in them: whoever takes them must
    /// not serve a faulty one. `base` (`/v1`, or nothing) stands in place of the servers' path.
    pub fn all_operations(&self, base: Option<&str>) -> Result<Vec<Operation>, Vec<Diagnostic>> {
        operation::read(self, base)
    }

    /// The file that what a JSON pointer leads to stands in.
    pub(super) fn file(&self, pointer: &str) -> &Path {
        self.other(pointer)
            .map_or(&self.file, |(other, _)| &other.file)
    }

    /// Where a JSON pointer leads: the key of a member, the start of an item, or the nearest
    /// place above that exists.
    pub fn position(&self, pointer: &str) -> Position {
        let found = match self.other(pointer) {
            Some((other, within)) => other.positions.nearest(within),
            None => self.tree.positions.nearest(pointer),
        };
        found.unwrap_or(Position::START)
    }

    /// The other file that a JSON pointer leads into, and the pointer within it.
    fn other<'p>(&self, pointer: &'p str) -> Option<(&Other, &'p str)> {
        self.others.iter().find_map(|other| {
            let within = pointer.strip_prefix(other.place.as_str())?;
            (within.is_empty() || within.starts_with('/')).then_some((other, within))
        })
    }

    /// The document as one value.
    pub fn value(&self) -> &Value {
        &self.tree.root
    }

    pub(super) fn root(&self) -> Node<'_> {
        Node {
            pointer: String::new(),
            value: &self.tree.root,
        }
    }
}

/// The dialect for the version that the document names.
fn version(report: &mut Report<'_>) -> Option<Dialect> {
    const HINT: &str = "write `openapi: \"3.1.0\"` or another 3.0 or 3.1 version";
    let root = report.document.root();
    if let Some(old) = root.member("swagger") {
        report.error(
            &old,
            "Swagger 2.0 is not supported",
            "convert it to OpenAPI 3",
        );
        return None;
    }
    let Some(version) = root.member("openapi") else {
        report.error(&root, "not an OpenAPI document: no `openapi`", HINT);
        return None;
    };
    let Value::String(text) = version.value else {
        report.error(&version, "`openapi` must be a text", HINT);
        return None;
    };
    let mut parts = text.splitn(3, '.');
    let release = (parts.next(), parts.next(), parts.next());
    match release {
        (Some("3"), Some("0"), Some(_)) => Some(Dialect::OpenApi30),
        (Some("3"), Some("1"), Some(_)) => Some(Dialect::OpenApi31),
        _ => {
            report.error(&version, "this version of OpenAPI is not supported", HINT);
            None
        }
    }
}
