//! The body of a response: judged, and rid of what is not for its reader.

use super::{Enforcement, Expected, ResponseContract, refused};
use crate::policy::contract::Scratch;
use crate::policy::contract::schema::{Edited, Schema, Undeclared, Violation, Wanted};
use crate::policy::denial::Denial;

/// Whether the reader has one of these scopes or roles.
pub type Sees<'a> = dyn Fn(&[Box<str>]) -> bool + 'a;

impl ResponseContract {
    /// `body` is the whole content without its framing. What leaves instead where it is changed is
    /// [`Scratch::rewritten`].
    pub fn check_body(
        &self,
        expected: Expected,
        body: &[u8],
        sees: &Sees<'_>,
        scratch: &mut Scratch,
    ) -> Result<Expected, Denial> {
        scratch.begin();
        let Some(schema) = self.schema(expected) else {
            return Ok(expected);
        };
        if !self.edits(schema) {
            return match schema.check(body, &mut scratch.schema) {
                Ok(()) => Ok(expected),
                Err(violation) => self.invalid(expected, &violation, false, scratch),
            };
        }
        let wanted = Wanted {
            undeclared: match self.enforcement {
                Enforcement::Reject => Undeclared::Refused,
                Enforcement::Strip => Undeclared::Stripped,
                Enforcement::Report => Undeclared::Noted,
            },
            sees,
            masks: &self.masks.pointers,
            key: self.masks.key.as_ref(),
            count: self.items.as_ref().map(|items| &items.pointer),
        };
        match schema.edit(body, wanted, &mut scratch.schema) {
            Ok(edited) => self.edited(expected, &edited, scratch),
            Err(violation) => self.invalid(expected, &violation, true, scratch),
        }
    }

    fn schema(&self, expected: Expected) -> Option<&Schema> {
        let declared = &self.responses.declared[expected.declared?];
        declared.accepted.get(expected.media_type?)?.schema.as_ref()
    }

    /// Whether anything of a body may have to be taken out, changed or counted.
    fn edits(&self, schema: &Schema) -> bool {
        self.enforcement == Enforcement::Strip
            || self.items.is_some()
            || !self.masks.pointers.is_empty()
            || schema.has_views()
    }

    fn edited(
        &self,
        expected: Expected,
        edited: &Edited,
        scratch: &mut Scratch,
    ) -> Result<Expected, Denial> {
        let counted = self.items.as_ref().zip(edited.items);
        if let Some((items, count)) = counted.filter(|(items, count)| *count > items.most) {
            let found = format!("{count} of {}", items.most);
            return Err(scratch.refuse(Denial::TooManyItems, "response", &found, "items"));
        }
        let mut reported = expected.reported;
        if let Some(undeclared) = edited.undeclared.as_ref().filter(|_| reported.is_none()) {
            let (pointer, rule) = (&undeclared.pointer, undeclared.keyword);
            let denial = scratch.refuse(Denial::InvalidResponse, "response", pointer, rule);
            reported = Some(denial);
        }
        Ok(Expected {
            reported,
            is_changed: edited.is_changed,
            ..expected
        })
    }

    fn invalid(
        &self,
        expected: Expected,
        violation: &Violation,
        is_unread: bool,
        scratch: &mut Scratch,
    ) -> Result<Expected, Denial> {
        let fault = refused(
            Denial::InvalidResponse,
            &violation.pointer,
            violation.keyword,
        );
        self.fault((expected.declared, None), is_unread, fault, scratch)
    }
}
