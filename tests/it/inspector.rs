//! Services outside that are asked about requests: what they say counts, and what becomes of
//! requests when they say nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::gateway::{Client, backend, echo};
use crate::setup::{Running, Setup};

const RULES: &str = r#"
SecAction "id:1,phase:1,pass,nolog,setvar:tx.score=0"
SecRule ARGS "@contains weak" "id:12,phase:2,pass,log,msg:'Weak',setvar:tx.score=+2"
SecRule TX:SCORE "@ge 5" "id:20,phase:2,deny,status:403,log,msg:'Sum of scores'"
"#;

fn setup(inspector: SocketAddr, keys: &str) -> Setup<'static> {
    setup_of(RULES, inspector, keys)
}

fn setup_of(rules: &str, inspector: SocketAddr, keys: &str) -> Setup<'static> {
    let api = r#"
inspector = "scanner"
[api.app.operation."GET /a"]
waf = "own"
[api.app.operation."GET /b"]
inspector = "off"
"#;
    let service = format!(
        "[upstream.scanner]\naddress = \"{inspector}\"\n\
         [inspector.scanner]\nupstream = \"scanner\"\npath = \"/inspect\"\n{keys}"
    );
    Setup::paths("app", &["/a", "/b"], &["GET", "POST"])
        .api(api)
        .rules(rules, "mode = \"block\"")
        .tables(&service)
}

fn start(name: &str, inspector: SocketAddr, keys: &str) -> Running {
    setup(inspector, keys).start(name, echo())
}

fn get(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Basic eDp5\r\nX-Odd: \u{e9}\r\n\r\n"
    )
}

