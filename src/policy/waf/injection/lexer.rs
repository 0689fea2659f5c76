//! A value cut into the tokens of SQL, the way a database would read it from inside a query.
//!
//! One pass, no memory: a token is a class and a place. Classes are letters:
//!
//! | letter | token | letter | token |
//! |---|---|---|---|
//! | `s` | string | `E` | beginning of an expression: SELECT, CASE WHEN |
//! | `q` | the rest of a string that the query began | `U` | UNION and its like |
//! | `1` | number or literal | `T` | a statement: DROP TABLE |
//! | `n` | name | `S` | SET |
//! | `v` | variable | `B` | a clause behind an expression: ORDER BY |
//! | `f` | function | `h` | HAVING, LIMIT |
//! | `o` | operator | `k` | any other keyword |
//! | `=` | comparison | `t` | type |
//! | `i` | comparison that is a word: IN, LIKE | `A` | COLLATE |
//! | `&` | AND, OR | `( ) , ;` | themselves |
//! | `c` | comment | `?` | anything else |

use super::words::{self, Word};

/// Where in a query the value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// Outside of any string.
    Plain,
    /// Within a string of this quote.
    Quoted(u8),
}

/// Whose rules for comments hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `--` begins a comment.
    Ansi,
    /// `-- ` and `#` do; the text of `/*! */` is run.
    MySql,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) class: u8,
    pub(super) text: &'a [u8],
    pub(super) word: Option<Word>,
    /// Of a comment: whether it reaches to the end of the line or value. Of a string: whether it
    /// is closed.
    pub(super) is_open: bool,
    /// Of a parenthesis: how many more of them stand here.
    pub(super) repeats: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    input: &'a [u8],
    at: usize,
    context: Context,
    dialect: Dialect,
    /// Whether `+` is a space, as where a form was encoded twice.
    is_plus_space: bool,
    /// Whether something was read that the other dialect reads otherwise.
    pub(super) is_ambiguous: bool,
}

/// White space of any database, with the no-break space of Latin-1.
fn is_space(byte: u8) -> bool {
    byte <= b' ' || byte == 0xA0 || byte == 0x7F
}

