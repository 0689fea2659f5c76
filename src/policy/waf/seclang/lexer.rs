//! Rule files to directives: logical lines, and the words of a line.
//!
//! A line that ends in a backslash goes on in the next one; a line that begins with `#` is a
//! comment, unless the line before it goes on. A word may stand in double quotes, in which `\"`
//! is a quote and every other backslash stands for itself: it belongs to a pattern.

use crate::policy::waf::place::{LoadError, Place};

/// A directive: its name and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub place: Place,
    pub name: Box<str>,
    pub words: Vec<String>,
}

/// The directives of a file, in order.
pub fn lines(text: &str, file: &str) -> Result<Vec<Line>, LoadError> {
    let mut found = Vec::new();
    let mut place = Place {
        file: file.into(),
        line: 0,
    };
    let mut joined = String::new();
    let mut continued = false;
    for (number, line) in text.lines().enumerate() {
        if !continued {
            place.line = u32::try_from(number + 1).unwrap_or(u32::MAX);
            joined.clear();
            if line.trim_start().starts_with('#') {
                continue;
            }
        }
        let line = line.trim();
        continued = line.ends_with('\\');
        joined.push_str(line.strip_suffix('\\').unwrap_or(line));
        if !continued && !joined.trim().is_empty() {
            found.push(directive(&joined, &place)?);
        }
    }
    if continued {
        return Err(LoadError::new(&place, "the file ends in a continued line"));
    }
    Ok(found)
}

fn directive(line: &str, place: &Place) -> Result<Line, LoadError> {
    let line = line.trim();
    let (name, mut rest) = line
        .split_once(|c: char| c.is_ascii_whitespace())
        .unwrap_or((line, ""));
    let mut words = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let (word, after) = word(rest).map_err(|message| LoadError::new(place, message))?;
        words.push(word);
        rest = after;
    }
    Ok(Line {
        place: place.clone(),
        name: name.into(),
        words,
    })
}

/// The first word of a text that does not begin with a blank, and what follows it.
fn word(text: &str) -> Result<(String, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c.is_ascii_whitespace());
        let (word, rest) = text.split_at(end.unwrap_or(text.len()));
        return Ok((word.to_owned(), rest));
    };
    let mut word = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => {
                let rest = &quoted[at + 1..];
                if !rest.is_empty() && !rest.starts_with(|c: char| c.is_ascii_whitespace()) {
                    return Err("a quoted word must be followed by a blank");
                }
                return Ok((word, rest));
            }
            '\\' => match letters.next() {
                Some((_, '"')) => word.push('"'),
                Some((_, other)) => word.extend(['\\', other]),
                None => break,
            },
            other => word.push(other),
        }
    }
    Err("a quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(String, Vec<String>)> {
        let lines = lines(text, "t.conf").unwrap();
        lines
            .into_iter()
            .map(|line| (line.name.to_string(), line.words))
            .collect()
    }

    #[test]
    fn lines_continue_and_comments_do_not() {
        let text = "# no \\\nSecRule ARGS \"@rx a\" \\\n    \"id:1,\\\n    pass\"\n\n  # x\nSecMarker END\n";
        assert_eq!(
            words(text),
            [
                (
                    "SecRule".to_owned(),
                    vec![
                        "ARGS".to_owned(),
                        "@rx a".to_owned(),
                        "id:1,pass".to_owned()
                    ]
                ),
                ("SecMarker".to_owned(), vec!["END".to_owned()]),
            ]
        );
    }

    #[test]
    fn a_quote_is_escaped_and_other_backslashes_stay() {
        let text = r#"SecRule ARGS "@rx \"\\\x5c\d\"" "id:1""#;
        assert_eq!(words(text)[0].1[1], r#"@rx "\\\x5c\d""#);
    }

    #[test]
    fn what_does_not_end_is_refused_with_its_first_line() {
        for (text, message) in [
            ("\nSecRule ARGS \"@rx a\n", "a quote is not closed"),
            ("\nSecRule \\\nARGS \\", "the file ends in a continued line"),
            (
                "\nSecRule \"a\"b\n",
                "a quoted word must be followed by a blank",
            ),
            ("\nSecRule \"a\\", "the file ends in a continued line"),
        ] {
            let error = lines(text, "t.conf").unwrap_err();
            assert_eq!((error.place.line, error.message.as_str()), (2, message));
        }
    }
}
