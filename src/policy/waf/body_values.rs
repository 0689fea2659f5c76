//! A body to its values, as its processor reads it.
//!
//! What a reader does not take is shown to the rules as it stands, so nothing goes uninspected.

use crate::policy::waf::body::{self, Bounds, Error, Kind, Target};
use crate::policy::waf::collection::Collection;
use crate::policy::waf::gather::Gather;
use crate::policy::waf::message::Processor;
use crate::policy::waf::state::State;
use crate::policy::waf::values::Values;

/// Parts of a multipart body, and nesting of documents, that are read.
const PARTS: usize = 128;
const DEPTH: usize = 64;

/// Reads a body that is there as a whole.
pub fn read(state: &mut State, used: u64, body: &[u8]) {
    let bounds = Bounds {
        bytes: state.values.budget().bytes,
        values: state.values.budget().values,
        depth: DEPTH,
        parts: PARTS,
    };
    let outcome = match state.processor {
        Processor::Form => Ok(Kind::Form),
        Processor::Json => Ok(Kind::Json),
        Processor::Graphql => Ok(Kind::Graphql),
        Processor::Xml => Ok(Kind::Xml),
        Processor::Multipart => Kind::of(&[&state.content_type], body),
        Processor::None => Ok(Kind::Text),
    };
    let outcome = match outcome {
        _ if body.is_empty() => Ok(()),
        Err(error) => Err(error),
        Ok(kind) => {
            let values = &mut state.values;
            let mut gather = Gather { values, used };
            let mut visit = |target, name: &[u8], value: &[u8]| {
                take(&mut gather, target, name, value);
            };
            body::read(kind, body, &bounds, &mut state.scratch, &mut visit)
        }
    };
    let is_form = state.processor == Processor::Form;
    let mut gather = Gather {
        values: &mut state.values,
        used,
    };
    if let Err(error) = outcome {
        told(&mut gather, state.processor, error);
        state.body_fault = Some(error);
    }
    let is_structured = matches!(
        state.processor,
        Processor::Json | Processor::Graphql | Processor::Xml | Processor::Multipart
    );
    if state.force_body || is_form || (is_structured && outcome.is_err()) {
        gather.single(Collection::RequestBody, body);
    }
}

fn take(gather: &mut Gather<'_>, target: Target, name: &[u8], value: &[u8]) {
    match target {
        Target::Field => {
            gather.push(Collection::ArgsPost, name, value);
            gather.push(Collection::ArgsPostNames, name, name);
        }
        Target::JsonText | Target::JsonScalar | Target::GraphqlText | Target::Joined => {
            gather.push(Collection::ArgsPost, name, value);
        }
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
        Target::Text => gather.single(Collection::RequestBody, value),
    }
}

/// What the rules are told of a body that breaks a rule of its kind.
fn told(gather: &mut Gather<'_>, processor: Processor, error: Error) {
    if matches!(
        error,
        Error::TooLarge | Error::TooManyValues | Error::TooDeep | Error::TooManyParts
    ) {
        Values::exceed(gather.values);
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
