//! What the configuration takes from rules: some do not run for an operation, some do not look at
//! some values. Made at load and shared by all requests; what the rules themselves take out while
//! a request is looked at stands in its [`State`](crate::policy::waf::state::State).

use crate::policy::waf::collection::Collection;
use crate::policy::waf::pointer::Pointer;
use crate::policy::waf::target::Target;
use crate::policy::waf::values::Origin;

/// The exclusions of one operation.
#[derive(Clone, Debug, Default)]
pub struct Exclusions {
    /// Ids in order.
    rules: Vec<u32>,
    values: Vec<Exclusion>,
}

/// Values that some rules do not look at.
#[derive(Clone, Debug)]
struct Exclusion {
    /// Ids in order.
    rules: Box<[u32]>,
    values: Excluded,
}

/// Which values.
#[derive(Clone, Debug)]
pub enum Excluded {
    Target(Target),
    /// What a JSON body holds at a place, and nothing else that happens to have that name.
    Place(Pointer),
}

impl Exclusions {
    /// These rules do not run.
    pub fn remove(&mut self, rules: &[u32]) {
        self.rules.extend_from_slice(rules);
        self.rules.sort_unstable();
        self.rules.dedup();
    }

    /// These rules do not look at these values.
    pub fn exempt(&mut self, mut rules: Vec<u32>, values: Excluded) {
        rules.sort_unstable();
        self.values.push(Exclusion {
            rules: rules.into(),
            values,
        });
    }

    /// All of these, and those as well.
    pub fn extend(&mut self, more: Exclusions) {
        self.remove(&more.rules);
        self.values.extend(more.values);
    }

    /// Whether a rule does not run.
    pub fn removes(&self, rule: u32) -> bool {
        self.rules.binary_search(&rule).is_ok()
    }

    /// Whether a rule does not look at a value.
    pub fn exempts(&self, rule: u32, part: Collection, (name, origin): (&[u8], Origin)) -> bool {
        self.values.iter().any(|exclusion| {
            let is_meant = match &exclusion.values {
                Excluded::Target(target) => target.selects(part, name),
                Excluded::Place(pointer) => origin.is_at_place && pointer.leads_to(name),
            };
            is_meant && exclusion.rules.binary_search(&rule).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::waf::target::Selector;

    #[test]
    fn rules_and_values_are_taken_out_where_they_are_meant() {
        let mut exclusions = Exclusions::default();
        exclusions.remove(&[7, 3]);
        let memo = Pointer::read("/memo").unwrap();
        exclusions.exempt(vec![9, 5], Excluded::Place(memo));
        let target = Target {
            collection: Collection::Args,
            selector: Selector::Exact((*b"query").into()),
            count: false,
        };
        let mut more = Exclusions::default();
        more.remove(&[1]);
        more.exempt(vec![5], Excluded::Target(target));
        exclusions.extend(more);
        assert_eq!(
            [1, 2, 3, 7].map(|rule| exclusions.removes(rule)),
            [true, false, true, true]
        );
        let body = Origin {
            is_at_place: true,
            ..Origin::default()
        };
        let at = |rule, name: &[u8], origin| {
            exclusions.exempts(rule, Collection::ArgsPost, (name, origin))
        };
        assert!(at(5, b"json.memo", body) && at(9, b"json.memo", body));
        assert!(!at(6, b"json.memo", body));
        assert!(!at(5, b"json.memo", Origin::default()));
        assert!(at(5, b"query", body) && !at(5, b"Query", body) && !at(9, b"query", body));
    }
}
