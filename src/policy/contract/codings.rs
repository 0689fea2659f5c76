//! In which codings bodies may come (RFC 9110 section 8.4): those that an operation says are taken
//! off before anything is checked, and what is sent on has none.

use crate::policy::denial::Denial;
use crate::proto::coding::Coding;
use crate::proto::head::RequestHead;
use crate::proto::header::SealedNames;

const FIELD: &str = "Content-Encoding";

/// The codings that are taken off.
#[derive(Clone, Debug)]
pub struct Codings {
    allowed: Box<[Coding]>,
    /// `Content-Encoding` in all spellings that backends take for it.
    names: SealedNames,
}

impl Default for Codings {
    /// None.
    fn default() -> Codings {
        Codings::new(Vec::new())
    }
}

impl Codings {
    pub fn new(allowed: Vec<Coding>) -> Codings {
        Codings {
            allowed: allowed.into(),
            names: SealedNames::new([FIELD]),
        }
    }

    pub fn allowed(&self) -> &[Coding] {
        &self.allowed
    }

    /// The one coding of a body; none where it has none.
    pub fn check(
        &self,
        head: &RequestHead,
        bytes: &[u8],
    ) -> Result<Option<Coding>, (Denial, &'static str)> {
        let refused = Err((Denial::EncodedBody, "content-encoding"));
        let mut found = None;
        for field in &head.fields {
            let (name, value) = (field.name.of(bytes), field.value.of(bytes));
            if !self.names.cover(name) || value.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let is_plain = name.eq_ignore_ascii_case(FIELD.as_bytes()) && !field.hop_by_hop;
            let coding = Coding::read(value).filter(|coding| self.allowed.contains(coding));
            let (true, Some(coding), None) = (is_plain, coding, found) else {
                return refused;
            };
            found = Some(coding);
        }
        Ok(found)
    }
}
