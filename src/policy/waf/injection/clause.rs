//! Injections whose fingerprint texts have too, told by their tokens one by one.
//!
//! Folding takes out what does not change the shape; here nothing is taken out: a name that is
//! compared with a text, a statement with its object, a clause that a comment cuts off. Each
//! pattern begins at the beginning of the value, so that a text in which it comes up is none.

use super::lexer::{Context, Lexer, Token};

/// Tokens that are looked at.
const LENGTH: usize = 12;

/// What a value may hold behind its first operand. A small letter or a sign is a class of tokens,
/// capitals are a word (`PIPES` are `||`), `a|b` is either; `$` is the end of the value or a comment that cuts the
/// rest off, `#` such a comment, `+` the byte right behind the token before.
const PATTERNS: &[&str] = &[
    // A condition on a column.
    "& n LIKE|ILIKE|RLIKE|REGEXP|GLOB|SIMILAR|SOUNDS s $",
    "& n NOT s $",
    "& n o s $",
    "& n o ALL|ANY (",
    "& n IN|NOT ( s|1",
    "& n BETWEEN|NOT s|1 AND s|1 $",
    "& n IS NULL|TRUE|FALSE $",
    "& n ISNULL|NOTNULL $",
    "& ( n ) i (|s",
    "& 1 RLIKE|REGEXP|XOR|SOUNDS 1|n|s $",
    "RLIKE|REGEXP|XOR 1|n|s $",
    // True or false by themselves.
    "& TRUE|FALSE $",
    "& NOT TRUE|FALSE|0 $",
    "& NOT ( 1|n ) $",
    "& NULL IS NULL $",
    "& + !|~|- 1|n $",
    "& + ( 1|n ) $",
    "& ( 1|n =|LIKE 1|n|s $",
    "& + ( 1|n $",
    // Reckoning with a condition.
    "o|= ( n LIKE|ILIKE|RLIKE|REGEXP|GLOB|=|IN|BETWEEN s|1|(",
    // Variables.
    "& @@",
    "& v :=",
    // Further items of a list or an order.
    ", ( SELECT",
    ", EXISTS (",
    ", CASE WHEN",
    ", CASE n WHEN",
    "B f (",
    // Clauses behind the condition.
    "WHERE n|1 = 1|s|n $",
    ", n = 1|s|n WHERE",
    "LIMIT 1 OFFSET|INTO|PROCEDURE",
    "FOR UPDATE $",
    "LOCK IN SHARE",
    "INTO v",
    // Unions without a SELECT.
    "UNION|EXCEPT|INTERSECT TABLE n $",
    "UNION|EXCEPT|INTERSECT ALL TABLE n $",
    "UNION|EXCEPT|INTERSECT VALUES ROW|(",
    // Statements.
    "; TRUNCATE|TABLE|DESCRIBE|DESC|LISTEN|NOTIFY|REINDEX|VACUUM|ANALYZE n $",
    "; VACUUM|BEGIN|COMMIT|ROLLBACK|REINDEX|ANALYZE|SHUTDOWN|CHECKPOINT $",
    "; EXPLAIN|DESCRIBE|DESC SELECT|ANALYZE|DELETE|UPDATE|INSERT",
    "; SHOW TABLES|DATABASES|SCHEMAS|GRANTS|PROCESSLIST|VARIABLES|COLUMNS|ALL $",
    "; HANDLER n OPEN|READ|CLOSE",
    "; PREPARE n FROM|AS",
    "; CALL n (",
    "; USE|CALL MYSQL|MASTER|SYS|INFORMATION_SCHEMA $",
    "; ATTACH s",
    "; WITH n AS (",
    "; WITH RECURSIVE n",
    "; MERGE INTO n USING",
    "; COPY n|( TO|FROM s|PROGRAM",
    "; COPY ( SELECT",
    "; SET ROLE|SESSION|GLOBAL|LOCAL|PASSWORD|NAMES",
    "; OPTIMIZE|CHECK|REPAIR|ANALYZE|LOCK TABLE|TABLES n",
    "; INSERT OR IGNORE|REPLACE|ABORT|FAIL|ROLLBACK INTO",
    "; DROP ROLE|DATABASE|EXTENSION|TYPE|SEQUENCE|POLICY|EVENT|LOGIN n $",
    "; REFRESH MATERIALIZED",
    "; DISCARD ALL|PLANS|TEMP|SEQUENCES",
    "; DO s|f",
    "; XA START|BEGIN|END|PREPARE|COMMIT",
    "; FLUSH PRIVILEGES|TABLES|HOSTS|LOGS",
    "; SIGNAL SQLSTATE",
];

/// What may stand behind the end of a string that the query began.
const BEHIND_STRINGS: &[&str] = &[
    // A clause or a statement, and the rest is cut off.
    "k|h|i|B|A|U|OFFSET|S * #",
    "; k|h|S|E|T|n|t|B * #",
    "COLLATE n =|i|o|& * $",
    "IS NULL IS",
    // Further assignments of an UPDATE.
    ", n = s $",
    ", n = s * #",
    ", n AS s $",
    ", n = ( SELECT",
    ", n = f ( * $",
    ", n = n|1 * #",
];

