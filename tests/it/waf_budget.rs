//! How much of a message is looked at: each bound at its limit and past it, whatever the way, and
//! who is told of it.

use std::sync::Arc;

use portcullis::config::rules::builtin;
use portcullis::policy::waf::budget::{Bound, Budget, Exceeded};
use portcullis::policy::waf::draft::Engine;
use portcullis::policy::waf::fuel::Fuel;
use portcullis::policy::waf::inspection::{Inspection, Reason, Tuning, Verdict};
use portcullis::policy::waf::load::{Settings, load};
use portcullis::policy::waf::memory::Memory;
use portcullis::policy::waf::message::{Headers, Request, Response};
use portcullis::policy::waf::rule::RuleSet;
use portcullis::policy::waf::seclang::Files;
use portcullis::policy::waf::view::View;
use serde_json::{Value, json};

use crate::gateway::{Answer, backend};
use crate::setup::{Running, Setup};

const JSON: &str = "application/json";
const XML: &str = "text/xml";
const FORM: &str = "application/x-www-form-urlencoded";

/// A media type and a body of it.
type Body = (&'static str, String);

fn bodies() -> Vec<Body> {
    let attack = "1' or '1'='1' union select password from users -- ";
    let encoded = "%2525%2527 \\u003cscript&#62; /**/ ..%252f..%252fetc%252fpasswd ${jndi:x} ";
    let prose = "Please ring twice, the bell is old; it's <3 metres to the door. ";
    let mut all = Vec::new();
    for text in ["", "7", prose, attack, encoded] {
        let long = text.repeat(40);
        let packed = json!({ "inner": [long, 1, true] }).to_string();
        let document = json!({ "a": text, "b": [{ "c": long, "d": 12.5e3 }], "e": packed });
        all.push((JSON, document.to_string()));
        let escaped = percent(&long);
        all.push((FORM, format!("a={}&b={escaped}&b=2", percent(text))));
    }
    all
}

fn percent(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    text.bytes().map(escape).collect()
}

/// In which ways the same is looked at.
#[derive(Clone, Copy, Debug)]
struct Way {
    exhaustive: bool,
    is_warm: bool,
    slice: usize,
}

fn ways() -> Vec<Way> {
    let mut all = Vec::new();
    for exhaustive in [false, true] {
        for is_warm in [false, true] {
            for slice in [usize::MAX, 500] {
                all.push(Way {
                    exhaustive,
                    is_warm,
                    slice,
                });
            }
        }
    }
    all
}

/// What came of it.
#[derive(Debug)]
struct Outcome {
    verdict: Verdict,
    exceeded: Exceeded,
    steps: usize,
}

struct Shard {
    rules: Arc<RuleSet>,
    memory: Memory,
}

impl Shard {
    fn new() -> Shard {
        Shard {
            rules: builtin::rule_set(),
            memory: Memory::default(),
        }
    }

    fn begin(&mut self, budget: Budget, way: Way) -> Inspection {
        if !way.is_warm {
            self.memory.forget();
        }
        let tuning = Tuning {
            engine: Engine::On,
            budget,
            exhaustive: way.exhaustive,
            ..Tuning::default()
        };
        let mut inspection = Inspection::default();
        inspection.begin(&self.rules, tuning);
        inspection.look_at(&Arc::new(View::default()));
        inspection
    }

    fn run(&mut self, inspection: &mut Inspection, way: Way) -> Verdict {
        loop {
            let fuel = &mut Fuel::of(way.slice);
            let verdict = inspection.advance(&self.rules, &mut self.memory, fuel);
            if let Some(verdict) = verdict {
                return verdict;
            }
        }
    }

    fn show(
        &mut self,
        inspection: &mut Inspection,
        (media_type, body): &Body,
        way: Way,
    ) -> Verdict {
        let fields = [
            (&b"Host"[..], &b"h"[..]),
            (b"Content-Type", media_type.as_bytes()),
        ];
        let request = Request {
            method: b"POST",
            target: b"/orders?q=blue",
            version: b"HTTP/1.1",
            headers: Headers::Pairs(&fields),
            peer: None,
            local: None,
            id: b"1",
        };
        inspection.enter_head(&self.rules, &request);
        let mut verdict = self.run(inspection, way);
        if verdict == Verdict::Pass {
            inspection.enter_body(&self.rules, body.as_bytes());
            verdict = self.run(inspection, way);
        }
        verdict
    }

    fn look(&mut self, body: &Body, budget: Budget, way: Way) -> Outcome {
        let mut inspection = self.begin(budget, way);
        let verdict = self.show(&mut inspection, body, way);
        Outcome {
            verdict,
            exceeded: inspection.exceeded(),
            steps: inspection.steps(),
        }
    }
}

#[test]
fn a_message_takes_the_same_steps_in_every_way() {
    let mut shard = Shard::new();
    for body in &bodies() {
        let first = shard.look(body, Budget::default(), ways()[0]);
        assert!(!first.exceeded.any());
        for way in ways() {
            let outcome = shard.look(body, Budget::default(), way);
            assert_eq!(outcome.steps, first.steps, "{way:?} {body:?}");
            assert_eq!(outcome.verdict, first.verdict, "{way:?} {body:?}");
            for (steps, is_over) in [(first.steps, false), (first.steps - 1, true)] {
                let budget = Budget {
                    steps,
                    ..Budget::default()
                };
                let outcome = shard.look(body, budget, way);
                let exceeded = outcome.exceeded;
                assert_eq!(exceeded.contains(Bound::Steps), is_over, "{way:?} {body:?}");
                match is_over {
                    true => assert_ne!(outcome.verdict, Verdict::Pass, "{way:?} {body:?}"),
                    false => assert_eq!(outcome.verdict, first.verdict, "{way:?} {body:?}"),
                }
            }
        }
    }
}

/// The search for the limit finds the same one, whatever the way.
#[test]
fn variants_are_refused_from_one_too_many_in_every_way() {
    let mut shard = Shard::new();
    let (media_type, value) = (FORM, "%2525%2527 \\u003cscript&#62; /**/  a\tb");
    let body = (media_type, format!("a={}", percent(value)));
    let limits: Vec<usize> = ways()
        .into_iter()
        .map(|way| {
            let within = |variants: &usize| {
                let budget = Budget {
                    variants: *variants,
                    ..Budget::default()
                };
                let outcome = shard.look(&body, budget, way);
                let is_over = outcome.exceeded.contains(Bound::Variants);
                let refused = Verdict::Refuse(Reason::Budget);
                assert!(!is_over || outcome.verdict != Verdict::Pass);
                assert!(is_over || outcome.verdict != refused);
                !is_over
            };
            (1..100).find(within).unwrap()
        })
        .collect();
    assert!(limits.iter().all(|&limit| limit == limits[0]), "{limits:?}");
    assert!(limits[0] > 3, "{limits:?}");
    let plain = (FORM, "a=plain".to_owned());
    let budget = Budget {
        variants: 1,
        ..Budget::default()
    };
    for way in ways() {
        let outcome = shard.look(&plain, budget, way);
        assert_eq!(outcome.verdict, Verdict::Pass, "{way:?}");
    }
}

/// An answer has a budget of its own.
#[test]
fn steps_of_an_answer_are_counted_from_its_head_on() {
    let mut shard = Shard::new();
    let body = bodies().remove(0);
    let steps = shard.look(&body, Budget::default(), ways()[0]).steps;
    let budget = Budget {
        steps,
        ..Budget::default()
    };
    let way = ways()[0];
    let mut inspection = shard.begin(budget, way);
    // The request takes all that there is.
    assert_eq!(shard.show(&mut inspection, &body, way), Verdict::Pass);
    assert_eq!(inspection.steps(), steps);
    let response = Response {
        status: 200,
        version: b"HTTP/1.1",
        headers: Headers::Pairs(&[]),
        is_decoded: false,
    };
    inspection.enter_response_head(&shard.rules, &response, 1000);
    assert_eq!(shard.run(&mut inspection, way), Verdict::Pass);
    assert!(inspection.steps() < steps && !inspection.exceeded().any());
}

/// Rules of this text, ready to look at a body in JSON.
fn looking(text: &str) -> (Shard, Inspection) {
    let files = Files {
        read: &|_| Ok(text.as_bytes().to_vec()),
        list: &|_| Ok(Vec::new()),
    };
    let loaded = load(&["rules.conf"], files, &Settings::default()).unwrap();
    let mut shard = Shard {
        rules: Arc::new(loaded.rules),
        memory: Memory::default(),
    };
    let way = ways()[0];
    let mut inspection = shard.begin(Budget::default(), way);
    let body: Body = (JSON, "[]".to_owned());
    assert_eq!(shard.show(&mut inspection, &body, way), Verdict::Pass);
    (shard, inspection)
}

/// What rules take out of other rules for one record, they do not take out for the next.
#[test]
fn exemptions_of_a_record_end_with_it() {
    let (mut shard, mut inspection) = looking(
        "SecRule ARGS \"@contains one\" \"id:5,phase:2,pass,nolog,ctl:ruleRemoveById=11\"\n\
         SecRule ARGS \"@contains two\" \"id:6,phase:2,pass,nolog,ctl:ruleRemoveTargetById=11;ARGS\"\n\
         SecRule ARGS \"@contains evil\" \"id:11,phase:2,deny,log\"\n",
    );
    inspection.mark();
    for (record, is_refused) in [
        ("{\"a\":\"one evil\"}", false),
        ("{\"a\":\"evil\"}", true),
        ("{\"a\":\"two evil\"}", false),
        ("{\"a\":\"evil\"}", true),
    ] {
        inspection.rewind();
        inspection.enter_record(&shard.rules, record.as_bytes(), Some(0));
        let verdict = shard.run(&mut inspection, ways()[0]);
        assert_eq!(verdict != Verdict::Pass, is_refused, "{record}");
    }
}

/// However many rules find something, no more is kept than a log line could tell.
#[test]
fn findings_are_bounded() {
    let rules = (0..300).map(|at| {
        let id = 1000 + at;
        format!("SecRule ARGS \"@contains evil\" \"id:{id},phase:2,pass,log\"\n")
    });
    let (mut shard, mut inspection) = looking(&rules.collect::<String>());
    inspection.mark();
    inspection.enter_record(&shard.rules, b"{\"a\":\"evil\"}", Some(0));
    assert_eq!(shard.run(&mut inspection, ways()[0]), Verdict::Pass);
    assert_eq!(inspection.hits().len(), 256);
}

const RULES: &str = r#"
SecRule ARGS "@contains needle" "id:10,phase:2,deny,log,t:urlDecodeUni,t:htmlEntityDecode,t:jsDecode,\
  t:lowercase,msg:'Needle'"
SecRule ARGS "@rx b.*c" "id:11,phase:2,pass,log,t:none,msg:'Letters'"
SecRule ARGS "@rx (?:<>b)+$" "id:12,phase:2,pass,nolog,t:none"
SecRule ARGS "@rx (?:b<>)+$" "id:13,phase:2,pass,nolog,t:none"
SecRule RESPONSE_BODY "@contains needle" "id:20,phase:4,deny,log,t:none,msg:'Needle'"
"#;

fn setup(waf: &str) -> Setup<'static> {
    Setup::paths("app", &["/a"], &["POST"])
        .rules(RULES, waf)
        .api("waf = \"own\"\nmax_body = \"1MiB\"")
}

