//! What a description may say, and leave open or without effect: kinds, and how serious each is
//! taken.

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lint {
    /// A `format` that nothing checks.
    UnknownFormat,
    /// A keyword of a schema that nothing enforces.
    UnknownKeyword,
    /// A keyword that has no effect where it stands, or is a note for readers.
    IneffectiveKeyword,
    /// An operation that is left out, as it could not be enforced.
    LeftOut,
    /// An operation that no request can reach.
    UnreachableOperation,
    /// A schema that nothing matches.
    ImpossibleSchema,
    /// A schema without a type: it accepts anything.
    OpenSchema,
    /// An object that may have members of any name.
    OpenObject,
    /// `additionalProperties: false` beside `allOf`, or in one of its parts.
    ClosedBesideAllOf,
    UnboundedString,
    UnboundedNumber,
    UnboundedArray,
    /// A body that passes unread.
    UncheckedContent,
    /// What an operation answers is not declared.
    UndeclaredResponse,
    /// A table of the configuration that no API names.
    UnusedTable,
    /// A directive, an action or a rule of a rule file that guards nothing here.
    IneffectiveRule,
}

/// How serious a kind of finding is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Off,
    /// `check` tells it.
    Warn,
    /// The configuration does not load.
    Error,
}

impl Lint {
    pub const ALL: [Lint; 16] = [
        Lint::UnknownFormat,
        Lint::UnknownKeyword,
        Lint::IneffectiveKeyword,
        Lint::LeftOut,
        Lint::UnreachableOperation,
        Lint::ImpossibleSchema,
        Lint::OpenSchema,
        Lint::OpenObject,
        Lint::ClosedBesideAllOf,
        Lint::UnboundedString,
        Lint::UnboundedNumber,
        Lint::UnboundedArray,
        Lint::UncheckedContent,
        Lint::UndeclaredResponse,
        Lint::UnusedTable,
        Lint::IneffectiveRule,
    ];

    /// As it stands in configurations and in what `check` prints.
    pub fn name(self) -> &'static str {
        match self {
            Lint::UnknownFormat => "unknown_format",
            Lint::UnknownKeyword => "unknown_keyword",
            Lint::IneffectiveKeyword => "ineffective_keyword",
            Lint::LeftOut => "left_out",
            Lint::UnreachableOperation => "unreachable_operation",
            Lint::ImpossibleSchema => "impossible_schema",
            Lint::OpenSchema => "open_schema",
            Lint::OpenObject => "open_object",
            Lint::ClosedBesideAllOf => "closed_beside_all_of",
            Lint::UnboundedString => "unbounded_string",
            Lint::UnboundedNumber => "unbounded_number",
            Lint::UnboundedArray => "unbounded_array",
            Lint::UncheckedContent => "unchecked_content",
            Lint::UndeclaredResponse => "undeclared_response",
            Lint::UnusedTable => "unused_table",
            Lint::IneffectiveRule => "ineffective_rule",
        }
    }

    /// What whoever wrote it expects to be enforced, and is not, is an error; so is an operation
    /// that cannot be enforced whole. The rest leaves things open that a person may want open.
    fn default_level(self) -> Level {
        match self {
            Lint::UnknownFormat | Lint::UnknownKeyword | Lint::LeftOut => Level::Error,
            Lint::IneffectiveKeyword
            | Lint::UnreachableOperation
            | Lint::ImpossibleSchema
            | Lint::OpenSchema
            | Lint::OpenObject
            | Lint::ClosedBesideAllOf
            | Lint::UnboundedString
            | Lint::UnboundedNumber
            | Lint::UnboundedArray
            | Lint::UncheckedContent
            | Lint::UndeclaredResponse
            | Lint::UnusedTable
            | Lint::IneffectiveRule => Level::Warn,
        }
    }
}

/// The level of every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels([Level; Lint::ALL.len()]);

impl Default for Levels {
    fn default() -> Levels {
        Levels(Lint::ALL.map(Lint::default_level))
    }
}

impl Levels {
    pub fn of(&self, lint: Lint) -> Level {
        self.0[lint as usize]
    }

    pub fn set(&mut self, lint: Lint, level: Level) {
        self.0[lint as usize] = level;
    }

    /// Whether the document may say it without being refused.
    pub fn tolerates(&self, lint: Lint) -> bool {
        self.of(lint) != Level::Error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_level_and_a_line_in_the_reference() {
        let reference = include_str!("../../../config/gateway.toml");
        let mut levels = Levels::default();
        for (index, lint) in Lint::ALL.into_iter().enumerate() {
            assert_eq!(lint as usize, index);
            let word = match levels.of(lint) {
                Level::Off => "off",
                Level::Warn => "warn",
                Level::Error => "error",
            };
            let line = format!("#| {} = \"{word}\"", lint.name());
            assert!(reference.contains(&line), "no `{line}`");
            levels.set(lint, Level::Off);
        }
        assert!(Lint::ALL.iter().all(|lint| levels.tolerates(*lint)));
    }
}
