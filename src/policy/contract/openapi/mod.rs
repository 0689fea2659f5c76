//! The description of an API (OpenAPI 3.0 and 3.1) becomes the list of its operations.
//!
//! The document is the allow list, so everything in it that bears on a request is either enforced
//! or an error with its place: nothing is read and then ignored. Not judged are the parts that
//! describe and do not bind a request or its response: `callbacks`, `links`, `webhooks`, examples,
//! tags, texts and `x-` extensions. Components are judged where an operation uses them. Other files are read where references name them,
//! below the directory of the description only.

mod bundle;
mod compiled;
mod content;
mod document;
mod form;
mod lint;
mod media;
mod node;
mod number;
mod operation;
mod parameter;
mod place;
mod positions;
mod reading;
mod response;
mod security;
mod server;
#[cfg(test)]
mod tests;
pub mod yaml;

pub use document::{DeclaredParameter, Document, Operation, Security};
pub use lint::Found;
