//! The WAF as a stage of the real process: what is found, refused, told and left out.

use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::gateway::{Client, PATIENCE, echo};
use crate::process::{Process, rules};
use crate::setup::{Running, Setup};

/// Rules of our own, in the language of the rule sets that people have.
const RULES: &str = r#"
SecAction "id:1,phase:1,pass,nolog,setvar:tx.score=0"
SecRule ARGS|ARGS_NAMES|REQUEST_HEADERS:Referer "@detectSQLi" "id:10,phase:2,pass,log,t:urlDecodeUni,\
  msg:'SQL',severity:CRITICAL,setvar:tx.score=+5"
SecRule ARGS|XML:/*|REQUEST_FILENAME "@rx (?i)<script" "id:11,phase:2,pass,log,t:htmlEntityDecode,\
  msg:'Script',severity:CRITICAL,setvar:tx.score=+5"
SecRule ARGS "@contains weak" "id:12,phase:2,pass,log,msg:'Weak',setvar:tx.score=+2"
SecRule TX:SCORE "@ge %{tx.inbound_anomaly_score_threshold}" "id:20,phase:2,deny,status:403,log,\
  msg:'Sum of scores'"
"#;

/// Rules of our own with these keys of their table, before an API that says so.
fn setup(waf: &str, api: &str) -> Setup<'static> {
    setup_of(RULES, waf, api)
}

fn setup_of(rules: &str, waf: &str, api: &str) -> Setup<'static> {
    let keys = format!("variables = {{ inbound_anomaly_score_threshold = \"5\" }}\n{waf}");
    Setup::paths("app", &["/a", "/b", "/c/**"], &["GET", "POST"])
        .api(api)
        .rules(rules, &keys)
}

/// Every operation is inspected by them.
fn start(name: &str, waf: &str) -> Running {
    setup(waf, OWN).start(name, echo())
}

const OWN: &str = "waf = \"own\"";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn post(target: &str, content_type: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// The log lines of the requests with this path.
fn lines(gateway: Running, path: &str) -> Vec<Value> {
    let lines = gateway.lines().into_iter();
    lines.filter(|line| line["path"] == path).collect()
}

#[test]
fn attacks_are_refused_wherever_they_stand_and_the_connection_lives() {
    let gateway = start("waf-block", "mode = \"block\"");
    let mut client = gateway.connect();
    let injection = "1' or '1'='1' union select password from users --";
    let escaped = injection.replace(' ', "%20").replace('\'', "%27");
    let json = format!("{{\"a\":{{\"b\":[\"{injection}\"]}}}}");
    let unicode = "{\"a\":\"\\u003cscript\\u003ealert(1)\"}";
    let chunked = format!(
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: {JSON}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{json}\r\n0\r\n\r\n",
        json.len()
    );
    let multipart = format!(
        "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n{injection}\r\n--b--\r\n"
    );
    for attack in [
        get(&format!("/a?x={escaped}")),
        get(&format!("/a?{escaped}=x")),
        post("/a", FORM, &format!("x={escaped}")),
        post("/a", JSON, &json),
        post("/a", JSON, unicode),
        post("/a", "multipart/form-data; boundary=b", &multipart),
        post("/a", "text/xml", "<a><b>&lt;script&gt;</b></a>"),
        chunked,
        get("/a?x=weak&y=weak&z=weak"),
    ] {
        let answer = client.ask(&attack);
        assert_eq!(answer.status, 403, "{attack}\n{answer:?}");
        assert!(answer.problem().contains("attack-detected"), "{answer:?}");
        if answer.field("connection") == Some("close") {
            client = gateway.connect();
        }
        let benign = client.ask(get("/a?x=O%27Brien&y=1"));
        assert_eq!(benign.status, 200, "after {attack}");
    }
    for benign in [
        get("/a?x=weak&y=weak"),
        post(
            "/a",
            JSON,
            "{\"note\":\"select a seat, or one from the second row\"}",
        ),
        post("/a", FORM, "note=it%27s+fine"),
        post("/a", JSON, ""),
    ] {
        let answer = client.ask(&benign);
        assert_eq!(answer.status, 200, "{benign}\n{answer:?}");
    }
    gateway.process.counts("portcullis_waf_attacks_total", 9);
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_where_attacks_are() {
    let gateway = start("waf-body", "mode = \"block\"");
    let mut client = gateway.connect();
    for (content_type, body) in [
        (JSON, "{\"a\":1"),
        (JSON, "\u{feff}{\"a\":1}"),
        (JSON, "{\"a\":\"\\ud800\"}"),
        (FORM, "a=%zz"),
        (
            "multipart/form-data; boundary=b",
            "--b\nContent-Disposition: form-data; name=a\n\nx\n--b--",
        ),
        ("multipart/form-data", "--b--"),
        (
            "text/xml",
            "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///x\">]><a>&b;</a>",
        ),
    ] {
        let answer = client.ask(post("/a", content_type, body));
        assert_eq!(answer.status, 400, "{content_type} {body:?} {answer:?}");
        assert!(
            answer.problem().contains("uninspectable-body"),
            "{answer:?}"
        );
    }
}

#[test]
fn beyond_the_budget_nothing_passes_uninspected() {
    let waf = "mode = \"block\"\nmax_bytes = \"4KiB\"\nmax_values = 32";
    let gateway = start("waf-budget", waf);
    let mut client = gateway.connect();
    let many: Vec<String> = (0..40).map(|at| format!("a{at}=1")).collect();
    for body in [format!("a={}", "x".repeat(5000)), many.join("&")] {
        let answer = client.ask(post("/a", FORM, &body));
        assert_eq!(answer.status, 413, "{answer:?}");
        assert!(
            answer.problem().contains("too-much-to-inspect"),
            "{answer:?}"
        );
    }
    let fits = client.ask(post("/a", FORM, &format!("a={}", "x".repeat(2000))));
    assert_eq!(fits.status, 200);
}

/// A pattern that counts, over a value of which no beginning is like another one.
#[test]
fn what_takes_too_long_to_match_is_more_than_the_budget() {
    let rule = "SecRule ARGS \"@rx a[^}]{0,400}getruntime\" \"id:70,phase:2,deny\"\n";
    let api = "waf = \"own\"\nmax_body = \"256KiB\"";
    let setup = setup_of(&format!("{RULES}{rule}"), "mode = \"block\"", api);
    let gateway = setup.start("waf-counting", echo());
    let mut bits = 0x9e37_79b9_u32;
    let hostile: String = (0..100_000)
        .map(|_| {
            bits ^= bits << 13;
            bits ^= bits >> 17;
            bits ^= bits << 5;
            if bits & 1 == 0 { 'a' } else { 'c' }
        })
        .collect();
    let ask = |value: &str| {
        let body = format!("x=getruntime+{value}");
        gateway.ask(post("/a", FORM, &body))
    };
    let answer = ask(&hostile);
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.problem(), "too-much-to-inspect");
    assert_eq!(ask(&"The+price+is+as+agreed.+".repeat(4000)).status, 200);
    let found = format!("{}getruntime", "The+price+is+as+agreed.+".repeat(4000));
    assert_eq!(ask(&found).status, 403);
}

#[test]
fn what_guards_nothing_in_a_rule_file_is_told_with_its_place() {
    let void = "SecRuleEngine Off\nSecArgumentSeparator ;\nSecAuditLog /dev/null\n\
        SecAction \"id:78,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"\n\
        SecRule ARGS \"@rx (?=a)b\" \"id:77,phase:2,deny\"\n\
        SecDefaultAction \"phase:2,log,deny,status:429\"\n\
        SecRule ARGS a \"id:79,phase:2,deny,status:503\"\n\
        SecRule ARGS a \"id:80,phase:2,drop\"\n\
        SecRule ARGS a \"id:81,phase:2,redirect:https://h/\"\n\
        SecRule RESPONSE_STATUS 500 \"id:82,phase:3,deny,status:404\"\n\
        SecRule IP:COUNT \"@gt 3\" \"id:83,phase:2,pass\"\n\
        SecRule ARGS a \"id:84,phase:2,pass,setvar:tx.a=%{session.seen}\"\n\
        SecRule ARGS \"@streq %{global.x}\" \"id:85,phase:2,pass\"\n\
        SecRule ARGS a \"id:86,phase:2,deny,status:403,setvar:ip.count=+1\"\n\
        SecRule RESPONSE_STATUS 500 \"id:87,phase:4,deny,status:502\"\n";
    let setup = |more: &str| {
        let waf = format!("on_unsupported = \"skip\"\n{more}");
        setup_of(&format!("{RULES}{void}"), &waf, OWN)
    };
    let (directory, _) = setup("").write("waf-void", echo());
    let (code, text) = directory.check(&["--all"]);
    assert_eq!(code, Some(0), "{text}");
    for expected in [
        "`SecRuleEngine Off` has no effect here: `mode` decides",
        "`SecArgumentSeparator` has no effect here",
        "rule 78: `initcol:ip=%{REMOTE_ADDR}` has no effect here",
        "rule 77: it is left out",
        "`status:429` is answered with 403",
        "rule 79: `status:503` is answered with 403",
        "rule 80: `drop` answers as `deny` does",
        "rule 81: `redirect:https://h/` answers as `deny` does",
        "rule 82: `status:404` is answered with 502",
        "rule 83: `IP:COUNT` holds nothing of other requests here",
        "rule 84: `SESSION:SEEN` holds nothing of other requests here",
        "rule 85: `GLOBAL:X` holds nothing of other requests here",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    for silent in ["SecAuditLog", "rule 86", "rule 87", "rule 78: `IP"] {
        assert!(!text.contains(silent), "{silent} in {text}");
    }
    let (directory, _) =
        setup("[lint]\nineffective_rule = \"error\"\n").write("waf-void-error", echo());
    assert_eq!(directory.check(&[]).0, Some(1));
    let (directory, _) =
        setup("[lint]\nineffective_rule = \"off\"\n").write("waf-void-off", echo());
    let (code, text) = directory.check(&[]);
    assert!(code == Some(0) && !text.contains("no effect"), "{text}");
}

/// The mode decides, but not to block with rules that are written not to.
#[test]
fn an_engine_that_rule_files_switch_off_does_not_block() {
    let check = |engine: &str, (waf, api): (&str, &str)| {
        let rules = format!("{RULES}\nSecRuleEngine {engine}\n");
        setup_of(&rules, waf, api).check("waf-engine")
    };
    let block = ("mode = \"block\"", OWN);
    let detect = ("mode = \"detect\"", OWN);
    let operation = "waf = \"own\"\n[api.app.operation.\"GET /a\"]\nwaf_mode = \"block\"";
    for engine in ["DetectionOnly", "Off"] {
        let (code, told) = check(engine, block);
        let words = "`SecRuleEngine` says that these rules do not block";
        assert!(
            code == Some(1) && told.contains(words) && told.contains("rules.conf:"),
            "{told}"
        );
        let (code, told) = check(engine, ("", operation));
        let words = "`SecRuleEngine` in the files of its rules says that they do not block";
        assert!(code == Some(1) && told.contains(words), "{told}");
        assert_eq!(check(engine, detect).0, Some(0));
    }
    assert!(!check("DetectionOnly", detect).1.contains("SecRuleEngine"));
    assert!(!check("On", block).1.contains("SecRuleEngine"));
    assert!(
        check("On", detect)
            .1
            .contains("`SecRuleEngine On` does not block here")
    );
    assert_eq!(check("On", ("", operation)).0, Some(0));
}

#[test]
fn rules_that_are_left_out_are_told_one_by_one() {
    let bad = "SecRule ARGS \"@rx (?=a)b\" \"id:77,phase:2,deny\"\n";
    let waf = "mode = \"block\"\non_unsupported = \"skip\"";
    let gateway = setup_of(&format!("{RULES}{bad}"), waf, OWN).start("waf-left-out", echo());
    let told = gateway.process.wait_for("[waf.own] leaves out");
    assert!(
        told.contains("rule 77") && told.contains("rules.conf:"),
        "{told}"
    );
    let left_out = "portcullis_waf_rule_left_out{set=\"own\",rule=\"77\"}";
    gateway.process.counts(left_out, 1);
    assert_eq!(gateway.ask(get("/a?x=%3Cscript")).status, 403);
}

/// Four bodies that take many slices each are under way on the only shard; whoever asks for little
/// is answered between the slices, before any of the four.
#[test]
fn a_large_body_does_not_stall_its_neighbours() {
    let waf = "mode = \"block\"\nmax_bytes = \"1MiB\"\nmax_values = 9000";
    let api = "waf = \"own\"\nmax_body = \"4MiB\"";
    let gateway = setup(waf, api).start("waf-slices", echo());
    let value = "%25select+x%27%28".repeat(20);
    let values: Vec<String> = (0..2800).map(|at| format!("a{at}={value}{at}")).collect();
    let request = post("/a", FORM, &values.join("&"));
    // Between two readings of the counter this program may have to wait for a processor itself, and
    // then it counts slices in which nobody asked for anything: it tries until it was quick enough
    // once. If the shard starved its neighbours, it never would be.
    let until = Instant::now() + 3 * PATIENCE;
    while slices_beside(&gateway.process, &request).is_none_or(|(beside, all)| beside * 4 >= all) {
        assert!(Instant::now() < until, "the neighbours wait");
    }
}

/// Slices of four heavy requests while a light one was served, and in all. None: the light one came
/// last, or not while the others were looked at.
fn slices_beside(process: &Process, heavy: &str) -> Option<(u64, u64)> {
    let pauses = || process.counted("portcullis_waf_pauses_total");
    let first = pauses();
    let mut clients: Vec<Client> = (0..4).map(|_| process.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(heavy));
    let until = Instant::now() + PATIENCE;
    while pauses() == first {
        assert!(Instant::now() < until, "no inspection gives way");
    }
    let (mut light, before) = (process.connect(), pauses());
    assert_eq!(light.ask(get("/b?x=1")).status, 200);
    let is_last = clients.iter().any(Client::has_answer);
    let beside = pauses() - before;
    for client in &mut clients {
        assert_eq!(client.answer(false).status, 200);
    }
    (!is_last).then(|| (beside, pauses() - first))
}

#[test]
fn detection_tells_and_lets_pass() {
    let gateway = start("waf-detect", "");
    let request = "GET /a?x=%3Cscript HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer <script\r\nReferer: 1' or '1'='1\r\n\r\n";
    assert_eq!(gateway.ask(request).status, 200);
    gateway.process.counts("portcullis_waf_attacks_total", 1);
    gateway.process.counts("portcullis_waf_flagged_total", 1);
    let lines = lines(gateway, "/a");
    assert_eq!(lines.len(), 1);
    assert_eq!(rules(&lines[0]), [10, 11, 20], "{lines:?}");
    let hits = &lines[0]["waf"];
    assert_eq!(hits[0]["field"], "REQUEST_HEADERS:Referer");
    assert_eq!(hits[1]["field"], "ARGS:x");
    assert_eq!(hits[1]["value"], "<script");
    assert_eq!(hits[1]["transformations"], "htmlEntityDecode");
    assert_eq!(hits[1]["message"], "Script");
}

#[test]
fn operations_are_tuned_one_by_one() {
    let api = r#"
waf = "own"
[api.app.operation."GET /a"]
waf_threshold = 20
[api.app.operation."POST /a"]
waf_exclusions = [{ rules = ["11"], pointer = "/items/*/html" }]
[api.app.operation."GET /b"]
waf = "off"
[api.app.operation."POST /b"]
waf_mode = "detect"
"#;
    let waf = "mode = \"block\"\nexclusions = [{ rules = [\"10-10\"], target = \"ARGS:query\" }]";
    let gateway = setup(waf, api).start("waf-tuned", echo());
    let mut client = gateway.connect();
    let mut ask = |request: String, status: u16| {
        let answer = client.ask(&request);
        assert_eq!(answer.status, status, "{request}\n{answer:?}");
    };
    ask(get("/a?x=%3Cscript"), 200);
    ask(get("/b?x=%3Cscript"), 200);
    ask(post("/b", FORM, "x=%3Cscript"), 200);
    ask(get("/c/d?x=%3Cscript"), 403);
    ask(
        post("/a", JSON, "{\"items\":[{\"html\":\"<script\"}]}"),
        200,
    );
    ask(
        post("/a", JSON, "{\"items\":[{\"text\":\"<script\"}]}"),
        403,
    );
    ask(get("/c/d?query=1%27or%271%27=%271"), 200);
    ask(get("/c/d?other=1%27or%271%27=%271"), 403);
}

