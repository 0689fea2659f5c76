//! Escapes and classes: what stands for one character, or for a set of them.

use regex_syntax::hir::{Class, ClassUnicodeRange, HirKind};

use super::super::tree::{Set, named, set};
use super::Parser;

/// What an escape stands for.
pub(super) enum Escape {
    Character(char),
    Set(Set),
}

impl Parser<'_> {
    /// `[...]` from behind its bracket on.
    pub(super) fn class(&mut self) -> Result<Set, String> {
        let is_negated = self.rest.next_if_eq(&'^').is_some();
        let mut found = Set::empty();
        while let Some(first) = self.class_atom()? {
            if self.rest.next_if_eq(&'-').is_none() {
                add(&mut found, &first);
                continue;
            }
            let Some(last) = self.class_atom()? else {
                // A hyphen at the end stands for itself.
                add(&mut found, &first);
                add(&mut found, &Escape::Character('-'));
                break;
            };
            match (&first, &last) {
                (Escape::Character(first), Escape::Character(last)) if first <= last => {
                    found.push(ClassUnicodeRange::new(*first, *last));
                }
                (Escape::Character(first), Escape::Character(last)) => {
                    return Err(format!(
                        "the range `{first}-{last}` is in the wrong order; write `\\-` for a hyphen"
                    ));
                }
                // No range ends in a set, so the hyphen stands for itself.
                _ => {
                    add(&mut found, &first);
                    add(&mut found, &Escape::Character('-'));
                    add(&mut found, &last);
                }
            }
        }
        if is_negated {
            found.negate();
        }
        Ok(found)
    }

    /// One member of a class, or one end of a range. None: the class ends.
    fn class_atom(&mut self) -> Result<Option<Escape>, String> {
        let Some(next) = self.rest.next() else {
            return Err("a class is not closed".to_owned());
        };
        Ok(match next {
            ']' => None,
            '\\' if self.rest.next_if_eq(&'b').is_some() => Some(Escape::Character('\u{8}')),
            '\\' => Some(self.escape()?),
            other => Some(Escape::Character(other)),
        })
    }

    /// What stands for one character or a set of them, from behind the backslash on.
    pub(super) fn escape(&mut self) -> Result<Escape, String> {
        let Some(each) = self.rest.next() else {
            return Err("the pattern ends in a backslash".to_owned());
        };
        if let Some(mut set) = named(each.to_ascii_lowercase()) {
            if each.is_ascii_uppercase() {
                set.negate();
            }
            return Ok(Escape::Set(set));
        }
        let character = match each {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'v' => '\u{B}',
            'f' => '\u{C}',
            '0' if !self.rest.peek().is_some_and(char::is_ascii_digit) => '\0',
            'c' => match self.rest.next().filter(char::is_ascii_alphabetic) {
                Some(letter) => char::from(letter as u8 % 32),
                None => return Err("`\\c` needs a letter".to_owned()),
            },
            'x' => self.code_point(2)?,
            'u' if self.rest.next_if_eq(&'{').is_some() => {
                let digits = self.braced();
                character(&digits).ok_or_else(|| format!("`{digits}` is no code point"))?
            }
            'u' => self.code_point(4)?,
            'p' | 'P' if self.rest.next_if_eq(&'{').is_some() => {
                let mut set = property(&self.braced())?;
                if each == 'P' {
                    set.negate();
                }
                return Ok(Escape::Set(set));
            }
            // With the flag only what has a meaning may be escaped; without it this has one, too.
            same if !same.is_alphanumeric() => same,
            other => return Err(format!("`\\{other}` is not supported")),
        };
        Ok(Escape::Character(character))
    }

    /// What stands up to a closing brace.
    fn braced(&mut self) -> String {
        self.rest.by_ref().take_while(|next| *next != '}').collect()
    }

    /// Hexadecimal digits; of two halves of a pair also the second.
    fn code_point(&mut self, digits: usize) -> Result<char, String> {
        let text: String = self.rest.by_ref().take(digits).collect();
        let none = || format!("`{text}` is no code point");
        let code = hexadecimal(&text).filter(|_| text.len() == digits);
        let code = code.ok_or_else(none)?;
        if !(0xD800..0xDC00).contains(&code) {
            return char::from_u32(code).ok_or_else(none);
        }
        let second: String = self.rest.by_ref().take(6).collect();
        let second = second.strip_prefix("\\u").and_then(hexadecimal);
        let second = second.filter(|second| (0xDC00..0xE000).contains(second));
        let pair = second.map(|second| 0x1_0000 + ((code - 0xD800) << 10) + (second - 0xDC00));
        pair.and_then(char::from_u32).ok_or_else(none)
    }
}

fn add(set: &mut Set, more: &Escape) {
    match more {
        Escape::Character(one) => set.push(ClassUnicodeRange::new(*one, *one)),
        Escape::Set(more) => set.union(more),
    }
}

fn hexadecimal(digits: &str) -> Option<u32> {
    let is_plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| is_plain)
}

fn character(digits: &str) -> Option<char> {
    hexadecimal(digits).and_then(char::from_u32)
}

/// The set of a Unicode property, by the names that both ECMA-262 and the tables know.
fn property(name: &str) -> Result<Set, String> {
    let read = |text: String| {
        let tree = regex_syntax::parse(&text).ok()?;
        match tree.into_kind() {
            HirKind::Class(Class::Unicode(set)) => Some(set),
            // A set of one.
            HirKind::Literal(one) => {
                let one = std::str::from_utf8(&one.0).ok()?.chars().next()?;
                Some(set(&[(one, one)]))
            }
            _ => None,
        }
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_=".contains(&byte);
    let found = match name.bytes().all(is_plain) {
        true => read(format!("\\p{{{name}}}")),
        false => None,
    };
    // The tables take the name of a script for itself, ECMA-262 does not.
    let is_script = !name.contains('=')
        && read(format!("\\p{{sc={name}}}")).is_some()
        && read(format!("\\p{{gc={name}}}")).is_none();
    match found {
        Some(_) if is_script => Err(format!("write `\\p{{Script={name}}}`")),
        Some(set) => Ok(set),
        None => Err(format!("there is no property `{name}`")),
    }
}
