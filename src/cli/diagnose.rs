//! Diagnostics for people: the line of the file, what is wrong with it, what to write instead.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Position};

/// Most that are shown: nobody reads on, and the first often explain the rest.
const SHOWN: usize = 100;

/// All of them as one text, with a summary at the end.
pub fn render(found: &[Diagnostic]) -> String {
    let renderer = if std::io::stderr().is_terminal() {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut sources: HashMap<&Path, String> = HashMap::new();
    let mut out = String::new();
    for diagnostic in found.iter().take(SHOWN) {
        let source = sources.entry(&diagnostic.file).or_insert_with(|| {
            // A file that cannot be read is told about without its text.
            std::fs::read_to_string(&diagnostic.file).unwrap_or_default()
        });
        out.push_str(&renderer.render(&groups(diagnostic, source)));
        out.push_str("\n\n");
    }
    if found.len() > SHOWN {
        let more = found.len() - SHOWN;
        out.push_str(&format!(
            "... and {more} more: `check --format json` lists every one\n\n"
        ));
    }
    let count = match found.len() {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    out.push_str(&format!("{count}: nothing was loaded\n"));
    out
}

fn groups<'a>(diagnostic: &'a Diagnostic, source: &'a str) -> Vec<Group<'a>> {
    let path = diagnostic.file.display().to_string();
    let title = Level::ERROR.primary_title(diagnostic.message.as_str());
    if diagnostic.is_private {
        let Position { line, column } = diagnostic.position;
        let place = Level::NOTE.message(format!("in {path}:{line}:{column}"));
        return vec![with_hint(title.element(place), diagnostic)];
    }
    let Position { line, column } = diagnostic.position;
    if line == 0 {
        return vec![with_hint(title.element(Origin::path(path)), diagnostic)];
    }
    let source = source
        .lines()
        .nth(line.saturating_sub(1))
        .unwrap_or_default();
    let at = offset(source, Position { line: 1, column });
    let snippet = Snippet::source(source)
        .line_start(line)
        .path(path)
        .annotation(AnnotationKind::Primary.span(at..end_of_word(source, at)));
    vec![with_hint(title.element(snippet), diagnostic)]
}

fn with_hint<'a>(group: Group<'a>, diagnostic: &'a Diagnostic) -> Group<'a> {
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.message(hint.as_str())),
        None => group,
    }
}

/// Bytes before a position.
fn offset(source: &str, position: Position) -> usize {
    let lines = source
        .split_inclusive('\n')
        .take(position.line.saturating_sub(1));
    let before: usize = lines.map(str::len).sum();
    let rest = &source[before..];
    let column = position.column.saturating_sub(1);
    before
        + rest
            .char_indices()
            .nth(column)
            .map_or(rest.len(), |(at, _)| at)
}

/// Where what begins at a position ends, for the underline: a quoted text, or a word.
fn end_of_word(source: &str, at: usize) -> usize {
    let rest = &source[at..];
    let line = rest.find(['\n', '\r']).unwrap_or(rest.len());
    let line = &rest[..line];
    let length = match line.chars().next() {
        Some(quote @ ('"' | '\'')) => line[1..].find(quote).map_or(line.len(), |end| end + 2),
        _ => line.find([' ', ',', '=', ']', '}']).unwrap_or(line.len()),
    };
    at + length.max(line.chars().next().map_or(0, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let source = "ä = 1\nb = \"ü\" # x\n";
        let position = |line, column| Position { line, column };
        assert_eq!(offset(source, position(1, 1)), 0);
        assert_eq!(&source[offset(source, position(2, 5))..][..4], "\"ü\"");
        let at = offset(source, position(2, 5));
        assert_eq!(&source[at..end_of_word(source, at)], "\"ü\"");
        assert_eq!(offset(source, position(9, 9)), source.len());
        assert_eq!(end_of_word(source, source.len()), source.len());
    }

    #[test]
    fn a_file_that_is_not_there_is_still_told_about() {
        let lost = Diagnostic::new("no/such/file", Position::START, "it is lost");
        let text = render(&[lost.with_hint("look elsewhere")]);
        assert!(
            text.contains("it is lost") && text.contains("look elsewhere"),
            "{text}"
        );
        assert!(text.contains("no/such/file") && text.ends_with("1 error: nothing was loaded\n"));
    }
}
