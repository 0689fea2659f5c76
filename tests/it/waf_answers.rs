//! Answers through the rules of the WAF, against the real process: refused before a byte of them
//! has left, told, and what is not looked at.

use std::io::{BufRead, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::gateway::{Answer, backend};
use crate::process::{Directory, rules, run};
use crate::setup::{Running, Setup};

/// Scores as the Core Rule Set has them: summed by rules, judged by one behind them.
const RULES: &str = r#"
SecAction "id:1,phase:1,pass,nolog,setvar:tx.outbound=0,setvar:tx.request=0"
SecRule ARGS "@contains marked" "id:2,phase:2,pass,nolog,setvar:tx.request=+2"
SecRule RESPONSE_STATUS "@rx ^5" "id:10,phase:3,pass,log,msg:'Failure',setvar:tx.outbound=+2"
SecRule RESPONSE_HEADERS:X-Debug "@rx ." "id:11,phase:3,deny,log,msg:'Debug field'"
SecRule RESPONSE_HEADERS:Content-Encoding "@rx ." "id:12,phase:3,pass,log,msg:'Coded'"
SecRule RESPONSE_BODY "@contains ORA-00942" "id:20,phase:4,pass,log,capture,t:none,msg:'SQL error',\
  setvar:tx.outbound=+4"
SecRule RESPONSE_CONTENT_TYPE "@beginsWith text/html" "id:21,phase:4,pass,nolog,chain"
  SecRule RESPONSE_BODY "@rx (?i)index of /" "setvar:tx.outbound=+4"
SecRule RESPONSE_CONTENT_LENGTH "@eq 7" "id:22,phase:4,pass,log,msg:'Seven'"
SecRule OUTBOUND_DATA_ERROR "@eq 1" "id:23,phase:4,pass,log,msg:'Cut'"
SecRule TX:OUTBOUND "@ge 4" "id:30,phase:4,deny,log,msg:'Outbound %{tx.outbound}, request %{tx.request}'"
SecRule TX:REQUEST "@ge 2" "id:40,phase:5,pass,log,msg:'After all'"
"#;

const LEAK: &str = "{\"error\":\"ORA-00942: table or view does not exist\"}";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn with(lines: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 200 OK\r\n{lines}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn chunked(body: &str) -> Vec<u8> {
    let mut out =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for piece in body.as_bytes().chunks(100) {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// What the backend answers to each path.
fn answer(path: &str) -> Vec<u8> {
    let json = "Content-Type: application/json\r\n";
    let long = format!("{}{LEAK}", "x".repeat(3000));
    match path {
        "/leak" | "/flaky" => with(json, LEAK),
        "/chunked" => chunked(LEAK),
        "/long" => with("Content-Type: text/plain\r\n", long),
        "/calm" => with(json, "x".repeat(3000)),
        "/long-chunked" => chunked(&long),
        "/early" => with(
            "Content-Type: text/plain\r\n",
            format!("{LEAK}{}", "x".repeat(3000)),
        ),
        "/gzip" => with("Content-Encoding: gzip\r\n", gzip(LEAK)),
        "/bomb" => with("Content-Encoding: gzip\r\n", gzip(&"x".repeat(60_000))),
        "/cut" => with("Content-Encoding: gzip\r\n", &gzip(LEAK)[..30]),
        "/brotli" => with("Content-Encoding: br\r\n", "whatever"),
        "/debug" => with("X-Debug: 1\r\n", "fine"),
        "/page" => with(
            "Content-Type: text/html; charset=utf-8\r\n",
            "<h1>Index of /</h1>",
        ),
        "/text" => with("Content-Type: text/plain\r\n", "Index of /"),
        "/seven" => with(json, "\"seven\""),
        "/failure" => b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec(),
        "/none" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/head" => {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", LEAK.len()).into_bytes()
        }
        "/gone" => {
            format!("HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 500\r\n\r\n{LEAK}").into_bytes()
        }
        _ => with(json, "{\"a\":1}"),
    }
}

fn upstream() -> SocketAddr {
    let flaky = AtomicBool::new(true);
    backend(move |_, mut client| {
        while let Some(request) = client.request() {
            let path = request.line.split(' ').nth(1).unwrap().to_owned();
            let path = path.split('?').next().unwrap().to_owned();
            // What cannot be looked at is not asked for.
            let asks = request.field("accept-encoding");
            if path.starts_with("/asked") {
                let told = format!("{asks:?} {:?}", request.field("range"));
                client.send(with("", told));
                continue;
            }
            // Breaks off the first time, in the middle of the body.
            if path == "/flaky" && flaky.swap(false, Ordering::Relaxed) {
                client.send("HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\nabc");
                return;
            }
            client.send(answer(&path));
            if path == "/gone" {
                return;
            }
        }
    })
}

fn setup(rules: &str, (waf, api): (&str, &str)) -> Setup<'static> {
    Setup::paths("app", &["/**"], &["GET", "HEAD"])
        .api(format!("waf = \"own\"\n{api}"))
        .rules(rules, waf)
}

/// With more rules.
fn start(name: &str, rules: &str, keys: (&str, &str)) -> Running {
    setup(&format!("{RULES}{rules}"), keys).start(name, upstream())
}

fn checked(name: &str, rules: &str, keys: (&str, &str)) -> String {
    setup(&format!("{RULES}{rules}"), keys).check(name).1
}

fn ask(gateway: &Running, target: &str) -> Answer {
    gateway.ask(format!(
        "GET {target} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip, br\r\nRange: bytes=0-1\r\n\r\n"
    ))
}

/// The log line of this path.
fn of<'l>(lines: &'l [Value], path: &str) -> &'l Value {
    lines.iter().find(|line| line["path"] == path).unwrap()
}

