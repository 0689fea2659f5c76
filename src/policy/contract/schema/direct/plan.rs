//! Rules laid out for the direct walk: of each what most bodies need, ready to be compared.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::super::literal::Literal;
use super::super::program::{
    Additional, ArrayRule, BITS, Member, Members, NumberRule, ObjectRule, Program, Rule, RuleId,
    StringRule, types,
};
use super::quick::{Quick, WINDOW};

/// Longest name, with quotes and colon, that is compared as one word.
const WORD: usize = 16;

/// One node for each rule, under the same number, and one more that accepts anything.
#[derive(Debug)]
pub struct Plan {
    pub nodes: Box<[Node]>,
    /// An array and an object of which nothing is asked.
    pub anything: Array,
    pub open: Object,
}

#[derive(Debug)]
pub struct Node {
    pub types: u8,
    pub text: Option<Arc<StringRule>>,
    pub number: Range,
    pub object: Option<Box<Object>>,
    pub array: Option<Box<Array>>,
    /// `enum` and `const`.
    pub allowed: Option<Box<Allowed>>,
    /// Whether this node and all below it say everything that their rules do.
    pub is_whole: bool,
}

/// Bounds of numbers with few digits: twice the next whole number towards the negative, and one
/// more for any fraction.
#[derive(Debug)]
pub struct Range {
    pub least: i64,
    pub most: i64,
    /// What the bounds above leave open, for all numbers.
    pub exact: Option<Arc<NumberRule>>,
    /// For numbers with many digits.
    pub long: Option<Arc<NumberRule>>,
}

#[derive(Debug)]
pub struct Allowed {
    pub texts: Arc<[Box<str>]>,
    /// The literals, as bits of their types; booleans by their first letter.
    pub literals: Box<[u8]>,
    /// Twice the value, as in [`Range`].
    pub whole: Box<[i64]>,
}

#[derive(Debug)]
pub struct Array {
    pub prefix: Box<[RuleId]>,
    pub items: RuleId,
    pub least: usize,
    pub most: usize,
}

#[derive(Debug)]
pub struct Object {
    /// For names that do not stand where they are expected.
    pub members: Members,
    /// In the same order.
    pub expected: Box<[Expected]>,
    /// What of the longer names is not in their word, in the same order; nothing where all are short.
    rests: Box<[Box<[u8]>]>,
    /// For members that are not declared; none are taken without.
    pub additional: Option<RuleId>,
    pub least: usize,
    pub most: usize,
    /// Whether the two bounds above are any.
    pub is_counted: bool,
    /// Where guesses of the order begin, the same for every load of the schema.
    pub guesses: usize,
}

/// A name as it stands in most texts: quotes around it and a colon behind.
#[derive(Debug)]
pub struct Expected {
    word: u128,
    mask: u128,
    pub quick: Quick,
    node: u32,
    length: u32,
}

/// A name as most texts have it.
fn quoted(name: &str) -> String {
    format!("\"{name}\":")
}

impl Expected {
    /// None: the name is longer than a text.
    fn new(name: &str, node: RuleId) -> Option<Expected> {
        let quoted = quoted(name);
        let first = &quoted.as_bytes()[..quoted.len().min(WORD)];
        let mut word = [0; WORD];
        word[..first.len()].copy_from_slice(first);
        let unused = 8 * (WORD - first.len()) as u32;
        Some(Expected {
            word: u128::from_le_bytes(word),
            mask: u128::MAX.checked_shr(unused).unwrap_or(0),
            quick: Quick::Unknown,
            node: u32::try_from(node).ok()?,
            length: u32::try_from(quoted.len()).ok()?,
        })
    }

    /// How many bytes the name takes, with quotes and colon.
    #[inline(always)]
    pub fn length(&self) -> usize {
        self.length as usize
    }

    #[inline(always)]
    pub fn node(&self) -> RuleId {
        self.node as usize
    }

    /// Whether the name, as far as it is compared as one word, is what stands here.
    #[inline(always)]
    fn begins(&self, word: [u8; WORD]) -> bool {
        (u128::from_le_bytes(word) ^ self.word) & self.mask == 0
    }

