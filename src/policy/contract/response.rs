//! Which answers an operation may give (OpenAPI "Responses Object").
//!
//! Deny-all as on the way in: a status, a media type or a header field that is not declared does
//! not leave, and a body leaves only after its schema has seen it. A fault is refused, or, where
//! the configuration says `report`, noted; but where something is hidden, masked or counted, a
//! body that could not be read is never let out.

mod body;
mod declared;
mod stream;
mod undeclared;

pub use stream::Stream;
pub use undeclared::UndeclaredFields;

use crate::policy::contract::Scratch;
use crate::policy::contract::body::{Content, Media};
use crate::policy::contract::field_names::FieldNames;
use crate::policy::contract::schema::{Mask, MaskKey, Pointer, Schema};
use crate::policy::denial::Denial;
use crate::proto::body::Framing;
use crate::proto::encode;
use crate::proto::head::ResponseHead;
use crate::proto::header::{Kind, SealedNames};

/// Fields that any response may have: they describe the message, its caching and its place, and
/// no backend tells about itself with them.
const SAFE: [&str; 17] = [
    "Allow",
    "Age",
    "Cache-Control",
    "Content-Disposition",
    "Content-Language",
    "Content-Type",
    "Date",
    "Deprecation",
    "ETag",
    "Expires",
    "Last-Modified",
    "Link",
    "Location",
    "Retry-After",
    "Sunset",
    "Vary",
    "WWW-Authenticate",
];

/// Fields of a response whose body is passed on unread, where no byte of it is changed.
const SAFE_UNREAD: [&str; 4] = [
    "Accept-Ranges",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
];

/// What a request for a response that has to be seen whole does not ask (RFC 9110 sections 12.5.3
/// and 14.2).
pub const UNWANTED: [&str; 3] = ["Accept-Encoding", "If-Range", "Range"];

/// The key of a declared response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Exact(u16),
    /// `4XX` as 4.
    Class(u16),
    Default,
}

/// A declared header field.
#[derive(Clone)]
pub struct Header {
    pub name: Box<str>,
    pub required: bool,
    /// Whether the value is a list with commas.
    pub is_list: bool,
    pub schema: Schema,
}

/// One declared response.
#[derive(Clone)]
pub struct Declared {
    pub status: Status,
    /// Empty: no content.
    pub media: Box<[Media]>,
    pub headers: Box<[Header]>,
}

/// What becomes of a response that is not as declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// The client gets a 502 instead.
    #[default]
    Reject,
    /// Undeclared members of bodies are taken out; everything else as in `Reject`.
    Strip,
    /// It passes, and is noted.
    Report,
}

/// The responses of one operation.
#[derive(Clone)]
pub struct Responses {
    declared: Box<[Declared]>,
}

/// The responses of one operation, and how they are enforced.
pub struct ResponseContract {
    responses: Responses,
    enforcement: Enforcement,
    /// Longest body that is read, in bytes.
    max_body: usize,
    /// What may leave with each declared response, and with every other.
    names: Box<[FieldNames]>,
    other_names: FieldNames,
    unwanted: SealedNames,
    masks: Masks,
    /// Whether a mask by pointer leads to something in a body of the operation.
    masks_places: bool,
    items: Option<Items>,
    /// How many faults of one body are named.
    violations: usize,
    /// Whether records leave as they come.
    streams: bool,
}

/// Values that are masked wherever they leave, beside those that schemas name.
#[derive(Clone, Default)]
pub struct Masks {
    pub pointers: Box<[(Pointer, Mask)]>,
    /// Names of formats.
    pub formats: Box<[(Box<str>, Mask)]>,
    pub key: Option<MaskKey>,
}

/// How many items may leave at once.
#[derive(Clone)]
pub struct Items {
    pub pointer: Pointer,
    pub most: usize,
}

/// What a head says of a response; goes on to the check of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    declared: Option<usize>,
    /// The index of the media type whose schema has to see the body.
    media_type: Option<usize>,
    /// The fault that is let pass, or what was taken out.
    pub reported: Option<Denial>,
    /// Whether another body takes the place of the one that came.
    pub is_changed: bool,
}

impl Responses {
    pub fn new(declared: Vec<Declared>) -> Responses {
        Responses {
            declared: declared.into(),
        }
    }

    /// The exact status first, then its class, then `default`.
    fn find(&self, status: u16) -> Option<usize> {
        let wanted = [
            Status::Exact(status),
            Status::Class(status / 100),
            Status::Default,
        ];
        let mut wanted = wanted.iter();
        wanted.find_map(|key| self.declared.iter().position(|each| each.status == *key))
    }

    /// RFC 9110 section 15.4.5: a 304 stands for the 200 that it saves.
    fn find_for(&self, status: u16) -> Option<usize> {
        let found = self.find(status);
        found.or_else(|| (status == 304).then(|| self.find(200)).flatten())
    }

