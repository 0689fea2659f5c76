//! Reads a pattern as ECMA-262 section 22.2.1 writes it, with the `u` flag: by code points.
//!
//! What only stands without that flag is taken where it has one meaning (`\-`, `[\w-.]`), and
//! refused with what to write where a typing error is as likely (`a{`, a lone `]`).

use std::iter::Peekable;
use std::str::Chars;

mod escape;

use super::tree::{Node, Repeat, Tree, dot, set};
use escape::Escape;

/// Deepest nesting of groups.
const DEPTH: usize = 64;

/// The names of all groups that capture, in the order of their brackets.
type Names = Vec<Option<String>>;

pub fn parse(pattern: &str) -> Result<Tree, String> {
    let names = names(pattern)?;
    let mut parser = Parser {
        rest: pattern.chars().peekable(),
        names: &names,
        opened: 0,
        depth: 0,
    };
    let root = parser.disjunction()?;
    match parser.rest.next() {
        None => Ok(Tree {
            root,
            groups: names.len(),
        }),
        Some(_) => Err("a group is closed that was not opened; write `\\)`".to_owned()),
    }
}

/// Groups are counted first, as a reference may stand before its group.
fn names(pattern: &str) -> Result<Names, String> {
    let mut names = Names::new();
    let mut is_class = false;
    let mut rest = pattern.chars().peekable();
    while let Some(each) = rest.next() {
        match each {
            '\\' => drop(rest.next()),
            '[' => is_class = true,
            ']' => is_class = false,
            '(' if !is_class && rest.next_if_eq(&'?').is_none() => names.push(None),
            '(' if !is_class && rest.next_if_eq(&'<').is_some() => match rest.peek() {
                Some('=' | '!') => {}
                _ => {
                    let name = Some(name(&mut rest)?);
                    if names.contains(&name) {
                        return Err("two groups have the same name".to_owned());
                    }
                    names.push(name);
                }
            },
            _ => {}
        }
    }
    Ok(names)
}

/// The name of a group, from behind `<` to behind `>`.
fn name(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut name = String::new();
    for each in rest.by_ref() {
        let is_letter = each.is_alphabetic() || "$_".contains(each);
        match each {
            '>' if !name.is_empty() => return Ok(name),
            _ if is_letter || each.is_alphanumeric() && !name.is_empty() => name.push(each),
            _ => break,
        }
    }
    Err("this kind of group is not supported".to_owned())
}

struct Parser<'p> {
    rest: Peekable<Chars<'p>>,
    names: &'p Names,
    /// How many groups have been opened.
    opened: usize,
    depth: usize,
}

