//! Each reader: what it visits, and what it refuses.

use super::*;
use proptest::prelude::*;

type Visited = Vec<(Target, String, String)>;

/// What is visited of a body, and how it ends.
fn visited_within(kind: Kind<'_>, body: &[u8], bounds: &Bounds) -> (Visited, Result<(), Error>) {
    let mut visited = Vec::new();
    let outcome = read(
        kind,
        body,
        bounds,
        &mut Scratch::default(),
        &mut |target, name, value| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            visited.push((target, text(name), text(value)));
        },
    );
    (visited, outcome)
}

fn visited(kind: Kind<'_>, body: &str) -> Vec<(Target, String, String)> {
    let (visited, outcome) = visited_within(kind, body.as_bytes(), &Bounds::default());
    assert_eq!(outcome, Ok(()), "{body}");
    visited
}

fn refusal(kind: Kind<'_>, body: &[u8]) -> Error {
    let (_, outcome) = visited_within(kind, body, &Bounds::default());
    outcome.expect_err(&String::from_utf8_lossy(body))
}

fn expect(found: &Visited, expected: &[(Target, &str, &str)]) {
    let found: Vec<_> = found
        .iter()
        .map(|(target, name, value)| (*target, name.as_str(), value.as_str()))
        .collect();
    assert_eq!(found, expected);
}

use Target::*;

#[test]
fn forms_are_decoded_once_and_repeats_joined() {
    expect(
        &visited(Kind::Form, "a=1%27+or&&b&=c&a=%3cscript&x=1=2"),
        &[
            (Field, "a", "1' or"),
            (Field, "b", ""),
            (Field, "", "c"),
            (Field, "a", "<script"),
            (Field, "x", "1=2"),
            (Joined, "a", "1' or,<script"),
        ],
    );
    expect(
        &visited(Kind::Form, "%2561=%252e"),
        &[(Field, "%61", "%2e")],
    );
    for bad in ["a=%", "a=%4", "a=%zz", "%u0041=1", "a=1&b=%u00"] {
        let (visited, outcome) = visited_within(Kind::Form, bad.as_bytes(), &Bounds::default());
        assert_eq!(outcome, Err(Error::PercentEscape), "{bad}");
        assert!(!visited.is_empty(), "{bad} is visited all the same");
    }
}

