//! What the records of one body add up to, each of which is looked at as a body of its own.
//!
//! The verdict is that on the same body as a whole. A record is judged with the score of those
//! before it: that goes in where rules sum up the lowest paranoia level, and comes out with the sum
//! of all. In files a value that matches adds to the score, so each record does; a native rule adds
//! once, whatever the number of records that it finds something in.

use crate::policy::waf::inspection::Inspection;
use crate::policy::waf::rule::RuleSet;

/// The variables where a score goes in, and where it comes out with all others: of the Core Rule
/// Set in version 4 and in version 3, of native rules, of others.
const SUMS: [(&str, &str); 4] = [
    (
        "inbound_anomaly_score_pl1",
        "blocking_inbound_anomaly_score",
    ),
    ("anomaly_score_pl1", "anomaly_score"),
    ("native_score", "native_score"),
    ("score", "score"),
];

/// What there is of each sum, then of each category.
#[derive(Clone, Debug, Default)]
pub struct Carry {
    /// Without any record.
    base: Vec<i64>,
    /// Of all records so far.
    sum: Vec<i64>,
}

impl Carry {
    /// The head has been looked at, without a record.
    pub fn set_base(&mut self, inspection: &Inspection, rules: &RuleSet) {
        self.base.clear();
        self.base.extend(totals(inspection, rules));
        self.sum.clear();
        self.sum.resize(self.base.len(), 0);
    }

    /// A record has been looked at.
    pub fn take(&mut self, inspection: &Inspection, rules: &RuleSet) {
        let all = totals(inspection, rules);
        for ((sum, all), base) in self.sum.iter_mut().zip(all).zip(&self.base) {
            *sum = all.saturating_sub(*base).max(0);
        }
    }

    /// Before the next one is.
    pub fn give(&self, inspection: &mut Inspection, rules: &RuleSet) {
        for ((into, _), &sum) in SUMS.iter().zip(&self.sum) {
            inspection.add_to(rules, into, sum);
        }
        self.give_categories(inspection, rules);
    }

    /// When all rules have run that sum up: for those that look at the sums.
    pub fn give_at_end(&self, inspection: &mut Inspection, rules: &RuleSet) {
        for ((into, total), &sum) in SUMS.iter().zip(&self.sum) {
            inspection.add_to(rules, into, sum);
            if into != total {
                inspection.add_to(rules, total, sum);
            }
        }
        self.give_categories(inspection, rules);
    }

    fn give_categories(&self, inspection: &mut Inspection, rules: &RuleSet) {
        let sums = self.sum.iter().skip(SUMS.len());
        for (slot, &sum) in rules.scores.categories().zip(sums) {
            inspection.add_at(slot, sum);
        }
    }
}

fn totals(inspection: &Inspection, rules: &RuleSet) -> impl Iterator<Item = i64> {
    let sums = SUMS.map(|(_, total)| inspection.score(rules, total));
    let categories = rules.scores.categories();
    sums.into_iter()
        .chain(categories.map(|slot| inspection.number(slot)))
}
