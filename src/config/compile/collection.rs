//! What the configuration says of the pages of a collection.

use crate::config::file;
use crate::config::reader::Reader;
use crate::policy::contract::page::Page;
use crate::policy::contract::parameters::Location;
use crate::policy::contract::response::Items;
use crate::policy::contract::schema::Pointer;

/// The limit of requests and that of responses. `parameters` are those of the operation.
pub fn compile<'n>(
    reader: &Reader<'_>,
    declared: &file::Collection,
    mut parameters: impl Iterator<Item = (Location, &'n str)>,
) -> Option<(Option<Page>, Items)> {
    let most = declared.max.as_ref()?.value;
    let pointer = match &declared.items {
        None => "",
        Some(at) if at.value == "/" => "",
        Some(at) => &at.value,
    };
    let Some(pointer) = Pointer::read(pointer) else {
        let message = "`items` is no JSON pointer";
        let hint = "write it as in \"/items\"; leave it out where the whole body is the list";
        reader.error(declared.position, message, hint);
        return None;
    };
    let name = match &declared.size {
        None => None,
        Some(size) => {
            let name = size.value.strip_prefix("query.");
            let name = name
                .filter(|name| parameters.any(|own| own == (Location::Query, *name)))
                .map(str::to_owned);
            if name.is_none() {
                let message = format!("\"{}\" is no parameter of this operation", size.value);
                let hint = "write query.NAME, as in size = \"query.limit\"";
                reader.error(size.position, message, hint);
            }
            name
        }
    };
    let default = declared.default.as_ref();
    if let Some(default) = default {
        if default.value > most {
            let message = "the `default` is above the `max`";
            reader.error(default.position, message, "write less, or leave it out");
        }
        if declared.size.is_none() {
            let message = "the `default` is sent nowhere";
            reader.error(default.position, message, "add size = \"query.NAME\"");
        }
    }
    let page = name.map(|name| Page::new(&name, most, default.map(|default| default.value)));
    Some((page, Items { pointer, most }))
}

/// Where responses are not checked nobody counts.
pub fn refuse(reader: &Reader<'_>, declared: &file::Collection, reason: &str) {
    let hint =
        "describe its responses with a schema and let them be checked, or remove `collection`";
    reader.error(declared.position, reason, hint);
}

/// A place that no answer has would never be counted.
pub fn refuse_lost(reader: &Reader<'_>, declared: &file::Collection) {
    let at = declared.items.as_ref();
    let position = at.map_or(declared.position, |at| at.position);
    let message = match at {
        Some(at) => format!("no answer of the operation has a list at \"{}\"", at.value),
        None => "no answer of the operation is a list".to_owned(),
    };
    let hint = "write where the list stands, as in items = \"/items\"";
    reader.error(position, message, hint);
}
