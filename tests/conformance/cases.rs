//! The cases of the regression suite: the files that the project of the rule set publishes, as a
//! checkout of its repository has them, or `regression-cases.jsonl` with one case a line.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::policy::contract::openapi::yaml;
use serde_json::{Value, json};

use crate::request::Case;

const LINES: &str = "regression-cases.jsonl";

/// Whether the cases are all that the project has, and not the part that somebody wrote as lines.
pub fn is_whole(root: &Path) -> bool {
    !root.join(LINES).is_file()
}

/// All that there are below the folder of the rule set, in the order of their files.
pub fn cases(root: &Path) -> Vec<Case> {
    let lines = root.join(LINES);
    if !is_whole(root) {
        let text = fs::read_to_string(lines).unwrap();
        let cases = text.lines().map(|line| serde_json::from_str(line).unwrap());
        return cases.collect();
    }
    let folder = root.join("tests/regression/tests");
    assert!(
        folder.is_dir(),
        "neither {} nor {} is there",
        lines.display(),
        folder.display()
    );
    let files = files(&folder).into_iter();
    files.flat_map(|file| published(&file)).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The cases of one file, whose folder has the name of the file of the rules.
fn published(file: &Path) -> Vec<Case> {
    let text = fs::read_to_string(file).unwrap();
    let group = file.parent().and_then(Path::file_name).unwrap();
    read(&text, &group.to_string_lossy())
        .unwrap_or_else(|faults| panic!("{}: {faults:?}", file.display()))
}

fn read(text: &str, group: &str) -> Result<Vec<Case>, Vec<yaml::Fault>> {
    // Some files hold comments alone.
    if text
        .lines()
        .all(|line| matches!(line.trim(), "" | "---") || line.trim_start().starts_with('#'))
    {
        return Ok(Vec::new());
    }
    let root = yaml::read(text)?.root;
    let tests = root["tests"].as_array().into_iter().flatten();
    let cases = tests.map(|test| {
        let stages = test["stages"].as_array().into_iter().flatten();
        let case = json!({
            "id": format!("{}-{}", root["rule_id"], test["test_id"]),
            "group": group,
            "stages": stages.map(stage).collect::<Vec<Value>>(),
        });
        serde_json::from_value(case).unwrap()
    });
    Ok(cases.collect())
}

/// What is sent, and what is expected of the log, in one.
fn stage(written: &Value) -> Value {
    let mut stage = written["input"].clone();
    let log = &written["output"]["log"];
    for expected in ["expect_ids", "no_expect_ids"] {
        let ids = log.get(expected).cloned().unwrap_or_else(|| json!([]));
        stage[expected] = ids;
    }
    for text in ["method", "uri", "version", "data"] {
        // A text that is written as a number is sent as it is written.
        if let Some(Value::Number(number)) = stage.get(text) {
            stage[text] = json!(number.to_string());
        }
    }
    stage
}

/// One file of the form that is published, of our own.
#[test]
fn cases_are_read_as_they_are_published() {
    let text = r#"---
meta:
  author: nobody
rule_id: 100
tests:
  - test_id: 7
    desc: |
      Two lines,
      and two stages.
    stages:
      - input:
          dest_addr: "127.0.0.1"
          port: 80
          method: POST
          headers:
            Host: localhost
            X-Number: 5
          uri: "/a"
          data: 17
        output:
          log:
            expect_ids: [100, 101]
      - input:
          autocomplete_headers: false
          encoded_request: R0VUIC8gSFRUUC8xLjENCg0K
        output:
          status: 400
"#;
    let cases = read(text, "GROUP").unwrap();
    assert_eq!((cases.len(), &*cases[0].id), (1, "100-7"));
    assert_eq!(cases[0].group, "GROUP");
    let [first, second] = &cases[0].stages[..] else {
        panic!("two stages");
    };
    assert_eq!(first.expect_ids, [100, 101]);
    assert!(first.no_expect_ids.is_empty() && second.expect_ids.is_empty());
    let sent = first.sent();
    assert_eq!(
        (&*sent.method, &*sent.target, &*sent.body),
        (&b"POST"[..], &b"/a"[..], &b"17"[..])
    );
    assert!(
        sent.headers
            .contains(&(b"X-Number".to_vec(), b"5".to_vec()))
    );
    assert!(
        sent.headers
            .contains(&(b"Content-Length".to_vec(), b"2".to_vec()))
    );
    assert_eq!(second.sent().version, b"HTTP/1.1");
    assert!(second.sent().headers.is_empty());
    assert!(read("---\n# nothing\n", "GROUP").unwrap().is_empty());
    assert!(read("a: [", "GROUP").is_err());
}
