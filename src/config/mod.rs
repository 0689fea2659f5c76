//! Configuration as code: TOML in, a snapshot out, everything that is wrong told at once.

pub mod compile;
pub mod elsewhere;
pub mod file;
pub mod reader;
pub mod rules;
pub mod secret;
pub mod settings;
pub mod syntax;
pub mod tls;
pub mod units;

pub use compile::{Configuration, Kept, load, load_after};
