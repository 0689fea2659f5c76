//! Whether a value, put into a query where a programmer expected a plain one, would change it.

use super::clause::is_clause;
use super::fold::{Fingerprint, Folded, fold, goes_on};
use super::lexer::{Context, Dialect, Lexer};

/// Fingerprints of injections, one a line, in the order of [`pack`]; made by `templates`.
const TEXT: &[u8] = include_bytes!("fingerprints.txt");

const COUNT: usize = count();

/// Words that are read behind a pair of calls.
const WORDS: usize = 32;

static FINGERPRINTS: [u32; COUNT] = fingerprints();

/// The fingerprint of an injection, if the value is one in any of the places where values stand.
pub fn sqli(input: &[u8]) -> Option<Fingerprint> {
    find(input).map(|(fingerprint, _)| fingerprint)
}

/// The same, and how far the value was read for it.
pub fn find(input: &[u8]) -> Option<(Fingerprint, usize)> {
    if is_plain(input) {
        return None;
    }
    contexts(input).find_map(|context| {
        each_reading(input, context, |lexer| {
            let beginning = lexer.clone();
            let folded = fold(lexer);
            let is_found = match folded.is_pair_of_calls {
                true => !is_closed(lexer),
                false => is_injection(&folded, context) || goes_on(lexer, &folded),
            };
            let is_found =
                is_found || is_clause(beginning, input, context, &folded.fingerprint.classes());
            is_found.then(|| (folded.fingerprint, lexer.reached()))
        })
    })
}

/// Whether a parenthesis is all that follows; or words, numbers and signs of a text behind it, with
/// which no grammar goes on, and at the very end an operator, which has nothing to work on.
fn is_closed(lexer: &mut Lexer<'_>) -> bool {
    let is_end = lexer.next().is_some_and(|token| token.class == b')');
    let mut further = lexer.take(WORDS);
    let behind = further.find(|token| !matches!(token.class, b'n' | b'1' | b'?' | b',' | b';'));
    let is_over = behind.is_none_or(|token| matches!(token.class, b'o' | b'='));
    is_end && is_over && lexer.next().is_none()
}

