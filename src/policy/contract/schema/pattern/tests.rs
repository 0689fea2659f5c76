use super::*;

fn linear(pattern: &str, text: &str) -> bool {
    let pattern = Pattern::new(pattern).unwrap();
    pattern.is_match(text, &mut Trail::default()).unwrap()
}

/// As the engine that backtracks says, also of patterns that need not.
fn backtracking(pattern: &str, text: &str) -> Result<bool, Over> {
    within(STEPS, pattern, text)
}

/// The same, with so many steps.
fn within(steps: u32, pattern: &str, text: &str) -> Result<bool, Over> {
    let tree = parse::parse(pattern).unwrap();
    let program = Program::new(&tree, steps).unwrap();
    let mut trail = Trail::default();
    trail.begin();
    program.is_match(text, &mut trail)
}

#[test]
fn what_differs_between_the_dialects_means_what_ecma_says() {
    for (pattern, yes, no) in [
        ("a", "xay", "xyz"),
        ("^a$", "a", "a\n"),
        ("^\\d+$", "12", "\u{661}"),
        ("^\\w$", "_", "\u{e9}"),
        ("^\\s$", "\u{feff}", "x"),
        ("^.$", "x", "\u{2028}"),
        ("^[\\w.-]+$", "a.b-c", "a b"),
        ("^[[&~]+$", "[&~", "a"),
        ("^a\\/b$", "a/b", "ab"),
        ("^\\u0041\\x42$", "AB", "ab"),
        ("^\\u{1F600}$", "\u{1F600}", "x"),
        ("^\\uD83D\\uDE00$", "\u{1F600}", "x"),
        ("^[\\uD800\\uDC00-\\uDBFF\\uDFFF]$", "\u{1F600}", "x"),
        ("^[^\\D]$", "1", "a"),
        ("^\\p{L}+$", "\u{e9}a", "1"),
        ("^\\p{Script=Greek}$", "\u{3b1}", "a"),
        ("^(?<year>\\d{4})-\\d{2,}$", "2026-11", "26-11"),
        ("\\bcat\\b", "a cat.", "concat"),
        ("\\Bcat", "concat", "a cat"),
        ("^a{2}$", "aa", "a"),
        ("^a[^]b$", "a\nb", "ab"),
        ("^(a[]|b)$", "b", "a"),
        ("^\\cJ[\\ca]$", "\n\u{1}", "cJ"),
        ("^[\\b]$", "\u{8}", "b"),
        // A hyphen between a set and a character is no range.
        ("^[\\w-z]+$", "-", "{"),
        ("^[\\w-.]+$", "a-b.c", "a/b"),
        ("^[+--]$", ",", "a"),
        ("^[a-]$", "-", "b"),
        ("^a\\ \\_\\\u{1F600}$", "a _\u{1F600}", "a _"),
        ("^[-a]$", "-", "b"),
        ("^[^-a]$", "b", "-"),
        ("^a{0}$", "", "a"),
        ("^(?:ab){2,3}$", "ababab", "ab"),
        ("^(?:a|)+$", "aa", "b"),
    ] {
        assert!(linear(pattern, yes), "{pattern} {yes:?}");
        assert!(!linear(pattern, no), "{pattern} {no:?}");
        assert_eq!(backtracking(pattern, yes), Ok(true), "{pattern} {yes:?}");
        assert_eq!(backtracking(pattern, no), Ok(false), "{pattern} {no:?}");
    }
}

#[test]
fn what_is_no_pattern_or_has_no_single_meaning_is_refused() {
    for pattern in [
        "(?i)a",
        "(?i:a)",
        "(?>a)",
        "[a",
        "a{",
        "a{x}",
        "a{,3}",
        "a{3,2}",
        "a**",
        "a|*",
        "]",
        "}",
        "\\",
        "\\c",
        "\\uD800",
        "\\uD800\\u0041",
        "\\uDC00",
        "\\u{110000}",
        "\\u{}",
        "\\x1",
        "[a--b]",
        "[z-a]",
        "(",
        ")",
        "a)",
        "(?",
        "(?<",
        "(?<a",
        "(?<1>a)",
        "(?<a>b)(?<a>c)",
        "*a",
        "^*",
        "(?=a)*",
        "\\b+",
        "\\q",
        "\\p{Nonsense}",
        "\\p{Greek}",
        "\\p{^L}",
        "\\pL",
        "(a)\\2",
        "\\1",
        "\\k<b>(?<a>c)",
        "\\k",
        "[\\1]",
        "[\\B]",
        "\\00",
        "(?P<a>b)",
    ] {
        let refusal = Pattern::backtracking(pattern, STEPS).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Malformed(_)),
            "{pattern} {refusal:?}"
        );
        assert!(!is_pattern(pattern), "{pattern}");
    }
    let deep = format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(!is_pattern(&deep));
}

