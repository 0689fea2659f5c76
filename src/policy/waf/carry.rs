//! What the records of one body add up to, each of which is looked at as a body of its own.
//!
//! A record is judged with the score of those before it: that goes in where rules sum up the lowest
//! paranoia level, and comes out with the sum of all.

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

type Totals = [i64; SUMS.len()];

#[derive(Clone, Copy, Debug, Default)]
pub struct Carry {
    /// Without any record.
    base: Totals,
    /// Of all records so far.
    sum: Totals,
}

impl Carry {
    /// The head has been looked at, without a record.
    pub fn set_base(&mut self, inspection: &Inspection, rules: &RuleSet) {
        self.base = totals(inspection, rules);
    }

    /// A record has been looked at.
    pub fn take(&mut self, inspection: &Inspection, rules: &RuleSet) {
        let all = totals(inspection, rules);
        for ((sum, all), base) in self.sum.iter_mut().zip(all).zip(self.base) {
            *sum = all.saturating_sub(base).max(0);
        }
    }

    /// Before the next one is.
    pub fn give(&self, inspection: &mut Inspection, rules: &RuleSet) {
        for ((into, _), &sum) in SUMS.iter().zip(&self.sum) {
            inspection.add_to(rules, into, sum);
        }
    }
}

fn totals(inspection: &Inspection, rules: &RuleSet) -> Totals {
    SUMS.map(|(_, total)| inspection.score(rules, total))
}
