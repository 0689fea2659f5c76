//! How often: quotas that hold across shards.
//!
//! One bucket per (quota, key) lives in the shared [`Cells`]; each shard spends from it through
//! its own [`Leases`]. Within any span of time the requests let through for one key stay at or
//! below `burst + rate * span`, on however many shards they arrive.

mod cell;
mod fields;
mod lease;
mod limits;
mod prefix;
mod quota;

pub use cell::{Cells, Grant, Key, Refusal};
pub use fields::{write_policy, write_remaining, write_retry_after};
pub use lease::{Leases, Limited, Remaining, Request, Tuning};
pub use limits::{Limit, Limits, Per};
pub use prefix::{SourceKey, SourcePrefix};
pub use quota::{Quota, Rate};