/// Whatever a client sends as a secret, and wherever: an attack beside it, or in it, is told without.
#[test]
fn secrets_do_not_reach_the_log() {
    const WORD: &str = "hunter2hunter2";
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.aHVudGVyMmh1bnRlcjI";
    let attack = format!("{WORD}<script");
    let rules = "SecRule ARGS|ARGS_NAMES|REQUEST_HEADERS|REQUEST_URI_RAW|REQUEST_TEXT|XML:/*|XML://@* \"@rx <script|%3Cscript\" \
        \"id:11,phase:2,pass,log,msg:'Found %{MATCHED_VAR} %{TX.0}',capture,t:none\"\n\
        SecRule ARGS \"@rx (hunter2.*)<script\" \"id:12,phase:2,pass,log,msg:'Found %{TX.1}',capture,t:none\"\n";
    let gateway = setup_of(rules, "bodies = true", OWN).start("waf-secrets", echo());
    let mut client = gateway.connect();
    let mut count = 0;
    let mut ask = |request: String| {
        assert_eq!(client.ask(&request).status, 200, "{request}");
        count += 1;
    };
    for name in [
        "pwd",
        "pass",
        "pin",
        "otp",
        "jwt",
        "x-auth",
        "userPin",
        "api_key",
        "newPassword",
    ] {
        ask(post(
            "/a",
            JSON,
            &json!({ "user": { name: attack } }).to_string(),
        ));
        ask(get(&format!("/a?{name}={WORD}%3Cscript")));
        let inner = json!({ name: attack }).to_string();
        ask(post("/a", JSON, &json!({ "data": inner }).to_string()));
        ask(post(
            "/a",
            "text/xml",
            &format!(
                "<a><{name}><v>{}</v></{name}></a>",
                attack.replace('<', "&lt;")
            ),
        ));
        ask(post(
            "/a",
            "text/xml",
            &format!("<a><{name} v=\"{}\"/></a>", attack.replace('<', "&lt;")),
        ));
        ask(post(
            "/a",
            "text/plain",
            &format!("{name}={WORD} and <script"),
        ));
        ask(post("/a", "text/plain", &format!("{name}: {attack}")));
        ask(post(
            "/a",
            "text/plain",
            &format!("it says \"{name}\": \"{attack}\""),
        ));
        ask(post(
            "/a",
            JSON,
            &json!({ "next": format!("https://x/?{name}={WORD}&a=<script") }).to_string(),
        ));
        ask(format!(
            "GET /a HTTP/1.1\r\nHost: h\r\nReferer: /x?{name}={WORD}&y=<script\r\n\r\n"
        ));
        ask(format!(
            "GET /a HTTP/1.1\r\nHost: h\r\n{name}: {attack}\r\n\r\n"
        ));
    }
    for text in [
        format!("use Bearer {WORD} <script"),
        format!("log {token} <script"),
        format!("https://me:{WORD}@h/ <script"),
        format!("Authorization: Basic bWU6{} <script", "aHVudGVyMmh1bnRlcjI"),
    ] {
        ask(post("/a", JSON, &json!({ "note": text }).to_string()));
        ask(post("/a", "text/plain", &text));
    }
    for name in ["passenger", "pinned", "opinion"] {
        ask(post(
            "/a",
            JSON,
            &json!({ name: "seen<script" }).to_string(),
        ));
        ask(post("/a", "text/plain", &format!("{name}=seen <script")));
    }
    let lines = lines(gateway, "/a");
    assert_eq!(lines.len(), count);
    for (at, line) in lines.iter().enumerate() {
        let text = line["waf"].to_string();
        assert!(!line["waf"][0].is_null(), "{at} was not found: {line}");
        for secret in ["hunter2", "eyJ", "aHVudGVy"] {
            assert!(!text.contains(secret), "{at}: {text}");
        }
        assert_eq!(at >= count - 6, text.contains("seen"), "{at}: {text}");
    }
}

