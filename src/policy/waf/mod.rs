//! An attack? Rules of the OWASP Core Rule Set and our own, on everything a client sends.
//!
//! ```text
//! rule files -> seclang -> draft -> compile -> RuleSet        at load
//! message -> gather -> values -> inspection -> verdict, hits  per message, and per answer to it
//! ```

mod answers;
pub mod body;
mod body_values;
mod bounded;
pub mod budget;
mod candidates;
mod carry;
pub mod collection;
pub mod compile;
pub mod draft;
mod evaluate;
pub mod exclusion;
pub mod fold;
pub mod found;
pub mod fuel;
mod gather;
pub mod hit;
pub mod injection;
pub mod inspection;
pub mod load;
mod look_around;
mod mark;
mod matched;
pub mod memory;
pub mod message;
pub mod operator;
pub mod outbound;
pub mod pattern;
pub mod place;
pub mod pointer;
pub mod prefilter;
pub mod rule;
mod schedule;
pub mod score;
pub mod seclang;
pub mod stage;
mod state;
pub mod target;
pub mod template;
pub mod transform;
mod tx;
pub mod values;
pub mod view;
