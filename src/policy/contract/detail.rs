//! What exactly a contract refused or noted: places and keywords, never a value. For the log, and,
//! where the configuration says so, for the client whose request it is.

use std::fmt;

use crate::policy::denial::Denial;
use crate::problem::Fault;

/// Most characters of a name or place that are kept; undeclared names and keys are the client's.
pub(super) const NAME: usize = 128;

/// Most bytes of what a log line says of all of them.
const TEXT: usize = 8 * 1024;

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// `path`, `query`, `header`, `cookie`, `body` or `response`.
    pub part: &'static str,
    /// Of a parameter; of a body the JSON pointer to the value.
    pub name: String,
    /// The keyword of the schema, or the rule of the parameter or body.
    pub rule: &'static str,
    /// Where the schema stands that refused; empty when no schema did. Never for a client.
    pub schema: String,
}

impl Detail {
    pub fn new(part: &'static str, name: &str, rule: &'static str) -> Detail {
        Detail {
            part,
            name: cut(name),
            rule,
            schema: String::new(),
        }
    }

    #[must_use]
    pub fn by(self, schema: &str) -> Detail {
        Detail {
            schema: cut(schema),
            ..self
        }
    }

    fn is_same(&self, other: &Detail) -> bool {
        (self.part, self.rule, &self.name) == (other.part, other.rule, &other.name)
    }

    /// As it is told to the client.
    pub fn fault(&self) -> Fault<'_> {
        Fault {
            part: self.part,
            name: &self.name,
            rule: self.rule,
        }
    }
}

fn cut(text: &str) -> String {
    let shown = text.chars().filter(|character| !character.is_control());
    shown.take(NAME).collect()
}

impl fmt::Display for Detail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.part, self.name, self.rule)?;
        match self.schema.as_str() {
            "" => Ok(()),
            schema => write!(out, " by {schema}"),
        }
    }
}

/// All that is wrong with one request or response, as far as it is to be named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    most: usize,
    list: Vec<Detail>,
    /// Refusals that a check went on behind.
    kept: Vec<(Denial, Detail)>,
}

impl Details {
    pub fn up_to(most: usize) -> Details {
        Details {
            most,
            ..Details::default()
        }
    }

    pub(super) fn begin(&mut self, most: usize) {
        self.most = most;
        self.list.clear();
        self.kept.clear();
    }

    pub fn most(&self) -> usize {
        self.most.max(1)
    }

    pub fn first(&self) -> Option<&Detail> {
        self.list.first()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Detail> {
        self.list.iter()
    }

    /// Takes the place of all that was refused before.
    pub(super) fn refuse(&mut self, detail: Detail) {
        self.list.clear();
        self.list.push(detail);
    }

    /// Adds one, unless it is known, if only without the place of its schema.
    pub(super) fn push(&mut self, detail: Detail) {
        let known = self.list.iter().position(|known| known.is_same(&detail));
        match known {
            Some(index) if self.list[index].schema.is_empty() => self.list[index] = detail,
            Some(_) => {}
            None if self.list.len() < self.most() => self.list.push(detail),
            None => {}
        }
    }

    /// Says which schema refused the value.
    pub(super) fn locate(&mut self, rule: &str, schema: &str) {
        if let Some(detail) = self.list.first_mut().filter(|detail| detail.rule == rule) {
            detail.schema = cut(schema);
        }
    }

    /// Keeps what is refused, so that a check can go on. False: no more are to be named.
    pub(super) fn keep(&mut self, denial: Denial) -> bool {
        if self.kept.len() + 1 >= self.most() {
            return false;
        }
        let details = self.list.drain(..);
        self.kept.extend(details.map(|detail| (denial, detail)));
        true
    }

    /// Brings back what was kept. The reason is that of the first; none: nothing was refused.
    pub(super) fn conclude(&mut self) -> Option<Denial> {
        let (first, _) = self.kept.first()?;
        let first = *first;
        self.list
            .splice(..0, self.kept.drain(..).map(|(_, detail)| detail));
        Some(first)
    }
}

impl fmt::Display for Details {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = TEXT;
        for (index, detail) in self.list.iter().enumerate() {
            let text = detail.to_string();
            if text.len() > left {
                break;
            }
            left -= text.len();
            if index > 0 {
                out.write_str("; ")?;
            }
            out.write_str(&text)?;
        }
        Ok(())
    }
}
