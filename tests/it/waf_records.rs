//! Records of bodies that are passed on as they come, through the rules of the WAF in the real
//! process: what one of them holds ends the body there, and their scores add up.

use std::io::{BufRead, Read, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::gateway::{Answer, PATIENCE, backend};
use crate::process::rules;
use crate::setup::{Running, Setup};

const DOCUMENT: &str = r"
openapi: 3.1.0
paths:
  /array:
    post:
      operationId: array
      parameters: [{ name: q, in: query, schema: { type: string } }]
      requestBody:
        required: true
        content:
          application/json:
            schema: { type: array, items: { $ref: '#/components/schemas/Record' } }
  /lines:
    post:
      operationId: lines
      requestBody:
        content:
          application/x-ndjson: { schema: { $ref: '#/components/schemas/Record' } }
          application/json-seq: { schema: { $ref: '#/components/schemas/Record' } }
components:
  schemas:
    Record:
      type: object
      additionalProperties: false
      required: [id]
      properties: { id: { type: integer }, note: { type: string }, html: { type: string } }
";

const RULES: &str = r#"
SecAction "id:1,phase:1,pass,nolog,setvar:tx.score=0"
SecRule ARGS "@detectSQLi" "id:10,phase:2,pass,log,msg:'SQL',setvar:tx.score=+5"
SecRule ARGS "@contains <script" "id:11,phase:2,pass,log,msg:'Script',setvar:tx.score=+5"
SecRule ARGS "@contains weak" "id:12,phase:2,pass,log,msg:'Weak',setvar:tx.score=+2"
SecRule REQUEST_HEADERS:X-Odd "@rx ." "id:13,phase:2,pass,log,msg:'Odd',setvar:tx.score=+2"
SecRule &ARGS "@ge 4" "id:14,phase:2,deny,log,msg:'Many'"
SecRule TX:SCORE "@ge %{tx.inbound_anomaly_score_threshold}" "id:20,phase:2,deny,status:403,log,\
  msg:'Score %{tx.score}'"
SecRule TX:SCORE "@ge 0" "id:30,phase:5,pass,log,msg:'After all: %{tx.score}'"
SecRule RESPONSE_HEADERS:X-Debug "@rx ." "id:40,phase:3,deny,log,msg:'Debug field'"
"#;

fn setup(more: &str) -> Setup<'static> {
    let api = format!(
        "responses = \"off\"\nmax_body = \"64B\"\nstream_body = \"200MiB\"\nmax_record = \"4KiB\"\n{more}"
    );
    Setup::new("app", DOCUMENT)
        .api(api)
        .rules(
            RULES,
            "mode = \"block\"\nvariables = { inbound_anomaly_score_threshold = \"5\" }",
        )
        .tables("[waf.builtin]\nmode = \"block\"")
}

/// What a backend saw of one request: its content, and whether that was ended.
type Seen = (Vec<u8>, bool);

/// A backend that tells what it saw of each request, and answers those that are whole.
fn telling() -> (SocketAddr, Receiver<Seen>) {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let address = backend(move |_, mut client| {
        while let Some(head) = client.request_head() {
            let (mut content, mut is_whole) = (Vec::new(), false);
            if let Some(length) = head.field("content-length") {
                content = vec![0; length.parse().unwrap()];
                is_whole = client.reader.read_exact(&mut content).is_ok();
            } else {
                let mut line = String::new();
                while client.reader.read_line(&mut line).unwrap_or(0) > 0 {
                    let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                    let mut piece = vec![0; size + 2];
                    if client.reader.read_exact(&mut piece).is_err() {
                        break;
                    }
                    content.extend_from_slice(&piece[..size]);
                    line.clear();
                    if size == 0 {
                        is_whole = true;
                        break;
                    }
                }
            }
            let is_odd = head.field("x-debug").is_some();
            let _ = sender.lock().unwrap().send((content, is_whole));
            if !is_whole {
                return;
            }
            let debug = if is_odd { "X-Debug: 1\r\n" } else { "" };
            client.send(format!(
                "HTTP/1.1 200 OK\r\n{debug}Content-Length: 0\r\n\r\n"
            ));
        }
    });
    (address, receiver)
}

