//! Injections into SQL and into pages, told by the grammar and not by patterns.
//!
//! A value is cut into tokens as the parser that it would reach cuts it, from each place where a
//! value may stand in a query or in markup. Nothing is allocated, time is linear in the value.

mod clause;
mod fold;
mod html;
mod lexer;
mod sqli;
mod words;
mod xss;

#[cfg(test)]
mod templates;

pub use fold::Fingerprint;
pub use sqli::{find as find_sqli, sqli};
pub use xss::{find as find_xss, xss};