#[test]
fn what_has_no_linear_form_is_refused_unless_it_may_backtrack() {
    for (pattern, what) in [
        ("(?=a)", "look-around"),
        ("(?!a)", "look-around"),
        ("(?<=a)", "look-around"),
        ("x(a(?<!b))*", "look-around"),
        ("(a)\\1", "a back-reference"),
        ("(?<a>b)|\\k<a>", "a back-reference"),
    ] {
        assert_eq!(
            Pattern::new(pattern).unwrap_err(),
            Refusal::NotLinear(what),
            "{pattern}"
        );
        assert!(Pattern::backtracking(pattern, STEPS).is_ok(), "{pattern}");
        assert!(is_pattern(pattern), "{pattern}");
    }
}

#[test]
fn what_takes_too_much_to_compile_is_refused_at_once() {
    for pattern in [
        "((a{1000}){1000}){1000}",
        "(?:((ab){1000}){1000}){1000}(?=a)",
        "(?:ab){0,4294967295}(?=a)",
        "(?:(?:\\1|(a)){99}){99}{2}",
    ] {
        let refusal = Pattern::backtracking(pattern, STEPS).unwrap_err();
        assert_ne!(refusal, Refusal::NotLinear("look-around"), "{pattern}");
    }
    // Nothing, however often.
    let nothing = "(?:(?:){4294967295}){4294967295}(?=a)";
    let pattern = Pattern::backtracking(nothing, STEPS).unwrap();
    let mut trail = Trail::default();
    trail.begin();
    assert_eq!(pattern.is_match("a", &mut trail), Ok(true));
}

/// What the three engines of a pattern are asked about each; the answers are those of ECMA-262, as
/// an implementation of it gives them with the flag `u`.
#[test]
fn look_around_and_back_references_mean_what_ecma_says() {
    for (pattern, yes, no) in [
        ("^(?=.*\\d)(?=.*[a-z]).{4,}$", "abc1", "abcd"),
        ("^(?!admin$).*$", "admin2", "admin"),
        ("(?<=\\$)\\d+", "$42", "42"),
        ("(?<!\\$)\\b\\d+", "42", "$42"),
        ("^(a|b)\\1$", "bb", "ab"),
        ("^(?<q>['\"]).*\\k<q>$", "'a'", "'a\""),
        // A group that did not take part matches nothing.
        ("^(?:(a)|b)\\1$", "b", "bb"),
        ("^\\1(a)$", "a", "aa"),
        ("^(a\\1)$", "a", "aa"),
        // Each turn forgets what the groups in it captured.
        ("^(?:(a)|(b))*\\1$", "ab", "aba"),
        ("^(z)((a+)?(b+)?(c))*\\3$", "zaacbbbcaca", "zaacbbbca"),
        // Look-behind reads backwards, from its end on.
        ("(?<=(\\d+)(\\d+))\\2$", "1053053", "1053"),
        ("(?<=\\1(a))b", "aab", "ab"),
        ("(?<=(a)\\1)b", "ab", "cb"),
        ("(?<=^.{2,3})c$", "aac", "ac"),
        ("(?<=a(?=b))b", "ab", "bb"),
        ("(?<=([ab]+)([bc]+))$", "abc", "a"),
        // What a look captures stays, its other ways are gone.
        ("^(?=(a+))a*b\\1$", "aabaa", "aaba"),
        ("(?=(a+))a*b\\1", "baaabac", "bb"),
        ("^(?!(a)b).\\1$", "b", "bb"),
        // An optional turn that passes nothing is none.
        ("^(?:a?)*?$(?!x)", "aa", "b"),
        ("^(?:(?=(a)))?b\\1$", "b", "ba"),
        ("^(a?b??)*(?=$)", "ab", "c"),
        ("(?<=\\u{1F600})x", "\u{1F600}x", "x"),
        ("(?<!^)(?<=é)x", "éx", "ex"),
        ("^(?:(\\w)(?!\\w*\\1))+$", "abc", "abca"),
        ("^(?=a{2,3}$)a*", "aaa", "aaaa"),
        ("^(?=a{2,3}?b)a*", "aab", "ab"),
        ("^(.+?)\\1+$", "abab", "abc"),
        ("(?<=a|bc)d", "bcd", "cd"),
        ("^(?<=a{0})b", "b", "ab"),
        ("\\B(?=b)", "ab", "b"),
    ] {
        let found = |text| backtracking(pattern, text);
        assert_eq!(found(yes), Ok(true), "{pattern} {yes:?}");
        assert_eq!(found(no), Ok(false), "{pattern} {no:?}");
    }
}

