//! What the parser of TOML says, in words that tell an operator what to write.

use std::ops::Range;

use toml::de::Error;

/// Something that is no TOML.
pub struct Fault {
    pub span: Range<usize>,
    pub message: String,
    pub hint: &'static str,
}

/// The first fault of each line, in the order of the text: the others follow from it. So do the keys
/// of a table that stands there a second time, and blocks behind the first one.
pub fn faults(text: &str, errors: &[Error]) -> Vec<Fault> {
    let mut found: Vec<Fault> = errors.iter().map(|error| fault(text, error)).collect();
    found.sort_by_key(|fault| fault.span.start);
    let mut last = usize::MAX;
    let mut repeated = None;
    let mut blocks = 0;
    found.retain(|fault| {
        let start = fault.span.start;
        let before = &text[..start];
        let line = before.matches('\n').count();
        let is_first = std::mem::replace(&mut last, line) != line;
        if fault.hint == NO_BLOCKS {
            blocks += 1;
            return is_first && blocks == 1;
        }
        if fault.hint != ONCE {
            return is_first;
        }
        if before.rsplit('\n').next().is_some_and(is_header) {
            repeated = Some(start);
            return is_first;
        }
        let is_below = |header: usize| !text[header..start].lines().skip(1).any(is_header);
        is_first && !repeated.is_some_and(is_below)
    });
    found
}

/// Whether a line that begins so names a table.
fn is_header(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

const ONCE: &str = "keep one of the two: a key stands once in its table, and a table once in the \
                    file; lists of tables are written [[NAME]]";

const NO_BLOCKS: &str = "write [NAME] above the keys of a table: it ends where the next one begins";

fn fault(text: &str, error: &Error) -> Fault {
    let span = error.span().unwrap_or_default();
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let here = text.get(start..end).unwrap_or_default();
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    let said = error.message();
    let (message, hint) = if said == "duplicate key" {
        (format!("`{here}` stands here a second time"), ONCE)
    } else if line.starts_with(char::is_alphabetic) && is_value(text, start) {
        let hint = "write texts in quotes: key = \"value\"";
        let word = line.split_whitespace().next().unwrap_or_default();
        (format!("`{word}` is a text without quotes"), hint)
    } else if line.starts_with(':') {
        let hint = "write `=` in place of `:`, and the value in quotes if it is a text";
        ("a key and its value are joined by `=`".to_owned(), hint)
    } else if line.starts_with(';') {
        let hint = "leave it out: the end of the line ends the value";
        ("no `;` stands behind a value".to_owned(), hint)
    } else if opens_or_ends_block(text, start) {
        let message = "tables are not written as blocks in braces".to_owned();
        (message, NO_BLOCKS)
    } else {
        (said.to_owned(), "see https://toml.io")
    };
    Fault {
        span: start..end,
        message,
        hint,
    }
}

/// Whether the line is one that opens a block, as in `server {`, or ends one.
fn opens_or_ends_block(text: &str, at: usize) -> bool {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default().trim();
    line == "}" || (line.ends_with('{') && !line.contains('='))
}

/// Whether a value begins there.
fn is_value(text: &str, at: usize) -> bool {
    text[..at].trim_end_matches(' ').ends_with('=')
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    /// Line, and what is said.
    fn told(text: &str) -> Vec<(usize, String)> {
        let (_, errors) = DeTable::parse_recoverable(text);
        let found = faults(text, &errors);
        let line = |fault: &Fault| text[..fault.span.start].matches('\n').count() + 1;
        found
            .iter()
            .map(|fault| (line(fault), format!("{}; {}", fault.message, fault.hint)))
            .collect()
    }

    #[test]
    fn habits_of_other_languages_are_told_once_with_what_to_write() {
        for (text, line, words) in [
            ("a = 1\nb: \"x\"\n", 2, "write `=` in place of `:`"),
            ("a = \"x\";\nb = 1\n", 1, "no `;` stands behind a value"),
            ("a = shop\n", 1, "`shop` is a text without quotes"),
            ("a = 1\nserver {\n}\n", 2, "not written as blocks in braces"),
            ("a = team-shop\n", 1, "`team-shop` is a text without quotes"),
            ("a = = 1\n", 1, "see https://toml.io"),
            ("a = 1\nb = 2\na = 3\n", 3, "`a` stands here a second time"),
            ("a = \"x\n", 1, "see https://toml.io"),
        ] {
            let found = told(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(found[0].0, line, "{text}: {found:?}");
            assert!(found[0].1.contains(words), "{text}: {found:?}");
        }
    }

    #[test]
    fn of_a_table_that_stands_twice_its_keys_are_not_told_as_well() {
        let twice = "[a.b]\nx = 1\ny = 1\n[c]\nz = 1\n[a.b]\nx = 2\ny = 2\n[c.d]\nz = 1\nz = 2\n";
        let lines: Vec<usize> = told(twice).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [6, 11]);
    }
}
