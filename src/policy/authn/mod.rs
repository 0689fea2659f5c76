//! Who is asking: tokens to principals.
