//! Messages to decisions. Pure: no await, clock, lock or log, so that any decision can be tested
//! with a function call.

pub mod authn;
pub mod authz;
pub mod catalogue;
pub mod contract;
pub mod denial;
pub mod egress;
pub mod identity;
pub mod inspector;
pub mod leak;
pub mod pipeline;
pub mod ratelimit;
pub mod redact;
pub mod route;
pub mod snapshot;
pub mod upstream;
pub mod waf;
