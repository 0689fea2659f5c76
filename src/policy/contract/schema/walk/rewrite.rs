//! A body written again without what is taken out, and with masks where values are masked.
//!
//! Whole members go with the one comma that goes with them; every other byte stays as it was.

use std::cmp::Reverse;

use super::super::mask::{Mask, MaskKey};
use super::super::text;
use super::Walk;
use super::edits::Part;

impl Walk<'_> {
    /// Writes the text without what is taken out, and with masks where values are masked. None of
    /// them without views.
    pub fn rewrite(&mut self, views: Option<Option<&MaskKey>>, out: &mut String) {
        let mut edits = std::mem::take(&mut self.memory.edits);
        match views {
            Some(_) => edits.barred.append(&mut edits.hidden),
            None => edits.masked.clear(),
        }
        let key = views.flatten();
        edits.barred.sort_unstable();
        keep_outermost(&mut edits.barred, |part| *part);
        // The outermost first, and of several masks of one value the strictest.
        let order = |&(part, mask): &(Part, Mask)| (part.start, Reverse((part.end, mask)));
        edits.masked.sort_unstable_by_key(order);
        keep_outermost(&mut edits.masked, |(part, _)| *part);
        out.clear();
        let mut done = 0;
        let mut masked = edits.masked.iter().peekable();
        let mut cuts = edits.barred.iter().peekable();
        while let Some(&first) = cuts.next() {
            let mut last = first;
            while let Some(next) = cuts.next_if(|next| next.start == last.end + 1) {
                last = *next;
            }
            while let Some((part, mask)) = masked.next_if(|(part, _)| part.start < first.start) {
                done = self.masked(*part, (*mask, key), done, out);
            }
            while masked.next_if(|(part, _)| part.start < last.end).is_some() {}
            let (from, to) = self.bounds(first, last);
            // What lies within a masked value has gone with it.
            if from >= done {
                out.push_str(self.text.get(done..from).unwrap_or_default());
                done = to;
            }
        }
        for (part, mask) in masked {
            done = self.masked(*part, (*mask, key), done, out);
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        self.memory.edits = edits;
    }

    /// Where the bytes of neighbouring members begin and end, with the comma that goes with them.
    fn bounds(&self, first: Part, last: Part) -> (usize, usize) {
        let (start, end) = (first.start as usize, last.end as usize);
        if self.byte(end) == b',' {
            return (self.at(start), self.at(end + 1));
        }
        let to = self.value_end(end);
        match self.byte(start - 1) {
            b',' => (self.at(start - 1), to),
            _ => (self.at(start), to),
        }
    }

    /// Where the value before a token ends.
    fn value_end(&self, token: usize) -> usize {
        let before = self.text.as_bytes().get(..self.at(token));
        let before = before.unwrap_or(self.text.as_bytes());
        before.trim_ascii_end().len()
    }

    /// Writes up to a masked value and its mask; where what follows begins.
    fn masked(
        &self,
        part: Part,
        (mask, key): (Mask, Option<&MaskKey>),
        done: usize,
        out: &mut String,
    ) -> usize {
        let value = part.start as usize;
        let (from, to) = (self.at(value), self.value_end(part.end as usize));
        if from < done || self.byte(value) == b'n' {
            return done;
        }
        out.push_str(self.text.get(done..from).unwrap_or_default());
        match self.byte(value) {
            b'"' => {
                let raw = self.raw(self.span(value));
                if !raw.contains('\\') {
                    mask.write(raw, key, out);
                } else {
                    let mut decoded = String::new();
                    let _ = text::pieces(raw, |piece| decoded.push_str(piece));
                    mask.write(&decoded, key, out);
                }
            }
            b'0'..=b'9' | b'-' => {
                mask.write(self.text.get(from..to).unwrap_or_default(), key, out);
            }
            // Of these the last four would be all, or nobody knows what.
            _ => mask.max(Mask::Fixed).write("", key, out),
        }
        to
    }
}

/// Of sorted parts those that lie in no other.
fn keep_outermost<T>(list: &mut Vec<T>, part: impl Fn(&T) -> Part) {
    let mut end = 0;
    list.retain(|each| {
        let own = part(each);
        let is_outer = own.start >= end;
        if is_outer {
            end = own.end;
        }
        is_outer
    });
}