    fn is_long(&self) -> bool {
        self.length() > WORD
    }
}

impl Object {
    /// The member of a number, if its name stands at the beginning of a window.
    #[inline(always)]
    pub fn opens(&self, member: usize, window: &[u8; WINDOW]) -> Option<&Expected> {
        let expected = self.expected.get(member)?;
        let (words, _) = window.as_chunks::<WORD>();
        let stands = expected.begins(words[0])
            && (!expected.is_long() || self.goes_on(member, &window[WORD..]));
        stands.then_some(expected)
    }

    /// The same at a place of a text; none also near its end.
    #[inline(always)]
    pub fn stands(&self, member: usize, text: &[u8], at: usize) -> Option<&Expected> {
        let expected = self.expected.get(member)?;
        let (word, rest) = text.get(at..)?.split_first_chunk()?;
        let stands = expected.begins(*word) && (!expected.is_long() || self.goes_on(member, rest));
        stands.then_some(expected)
    }

    /// Whether the rest of a long name stands at the beginning of a text.
    fn goes_on(&self, member: usize, text: &[u8]) -> bool {
        self.rests
            .get(member)
            .is_some_and(|rest| text.starts_with(rest))
    }
}

impl Plan {
    pub fn new(program: &Program) -> Plan {
        let any = program.rules.len();
        let open = object(&ObjectRule::default(), any);
        let anything = array(&ArrayRule::default(), any);
        let mut nodes: Vec<Node> = program.rules.iter().map(|rule| node(rule, any)).collect();
        nodes.push(node(&Rule::default(), any));
        spread(&mut nodes);
        quicken(&mut nodes);
        Plan {
            nodes: nodes.into(),
            anything: anything.expect("nothing is asked of it"),
            open: open.expect("nothing is asked of it"),
        }
    }
}

/// Puts what is asked of short values beside the names of the members that have them.
fn quicken(nodes: &mut [Node]) {
    for id in 0..nodes.len() {
        let Some(mut object) = nodes[id].object.take() else {
            continue;
        };
        for expected in &mut object.expected {
            expected.quick = Quick::new(&nodes[expected.node()], expected.length());
        }
        nodes[id].object = Some(object);
    }
}

/// What has a part that is not whole is not whole either.
fn spread(nodes: &mut [Node]) {
    loop {
        let broken: Vec<usize> = (0..nodes.len())
            .filter(|&id| nodes[id].is_whole)
            .filter(|&id| nodes[id].below().any(|next| !nodes[next].is_whole))
            .collect();
        if broken.is_empty() {
            return;
        }
        broken.into_iter().for_each(|id| nodes[id].is_whole = false);
    }
}

impl Node {
    fn below(&self) -> impl Iterator<Item = RuleId> {
        let array = self.array.iter().flat_map(|array| {
            let prefix = array.prefix.iter().copied();
            prefix.chain([array.items])
        });
        let object = self.object.iter().flat_map(|object| {
            let members = object.expected.iter().map(Expected::node);
            members.chain(object.additional)
        });
        array.chain(object)
    }
}

fn node(rule: &Rule, any: RuleId) -> Node {
    let object = rule.object.as_ref().map(|own| object(own, any));
    let array = rule.array.as_ref().map(|own| array(own, any));
    let allowed = match &rule.values[..] {
        [] => Some(None),
        [values] => allowed(&values.texts, &values.others).map(Some),
        _ => None,
    };
    let is_whole = rule.branches.is_none()
        && allowed.is_some()
        && !matches!(object, Some(None))
        && !matches!(array, Some(None));
    Node {
        types: match (&rule.never, &rule.values[..]) {
            (Some(_), _) => 0,
            (None, []) => rule.types,
            // Lists with these among them are not compared here.
            (None, _) => rule.types & !(types::OBJECT | types::ARRAY),
        },
        text: rule.string.clone(),
        number: range(rule.number.as_ref()),
        object: object.flatten().map(Box::new),
        array: array.flatten().map(Box::new),
        allowed: allowed.flatten().map(Box::new),
        is_whole,
    }
}

