//! What a rule looks at: `REQUEST_HEADERS|!REQUEST_HEADERS:Referer|&ARGS|ARGS:/^id_/`.

use crate::policy::waf::collection::Collection;
use crate::policy::waf::pattern::Pattern;
use crate::policy::waf::template::{Slot, Slots};

/// Which values of a collection.
#[derive(Clone, Debug)]
pub enum Selector {
    All,
    /// In lower case: names are the same in any case.
    Name(Box<str>),
    /// Names are the same byte by byte.
    Exact(Box<[u8]>),
    Pattern(Box<Pattern>),
    /// The same over variables of `TX`, and the slots that it selects: their names are known at load.
    Variables(Box<Pattern>, Box<[Slot]>),
    /// A variable of `TX` or of a persistent collection.
    Slot(Slot),
}

#[derive(Clone, Debug)]
pub struct Target {
    pub collection: Collection,
    pub selector: Selector,
    /// How many values there are, instead of the values.
    pub count: bool,
}

/// The targets of a rule, and what is exempt from them.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    pub included: Vec<Target>,
    pub excluded: Vec<Target>,
}

impl Selector {
    pub fn selects(&self, name: &[u8]) -> bool {
        match self {
            Selector::All => true,
            Selector::Name(wanted) => wanted.as_bytes().eq_ignore_ascii_case(name),
            Selector::Exact(wanted) => **wanted == *name,
            Selector::Pattern(pattern) | Selector::Variables(pattern, _) => pattern.matches(name),
            Selector::Slot(_) => false,
        }
    }
}

impl Target {
    /// What is known of it when all variables are.
    pub fn with_slots(&self, slots: &Slots) -> Target {
        let mut target = self.clone();
        if let (Collection::Tx, Selector::Pattern(pattern)) = (self.collection, &self.selector) {
            let selected = slots
                .all()
                .filter(|(_, name)| pattern.matches(name.as_bytes()));
            let selected = selected.map(|(slot, _)| slot).collect();
            target.selector = Selector::Variables(pattern.clone(), selected);
        }
        target
    }

    /// Whether a value of `part` with this name is one of these.
    pub fn selects(&self, part: Collection, name: &[u8]) -> bool {
        self.collection.covers(part) && self.selector.selects(name)
    }
}

impl Targets {
    pub fn excludes(&self, part: Collection, name: &[u8]) -> bool {
        self.excluded
            .iter()
            .any(|target| target.selects(part, name))
    }
}