fn start(name: &str, waf: &str) -> Running {
    let straw = backend(|_, mut client| {
        while client.request().is_some() {
            let body = "straw ".repeat(500);
            client.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
    });
    setup(waf).start(name, straw)
}

fn post(gateway: &Running, (media_type, body): &Body) -> Answer {
    gateway.ask(format!(
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn nested(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
}

fn nested_objects(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

fn nested_elements(levels: usize) -> String {
    format!("{}b{}", "<a>".repeat(levels), "</a>".repeat(levels))
}

/// What is at the limit, what is past it, and of which bound.
fn limits() -> Vec<(&'static str, Body, Body)> {
    let form = |count: usize| {
        let fields: Vec<String> = (0..count).map(|at| format!("f{at}=1")).collect();
        fields.join("&")
    };
    let list = |count: usize| json!(vec![1; count]).to_string();
    let text = |length: usize| json!(["b".repeat(length)]).to_string();
    vec![
        (
            "bytes",
            (FORM, format!("a={}", "x".repeat(3000))),
            (FORM, format!("a={}", "x".repeat(5000))),
        ),
        ("bytes", (JSON, text(3000)), (JSON, text(5000))),
        ("values", (FORM, form(20)), (FORM, form(70))),
        ("values", (JSON, list(20)), (JSON, list(70))),
        ("depth", (JSON, nested(5)), (JSON, nested(6))),
        (
            "depth",
            (JSON, nested_objects(5)),
            (JSON, nested_objects(6)),
        ),
        (
            "depth",
            (XML, nested_elements(5)),
            (XML, nested_elements(6)),
        ),
        (
            "depth",
            (FORM, format!("a={}", percent(&nested(5)))),
            (FORM, format!("a={}", percent(&nested(6)))),
        ),
        (
            "variants",
            (FORM, "a=%2541&b=B".to_owned()),
            (FORM, "a=%252541%26amp%3b%5Cu0041".to_owned()),
        ),
        (
            "variants",
            (JSON, "[\"%41\"]".to_owned()),
            (JSON, "[\"%2541&amp;\\\\u0041\"]".to_owned()),
        ),
        (
            "steps",
            (FORM, "a=b".to_owned()),
            (FORM, {
                let fields = (0..12).map(|at| format!("a{at}={}", "b<>".repeat(90)));
                fields.collect::<Vec<_>>().join("&")
            }),
        ),
        (
            "steps",
            (JSON, "[\"b\"]".to_owned()),
            (JSON, json!(vec!["b<>".repeat(90); 12]).to_string()),
        ),
    ]
}

const BUDGET: &str =
    "max_bytes = \"4KiB\"\nmax_values = 60\nmax_depth = 5\nmax_variants = 2\nmax_steps = 12000";

#[test]
fn each_bound_is_refused_past_its_limit_and_told_by_name() {
    let waf = format!("mode = \"block\"\n{BUDGET}");
    let gateway = start("waf-budget-block", &waf);
    for (bound, within, beyond) in limits() {
        assert_eq!(post(&gateway, &within).status, 200, "{bound} {within:?}");
        let answer = post(&gateway, &beyond);
        assert_eq!(answer.status, 413, "{bound} {beyond:?}");
        assert_eq!(answer.problem(), "too-much-to-inspect");
    }
    for bound in ["bytes", "values", "depth", "variants", "steps"] {
        let name = format!("portcullis_waf_over_budget_total{{budget=\"{bound}\"}}");
        let told = limits().iter().filter(|limit| limit.0 == bound).count();
        gateway.process.counts(&name, told as u64);
    }
    let lines = gateway.lines();
    for (at, (bound, ..)) in limits().into_iter().enumerate() {
        assert_eq!(lines[at * 2].get("waf_over_budget"), None, "{bound}");
        let line = &lines[at * 2 + 1];
        assert_eq!(line["waf_over_budget"], json!([bound]), "{line}");
    }
}

#[test]
fn what_is_only_reported_passes_is_looked_at_as_far_as_it_goes_and_is_told() {
    for waf in [
        "mode = \"block\"\nover_budget = \"report\"",
        "mode = \"detect\"",
    ] {
        let gateway = start("waf-budget-report", &format!("{waf}\n{BUDGET}"));
        for (bound, _, beyond) in limits() {
            assert_eq!(post(&gateway, &beyond).status, 200, "{waf} {bound}");
        }
        // What is within the budget is looked at all the same.
        let found = (FORM, format!("a=needle&b={}", "x".repeat(5000)));
        let status = if waf.contains("report") { 403 } else { 200 };
        let answer = post(&gateway, &found);
        assert_eq!(
            answer.status,
            status,
            "{waf} {}",
            gateway.lines().last().unwrap()
        );
        let encoded = (FORM, "a=%252541%26amp%3b%5Cu004eneedle".to_owned());
        assert_eq!(post(&gateway, &encoded).status, status, "{waf}");
        let lines = gateway.lines();
        let told: Vec<&Value> = lines.iter().map(|line| &line["waf_over_budget"]).collect();
        for ((bound, ..), told) in limits().into_iter().zip(told) {
            assert_eq!(told, &json!([bound]), "{waf}");
        }
    }
}

#[test]
fn an_answer_past_its_budget_is_refused_or_told() {
    let small: Body = (FORM, "a=b".to_owned());
    for (waf, status, bound) in [
        ("mode = \"block\"\nmax_steps = 2000", 502, Some("steps")),
        ("mode = \"block\"\nmax_steps = 9000", 200, None),
        ("mode = \"detect\"\nmax_steps = 2000", 200, Some("steps")),
        (
            "mode = \"detect\"\nmax_response_bytes = \"1KiB\"",
            200,
            Some("bytes"),
        ),
    ] {
        let waf = format!("responses = \"all\"\n{waf}");
        let gateway = start("waf-budget-answer", &waf);
        assert_eq!(post(&gateway, &small).status, status, "{waf}");
        let lines = gateway.lines();
        let told = lines[0].get("waf_over_budget");
        assert_eq!(told, bound.map(|bound| json!([bound])).as_ref(), "{waf}");
    }
}

#[test]
fn bounds_that_make_no_sense_are_refused_at_load() {
    let waf = "max_values = 0\nmax_depth = 257\nmax_variants = 0\nmax_steps = 0";
    let (code, text) = setup(waf).check("waf-budget-check");
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(text.matches("nothing at all would be").count(), 3, "{text}");
    assert!(text.contains("documents are not read so deeply"), "{text}");
}
