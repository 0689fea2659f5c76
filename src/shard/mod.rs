//! The shell: sockets, memory, time. The only code that knows io_uring.

pub mod core;
pub mod ring;
