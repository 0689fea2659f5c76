//! As agreed? What the description of an operation says about its parameters and body.
//!
//! A [`Contract`] is compiled at load from an OpenAPI document and never changes. Of a request it
//! first sees the head, and says then whether it has to see the body too; a [`ResponseContract`] does
//! the same for a response.

pub mod accept;
pub mod body;
pub mod codings;
pub mod cutter;
mod detail;
pub mod field_names;
pub mod fields;
pub mod forms;
pub mod graphql;
pub mod lint;
pub mod media_type;
pub mod openapi;
pub mod page;
pub mod parameters;
pub mod reading;
pub mod records;
pub mod response;
pub mod schema;
pub mod sieve;

#[cfg(test)]
mod form_tests;
#[cfg(test)]
mod style_tests;
mod terms;
#[cfg(test)]
mod tests;

pub use detail::{Detail, Details};
pub use response::ResponseContract;
pub use terms::{Body, Contract, Scratch};
