//! The requests of the demo, one for each decision.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::cli::table::table;
use crate::policy::authn::sign::SigningKey;

pub const ISSUER: &str = "https://issuer.bank.example";
pub const AUDIENCE: &str = "https://api.bank.example";

/// Requests that a client may send at once; one more is refused.
pub const BURST: usize = 3;

/// For the whole of an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a token of the demo is good for.
const LIFE_S: i64 = 24 * 3600;

/// One request and what must come of it.
pub struct Case {
    what: &'static str,
    expected: u16,
    method: &'static str,
    path: &'static str,
    token: Option<String>,
    body: Option<&'static str>,
    /// How often it is sent before the answer counts.
    before: usize,
    /// What the bank tells and the client must not read.
    hidden: Option<&'static str>,
}

/// What came of a request.
pub struct Outcome {
    what: &'static str,
    expected: u16,
    got: u16,
    /// Whether the client reads what it must not.
    is_leaking: bool,
    request_id: String,
}

/// An answer of the gateway.
struct Answer {
    status: u16,
    request_id: String,
    text: String,
}

const BALANCES: &str = "/accounts/a-1/balances";
const PAYMENT: &str =
    r#"{"from":"a-1","to":"DE02120300000000202051","amount":1250,"currency":"EUR"}"#;
const BAD_PAYMENT: &str =
    r#"{"from":"a-1","to":"DE02120300000000202051","amount":-5,"currency":"EUR"}"#;

pub fn cases(key: &SigningKey) -> Result<Vec<Case>, String> {
    // A client each, so that one case does not use up the rate of another.
    let token = |client: &str, scope: &str, life_s: i64| -> Result<Option<String>, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(|_| "the clock stands before 1970")?.as_secs() as i64;
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": client, "scope": scope,
            "iat": now, "exp": now + life_s, "accounts": ["a-1", "a-2"],
        });
        key.sign(&claims).map(Some)
    };
    let get = |what, expected, path, token| Case {
        what,
        expected,
        method: "GET",
        path,
        token,
        body: None,
        before: 0,
        hidden: None,
    };
    let post = |what, expected, body, token| Case {
        body: Some(body),
        method: "POST",
        ..get(what, expected, "/payments", token)
    };
    let read = "read:accounts";
    let write = "write:payments";
    Ok(vec![
        get(
            "read the balances of my account",
            200,
            BALANCES,
            token("reader", read, LIFE_S)?,
        ),
        post(
            "make a payment",
            201,
            PAYMENT,
            token("payer", write, LIFE_S)?,
        ),
        Case {
            hidden: Some("ledger"),
            ..post(
                "an answer rid of an undeclared member",
                201,
                PAYMENT,
                token("payer-4", write, LIFE_S)?,
            )
        },
        post(
            "a payment of a negative amount",
            400,
            BAD_PAYMENT,
            token("payer-2", write, LIFE_S)?,
        ),
        get(
            "a parameter that is not declared",
            400,
            "/accounts/a-1/balances?debug=1",
            token("reader-2", read, LIFE_S)?,
        ),
        get(
            "a response with an undeclared member",
            502,
            "/accounts/a-2/balances",
            token("reader-6", read, LIFE_S)?,
        ),
        get("no token", 401, BALANCES, None),
        get(
            "a token that has expired",
            401,
            BALANCES,
            token("late", read, -60)?,
        ),
        get(
            "a token without the scope",
            403,
            BALANCES,
            token("payer-3", write, LIFE_S)?,
        ),
        get(
            "someone else's account",
            403,
            "/accounts/b-9/balances",
            token("reader-3", read, LIFE_S)?,
        ),
        get(
            "an operation that is not declared",
            404,
            "/accounts/a-1/secrets",
            token("reader-4", read, LIFE_S)?,
        ),
        Case {
            method: "DELETE",
            ..get(
                "a method that is not declared",
                405,
                BALANCES,
                token("reader-5", read, LIFE_S)?,
            )
        },
        Case {
            before: BURST,
            ..get(
                "more requests than the client may send",
                429,
                BALANCES,
                token("eager", read, LIFE_S)?,
            )
        },
    ])
}

