//! What a quota is: a rate read from text and the numbers a bucket needs.
//!
//! A [`Quota`] that exists is usable: its emission interval is at least 1 ns, its burst at least
//! one, their product small enough that adding it to a clock reading cannot overflow, and its
//! name can stand inside a quoted string of a header field.

use ahash::RandomState;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// Faster than this, rounding the interval up to whole nanoseconds would cost over one percent.
const MAX_PER_SECOND: u64 = 10_000_000;
/// A bucket that takes longer than this to fill is surely a mistake, and the bound keeps
/// `now + burst * emission` far from overflow (about nine years in nanoseconds).
const MAX_FILL_NS: u64 = 1 << 58;

/// So many requests per so long, with how many of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u64,
    window_s: u64,
    burst: u64,
}

impl Rate {
    /// Reads `100/s`, `600/m`, `1000/h` or `5000/d`; the burst is the count.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hint = "write a count and a unit, like 100/s, 600/m, 1000/h or 5000/d";
        let Some((count, unit)) = text.trim().split_once('/') else {
            return Err(format!("rate `{text}` has no `/`; {hint}"));
        };
        let window_s = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            other => {
                return Err(format!(
                    "rate `{text}` has the unknown unit `{other}`; {hint}"
                ));
            }
        };
        let digits = count.trim();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!(
                "rate `{text}` has no whole number before `/`; {hint}"
            ));
        }
        let count: u64 = digits
            .parse()
            .map_err(|_| format!("rate `{text}` is too large; at most {MAX_PER_SECOND}/s"))?;
        if count == 0 {
            return Err(format!(
                "rate `{text}` lets nothing through; use at least 1, or remove the operation"
            ));
        }
        if count > MAX_PER_SECOND * window_s {
            return Err(format!(
                "rate `{text}` is too large; at most {MAX_PER_SECOND}/s"
            ));
        }
        let rate = Self {
            count,
            window_s,
            burst: count,
        };
        rate.with_burst(count)
    }

    /// The same rate with another burst.
    pub fn with_burst(self, burst: u64) -> Result<Self, String> {
        if burst == 0 {
            return Err("burst 0 lets nothing through; use at least 1".to_owned());
        }
        match burst.checked_mul(self.emission_ns()) {
            Some(fill) if fill <= MAX_FILL_NS => Ok(Self { burst, ..self }),
            _ => Err(format!(
                "burst {burst} would take years to refill at {} per {} s; use a smaller burst",
                self.count, self.window_s
            )),
        }
    }

    /// Rounded up, so that rounding never lets more through than was written.
    fn emission_ns(self) -> u64 {
        (self.window_s * NANOS_PER_SECOND).div_ceil(self.count)
    }
}

/// A named rate, in the terms of the bucket algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    name: Box<str>,
    count: u64,
    window_s: u64,
    emission_ns: u64,
    burst: u64,
    /// Stands for all of the above and for where the quota is declared, so that the key of a
    /// client costs two short hashes.
    seed: [u64; 2],
}

impl Quota {
    /// Names a rate. The name is shown to clients, so it must be printable ASCII.
    pub fn new(name: &str, rate: Rate) -> Result<Self, String> {
        if name.is_empty() || !name.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(format!(
                "quota name {name:?} cannot be sent in a header; use printable ASCII like `per-client`"
            ));
        }
        let quota = Self {
            name: name.into(),
            count: rate.count,
            window_s: rate.window_s,
            emission_ns: rate.emission_ns(),
            burst: rate.burst,
            seed: [0; 2],
        };
        Ok(quota.within(""))
    }

    /// The same quota declared in a place of its own: equal names and rates elsewhere count apart.
    /// Places and names come from the configuration, so fixed hash keys do.
    #[must_use]
    pub fn within(mut self, place: &str) -> Self {
        self.seed = [0; 2];
        let hash = |key| RandomState::with_seeds(key, 2, 3, 4).hash_one((place, &self));
        self.seed = [hash(1), hash(2)];
        self
    }

    pub(super) fn seed(&self) -> [u64; 2] {
        self.seed
    }

    /// The name clients see.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Requests per window, as written.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Seconds in the window.
    #[must_use]
    pub fn window_s(&self) -> u64 {
        self.window_s
    }

    /// Nanoseconds after which one spent token is back.
    #[must_use]
    pub fn emission_ns(&self) -> u64 {
        self.emission_ns
    }

    /// Tokens in a full bucket.
    #[must_use]
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// Nanoseconds an empty bucket takes to fill.
    #[must_use]
    pub fn fill_ns(&self) -> u64 {
        self.burst * self.emission_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units_and_defaults_the_burst() {
        let per_second = Quota::new("a", Rate::parse("100/s").unwrap()).unwrap();
        assert_eq!(per_second.emission_ns(), 10_000_000);
        assert_eq!(per_second.burst(), 100);
        let per_minute = Quota::new("a", Rate::parse(" 600 / m ").unwrap()).unwrap();
        assert_eq!((per_minute.window_s(), per_minute.count()), (60, 600));
        let per_hour = Rate::parse("1000/h").unwrap().with_burst(5).unwrap();
        assert_eq!(Quota::new("a", per_hour).unwrap().burst(), 5);
    }

    #[test]
    fn rounds_the_interval_up() {
        let third = Quota::new("a", Rate::parse("3/s").unwrap()).unwrap();
        assert_eq!(third.emission_ns(), 333_333_334);
    }

    #[test]
    fn says_what_to_write_instead() {
        for bad in ["", "100", "/s", "x/s", "+5/s", "-1/s", "1/w", "100/"] {
            let error = Rate::parse(bad).unwrap_err();
            assert!(error.contains("100/s"), "{bad}: {error}");
        }
        assert!(Rate::parse("0/s").unwrap_err().contains("at least 1"));
        for huge in ["10000001/s", "99999999999999999999999/s"] {
            assert!(Rate::parse(huge).unwrap_err().contains("at most"));
        }
        let daily = Rate::parse("1/d").unwrap();
        assert!(daily.with_burst(0).is_err());
        assert!(daily.with_burst(1_000_000).is_err());
        assert!(daily.with_burst(u64::MAX).is_err());
    }

    #[test]
    fn refuses_names_a_header_cannot_carry() {
        let rate = Rate::parse("1/s").unwrap();
        assert!(Quota::new("", rate).is_err());
        assert!(Quota::new("a\r\nb", rate).is_err());
        assert!(Quota::new("é", rate).is_err());
    }
}