/// Of a long value the log shows what matched.
#[test]
fn what_matched_is_shown_wherever_it_stands() {
    let rules = "SecRule ARGS:rx \"@rx <scr[i]pt\" \"id:1,phase:2,pass,log,t:none\"\n\
        SecRule ARGS:cap \"@rx <scr(i)pt\" \"id:2,phase:2,pass,log,capture,t:none,msg:'%{TX.1}'\"\n\
        SecRule ARGS:pm \"@pm <script <iframe\" \"id:3,phase:2,pass,log,t:none\"\n\
        SecRule ARGS:contains \"@contains <script\" \"id:4,phase:2,pass,log,t:none\"\n\
        SecRule ARGS:xss \"@detectXSS\" \"id:5,phase:2,pass,log,t:none\"\n\
        SecRule ARGS:sql \"@detectSQLi\" \"id:6,phase:2,pass,log,t:none\"\n\
        SecRule ARGS:low \"@rx <script\" \"id:7,phase:2,pass,log,t:none,t:lowercase\"\n\
        SecRule ARGS:not \"!@rx <script\" \"id:8,phase:2,pass,log,t:none\"\n";
    let gateway = setup_of(rules, "bodies = true", OWN).start("waf-shown", echo());
    let around = |middle: &str| format!("{}{middle}{}", "word ".repeat(100), " word".repeat(100));
    for (name, middle) in [
        ("rx", "<script>alert(1)</script>"),
        ("cap", "<script>alert(1)</script>"),
        ("pm", "<SCRIPT>alert(1)</script>"),
        ("contains", "<script>alert(1)</script>"),
        ("xss", "<script>alert(1)</script>"),
        ("sql", "' or 1=1 union select a from b -- "),
        ("low", "<SCRIPT>alert(1)</script>"),
        ("not", "nothing"),
    ] {
        let value = around(middle)
            .bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect::<String>();
        let rule = get(&format!("/a?{name}={value}"));
        assert_eq!(gateway.ask(rule).status, 200);
    }
    let lines = lines(gateway, "/a");
    assert_eq!(lines.len(), 8);
    for (line, shown) in lines.iter().zip([
        "<script", "<script", "<SCRIPT", "<script", "<script", "union", "<script", "",
    ]) {
        let hit = &line["waf"][0];
        let value = hit["value"].as_str().unwrap();
        assert!(value.contains(shown) && value.len() == 128, "{hit}");
        assert_eq!(hit["at"].is_null(), shown.is_empty(), "{hit}");
    }
}