fn post(body: &str) -> String {
    format!(
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn reply(content: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{content}",
        content.len()
    )
}

/// A service that says what it was last told to say, and tells what it was asked.
fn service(say: Arc<Mutex<String>>) -> (SocketAddr, mpsc::Receiver<Value>, Arc<AtomicUsize>) {
    let (sender, asked) = mpsc::channel();
    let sender = Mutex::new(sender);
    let connections = Arc::new(AtomicUsize::new(0));
    let opened = connections.clone();
    let address = backend(move |_, mut client| {
        opened.fetch_add(1, Ordering::Relaxed);
        while let Some(request) = client.request() {
            assert_eq!(request.line, "POST /inspect HTTP/1.1");
            let question = serde_json::from_slice(&request.body).unwrap();
            sender.lock().unwrap().send(question).unwrap();
            let said = say.lock().unwrap().clone();
            client.send(said);
        }
    });
    (address, asked, connections)
}

/// What was found, in the order of the requests.
fn logged(gateway: Running) -> Vec<Value> {
    let lines = gateway.lines().into_iter();
    let found = lines.filter_map(|line| line["waf"].as_array().cloned());
    found.flatten().collect()
}

const NATIVE: &str = r#"
[[rule]]
id = 20001
name = "weak"
category = "business"
severity = "notice"
description = "A weak sign."
targets = ["values"]
contains = "weak"
"#;

/// What it says is added to what native rules find, where they stand alone and beside others.
#[test]
fn its_score_is_added_to_that_of_native_rules() {
    let say = Arc::new(Mutex::new(String::new()));
    let (address, _asked, _connections) = service(say.clone());
    let keys = "on_failure = \"closed\"\ntimeout = \"10s\"";
    for (name, rules) in [
        ("inspector-native", "[\"native.toml\"]"),
        ("inspector-mixed", "[\"rules.conf\", \"native.toml\"]"),
    ] {
        // The rules beside them find something else, and have a sum of their own.
        let setup = setup_of(&RULES.replace("weak", "odd"), address, keys)
            .file("native.toml", NATIVE)
            .replacing("[\"rules.conf\"]", rules);
        let gateway = setup.start(name, echo());
        for (target, score, status) in [
            ("/a?x=weak", 0, 200),
            ("/a?x=weak", 2, 200),
            ("/a?x=weak", 3, 403),
            ("/a?x=fine", 3, 200),
            ("/a?x=fine", 4, 200),
        ] {
            *say.lock().unwrap() = reply(&format!("{{\"verdict\":\"score\",\"score\":{score}}}"));
            let answer = gateway.ask(get(target));
            assert_eq!(answer.status, status, "{name}: {target} and {score}");
        }
        let lines = gateway.lines().into_iter();
        let totals: Vec<u64> = lines
            .filter_map(|line| line["waf_scores"]["total"].as_u64())
            .collect();
        assert_eq!(totals, [2, 4, 5], "{name}");
    }
}

#[test]
fn what_it_says_counts() {
    let say = Arc::new(Mutex::new(String::new()));
    let (address, asked, connections) = service(say.clone());
    let keys = "on_failure = \"closed\"\nmax_body = \"8B\"\ntimeout = \"10s\"";
    let gateway = start("inspector-says", address, keys);
    let mut client = gateway.connect();
    let mut ask = |request: &str, said: &str, status: u16, kind: &str| {
        *say.lock().unwrap() = reply(said);
        let answer = client.ask(request);
        assert_eq!(answer.status, status, "{said} {answer:?}");
        if status != 200 {
            assert_eq!(answer.problem(), kind, "{said}");
        }
        if answer.field("connection") == Some("close") {
            client = gateway.connect();
        }
        asked.try_recv().ok()
    };
    let question = ask(&get("/a?x=%20y"), "{\"verdict\":\"allow\"}", 200, "").unwrap();
    assert_eq!(question["version"], 1);
    assert_eq!(question["id"].as_str().unwrap().len(), 36);
    assert_eq!(
        (&question["api"], &question["operation"]),
        (&json!("app"), &json!("GET /a"))
    );
    assert_eq!(question["source"], "127.0.0.1");
    assert_eq!(
        (&question["method"], &question["target"]),
        (&json!("GET"), &json!("/a?x=%20y"))
    );
    assert_eq!(
        question["headers"],
        json!([["Host", "h"], ["Authorization", null], ["X-Odd", "\u{e9}"]])
    );
    assert_eq!(question["body"], Value::Null);

    let question = ask(&post("0123456789"), "{\"verdict\":\"allow\"}", 200, "").unwrap();
    let body = json!({"length": 10, "truncated": true, "base64": STANDARD.encode("01234567")});
    assert_eq!(question["body"], body);

    let deny = "{\"verdict\":\"deny\",\"reason\":\"botnet\"}";
    ask(&get("/a"), deny, 403, "refused-by-inspection");
    ask(&post("x"), deny, 403, "refused-by-inspection");
    assert_eq!(ask(&get("/b"), deny, 200, ""), None);

    // Alone too little, with the rules enough, and enough by itself where there are no rules.
    let score = "{\"verdict\":\"score\",\"score\":3}";
    ask(&get("/a?x=y"), score, 200, "");
    ask(
        &get("/a?x=weak"),
        "{\"verdict\":\"score\",\"score\":2}",
        200,
        "",
    );
    ask(&get("/a?x=weak"), score, 403, "attack-detected");
    ask(&post("x"), "{\"verdict\":\"score\",\"score\":4}", 200, "");
    ask(
        &post("x"),
        "{\"verdict\":\"score\",\"score\":5}",
        403,
        "refused-by-inspection",
    );

    assert_eq!(
        connections.load(Ordering::Relaxed),
        1,
        "one connection, kept"
    );
    let hits = logged(gateway);
    let told = |value: &str, message: &str| {
        hits.iter().any(|hit| {
            hit["field"] == "inspector:scanner"
                && hit["value"] == value
                && hit["message"] == message
        })
    };
    assert!(told("deny", "botnet") && told("score 3", ""), "{hits:?}");
}

/// What is no answer, by what comes of it where failures pass and where they do not.
#[test]
fn what_it_does_not_say_is_for_the_operator_to_choose() {
    let endless = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        format!("{:x}\r\n{}\r\n", 32 * 1024, " ".repeat(32 * 1024)).repeat(4)
    );
    let giant_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let bad = [
        reply("maybe"),
        reply("{\"verdict\":\"perhaps\"}"),
        "HTTP/1.1 500 No\r\nContent-Length: 19\r\n\r\n{\"verdict\":\"allow\"}".to_owned(),
        "HTTP/1.1 204 No\r\n\r\n".to_owned(),
        "garbage\r\n\r\n".to_owned(),
        // Cut off by the end of the time: nothing more comes.
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"verdict\":".to_owned(),
        String::new(),
        endless,
        giant_head,
    ];
    for (choice, status) in [("closed", 503), ("open", 200)] {
        let say = Arc::new(Mutex::new(String::new()));
        let (address, _asked, _) = service(say.clone());
        let keys = format!("on_failure = \"{choice}\"\ntimeout = \"100ms\"");
        let ejection = "[upstream.scanner.ejection]\nfailures = 1000\nfailure_percent = 100";
        let setup = setup(address, &keys).tables(ejection);
        let gateway = setup.start(&format!("inspector-fails-{choice}"), echo());
        for (request, said) in bad
            .iter()
            .flat_map(|said| [(get("/a"), said), (post("x"), said)])
        {
            say.lock().unwrap().clone_from(said);
            let answer = gateway.ask(&request);
            assert_eq!(answer.status, status, "{choice} {said:.80}");
            if status == 503 {
                assert_eq!(answer.problem(), "inspection-unavailable");
            }
        }
        *say.lock().unwrap() = reply("{\"verdict\":\"allow\"}");
        assert_eq!(gateway.ask(get("/a")).status, 200, "it is well again");
        let hits = logged(gateway);
        let failed = hits.iter().filter(|hit| hit["value"] == "failure").count();
        assert_eq!(failed, 2 * bad.len(), "{hits:?}");
    }
}

