//! An attack? Rules of the OWASP Core Rule Set and our own, on everything a client sends.

pub mod collection;
pub mod draft;
pub mod pattern;
pub mod place;
pub mod seclang;
pub mod target;
pub mod template;
pub mod transform;
