//! The forms in which rules see a value: their chains of transformations as one tree, so that what
//! chains have in common is done once, and a step that would change nothing is not done at all.
//!
//! Searches after this do not regard case. Making letters small is therefore no step here, unless
//! a step follows that tells capitals from small letters and would change the value.

use crate::policy::waf::fuel::Fuel;
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
    /// What may follow here up to the last step that tells capitals from small letters.
    later: Kinds,
    /// The rules whose chain ends here.
    rules: Bits,
    /// Those, and the rules whose chain comes past here.
    past: Bits,
}

impl Step {
    fn kind(&self) -> Kinds {
        1 << (self.transformation as u32 * 2 + u32::from(self.in_any_case))
    }

    fn is_identity(&self, seen: &ByteSet) -> bool {
        match self.in_any_case {
            true => self.transformation.is_identity_but_for_case(seen),
            false => self.transformation.is_identity(seen),
        }
    }
}

/// A bit for each transformation, with regard to case and without.
type Kinds = u128;

/// Both bits of each.
fn kinds(transformations: &[Transformation]) -> Kinds {
    let both = transformations.iter().map(|&each| 3 << (each as u32 * 2));
    both.fold(0, |all, both: Kinds| all | both)
}

/// A bit for each step of a plan.
type Steps = u128;

/// How many steps can be told apart; rules whose chains need more run always.
const MOST: usize = Steps::BITS as usize;

/// All chains; a step stands behind the one before it.
#[derive(Debug, Default)]
pub struct Forms {
    /// The rules that look at values as they came.
    plain: Bits,
    steps: Vec<Step>,
}

/// The steps that some rules need.
#[derive(Debug, Default)]
pub struct Plan {
    steps: Box<[Planned]>,
    /// One step of each kind, and all of that kind.
    kinds: Box<[(u16, Steps)]>,
}

/// What nearly every value needs to know of a step: that it changes nothing.
#[derive(Clone, Copy, Debug)]
struct Planned {
    /// The place of the step, and that of the one before it plus one.
    at: u16,
    before: u16,
    kind: Kinds,
    /// Of which kinds one has to change a form too. Letters need not become small for steps that
    /// would change nothing: none of these changes more in small letters.
    with: Kinds,
    /// The steps of the plan that follow it, near and far.
    behind: Steps,
}

impl Planned {
    fn of(at: u16, step: &Step) -> Planned {
        let is_of_case = matches!(
            step.transformation,
            Transformation::Lowercase | Transformation::Uppercase
        );
        Planned {
            at,
            before: step.before,
            kind: step.kind(),
            with: if is_of_case { step.later } else { Kinds::MAX },
            behind: 0,
        }
    }

    /// Whether the step may change a form, as the searches see it.
    fn changes(self, form: &Form) -> bool {
        form.changes & self.kind != 0 && form.changes & self.with != 0
    }
}

/// A form of a value that is unlike the others.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Where it is; the value itself if it is `None`.
    span: Option<Span>,
    seen: ByteSet,
    /// The kinds of steps that may change it.
    changes: Kinds,
    rules: Bits,
}

/// Room for the forms of one value, and how far they are made and shown.
#[derive(Debug, Default)]
pub struct Room {
    bytes: Vec<u8>,
    /// What a step reads, while the buffer grows with what it writes.
    input: Vec<u8>,
    forms: Vec<Form>,
    form_of: Vec<u16>,
    /// The rules that look at other forms than the value itself.
    moved: Bits,
    /// Steps of the plan that may still change something.
    due: Steps,
    shown: usize,
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
                    later: 0,
                    rules: Bits::default(),
                    past: Bits::default(),
                });
                self.steps.len() - 1
            });
            let step = &mut self.steps[place];
            step.past.insert(rule);
            let after = &chain[at + 1..];
            if let Some(last) = after.iter().rposition(|&each| !ignores_case(each)) {
                step.in_any_case = false;
                step.later |= kinds(&after[..=last]);
            }
            if each || at + 1 == chain.len() {
                step.rules.insert(rule);
            }
            before = u16::try_from(place + 1).unwrap_or(u16::MAX);
        }
    }

    /// Whether there is room for a chain more.
    pub fn has_room(&self, chain: &[Transformation]) -> bool {
        self.steps.len() + chain.len() <= MOST
    }

    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The steps on the way of these rules.
    pub fn plan(&self, rules: Bits) -> Plan {
        let places = 0..u16::try_from(self.steps.len()).unwrap_or(u16::MAX);
        let mut steps: Vec<Planned> = places
            .zip(&self.steps)
            .filter(|(_, step)| step.past.meets(&rules))
            .map(|(at, step)| Planned::of(at, step))
            .collect();
        // A step stands behind the one before it.
        for number in (0..steps.len()).rev() {
            let Planned { before, behind, .. } = steps[number];
            let mut earlier = steps[..number].iter_mut();
            if let Some(parent) = earlier.find(|earlier| earlier.at + 1 == before) {
                parent.behind |= behind | 1 << number;
            }
        }
        let mut kinds: Vec<(u16, Steps)> = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let same =
                |(at, _): &&mut (u16, Steps)| self.steps[usize::from(*at)].kind() == step.kind;
            match kinds.iter_mut().find(same) {
                Some((_, all)) => *all |= 1 << number,
                None => kinds.push((step.at, 1 << number)),
            }
        }
        Plan {
            steps: steps.into(),
            kinds: kinds.into(),
        }
    }

    /// The kinds of steps that may change what holds these bytes, and all steps of those kinds.
    fn changes(&self, plan: &Plan, seen: &ByteSet) -> (Kinds, Steps) {
        let (mut kinds, mut due) = (0, 0);
        for &(at, all) in &plan.kinds {
            let step = &self.steps[usize::from(at)];
            if !step.is_identity(seen) {
                kinds |= step.kind();
                due |= all;
            }
        }
        (kinds, due)
    }

    /// Begins with a value that `wanted` rules look at.
    pub fn begin(&self, plan: &Plan, value: &[u8], wanted: Bits, room: &mut Room) {
        room.bytes.clear();
        room.forms.clear();
        room.shown = 0;
        let seen = ByteSet::of(value);
        let (changes, due) = self.changes(plan, &seen);
        room.forms.push(Form {
            span: None,
            seen,
            changes,
            rules: wanted,
        });
        room.moved = Bits::default();
        room.due = due;
        if due != 0 {
            // What is not due makes nothing of the value but itself.
            room.form_of.clear();
            room.form_of.resize(self.steps.len() + 1, 0);
        }
    }

    /// Shows each different form of the value that was begun with: its bytes, what they are, and
    /// the rules that look at it. False if there is more, but no fuel.
    pub fn each(
        &self,
        plan: &Plan,
        value: &[u8],
        wanted: Bits,
        (room, fuel): (&mut Room, &mut Fuel),
        mut look: impl FnMut(&[u8], &ByteSet, Bits),
    ) -> bool {
        while room.due != 0 {
            if fuel.is_spent() {
                return false;
            }
            let planned = plan.steps[room.due.trailing_zeros() as usize];
            room.due &= room.due - 1;
            let at = usize::from(planned.at);
            let before = room.form_of[usize::from(planned.before)];
            let mut form = before;
            if planned.changes(&room.forms[usize::from(before)])
                && self.steps[at].past.meets(&wanted)
            {
                let step = &self.steps[at];
                form = room.after(step, before, value, |seen| self.changes(plan, seen).0);
                fuel.spend(room.forms[usize::from(form)].length(value));
            }
            if form > 0 {
                room.due |= planned.behind;
                let rules = self.steps[at].rules & wanted;
                room.moved |= rules;
                room.forms[usize::from(form)].rules |= rules;
            }
            room.form_of[at + 1] = form;
        }
        if let Some(first) = room.forms.first_mut() {
            first.rules = wanted.without(&room.moved) | (self.plain & wanted);
        }
        while let Some(form) = room.forms.get(room.shown) {
            if fuel.is_spent() {
                return false;
            }
            room.shown += 1;
            if form.rules.any() {
                let bytes = form.span.map_or(value, |span| span.of(&room.bytes));
                fuel.spend(bytes.len());
                look(bytes, &form.seen, form.rules);
            }
        }
        true
    }
}