/// A word or a number: read by far the most often, and no injection.
fn is_plain(input: &[u8]) -> bool {
    input
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Outside of strings, and within those, and the names, that the value could close.
pub(super) fn contexts(input: &[u8]) -> impl Iterator<Item = Context> {
    let quoted = [b'\'', b'"', b'`'].into_iter();
    let quoted = quoted.filter(|&quote| memchr::memchr(quote, input).is_some());
    std::iter::once(Context::Plain).chain(quoted.map(Context::Quoted))
}

/// Reads the value by the rules of ANSI, and by those of MySQL where they differ.
fn each_reading<T>(
    input: &[u8],
    context: Context,
    mut judge: impl FnMut(&mut Lexer<'_>) -> Option<T>,
) -> Option<T> {
    let mut lexer = Lexer::new(input, context, Dialect::Ansi);
    let mut found = judge(&mut lexer);
    let is_ambiguous = lexer.is_ambiguous;
    if found.is_none() && is_ambiguous {
        found = judge(&mut Lexer::new(input, context, Dialect::MySql));
    }
    if found.is_none() && memchr::memchr(b'+', input).is_some() {
        found = judge(&mut Lexer::new(input, context, Dialect::MySql).with_plus_as_space());
        if found.is_none() && is_ambiguous {
            found = judge(&mut Lexer::new(input, context, Dialect::Ansi).with_plus_as_space());
        }
    }
    found
}

fn is_injection(folded: &Folded, context: Context) -> bool {
    let classes = folded.fingerprint.classes();
    let is_known = || FINGERPRINTS.binary_search(&pack(classes)).is_ok();
    // Names in backquotes are judged by what stands behind them, not by fingerprints.
    if context == Context::Quoted(b'`') || context == Context::Plain && folded.is_call_in_text {
        return false;
    }
    folded.is_grave || is_beyond_doubt(&classes) || !is_text(folded, context) && is_known()
}

/// Words of a query that no text puts side by side, whatever surrounds them: `1 UNION SELECT`, a
/// statement of two words behind a semicolon, `DECLARE @x`, `WAITFOR DELAY '0'`.
pub(super) fn is_beyond_doubt(classes: &[u8; 5]) -> bool {
    let holds = |part: &[u8]| classes.windows(part.len()).any(|window| window == part);
    let is_union = holds(b"UE") && !holds(b"UEi") || holds(b"U(E");
    classes[0] != b'n' && is_union || holds(b";T") || holds(b"Tv") || holds(b"Ts")
}

/// Texts that have the shape of an injection, and something that tells them apart from one.
pub(super) fn is_text(folded: &Folded, context: Context) -> bool {
    match &folded.fingerprint.classes() {
        // To take a query over, its own quote must be met again; and people emphasise "and" words.
        [b'q', b'&' | b'o' | b'=' | b'i', b's', 0, 0] => {
            let is_emphasis = folded.is_emphasis && context == Context::Quoted(b'"');
            !folded.is_open || is_emphasis || folded.is_quotation
        }
        [b'q', b'&' | b'o', b's', ..] => folded.is_quotation,
        // `14 #2` is a number; `14--` cuts a query off.
        [b'1' | b'v', b'c', 0, 0, 0] => folded.comment == b'#',
        _ => false,
    }
}

/// Five classes of five bits each.
pub(super) const fn pack(classes: [u8; 5]) -> u32 {
    let mut packed = 0;
    let mut at = 0;
    while at < 5 {
        packed = packed << 5 | CODES[classes[at] as usize] as u32;
        at += 1;
    }
    packed
}

const CODES: [u8; 256] = {
    const CLASSES: &[u8; 26] = b"\0&(),1;=?ABESTUcfhiknoqstv";
    let mut codes = [0; 256];
    let mut at = 0;
    while at < CLASSES.len() {
        codes[CLASSES[at] as usize] = at as u8;
        at += 1;
    }
    codes
};

const fn count() -> usize {
    let (mut at, mut count) = (0, 0);
    while at < TEXT.len() {
        count += (TEXT[at] == b'\n') as usize;
        at += 1;
    }
    count
}

const fn fingerprints() -> [u32; COUNT] {
    let mut packed = [0; COUNT];
    let (mut at, mut line) = (0, 0);
    while line < COUNT {
        let mut classes = [0; 5];
        let mut length = 0;
        while TEXT[at] != b'\n' {
            classes[length] = TEXT[at];
            length += 1;
            at += 1;
        }
        at += 1;
        packed[line] = pack(classes);
        assert!(line == 0 || packed[line - 1] < packed[line]);
        line += 1;
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn injections_are_known() {
        for attack in [
            "1 OR 1=1",
            "1 or 1=1--",
            "1/**/or/**/1=1",
            "1||1=1#",
            "1 && sleep(5)",
            "' or '1'='1",
            "' or 1=1 -- ",
            "x' and 1=(select count(*) from t)--",
            "\" or \"a\"=\"a",
            "admin'--",
            "admin' #",
            "admin'/*",
            "') or ('a'='a",
            "-1 union select 1,2,3",
            "1 UNION/*!50000ALL*/SELECT user()",
            "1/*!or*/1=1",
            "1e0union select 1",
            "1fUNION SELECT 1",
            "0 union(select(1),version())",
            "1; drop table users",
            "1;waitfor delay '0:0:5'--",
            "';exec xp_cmdshell 'dir'--",
            "sleep(20)",
            "1 and benchmark(1000000,md5(1))",
            "1-(select 1)",
            "1 order by 10--",
            "1 group by x having 1=1",
            "1' procedure analyse(extractvalue(1,concat(0x3a,version())),1)-- ",
            "1 into outfile '/tmp/x'",
            "'+(select 1)+'",
            "' like '",
            "'='",
            "1 rlike (select 1)",
            "if(now()=sysdate(),sleep(5),0)",
            "(select(0)from(select(sleep(5)))v)",
            "1 or {f sleep(5)}",
            "1 or _utf8'x'='x'",
            "1 or $$a$$=$$a$$",
            "1\nor\t1=1",
            "1\u{a0}or 1=1",
            "x') Union All Select null --",
            "\" | dir %Path%\\a.ini | \"",
            "831207--",
            "x where 1=2 union select version(),2,3",
            "id=1 and name=2 and other=3 and more=-4 union all (select 1,2,3",
            "10;drop members --",
            "1; update users set password=1",
            "'declare @s varchar(8000)",
            "x' and 1 = any (select 1 from y)",
            "x' or '1",
            "x' or 'true",
            "x' or ' +1x",
            "x' or '\\' or 1=1 -- ",
            "x' or X'31",
            "x'/'2",
            "x'-'",
            "1 union select isnull(1)",
            "1 union select",
            "sleep(5) is null",
            "ascii(x) and ascii(x)=1",
            "ascii(x) and sleep(5)",
            "ascii(x) and ascii(y) z-- ",
            "ascii(x) and ascii(y) z union select 1",
            "ascii(x) and ascii(y) order by 1",
            "ascii(x) and ascii(y)#",
            "ascii(x) and ascii(y)<z",
            "ascii(x) and ascii(y); drop table z",
            "sleep(5) is not true",
        ] {
            assert!(sqli(attack.as_bytes()).is_some(), "{attack}");
        }
    }

    #[test]
    fn texts_are_none() {
        for text in [
            "",
            "acc-000001",
            "O'Reilly",
            "Tom & Jerry's (second) adventure",
            "Please select an option from the list, or update your profile",
            "the union and the select committee",
            "5'10\" and 180 lbs",
            "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
            "2026-11-24T10:15:30.123Z",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
            "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
            "https://example.com/a/b?c=d&e=f#g",
            "{\"a\": [1, 2, {\"b\": null}]}",
            "It's 5 o'clock; let's go (now)!",
            "Smith, John (Jr.), and sons",
            "price > 5 and size < 10 or so",
            "rock 'n' roll is here to stay",
            "1 or 2",
            "100% cotton and 20% wool",
            "drop me a line; call me later",
            "#1 of 10",
            "C:\\Users\\me\\file.txt",
            "a=1; b=2; Path=/; HttpOnly",
            "Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
            "+41 (0)44 123 45 67",
            "l'heure d'or et l'argent",
            "what's in a name? that's the question",
            "the House of Commons European Union Select Committee",
            "declare an interest, or wait for a delay",
            "union select is how two results are joined",
            "sleep(5) is short",
            "cos(x) and sin(x)",
            "'or' is a word, text (here)",
            "What's the difference between \"and\" and \"or\"?",
            "either 1 or 2; and 'or' is a word",
            "the path starts with '/', and ends with a name",
            "like '%' is a wildcard",
        ] {
            assert_eq!(sqli(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_fingerprint_shows_the_shape() {
        let found = sqli(b"' or '1'='1").map(|found| found.as_str().to_owned());
        assert_eq!(found.as_deref(), Some("q&s=s"));
    }

    #[test]
    fn hostile_lengths_are_read_in_one_pass() {
        for part in [
            "'", "\"", "(", "1+", "[", "$a$", "/*", "/*!", "--\n", "#\n", "1,", "- ", "@", "a.",
            "{a ", "((1)", "'x'", "\\'", "1)(",
        ] {
            let value = part.repeat(32 * 1024 / part.len());
            sqli(value.as_bytes());
            sqli(format!("1 {value}").as_bytes());
        }
    }

    /// The rule set's own cases, where they are found.
    #[test]
    fn cases_of_the_core_rule_set_are_told_apart() {
        let Some(folder) = std::env::var_os("PORTCULLIS_CONFORMANCE") else {
            eprintln!("SKIPPED: PORTCULLIS_CONFORMANCE names no folder");
            return;
        };
        let file = std::path::Path::new(&folder).join("crs-v4/regression-cases.jsonl");
        let Ok(text) = std::fs::read_to_string(&file) else {
            eprintln!("SKIPPED: there is no {}", file.display());
            return;
        };
        let mut count = 0;
        for line in text.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let id = case["id"].as_str().unwrap();
            let (rule, is_sql) = match &id[..7] {
                "942100-" => (942_100, true),
                "941100-" => (941_100, false),
                _ => continue,
            };
            for stage in case["stages"].as_array().unwrap() {
                let expected = stage["expect_ids"].as_array().unwrap();
                let Some(data) = stage["data"]
                    .as_str()
                    .filter(|data| data.starts_with("var="))
                else {
                    continue;
                };
                let value = crate::policy::waf::transform::Transformation::UrlDecodeUni;
                let mut decoded = Vec::new();
                if !value.apply(&data.as_bytes()[4..], &mut decoded) {
                    decoded.extend_from_slice(&data.as_bytes()[4..]);
                }
                let is_found = match is_sql {
                    true => sqli(&decoded).is_some(),
                    false => crate::policy::waf::injection::xss(&decoded),
                };
                assert_eq!(is_found, expected.contains(&rule.into()), "{id}: {data}");
                count += 1;
            }
        }
        assert!(count >= 9, "{count}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(value: Vec<u8>) {
            sqli(&value);
        }

        #[test]
        fn no_query_makes_it_fail(value in "[()'\"`,;@$#/*!0-9a-f \\n\\\\.{}|&=<>\\[\\]?:-]{0,60}") {
            if let Some(found) = sqli(value.as_bytes()) {
                prop_assert!(!found.as_str().is_empty());
            }
        }
    }
}