struct Setting {
    gateway: Running,
    seen: Receiver<Seen>,
}

fn start(name: &str, more: &str) -> Setting {
    let (address, seen) = telling();
    Setting {
        gateway: setup(more).file("native.toml", NATIVE).start(name, address),
        seen,
    }
}

const ARRAY: (&str, &str) = ("/array", "application/json");
const LINES: (&str, &str) = ("/lines", "application/x-ndjson");
const SEQUENCE: (&str, &str) = ("/lines", "application/json-seq");

impl Setting {
    /// In chunks of so many bytes.
    fn post(
        &self,
        (path, media): (&str, &str),
        lines: &str,
        (body, step): (&str, usize),
    ) -> Answer {
        let mut client = self.gateway.connect();
        let mut wire = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {media}\r\n{lines}Transfer-Encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        for piece in body.as_bytes().chunks(step) {
            wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        // The answer may come before all of it was taken.
        let _ = client.stream.write_all(&wire);
        client.answer(false)
    }

    fn whole(&self, target: (&str, &str), body: &str) -> Answer {
        self.gateway.ask(format!(
            "POST {} HTTP/1.1\r\nHost: h\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{body}",
            target.0,
            target.1,
            body.len()
        ))
    }

    fn saw(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).unwrap()
    }

    fn lines(self) -> Vec<Value> {
        self.gateway.lines()
    }
}

/// `count` records, of which some have a note of their own.
fn records(count: usize, notes: &[(usize, &str)]) -> Vec<String> {
    let note = |id: usize| {
        let found = notes.iter().find(|(at, _)| *at == id);
        found.map_or("calm", |(_, note)| *note)
    };
    (0..count)
        .map(|id| format!("{{\"id\":{id},\"note\":\"{}\"}}", note(id)))
        .collect()
}

fn array(records: &[String]) -> String {
    format!("[{}]", records.join(","))
}

const ATTACK: &str = "1' or '1'='1' union select password from users --";

#[test]
fn an_attack_in_any_record_leaves_no_whole_request_behind() {
    let setting = start("records-block", "waf = \"own\"");
    let late = records(3000, &[(2900, ATTACK)]);
    let sequence: String = late.iter().map(|each| format!("\u{1e}{each}\n")).collect();
    for (target, body) in [
        (ARRAY, array(&late)),
        (LINES, late.join("\n")),
        (SEQUENCE, sequence),
    ] {
        let answer = setting.post(target, "", (&body, 1000));
        assert_eq!(
            (answer.status, &*answer.problem()),
            (403, "attack-detected")
        );
        let (content, is_whole) = setting.saw();
        assert!(!is_whole && body.as_bytes().starts_with(&content));
        assert!(!String::from_utf8(content).unwrap().contains("union"));
        let good = body.replace(ATTACK, "calm");
        assert_eq!(setting.post(target, "", (&good, 1000)).status, 200);
        assert_eq!(setting.saw(), (good.into_bytes(), true));
    }
    // The first one reaches nobody, and neither does what is in the head.
    let first = array(&records(9, &[(0, "<script")]));
    assert_eq!(setting.post(ARRAY, "", (&first, 7)).status, 403);
    let calm = array(&records(9, &[]));
    let target = ("/array?q=%3Cscript", ARRAY.1);
    assert_eq!(setting.post(target, "", (&calm, 7)).status, 403);
    let lines = setting.lines();
    assert_eq!(rules(&lines[0]), [10, 20, 30]);
    assert_eq!(lines[0]["waf"][0]["field"], "ARGS:json.2900.note");
    assert_eq!(lines[0]["reason"], "attack-detected");
    assert_eq!(lines[0]["stage"], "waf");
    assert_eq!(rules(&lines[1]), [30], "{}", lines[1]);
}

