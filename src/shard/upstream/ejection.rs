//! What one shard has seen of one endpoint, and whether it is left out for it.
//!
//! ```text
//!            failures in a row, or most of a window
//!   in use ------------------------------------------> left out --+ time passes
//!      ^ ^                                                ^       v
//!      | +---------- the time of a failure has passed ----|----- on trial: one request at a time
//!      +---------------------- it succeeds ---------------+-- it fails: longer
//! ```

use crate::policy::upstream::Ejection;
use crate::shard::deadline::in_ticks;

/// Ticks in which requests are counted together: ten seconds.
const WINDOW: u32 = 500;

/// A window with fewer requests says nothing about a share.
const ENOUGH: u32 = 20;

/// How a request to an endpoint ended, as far as the endpoint had a part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered as one that is well.
    Answered,
    /// It took no connection. Asking again costs nobody anything.
    Refused,
    /// It took the request and gave no valid answer, or none in time.
    Failed,
    /// It answered that there is nobody to answer (RFC 9110 sections 15.6.3 to 15.6.5).
    Unwell,
    /// It answered with another failure, or broke off in the middle: a client may know how to
    /// provoke that, so it counts for the share alone.
    Faulty,
}

/// Whether requests may go to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    InUse,
    LeftOut(Outcome),
    /// Its time is over: the next request shows whether it is well again.
    OnTrial(Outcome),
}

#[derive(Debug, Default)]
pub struct Record {
    in_a_row: u32,
    window: u32,
    asked: u32,
    failed: u32,
    /// Until when it is left out, and why.
    left_out: Option<(u32, Outcome)>,
    /// How often in a row it was left out.
    times: u32,
}

impl Record {
    /// Notes how a request ended at the tick `now`. `true`: the endpoint is left out from now on.
    pub fn note(&mut self, outcome: Outcome, now: u32, rule: Ejection) -> bool {
        if now.wrapping_sub(self.window) >= WINDOW {
            (self.window, self.asked, self.failed) = (now, 0, 0);
        }
        self.asked += 1;
        if outcome == Outcome::Answered {
            self.in_a_row = 0;
            if matches!(self.standing(now), Standing::OnTrial(_)) {
                self.left_out = None;
                self.times = 0;
            }
            return false;
        }
        if outcome != Outcome::Faulty {
            self.in_a_row += 1;
        }
        self.failed += 1;
        let was_on_trial = match self.standing(now) {
            // Requests that were under way when it was left out.
            Standing::LeftOut(_) => return false,
            Standing::OnTrial(_) => true,
            Standing::InUse => false,
        };
        let is_mostly_bad = self.asked >= ENOUGH
            && u64::from(self.failed) * 100
                >= u64::from(self.asked) * u64::from(rule.failure_percent);
        if !was_on_trial && self.in_a_row < rule.failures && !is_mostly_bad {
            return false;
        }
        let doubled = rule.time * (1 << self.times.min(Ejection::LONGEST));
        self.times += 1;
        (self.in_a_row, self.asked, self.failed) = (0, 0, 0);
        self.left_out = Some((now.wrapping_add(in_ticks(doubled)), outcome));
        true
    }

    pub fn standing(&self, now: u32) -> Standing {
        match self.left_out {
            None => Standing::InUse,
            Some((until, why)) if now.wrapping_sub(until) < u32::MAX / 2 => Standing::OnTrial(why),
            Some((_, why)) => Standing::LeftOut(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use Outcome::{Answered, Failed, Faulty, Refused, Unwell};

    const RULE: Ejection = Ejection {
        failures: 3,
        failure_percent: 50,
        time: Duration::from_secs(1),
    };
    const SECOND: u32 = 50;

    #[test]
    fn failures_in_a_row_leave_it_out_and_a_trial_brings_it_back() {
        let mut record = Record::default();
        assert!(!record.note(Failed, 1, RULE) && !record.note(Failed, 2, RULE));
        assert!(!record.note(Answered, 3, RULE));
        assert!(!record.note(Failed, 4, RULE) && !record.note(Failed, 5, RULE));
        assert!(record.note(Refused, 6, RULE));
        assert_eq!(record.standing(7), Standing::LeftOut(Refused));
        // What was under way meanwhile changes nothing.
        assert!(!record.note(Failed, 8, RULE) && !record.note(Answered, 8, RULE));
        assert_eq!(record.standing(6 + SECOND), Standing::LeftOut(Refused));
        assert_eq!(record.standing(8 + SECOND), Standing::OnTrial(Refused));
        // One failure on trial is enough, and the next time is twice as long.
        assert!(record.note(Failed, 8 + SECOND, RULE));
        assert_eq!(
            record.standing(8 + 3 * SECOND - 1),
            Standing::LeftOut(Failed)
        );
        let back = 12 + 3 * SECOND;
        assert_eq!(record.standing(back), Standing::OnTrial(Failed));
        assert!(!record.note(Answered, back, RULE));
        assert_eq!(record.standing(back), Standing::InUse);
    }

    #[test]
    fn a_share_of_failures_counts_once_there_are_enough() {
        let mut record = Record::default();
        for _ in 0..9 {
            assert!(!record.note(Failed, 1, RULE) && !record.note(Answered, 1, RULE));
        }
        assert!(!record.note(Answered, 1, RULE));
        assert!(record.note(Failed, 1, RULE), "10 of 20");
        // In the next window the count begins anew.
        let mut calm = Record::default();
        assert!((0..15).all(|_| !calm.note(Answered, 1, RULE)));
        for now in [1, 1, WINDOW + 2, WINDOW + 2] {
            assert!(!calm.note(Failed, now, RULE));
            calm.note(Answered, now, RULE);
        }
        assert_eq!(calm.standing(WINDOW + 3), Standing::InUse);
    }

    #[test]
    fn what_a_client_may_provoke_counts_for_the_share_alone() {
        let mut provoked = Record::default();
        assert!((1..ENOUGH).all(|_| !provoked.note(Faulty, 1, RULE)));
        assert!(provoked.note(Faulty, 1, RULE), "20 of 20");
        assert_eq!(provoked.standing(2), Standing::LeftOut(Faulty));
        // On trial it has to answer well.
        assert!(provoked.note(Faulty, 2 + 2 * SECOND, RULE));
        let mut unwell = Record::default();
        assert!(!unwell.note(Unwell, 1, RULE) && !unwell.note(Unwell, 1, RULE));
        assert!(!unwell.note(Faulty, 1, RULE) && unwell.note(Unwell, 1, RULE));
    }

    #[test]
    fn the_time_grows_up_to_a_bound() {
        let mut record = Record::default();
        let mut now = 1;
        assert!((0..2).all(|_| !record.note(Failed, now, RULE)));
        for times in 0..12 {
            assert!(record.note(Failed, now, RULE));
            let length = SECOND << times.min(Ejection::LONGEST);
            assert!(matches!(
                record.standing(now + length - 1),
                Standing::LeftOut(_)
            ));
            now += length + 1;
            assert_eq!(record.standing(now), Standing::OnTrial(Failed));
        }
    }
}