/// Sends every case to the gateway.
pub fn run(address: SocketAddr, cases: &[Case]) -> Result<Vec<Outcome>, String> {
    let outcomes = cases.iter().map(|case| {
        for _ in 0..case.before {
            ask(address, case)?;
        }
        let answer = ask(address, case)?;
        Ok(Outcome {
            what: case.what,
            expected: case.expected,
            got: answer.status,
            is_leaking: case.hidden.is_some_and(|text| answer.text.contains(text)),
            request_id: answer.request_id,
        })
    });
    let outcomes: Result<Vec<_>, std::io::Error> = outcomes.collect();
    outcomes.map_err(|error| format!("the gateway does not answer: {error}"))
}

fn ask(address: SocketAddr, case: &Case) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(case.wire(address).as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let mut lines = text.lines();
    let id = lines.find_map(|line| line.strip_prefix("X-Request-ID: "));
    Ok(Answer {
        status: status.unwrap_or(0),
        request_id: id.unwrap_or_default().to_owned(),
        text,
    })
}

impl Case {
    fn wire(&self, address: SocketAddr) -> String {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n",
            self.method, self.path
        );
        if let Some(token) = &self.token {
            text.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        match self.body {
            Some(body) => text.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )),
            None => text.push_str("\r\n"),
        }
        text
    }

    fn curl(&self, address: SocketAddr) -> String {
        let mut command = format!("curl -i 'http://{address}{}'", self.path);
        if self.method != "GET" && self.body.is_none() {
            command.push_str(&format!(" -X {}", self.method));
        }
        if let Some(token) = &self.token {
            command.push_str(&format!(" -H 'Authorization: Bearer {token}'"));
        }
        if let Some(body) = self.body {
            command.push_str(&format!(" -H 'Content-Type: application/json' -d '{body}'"));
        }
        match self.before {
            0 => command,
            before => format!("for i in $(seq {}); do {command}; done", before + 1),
        }
    }
}

/// What a person reads who has just started the demo.
pub fn introduction(
    gateway: SocketAddr,
    admin: SocketAddr,
    bank: SocketAddr,
    cases: &[Case],
) -> String {
    let mut text = format!(
        "The gateway listens on http://{gateway}, the bank behind it on http://{bank}.\n\
         Metrics: http://{admin}/metrics. The access log follows; Ctrl-C ends everything.\n\
         Paste these into another terminal:\n\n"
    );
    for case in cases {
        text.push_str(&format!(
            "# {}: {}\n{}\n\n",
            case.expected,
            case.what,
            case.curl(gateway)
        ));
    }
    text
}

/// Prints the table; an error if an answer was not the expected one.
pub fn report(outcomes: &[Outcome], log: &str) -> Result<(), String> {
    let rows: Vec<[String; 5]> = outcomes
        .iter()
        .map(|outcome| {
            let line = line_of(log, &outcome.request_id);
            let spent = ["before_us", "after_us"].map(|key| line[key].as_f64().unwrap_or(0.0));
            [
                outcome.what.to_owned(),
                outcome.expected.to_string(),
                outcome.got.to_string(),
                line["stage"].as_str().unwrap_or("-").to_owned(),
                format!("{:.1}", spent[0] + spent[1]),
            ]
        })
        .collect();
    print!(
        "{}",
        table(
            [
                "request",
                "expected",
                "got",
                "stage that decided",
                "us in the gateway"
            ],
            &rows
        )
    );
    let wrong = outcomes
        .iter()
        .filter(|outcome| outcome.got != outcome.expected || outcome.is_leaking)
        .count();
    match wrong {
        0 => Ok(()),
        wrong => Err(format!(
            "{wrong} of {} answers are not as expected",
            outcomes.len()
        )),
    }
}

fn line_of(log: &str, request_id: &str) -> Value {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines = lines.filter(|line| line["request_id"] == request_id);
    lines.next().unwrap_or(Value::Null)
}
