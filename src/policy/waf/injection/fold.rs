//! Tokens folded to a fingerprint: what does not change the shape of a query is taken out, so that
//! five tokens tell an injection from a text.
//!
//! `1+2*3` and `(a)` are one operand, a list is its first item, signs go, `UNION ALL` is one word. Folding looks at the end of what is kept only, so it is linear and needs eight tokens.

use std::fmt;

use super::lexer::{Lexer, Token};
use super::words;

/// Tokens of a fingerprint.
const LENGTH: usize = 5;

/// Folding changes the last three tokens at most, so from here on the first five stay.
const ENOUGH: usize = LENGTH + 3;

/// Classes of up to five tokens, such as `s&1c`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; LENGTH]);

impl Fingerprint {
    /// The letters of the classes.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().take_while(|&&class| class > 0).count();
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }

    /// The letters, zero where there are fewer than five.
    pub(super) fn classes(&self) -> [u8; LENGTH] {
        self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A folded value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folded {
    pub(super) fingerprint: Fingerprint,
    /// The first byte of the comment that ends the value, or zero.
    pub(super) comment: u8,
    /// Whether a function is called that nothing but an injection calls, or a UNION SELECT or a
    /// DECLARE stands where no text has one.
    pub(super) is_grave: bool,
    sequel: Sequel,
    /// Whether there are three tokens, the second a word or a lone `&` right between quotes.
    pub(super) is_emphasis: bool,
    /// Whether a string is read last that the value does not close.
    pub(super) is_open: bool,
    /// Whether there are only strings, bound by words, that no database counts as true.
    pub(super) is_quotation: bool,
    /// Whether it begins with a call that IS something with a name, which no grammar has.
    pub(super) is_call_in_text: bool,
    /// Whether two functions are called with a name each, up to the last parenthesis.
    pub(super) is_pair_of_calls: bool,
}

struct Tail<'a> {
    kept: [Option<Token<'a>>; ENOUGH],
    length: usize,
    is_grave: bool,
    sequel: Sequel,
}

/// How much of `UNION ALL (SELECT` was read last, and the class of the last token: of `DECLARE @x`
/// that is enough.
#[derive(Clone, Copy, Debug, Default)]
struct Sequel {
    is_open: bool,
    /// UNION SELECT was read: the next token tells whether something is selected.
    is_selecting: bool,
    before: u8,
}

impl Sequel {
    /// True when the token completes it. Behind a name UNION may be one itself: "European Union
    /// select committee"; and SELECT IS is none, as in "union select is how results are joined".
    fn follow(&mut self, token: &Token<'_>) -> bool {
        let is = |word: &[u8]| token.text.eq_ignore_ascii_case(word);
        let before = std::mem::replace(&mut self.before, token.class);
        let is_selected = std::mem::take(&mut self.is_selecting) && !is(b"is");
        self.is_selecting = self.is_open && is(b"select");
        let is_complete = is_selected || before == b'T' && token.class == b'v';
        self.is_open = match token.class {
            b'U' => before != b'n' && is(b"union"),
            b'(' => self.is_open,
            b'k' => self.is_open && (is(b"all") || is(b"distinct") || is(b"distinctrow")),
            _ => false,
        };
        is_complete
    }
}

/// Tokens that are read behind a fingerprint.
const FURTHER: usize = 32;

/// Whether a UNION SELECT or a DECLARE follows close behind what was folded: some hide it behind a long
/// beginning.
pub(super) fn goes_on(lexer: &mut Lexer<'_>, folded: &Folded) -> bool {
    let mut sequel = folded.sequel;
    for _ in 0..FURTHER {
        match lexer.next() {
            Some(token) if token.class == b'c' => {}
            Some(token) if sequel.follow(&token) => return true,
            Some(_) => {}
            None => return sequel.is_selecting,
        }
    }
    false
}

/// Reads as many tokens as the fingerprint needs.
pub(super) fn fold(lexer: &mut Lexer<'_>) -> Folded {
    let mut tail = Tail {
        kept: [None; ENOUGH],
        length: 0,
        is_grave: false,
        sequel: Sequel::default(),
    };
    let mut comment = 0;
    let mut tokens = 0;
    while tail.length < ENOUGH
        && let Some(token) = lexer.next()
    {
        if token.class == b'c' {
            comment = if token.is_open { token.text[0] } else { 0 };
            continue;
        }
        comment = 0;
        tokens += 1;
        tail.is_grave |= tail.sequel.follow(&token);
        tail.push(token);
    }
    let is_whole = tail.length < ENOUGH;
    let is_quotation = is_whole && tail.is_quotation(tokens);
    let is_call_in_text = tail.is_call_in_text();
    let is_pair_of_calls = tokens == ENOUGH && !tail.is_grave && tail.is_pair_of_calls();
    if is_whole {
        tail.is_grave |= tail.sequel.is_selecting;
        while tail.reduce(0) {}
    }
    let mut classes = [0; LENGTH];
    let kept = tail.kept[..tail.length].iter().flatten();
    let kept = kept.map(|token| token.class);
    let end = (comment > 0).then_some(b'c');
    for (class, kept) in classes.iter_mut().zip(kept.chain(end)) {
        *class = kept;
    }
    Folded {
        fingerprint: Fingerprint(classes),
        comment,
        is_grave: tail.is_grave,
        sequel: tail.sequel,
        is_emphasis: tokens == 3 && tail.is_emphasis(),
        is_open: tail.is_open(),
        is_quotation,
        is_call_in_text,
        is_pair_of_calls,
    }
}

fn is_operand(class: u8) -> bool {
    matches!(class, b'1' | b'n' | b'v' | b's')
}

/// Whether a value, and so a sign before it, may come next.
fn expects_operand(before: u8) -> bool {
    matches!(
        before,
        0 | b'o'
            | b'='
            | b'i'
            | b'h'
            | b'&'
            | b'('
            | b','
            | b'E'
            | b'B'
            | b'T'
            | b'U'
            | b'k'
            | b';'
    )
}

fn is_unary(token: &Token<'_>) -> bool {
    matches!(token.text, b"+" | b"-" | b"!" | b"~")
        || token.text.eq_ignore_ascii_case(b"not")
        || token.text.eq_ignore_ascii_case(b"binary")
}

fn is_quantifier(token: &Token<'_>) -> bool {
    let words: [&[u8]; 3] = [b"any", b"some", b"all"];
    words
        .iter()
        .any(|word| token.text.eq_ignore_ascii_case(word))
}

/// Whether a string counts as false, or as nothing, where a condition is expected: it is no number
/// (MySQL, SQLite) and no word for true (PostgreSQL); and all agree about where it ends.
fn is_never_true(token: &Token<'_>) -> bool {
    let Some(quote @ (b'\'' | b'"')) = token.text.first().copied() else {
        return false;
    };
    let text = token.text[1..].strip_suffix(&[quote]);
    let text = text.unwrap_or(&token.text[1..]).trim_ascii();
    let signless = text.iter().find(|byte| !b"+-.".contains(byte));
    let words: [&[u8]; 9] = [
        b"", b"t", b"tr", b"tru", b"true", b"y", b"ye", b"yes", b"on",
    ];
    !signless.is_some_and(u8::is_ascii_digit)
        && !text.contains(&b'\\')
        && !words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn is_word(token: &Token<'_>) -> bool {
    token.text.first().is_some_and(u8::is_ascii_alphabetic)
}

impl<'a> Tail<'a> {
    /// The class of the token that is `back` from the end, zero before the beginning.
    fn class(&self, back: usize) -> u8 {
        let at = self.length.checked_sub(back + 1);
        at.and_then(|at| self.kept[at])
            .map_or(0, |token| token.class)
    }

    fn last(&mut self) -> Option<&mut Token<'a>> {
        self.kept[..self.length].last_mut()?.as_mut()
    }

    fn push(&mut self, mut token: Token<'a>) {
        if let Some(last) = self.last()
            && let Some(word) = last.word
        {
            // Two words that are one.
            if token.word.is_some()
                && let Some(pair) = words::find_pair(last.text, token.text)
            {
                (last.class, last.word) = (pair.plain, None);
                return;
            }
            if token.class == b'(' {
                last.class = word.call;
                // In a text a space would stand between them.
                let is_joined = std::ptr::eq(last.text.as_ptr_range().end, token.text.as_ptr());
                self.is_grave |= word.is_grave && is_joined;
            }
        }
        while self.reduce(token.class) {}
        let before = self.class(0);
        match token.class {
            b'o' if expects_operand(before) && is_unary(&token) => return,
            // `*` for all columns is a value.
            b'o' if token.text == b"*" && expects_operand(before) && before != 0 => {
                token.class = b'n';
            }
            // NOT behind a value is a word of a text.
            b'o' if is_word(&token) && is_unary(&token) => token.class = b'k',
            b'(' if before == b'(' => return self.repeat(),
            b')' if before == b')' => return self.repeat(),
            b'o' | b'=' | b's' | b';' if token.class == before => return,
            // `= ANY (` compares as `= (` does.
            b'k' if before == b'=' && is_quantifier(&token) => return,
            b'o' if before == b'=' => return,
            _ => {}
        }
        if self.length < ENOUGH {
            self.kept[self.length] = Some(token);
            self.length += 1;
        }
    }

    /// `'a' and 'b'` in a text; or `'/'`, which divides by a text, and that is nothing.
    fn is_quotation(&self, tokens: usize) -> bool {
        let kept = || self.kept[..self.length].iter().flatten();
        let is_bound = |(at, token): (usize, &Token<'_>)| match (at, token.class) {
            (0, class) => class == b'q',
            (1, b'o') => tokens == 3 && matches!(token.text, b"/" | b"%"),
            (at, b'&') => at % 2 == 1 && (is_word(token) || token.text == b"&"),
            (at, b's') => at % 2 == 0 && is_never_true(token),
            _ => false,
        };
        // Nothing was folded, so that each token is what it looks like.
        tokens == self.length && tokens >= 3 && tokens % 2 == 1 && kept().enumerate().all(is_bound)
    }

    /// `sleep(5) is short`: behind IS stands NULL, a truth value or DISTINCT, never a name.
    fn is_call_in_text(&self) -> bool {
        let class = |at: usize| self.kept[at].map_or(0, |token| token.class);
        let is_is = |token: Token<'_>| token.text.eq_ignore_ascii_case(b"is");
        let kept = [0, 1, 3, 5].map(class);
        kept == *b"f()n" && is_operand(class(2)) && self.kept[4].is_some_and(is_is)
    }

    /// `cos(x) and sin(x`: no constant, no query, nothing that is true by itself.
    fn is_pair_of_calls(&self) -> bool {
        let classes = self.kept.map(|token| token.map_or(0, |token| token.class));
        classes == *b"f(n)&f(n"
    }

    /// `the "and" in it`: no space between the quotes and the word.
    fn is_emphasis(&self) -> bool {
        let [Some(first), Some(word), Some(last), ..] = self.kept else {
            return false;
        };
        let are_joined = |one: &Token<'_>, other: &Token<'_>| {
            std::ptr::eq(one.text.as_ptr_range().end, other.text.as_ptr())
        };
        // A number would be true.
        !last.text.get(1).is_some_and(u8::is_ascii_digit)
            && (is_word(&word) || word.text == b"&")
            && are_joined(&first, &word)
            && are_joined(&word, &last)
    }

    fn is_open(&self) -> bool {
        let last = self.kept[..self.length].last();
        last.is_some_and(|last| last.is_some_and(|token| token.is_open))
    }

    fn repeat(&mut self) {
        if let Some(last) = self.last() {
            last.repeats += 1;
        }
    }

    /// Folds the end once, knowing the class that comes next. False if there is nothing to fold.
    fn reduce(&mut self, next: u8) -> bool {
        let [first, middle, last] = [self.class(2), self.class(1), self.class(0)];
        let is_called = next == b'(';
        let folds = match (first, middle, last) {
            // The string stays: it is the one that the query closes.
            (first, b'o', b's') if is_operand(first) && self.is_open() => {
                self.kept[self.length - 3] = self.kept[self.length - 1];
                true
            }
            // With a name in it, an expression is one.
            (b'1', b'o', b'n') if !is_called => {
                self.kept[self.length - 3] = self.kept[self.length - 1];
                true
            }
            (first, b'o', last) => {
                is_operand(first) && (is_operand(last) && !is_called || last == b't')
            }
            (first, b',' | b'A', last) => is_operand(first) && is_operand(last) && !is_called,
            (b'(', middle, b')') if is_operand(middle) => return self.unwrap_parentheses(),
            _ => false,
        };
        if folds {
            self.length -= 2;
        }
        folds
    }

    /// `(x)` to `x`, one pair at a time; but those of a call tell more than what stands in them.
    fn unwrap_parentheses(&mut self) -> bool {
        let open = self.length - 3;
        if matches!(self.class(3), b'f' | b'n') {
            return false;
        }
        let repeats = |at: usize| self.kept[at].map_or(0, |token| token.repeats);
        let (opened, closed) = (repeats(open), repeats(open + 2));
        let pairs = 1 + opened.min(closed);
        let operand = self.kept[open + 1];
        let left = |at: usize, repeats: usize| {
            let token = self.kept[at].filter(|_| repeats > 0)?;
            Some(Token {
                repeats: repeats - 1,
                ..token
            })
        };
        let opening = left(open, 1 + opened - pairs);
        let closing = left(open + 2, 1 + closed - pairs);
        self.length = open;
        for token in [opening, operand, closing].into_iter().flatten() {
            self.kept[self.length] = Some(token);
            self.length += 1;
        }
        true
    }
}
