//! Portcullis, an API security gateway.
//!
//! **Decide in pure code, act in thin code, prove it with types.** Modules are declared in the
//! order of the layers: each may import only from those above it.
//!
//! * [`time`], [`diagnostic`], [`problem`]: values without behaviour, used everywhere.
//! * [`proto`]: bytes to messages. No sockets, no clock.
//! * [`policy`]: messages to decisions. No await, clock, lock or log.
//! * [`shard`]: the shell, thread-per-core: it moves the bytes.

pub mod diagnostic;
pub mod problem;
pub mod time;

pub mod proto;

pub mod policy;

pub mod config;

pub mod shard;
