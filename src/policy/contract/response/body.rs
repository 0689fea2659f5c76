//! The body of a response: judged, and rid of what is not for its reader.

use super::{Enforcement, Expected, ResponseContract, refused};
use crate::policy::contract::Scratch;
use crate::policy::contract::body::{Content, Media};
use crate::policy::contract::forms::Broken;
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
        scratch.begin(self.violations);
        let Some(media) = self.media(expected) else {
            return Ok(expected);
        };
        let edits = self.edits(media);
        let wanted = self.wanted(sees);
        let outcome = match &media.content {
            Content::Json(schema) if edits => schema
                .edit(body, wanted, &mut scratch.schema)
                .map_err(broken),
            Content::Records(records) if edits => records.edit(body, wanted, &mut scratch.memory()),
            content => check(content, body, scratch).map(|()| Edited::default()),
        };
        match outcome {
            Ok(edited) => self.edited(expected, &edited, scratch),
            Err((pointer, rule)) => {
                let fault = refused(Denial::InvalidResponse, &pointer, rule);
                let outcome = self.fault((expected.declared, None), edits, fault, scratch);
                scratch.add_found("response");
                outcome
            }
        }
    }

    /// What has to go, as `sees` tells of the reader.
    pub(super) fn wanted<'a>(&'a self, sees: &'a Sees<'_>) -> Wanted<'a> {
        Wanted {
            undeclared: match self.enforcement {
                Enforcement::Reject => Undeclared::Refused,
                Enforcement::Strip => Undeclared::Stripped,
                Enforcement::Report => Undeclared::Noted,
            },
            sees,
            masks: &self.masks.pointers,
            key: self.masks.key.as_ref(),
            count: self.items.as_ref().map(|items| &items.pointer),
        }
    }

    pub(super) fn media(&self, expected: Expected) -> Option<&Media> {
        let declared = &self.responses.declared[expected.declared?];
        declared.media.get(expected.media_type?)
    }

    /// Whether anything of a body may have to be taken out, changed or counted.
    pub(super) fn edits(&self, media: &Media) -> bool {
        let has_members = matches!(media.content, Content::Json(_) | Content::Records(_));
        let has_views = media.schema().is_some_and(Schema::has_views);
        has_members
            && (matches!(self.enforcement, Enforcement::Strip | Enforcement::Report)
                || self.items.is_some()
                || !self.masks.pointers.is_empty()
                || has_views)
    }

    pub(super) fn edited(
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
            scratch.add_found("response");
            reported = Some(denial);
        }
        Ok(Expected {
            reported,
            is_changed: edited.is_changed,
            ..expected
        })
    }
}

/// Checks a body that leaves as it came.
fn check(content: &Content, body: &[u8], scratch: &mut Scratch) -> Result<(), Broken> {
    match content {
        Content::Json(schema) => schema.check(body, &mut scratch.schema).map_err(broken),
        Content::Text(text) => text.check(body, &mut scratch.memory()),
        Content::Records(records) => records.check(body, &mut scratch.memory()),
        Content::Bytes(lengths) => {
            let checked = lengths.check(body.len() as u64);
            checked.map_err(|rule| (String::new(), rule))
        }
        // Forms are not answered: a description that says so does not load.
        Content::Form(_) | Content::Parts(_) => Err((String::new(), "content")),
        Content::Unread => Ok(()),
    }
}

pub(super) fn broken(violation: Violation) -> Broken {
    (violation.pointer, violation.keyword)
}
