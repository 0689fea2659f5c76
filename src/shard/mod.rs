//! The shell: sockets, memory, time. The only code that knows io_uring.

pub mod buffer;
pub mod core;
pub mod deadline;
pub mod ring;
pub mod upstream;
