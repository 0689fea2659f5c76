//! What is asked of strings and numbers, whichever walk has found them.
//!
//! Each fault is handed on by its keyword; the answer says whether to go on to the next.

use std::cmp::Ordering::{Equal, Greater, Less};

use super::number::Number;
use super::pattern::{Over, Trail};
use super::program::{NumberRule, StringRule};

impl StringRule {
    /// Whether a text is what the pattern asks for; the other keywords are checked by
    /// [`check`](StringRule::check).
    #[inline]
    pub fn matches(&self, text: &str, trail: &mut Trail) -> Result<bool, Over> {
        match &self.pattern {
            Some(pattern) => pattern.is_match(text, trail),
            None => Ok(true),
        }
    }

    /// All but the pattern.
    #[inline(always)]
    pub fn check(
        &self,
        text: &str,
        mut fails: impl FnMut(&'static str) -> Option<()>,
    ) -> Option<()> {
        // A code point takes one byte to four, which mostly decides.
        let is_clear = self.min_length.is_none_or(|least| text.len() / 4 >= least)
            && self.max_length.is_none_or(|most| text.len() <= most);
        if !is_clear {
            let length = text.chars().count();
            if self.min_length.is_some_and(|least| length < least) {
                fails("minLength")?;
            }
            if self.max_length.is_some_and(|most| length > most) {
                fails("maxLength")?;
            }
        }
        if self.format.is_some_and(|format| !format.accepts(text)) {
            fails("format")?;
        }
        Some(())
    }
}

impl NumberRule {
    pub fn check(
        &self,
        number: &Number<'_>,
        mut fails: impl FnMut(&'static str) -> Option<()>,
    ) -> Option<()> {
        if let Some((bound, is_open)) = &self.minimum {
            let (worst, keyword) = match is_open {
                true => (Greater, "exclusiveMinimum"),
                false => (Equal, "minimum"),
            };
            if number.compare(&bound.number()) < worst {
                fails(keyword)?;
            }
        }
        if let Some((bound, is_open)) = &self.maximum {
            let (worst, keyword) = match is_open {
                true => (Less, "exclusiveMaximum"),
                false => (Equal, "maximum"),
            };
            if number.compare(&bound.number()) > worst {
                fails(keyword)?;
            }
        }
        let divisor = self.multiple_of.as_ref();
        if divisor.is_some_and(|divisor| !number.is_multiple(divisor)) {
            fails("multipleOf")?;
        }
        if let Some((least, most)) = &self.format {
            let (least, most) = (least.number(), most.number());
            if number.compare(&least) == Less || number.compare(&most) == Greater {
                fails("format")?;
            }
        }
        Some(())
    }
}
