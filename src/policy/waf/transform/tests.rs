//! What each transformation makes of a value, and that asking whether it would is sound.

use super::Transformation::*;
use super::*;
use proptest::prelude::*;

fn applied(transformation: Transformation, input: &[u8]) -> Vec<u8> {
    let mut output = b"before".to_vec();
    let is_changed = transformation.apply(input, &mut output);
    assert!(output.starts_with(b"before"));
    let output = output.split_off(6);
    match is_changed {
        true => output,
        false => {
            assert!(
                output.is_empty(),
                "{transformation:?} wrote and said it did not"
            );
            input.to_vec()
        }
    }
}

fn table(transformation: Transformation, cases: &[(&[u8], &[u8])]) {
    for &(input, expected) in cases {
        let output = applied(transformation, input);
        assert_eq!(
            output.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{transformation:?} of {}",
            input.escape_ascii()
        );
    }
}

#[test]
fn names_are_known_in_any_case_and_both_spellings() {
    for (at, (name, transformation)) in NAMES.iter().enumerate() {
        assert_eq!(Transformation::named(name), Some(*transformation));
        assert_eq!(
            Transformation::named(&name.to_uppercase()),
            Some(*transformation)
        );
        if at == *transformation as usize {
            assert_eq!(transformation.name(), *name);
        }
    }
    assert_eq!(
        Transformation::named("normalisePathWin"),
        Some(NormalizePathWin)
    );
    assert_eq!(Transformation::named("base64decode"), Some(Base64Decode));
    for unknown in ["", "url", "urlDecode ", "alert", "nones"] {
        assert_eq!(Transformation::named(unknown), Option::None, "{unknown}");
    }
}

#[test]
fn percent_escapes() {
    let shared: &[(&[u8], &[u8])] = &[
        (b"", b""),
        (b"a+b%20c", b"a b c"),
        (b"%3Cscript%3e", b"<script>"),
        (b"%", b"%"),
        (b"%4", b"%4"),
        (b"%4g%zz%%41", b"%4g%zz%A"),
        (b"%00", b"\0"),
        (b"%252e", b"%2e"),
    ];
    table(UrlDecode, shared);
    table(UrlDecodeUni, shared);
    table(UrlDecode, &[(b"%u0041+", b"%u0041 ")]);
    table(
        UrlDecodeUni,
        &[
            (b"%u0041%U0062", b"Ab"),
            (b"%uff1cscript%uFF1E", b"<script>"),
            (b"%u2019 or %u02b9", b"' or '"),
            (b"%u4e3c", b"<"),
            (b"%u00", b"%u00"),
            (b"%u00zz%41", b"%u00zzA"),
            (b"%u", b"%u"),
        ],
    );
    table(
        UrlEncode,
        &[(b"a b*/\xFF", b"a+b*%2f%ff"), (b"abc", b"abc")],
    );
}

#[test]
fn entities_of_html() {
    table(
        HtmlEntityDecode,
        &[
            (b"&lt;a&gt;&amp;&quot;&nbsp;", b"<a>&\"\xC2\xA0"),
            (b"&LT;&lpar;&colon;&NewLine;&Tab;", b"<(:\n\t"),
            (b"&#60;&#x3c;&#X3C;&#0060", b"<<<<"),
            (b"&lt&gt&ltx", b"<><x"),
            (b"&ampamp;", b"&amp;"),
            (b"&;&&#;&#x;&#xg;&zz;", b"&;&&#;&#x;&#xg;&zz;"),
            (b"&", b"&"),
            (b"&#", b"&#"),
            (
                b"&#0;&#xD800;&#x110000;&#99999999999;",
                "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}".as_bytes(),
            ),
            (b"&#128;&#150;", "\u{20AC}\u{2013}".as_bytes()),
            (b"java&#115cript", b"javascript"),
            (b"&nGt;", "\u{226B}\u{20D2}".as_bytes()),
        ],
    );
}

