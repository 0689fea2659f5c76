//! GraphQL endpoints: what a request may ask for, decided from its document alone.
//!
//! The form of a request is the one of "GraphQL over HTTP": a JSON object in the body of a POST,
//! or the same members as parameters of a GET, which may hold queries only. What stays true: a
//! request that passes has exactly one operation to run, it is known, and its document keeps every
//! limit; nothing that the backend could run is passed unread. The one exception is a query that
//! an allow list holds by its hash alone.

mod document;
mod endpoint;
mod envelope;
mod measure;
mod persisted;
mod sizes;
mod weights;

pub use endpoint::{Endpoint, Limits, Memory, Settings, parameters};
pub use persisted::{Persisted, hash, read_hash};
pub use sizes::Sizes;
pub use weights::Weights;

/// The rule that a request breaks, as it stands in the log.
pub type Rule = &'static str;
