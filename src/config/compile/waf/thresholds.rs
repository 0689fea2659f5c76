//! The sum of scores from which a message is an attack.

use crate::config::compile::waf::rules::warn;
use crate::config::reader::{At, Reader};
use crate::policy::contract::lint::Level;
use crate::policy::waf::inspection::{RESPONSE_THRESHOLD, THRESHOLD, Tuning};
use crate::policy::waf::rule::RuleSet;

/// Takes what is said of requests and of answers, in place of what was said before.
pub(super) fn compile(
    reader: &Reader<'_>,
    rules: (&str, &RuleSet, Level),
    (requests, answers): (&Option<At<usize>>, &Option<At<usize>>),
    tuning: &mut Tuning,
) {
    let one = |said: &Option<At<usize>>, variable| {
        said.as_ref()
            .and_then(|said| threshold(reader, rules, (said, variable)))
    };
    tuning.threshold = one(requests, THRESHOLD).or(tuning.threshold);
    tuning.response_threshold = one(answers, RESPONSE_THRESHOLD).or(tuning.response_threshold);
}

fn threshold(
    reader: &Reader<'_>,
    (set, rules, void): (&str, &RuleSet, Level),
    (said, variable): (&At<usize>, &str),
) -> Option<i64> {
    let value = i64::try_from(said.value).ok().filter(|&value| value > 0);
    if value.is_none() {
        let message = "messages in which no rule finds anything would be attacks";
        reader.error(
            said.position,
            message,
            "write 1 or more; critical findings add 5",
        );
    }
    if !rules.reads(variable) {
        let message = format!("no rule of [waf.{set}] compares a score with tx.{variable}");
        let hint = "remove it: it changes nothing";
        warn(reader, void, said.position, (message, hint));
    }
    value
}
