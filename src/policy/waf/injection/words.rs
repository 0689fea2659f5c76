//! The words of SQL and what they are, from `words.txt`: a table that the compiler builds.

/// A line is a class and its words; `A+B` is the word A before the word B. A word of class `f` is
/// a function where a parenthesis follows, and its other class, or a name, where none does; one of
/// class `F` is grave.
const TEXT: &[u8] = include_bytes!("words.txt");

/// Longest word, a pair included; a longer one is a name.
const LONGEST: usize = 32;

const SLOTS: usize = 2048;

/// A known word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Where it begins in [`TEXT`]; zero for an empty slot, since the file begins with a comment.
    start: u16,
    length: u8,
    pub(super) plain: u8,
    /// Its class before a parenthesis.
    pub(super) call: u8,
    /// Whether to call it is an attack in itself.
    pub(super) is_grave: bool,
}

const EMPTY: Word = Word {
    start: 0,
    length: 0,
    plain: 0,
    call: 0,
    is_grave: false,
};

static TABLE: [Word; SLOTS] = table();

const fn mix(hash: u32, byte: u8) -> u32 {
    (hash ^ byte.to_ascii_uppercase() as u32).wrapping_mul(0x0100_0193)
}

const START: u32 = 0x811C_9DC5;

const fn slot(hash: u32) -> usize {
    (hash ^ hash >> 15) as usize % SLOTS
}

const fn table() -> [Word; SLOTS] {
    assert!(TEXT.len() < u16::MAX as usize);
    let mut table = [EMPTY; SLOTS];
    let mut at = 0;
    while at < TEXT.len() {
        let class = TEXT[at];
        while TEXT[at] != b'\n' {
            at += 1;
            if class == b'#' || TEXT[at] == b' ' || TEXT[at] == b'\n' {
                continue;
            }
            let start = at;
            let mut hash = START;
            while TEXT[at + 1] != b' ' && TEXT[at + 1] != b'\n' {
                hash = mix(hash, TEXT[at]);
                at += 1;
            }
            hash = mix(hash, TEXT[at]);
            insert(&mut table, start, at + 1, class, slot(hash));
        }
        at += 1;
    }
    table
}

const fn insert(table: &mut [Word; SLOTS], start: usize, end: usize, class: u8, home: usize) {
    assert!(end - start <= LONGEST);
    let mut at = home;
    while table[at].length > 0 && !is_same(table[at], start, end) {
        at = (at + 1) % SLOTS;
    }
    let known = table[at].length > 0;
    let plain = match (class, known) {
        (b'f' | b'F', true) => table[at].plain,
        (b'f' | b'F', false) => b'n',
        _ => class,
    };
    let call = match (class, known) {
        (b'f' | b'F', _) => b'f',
        (_, true) => table[at].call,
        (_, false) => class,
    };
    table[at] = Word {
        start: start as u16,
        length: (end - start) as u8,
        plain,
        call,
        is_grave: class == b'F',
    };
}

const fn is_same(word: Word, start: usize, end: usize) -> bool {
    let mut at = 0;
    let is_long = word.length as usize == end - start;
    while is_long && at < end - start {
        if TEXT[word.start as usize + at] != TEXT[start + at] {
            return false;
        }
        at += 1;
    }
    is_long
}

/// What is known of a word, in any case of letters.
pub(super) fn find(word: &[u8]) -> Option<Word> {
    if word.len() > LONGEST {
        return None;
    }
    let hash = word.iter().fold(START, |hash, &byte| mix(hash, byte));
    search(hash, |known| known.eq_ignore_ascii_case(word))
}

/// What is known of two words that stand side by side.
pub(super) fn find_pair(first: &[u8], second: &[u8]) -> Option<Word> {
    if first.len() + second.len() >= LONGEST {
        return None;
    }
    let bytes = first.iter().chain(b"+").chain(second);
    let hash = bytes.fold(START, |hash, &byte| mix(hash, byte));
    search(hash, |known| {
        known.get(first.len()) == Some(&b'+')
            && known[..first.len()].eq_ignore_ascii_case(first)
            && known[first.len() + 1..].eq_ignore_ascii_case(second)
    })
}

fn search(hash: u32, is_it: impl Fn(&[u8]) -> bool) -> Option<Word> {
    let mut at = slot(hash);
    loop {
        let word = TABLE[at];
        if word.length == 0 {
            return None;
        }
        let start = usize::from(word.start);
        if is_it(&TEXT[start..start + usize::from(word.length)]) {
            return Some(word);
        }
        at = (at + 1) % SLOTS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_file_is_found() {
        let text = std::str::from_utf8(TEXT).unwrap();
        let mut count = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (class, words) = line.split_once(' ').unwrap();
            for word in words.split_whitespace() {
                let found = match word.split_once('+') {
                    Some((first, second)) => {
                        assert!(find(first.as_bytes()).is_some(), "{first} alone");
                        assert!(find(second.as_bytes()).is_some(), "{second} alone");
                        find_pair(first.as_bytes(), second.as_bytes())
                    }
                    None => find(word.to_lowercase().as_bytes()),
                };
                let found = found.unwrap_or_else(|| panic!("{word}"));
                let class = class.as_bytes()[0];
                let class = if found.is_grave {
                    class.to_ascii_lowercase()
                } else {
                    class
                };
                assert!(found.plain == class || found.call == class, "{word}");
                count += 1;
            }
        }
        assert!(count > 600 && count * 2 < SLOTS, "{count}");
    }

    #[test]
    fn a_function_is_one_only_before_a_parenthesis() {
        let sleep = find(b"Sleep").unwrap();
        assert_eq!((sleep.plain, sleep.call), (b'n', b'f'));
        let database = find(b"database").unwrap();
        assert_eq!((database.plain, database.call), (b'k', b'f'));
        for unknown in [&b""[..], b"nothing", b"SELEC", b"SELECTS", &[b'A'; 40]] {
            assert_eq!(find(unknown), None);
        }
        assert_eq!(find_pair(b"union", b"by"), None);
        assert_eq!(find_pair(&[b'A'; 40], b"BY"), None);
    }
}
