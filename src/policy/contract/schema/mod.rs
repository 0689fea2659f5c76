//! Schemas: compiled once from JSON Schema as OpenAPI uses it, checked along an index of the
//! structure of a body.
//!
//! What stays true: a keyword is enforced or it is an error at load; a body is only read; repeated
//! keys, invalid UTF-8 and depth beyond the limit are refused wherever they stand, described or
//! not; numbers are compared as they are written, whatever their size.

mod backtracking;
mod check;
mod common;
mod compile;
mod direct;
mod each;
mod format;
mod fuse;
mod index;
mod lead;
mod leaf;
mod literal;
mod mask;
mod names;
mod number;
mod pattern;
mod program;
mod removable;
mod resource;
mod sequence;
mod text;
pub mod uri;
mod vector;
mod view;
mod walk;

#[cfg(test)]
mod backtracking_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

use crate::policy::contract::lint::Lint;

pub use backtracking::Backtracking;
pub use check::{Edited, Scratch, Violation, Wanted, is_number};
pub use common::Common;
pub use direct::DEPTH;
pub use each::Each;
pub use format::{Format, NUMBER_FORMATS};
pub use mask::{Mask, MaskKey};
pub use pattern::bounds_length;
pub use resource::{Documents, LISTS_OF_SCHEMAS, MAPS_OF_SCHEMAS, ONE_SCHEMA};
pub use text::quote;
pub use view::{VIEW_KEYWORDS, meant};
pub use walk::{Pointer, Undeclared, is_over};

use program::{Program, RuleId};
use view::Views;

/// Longest chain of schemas that look at one value, each by way of the one before.
const CHAIN: usize = 32;

/// The stack that a check takes at most, with some to spare: as deep as a body may be, with as many
/// schemas at each depth as may look at one value.
pub const STACK: usize = 8 << 20;

/// Which reading of JSON Schema a document uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAPI 3.0: an extended subset of draft 4.
    OpenApi30,
    /// OpenAPI 3.1: JSON Schema 2020-12.
    OpenApi31,
}

/// What makes a schema unusable, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// JSON pointer (RFC 6901) into the document.
    pub pointer: String,
    pub message: String,
    pub hint: Option<String>,
}

/// What a schema says without effect, or with less than it seems to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaLint {
    pub lint: Lint,
    pub said: SchemaError,
}

/// A compiled schema. Copies share everything, until one of them is told to mask a format that it
/// has.
#[derive(Clone, Debug)]
pub struct Schema {
    program: Arc<Program>,
    plan: Arc<direct::Plan>,
    views: Arc<Views>,
    root: RuleId,
    lints: Arc<[SchemaLint]>,
}

/// Which way a value goes: `readOnly` members are refused in requests and not required there,
/// `writeOnly` ones in responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Request,
    Response,
    /// Both keywords are notes only, as JSON Schema has them.
    Neither,
}

/// What `format` means; the specifications leave it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formats {
    /// Checked, and an error at load where there is no check.
    Enforced,
    /// Checked where there is a check, and notes elsewhere.
    Known,
    /// Notes for readers.
    Noted,
}

/// What becomes of a keyword that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// An error at load: whoever wrote it expects it to be enforced.
    Refused,
    /// A note for readers (JSON Schema 2020-12 core, section 6.5).
    Noted,
}

/// The text of numbers that no double holds, by the JSON pointer to them.
pub type Numbers = ahash::AHashMap<String, Box<str>>;

/// Whether the part of a schema that stands at a pointer is asked for.
type Wants<'d> = &'d dyn Fn(&str) -> bool;

/// Parts of a schema, by the pointers to them.
type Parts = Vec<(String, Schema)>;

/// What a schema is compiled with.
#[derive(Clone, Copy)]
pub struct Compiler<'d> {
    document: &'d Value,
    dialect: Dialect,
    direction: Direction,
    address: &'d str,
    documents: Option<&'d Documents>,
    common: Option<&'d Common>,
    numbers: Option<&'d Numbers>,
    backtracking: Option<&'d Backtracking>,
    formats: Formats,
    unknown: Unknown,
    parts: Wants<'d>,
}