/// The verdict is the same however the body was split, and for a body that is collected.
#[test]
fn scores_of_records_add_up_wherever_the_body_is_split() {
    let setting = start("records-score", "waf = \"own\"");
    let odd = "X-Odd: 1\r\n";
    for (notes, lines, expected) in [
        (&[(0, "weak"), (3, "weak")][..], "", 200),
        (&[(0, "weak"), (3, "weak"), (5, "weak")], "", 403),
        // What the head has counts once, not with each record.
        (&[(2, "weak")], odd, 200),
        (&[(2, "weak"), (4, "weak")], odd, 403),
        (&[], odd, 200),
    ] {
        let body = array(&records(6, notes));
        for step in [1, 2, 3, 5, 17, 64, 1000] {
            let answer = setting.post(ARRAY, lines, (&body, step));
            assert_eq!(answer.status, expected, "{notes:?} {lines} by {step}");
        }
    }
    let told = setting.lines();
    assert_eq!(rules(&told[0]), [12, 30]);
    assert_eq!(rules(&told[7]), [12, 20, 30]);
    assert_eq!(told[7]["waf"][1]["message"], "Score 6");
    assert_eq!(rules(&told[14]), [13, 12, 30]);
}

#[test]
fn built_in_rules_and_exclusions_see_records_as_they_see_whole_bodies() {
    let more = "waf_exclusions = [{ rules = [\"1100-1199\"], pointer = \"/*/html\" }]";
    let setting = start("records-builtin", more);
    let script = "<script>alert(1)</script>";
    let record = |member: &str| format!("{{\"id\":1,\"{member}\":\"{script}\"}}");
    for (member, status) in [("html", 200), ("note", 403)] {
        let short = array(&[record(member)]);
        assert!(short.len() <= 64);
        assert_eq!(setting.whole(ARRAY, &short).status, status, "{member}");
        let mut long = records(50, &[]);
        long.push(record(member));
        let answer = setting.post(ARRAY, "", (&array(&long), 100));
        assert_eq!(answer.status, status, "{member}");
    }
    let lines = setting.lines();
    let fields: Vec<&Value> = lines.iter().map(|line| &line["waf"][0]["field"]).collect();
    assert_eq!(fields[2..], ["ARGS:json.0.note", "ARGS:json.50.note"]);
}

const NATIVE: &str = r#"
[[rule]]
id = 20001
name = "first-weak-word"
category = "words"
severity = "warning"
contains = "weak"
[[rule]]
id = 20002
name = "second-weak-word"
category = "words"
severity = "warning"
contains = "soft"
"#;

/// A native rule adds its score once to a body, of however many records, as to a body that is
/// collected.
#[test]
fn a_native_rule_counts_once_however_many_records_it_finds_something_in() {
    let setting = start(
        "records-native",
        "waf = \"native\"\n[waf.native]\nrules = [\"native.toml\"]\nmode = \"block\"",
    );
    for (notes, status) in [
        (&[(0, "weak")][..], 200),
        (&[(0, "weak"), (1, "weak"), (4, "weak")], 200),
        (&[(0, "weak"), (4, "soft")], 403),
        (&[(0, "weak soft")], 403),
    ] {
        let body = array(&records(6, notes));
        for step in [1, 7, 1000] {
            let answer = setting.post(ARRAY, "", (&body, step));
            assert_eq!(answer.status, status, "{notes:?} by {step}");
        }
    }
    // The same in one piece, which is collected.
    let short =
        |note: &str| format!("[{{\"id\":1,\"note\":\"{note}\"}},{{\"id\":2,\"note\":\"weak\"}}]");
    for (note, status) in [("weak", 200), ("soft", 403)] {
        let body = short(note);
        assert!(body.len() <= 64);
        assert_eq!(setting.whole(ARRAY, &body).status, status, "{note}");
    }
    let lines = setting.lines();
    assert_eq!(
        lines[3]["waf_scores"],
        serde_json::json!({ "words": 3, "total": 3 })
    );
    assert_eq!(
        lines[6]["waf_scores"],
        serde_json::json!({ "words": 6, "total": 6 })
    );
}