const SCRIPT: &str = "<script";

/// What an exclusion names is left out, and nothing that only looks like it.
#[test]
fn exclusions_are_exactly_as_wide_as_they_say() {
    let api = r#"
waf = "own"
waf_headers = ["X-Filter"]
waf_exclusions = [
    { rules = ["11"], pointer = "/memo" },
    { rules = ["11"], pointer = "/order/note" },
    { rules = ["11"], pointer = "/a.b" },
    { rules = ["11"], pointer = "/items/0/x" },
    { rules = ["11"], pointer = "/rows/*/x" },
    { rules = ["10-11"], target = "ARGS:plain" },
    { rules = ["11"], target = "ARGS:/^free_/" },
    { rules = ["11"], target = "ARGS:x-filter" },
    { rules = ["10"], target = "REQUEST_HEADERS:referer" },
]
"#;
    let gateway = setup("mode = \"block\"", api).start("waf-exact", echo());
    let mut client = gateway.connect();
    let mut ask = |request: String, status: u16| {
        let answer = client.ask(&request);
        assert_eq!(answer.status, status, "{request}\n{answer:?}");
        if answer.field("connection") == Some("close") {
            client = gateway.connect();
        }
    };
    let packed = json!({ "memo": json!({ "inner": SCRIPT }).to_string() });
    for (body, status) in [
        (json!({ "memo": SCRIPT }), 200),
        (packed, 200),
        (json!({ "m\u{65}mo": SCRIPT }), 200),
        (json!({ "Memo": SCRIPT }), 403),
        (json!({ "memo": { "x": SCRIPT } }), 403),
        (json!({ "memo": [SCRIPT] }), 403),
        (json!([{ "memo": SCRIPT }]), 403),
        (json!({ "json": { "memo": SCRIPT } }), 403),
        (json!({ "json.memo": SCRIPT }), 403),
        (json!({ "order": { "note": SCRIPT } }), 200),
        (json!({ "order.note": SCRIPT }), 403),
        (json!({ "a.b": SCRIPT }), 200),
        (json!({ "a": { "b": SCRIPT } }), 403),
        (json!({ "items": [{ "x": SCRIPT }] }), 200),
        (json!({ "items": { "0": { "x": SCRIPT } } }), 200),
        (json!({ "items": [{}, { "x": SCRIPT }] }), 403),
        (json!({ "rows": [{}, { "x": SCRIPT }] }), 200),
        (json!({ "rows": [[{ "x": SCRIPT }]] }), 403),
        (json!({ "plain": SCRIPT }), 403),
    ] {
        ask(post("/a", JSON, &body.to_string()), status);
    }
    let part = |name: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{SCRIPT}\r\n--b--\r\n"
        )
    };
    let multipart = "multipart/form-data; boundary=b";
    ask(get("/a?json.memo=%3Cscript"), 403);
    ask(get("/a?JSON.MEMO=%3Cscript"), 403);
    ask(post("/a", FORM, "json.memo=%3Cscript"), 403);
    ask(post("/a", multipart, &part("json.memo")), 403);
    ask(get("/a?plain=%3Cscript"), 200);
    ask(get("/a?Plain=%3Cscript"), 403);
    ask(get("/a?free_text=%3Cscript"), 200);
    ask(get("/a?Free_text=%3Cscript"), 403);
    ask(post("/a", multipart, &part("plain")), 200);
    for (field, status) in [
        ("X-FILTER: <script", 200),
        ("REFERER: 1' or '1'='1", 200),
        ("X-Filter: 1' or '1'='1", 403),
    ] {
        ask(
            format!("GET /a HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n"),
            status,
        );
    }
}