impl Form {
    fn length(&self, value: &[u8]) -> usize {
        self.span.map_or(value.len(), Span::len)
    }
}

impl Room {
    /// How many different forms the value has that was begun with last.
    pub fn variants(&self) -> usize {
        self.forms.len()
    }

    /// The form that a step makes of another one: the same one if it changes nothing.
    fn after(
        &mut self,
        step: &Step,
        before: u16,
        value: &[u8],
        changes: impl FnOnce(&ByteSet) -> Kinds,
    ) -> u16 {
        let form = self.forms[usize::from(before)];
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
            changes: changes(&seen),
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
    use Transformation::{Base64Decode, CmdLine, JsDecode, Lowercase, RemoveNulls, UrlDecodeUni};

    const CHAINS: &[&[Transformation]] = &[
        &[],
        &[UrlDecodeUni],
        &[UrlDecodeUni, Lowercase],
        &[UrlDecodeUni, JsDecode, Lowercase, RemoveNulls],
        &[Lowercase, JsDecode],
        &[Lowercase, RemoveNulls, JsDecode, RemoveNulls],
        &[Lowercase, CmdLine, UrlDecodeUni],
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

    fn shown(value: &[u8], mut look: impl FnMut(&[u8], Bits)) {
        let (forms, mut room, mut fuel) = (forms(), Room::default(), Fuel::endless());
        let plan = forms.plan(every());
        forms.begin(&plan, value, every(), &mut room);
        let room = (&mut room, &mut fuel);
        assert!(
            forms.each(&plan, value, every(), room, |bytes, _, rules| look(
                bytes, rules
            ))
        );
    }

    #[test]
    fn a_plain_value_has_one_form() {
        let mut seen = 0;
        shown(b"Plain", |_, rules| seen += rules.count());
        assert!(seen >= 5);
    }

    #[test]
    fn forms_go_on_where_the_fuel_ended() {
        let (forms, mut room) = (forms(), Room::default());
        let (plan, value) = (forms.plan(every()), b"%41+\\n a%2541");
        let mut all = Vec::new();
        shown(value, |bytes, rules| all.push((bytes.to_vec(), rules)));
        forms.begin(&plan, value, every(), &mut room);
        let (mut found, mut pauses) = (Vec::new(), 0);
        loop {
            let mut fuel = Fuel::of(1);
            let room = (&mut room, &mut fuel);
            let look = |bytes: &[u8], _: &ByteSet, rules| found.push((bytes.to_vec(), rules));
            if forms.each(&plan, value, every(), room, look) {
                break;
            }
            pauses += 1;
        }
        assert_eq!(found, all);
        assert!(pauses > all.len());
    }

    proptest! {
        #[test]
        fn every_chain_has_its_form_but_for_case(value in "[a%20A\\\\nNx41+=]{0,12}") {
            let mut seen = vec![Vec::new(); CHAINS.len()];
            shown(value.as_bytes(), |bytes, rules| {
                rules.iter().for_each(|rule| seen[rule] = bytes.to_ascii_lowercase());
            });
            for (chain, seen) in CHAINS.iter().zip(seen) {
                prop_assert_eq!(transformed(chain, value.as_bytes()).to_ascii_lowercase(), seen);
            }
        }
    }
}
