//! As agreed? What the description of an operation says about its parameters and body.

pub mod openapi;

use crate::policy::denial::Denial;
use crate::proto::head::RequestHead;
use crate::proto::target::Path;

/// What a check reuses from one request to the next; one per shard.
#[derive(Default)]
pub struct Scratch {}

impl Scratch {
    pub fn lookup(&self, _pointer: &str) -> Option<&str> {
        None
    }
}

/// The contract of one operation.
pub struct Contract;

impl Contract {
    /// For a backend without a description: nothing is checked.
    pub fn none() -> Contract {
        Contract
    }

    pub fn reads_body(&self) -> bool {
        false
    }

    pub fn check_head(
        &self,
        _head: &RequestHead,
        _bytes: &[u8],
        _path: &Path,
        _scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        Ok(())
    }

    pub fn check_body(&self, _body: &[u8], _scratch: &mut Scratch) -> Result<(), Denial> {
        Ok(())
    }
}