    /// Whether all responses of success that have a body are JSON, whose items can be counted.
    pub fn is_json(&self) -> bool {
        let successes = self.declared.iter().filter(|each| match each.status {
            Status::Exact(status) => status / 100 == 2,
            Status::Class(class) => class == 2,
            Status::Default => true,
        });
        let mut media = successes.flat_map(|each| &each.media);
        media.all(|each| matches!(each.content, Content::Json(_)))
    }

    fn media(&self) -> impl Iterator<Item = &Media> {
        self.declared.iter().flat_map(|each| &each.media)
    }

    fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.media().filter_map(Media::schema)
    }

    /// Whether a schema says that values do not leave, or not to all, or masked.
    pub fn hide(&self) -> bool {
        self.schemas().any(Schema::has_views)
    }

    fn is_read(&self) -> bool {
        self.media().any(Media::is_read)
    }

    /// The schemas of bodies whose values have places.
    fn structured(&self) -> impl Iterator<Item = &Schema> {
        let media = self.media().filter(|media| media.has_places());
        media.filter_map(Media::schema)
    }

    /// Whether a body may have something at a pointer.
    pub fn lead(&self, pointer: &Pointer) -> bool {
        self.structured().any(|schema| schema.leads(pointer))
    }

    /// The formats of values in bodies that are masked where that is said.
    pub fn formats(&self) -> impl Iterator<Item = &str> {
        self.structured().flat_map(Schema::formats)
    }

    /// A header field whose value is of a format.
    pub fn header_of(&self, format: &str) -> Option<&str> {
        let mut headers = self.declared.iter().flat_map(|each| &each.headers);
        let found = headers.find(|header| header.schema.formats().any(|own| own == format));
        found.map(|header| &*header.name)
    }

    /// Whether a body may have an array there.
    pub fn lead_to_array(&self, pointer: &Pointer) -> bool {
        self.structured()
            .any(|schema| schema.leads_to_array(pointer))
    }
}

impl Declared {
    fn is_read(&self) -> bool {
        self.media.iter().any(Media::is_read)
    }

    /// Whether what leaves depends on who reads it.
    fn is_personal(&self) -> bool {
        let mut schemas = self.media.iter().filter_map(Media::schema);
        schemas.any(Schema::has_audiences)
    }
}