/// Patterns made at random with what an implementation of ECMA-262 says of each text: pattern,
/// texts that match, texts that do not.
const RANDOM: &str = include_str!("random.jsonl");

#[test]
fn patterns_made_at_random_match_as_elsewhere() {
    let mut answers = 0;
    for line in RANDOM.lines() {
        let (pattern, yes, no): (String, Vec<String>, Vec<String>) =
            serde_json::from_str(line).unwrap();
        let linear = Pattern::new(&pattern);
        for (texts, expected) in [(yes, true), (no, false)] {
            for text in texts {
                let found = backtracking(&pattern, &text);
                assert_eq!(found, Ok(expected), "{pattern} {text:?}");
                if let Ok(linear) = &linear {
                    let found = linear.is_match(&text, &mut Trail::default());
                    assert_eq!(found, Ok(expected), "linear {pattern} {text:?}");
                }
                answers += 1;
            }
        }
    }
    assert!(answers > 3_000, "{answers}");
}

#[test]
fn what_takes_too_many_steps_has_no_answer() {
    let pattern = Pattern::backtracking("^(a+)+\\1$", 20_000).unwrap();
    let mut trail = Trail::default();
    let mut ask = |text: &str| {
        trail.begin();
        pattern.is_match(text, &mut trail)
    };
    assert_eq!(ask("aa"), Ok(true));
    assert_eq!(ask("ab"), Ok(false));
    assert_eq!(ask(&format!("{}b", "a".repeat(40))), Err(Over));
    // One run of a long text is bounded as well.
    assert_eq!(ask(&"a".repeat(1_000_000)), Err(Over));
    assert_eq!(ask("aa"), Ok(true));
}

#[test]
fn the_last_step_that_is_allowed_suffices_and_one_less_does_not() {
    let answer = |steps| within(steps, "^(?=(a+))b|(a|aa)+\\2$", "aaaaaaaaab");
    let needed = (1..STEPS).find(|&steps| answer(steps).is_ok()).unwrap();
    assert_eq!(answer(needed), Ok(false));
    assert_eq!(answer(needed - 1), Err(Over));
    assert_eq!(answer(STEPS), Ok(false));
}

#[test]
fn whichever_step_is_the_last_there_is_the_answer_or_none() {
    for (pattern, text) in [
        ("^(?!(?:a+)+b)[a-z]{8,}$", "aaaaaaab"),
        ("^(?!(?:a+)+b)[a-z]{8,}$", "aaaaaaac"),
        ("(?<![a-z]{3,})x(?=y{2,4}?z)", "abxyyyyz xyyz"),
        ("^(a{2,})(b)?\\2\\1$", "aaaaaaaa"),
    ] {
        let expected = within(STEPS, pattern, text);
        assert!(expected.is_ok(), "{pattern}");
        for steps in 1..1000 {
            let found = within(steps, pattern, text);
            assert!(found == expected || found == Err(Over), "{pattern} {steps}");
        }
    }
}

#[test]
fn the_evaluations_of_one_check_share_its_steps() {
    let pattern = Pattern::backtracking("^(a+)+\\1$", MOST_STEPS).unwrap();
    let long = format!("{}b", "a".repeat(12));
    let mut trail = Trail::default();
    trail.begin();
    let answers = (0..10_000).take_while(|_| pattern.is_match(&long, &mut trail).is_ok());
    let count = answers.count();
    assert!((10..10_000).contains(&count), "{count}");
    assert_eq!(pattern.is_match("aa", &mut trail), Err(Over));
    trail.begin();
    assert_eq!(pattern.is_match("aa", &mut trail), Ok(true));
}

#[test]
fn what_is_kept_to_come_back_to_is_bounded() {
    let pattern = Pattern::backtracking("^(?:a|b)*(?!c)$", MOST_STEPS).unwrap();
    let mut trail = Trail::default();
    trail.begin();
    let long = "ab".repeat(100_000);
    assert_eq!(pattern.is_match(&long, &mut trail), Err(Over));
    assert_eq!(pattern.is_match("abab", &mut trail), Ok(true));
}