impl Parser<'_> {
    fn disjunction(&mut self) -> Result<Node, String> {
        let mut alternatives = vec![self.alternative()?];
        while self.rest.next_if_eq(&'|').is_some() {
            alternatives.push(self.alternative()?);
        }
        Ok(match alternatives.len() {
            1 => alternatives.remove(0),
            _ => Node::Alternation(alternatives),
        })
    }

    fn alternative(&mut self) -> Result<Node, String> {
        let mut nodes = Vec::new();
        while let Some(next) = self.rest.next_if(|next| !matches!(next, '|' | ')')) {
            let opened = self.opened;
            let node = self.atom(next)?;
            nodes.push(self.quantified(node, opened)?);
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.remove(0),
            _ => Node::Concat(nodes),
        })
    }

    fn atom(&mut self, first: char) -> Result<Node, String> {
        Ok(match first {
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::Set(dot()),
            '(' => self.group()?,
            '[' => Node::Set(self.class()?),
            '\\' => self.atom_escape()?,
            '*' | '+' | '?' => return Err(format!("`{first}` repeats nothing; write `\\{first}`")),
            '{' => return Err("`{` begins no repetition; write `\\{`".to_owned()),
            ']' | '}' => {
                return Err(format!("`{first}` stands alone; write `\\{first}`"));
            }
            other => Node::Set(set(&[(other, other)])),
        })
    }

    /// Groups, which nest only so deep.
    fn group(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("groups are nested too deep".to_owned());
        }
        let group = self.group_by_kind()?;
        if self.rest.next_if_eq(&')').is_none() {
            return Err("a group is not closed".to_owned());
        }
        self.depth -= 1;
        Ok(group)
    }

    fn group_by_kind(&mut self) -> Result<Node, String> {
        if self.rest.next_if_eq(&'?').is_none() {
            return self.capture();
        }
        let kind = self.rest.next();
        let is_behind = kind == Some('<');
        let sign = match is_behind {
            true => self.rest.next_if(|next| matches!(next, '=' | '!')),
            false => kind,
        };
        match (sign, is_behind) {
            // A node of its own, which may be repeated whatever is in it.
            (Some(':'), false) => Ok(Node::Concat(vec![self.disjunction()?])),
            (Some(sign @ ('=' | '!')), _) => Ok(Node::Look {
                is_behind,
                is_negated: sign == '!',
                node: Box::new(self.disjunction()?),
            }),
            (None, true) => {
                name(&mut self.rest)?;
                self.capture()
            }
            _ => Err("this kind of group is not supported".to_owned()),
        }
    }

    fn capture(&mut self) -> Result<Node, String> {
        let own = self.opened;
        self.opened += 1;
        Ok(Node::Group(own, Box::new(self.disjunction()?)))
    }

    /// An atom as often as it is said behind it; `opened` groups came before it.
    fn quantified(&mut self, node: Node, opened: usize) -> Result<Node, String> {
        let sign = self
            .rest
            .next_if(|next| matches!(next, '*' | '+' | '?' | '{'));
        let (least, most) = match sign {
            None => return Ok(node),
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some(_) => self.bounds()?,
        };
        if matches!(
            node,
            Node::Start | Node::End | Node::Boundary { .. } | Node::Look { .. }
        ) {
            return Err("an assertion cannot be repeated".to_owned());
        }
        Ok(Node::Repeat(Repeat {
            node: Box::new(node),
            least,
            most,
            is_greedy: self.rest.next_if_eq(&'?').is_none(),
            groups: (opened, self.opened),
        }))
    }

    /// `{2}`, `{2,}` or `{2,3}` from behind the brace on; nothing else, although without the flag
    /// a lone brace may stand.
    fn bounds(&mut self) -> Result<(u32, Option<u32>), String> {
        let least = self.decimal();
        let most = match self.rest.next_if_eq(&',') {
            None => Some(least),
            Some(_) if self.rest.peek() == Some(&'}') => None,
            Some(_) => Some(self.decimal()),
        };
        match (least, most, self.rest.next()) {
            (Some(least), Some(Some(most)), Some('}')) if least > most => Err(format!(
                "`{{{least},{most}}}` has its bounds in the wrong order"
            )),
            (Some(least), None, Some('}')) => Ok((least, None)),
            (Some(least), Some(Some(most)), Some('}')) => Ok((least, Some(most))),
            _ => Err("`{` begins no repetition; write `\\{`".to_owned()),
        }
    }

    /// Digits as a number, cut at what 32 bits hold.
    fn decimal(&mut self) -> Option<u32> {
        let mut number = None;
        while let Some(digit) = self.rest.peek().and_then(|next| next.to_digit(10)) {
            self.rest.next();
            let before: u32 = number.unwrap_or(0);
            number = Some(before.saturating_mul(10).saturating_add(digit));
        }
        number
    }

    fn atom_escape(&mut self) -> Result<Node, String> {
        let Some(&next) = self.rest.peek() else {
            return Err("the pattern ends in a backslash".to_owned());
        };
        match next {
            'b' | 'B' => {
                self.rest.next();
                Ok(Node::Boundary {
                    is_negated: next == 'B',
                })
            }
            '1'..='9' => {
                let number = self.decimal().unwrap_or(0) as usize;
                match number <= self.names.len() {
                    true => Ok(Node::Back(number - 1)),
                    false => Err(format!("there is no group {number} to refer to")),
                }
            }
            'k' => {
                self.rest.next();
                let name = match self.rest.next() {
                    Some('<') => name(&mut self.rest).ok(),
                    _ => None,
                };
                let index = name.and_then(|name| {
                    let mut names = self.names.iter();
                    names.position(|each| each.as_ref() == Some(&name))
                });
                index
                    .map(Node::Back)
                    .ok_or_else(|| "`\\k` refers to no group".to_owned())
            }
            _ => Ok(Node::Set(match self.escape()? {
                Escape::Character(one) => set(&[(one, one)]),
                Escape::Set(set) => set,
            })),
        }
    }
}