/// Longest name of a column, in words.
const WORDS_OF_NAME: usize = 3;

/// Behind the end of a name in backquotes.
const BEHIND_NAMES: &[&str] = &["* #", ", n $", "&|i|= n|s|1|f $", ", ("];

/// Whole values.
const WHOLE: &[&str] = &[
    "@@ $",
    "v :=",
    "v :: INT|INTEGER|NUMERIC $",
    "1 o v :: t",
    "OVERLAY ( n PLACING",
    "DESC|ASC , ( SELECT",
    "DESC|ASC , CASE|IF|EXISTS|SLEEP",
    "SELECT f + ( 1|s|f|E|v|o",
    "SELECT 1|n|* FROM ( SELECT",
    "SELECT s o|PIPES",
    "SELECT ( CASE|SELECT",
    "CASE WHEN ( n|1|s =|i",
    "CASE WHEN n LIKE|RLIKE|REGEXP|IN|= s|1|( THEN",
    "CASE n WHEN 1|s THEN 1|s|n ELSE|END|WHEN",
];

struct Tokens<'a> {
    tokens: [Option<Token<'a>>; LENGTH],
    length: usize,
    /// Whether the value goes on behind them.
    is_cut: bool,
    /// Whether the value ends in a comment that holds nothing.
    is_tailed: bool,
}

/// Whether the value is one of those injections, read from its beginning; `shape` is what it was
/// folded to.
pub(super) fn is_clause(
    mut lexer: Lexer<'_>,
    input: &[u8],
    context: Context,
    shape: &[u8; 5],
) -> bool {
    if context == Context::Plain && has_idiom(input) {
        return true;
    }
    // A cast is folded away.
    let is_cast = || context == Context::Plain && memchr::memmem::find(input, b"::").is_some();
    if !is_beginning(context, shape) && !is_cast() {
        return false;
    }
    let Some(first) = lexer.next() else {
        return false;
    };
    let tokens = Tokens::read(&mut lexer, first, has_tail(input));
    match context {
        Context::Quoted(b'`') => closes_name(input) && tokens.meet_from_second(BEHIND_NAMES),
        Context::Quoted(_) => {
            tokens.meet_from_second(PATTERNS) || tokens.meet_from_second(BEHIND_STRINGS)
        }
        Context::Plain => {
            tokens.meet(WHOLE, 0)
                || (matches!(first.class, b')' | b'(' | b',') || is_number(&first))
                    && tokens.meet_from_second(PATTERNS)
        }
    }
}

/// Whether what stands before the first backquote may be the name of a column, which has to exist
/// for the rest of the query to run.
fn closes_name(input: &[u8]) -> bool {
    let end = memchr::memchr(b'`', input).unwrap_or(input.len());
    let mut words = input[..end].split(|&byte| byte == b' ');
    let is_of_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"_$.-".contains(byte) || *byte >= 0x80;
    words.clone().count() <= WORDS_OF_NAME && words.all(|word| word.iter().all(is_of_name))
}

/// Whether any pattern begins so: most values are done with here.
fn is_beginning(context: Context, shape: &[u8; 5]) -> bool {
    // A value behind a value is of a text.
    let is_followed = !matches!(shape[1], 0 | b'n' | b's' | b'1' | b'v' | b'?');
    match (context, shape[0]) {
        (Context::Quoted(b'`'), _) | (_, b'v' | b'E' | b'k' | b'f') => true,
        (Context::Quoted(_), _) | (_, b')' | b'(' | b',' | b'1') => is_followed,
        _ => false,
    }
}

/// `-- -`, right behind a word or a sign that ends a value: nobody writes it but to cut a query off.
fn has_idiom(input: &[u8]) -> bool {
    let input = input.trim_ascii_end();
    if input.ends_with(b";--") {
        return true;
    }
    let idioms: [&[u8]; 3] = [b"-- -", b"--+", b"-- +"];
    let before = idioms
        .into_iter()
        .find_map(|idiom| input.strip_suffix(idiom));
    let last = before.and_then(<[u8]>::last);
    last.is_some_and(|last| last.is_ascii_alphanumeric() || b")'\";`".contains(last))
}

/// Whether the value ends in a comment that cuts off the rest of the query and holds nothing.
fn has_tail(input: &[u8]) -> bool {
    let input = input.trim_ascii_end();
    let tails: [&[u8]; 6] = [b"-- -", b"--+", b"-- +", b"--", b"#", b"/*"];
    let before = tails.into_iter().find_map(|tail| input.strip_suffix(tail));
    // Lines of dashes and closing marks of headings are none.
    let last = before.and_then(<[u8]>::last);
    last.is_some_and(|last| !matches!(last, b'-' | b'#' | b'\n'))
}