#[test]
fn one_that_is_down_or_was_restarted_is_told_apart() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    for (choice, status) in [("closed", 503), ("open", 200)] {
        let keys = format!("on_failure = \"{choice}\"");
        let gateway = start(&format!("inspector-down-{choice}"), nobody, &keys);
        assert_eq!(gateway.ask(get("/a")).status, status);
        assert_eq!(gateway.ask(get("/b")).status, 200);
    }
    // It closes after each answer without a word: that costs no request.
    let address = backend(|_, mut client: Client| {
        if client.request().is_some() {
            client.send(reply("{\"verdict\":\"allow\"}"));
        }
    });
    let keys = "on_failure = \"closed\"\ntimeout = \"10s\"";
    let gateway = start("inspector-restarts", address, keys);
    let mut client = gateway.connect();
    for _ in 0..20 {
        assert_eq!(client.ask(get("/a")).status, 200);
    }
}

#[test]
fn detection_refuses_nothing_and_check_insists_on_a_choice() {
    let say = Arc::new(Mutex::new(reply("{\"verdict\":\"deny\",\"reason\":\"r\"}")));
    let (address, _asked, _) = service(say.clone());
    let keys = "on_failure = \"closed\"\nmode = \"detect\"\ntimeout = \"10s\"";
    let gateway = start("inspector-detects", address, keys);
    let mut client = gateway.connect();
    assert_eq!(client.ask(get("/a?x=weak")).status, 200);
    *say.lock().unwrap() = reply("{\"verdict\":\"score\",\"score\":99}");
    assert_eq!(client.ask(get("/a?x=weak")).status, 200);
    *say.lock().unwrap() = reply("no");
    assert_eq!(client.ask(get("/a")).status, 200);
    let values: Vec<Value> = logged(gateway)
        .iter()
        .filter(|hit| hit["field"] == "inspector:scanner")
        .map(|hit| hit["value"].clone())
        .collect();
    assert_eq!(values, ["deny", "score 99", "failure"]);

    for (from, to, told) in [
        ("on_failure = \"closed\"\n", "", "on_failure"),
        ("\"closed\"", "\"perhaps\"", "\"perhaps\""),
        (
            "upstream = \"scanner\"",
            "upstream = \"scaner\"",
            "did you mean \"scanner\"",
        ),
        ("path = \"/inspect\"", "path = \"inspect me\"", "is no path"),
        (
            "\ninspector = \"scanner\"",
            "\ninspector = \"other\"",
            "no inspector \"other\"",
        ),
        ("timeout = \"10s\"", "timeout = \"0s\"", "timeout"),
    ] {
        let setup = setup(address, keys).replacing(from, to);
        let (code, text) = setup.check("inspector-check");
        assert_eq!(code, Some(1), "{to}: {text}");
        assert!(text.contains(told), "{told} in {text}");
    }
}
