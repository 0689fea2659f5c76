//! The last word of a rule: `id:1,phase:2,t:none,setvar:'tx.a=+1'` as names and values.

/// One action; the value stands without its quotes, `None` if there is no colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action<'a> {
    pub name: &'a str,
    pub value: Option<String>,
}

/// Splits at commas that are not within single quotes.
pub fn actions(text: &str) -> Result<Vec<Action<'_>>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find([',', ':']).unwrap_or(rest.len());
        let name = rest[..end].trim();
        if name.is_empty() {
            return Err("an action has no name".to_owned());
        }
        let (value, after) = match rest[end..].strip_prefix(':') {
            Some(text) => {
                let (value, after) = value(text.trim_start())
                    .ok_or_else(|| format!("the value of `{name}` is not closed"))?;
                (Some(value), after)
            }
            None => (None, &rest[end..]),
        };
        found.push(Action { name, value });
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return Err(format!("no comma after the action `{name}`")),
        };
    }
    Ok(found)
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text.find(',').unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Some((value, &quoted[at + 1..])),
            '\\' if quoted[at + 1..].starts_with('\'') => {
                letters.next();
                value.push('\'');
            }
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(&str, Option<String>)> {
        let actions = actions(text).unwrap();
        actions.into_iter().map(|a| (a.name, a.value)).collect()
    }

    #[test]
    fn values_may_hold_commas_and_quotes() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            pairs(r"id:1, phase:2 ,pass,msg:'a, it\'s: b',setvar:tx.a=+1"),
            [
                ("id", some("1")),
                ("phase", some("2")),
                ("pass", None),
                ("msg", some("a, it's: b")),
                ("setvar", some("tx.a=+1")),
            ]
        );
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn broken_lists_are_refused() {
        for text in ["msg:'a", "id:1,,pass", "msg:'a'b", ":1"] {
            assert!(actions(text).is_err(), "{text}");
        }
    }
}
