//! Decisions: a message in, an answer out. No await, no clock, no lock, no log.

pub mod authn;
pub mod contract;
pub mod ratelimit;
pub mod route;