type Refused = (Denial, String, &'static str);

fn refused(denial: Denial, name: &str, rule: &'static str) -> Refused {
    (denial, name.to_owned(), rule)
}

impl ResponseContract {
    /// `names`: header fields that may leave although nothing declares them.
    pub fn new(
        responses: Responses,
        enforcement: Enforcement,
        max_body: usize,
        names: &[&str],
    ) -> ResponseContract {
        let declared = responses.declared.iter().map(|declared| {
            let own = declared.headers.iter().map(|header| &*header.name);
            let unread = SAFE_UNREAD.iter().copied();
            let unread = unread.filter(|_| !declared.is_read());
            let all = SAFE.iter().copied().chain(unread).chain(own);
            FieldNames::new(all.chain(names.iter().copied()))
        });
        ResponseContract {
            names: declared.collect(),
            other_names: FieldNames::new(SAFE.iter().chain(names).copied()),
            unwanted: SealedNames::new(UNWANTED),
            responses,
            enforcement,
            max_body,
            masks: Masks::default(),
            masks_places: false,
            items: None,
            violations: 1,
            streams: false,
        }
    }

    /// How many faults of one body are named.
    #[must_use]
    pub fn with_violations(self, violations: usize) -> ResponseContract {
        ResponseContract { violations, ..self }
    }

    #[must_use]
    pub fn with_masks(mut self, masks: Masks) -> ResponseContract {
        let media = self.responses.declared.iter_mut();
        let media = media.flat_map(|each| &mut each.media);
        for schema in media.filter_map(Media::schema_mut) {
            for (format, mask) in &masks.formats {
                schema.mask_format(format, *mask);
            }
        }
        let mut pointers = masks.pointers.iter();
        self.masks_places = pointers.any(|(pointer, _)| self.responses.lead(pointer));
        self.masks = masks;
        self
    }

    /// What the operation declares.
    pub fn responses(&self) -> &Responses {
        &self.responses
    }

    #[must_use]
    pub fn with_items(mut self, items: Items) -> ResponseContract {
        self.items = Some(items);
        self
    }

    /// Whether a body that nobody has read could show what it must not.
    fn hides(&self) -> bool {
        self.items.is_some()
            || !self.masks.pointers.is_empty()
            || self.responses.schemas().any(Schema::has_views)
    }

    /// Whether what leaves depends on who reads it, so that no reader may be shown another's view.
    pub fn is_personal(&self, expected: Expected) -> bool {
        let declared = expected
            .declared
            .map(|index| &self.responses.declared[index]);
        declared.is_some_and(Declared::is_personal)
    }

    /// A declared media type that is one of these.
    pub fn declares(&self, is_one: impl Fn(&[u8]) -> bool) -> Option<String> {
        let essences = self.responses.media().map(|each| each.range.essence());
        let mut essences = essences.map(|essence| essence.to_string());
        essences.find(|essence| is_one(essence.as_bytes()))
    }

    /// A media type of texts whose values would be masked, which only members of JSON are.
    pub fn unmasked(&self) -> Option<&str> {
        let mut media = self.responses.media();
        let found = media.find(|each| !each.hides_soundly());
        found.map(|each| each.range.essence())
    }

    /// Fields of a request that ask for a part of a response or for an encoded one, where bodies
    /// have to be seen.
    pub fn unwanted(&self) -> Option<&SealedNames> {
        self.responses.is_read().then_some(&self.unwanted)
    }

    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// `to_head`: whether it answers a `HEAD`.
    pub fn check_head(
        &self,
        head: &ResponseHead,
        bytes: &[u8],
        to_head: bool,
        scratch: &mut Scratch,
    ) -> Result<Expected, Denial> {
        scratch.begin(self.violations);
        let has_body = !matches!(head.framing, Framing::None | Framing::Length(0));
        let Some(index) = self.responses.find_for(head.status) else {
            let status = head.status.to_string();
            let fault = refused(Denial::UndeclaredResponse, &status, "status");
            return self.fault((None, None), has_body, fault, scratch);
        };
        let declared = &self.responses.declared[index];
        let fields = declared.check_fields(head, bytes, scratch);
        let media_type = declared.media_type(head, bytes, (to_head, self.masks_places));
        match (fields, media_type) {
            (Ok(()), Ok(media_type)) => Ok(self.streaming(Expected {
                declared: Some(index),
                media_type,
                ..Expected::default()
            })),
            // The body is read all the same where the fault is only noted.
            (Err(fault), Ok(media_type)) => {
                let noted = self.fault((Some(index), media_type), false, fault, scratch)?;
                Ok(self.streaming(noted))
            }
            (_, Err(fault)) => self.fault((Some(index), None), has_body, fault, scratch),
        }
    }

    /// A head that switches protocols: `101`, where it is declared, says which fields it may have
    /// beside those of every response. `default` does not speak of it.
    pub fn of_switch(&self) -> Expected {
        let mut declared = self.responses.declared.iter();
        let is_its = |status| matches!(status, Status::Exact(101) | Status::Class(1));
        Expected {
            declared: declared.position(|each| is_its(each.status)),
            ..Expected::default()
        }
    }

    /// A body longer than may be read.
    pub fn too_long(&self, expected: Expected, scratch: &mut Scratch) -> Result<Expected, Denial> {
        let fault = refused(Denial::ResponseTooLarge, "", "max_response_body");
        self.fault((expected.declared, None), true, fault, scratch)
    }

    /// `is_unread`: a body would leave that nobody has read.
    fn fault(
        &self,
        (declared, media_type): (Option<usize>, Option<usize>),
        is_unread: bool,
        (denial, name, rule): Refused,
        scratch: &mut Scratch,
    ) -> Result<Expected, Denial> {
        scratch.refuse(denial, "response", &name, rule);
        scratch.locate_kept();
        match self.enforcement {
            Enforcement::Report if !(is_unread && self.hides()) => Ok(Expected {
                declared,
                media_type,
                reported: Some(denial),
                is_changed: false,
            }),
            Enforcement::Reject | Enforcement::Strip | Enforcement::Report => Err(denial),
        }
    }

    /// Whether a field may leave with a response, or is at least let out with a note of its name;
    /// those that end at this hop are not asked about.
    pub fn keeps(
        &self,
        expected: Expected,
        (kind, name): (Kind, &[u8]),
        undeclared: &mut UndeclaredFields,
    ) -> bool {
        if expected.is_changed && encode::is_digest(name) {
            return false;
        }
        let is_declared = self.declares_field(expected, kind, name);
        if !is_declared {
            undeclared.add(name);
        }
        is_declared || self.enforcement == Enforcement::Report
    }

    fn declares_field(&self, expected: Expected, kind: Kind, name: &[u8]) -> bool {
        let names = expected.declared.map(|index| &self.names[index]);
        kind == Kind::ContentType || names.unwrap_or(&self.other_names).contain(name)
    }
}

impl Expected {
    /// Whether the body has to be seen before any of it may leave.
    pub fn is_read(self) -> bool {
        self.media_type.is_some()
    }
}
