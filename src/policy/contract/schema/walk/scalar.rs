//! What is asked of strings and numbers.

use super::super::number::Number;
use super::super::program::{NumberRule, RuleId, StringRule};
use super::Walk;

impl<'w> Walk<'w> {
    pub(super) fn text(
        &mut self,
        rule: &StringRule,
        text: &str,
        (id, token): (RuleId, usize),
    ) -> Option<()> {
        if rule.min_length.is_some() || rule.max_length.is_some() {
            // A code point takes one byte to four, which mostly decides.
            let (most, least) = (text.len(), text.len().div_ceil(4));
            let is_clear = rule.min_length.is_none_or(|bound| least >= bound)
                && rule.max_length.is_none_or(|bound| most <= bound);
            if !is_clear {
                let length = text.chars().count();
                let long = rule.min_length.is_none_or(|bound| length >= bound);
                self.expect(long, token, id, "minLength")?;
                let short = rule.max_length.is_none_or(|bound| length <= bound);
                self.expect(short, token, id, "maxLength")?;
            }
        }
        if let Some(format) = rule.format {
            self.expect(format.accepts(text), token, id, "format")?;
        }
        if let Some(pattern) = &rule.pattern {
            self.expect(pattern.is_match(text), token, id, "pattern")?;
        }
        Some(())
    }

    pub(super) fn in_range(
        &mut self,
        rule: &NumberRule,
        number: &Number<'_>,
        (id, token): (RuleId, usize),
    ) -> Option<()> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        if let Some((bound, is_open)) = &rule.minimum {
            let (worst, keyword) = match is_open {
                true => (Greater, "exclusiveMinimum"),
                false => (Equal, "minimum"),
            };
            let holds = number.compare(&bound.number()) >= worst;
            self.expect(holds, token, id, keyword)?;
        }
        if let Some((bound, is_open)) = &rule.maximum {
            let (worst, keyword) = match is_open {
                true => (Less, "exclusiveMaximum"),
                false => (Equal, "maximum"),
            };
            let holds = number.compare(&bound.number()) <= worst;
            self.expect(holds, token, id, keyword)?;
        }
        if let Some(divisor) = &rule.multiple_of {
            self.expect(number.is_multiple(divisor), token, id, "multipleOf")?;
        }
        if let Some((least, most)) = &rule.format {
            let holds = number.compare(&least.number()) != Less
                && number.compare(&most.number()) != Greater;
            self.expect(holds, token, id, "format")?;
        }
        Some(())
    }
}
