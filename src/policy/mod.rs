//! Messages to decisions. Pure: no await, clock, lock or log, so that any decision can be tested
//! with a function call.

pub mod authn;
pub mod contract;
pub mod denial;
pub mod identity;
pub mod ratelimit;
pub mod route;
