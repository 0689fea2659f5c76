//! What the configuration says of values that are masked.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::config::file;
use crate::config::reader::{Reader, nearest};
use crate::config::secret;
use crate::policy::contract::response::{Masks, Responses};
use crate::policy::contract::schema::{Mask, MaskKey, Pointer};

/// Shorter keys could be found by trying them.
const SHORTEST: usize = 16;

/// The key of hashes where none is configured: the same through all reloads, gone with the process.
static OWN: OnceLock<[u8; 32]> = OnceLock::new();

/// The key that the hashes of masked values are made with.
pub fn key(reader: &Reader<'_>, server: &file::Server) -> MaskKey {
    let configured = server.mask_key.as_ref().and_then(|reference| {
        let secret = secret::resolve(reader, reference.position, &reference.value)?;
        if secret.reveal().len() < SHORTEST {
            let message = "the `mask_key` is too short";
            let hint = format!("use {SHORTEST} random bytes or more");
            reader.error(reference.position, message, hint);
        }
        Some(MaskKey::new(secret.reveal()))
    });
    configured.unwrap_or_else(|| {
        MaskKey::new(OWN.get_or_init(|| {
            let mut key = [0; 32];
            aws_lc_rs::rand::fill(&mut key).expect("the system has random numbers");
            key
        }))
    })
}

/// The masks of an API and those of one of its operations.
pub fn compile(
    reader: &Reader<'_>,
    api: &file::Answers,
    own: Option<&file::Answers>,
    key: &MaskKey,
) -> Masks {
    let (mut pointers, mut formats) = (Vec::new(), Vec::new());
    for declared in api
        .masks
        .iter()
        .chain(own.into_iter().flat_map(|own| &own.masks))
    {
        let Some(how) = &declared.how else {
            continue;
        };
        let Some(mask) = Mask::named(&how.value) else {
            let message = format!("there is no mask \"{}\"", how.value);
            reader.error(
                how.position,
                message,
                "write \"last4\", \"hash\" or \"fixed\"",
            );
            continue;
        };
        match (&declared.pointer, &declared.format) {
            (Some(at), None) => match Pointer::read(&at.value) {
                Some(pointer) => pointers.push((pointer, mask)),
                None => {
                    let message = format!("\"{}\" is no JSON pointer", at.value);
                    let hint =
                        "write it as in \"/items/*/iban\"; `*` stands for all members or items";
                    reader.error(at.position, message, hint);
                }
            },
            (None, Some(format)) => formats.push((format.value.as_str().into(), mask)),
            (Some(_), Some(_)) | (None, None) => {
                let message = "a mask needs either `pointer` or `format`";
                let hint = "write { pointer = \"/items/*/iban\", how = \"last4\" }";
                reader.error(declared.position, message, hint);
            }
        }
    }
    Masks {
        pointers: pointers.into(),
        formats: formats.into(),
        key: Some(key.clone()),
    }
}

/// A mask of one operation that masks nothing there is a mistake. One of the API may be meant for
/// others of its operations.
pub fn refuse_lost(reader: &Reader<'_>, own: Option<&file::Answers>, responses: &Responses) {
    for declared in own.into_iter().flat_map(|own| &own.masks) {
        refuse_unmet(reader, declared, &[responses], "the operation");
    }
}

/// A mask of an API that masks nothing in any of its operations is one, too.
pub fn refuse_lost_everywhere(reader: &Reader<'_>, api: &file::Answers, responses: &[&Responses]) {
    for declared in &api.masks {
        refuse_unmet(reader, declared, responses, "any operation of the API");
    }
}

fn refuse_unmet(reader: &Reader<'_>, declared: &file::Mask, responses: &[&Responses], who: &str) {
    if let Some(at) = &declared.pointer
        && let Some(pointer) = Pointer::read(&at.value)
        && !responses.iter().any(|each| each.lead(&pointer))
    {
        let message = format!("\"{}\" leads to nothing that {who} answers", at.value);
        let hint = "correct the pointer, or describe what is there";
        reader.error(at.position, message, hint);
    }
    let Some(format) = &declared.format else {
        return;
    };
    let formats: BTreeSet<&str> = responses.iter().flat_map(|each| each.formats()).collect();
    if !formats.contains(&*format.value) {
        let message = format!(
            "nothing that {who} answers has the format \"{}\"",
            format.value
        );
        let hint = match nearest(&format.value, formats.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if formats.is_empty() => {
                "describe which values have it, or mask by pointer".into()
            }
            None => {
                let formats: Vec<&str> = formats.into_iter().collect();
                format!("formats of what is answered: {}", formats.join(", "))
            }
        };
        reader.error(format.position, message, hint);
    }
}

/// A format is masked in bodies of JSON only.
pub fn refuse_headers(reader: &Reader<'_>, masks: &[file::Mask], responses: &Responses) {
    for format in masks.iter().filter_map(|mask| mask.format.as_ref()) {
        if let Some(name) = responses.header_of(&format.value) {
            let message = format!(
                "the header `{name}` has the format \"{}\", and headers are not masked",
                format.value
            );
            let hint = "do not declare the header, which takes it out, or remove its `format`";
            reader.error(format.position, message, hint);
        }
    }
}