/// The length of a space of Unicode at the beginning: SQL Server and Oracle take them for spaces,
/// others do where they narrow what they read.
fn wide_space(rest: &[u8]) -> usize {
    match rest {
        [0xC2, 0xA0 | 0x85, ..] => 2,
        [0xE2, 0x80, 0x80..=0x8B | 0xA8 | 0xA9 | 0xAF, ..] | [0xE3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

/// How far a word reaches.
fn word_length(rest: &[u8]) -> usize {
    let mut length = 0;
    while let Some(&byte) = rest.get(length)
        && is_word(byte)
        && (byte < 0x80 || wide_space(&rest[length..]) == 0)
    {
        length += 1;
    }
    length
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || (byte >= 0x80 && byte != 0xA0)
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a [u8], context: Context, dialect: Dialect) -> Lexer<'a> {
        Lexer {
            input,
            at: 0,
            context,
            dialect,
            is_plus_space: false,
            is_ambiguous: false,
        }
    }

    /// How far it has read.
    pub(super) fn reached(&self) -> usize {
        self.at.min(self.input.len())
    }

    pub(super) fn with_plus_as_space(self) -> Lexer<'a> {
        Lexer {
            is_plus_space: true,
            ..self
        }
    }

    fn token(&mut self, class: u8, length: usize) -> Token<'a> {
        let end = (self.at + length).min(self.input.len());
        let text = &self.input[self.at..end];
        self.at = end;
        Token {
            class,
            text,
            word: None,
            is_open: false,
            repeats: 0,
        }
    }

    /// The next token, or none at the end.
    fn read(&mut self) -> Option<Token<'a>> {
        if let Context::Quoted(quote) = std::mem::replace(&mut self.context, Context::Plain) {
            let string = self.string(0, quote);
            return Some(Token {
                class: b'q',
                ..string
            });
        }
        loop {
            let rest = &self.input[self.at..];
            let is_skipped = |byte| is_space(byte) || self.is_plus_space && byte == b'+';
            let spaces = rest.iter().take_while(|&&byte| is_skipped(byte)).count();
            self.at += spaces;
            let rest = &rest[spaces..];
            let &first = rest.first()?;
            let token = match first {
                0xC2 | 0xE2 | 0xE3 if wide_space(rest) > 0 => {
                    self.at += wide_space(rest);
                    continue;
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.word(rest),
                b'0'..=b'9' => self.number(rest),
                b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) => self.number(rest),
                b'\'' | b'"' => self.string(1, first),
                b'`' => {
                    let string = self.string(1, b'`');
                    Token {
                        class: b'n',
                        ..string
                    }
                }
                b'-' | b'#' | b'/' => self.comment_or_operator(rest),
                // ODBC writes `{fn now()}`: braces and the word behind the first mean nothing.
                b'{' => {
                    self.brace(rest);
                    continue;
                }
                b'}' => {
                    self.at += 1;
                    continue;
                }
                // The end of a comment whose text is run.
                b'*' if self.dialect == Dialect::MySql && rest.starts_with(b"*/") => {
                    self.at += 2;
                    continue;
                }
                b'@' => self.variable(rest),
                b'$' => self.dollar(rest),
                b'[' => self.bracket(rest),
                b'(' | b')' | b',' | b';' => self.token(first, 1),
                // MySQL's NULL; any other backslash says nothing.
                b'\\' if rest.get(1) == Some(&b'N') => self.token(b'1', 2),
                b'\\' => {
                    self.at += 1;
                    continue;
                }
                _ => self.operator(rest),
            };
            if token.class != 0 {
                return Some(token);
            }
        }
    }

    /// A string whose quote is `skipped` bytes long and doubled or escaped within.
    fn string(&mut self, skipped: usize, quote: u8) -> Token<'a> {
        let start = self.at + skipped;
        let mut at = start.min(self.input.len());
        let is_open = loop {
            match memchr::memchr2(quote, b'\\', &self.input[at..]) {
                None => {
                    at = self.input.len();
                    break true;
                }
                Some(found) => {
                    at += found;
                    let is_doubled = self.input.get(at + 1) == Some(&quote);
                    match self.input[at] {
                        b'\\' if quote == b'`' => at += 1,
                        // Only MySQL, and PostgreSQL in `E''`, escape by it.
                        b'\\' => {
                            self.is_ambiguous = true;
                            at += match self.dialect {
                                Dialect::MySql => 2,
                                Dialect::Ansi => 1,
                            };
                            at = at.min(self.input.len());
                        }
                        _ if is_doubled => at += 2,
                        _ => break false,
                    }
                }
            }
        };
        let end = at + usize::from(!is_open);
        let mut token = self.token(b's', end - self.at);
        token.is_open = is_open;
        token
    }

    fn word(&mut self, rest: &'a [u8]) -> Token<'a> {
        let length = word_length(rest);
        // Strings with a letter before them: N'..', E'..', X'..', B'..'.
        if length == 1
            && rest.get(1) == Some(&b'\'')
            && matches!(rest[0] | 0x20, b'n' | b'e' | b'x' | b'b')
        {
            return self.string(2, b'\'');
        }
        // And with the name of a character set: _utf8'..'.
        if rest[0] == b'_' && rest.get(length) == Some(&b'\'') {
            return self.string(length + 1, b'\'');
        }
        let known = words::find(&rest[..length]);
        // An item of an array is one name: `x[1]`.
        if known.is_none_or(|word| word.plain == b'n')
            && rest.get(length) == Some(&b'[')
            && let Some(end) = memchr::memchr(b']', &rest[length..])
        {
            return self.token(b'n', length + end + 1);
        }
        let dotted = dotted(rest, length);
        if dotted > length {
            // A qualified name is one token; `select.1` is not a name.
            let whole = words::find(&rest[..dotted]);
            if whole.is_some() || known.is_none_or(|word| word.plain == b'n') {
                let mut token = self.token(b'n', dotted);
                token.word = whole;
                return token;
            }
        }
        let mut token = self.token(known.map_or(b'n', |word| word.plain), length);
        token.word = known;
        token
    }

    fn number(&mut self, rest: &'a [u8]) -> Token<'a> {
        let length = match rest {
            [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => {
                2 + rest[2..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_hexdigit())
                    .count()
            }
            [b'0', b'b' | b'B', b'0' | b'1', ..] => {
                2 + rest[2..]
                    .iter()
                    .take_while(|byte| matches!(byte, b'0' | b'1'))
                    .count()
            }
            _ => decimal(rest),
        };
        self.token(b'1', length + suffix(&rest[length..]))
    }

    fn comment_or_operator(&mut self, rest: &'a [u8]) -> Token<'a> {
        match rest {
            [b'-', b'-', after @ ..] => {
                let is_spaced = after.first().is_none_or(|&byte| is_space(byte));
                self.is_ambiguous |= !is_spaced;
                match is_spaced || self.dialect == Dialect::Ansi {
                    true => self.line_comment(rest),
                    false => self.token(b'o', 1),
                }
            }
            [b'#', ..] => {
                self.is_ambiguous = true;
                match self.dialect {
                    Dialect::MySql => self.line_comment(rest),
                    Dialect::Ansi => self.token(b'o', 1),
                }
            }
            [b'/', b'*', after @ ..] => {
                let is_run = after.first() == Some(&b'!');
                self.is_ambiguous |= is_run;
                if is_run && self.dialect == Dialect::MySql {
                    let version = after[1..].iter().take(6);
                    let version = version.take_while(|byte| byte.is_ascii_digit()).count();
                    return self.token(0, 3 + version);
                }
                let end = memchr::memmem::find(after, b"*/");
                let mut token = self.token(b'c', end.map_or(rest.len(), |end| end + 4));
                token.is_open = end.is_none();
                token
            }
            _ => self.operator(rest),
        }
    }

    fn line_comment(&mut self, rest: &'a [u8]) -> Token<'a> {
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let mut token = self.token(b'c', length);
        token.is_open = true;
        token
    }

    fn brace(&mut self, rest: &'a [u8]) {
        let after = &rest[1..];
        let spaces = after.iter().take_while(|&&byte| is_space(byte)).count();
        let word = after[spaces..]
            .iter()
            .take_while(|&&byte| is_word(byte))
            .count();
        self.at += 1 + spaces + word;
    }

    fn variable(&mut self, rest: &'a [u8]) -> Token<'a> {
        let marks = rest
            .iter()
            .take(2)
            .take_while(|&&byte| byte == b'@')
            .count();
        match rest.get(marks) {
            Some(&quote @ (b'\'' | b'"' | b'`')) => {
                let string = self.string(marks + 1, quote);
                Token {
                    class: b'v',
                    ..string
                }
            }
            _ => {
                let name = rest[marks..].iter();
                let name = name.take_while(|&&byte| is_word(byte) || byte == b'.');
                let length = marks + name.count();
                self.token(b'v', length)
            }
        }
    }

    /// A PostgreSQL string, `$$..$$` or `$tag$..$tag$`, or an amount.
    fn dollar(&mut self, rest: &'a [u8]) -> Token<'a> {
        let name = rest[1..].iter();
        let tag = name.take_while(|byte| byte.is_ascii_alphabetic()).count() + 2;
        if rest.get(tag - 1) == Some(&b'$') {
            let end = memchr::memmem::find(&rest[tag..], &rest[..tag]);
            let mut token = self.token(b's', end.map_or(rest.len(), |end| end + 2 * tag));
            token.is_open = end.is_none();
            return token;
        }
        let amount = rest[1..].iter();
        let amount = amount
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b','))
            .count();
        match amount {
            0 => self.token(b'?', 1),
            _ => self.token(b'1', 1 + amount),
        }
    }

    /// A name of SQL Server, `[name]`.
    fn bracket(&mut self, rest: &'a [u8]) -> Token<'a> {
        match memchr::memchr(b']', rest) {
            Some(end) => self.token(b'n', end + 1),
            None => self.token(b'?', 1),
        }
    }

    fn operator(&mut self, rest: &'a [u8]) -> Token<'a> {
        match rest {
            [b'|', b'|', ..] | [b'&', b'&', ..] => self.token(b'&', 2),
            [b'<', b'=', b'>', ..] => self.token(b'=', 3),
            [b'-', b'>', b'>', ..] => self.token(b'o', 3),
            [b'<', b'=' | b'>' | b'@', ..]
            | [b'>', b'=', ..]
            | [b'!', b'=' | b'<' | b'>' | b'~', ..]
            | [b'@', b'>', ..]
            | [b'~', b'*' | b'~', ..] => self.token(b'=', 2),
            [b'<', b'<', ..]
            | [b'>', b'>', ..]
            | [b'-', b'>', ..]
            | [b':', b'=' | b':', ..]
            | [
                b'^' | b'+' | b'-' | b'*' | b'/' | b'%' | b'|' | b'&',
                b'=',
                ..,
            ] => self.token(b'o', 2),
            [b'=' | b'<' | b'>', ..] => self.token(b'=', 1),
            [
                b'!' | b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'|' | b'&' | b'~' | b'#',
                ..,
            ] => self.token(b'o', 1),
            _ => self.token(b'?', 1),
        }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.read()
    }
}

/// How far a name reaches with the names behind its dots.
fn dotted(rest: &[u8], mut length: usize) -> usize {
    while rest.get(length) == Some(&b'.') {
        let more = word_length(&rest[length + 1..]);
        if more == 0 {
            break;
        }
        length += 1 + more;
    }
    length
}

/// Letters that stand right behind a number and are no word of their own: the `a` of `1a`, the `f`
/// of Oracle's `1fUNION`.
fn suffix(rest: &[u8]) -> usize {
    let length = word_length(rest);
    let is_known = |word: &[u8]| words::find(word).is_some_and(|word| word.plain != b'n');
    match rest.first() {
        _ if length == 0 || is_known(&rest[..length]) => 0,
        Some(b'f' | b'F' | b'd' | b'D') if is_known(&rest[1..length]) => 1,
        _ => length,
    }
}

/// The length of `12`, `12.5`, `.5`, `1.e3`.
fn decimal(rest: &[u8]) -> usize {
    let digits = |from: usize| {
        let rest = rest.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut length = digits(0);
    if rest.get(length) == Some(&b'.') {
        length += 1 + digits(length + 1);
    }
    if let Some(b'e' | b'E') = rest.get(length) {
        let sign = usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}
