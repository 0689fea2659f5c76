//! Suites that others wrote, on the rules that they wrote. Nothing of them is kept here: they are
//! read from the directory that PORTCULLIS_CONFORMANCE names.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod benign;
mod cases;
mod detection;
#[path = "../rules/folder.rs"]
mod folder;
mod packaged;
mod published;
mod regression;
mod request;
mod rule_set;
