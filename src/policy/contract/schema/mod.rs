//! Schemas: compiled once from JSON Schema as OpenAPI uses it, checked on the tape of a body.
//!
//! What stays true: a keyword is enforced or it is an error at load; the checked bytes are a copy,
//! because the tape parser edits its input; repeated keys, invalid UTF-8, depth beyond the limit
//! and numbers that do not fit are refused wherever they stand, described or not.

mod compile;
mod format;
mod number;
mod pattern;
mod program;
mod tape;

use serde_json::Value;

pub use tape::{Scratch, Violation};

use program::{Program, RuleId};

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

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    program: Program,
    root: RuleId,
}

impl Schema {
    /// Compiles the schema at `pointer` of `document`, with all that it refers to; all errors at
    /// once.
    pub fn compile(
        document: &Value,
        pointer: &str,
        dialect: Dialect,
    ) -> Result<Schema, Vec<SchemaError>> {
        compile::compile(document, pointer, dialect)
    }
}