fn array(rule: &ArrayRule, any: RuleId) -> Option<Array> {
    let is_plain = !rule.is_unique && rule.contains.is_none();
    is_plain.then(|| Array {
        prefix: rule.prefix.clone(),
        items: rule.items.unwrap_or(any),
        least: rule.min_items.unwrap_or(0),
        most: rule.max_items.unwrap_or(usize::MAX),
    })
}

fn object(rule: &ObjectRule, any: RuleId) -> Option<Object> {
    let is_plain =
        rule.patterns.is_empty() && rule.rare.is_none() && rule.members.list.len() <= BITS;
    let additional = match rule.additional {
        Additional::Open | Additional::Allowed => Some(any),
        Additional::Refused => None,
        Additional::Checked(next) => Some(next),
    };
    let expected = rule.members.list.iter().map(|member| {
        // Only required, so no member of its own.
        let node = member.rule.or(additional);
        node.and_then(|node| Expected::new(&member.name, node))
    });
    let is_long = |member: &Member| member.name.len() + 3 > WORD;
    let rests = rule.members.list.iter().any(is_long).then(|| {
        let names = rule.members.list.iter().map(|member| quoted(&member.name));
        let rests = names.map(|name| name.as_bytes().get(WORD..).unwrap_or_default().into());
        rests.collect()
    });
    let mut hasher = DefaultHasher::new();
    let names = rule.members.list.iter().map(|member| &member.name);
    names.for_each(|name| name.hash(&mut hasher));
    is_plain.then_some(())?;
    Some(Object {
        members: rule.members.clone(),
        expected: expected.collect::<Option<_>>()?,
        rests: rests.unwrap_or_default(),
        additional,
        least: rule.min_properties.unwrap_or(0),
        most: rule.max_properties.unwrap_or(usize::MAX),
        is_counted: rule.min_properties.or(rule.max_properties).is_some(),
        guesses: hasher.finish() as usize,
    })
}

fn range(rule: Option<&Arc<NumberRule>>) -> Range {
    let mut range = Range {
        least: i64::MIN,
        most: i64::MAX,
        exact: None,
        long: rule.cloned(),
    };
    let Some(rule) = rule else {
        return range;
    };
    let (minimum, maximum) = (rule.minimum.as_ref(), rule.maximum.as_ref());
    let twice = |bound: Option<&(super::super::number::Exact, bool)>| match bound {
        None => Some(None),
        Some((exact, is_open)) => {
            let whole = exact.number().as_whole()?;
            Some(Some((whole.saturating_mul(2), i64::from(*is_open))))
        }
    };
    match (twice(minimum), twice(maximum)) {
        (Some(least), Some(most)) if rule.multiple_of.is_none() => {
            range.least = least.map_or(i64::MIN, |(bound, open)| bound.saturating_add(open));
            range.most = most.map_or(i64::MAX, |(bound, open)| bound.saturating_sub(open));
        }
        _ => range.exact = range.long.clone(),
    }
    // Numbers with few digits are within the range of every format.
    range
}

/// None: there are values that only the other walk compares.
fn allowed(texts: &Arc<[Box<str>]>, others: &[Literal]) -> Option<Allowed> {
    let (mut literals, mut whole) = (Vec::new(), Vec::new());
    for other in others {
        match other {
            Literal::Null => literals.push(b'n'),
            Literal::Bool(true) => literals.push(b't'),
            Literal::Bool(false) => literals.push(b'f'),
            Literal::Number(exact) => {
                let value = exact.number().as_whole()?;
                whole.push(value.checked_mul(2)?);
            }
            Literal::Text(_) | Literal::List(_) | Literal::Members(_) => return None,
        }
    }
    Some(Allowed {
        texts: Arc::clone(texts),
        literals: literals.into(),
        whole: whole.into(),
    })
}

/// The type of a literal by its first letter.
pub const fn literal(first: u8) -> u8 {
    match first {
        b'n' => types::NULL,
        _ => types::BOOLEAN,
    }
}
