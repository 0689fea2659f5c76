//! The forms in which rules see a value: their chains of transformations as one tree, so that what
//! chains have in common is done once, and a step that would change nothing is not done at all.
//!
//! Searches after this do not regard case. Making letters small is therefore no step here, unless
//! a step follows that tells capitals from small letters.

use crate::policy::waf::prefilter::bits::Bits;
use crate::policy::waf::transform::{ByteSet, Transformation};
use crate::policy::waf::values::Span;

/// A step after another one.
#[derive(Debug)]
struct Step {
    /// The step before, as its place plus one; 0 is the value as it came.
    before: u16,
    transformation: Transformation,
    /// Case may be left as it is here.
    in_any_case: bool,
    /// The rules whose chain ends here.
    rules: Bits,
    /// Those, and the rules whose chain comes past here.
    past: Bits,
}

/// All chains; a step stands behind the one before it.
#[derive(Debug, Default)]
pub struct Forms {
    /// The rules that look at values as they came.
    plain: Bits,
    steps: Vec<Step>,
}

/// A form of a value that is unlike the others.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Where it is; the value itself if it is `None`.
    span: Option<Span>,
    seen: ByteSet,
    rules: Bits,
}

/// Room for the forms of one value.
#[derive(Debug, Default)]
pub struct Room {
    bytes: Vec<u8>,
    /// What a step reads, while the buffer grows with what it writes.
    input: Vec<u8>,
    forms: Vec<Form>,
    form_of: Vec<u16>,
}

impl Forms {
    /// Adds a chain. With `each` the rule looks at the value before and after every step.
    pub fn add(&mut self, rule: usize, chain: &[Transformation], each: bool) {
        let mut before = 0;
        if each || chain.is_empty() {
            self.plain.insert(rule);
        }
        for (at, &transformation) in chain.iter().enumerate() {
            let known = self
                .steps
                .iter()
                .position(|step| step.before == before && step.transformation == transformation);
            let place = known.unwrap_or_else(|| {
                self.steps.push(Step {
                    before,
                    transformation,
                    in_any_case: true,
                    rules: Bits::default(),
                    past: Bits::default(),
                });
                self.steps.len() - 1
            });
            let step = &mut self.steps[place];
            step.past.insert(rule);
            step.in_any_case &= chain[at + 1..].iter().all(|&after| ignores_case(after));
            if each || at + 1 == chain.len() {
                step.rules.insert(rule);
            }
            before = u16::try_from(place + 1).unwrap_or(u16::MAX);
        }
    }

    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Shows each different form of a value that `wanted` rules look at: its bytes, what they are,
    /// and those rules.
    pub fn each(
        &self,
        value: &[u8],
        wanted: Bits,
        room: &mut Room,
        mut look: impl FnMut(&[u8], &ByteSet, Bits),
    ) {
        room.bytes.clear();
        room.forms.clear();
        room.form_of.clear();
        room.forms.push(Form {
            span: None,
            seen: ByteSet::of(value),
            rules: self.plain & wanted,
        });
        room.form_of.push(0);
        for step in &self.steps {
            let before = room.form_of[usize::from(step.before)];
            if !(step.past & wanted).any() {
                room.form_of.push(before);
                continue;
            }
            let form = room.after(step, before, value);
            room.form_of.push(form);
            room.forms[usize::from(form)].rules |= step.rules & wanted;
        }
        for form in &room.forms {
            if form.rules.any() {
                let bytes = form.span.map_or(value, |span| span.of(&room.bytes));
                look(bytes, &form.seen, form.rules);
            }
        }
    }
}

