//! Portcullis, an API security gateway.
//!
//! **Decide in pure code, act in thin code, prove it with types.** Modules are declared in the
//! order of the layers: each may import only from those above it.
//!
//! * [`time`], [`diagnostic`], [`problem`], [`fingerprint`]: values without behaviour, used everywhere.
//! * [`proto`]: bytes to messages. No sockets, no clock.
//! * [`policy`]: messages to decisions. No await, clock, lock or log.
//! * [`config`], [`telemetry`]: what operators write, and what they are shown.
//! * [`shard`]: the shell, thread-per-core: it moves the bytes.
//! * [`control`]: the slow side: signals, reload, the admin plane.
//! * [`cli`]: one file per command.

pub mod diagnostic;
pub mod fingerprint;
pub mod problem;
pub mod time;

pub mod proto;

pub mod policy;

pub mod config;
pub mod telemetry;

pub mod control;
pub mod shard;

pub mod cli;