#[test]
fn json_is_visited_decoded_with_every_duplicate() {
    expect(
        &visited(
            Kind::Json,
            r#" {"a": ["x\u0027\n", 1.5e3, null], "b": {"a": true}} "#,
        ),
        &[
            (JsonKey, "json.a", "a"),
            (JsonText, "json.a.0", "x'\n"),
            (JsonScalar, "json.a.1", "1.5e3"),
            (JsonScalar, "json.a.2", "null"),
            (JsonKey, "json.b", "b"),
            (JsonScalar, "json.b.a", "true"),
        ],
    );
    // json-duplicate-key-bad-first
    let twice = visited(Kind::Json, r#"{"q": "' or 1=1--", "q": "fine"}"#);
    assert!(twice.contains(&(JsonText, "json.q".into(), "' or 1=1--".into())));
    assert!(twice.contains(&(JsonText, "json.q".into(), "fine".into())));
    expect(
        &visited(Kind::Json, r#""\ud83d\ude00""#),
        &[(JsonText, "json", "\u{1F600}")],
    );
    assert!(
        visited(Kind::Json, r#"{"__proto__": {"\u0000": 1}}"#).contains(&(
            JsonKey,
            "json.__proto__.\0".into(),
            "\0".into()
        ))
    );
    expect(&visited(Kind::Json, "[]"), &[]);
    expect(&visited(Kind::Json, "{}"), &[]);
}

#[test]
fn what_only_some_take_for_json_is_refused() {
    for (body, error) in [
        ("\u{FEFF}{}", Error::ByteOrderMark),
        ("{'a': 1}", Error::JsonSyntax),
        ("{\"a\": 1,}", Error::JsonSyntax),
        ("[1,]", Error::JsonSyntax),
        ("{} // x", Error::TrailingData),
        ("/* x */ {}", Error::JsonSyntax),
        ("{} {}", Error::TrailingData),
        ("{\"a\" 1}", Error::JsonSyntax),
        ("{\"a\": NaN}", Error::JsonSyntax),
        ("[Infinity]", Error::JsonSyntax),
        ("[01]", Error::JsonNumber),
        ("[+1]", Error::JsonSyntax),
        ("[1.]", Error::JsonNumber),
        ("[.5]", Error::JsonSyntax),
        ("[0x1]", Error::JsonNumber),
        ("[1e]", Error::JsonNumber),
        ("[tru]", Error::JsonSyntax),
        ("\"\\x41\"", Error::JsonEscape),
        ("\"\\u00\"", Error::JsonEscape),
        ("\"\\ud800\"", Error::LoneSurrogate),
        ("\"\\ud800\\u0041\"", Error::LoneSurrogate),
        ("\"\\udc00\"", Error::LoneSurrogate),
        ("\"a\nb\"", Error::ControlCharacter),
        ("\"a", Error::JsonSyntax),
        ("", Error::JsonSyntax),
        ("{\"a\": 1", Error::JsonSyntax),
    ] {
        assert_eq!(refusal(Kind::Json, body.as_bytes()), error, "{body}");
    }
    assert_eq!(refusal(Kind::Json, b"\xFF\xFE{\0}\0"), Error::ByteOrderMark);
    assert_eq!(refusal(Kind::Json, b"\"\xC0\xA7\""), Error::Utf8);
}

#[test]
fn json_is_bounded() {
    // json-depth-200
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert_eq!(refusal(Kind::Json, deep.as_bytes()), Error::TooDeep);
    let fits = "[".repeat(64) + &"]".repeat(64);
    expect(&visited(Kind::Json, &fits), &[]);
    let many = format!("[{}1]", "1,".repeat(10_000));
    assert_eq!(refusal(Kind::Json, many.as_bytes()), Error::TooManyValues);
    // json-pad-200KB-then-payload
    let long = format!("[\"{}\", \"' or 1=1--\"]", "a".repeat(200 * 1024));
    assert_eq!(refusal(Kind::Json, long.as_bytes()), Error::TooLarge);
    // A long name is visited once, and does not stand before every value below it.
    let name = "n".repeat(60_000);
    let found = visited(Kind::Json, &format!("{{\"{name}\": [1, 2, 3]}}"));
    assert_eq!(found[0].2, name);
    assert!(found.iter().all(|(_, name, _)| name.len() <= NAME));
}

#[test]
fn every_line_is_a_document() {
    // ndjson-second-record
    let lines = "{\"a\": 1}\r\n\n{\"b\": \"<script>\"}\n";
    assert!(visited(Kind::JsonLines, lines).contains(&(
        JsonText,
        "json.b".into(),
        "<script>".into()
    )));
    assert_eq!(refusal(Kind::JsonLines, b"{}\n{]\n"), Error::JsonSyntax);
}

#[test]
fn of_graphql_only_strings_and_variables_are_visited() {
    let body = r##"{"query": "query Q($first: Int!) { user(name: \"a' or 1=1\", n: 1) { x(y: \"\"\"b \\\"\"\" c\"\"\") } # \"no\"\n }", "variables": {"v": "<script>"}, "operationName": "Q"}"##;
    expect(
        &visited(Kind::Graphql, body),
        &[
            (JsonKey, "json.query", "query"),
            (GraphqlText, "name", "a' or 1=1"),
            (GraphqlText, "y", "b \"\"\" c"),
            (JsonKey, "json.variables", "variables"),
            (JsonKey, "json.variables.v", "v"),
            (JsonText, "json.variables.v", "<script>"),
            (JsonKey, "json.operationName", "operationName"),
            (JsonText, "json.operationName", "Q"),
        ],
    );
    let batch = r#"[{"query": "{a}"}, {"query": "{a(b: \"\\u{27} x\")}"}]"#;
    assert!(visited(Kind::Graphql, batch).contains(&(GraphqlText, "b".into(), "' x".into())));
    expect(
        &visited(Kind::GraphqlDocument, "{a(b: \"\")}"),
        &[(GraphqlText, "b", "")],
    );
    for bad in [
        "{a(b: \"x)}",
        "{a(b: \"\"\"x)}",
        "{a;}",
        "{a(b: 'x')}",
        "{a(b: \"x\ny\")}",
    ] {
        assert_eq!(
            refusal(Kind::GraphqlDocument, bad.as_bytes()),
            Error::GraphqlSyntax,
            "{bad}"
        );
    }
    assert_eq!(
        refusal(Kind::Graphql, br#"{"query": "{a`}"}"#),
        Error::GraphqlSyntax
    );
}

#[test]
fn xml_is_visited_as_applications_read_it() {
    let body = "<?xml version=\"1.0\" encoding='UTF-8'?>\n<a x=\"1 &lt;&#x27;\" y='2'>\n <b>' o<!-- x -->r \
                <![CDATA[1=1<]]>&#45;-</b><c/>tail<?p i?></a>\n";
    expect(
        &visited(Kind::Xml, body),
        &[
            (XmlAttribute, "a@x", "1 <'"),
            (XmlAttribute, "a@y", "2"),
            (XmlText, "a/b", "' or 1=1<--"),
            (XmlInstruction, "p", "i"),
            (XmlText, "a", "tail"),
        ],
    );
    for (body, error) in [
        // xxe-dtd-external-entity
        (
            "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
            Error::Dtd,
        ),
        ("<a>&x;</a>", Error::UnknownEntity),
        ("<a>&lt</a>", Error::UnknownEntity),
        ("<a>&#0;</a>", Error::UnknownEntity),
        ("<a>&#xD800;</a>", Error::UnknownEntity),
        ("<a>&#;</a>", Error::UnknownEntity),
        ("<a>&#00000000000000065;</a>", Error::UnknownEntity),
        (
            "<?xml version='1.0' encoding='UTF-16'?><a/>",
            Error::Charset,
        ),
        ("<?xml version='1.0' encoding='utf-7'?><a/>", Error::Charset),
        ("\u{FEFF}<a/>", Error::ByteOrderMark),
        ("<a></b>", Error::UnmatchedTag),
        ("<a>", Error::UnmatchedTag),
        ("</a>", Error::UnmatchedTag),
        ("", Error::UnmatchedTag),
        ("<a/><b/>", Error::XmlSyntax),
        ("x<a/>", Error::XmlSyntax),
        ("<a/>x", Error::XmlSyntax),
        ("<a x=1/>", Error::XmlSyntax),
        ("<a x='1' x='2'/>", Error::RepeatedAttribute),
        ("<a x='1'y='2'/>", Error::XmlSyntax),
        ("<a x='<'/>", Error::XmlSyntax),
        ("<a><!-- -- --></a>", Error::XmlSyntax),
        ("<a><![CDATA[x</a>", Error::XmlSyntax),
        ("<a><?xml version='1.0'?></a>", Error::XmlSyntax),
        ("<1/>", Error::XmlSyntax),
        ("<a\0/>", Error::XmlSyntax),
    ] {
        assert_eq!(refusal(Kind::Xml, body.as_bytes()), error, "{body}");
    }
    // xml-utf16
    assert_eq!(
        refusal(Kind::Xml, b"\xFF\xFE<\0a\0/\0>\0"),
        Error::ByteOrderMark
    );
    let deep = "<a>".repeat(65) + &"</a>".repeat(65);
    assert_eq!(refusal(Kind::Xml, deep.as_bytes()), Error::TooDeep);
}

/// A part with this head, in a body of one.
fn one(head: &str, content: &str) -> String {
    format!("--b\r\n{head}\r\n\r\n{content}\r\n--b--\r\n")
}

const PART: &str = "Content-Disposition: form-data; name=\"a\"";

#[test]
fn parts_are_visited_with_their_heads_and_by_their_types() {
    let body = format!(
        "--b\r\n{PART}\r\n\r\nx--b\r\n\r\n--b\r\nContent-Disposition: form-data; name=f; \
         filename=\"p .php\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n<?php\r\n--b\r\n\
         content-disposition: form-data; name=\"j\"\r\nContent-Type: application/json\r\n\r\n\
         {{\"k\": \"' or 1\"}}\r\n--b--"
    );
    let found = visited(Kind::Multipart(b"b"), &body);
    let values: Vec<_> = found
        .iter()
        .filter(|(target, ..)| *target != PartHeader)
        .cloned()
        .collect();
    expect(
        &values,
        &[
            (Field, "a", "x--b\r\n"),
            (FileName, "f", "p .php"),
            (File, "f", "<?php"),
            (JsonKey, "json.k", "k"),
            (JsonText, "json.k", "' or 1"),
        ],
    );
    assert_eq!(found.len() - values.len(), 5);
    assert_eq!(found[0].1, "a");
    assert!(
        found[0].2.starts_with("Content-Disposition: form-data"),
        "{}",
        found[0].2
    );
}

#[test]
fn what_two_readers_would_part_differently_is_refused() {
    let sound = one(PART, "x");
    for (body, error) in [
        (format!("preamble ' or 1=1\r\n{sound}"), Error::Preamble),
        (format!("\r\n{sound}"), Error::Preamble),
        (format!("{sound}x"), Error::Epilogue),
        (
            "--b\r\n".to_owned() + PART + "\r\n\r\nx\r\n",
            Error::Unfinished,
        ),
        (
            "--b\r\n".to_owned() + PART + "\r\n\r\nx\r\n--b",
            Error::Boundary,
        ),
        (sound.replace("\r\n", "\n"), Error::LineEnd),
        (sound.replace("x\r\n--b", "x\n--b"), Error::LineEnd),
        (one(PART, "x\n--b\r\ny"), Error::LineEnd),
        (one(PART, "x\r--b\r\ny"), Error::LineEnd),
        (sound.replace("--b--", "--b --"), Error::Boundary),
        (sound.replace("--b--", "--bc--"), Error::Boundary),
        (String::from("{\"a\": 1}"), Error::Boundary),
        (
            one("Content-Disposition: form-data;\r\n name=\"a\"", "x"),
            Error::FoldedField,
        ),
        (one(&format!("{PART}\r\n{PART}"), "x"), Error::RepeatedField),
        (one(&format!("{PART}; name=\"b\""), "x"), Error::PartName),
        (one("Content-Disposition: form-data", "x"), Error::PartName),
        (one("Content-Type: text/plain", "x"), Error::PartName),
        (
            one(&format!("{PART}; filename*=utf-8''x.php"), "x"),
            Error::FileName,
        ),
        (one(&format!("{PART}; filename*0=x"), "x"), Error::FileName),
        (
            one(&format!("{PART}; filename=x; filename=y"), "x"),
            Error::FileName,
        ),
        (
            one(&format!("{PART}; filename=\"x\\\"; name=\"z\""), "x"),
            Error::PartField,
        ),
        (one(&format!("{PART}; filename=\"x"), "x"), Error::PartField),
        (one(&format!("{PART} x"), "x"), Error::PartField),
        (
            one("Content-Disposition: attachment; name=a", "x"),
            Error::PartField,
        ),
        (one(&format!("{PART}\r\nnothing"), "x"), Error::PartField),
        (one(&format!("{PART}\r\nX Y: z"), "x"), Error::PartField),
        (one(&format!("{PART}\r\nX: y\nZ: z"), "x"), Error::LineEnd),
        (
            one(&format!("{PART}\r\nContent-Transfer-Encoding: base64"), "x"),
            Error::TransferEncoding,
        ),
        (
            one(
                &format!("{PART}\r\nContent-Type: text/plain; charset=utf-16"),
                "x",
            ),
            Error::Charset,
        ),
        // part-charset-first-bad-last-good
        (
            one(
                &format!("{PART}\r\nContent-Type: text/plain; charset=utf-7"),
                "x",
            )
            .replace("--b--\r\n", "")
                + &one(
                    &format!("{PART}\r\nContent-Type: text/plain; charset=utf-8"),
                    "x",
                ),
            Error::Charset,
        ),
        (
            one(
                &format!("{PART}\r\nContent-Type: text/plain\r\nContent-Type: text/xml"),
                "x",
            ),
            Error::RepeatedField,
        ),
        (
            one(
                &format!("{PART}\r\nContent-Type: multipart/mixed; boundary=c"),
                "x",
            ),
            Error::MediaType,
        ),
        (
            one(&format!("{PART}\r\nContent-Type: application/json"), "{]"),
            Error::JsonSyntax,
        ),
        (
            one(
                "Content-Disposition: form-data; name=\"_charset_\"",
                "utf-7",
            ),
            Error::Charset,
        ),
    ] {
        assert_eq!(
            refusal(Kind::Multipart(b"b"), body.as_bytes()),
            error,
            "{body}"
        );
    }
    let many = format!("--b\r\n{PART}\r\n\r\nx\r\n").repeat(129) + "--b--";
    assert_eq!(
        refusal(Kind::Multipart(b"b"), many.as_bytes()),
        Error::TooManyParts
    );
}

#[test]
fn the_kind_follows_the_media_type_and_then_the_shape() {
    let of = |value: &'static str, body: &str| Kind::of(&[value.as_bytes()], body.as_bytes());
    assert_eq!(of("application/json; charset=UTF-8", "{}"), Ok(Kind::Json));
    assert_eq!(of("Application/Vnd.X+JSON", "{}"), Ok(Kind::Json));
    assert_eq!(
        of("application/x-www-form-urlencoded", "a=1"),
        Ok(Kind::Form)
    );
    assert_eq!(
        of("multipart/form-data; boundary=\"a b\"", "x"),
        Ok(Kind::Multipart(b"a b"))
    );
    assert_eq!(
        of("application/soap+xml;action=\"x\"", "<a/>"),
        Ok(Kind::Xml)
    );
    assert_eq!(of("application/x-ndjson", "{}"), Ok(Kind::JsonLines));
    assert_eq!(of("application/json", ""), Ok(Kind::Empty));
    // json-as-text-plain
    let like_json = Ok(Kind::LikeJson(Told::Type));
    assert_eq!(of("text/plain", " {\"a\": 1}\n"), like_json);
    assert_eq!(of("text/plain", "\u{FEFF}{\"a\": 1}\n"), like_json);
    assert_eq!(of("text/plain", ")]}',\n{\"a\": 1}\n"), like_json);
    assert_eq!(of("text/plain", " ;// a\n# b\n/* c */ [1]"), like_json);
    assert_eq!(of("text/plain", "/* never closed {"), Ok(Kind::Text));
    assert_eq!(of("text/plain", "a=1&b=%20"), Ok(Kind::LikeForm));
    assert_eq!(of("text/plain", "a = 1"), Ok(Kind::Text));
    assert_eq!(of("text/plain", "Dear all"), Ok(Kind::Text));
    assert_eq!(of("application/x-protobuf", "\x08\x01"), Ok(Kind::Text));
    assert_eq!(of("text/plain", "[INFO] started"), like_json);
    assert_eq!(Kind::of(&[], b"<a/>"), Ok(Kind::LikeXml(Told::Nothing)));
    for form in ["a=1", "a=1 &b=\u{1}\u{2}\u{3}", "a name alone"] {
        assert_eq!(Kind::of(&[], form.as_bytes()), Ok(Kind::LikeForm));
    }
    assert_eq!(Kind::of(&[], b"\x89PNG\r\n\x1a\n\x00"), Ok(Kind::Text));
    for (value, error) in [
        (
            "application/x-www-form-urlencoded; charset=ibm037",
            Error::Charset,
        ),
        ("application/json; charset=utf-16", Error::Charset),
        // double-charset-utf7
        ("text/plain; charset=utf-8; charset=utf-7", Error::MediaType),
        ("multipart/form-data", Error::Boundary),
        (
            "multipart/form-data; boundary=a; boundary=b",
            Error::MediaType,
        ),
        ("multipart/form-data; boundary*0=a", Error::MediaType),
        ("multipart/form-data; boundary=\"a\\b\"", Error::MediaType),
        ("multipart/form-data; boundary=\"a\u{E9}\"", Error::Boundary),
        ("multipart/form-data; boundary=\"\"", Error::Boundary),
        ("application/json, text/plain", Error::MediaType),
        ("application", Error::MediaType),
        ("application/json/x", Error::MediaType),
        ("application/json; charset", Error::MediaType),
        ("application/json; charset=utf-8 x", Error::MediaType),
        ("", Error::MediaType),
    ] {
        assert_eq!(of(value, "x"), Err(error), "{value}");
    }
    // form-as-json-ct is refused by the reader, JSON as a form here.
    assert_eq!(refusal(Kind::Json, b"a=%27+or+1"), Error::JsonSyntax);
    assert_eq!(
        of("application/x-www-form-urlencoded", "{\"a\": 1}"),
        Err(Error::Mismatch)
    );
    let two: [&[u8]; 2] = [b"application/json", b"text/plain"];
    assert_eq!(Kind::of(&two, b"{}"), Err(Error::MediaType));
}

fn unpacked(value: &str) -> (Visited, Option<Packing>) {
    let mut visited = Vec::new();
    let outcome = unpack(
        value.as_bytes(),
        &Bounds::default(),
        &mut Scratch::default(),
        &mut |target, name, value| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            visited.push((target, text(name), text(value)));
        },
    );
    (visited, outcome.unwrap())
}

#[test]
fn wrapped_strings_are_unpacked_one_level() {
    let (found, packing) = unpacked(" {\"a\": \"{\\\"b\\\": 1}\"}");
    assert_eq!(packing, Some(Packing::Json));
    expect(
        &found,
        &[(JsonKey, "json.a", "a"), (JsonText, "json.a", "{\"b\": 1}")],
    );
    let (found, packing) = unpacked("https://x.example/a%2fb?q=%27+or&q=2#f");
    assert_eq!(packing, Some(Packing::Url));
    expect(
        &found,
        &[
            (Text, "", "x.example/a/b"),
            (Text, "", "#f"),
            (Field, "q", "' or"),
            (Field, "q", "2"),
            (Joined, "q", "' or,2"),
        ],
    );
    // json-base64-value, cookie-base64
    let (found, packing) = unpacked("JyBvciAxPTEtLSA8c2NyaXB0Pg==");
    assert_eq!(packing, Some(Packing::Base64));
    expect(&found, &[(Text, "", "' or 1=1-- <script>")]);
    let (found, packing) = unpacked("eyJhIjogIicgb3IgMT0xIn0");
    assert_eq!(packing, Some(Packing::Base64));
    assert!(found.contains(&(JsonText, "json.a".into(), "' or 1=1".into())));
    // Readers skip blanks between digits, and strange bytes behind a text.
    for coded in [
        " JyBvciAxPTEtLSB4LCBhbmQgc28gb24=",
        "JyBvciAxP\nTEtLSB4LCBhbmQgc28gb24=",
        "JyBvciAxPTEtLSB4LCBhbmQgc28gb24B",
        "JyBvciAxPTEtLSB4LCBhbmQgc28gb27/",
        "data:text/plain;base64,JyBvciAxPTEtLSB4LCBhbmQgc28gb24=",
    ] {
        let (found, packing) = unpacked(coded);
        assert_eq!(packing, Some(Packing::Base64), "{coded}");
        assert!(
            found
                .iter()
                .any(|(_, _, value)| value.contains("' or 1=1-- x")),
            "{coded}: {found:?}"
        );
    }
    // Random bytes are no text.
    assert_eq!(unpacked("3q2+7wD/gH8Sx5YBmf6cs4E=").1, None);
    assert_eq!(
        unpacked("rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA==").1,
        Some(Packing::Base64)
    );
    for text in [
        "",
        "hello",
        "{not json}",
        "internationalisation",
        "javascript:alert(1)",
        "://x",
        "AAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(unpacked(text).1, None, "{text}");
    }
}

#[test]
fn unpacking_is_bounded() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    let outcome = unpack(
        deep.as_bytes(),
        &Bounds::default(),
        &mut Scratch::default(),
        &mut |_, _, _| {},
    );
    assert_eq!(outcome, Err(Error::TooDeep));
}

