//! Mistakes of who writes a configuration for the first time: each is told once, with its place and
//! what to write.

use std::process::Command;

use rustix::process::geteuid;

use crate::process::{Directory, portcullis, run};
use crate::setup::Setup;

const DOCUMENT: &str = r"
openapi: 3.1.0
info: { title: Shop, version: '1' }
paths:
  /a:
    get:
      operationId: a
      responses: { '200': { description: ok }, '4XX': { description: refused } }
";

/// Nothing is asked of the backend.
const NOBODY: ([u8; 4], u16) = ([127, 0, 0, 1], 9);

fn setup() -> Setup<'static> {
    Setup::new("shop", DOCUMENT).with_issuer()
}

#[test]
fn one_mistake_is_told_once_and_with_what_to_write() {
    let mut wrong = Vec::new();
    for (from, to, place, words) in [
        (
            "algorithms = [\"ES256\"]",
            "algorithms = \"ES256\"",
            "gateway.toml:13:14",
            "write it in brackets: algorithms = [\"ES256\"]",
        ),
        (
            "audiences = [\"api\"]",
            "audiences = [1]",
            "gateway.toml:12:14",
            "integer is not expected here",
        ),
        (
            "[[listener]]",
            "[listener]",
            "gateway.toml:8:1",
            "write [[listener]], in two pairs of brackets",
        ),
        (
            "[upstream.shop]",
            "[upstream]",
            "gateway.toml:16:1",
            "write [upstream.NAME] above it",
        ),
        (
            "[issuer.bank]",
            "[issuer]",
            "gateway.toml:11:1",
            "write [issuer.NAME] above it",
        ),
        (
            "[api.shop]",
            "[api]",
            "gateway.toml:18:1",
            "write [api.NAME] above it",
        ),
        (
            "[upstream.shop]\naddress",
            "[upstream.shop]\nadress",
            "gateway.toml:16:1",
            "did you mean `address`?",
        ),
        (
            "issuer = \"bank\"\n\n",
            "isuer = \"bank\"\n\n",
            "gateway.toml:21:1",
            "did you mean `issuer`?",
        ),
        (
            "owner = \"team-shop\"",
            "owner = \"team-shop\"\nshards = 1",
            "gateway.toml:21:1",
            "`shards` is a key of [server]",
        ),
        (
            "owner = \"team-shop\"",
            "owner = \"team-shop\"\nminimum_version = \"1.3\"",
            "gateway.toml:21:1",
            "`minimum_version` is a key of [listener.tls]",
        ),
        (
            "owner = \"team-shop\"",
            "owner: \"team-shop\"",
            "gateway.toml:20:6",
            "write `=` in place of `:`",
        ),
        (
            "owner = \"team-shop\"",
            "owner = \"team-shop\";",
            "gateway.toml:20:20",
            "leave it out",
        ),
        (
            "owner = \"team-shop\"",
            "owner = team-shop",
            "gateway.toml:20:9",
            "write texts in quotes",
        ),
        (
            "owner = \"team-shop\"",
            "owner = \"team-shop\"\nowner = \"other\"",
            "gateway.toml:21:1",
            "`owner` stands here a second time",
        ),
        (
            "[api.shop]",
            "[upstream.shop]\naddress = \"127.0.0.1:9\"\n[api.shop]",
            "gateway.toml:17:11",
            "`shop` stands here a second time",
        ),
        (
            "[api.shop]",
            "location /a {\n}\n[api.shop]",
            "gateway.toml:17:",
            "write [NAME] above the keys",
        ),
    ] {
        let (code, told) = setup().replacing(from, to).check("newcomer");
        assert_eq!(code, Some(1), "{to}: {told}");
        let is_told_once = told.ends_with("\n1 error: nothing was loaded\n");
        if !is_told_once || !told.contains(place) || !told.contains(words) {
            wrong.push(format!("{to}: {place} {words} in {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_document_with_tabs_is_told_what_to_indent_with() {
    let document = DOCUMENT.replace("  /a:", "\t/a:");
    let (code, told) = Setup::new("shop", &document).check("newcomer-tabs");
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("api.yaml:5:2") && told.contains("spaces"),
        "{told}"
    );
}

/// What editors of other systems leave in a file changes nothing.
#[test]
fn marks_and_line_ends_of_other_systems_change_nothing() {
    let document = format!("\u{feff}{DOCUMENT}").replace('\n', "\r\n");
    let (directory, _) = Setup::new("shop", &document).write("newcomer-ends", NOBODY.into());
    let config = std::fs::read_to_string(directory.path("gateway.toml")).unwrap();
    let config = format!("\u{feff}{config}").replace('\n', "\r\n");
    directory.write("gateway.toml", &config);
    let (code, told) = directory.check(&["--strict"]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn a_configuration_that_is_not_there_or_no_text_is_told_without_a_place_in_it() {
    let directory = Directory::new("newcomer-lost");
    directory.write("utf16.toml", "");
    std::fs::write(directory.path("utf16.toml"), b"\xff\xfe[\0a\0]\0").unwrap();
    for command in ["run", "check"] {
        for (path, message, hint) in [
            (
                "lost.toml",
                "there is no configuration",
                "portcullis import",
            ),
            ("", "is a directory", "--config FILE"),
            ("utf16.toml", "is not in UTF-8", "save it in UTF-8"),
        ] {
            let path = directory.path(path);
            let output = run(&[command, "--config", &path]);
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{told}");
            for words in [message, &path, hint] {
                assert!(told.contains(words), "{words} in {told}");
            }
            assert!(!told.contains(":1:1"), "{told}");
        }
    }
}

#[test]
fn words_of_the_command_line_that_are_not_known_are_answered_with_those_that_are() {
    for command in ["run", "check"] {
        let output = run(&[command, "gateway.toml"]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("[--config FILE]"), "{told}");
    }
    let directory = Directory::new("newcomer-import");
    directory.write("api.yaml", DOCUMENT);
    directory.write("there.toml", "");
    let (document, there) = (directory.path("api.yaml"), directory.path("there.toml"));
    let output = run(&["import", &document, "-o", &there]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told.contains(&there) && told.contains("name another with -o"),
        "{told}"
    );
}

#[test]
fn what_this_machine_does_not_give_is_told_with_what_to_do() {
    let setup = setup().replacing("\"access.log\"", "\"no/such/access.log\"");
    let (directory, _) = setup.write("newcomer-log", NOBODY.into());
    let output = run(&["run", "--config", &directory.path("gateway.toml")]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("no/such/access.log") && told.contains("`access` of"),
        "{told}"
    );

    // An address that is for documentation is nobody's.
    let told = run_on("192.0.2.1:8080", portcullis);
    assert!(
        told.contains("no interface of this machine has it"),
        "{told}"
    );
}

#[test]
fn a_port_that_only_root_may_have_is_told_with_who_else_may() {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first.trim().parse::<u16>().unwrap() <= 80 {
        eprintln!("newcomer: this machine gives port 80 to everybody: NOTHING IS TESTED HERE");
        return;
    }
    let told = run_on("127.0.0.1:80", |arguments| {
        let mut command = Command::new("setpriv");
        // Root without the capability is as anybody else.
        if geteuid().is_root() {
            command.args(["--bounding-set=-net_bind_service", "--"]);
        }
        command.arg(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments);
        command
    });
    assert!(told.contains("CAP_NET_BIND_SERVICE"), "{told}");
}

/// What a gateway says that cannot listen on this address.
fn run_on(address: &str, command: impl FnOnce(&[&str]) -> Command) -> String {
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"";
    let setup = setup().replacing(listener, &listener.replace("127.0.0.1:0", address));
    let (directory, _) = setup.write("newcomer-address", NOBODY.into());
    let output = command(&["run", "--config", &directory.path("gateway.toml")])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let refused = format!("{address} cannot be listened on");
    assert!(told.contains(&refused) && told.contains("hint: "), "{told}");
    told
}