impl<'d> Compiler<'d> {
    /// For requests, with references within the document only.
    pub fn new(document: &'d Value, dialect: Dialect) -> Compiler<'d> {
        Compiler {
            document,
            dialect,
            direction: Direction::Request,
            address: "",
            documents: None,
            common: None,
            numbers: None,
            backtracking: None,
            formats: Formats::Enforced,
            unknown: Unknown::Refused,
            parts: &|_| false,
        }
    }

    pub fn unknown(self, unknown: Unknown) -> Compiler<'d> {
        Compiler { unknown, ..self }
    }

    pub fn formats(self, formats: Formats) -> Compiler<'d> {
        Compiler { formats, ..self }
    }

    pub fn direction(self, direction: Direction) -> Compiler<'d> {
        Compiler { direction, ..self }
    }

    /// The URI of the document, and other documents by theirs. Nothing else is ever loaded.
    pub fn documents(self, address: &'d str, documents: &'d Documents) -> Compiler<'d> {
        Compiler {
            address,
            documents: Some(documents),
            ..self
        }
    }

    /// What was found out when other schemas of the same document were compiled.
    pub fn common(self, common: &'d Common) -> Compiler<'d> {
        Compiler {
            common: Some(common),
            ..self
        }
    }

    /// The numbers of the document that no double holds.
    pub fn numbers(self, numbers: &'d Numbers) -> Compiler<'d> {
        Compiler {
            numbers: Some(numbers),
            ..self
        }
    }

    /// The patterns that need not run in linear time.
    pub fn backtracking(self, allowed: &'d Backtracking) -> Compiler<'d> {
        Compiler {
            backtracking: Some(allowed),
            ..self
        }
    }

    /// Compiles the schema at `pointer`, with all that it refers to; all errors at once.
    pub fn compile(&self, pointer: &str) -> Result<Schema, Vec<SchemaError>> {
        compile::compile(self, pointer).map(|(schema, _)| schema)
    }

    /// The same, and the schemas that it refers to and that are asked for by their pointers, as far
    /// as they are what they would be alone. All share one program.
    pub fn compile_with_parts(
        &self,
        pointer: &str,
        wants: Wants<'_>,
    ) -> Result<(Schema, Parts), Vec<SchemaError>> {
        let wanting = Compiler {
            parts: wants,
            ..*self
        };
        compile::compile(&wanting, pointer)
    }
}

impl Schema {
    /// Compiles the schema at `pointer` of `document`, with all that it refers to; all errors at
    /// once.
    pub fn compile(
        document: &Value,
        pointer: &str,
        dialect: Dialect,
    ) -> Result<Schema, Vec<SchemaError>> {
        Compiler::new(document, dialect).compile(pointer)
    }

    /// Whether it would be another one in the other direction.
    pub fn is_directed(&self) -> bool {
        self.views.is_directed
    }

    /// Whether it names scopes or roles that see a value, or a mask.
    pub fn hides(&self) -> bool {
        self.views.is_said()
    }

    /// Whether there may be values that do not leave, or not as they are.
    pub fn has_views(&self) -> bool {
        self.views.is_any()
    }

    /// Whether scopes or roles decide what of a value leaves.
    pub fn has_audiences(&self) -> bool {
        !self.views.audiences().is_empty()
    }

    /// Masks the values of a format wherever they leave.
    pub fn mask_format(&mut self, format: &str, mask: Mask) {
        if self.formats().any(|own| own == format) {
            Arc::make_mut(&mut self.views).mask_format(format, mask);
        }
    }

    /// The formats that it names.
    pub fn formats(&self) -> impl Iterator<Item = &str> {
        self.views.formats()
    }

    /// What has less effect than it seems to have; nothing that makes a schema unusable.
    pub fn lints(&self) -> &[SchemaLint] {
        &self.lints
    }
}