#[test]
fn backslash_escapes() {
    table(
        JsDecode,
        &[
            (br"\u003cscript\u003E", b"<script>"),
            (br"\uff1c\uFF1e", b"<>"),
            (br"\x3c\x3C\x3", b"<<x3"),
            (br"\74\074\477\8", b"<<'78"),
            (br"\a\b\f\n\r\t\v\?\'\\", b"\x07\x08\x0C\n\r\t\x0B?'\\"),
            (br"\u00zz", b"u00zz"),
            (b"\\", b"\\"),
            (b"a\\", b"a\\"),
        ],
    );
    table(
        EscapeSeqDecode,
        &[
            (br"\x3c\X3C\xzz", b"<<xzz"),
            (br"\74\0\777\18", b"<\0\xFF\x018"),
            (br"\a\b\f\n\r\t\v", b"\x07\x08\x0C\n\r\t\x0B"),
            (br#"\\\?\'\"\k"#, br#"\?'"k"#),
            (b"\\", b"\\"),
        ],
    );
    table(
        CssDecode,
        &[
            (br"\6a\61 vascript", b"javascript"),
            (br"java\script", b"javascript"),
            (b"a\\\nb", b"ab"),
            (b"ab\\", b"ab"),
            (br"\3c\00003c\3C x", b"<<<x"),
            (br"\ff1c\00ff1e", b"<>"),
            (br"\0\d800\110000", "\u{FFFD}\u{FFFD}\u{FFFD}".as_bytes()),
            (br"\20ac", "\u{20AC}".as_bytes()),
            (br"\g\(", b"g("),
        ],
    );
}

#[test]
fn base64_and_hexadecimal() {
    table(
        Base64Decode,
        &[
            (b"UG9ydGN1bGw=", b"Portcull"),
            (b"UG9ydGN1bGw", b"Portcull"),
            (b"UG9y\r\ndGN1\nbGw=", b"Portcull"),
            (b"UG9y dGN1", b"Por"),
            (b"UG9y.dGN1", b"Por"),
            (b"UG9y=dGN1", b"Por"),
            (b"V", b""),
            (b"\xFFUG9y", b""),
        ],
    );
    table(
        Base64DecodeExt,
        &[
            (b"U.G 9\tydGN1bGw=", b"Portcull"),
            (b"P.GI+\xFFaGk8L2I+", b"<b>hi</b>"),
            (b"-_-_", b"\xFB\xFF\xBF"),
            (b"UG9y=dGN1", b"Por"),
        ],
    );
    table(
        Base64Encode,
        &[
            (b"Portcull", b"UG9ydGN1bGw="),
            (b"a", b"YQ=="),
            (b"", b""),
            (b"abc", b"YWJj"),
        ],
    );
    table(
        HexDecode,
        &[
            (b"3c3E", b"<>"),
            (b"3c3", b"3c3"),
            (b"3cxx", b"3cxx"),
            (b"", b""),
        ],
    );
    table(HexEncode, &[(b"<\xFF\0", b"3cff00")]);
    table(
        SqlHexDecode,
        &[
            (b"0x414243 0X4a", b"ABC J"),
            (b"0x4142434", b"ABC4"),
            (b"0x4", b"0x4"),
            (b"00x41g0", b"0Ag0"),
            (b"0xzz0", b"0xzz0"),
        ],
    );
}

#[test]
fn digests_and_lengths() {
    let mut sha1 = Vec::new();
    Sha1.apply(b"abc", &mut sha1);
    table(
        HexEncode,
        &[(&sha1, b"a9993e364706816aba3e25717850c26c9cd0d89d")],
    );
    let mut md5 = Vec::new();
    Md5.apply(b"abc", &mut md5);
    table(HexEncode, &[(&md5, b"900150983cd24fb0d6963f7d28e17f72")]);
    table(
        Length,
        &[(b"", b"0"), (b"abcdefghijkl", b"12"), (b"\xC3\xA9", b"2")],
    );
}

#[test]
fn white_space_and_nulls() {
    table(RemoveNulls, &[(b"a\0b\0", b"ab")]);
    table(ReplaceNulls, &[(b"a\0b\0", b"a b ")]);
    table(
        RemoveWhitespace,
        &[(
            b" a\t\n\x0B\x0C\rb \xC2\xA0\xE3\x80\x80\xA0\xC3\xA0",
            b"ab\xC3\xA0",
        )],
    );
    table(
        CompressWhitespace,
        &[
            (b" a \t\n b\xC2\xA0\xA0c ", b" a b c "),
            (b"\xC3\xA0 \xE3\x80\x80", b"\xC3\xA0 \xE3\x80\x80"),
            (b"a\tb", b"a b"),
        ],
    );
    table(Trim, &[(b" \t a b\r\n", b"a b"), (b"  ", b"")]);
    table(TrimLeft, &[(b" \t a b\r\n", b"a b\r\n")]);
    table(TrimRight, &[(b" \t a b\r\n", b" \t a b")]);
    table(Lowercase, &[(b"AbC\xC3\x84", b"abc\xC3\x84")]);
    table(Uppercase, &[(b"AbC\xC3\xA4", b"ABC\xC3\xA4")]);
}

#[test]
fn unicode_as_escapes() {
    table(
        Utf8ToUnicode,
        &[
            ("a\u{E9}\u{2019}\u{FF1C}".as_bytes(), b"a%u00e9%u2019%uff1c"),
            ("\u{1F600}\u{10FFFF}".as_bytes(), b"%u1f600%u10ffff"),
            (b"\xFF\xC0\xAF", b"%ufffd%ufffd%ufffd"),
            (b"abc", b"abc"),
        ],
    );
}

#[test]
fn parity() {
    table(ParityEven7bit, &[(b"a\x03\x83", b"\xE1\x03\x03")]);
    table(ParityOdd7bit, &[(b"a\x03\x83", b"a\x83\x83")]);
    table(ParityZero7bit, &[(b"\xE1\xFF", b"a\x7F")]);
}

#[test]
fn comments() {
    table(
        ReplaceComments,
        &[
            (b"UNION/**/SELECT/*x*/1", b"UNION SELECT 1"),
            (b"a/*b", b"a "),
            (b"a/*", b"a "),
            (b"a*/b/", b"a*/b/"),
            (b"/*/ */", b" "),
        ],
    );
    table(
        RemoveComments,
        &[
            (b"a/*b*/c", b"ac"),
            (b"a<!--b-->c", b"ac"),
            (b"a/*b-->c", b"ac"),
            (b"a/*b", b"a "),
            (b"a--b", b"a"),
            (b"a#b", b"a"),
            (b"a/*b*/", b"a\0"),
            (b"a/*b*/--c", b"a--c"),
        ],
    );
    table(
        RemoveCommentsChar,
        &[
            (b"a/*b*/c<!--d-->e--f#g", b"abcdefg"),
            (b"/", b"/"),
            (b"-", b"-"),
        ],
    );
}

#[test]
fn paths() {
    let shared: &[(&[u8], &[u8])] = &[
        (b"", b""),
        (b"/", b"/"),
        (b"//", b"/"),
        (b".", b""),
        (b"./", b""),
        (b"a/..", b""),
        (b"/one/two//three", b"/one/two/three"),
        (b"/one/./two/three/", b"/one/two/three/"),
        (b"/one/../two/../../etc/shadow", b"/etc/shadow"),
        (b"../../etc/hosts", b"../../etc/hosts"),
        (b"a/../../b", b"../b"),
        (b"a/../", b""),
        (b"../", b"../"),
        (b"/..", b"/"),
        (b"/a/..", b"/"),
        (b"...", b"..."),
        (b"a/b/../c", b"a/c"),
    ];
    table(NormalizePath, shared);
    table(NormalizePathWin, shared);
    table(NormalizePath, &[(b"a\\..\\b", b"a\\..\\b")]);
    table(
        NormalizePathWin,
        &[
            (b"\\one\\..\\two\\file", b"/two/file"),
            (b"C:\\windows\\.\\win.ini", b"C:/windows/win.ini"),
            (b"web.config::$DATA", b"web.config"),
            (b"a/web.config:x/", b"a/web.config/"),
            (b"web.config. .", b"web.config"),
            (b"a. /b./ /c", b"a/b/c"),
            (b"C:", b"C:"),
        ],
    );
}

#[test]
fn command_lines() {
    table(
        CmdLine,
        &[
            (b"c^at /e\"t\"c/p'assw'd", b"cat/etc/passwd"),
            (b"NC  -l,;-p\t\n80", b"nc -l -p 80"),
            (b"system (id)", b"system(id)"),
            (b"c\\a\\t", b"cat"),
            (b" \" /", b"/"),
            (b"plain", b"plain"),
        ],
    );
}

/// Bytes that mean something to one transformation or another.
fn telling() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(&b"\\%+&#;/*-<!>.:'\"^,( \t\n\0\xA0\xC2uxX04afGg"[..]),
        any::<u8>(),
    ];
    prop::collection::vec(byte, 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn an_identity_changes_nothing(value in telling()) {
        let seen = ByteSet::of(&value);
        for (_, transformation) in NAMES {
            let mut output = Vec::new();
            let is_changed = transformation.apply(&value, &mut output);
            prop_assert!(!is_changed || output != value);
            if transformation.is_identity(&seen) {
                prop_assert!(!is_changed, "{:?}", transformation);
            }
            if transformation.is_identity_but_for_case(&seen) {
                let same = !is_changed || output.eq_ignore_ascii_case(&value);
                prop_assert!(same, "{:?}", transformation);
            }
            prop_assert!(output.len() <= (6 * value.len()).max(20), "{:?}", transformation);
        }
    }

    #[test]
    fn what_one_encodes_its_twin_decodes(value: Vec<u8>) {
        for (there, back) in [(Base64Encode, Base64Decode), (HexEncode, HexDecode), (UrlEncode, UrlDecode)] {
            prop_assert_eq!(&applied(back, &applied(there, &value)), &value);
        }
    }

    #[test]
    fn a_normal_path_is_normal(value in "[/.a\\\\: ]{0,12}") {
        for transformation in [NormalizePath, NormalizePathWin] {
            let once = applied(transformation, value.as_bytes());
            if transformation == NormalizePath {
                prop_assert_eq!(&applied(transformation, &once), &once);
            }
            prop_assert!(!once.windows(2).any(|pair| pair == b"//"), "{:?}", once);
        }
    }
}