/// However much the configuration excludes, it is no fault of a request.
#[test]
fn large_exclusions_are_not_counted_against_requests() {
    let many = (0..300).map(|at| {
        let id = 1000 + at;
        format!("SecRule ARGS \"@contains word{at}.\" \"id:{id},phase:2,pass,log\"\n")
    });
    let rules = format!("{RULES}{}", many.collect::<String>());
    let excluded = (0..20).map(|at| format!("{{ rules = [\"1-9999\"], target = \"ARGS:a{at}\" }}"));
    let excluded = excluded.collect::<Vec<_>>().join(", ");
    let waf = format!("mode = \"block\"\nexclusions = [{excluded}]");
    let gateway = setup_of(&rules, &waf, OWN).start("waf-large", echo());
    for (target, status) in [
        ("/a?x=1", 200),
        ("/a?a0=%3Cscript&a19=%3Cscript", 200),
        ("/a?a20=%3Cscript", 403),
    ] {
        assert_eq!(gateway.ask(get(target)).status, status, "{target}");
    }
}

/// What a client can make rules take out of other rules has an end.
#[test]
fn exemptions_that_requests_add_are_bounded() {
    let many = (0..70).map(|at| {
        let controls =
            (0..70).map(|rule| format!("ctl:ruleRemoveTargetById={};ARGS:v{at}", 2000 + rule));
        let controls = controls.collect::<Vec<_>>().join(",");
        format!(
            "SecRule ARGS_NAMES \"@streq v{at}\" \"id:{},phase:1,pass,nolog,{controls}\"\n\
             SecRule ARGS \"@contains word{at}.\" \"id:{},phase:2,pass,log\"\n",
            1000 + at,
            2000 + at
        )
    });
    let rules = format!("{RULES}{}", many.collect::<String>());
    let gateway = setup_of(&rules, "mode = \"block\"", OWN).start("waf-exempt", echo());
    let names = |count: usize| {
        let names = (0..count).map(|at| format!("v{at}=1"));
        get(&format!("/a?{}", names.collect::<Vec<_>>().join("&")))
    };
    // 58 of them are 4,060 pairs of a rule and a target, 59 are 4,130.
    assert_eq!(gateway.ask(names(58)).status, 200);
    assert_eq!(gateway.ask(names(59)).status, 413);
}

