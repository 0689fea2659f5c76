//! A place in a JSON body, as an exclusion names it: a JSON pointer (RFC 6901) in which `*` stands
//! for any one step, the name of a member or the index of an item.
//!
//! A place is the value there and nothing below it. Names are compared byte by byte, once the body
//! is decoded. A place whose name was cut for its length is no place that a pointer leads to.

use crate::policy::waf::body::{NAME, ROOT, member};

/// A pointer and the names of values that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Box<[Step]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Any,
    /// As it stands in the name of a value.
    Named(Box<[u8]>),
}

impl Pointer {
    /// # Errors
    /// What is no pointer, or leads further down than names of values do.
    pub fn read(text: &str) -> Result<Pointer, &'static str> {
        let steps = text.strip_prefix('/').ok_or("it does not begin with /")?;
        let steps: Option<Box<[Step]>> = steps.split('/').map(Step::read).collect();
        let steps = steps.ok_or("~ stands for itself as ~0, and for / as ~1")?;
        let length: usize = steps.iter().map(Step::length).sum();
        match ROOT.len() + length < NAME {
            true => Ok(Pointer(steps)),
            false => Err("it is too long"),
        }
    }

    /// Whether it leads to the value of the body that has this name.
    pub fn leads_to(&self, name: &[u8]) -> bool {
        if name.len() >= NAME {
            return false;
        }
        let Some(mut rest) = name.strip_prefix(ROOT) else {
            return false;
        };
        for step in &self.0 {
            let Some(below) = rest.strip_prefix(b".") else {
                return false;
            };
            let (found, after) = below.split_at(end_of_step(below));
            if !step.is(found) {
                return false;
            }
            rest = after;
        }
        rest.is_empty()
    }
}

impl Step {
    fn read(text: &str) -> Option<Step> {
        if text == "*" {
            return Some(Step::Any);
        }
        let mut escapes = text.split('~').skip(1);
        if !escapes.all(|after| after.starts_with(['0', '1'])) {
            return None;
        }
        let name = text.replace("~1", "/").replace("~0", "~");
        let mut step = Vec::new();
        member(&mut step, name.as_bytes());
        // Without the dot between the steps.
        step.remove(0);
        Some(Step::Named(step.into()))
    }

    fn is(&self, found: &[u8]) -> bool {
        match self {
            Step::Any => true,
            Step::Named(name) => **name == *found,
        }
    }

    fn length(&self) -> usize {
        match self {
            Step::Any => 1,
            Step::Named(name) => 1 + name.len(),
        }
    }
}

/// Where the first step of a name ends: at a dot that is not part of it.
fn end_of_step(name: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = name.get(at) {
        match byte {
            b'.' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at.min(name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_one_place_and_to_nothing_like_it() {
        for (pointer, name, expected) in [
            ("/memo", "json.memo", true),
            ("/memo", "json.Memo", false),
            ("/memo", "json.memo.x", false),
            ("/memo", "json", false),
            ("/memo", "memo", false),
            ("/memo", "jsonx.memo", false),
            ("/order/note", "json.order.note", true),
            ("/order/note", r"json.order\.note", false),
            ("/order.note", r"json.order\.note", true),
            ("/order.note", "json.order.note", false),
            (r"/a\", r"json.a\\", true),
            (r"/a\", r"json.a\\.b", false),
            ("/items/0/x", "json.items.0.x", true),
            ("/items/0/x", "json.items.1.x", false),
            ("/items/*/x", "json.items.17.x", true),
            ("/items/*/x", r"json.items.a\.b.x", true),
            ("/items/*/x", "json.items.0.0.x", false),
            ("/items/*/x", "json.items.x", false),
            ("/a~1b~0c", "json.a/b~c", true),
            ("/", "json.", true),
            ("/", "json", false),
        ] {
            let read = Pointer::read(pointer).unwrap();
            assert_eq!(read.leads_to(name.as_bytes()), expected, "{pointer} {name}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused_and_a_name_that_was_cut_is_nowhere() {
        for text in [
            "",
            "memo",
            "/a~",
            "/a~2b",
            &format!("/{}", "x".repeat(NAME)),
        ] {
            assert!(Pointer::read(text).is_err(), "{text}");
        }
        let long = "x".repeat(NAME - 6);
        let pointer = Pointer::read(&format!("/{long}")).unwrap();
        assert!(pointer.leads_to(format!("json.{long}").as_bytes()));
        let any = Pointer::read("/*").unwrap();
        assert!(!any.leads_to(format!("json.{long}x").as_bytes()));
    }
}