const BLOCK: &str = "mode = \"block\"\nresponses = \"all\"\nmax_response_bytes = \"2KiB\"";

#[test]
fn answers_that_rules_deny_are_refused_and_nothing_of_them_leaves() {
    let gateway = start("answers-block", "", (BLOCK, ""));
    for (path, problem) in [
        ("/leak?x=marked", "refused-response"),
        ("/chunked", "refused-response"),
        ("/gzip", "refused-response"),
        ("/debug", "refused-response"),
        ("/page", "refused-response"),
        ("/long", "response-too-large"),
        ("/long-chunked", "response-too-large"),
        ("/early", "response-too-large"),
        ("/bomb", "response-too-large"),
        ("/cut", "encoded-response"),
        ("/brotli", "encoded-response"),
    ] {
        let answer = ask(&gateway, path);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (502, problem),
            "{path}"
        );
        let body = String::from_utf8(answer.body).unwrap();
        assert!(!body.contains("ORA") && !body.contains("Index"), "{body}");
    }
    // The connection lives on, as that to the backend does.
    let mut client = gateway.process.connect();
    for path in ["/leak", "/a", "/page", "/text", "/seven", "/none", "/a"] {
        let answer = client.ask(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let expected = match path {
            "/leak" | "/page" => 502,
            "/none" => 204,
            _ => 200,
        };
        assert_eq!(answer.status, expected, "{path}");
    }
    client.send("HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = client.answer(true);
    assert_eq!(
        (head.status, head.field("content-length")),
        (200, Some("51"))
    );
    assert_eq!(ask(&gateway, "/failure").status, 500);
    assert_eq!(ask(&gateway, "/gone").status, 502);
    // What takes the place of an answer that broke off is looked at like the first.
    let flaky = ask(&gateway, "/flaky");
    assert_eq!(flaky.problem(), "refused-response");
    let asked = ask(&gateway, "/asked").body;
    assert_eq!(String::from_utf8(asked).unwrap(), "Some(\"identity\") None");
    let lines = gateway.lines();
    let leak = of(&lines, "/leak");
    assert_eq!(rules(leak), [20, 30, 40]);
    assert_eq!(leak["waf"][1]["message"], "Outbound 4, request 2");
    assert_eq!(leak["reason"], "refused-response");
    assert_eq!(leak["stage"], "response");
    // The name of a coding that was taken off is not shown either.
    assert_eq!(rules(of(&lines, "/gzip")), [20, 30]);
    assert_eq!(rules(of(&lines, "/brotli")), [12]);
    assert_eq!(rules(of(&lines, "/debug")), [11]);
    assert_eq!(rules(of(&lines, "/seven")), [22]);
    assert_eq!(rules(of(&lines, "/failure")), [10]);
    // Nothing of the first adds to the score of the second.
    let flaky = of(&lines, "/flaky");
    assert_eq!(
        flaky["waf"][2]["message"], "Outbound 4, request 0",
        "{flaky}"
    );
}

/// As the Core Rule Set judges answers.
const JUDGED: &str = r#"
SecAction "id:50,phase:1,pass,nolog,setvar:tx.outbound_anomaly_score_threshold=5"
SecRule TX:OUTBOUND "@ge %{tx.outbound_anomaly_score_threshold}" "id:51,phase:4,deny,log,msg:'Judged'"
SecRule TX:REQUEST "@ge %{tx.inbound_anomaly_score_threshold}" "id:52,phase:2,deny,log,msg:'Asked'"
"#;

#[test]
fn answers_have_a_threshold_of_their_own_for_each_operation() {
    let rules = RULES.replace("@ge 4", "@ge 99") + JUDGED;
    let api = r#"
[api.app.operation."GET /strict"]
waf_response_threshold = 2
[api.app.operation."GET /lenient"]
waf_threshold = 2
"#;
    // 503 is worth two points.
    let failing = backend(|_, mut client| {
        while client.request().is_some() {
            client.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let waf = "mode = \"block\"\nresponses = \"all\"\n\
               variables = { inbound_anomaly_score_threshold = \"5\" }";
    for (name, more, status) in [("rules", "", 503), ("set", "\nresponse_threshold = 1", 502)] {
        let gateway = Setup::paths("app", &["/strict", "/lenient", "/c"], &["GET"])
            .api(format!("waf = \"own\"\n{api}"))
            .rules(&rules, &format!("{waf}{more}"))
            .start(&format!("answers-threshold-{name}"), failing);
        assert_eq!(ask(&gateway, "/strict").status, 502);
        assert_eq!(ask(&gateway, "/c?x=marked").status, status);
        // That of requests is another one.
        assert_eq!(ask(&gateway, "/lenient").status, status);
        assert_eq!(ask(&gateway, "/lenient?x=marked").status, 403);
    }
}

#[test]
fn detection_tells_and_lets_answers_pass() {
    let waf = "responses = \"all\"\nmax_response_bytes = \"2KiB\"";
    let gateway = start("answers-detect", "", (waf, ""));
    for path in [
        "/leak",
        "/chunked",
        "/gzip",
        "/debug",
        "/long",
        "/long-chunked",
        "/early",
        "/bomb",
        "/cut",
        "/brotli",
        "/a",
    ] {
        let told = ask(&gateway, path);
        assert_eq!(told.status, 200, "{path}");
        // What was collected whole leaves with its length.
        let body = String::from_utf8_lossy(&told.body);
        let left = match path {
            "/chunked" | "/long-chunked" => chunked(&body),
            _ => told.body,
        };
        assert!(answer(path).ends_with(&left) && !left.is_empty(), "{path}");
    }
    let flagged = gateway
        .process
        .metric("portcullis_waf_attacks_total{shard=\"0\"}");
    let lines = gateway.lines();
    for (path, expected, reported) in [
        ("/leak", &[20, 30][..], ""),
        ("/chunked", &[20, 30], ""),
        ("/gzip", &[20, 30], ""),
        ("/debug", &[11], ""),
        ("/long", &[23], "response-too-large"),
        ("/long-chunked", &[23], "response-too-large"),
        ("/early", &[20, 23, 30], "response-too-large"),
        ("/bomb", &[23], "response-too-large"),
        ("/brotli", &[12, 23], "encoded-response"),
        ("/a", &[22], ""),
    ] {
        let line = of(&lines, path);
        assert_eq!(rules(line), expected, "{path}: {line}");
        assert_eq!(line["reported"].as_str().unwrap_or(""), reported, "{path}");
        assert_eq!(line["decision"], "forwarded");
    }
    assert_eq!(of(&lines, "/cut")["reported"], "encoded-response");
    assert_eq!(flagged, 5);
}

/// A stream of events leaves as it comes or not at all: nobody waits for an end that does not come.
#[test]
fn an_answer_without_an_end_is_refused_or_passed_on_as_it_comes() {
    let event = "data: ORA-00942\n\n";
    let upstream = backend(move |_, mut client| {
        while client.request().is_some() {
            client.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Debug: no\r\n\
                 Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n",
                event.len()
            ));
            // Until the gateway hangs up.
            let _ = client.reader.fill_buf();
        }
    });
    let rules = "SecRuleRemoveById 11\n";
    let all = "responses = \"all\"";
    for (waf, is_passed) in [
        (format!("mode = \"block\"\n{all}"), false),
        (
            format!("mode = \"block\"\nover_budget = \"report\"\n{all}"),
            true,
        ),
        (all.to_owned(), true),
        (
            "mode = \"block\"\nresponses = \"collected\"".to_owned(),
            true,
        ),
    ] {
        let gateway =
            setup(&format!("{RULES}{rules}"), (&waf, "")).start("answers-events", upstream);
        let mut client = gateway.process.connect();
        client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        if is_passed {
            let mut seen = Vec::new();
            while !seen.ends_with(event.as_bytes()) {
                let mut byte = [0];
                client.reader.read_exact(&mut byte).unwrap();
                seen.push(byte[0]);
            }
        } else {
            let answer = client.answer(false);
            assert_eq!(
                (answer.status, &*answer.problem()),
                (502, "endless-response")
            );
        }
        drop(client);
        let lines = gateway.lines();
        let noted = waf.contains("all") && is_passed;
        let expected = noted.then_some("endless-response");
        assert_eq!(
            lines[0]["reported"].as_str(),
            expected,
            "{waf}: {}",
            lines[0]
        );
    }
}

const EVENTS: &str = r"
openapi: 3.1.0
paths:
  /events:
    get:
      operationId: events
      responses:
        '200':
          description: what happens
          content: { text/event-stream: {} }
";

#[test]
fn an_operation_that_declares_an_answer_without_an_end_cannot_have_all_of_it_inspected() {
    for (responses, holds) in [("all", false), ("collected", true)] {
        let directory = Directory::new("answers-events-check");
        directory.write("api.yaml", EVENTS);
        directory.write("rules.conf", RULES);
        directory.write(
            "gateway.toml",
            &format!(
                "[[listener]]\naddress = \"127.0.0.1:0\"\n[upstream.app]\naddress = \"127.0.0.1:9\"\n\
                 [waf.own]\nrules = [\"rules.conf\"]\n[api.app]\nopenapi = \"api.yaml\"\nupstream = \"app\"\n\
                 owner = \"team\"\nauthentication = \"none\"\nwaf = \"own\"\nwaf_responses = \"{responses}\"\n"
            ),
        );
        let output = run(&["check", "--config", &directory.path("gateway.toml")]);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.success(), holds, "{text}");
        let told = text.contains("operation \"events\" answers with text/event-stream");
        assert_eq!(told, !holds, "{text}");
    }
}

/// Slices of one answer let others have their turn; what the answer held is found all the same.
#[test]
fn a_long_answer_is_inspected_in_slices() {
    let waf = "mode = \"block\"\nresponses = \"all\"";
    let many: String = (100..160)
        .map(|id| {
            format!("SecRule RESPONSE_BODY \"@rx ^x+.{{{id}}}x*\" \"id:{id},phase:4,pass,nolog\"\n")
        })
        .collect();
    let gateway = start("answers-slices", &many, (waf, ""));
    assert_eq!(ask(&gateway, "/calm").status, 200);
    assert!(
        gateway
            .process
            .metric("portcullis_waf_pauses_total{shard=\"0\"}")
            > 0
    );
}

#[test]
fn rule_files_say_which_bodies_are_looked_at() {
    let types = "SecResponseBodyMimeType text/plain text/html\nSecResponseBodyLimit 2048\n\
                 SecResponseBodyLimitAction ProcessPartial\n";
    let waf = "mode = \"block\"\nresponses = \"all\"";
    let gateway = start("answers-types", types, (waf, ""));
    for (path, status) in [
        ("/leak", 200),
        ("/chunked", 502),
        ("/page", 502),
        ("/long", 200),
        ("/early", 502),
        ("/brotli", 200),
    ] {
        assert_eq!(ask(&gateway, path).status, status, "{path}");
    }
    let told = checked("answers-types-check", types, (waf, ""));
    assert!(
        told.contains("app GET /**: bodies of other types than text/plain, text/html"),
        "{told}"
    );
    assert!(
        told.contains("app GET /**: what stands behind 2048 bytes"),
        "{told}"
    );

    let off = "SecResponseBodyAccess Off\n";
    let waf = "mode = \"block\"\nresponses = \"collected\"";
    let gateway = start("answers-heads", off, (waf, ""));
    assert_eq!(ask(&gateway, "/leak").status, 200);
    assert_eq!(ask(&gateway, "/debug").status, 502);
    let told = checked("answers-heads-check", off, (waf, ""));
    assert!(told.contains("bodies, which nobody collects"), "{told}");
}

#[test]
fn check_tells_what_is_not_looked_at_and_what_makes_no_sense() {
    let off = "";
    let told = checked("answers-check-off", off, ("", ""));
    assert!(
        told.contains(
            "[waf.own] has 8 rules for answers, which do not see:\n  any answer of 2 operations"
        ),
        "{told}"
    );
    let told = checked(
        "answers-check-collected",
        off,
        ("", "waf_responses = \"collected\""),
    );
    assert!(
        told.contains("app GET /**: bodies, which nobody collects"),
        "{told}"
    );
    let told = checked("answers-check-all", off, (BLOCK, ""));
    assert!(!told.contains("rules for answers"), "{told}");
    for (rules, waf, api, words) in [
        ("", "responses = \"some\"", "", "\"some\" is not known here"),
        (
            "",
            "max_response_bytes = \"513KiB\"",
            "",
            "write at most \"512KiB\"",
        ),
        ("", "", "waf_responses = \"al\"", "\"al\" is not known here"),
        (
            "SecResponseBodyAccess Off\n",
            "responses = \"all\"",
            "",
            "a rule file says `SecResponseBodyAccess Off`",
        ),
        (
            "SecResponseBodyLimit much\n",
            "",
            "",
            "`SecResponseBodyLimit` takes a number of bytes",
        ),
        (
            "",
            "",
            "[api.app.operation.\"GET /**\"]\nwaf = \"builtin\"\nwaf_responses = \"all\"",
            "[waf.builtin] has no rules for answers",
        ),
        (
            "",
            "",
            "[api.app.operation.\"GET /**\"]\nwaf = \"off\"\nwaf_responses = \"all\"",
            "leaves nothing to tune",
        ),
    ] {
        let told = checked("answers-check-bad", rules, (waf, api));
        assert!(told.contains(words), "{words}: {told}");
    }
}

/// The rules that people have: what they find in answers is refused as they say it.
#[test]
fn the_core_rule_set_refuses_answers() {
    let Some(root) = std::env::var_os("PORTCULLIS_CONFORMANCE") else {
        eprintln!("conformance: PORTCULLIS_CONFORMANCE is not set: NOTHING IS TESTED HERE");
        return;
    };
    let root = std::path::PathBuf::from(root).join("crs-v4");
    if !root.join("rules").is_dir() {
        eprintln!(
            "conformance: there is no {}/rules: NOTHING IS TESTED HERE",
            root.display()
        );
        return;
    }
    let root = root.display();
    let included = format!("Include {root}/crs-setup.conf.example\nInclude {root}/rules/*.conf\n");
    let setup = setup(&included, ("mode = \"block\"\nresponses = \"all\"", ""));
    let gateway = setup.start("answers-crs", upstream());
    for (path, status) in [
        ("/leak", 502),
        ("/gzip", 502),
        ("/seven", 200),
        ("/text", 200),
    ] {
        assert_eq!(ask(&gateway, path).status, status, "{path}");
    }
    let lines = gateway.lines();
    assert_eq!(rules(of(&lines, "/leak")), [951_120, 959_100, 980_170]);
    let scores = &of(&lines, "/leak")["waf_scores"];
    assert_eq!(scores["outbound"], 5);
    assert_eq!(of(&lines, "/leak")["reason"], "refused-response");
}
