//! How much of a message a rule set looks at.

use crate::config::file;
use crate::config::reader::{At, Reader};
use crate::policy::waf::budget::Budget;

/// What is looked at of one message when nothing else is said.
const USUAL: Budget = Budget {
    bytes: 128 * 1024,
    values: 16 * 1024,
    depth: 64,
    variants: 64,
    steps: 64 * 1024 * 1024,
};

/// The most that may be said: a body is read in one step, which takes some 16 ms for so many bytes.
const MOST_BYTES: usize = 1024 * 1024;

/// Readers of documents keep their place on the stack.
const MOST_LEVELS: usize = 256;

pub(super) fn compile(reader: &Reader<'_>, declared: &file::Waf) -> Budget {
    let max_bytes = declared.max_bytes.as_ref();
    if let Some(at) = max_bytes.filter(|at| at.value.0 > MOST_BYTES) {
        let message = "so much would be read in one step that all others wait longer than 20 ms";
        let hint = "write at most \"1MiB\"; a single value may take 512KiB of it";
        reader.error(at.position, message, hint);
    }
    let max_depth = declared.max_depth.as_ref();
    if let Some(at) = max_depth.filter(|at| at.value > MOST_LEVELS) {
        let message = "documents are not read so deeply";
        reader.error(at.position, message, "write 1 to 256");
    }
    Budget {
        bytes: max_bytes.map_or(USUAL.bytes, |at| at.value.0),
        values: most(reader, declared.max_values.as_ref(), USUAL.values),
        depth: most(reader, max_depth, USUAL.depth),
        variants: most(reader, declared.max_variants.as_ref(), USUAL.variants),
        steps: most(reader, declared.max_steps.as_ref(), USUAL.steps),
    }
}

fn most(reader: &Reader<'_>, declared: Option<&At<usize>>, usual: usize) -> usize {
    let Some(at) = declared else { return usual };
    if at.value == 0 {
        let message = "nothing at all would be within the budget";
        let hint = "write 1 or more, or remove it: each bound has a default";
        reader.error(at.position, message, hint);
    }
    at.value
}
