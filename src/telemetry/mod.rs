//! What operators are shown: counters, histograms, one log line per request. Nothing here waits for
//! a reader, and nothing secret is ever in it.

pub mod access_log;
pub mod counter;
pub mod log;
pub mod metrics;
