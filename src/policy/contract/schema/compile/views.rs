//! Who sees a value of a response, and how: keywords of our own.

use serde_json::Value;

use super::super::Direction;
use super::super::mask::Mask;
use super::super::program::RuleId;
use super::super::resource::Place;
use super::Compilation;

impl Compilation<'_> {
    pub(super) fn view_keyword(
        &mut self,
        id: RuleId,
        (key, at): (&str, &Place),
        value: &Value,
    ) -> bool {
        let leaves = self.direction == Direction::Response;
        self.views.is_directed |= matches!(key, "x-visible-to" | "x-mask");
        match key {
            "x-visible-to" => match names(value) {
                Some(names) if leaves => self.views.show(id, names),
                Some(_) => {}
                None => {
                    let hint = "write x-visible-to: [admin]; one of them suffices";
                    self.error(at, "`x-visible-to` must list scopes or roles", hint);
                }
            },
            "x-mask" => match value.as_str().and_then(Mask::named) {
                Some(mask) if leaves => self.views.mask(id, mask),
                Some(_) => {}
                None => {
                    let hint = "write x-mask: last4, hash or fixed";
                    self.error(at, format!("there is no mask {value}"), hint);
                }
            },
            // Also a keyword of values: it may be configured which formats are masked.
            "format" => {
                if let Some(format) = value.as_str() {
                    self.views.note_format(id, format);
                }
                return false;
            }
            _ => return false,
        }
        true
    }
}

fn names(value: &Value) -> Option<Box<[Box<str>]>> {
    let names = value.as_array().filter(|names| !names.is_empty())?;
    let names = names.iter().map(|name| name.as_str().map(Into::into));
    names.collect()
}
