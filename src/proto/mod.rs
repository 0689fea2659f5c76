//! Bytes to messages and back, without I/O.
//!
//! A head is parsed once into an offset table over its own bytes; every later stage reads that
//! table, and what is sent on is written from it, never copied raw.

mod error;

pub mod body;
pub mod cache_control;
pub mod coding;
pub mod cookie;
pub mod encode;
pub mod forwarded;
pub mod graphql;
pub mod head;
pub mod header;
pub mod limits;
pub mod multipart;
pub mod percent;
pub mod proxy_protocol;
pub mod query;
pub mod target;
pub mod transcode;
pub mod websocket;

pub use error::Error;