#[test]
fn built_in_rules_are_tuned_like_others_and_tell_scores_by_category() {
    const SQL: &str = "1%27%20or%20%271%27=%271";
    const SCRIPT: &str = "%3Cscript%3Ealert(1)%3C/script%3E";
    let operations = r#"
[api.app.operation."GET /a"]
waf_threshold = 6
[api.app.operation."POST /a"]
waf_exclusions = [{ rules = ["1108"], pointer = "/items/*/html" }]
[api.app.operation."GET /b"]
waf_exclusions = [{ rules = ["1100-1199"] }]
[api.app.operation."POST /b"]
waf_mode = "detect"
"#;
    let waf = "[waf.builtin]\nmode = \"block\"\nexclusions = [{ rules = [\"1101\"], target = \"ARGS:query\" }]";
    let gateway = setup(waf, operations).start("waf-tuned-builtin", echo());
    let mut client = gateway.connect();
    let mut ask = |request: String, status: u16| {
        let answer = client.ask(&request);
        assert_eq!(answer.status, status, "{request}\n{answer:?}");
    };
    ask(get(&format!("/a?x={SQL}")), 200);
    ask(get(&format!("/a?x={SQL}&y={SCRIPT}")), 403);
    // However many values a rule matches, its score counts once.
    ask(get(&format!("/a?x={SQL}&y={SQL}&z={SQL}")), 200);
    ask(get("/a?x=plain"), 200);
    let document = |member: &str| {
        let body = format!("{{\"items\":[{{\"{member}\":\"<script>alert(1)</script>\"}}]}}");
        post("/a", JSON, &body)
    };
    ask(document("html"), 200);
    ask(document("text"), 403);
    ask(get(&format!("/b?x={SQL}&y={SCRIPT}")), 200);
    ask(get("/b?x=../../../etc/passwd"), 403);
    ask(post("/b", FORM, &format!("x={SCRIPT}")), 200);
    ask(get(&format!("/c/d?query={SQL}")), 200);
    ask(get(&format!("/c/d?other={SQL}")), 403);
    let lines = lines(gateway, "/a");
    let scores: Vec<&Value> = lines.iter().map(|line| &line["waf_scores"]).collect();
    let one = json!({ "sql": 5, "total": 5 });
    let both = json!({ "sql": 5, "xss": 5, "total": 10 });
    assert_eq!(scores[..4], [&one, &both, &one, &Value::Null]);
    assert_eq!(scores[5], &json!({ "xss": 5, "total": 5 }));
}