impl<'a> Tokens<'a> {
    fn read(lexer: &mut Lexer<'a>, first: Token<'a>, is_tailed: bool) -> Tokens<'a> {
        let mut tokens = Tokens {
            tokens: [None; LENGTH],
            length: 0,
            is_cut: false,
            is_tailed,
        };
        tokens.push(first);
        for token in lexer {
            if token.class == b'c' {
                // What a comment that is no tail hides is nobody's to judge.
                tokens.is_cut |= token.is_open && !is_tailed;
            } else if tokens.length == LENGTH {
                tokens.is_cut = true;
                break;
            } else {
                tokens.push(token);
            }
        }
        tokens
    }

    fn push(&mut self, token: Token<'a>) {
        self.tokens[self.length] = Some(token);
        self.length += 1;
    }

    /// Behind the first token and the parentheses that close behind it.
    fn meet_from_second(&self, patterns: &[&str]) -> bool {
        let closing = self.tokens[1..self.length].iter().flatten();
        let closing = closing.take_while(|token| token.class == b')').count();
        self.meet(patterns, 1 + closing)
    }

    fn meet(&self, patterns: &[&str], from: usize) -> bool {
        patterns.iter().any(|pattern| self.fits(pattern, from))
    }

    fn fits(&self, pattern: &str, mut at: usize) -> bool {
        let mut items = pattern.split(' ').peekable();
        while let Some(item) = items.next() {
            let is_end = at == self.length && !self.is_cut;
            match item {
                "$" => return is_end,
                "#" => return is_end && self.is_tailed,
                // The rest, up to a tail or to the end.
                "*" => {
                    return self.is_tailed && !self.is_cut
                        || items.peek() == Some(&"$") && at < self.length;
                }
                "+" => {
                    let (Some(before), Some(token)) = (self.at(at.wrapping_sub(1)), self.at(at))
                    else {
                        return false;
                    };
                    if !std::ptr::eq(before.text.as_ptr_range().end, token.text.as_ptr()) {
                        return false;
                    }
                }
                item => {
                    let Some(token) = self.at(at) else {
                        return false;
                    };
                    let is_called = self.at(at + 1).is_some_and(|next| next.class == b'(');
                    if !item.split('|').any(|one| is_one(&token, one, is_called)) {
                        return false;
                    }
                    at += 1;
                    // IS NOT NULL, NOT IN, NOT LIKE.
                    if matches!(item, "IS" | "IN|NOT" | "NOT" | "BETWEEN|NOT") {
                        at += usize::from(self.at(at).is_some_and(|token| is_second_word(&token)));
                    }
                }
            }
        }
        true
    }

    fn at(&self, at: usize) -> Option<Token<'a>> {
        *self.tokens[..self.length].get(at)?
    }
}

/// A number and not a word for a value: "true and false" is a text.
fn is_number(token: &Token<'_>) -> bool {
    token.class == b'1' && !token.text.first().is_some_and(u8::is_ascii_alphabetic)
}

/// The second of two words that compare.
fn is_second_word(token: &Token<'_>) -> bool {
    is_any(
        token,
        &[
            b"not", b"in", b"like", b"ilike", b"rlike", b"regexp", b"between", b"to",
        ],
    )
}

fn is_any(token: &Token<'_>, words: &[&[u8]]) -> bool {
    words
        .iter()
        .any(|word| token.text.eq_ignore_ascii_case(word))
}

fn is_one(token: &Token<'_>, one: &str, is_called: bool) -> bool {
    let one = one.as_bytes();
    match one {
        b"@@" => token.class == b'v' && token.text.starts_with(b"@@") && token.text.len() > 4,
        b"0" => token.text == b"0",
        b"PIPES" => token.text == b"||",
        [class] if !class.is_ascii_uppercase() && !b"=!~-*".contains(class) => {
            let call = token.word.filter(|_| is_called).map(|word| word.call);
            call.unwrap_or(token.class) == *class
        }
        [b'!' | b'~' | b'-' | b'*'] => token.text == one,
        b"=" => token.class == b'=',
        [class @ (b'U' | b'E' | b'B' | b'T' | b'S' | b'A')] => token.class == *class,
        word => token.text.eq_ignore_ascii_case(word),
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::waf::injection::sqli;

    /// What differs from an injection by a word or a sign.
    #[test]
    fn texts_beside_the_patterns_are_none() {
        for text in [
            "true and false",
            "1 or 2 is fine",
            "2 and friends like it",
            "select the date (optional)",
            "the dogs' for sale",
            "1; begin with the basics",
            "see `x`, `y` and `z`",
            "a -- b",
            "x[1] and y[2]",
            "case when it rains then stay",
            "a `b` -- c",
            "qCzn[=`>i",
            "having count of 5 or more`#",
        ] {
            assert_eq!(sqli(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn each_beginning_is_looked_at() {
        for attack in [
            "1 or pw like 's%'",
            "1) or (id=1",
            "x',pw='y",
            "x' for update-- -",
            "id` desc-- -",
            "id`,`pw",
            "full name`,`pw",
            "1;vacuum",
            "desc,(select 1)",
            "@@version",
            "\\' or 1=1-- -",
            "'+(select pw from users)+'",
            "1\u{3000}or\u{2003}1=1",
        ] {
            assert!(sqli(attack.as_bytes()).is_some(), "{attack}");
        }
    }
}
