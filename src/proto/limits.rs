//! Every bound on untrusted input, and why that number.

/// Longest request line. Peers allow 8 KiB; identifiers and filters of an API fit well below.
pub const REQUEST_LINE: usize = 8 * 1024;

/// Longest whole head, the request or status line included: one receive block.
pub const HEAD: usize = 16 * 1024;

/// Most fields of one head. Browsers send some 20, gateways in front add a dozen.
pub const FIELDS: usize = 100;

/// Longest field name. Offsets are 16 bit; a name is far shorter.
pub const FIELD_NAME: usize = 256;

/// Most segments of a path: a published operation has rarely more than ten.
pub const SEGMENTS: usize = 32;

/// Most digits of a chunk size: four gigabytes in one chunk. Nobody sends more, and parsers that
/// count in 32 bits or with a sign read other numbers there. Zeros in front have no honest use.
pub const CHUNK_DIGITS: u32 = 8;

/// Longest chunk-size line with its extensions (RFC 9112 section 7.1.1 leaves the bound to us).
pub const CHUNK_LINE: usize = 256;

/// Longest trailer section. Trailers are read to find the end of the message, then dropped.
pub const TRAILERS: usize = 8 * 1024;

/// Most interim (1xx) responses before the final one; more is a flood.
pub const INTERIM_RESPONSES: u32 = 10;
