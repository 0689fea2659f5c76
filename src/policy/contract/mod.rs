//! As agreed? What the description of an operation says about its parameters and body.
//!
//! A [`Contract`] is compiled at load from an OpenAPI document and never changes. Of a request it
//! first sees the head, and says then whether it has to see the body too. Responses are not
//! checked here.

pub mod body;
pub mod media_type;
pub mod openapi;
pub mod parameters;
pub mod schema;

mod terms;
#[cfg(test)]
mod tests;

pub use terms::{Body, Contract, Detail, Scratch};
