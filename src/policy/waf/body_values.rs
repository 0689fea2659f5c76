//! A body to its values, as its processor reads it.
//!
//! What a reader does not take is shown to the rules as it stands, so nothing goes uninspected.

use crate::policy::waf::body::{self, Bounds, Error, Kind, Target};
use crate::policy::waf::collection::Collection;
use crate::policy::waf::gather::Gather;
use crate::policy::waf::message::Processor;
use crate::policy::waf::state::State;
use crate::policy::waf::values::Values;

/// Parts of a multipart body that are read.
const PARTS: usize = 128;

/// Reads a body that is there as a whole.
pub fn read(state: &mut State, used: u64, body: &[u8]) {
    let budget = state.values.budget();
    let bounds = Bounds {
        bytes: budget.bytes,
        values: budget.values,
        depth: budget.depth,
        parts: PARTS,
    };
    let content_type = std::mem::take(&mut state.content_type);
    let kind = kind(state, &content_type, body);
    let outcome = match kind {
        _ if body.is_empty() => Ok(()),
        Err(error) => Err(error),
        Ok(kind) => {
            let reads_files = state.view.as_ref().is_some_and(|view| view.files);
            let mut gather = Gather {
                values: &mut state.values,
                used,
                inner: state.view.is_some().then_some(&mut state.inner),
                is_graphql: false,
            };
            let mut visit = |target, name: &[u8], value: &[u8]| {
                if target == Target::File && reads_files {
                    for text in body::texts(value) {
                        gather.value(Collection::ArgsPost, Collection::ArgsPostNames, name, text);
                    }
                }
                take(&mut gather, target, name, value);
            };
            body::read(kind, body, &bounds, &mut state.scratch, &mut visit)
        }
    };
    let is_form = state.processor == Processor::Form;
    let processor = state.processor;
    let is_structured = !matches!(
        kind,
        Ok(Kind::Empty | Kind::Form | Kind::LikeForm | Kind::Text)
    );
    state.content_type = content_type;
    let mut gather = Gather {
        values: &mut state.values,
        used,
        inner: None,
        is_graphql: false,
    };
    if let Err(error) = outcome {
        told(&mut gather, processor, error);
        state.body_fault = error.bound().is_none().then_some(error);
    }
    if state.force_body || is_form || (is_structured && outcome.is_err()) {
        gather.single(Collection::RequestBody, body);
    }
    // The frame of parts is no text of the client's.
    if is_structured && outcome.is_err() && processor != Processor::Multipart {
        gather.single(Collection::RequestText, body);
    }
}

/// How the body is read. The rule language goes by what it was told; the gateway by the media type
/// and by the shape of the body, and refuses what does not fit together.
fn kind<'b>(state: &State, content_type: &'b [u8], body: &[u8]) -> Result<Kind<'b>, Error> {
    let told = match state.processor {
        Processor::Form => Kind::Form,
        Processor::Json => Kind::Json,
        Processor::Graphql => Kind::Graphql,
        Processor::Xml => Kind::Xml,
        Processor::Multipart => return Kind::of(&[content_type], body),
        Processor::None => Kind::Text,
    };
    if state.view.is_none() {
        return Ok(told);
    }
    if state.is_encoded && !body.is_empty() {
        return Err(Error::Encoded);
    }
    let types = match state.content_types {
        0 => &[][..],
        1 => &[content_type][..],
        _ => return Err(Error::MediaType),
    };
    Ok(match Kind::of(types, body)? {
        Kind::Json | Kind::LikeJson(_) if told == Kind::Graphql => told,
        found @ (Kind::Json | Kind::LikeJson(_)) => state.item.map_or(found, Kind::JsonItem),
        Kind::Text => told,
        Kind::LikeForm if told != Kind::Text => told,
        found => found,
    })
}

fn take(gather: &mut Gather<'_>, target: Target, name: &[u8], value: &[u8]) {
    match target {
        Target::Field => {
            gather.value(Collection::ArgsPost, Collection::ArgsPostNames, name, value);
            // A client that forgets the media type of its JSON says that it is a form.
            let names = Collection::ArgsPostNames;
            gather.value(names, names, name, name);
        }
        Target::JsonText | Target::JsonScalar => {
            // What is packed in it is at the same place.
            gather.values.origin.is_at_place = true;
            match target {
                Target::JsonScalar => gather.push(Collection::ArgsPost, name, value),
                _ => gather.value(Collection::ArgsPost, Collection::ArgsPostNames, name, value),
            }
            gather.values.origin.is_at_place = false;
        }
        Target::GraphqlText => {
            gather.value(Collection::ArgsPost, Collection::ArgsPostNames, name, value);
        }
        Target::Joined => gather.push(Collection::ArgsPost, name, value),
        Target::JsonKey => gather.push(Collection::ArgsPostNames, name, value),
        Target::FileName => {
            gather.push(Collection::Files, name, value);
            gather.push(Collection::FilesNames, name, name);
        }
        Target::File => {
            let mut digits = itoa::Buffer::new();
            let size = digits.format(value.len());
            gather.push(Collection::FilesSizes, name, size.as_bytes());
        }
        Target::PartHeader => gather.push(Collection::MultipartPartHeaders, name, value),
        Target::XmlText => gather.push(Collection::XmlText, name, value),
        Target::XmlAttribute | Target::XmlInstruction => {
            gather.push(Collection::XmlAttributes, name, value);
        }
        Target::Text => {
            gather.single(Collection::RequestBody, value);
            for text in body::texts(value) {
                gather.single(Collection::RequestText, text);
            }
        }
        Target::Unescaped => {
            for text in body::texts(value) {
                gather.single(Collection::RequestText, text);
            }
        }
    }
}

/// What the rules are told of a body that breaks a rule of its kind.
fn told(gather: &mut Gather<'_>, processor: Processor, error: Error) {
    if let Some(bound) = error.bound() {
        Values::exceed(gather.values, bound);
        return;
    }
    gather.single(Collection::ReqbodyError, b"1");
    gather.single(Collection::ReqbodyErrorMsg, error.to_string().as_bytes());
    match processor {
        Processor::Multipart => gather.single(Collection::MultipartStrictError, b"1"),
        Processor::Form => gather.single(Collection::UrlencodedError, b"1"),
        _ => {}
    }
}