#[test]
fn detection_tells_each_finding_once_and_changes_nothing() {
    let setting = start("records-detect", "waf = \"own\"\nwaf_mode = \"detect\"");
    let all: Vec<(usize, &str)> = (0..2000).map(|id| (id, "weak <script")).collect();
    let body = array(&records(2000, &all));
    assert_eq!(setting.post(ARRAY, "", (&body, 5000)).status, 200);
    assert_eq!(setting.saw(), (body.into_bytes(), true));
    let before = setting.gateway.process.resident();
    let long = array(&records(20_000, &all));
    assert_eq!(setting.post(ARRAY, "", (&long, 5000)).status, 200);
    assert_eq!(setting.saw(), (long.into_bytes(), true));
    let grown = setting.gateway.process.resident().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more");
    assert!(
        setting
            .gateway
            .process
            .metric("portcullis_waf_pauses_total{shard=\"0\"}")
            > 0
    );
    let lines = setting.lines();
    assert_eq!(rules(&lines[0]), [11, 12, 20, 30]);
    assert_eq!(lines[0]["decision"], "forwarded");
}

/// A body that is passed on in many slices does not keep others waiting.
#[test]
fn neighbours_are_served_between_records() {
    let setting = start("records-slices", "waf = \"own\"");
    let body = array(&records(40_000, &[]));
    let mut heavy = setting.gateway.connect();
    std::thread::scope(|scope| {
        let process = &setting.gateway.process;
        let sender = scope.spawn(move || {
            heavy.send(format!(
                "POST /array HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ));
            heavy.send(&body);
            heavy.answer(false).status
        });
        let mut count = 0;
        while !sender.is_finished() {
            let mut light = process.connect();
            let request = "POST /array HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n[{\"id\":1}]";
            assert_eq!(light.ask(request).status, 200);
            count += 1;
        }
        assert_eq!(sender.join().unwrap(), 200);
        assert!(count > 1, "nobody was served meanwhile");
    });
}

#[test]
fn the_answer_is_inspected_as_well() {
    let setting = start("records-answer", "waf = \"own\"\nwaf_responses = \"all\"");
    let body = array(&records(30, &[(7, "weak")]));
    assert_eq!(setting.post(ARRAY, "", (&body, 50)).status, 200);
    let answer = setting.post(ARRAY, "X-Debug: 1\r\n", (&body, 50));
    assert_eq!(answer.problem(), "refused-response");
    let lines = setting.lines();
    assert_eq!(rules(&lines[0]), [12, 30]);
    assert_eq!(rules(&lines[1]), [12, 40, 30]);
    // What comes at the end of all knows of the records.
    assert_eq!(lines[0]["waf"][1]["message"], "After all: 2");
}

#[test]
fn what_no_record_is_shown_to_is_refused_at_load() {
    let inspector = "[api.app.operation.array]\nstream_body = \"1MiB\"\ninspector = \"scan\"\n[inspector.scan]\n\
                     upstream = \"app\"\npath = \"/\"\non_failure = \"closed\"\n";
    for (more, reason) in [
        ("", ""),
        ("waf_bodies = true", ""),
        ("waf_bodies = false", ""),
        (inspector, "a service outside is asked about whole bodies"),
        (&format!("{inspector}max_body = \"0B\"\n"), ""),
        (
            "[api.app.operation.array]\nstream_body = \"1MiB\"\n\
             ownership = [{ value = \"body./0/id\", claim = \"accounts\" }]",
            "ownership looks at whole bodies",
        ),
    ] {
        let (code, text) = setup(more).check("records-load");
        assert_eq!(code == Some(0), reason.is_empty(), "{more}: {text}");
        assert!(text.contains(reason), "{reason}: {text}");
    }
}
