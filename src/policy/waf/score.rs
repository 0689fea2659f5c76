//! What the scores of the rules add up to, by category: what a log says of a request besides the
//! single hits.

use std::sync::Arc;

use crate::policy::waf::template::{Slot, Slots};
use crate::policy::waf::tx::Tx;

/// The end of the names of variables that rule sets count a category in.
const ENDING: &str = "_score";

/// The variables that the sum of all categories is in: of native rules, of the Core Rule Set in
/// version 4 and in version 3.
const SUMS: [&str; 3] = [
    "native_score",
    "blocking_inbound_anomaly_score",
    "anomaly_score",
];

/// The same of what was found in answers.
const OUTBOUND_SUMS: [&str; 2] = ["blocking_outbound_anomaly_score", "outbound_anomaly_score"];

/// What that sum is called.
const OUTBOUND: &str = "outbound";

/// What the sum of all is called.
pub const TOTAL: &str = "total";

/// The score of a category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    pub category: Arc<str>,
    pub value: i64,
}

/// The variables of a rule set that hold scores.
#[derive(Debug, Default)]
pub struct Scores(Box<[(Arc<str>, Slot)]>);

impl Scores {
    pub fn among(slots: &Slots) -> Scores {
        let named = slots.all();
        let found = named.filter_map(|(slot, name)| Some((category(name)?.into(), slot)));
        Scores(found.collect())
    }

    /// The variables of single categories.
    pub fn categories(&self) -> impl Iterator<Item = Slot> {
        let single = self.0.iter();
        let single = single.filter(|(category, _)| ![TOTAL, OUTBOUND].contains(&&**category));
        single.map(|(_, slot)| *slot)
    }

    /// Those that are not zero.
    pub fn read<'a>(&'a self, tx: &'a Tx) -> impl Iterator<Item = Score> + 'a {
        self.0.iter().filter_map(|(category, slot)| {
            let value = tx.number(*slot);
            (value != 0).then(|| Score {
                category: Arc::clone(category),
                value,
            })
        })
    }
}

/// None for variables that hold something else: sums of one paranoia level, and what a severity
/// is worth.
fn category(variable: &str) -> Option<&str> {
    if SUMS.contains(&variable) {
        return Some(TOTAL);
    }
    if OUTBOUND_SUMS.contains(&variable) {
        return Some(OUTBOUND);
    }
    let category = variable.strip_suffix(ENDING)?;
    (!category.contains("anomaly")).then_some(category)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_told_from_sums_and_settings() {
        for (variable, expected) in [
            ("sql_score", Some("sql")),
            ("sql_injection_score", Some("sql_injection")),
            ("native_score", Some(TOTAL)),
            ("anomaly_score", Some(TOTAL)),
            ("blocking_inbound_anomaly_score", Some(TOTAL)),
            ("inbound_anomaly_score_pl1", None),
            ("blocking_outbound_anomaly_score", Some(OUTBOUND)),
            ("outbound_anomaly_score_pl1", None),
            ("critical_anomaly_score", None),
            ("detection_inbound_anomaly_score", None),
            ("allowed_methods", None),
        ] {
            assert_eq!(category(variable), expected, "{variable}");
        }
    }

    #[test]
    fn scores_that_are_not_zero_are_read() {
        let mut slots = Slots::default();
        let (sql, xss) = (slots.intern("sql_score"), slots.intern("xss_score"));
        let mut tx = Tx::default();
        tx.clear(slots.len());
        tx.assign_number(sql, 5);
        tx.assign_number(xss, 0);
        let scores = Scores::among(&slots);
        let read: Vec<Score> = scores.read(&tx).collect();
        assert_eq!(read.len(), 1);
        assert_eq!((&*read[0].category, read[0].value), ("sql", 5));
    }
}
