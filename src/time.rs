//! Time as a value: the decisions never read a clock, they are handed one of these.

/// One reading of both clocks, taken by the shell and passed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic nanoseconds since an arbitrary start shared by the whole process.
    pub monotonic_ns: u64,
    /// Wall clock, seconds since 1970-01-01T00:00:00Z; for `exp`, `nbf` and logs.
    pub unix_s: i64,
}