impl Room {
    /// The form that a step makes of another one: the same one if it changes nothing.
    fn after(&mut self, step: &Step, before: u16, value: &[u8]) -> u16 {
        let form = self.forms[usize::from(before)];
        let is_same = if step.in_any_case {
            step.transformation.is_identity_but_for_case(&form.seen)
        } else {
            step.transformation.is_identity(&form.seen)
        };
        if is_same {
            return before;
        }
        let start = self.bytes.len();
        let is_changed = match form.span {
            None => step.transformation.apply(value, &mut self.bytes),
            Some(span) => {
                self.input.clear();
                self.input.extend_from_slice(span.of(&self.bytes));
                step.transformation.apply(&self.input, &mut self.bytes)
            }
        };
        if !is_changed {
            return before;
        }
        let made = Span::since(start, &self.bytes);
        let bytes = made.of(&self.bytes);
        let same = self.forms.iter().position(|form| match form.span {
            None => value == bytes,
            Some(span) => span.len() == bytes.len() && span.of(&self.bytes) == bytes,
        });
        if let Some(same) = same {
            self.bytes.truncate(start);
            return u16::try_from(same).unwrap_or(0);
        }
        let seen = ByteSet::of(bytes);
        self.forms.push(Form {
            span: Some(made),
            seen,
            rules: Bits::default(),
        });
        u16::try_from(self.forms.len() - 1).unwrap_or(0)
    }
}

/// Whether a transformation makes the same of a text and of the text in small letters, but for
/// case. An escape such as `\N` is not what `\n` is.
fn ignores_case(transformation: Transformation) -> bool {
    matches!(
        transformation,
        Transformation::Lowercase
            | Transformation::Uppercase
            | Transformation::CmdLine
            | Transformation::CompressWhitespace
            | Transformation::Length
            | Transformation::NormalizePath
            | Transformation::NormalizePathWin
            | Transformation::RemoveComments
            | Transformation::RemoveCommentsChar
            | Transformation::RemoveNulls
            | Transformation::RemoveWhitespace
            | Transformation::ReplaceComments
            | Transformation::ReplaceNulls
            | Transformation::Trim
            | Transformation::TrimLeft
            | Transformation::TrimRight
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Transformation::{Base64Decode, JsDecode, Lowercase, RemoveNulls, UrlDecodeUni};

    const CHAINS: &[&[Transformation]] = &[
        &[],
        &[UrlDecodeUni],
        &[UrlDecodeUni, Lowercase],
        &[UrlDecodeUni, JsDecode, Lowercase, RemoveNulls],
        &[Lowercase, JsDecode],
        &[Base64Decode, UrlDecodeUni],
    ];

    fn forms() -> Forms {
        let mut forms = Forms::default();
        for (rule, chain) in CHAINS.iter().enumerate() {
            forms.add(rule, chain, false);
        }
        forms
    }

    fn every() -> Bits {
        let mut bits = Bits::default();
        (0..CHAINS.len()).for_each(|rule| bits.insert(rule));
        bits
    }

    fn transformed(chain: &[Transformation], value: &[u8]) -> Vec<u8> {
        let mut current = value.to_vec();
        for transformation in chain {
            let mut next = Vec::new();
            if transformation.apply(&current, &mut next) {
                current = next;
            }
        }
        current
    }

    #[test]
    fn a_plain_value_has_one_form() {
        let mut seen = 0;
        forms().each(b"Plain", every(), &mut Room::default(), |_, _, rules| {
            seen += rules.count()
        });
        assert!(seen >= 5);
    }

    proptest! {
        #[test]
        fn every_chain_has_its_form_but_for_case(value in "[a%20A\\\\nNx41+=]{0,12}") {
            let mut shown = vec![Vec::new(); CHAINS.len()];
            forms().each(value.as_bytes(), every(), &mut Room::default(), |bytes, _, rules| {
                rules.iter().for_each(|rule| shown[rule] = bytes.to_ascii_lowercase());
            });
            for (chain, shown) in CHAINS.iter().zip(shown) {
                prop_assert_eq!(transformed(chain, value.as_bytes()).to_ascii_lowercase(), shown);
            }
        }
    }
}