#[test]
fn hostile_lengths_are_read_in_one_pass() {
    let parts = [
        "[",
        "{\"a\":",
        "<a>",
        "<a ",
        "<!--",
        "&a=",
        "%",
        "\"",
        "\\",
        "\r\n--b\r\n",
        "--b",
        "\n--b",
        "{\"\":1,",
        "\"\"\"",
        "&#",
        "]]>",
        "://",
        "/*",
        "#",
        "//\n",
        ";",
        "x\"",
        "\\u0027\"",
    ];
    for part in parts {
        let body = part.repeat(128 * 1024 / part.len());
        for kind in [
            Kind::Form,
            Kind::Json,
            Kind::JsonLines,
            Kind::Graphql,
            Kind::GraphqlDocument,
            Kind::Xml,
            Kind::Multipart(b"b"),
            Kind::LikeJson(Told::Nothing),
            Kind::LikeXml(Told::Nothing),
            Kind::LikeForm,
        ] {
            let _ = visited_within(kind, body.as_bytes(), &Bounds::default());
        }
        let _ = unpack(
            body.as_bytes(),
            &Bounds::default(),
            &mut Scratch::default(),
            &mut |_, _, _| {},
        );
    }
}

/// Any JSON document.
fn document() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn strings(document: &serde_json::Value, found: &mut Vec<String>) {
    match document {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        serde_json::Value::Object(map) => map.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn the_strings_of_a_document_are_those_of_another_reader(document in document()) {
        let mut expected = Vec::new();
        strings(&document, &mut expected);
        for body in [document.to_string(), serde_json::to_string_pretty(&document).unwrap()] {
            let found = visited(Kind::Json, &body);
            let found: Vec<_> = found.into_iter().filter(|(target, ..)| *target == JsonText).map(|(_, _, value)| value).collect();
            prop_assert_eq!(&found, &expected);
        }
    }

    #[test]
    fn what_this_reader_takes_another_takes_too(body in "[\\[\\]{}\",:0-9a\\\\ue.+ -]{0,24}") {
        let (_, outcome) = visited_within(Kind::Json, body.as_bytes(), &Bounds::default());
        let other: Result<serde_json::Value, _> = serde_json::from_str(&body);
        // The other reader has a bound on numbers.
        if outcome.is_ok() && !body.contains('e') {
            prop_assert!(other.is_ok(), "{}", body);
        }
        if other.is_ok() {
            prop_assert_eq!(outcome, Ok(()), "{}", body);
        }
    }

    #[test]
    fn a_form_gives_back_what_was_put_in(fields in prop::collection::vec((".{0,8}", ".{0,8}"), 0..8)) {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let found = visited(Kind::Form, &body.join("&"));
        let found: Vec<_> = found.into_iter().filter(|(target, ..)| *target == Field).map(|(_, name, value)| (name, value)).collect();
        prop_assert_eq!(found, fields);
    }

    #[test]
    fn no_bytes_make_a_reader_fail(body: Vec<u8>) {
        for kind in [Kind::Form, Kind::Json, Kind::JsonLines, Kind::Graphql, Kind::GraphqlDocument, Kind::Xml, Kind::Multipart(b"b"), Kind::LikeJson(Told::Type), Kind::LikeJson(Told::Nothing), Kind::LikeXml(Told::Nothing), Kind::LikeForm, Kind::Text] {
            let _ = visited_within(kind, &body, &Bounds::default());
        }
        let _ = Kind::of(&[&body], &body);
        let _ = unpack(&body, &Bounds::default(), &mut Scratch::default(), &mut |_, _, _| {});
    }

    #[test]
    fn no_markup_makes_a_reader_fail(body in "[<>/!?a-c=\"'&;#x\\[\\]\r\n:{}\\\\u0-9-]{0,60}") {
        for kind in [Kind::Json, Kind::LikeJson(Told::Nothing), Kind::GraphqlDocument, Kind::Xml, Kind::LikeXml(Told::Type)] {
            let _ = visited_within(kind, body.as_bytes(), &Bounds::default());
        }
        let _ = visited_within(Kind::Multipart(b"b"), format!("--b\r\n{body}\r\n--b--").as_bytes(), &Bounds::default());
    }
}

#[test]
fn what_only_looks_like_json_is_visited_as_lenient_readers_take_it() {
    let found = |body: &str| visited(Kind::LikeJson(Told::Type), body);
    let hidden = r#"{"a":"1\u0027 or \/* \"x\""}"#;
    let decoded = "1' or /* \"x\"";
    for body in [
        format!(")]}}',\n{hidden}"),
        format!("/* \"{{ */{hidden}"),
        format!("{{\"b\":/* \" */1,\"c\":{hidden}}}"),
        format!("{{\"b\":\"\\x\",\"c\":{hidden}}}"),
        format!("[\"\n\",{hidden}]"),
    ] {
        let text = |target, value: &str| (target, value.to_owned());
        let values: Vec<_> = found(&body)
            .into_iter()
            .map(|(target, _, value)| (target, value))
            .collect();
        assert!(
            values.contains(&text(JsonText, decoded)),
            "{body}: {values:?}"
        );
        assert!(values.contains(&text(Text, &body)), "{body}: {values:?}");
    }
    // What is read to its end is no text.
    let whole = found(hidden);
    assert!(
        whole.iter().all(|(target, _, _)| *target != Text),
        "{whole:?}"
    );
    // Of frames and of bytes nothing is visited.
    let bare = found("[INFO");
    expect(&bare, &[(JsonText, "json", "INFO"), (Text, "", "[INFO")]);
    expect(
        &found("{ ] , \"\x01\x02\""),
        &[(Text, "", "{ ] , \"\x01\x02\"")],
    );
}

#[test]
fn what_comes_without_a_type_is_visited_as_a_form_too() {
    let found = visited(Kind::LikeForm, "a=1%27+or%2&a=2");
    let fields = [
        (Text, "", "a=1%27+or%2&a=2"),
        (Field, "a", "1' or%2"),
        (Field, "a", "2"),
        (Joined, "a", "1' or%2,2"),
    ];
    expect(&found, &fields);
    for (kind, body) in [
        (Kind::LikeJson(Told::Nothing), "[=1&a=%27"),
        (Kind::LikeXml(Told::Nothing), "<=1&a=%27"),
    ] {
        let found = visited(kind, body);
        assert!(
            found.contains(&(Field, "a".into(), "'".into())),
            "{found:?}"
        );
    }
}

#[test]
fn texts_among_bytes_are_found_one_by_one() {
    let found = |bytes: &'static [u8]| texts(bytes).collect::<Vec<&[u8]>>();
    let whole: [&[u8]; 4] = [
        b"a",
        b"1' or '1'='1\xff -- and so on",
        b"\xff\xfea\0b\0",
        "\u{FC}ber \u{4E2D}\u{6587}".as_bytes(),
    ];
    for text in whole {
        assert_eq!(found(text), [text]);
    }
    assert_eq!(
        found(b"\x08\x0e1' or '1'='1\x12\xff\x05short\x00<script>"),
        [&b"1' or '1'='1"[..], b"<script>"]
    );
    // One byte short of it.
    assert_eq!(found(b"\x00\xff\x011234567\x00"), [b""; 0]);
}