#[test]
fn check_tells_what_excludes_and_tunes_nothing() {
    let waf = r#"exclusions = [
    { rules = ["99999"] },
    { rules = ["12-11", "eleven"] },
    { rules = ["11"], pointer = "memo" },
    { rules = ["11"], pointer = "/a~2" },
    { rules = ["11"], target = "REQUEST_URI:a" },
    { rules = ["11"], target = "TX:score" },
    { rules = ["11"], target = "ARGS:/(/" },
    { rules = ["11"], target = "ARG:a" },
]"#;
    let api = r#"
waf = "own"
waf_threshold = 0
waf_response_threshold = 9
waf_exclusions = [{ rules = ["700-799"], pointer = "/a" }]
"#;
    let (code, told) = setup(waf, api).check("waf-check-exclusions");
    assert_eq!(code, Some(1), "{told}");
    for words in [
        "\"12-11\" ends before it begins",
        "write \"11-12\"",
        "\"eleven\" names no rules",
        "\"memo\" is no JSON pointer: it does not begin with /",
        "\"/a~2\" is no JSON pointer: ~",
        "REQUEST_URI has no values of its own to select",
        "TX is not part of a message",
        "there is no variable ARG",
        "messages in which no rule finds anything would be attacks",
    ] {
        assert!(told.contains(words), "{words} in {told}");
    }
    let waf = "threshold = 7\nexclusions = [{ rules = [\"99999\", \"11\"] }]";
    let api =
        "waf = \"own\"\nwaf_response_threshold = 9\nwaf_exclusions = [{ rules = [\"700-799\"] }]";
    let (code, told) = setup(waf, api).check("waf-check-nothing");
    assert_eq!(code, Some(0), "{told}");
    let nothing = "no rule that runs in [waf.own] is excluded by this";
    assert_eq!(told.matches(nothing).count(), 2, "{told}");
    let unread = "no rule of [waf.own] compares a score with tx.outbound_anomaly_score_threshold";
    assert_eq!(told.matches(unread).count(), 1, "{told}");
}

