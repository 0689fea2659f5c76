//! Where a fault is, as a JSON pointer (RFC 6901).

use super::super::text;
use super::{Fault, POINTER, Walk};

impl<'w> Walk<'w> {
    /// The JSON pointer to what a fault is about, cut at 256 bytes.
    pub fn pointer(&self, fault: &Fault) -> String {
        enum Step {
            Member(Option<usize>),
            Item(usize),
        }
        let mut path: Vec<Step> = Vec::new();
        let mut token = 0;
        while token < fault.token {
            let byte = self.byte(token);
            match (byte, path.last_mut()) {
                (b'{', _) => path.push(Step::Member(None)),
                (b'[', _) => path.push(Step::Item(0)),
                (b'}' | b']', _) => {
                    path.pop();
                }
                (b',', Some(Step::Item(at))) => *at += 1,
                (b',', Some(Step::Member(name))) => *name = None,
                (b'"', Some(Step::Member(name @ None))) => *name = Some(token),
                _ => {}
            }
            token += if byte == b'"' { 2 } else { 1 };
        }
        let mut out = String::new();
        for step in &path {
            match step {
                Step::Member(None) => {}
                Step::Member(Some(name)) => {
                    let mut decoded = String::new();
                    let _ =
                        text::pieces(self.raw(self.span(*name)), |piece| decoded.push_str(piece));
                    out.push('/');
                    out.push_str(&decoded.replace('~', "~0").replace('/', "~1"));
                }
                Step::Item(at) => out.push_str(&format!("/{at}")),
            }
        }
        let end = out.floor_char_boundary(POINTER);
        out.truncate(end);
        out
    }
}
