//! What something was made from, as one value to compare: two that are equal were made from the same.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

/// SHA-256 over parts, each behind its length, so that no two lists of parts run together.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprint([u8; SHA256_OUTPUT_LEN]);

impl Fingerprint {
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Fingerprint {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(context.finish().as_ref());
        Fingerprint(bytes)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// It may be that of a secret.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[fingerprint]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let of = |parts: &[&'static str]| Fingerprint::of(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        for other in [&["ab"][..], &["b", "a"], &["a", "b", ""], &["", "ab"], &[]] {
            assert_ne!(of(&["a", "b"]), of(other), "{other:?}");
        }
        assert_eq!(format!("{:?}", of(&["a"])), "[fingerprint]");
    }
}
