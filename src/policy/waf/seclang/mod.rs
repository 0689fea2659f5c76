//! SecLang, the rule language of ModSecurity, as far as version 3.3 and 4 of the OWASP Core Rule
//! Set use it: text to [drafts](crate::policy::waf::draft).

mod action;
pub mod bodies;
mod effect;
mod fault;
pub mod glob;
mod lexer;
mod loader;
mod rule;
mod traits;
mod unfed;
mod variables;

#[cfg(test)]
mod tests;

pub use loader::{Files, Loaded, load};