#[test]
fn check_tells_what_is_wrong_with_rules() {
    let rules = "SecRule NOTHING \"@rx a\" \"id:3,phase:2,deny\"\n\
                 SecRule ARGS \"@rx a\" \"id:4,phase:2,explode\"\n";
    let bad = "SecRule ARGS \"@rx (a\" \"id:1,phase:2,deny\"\n\n\
               SecRule ARGS \"@rx (?=a)b\" \"id:2,phase:2,deny\"\n\
               SecRule ARGS|GEO:COUNTRY_CODE \"@rx a\" \"id:5,phase:2,deny\"\n\
               SecRule ARGS|!ARGS:/(x/ \"@rx a\" \"id:6,phase:2,deny\"\n\
               SecRule ARGS a \"id:7,phase:2,deny,chain\"\nSecRule TIME_HOUR \"@eq 3\" \"t:none\"\n";
    let waf = "mode = \"maybe\"\nparanoia_level = 7\nmax_bytes = \"2MiB\"\n[waf.none]\n[waf.lost]\nrules = [\"lost/*.conf\"]\n\
               [waf.bad]\nrules = [\"bad.conf\"]";
    let operations = "[api.app.operation.\"GET /a\"]\nwaf = \"owm\"\n";
    let setup = setup_of(rules, waf, operations).file("bad.conf", bad);
    let (code, told) = setup.check("waf-check");
    assert_eq!(code, Some(1), "{told}");
    for words in [
        "rules.conf:1:1",
        "rules.conf:2:1",
        "bad.conf:1:1",
        "bad.conf:3:1",
        "rule 5: the variable `GEO` is not supported",
        "bad.conf:4:1",
        "rule 6: the pattern of `ARGS` (unclosed group)",
        "bad.conf:5:1",
        "rule 7: the variable `TIME_HOUR` is not supported",
        "bad.conf:6:1",
        "\"maybe\" is not known here",
        "there is no paranoia level 7",
        "write at most \"1MiB\"",
        "[waf.none] names no rules",
        "lost/*.conf",
        "there is no rule set \"owm\"",
    ] {
        assert!(told.contains(words), "{words} in {told}");
    }
}

/// What a reload takes over is what is unchanged, and the files that rules read count.
#[test]
fn a_reload_takes_a_changed_file_of_a_rule() {
    let rules = r#"SecRule ARGS "@pmFromFile words.data" "id:10,phase:2,deny,status:403""#;
    let gateway = setup_of(rules, "mode = \"block\"", OWN)
        .file("words.data", "first\n")
        .start("waf-reload", echo());
    let status = |word: &str| gateway.ask(get(&format!("/a?x={word}"))).status;
    assert_eq!((status("first"), status("second")), (403, 200));
    for (generation, words, expected) in [
        (2, "first\n", (403, 200)),
        (3, "second\n", (200, 403)),
        (4, "second\n", (200, 403)),
        (5, "first\nsecond\n", (403, 403)),
    ] {
        gateway.directory.write("words.data", words);
        gateway.process.signal(Signal::SIGHUP);
        let told = format!("reloaded: generation {generation}");
        gateway.process.wait_for(&told);
        let until = Instant::now() + PATIENCE;
        let name = "portcullis_snapshot_generation{shard=\"0\"}";
        while gateway.process.metric(name) != generation {
            assert!(Instant::now() < until, "it is not taken over");
        }
        assert_eq!((status("first"), status("second")), expected, "{words}");
    }
}
