//! An attack? What requests say, in the forms that servers read it, and what stands in it.

pub mod body;
pub mod injection;
pub mod transform;
