//! Descriptions that others have published, as `tests/published` fetches them: `import` ends in
//! time with a configuration or a list of errors, and what it writes loads.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// For one command on one description. The largest has 13 MB; unoptimised code is slow.
const PATIENCE: Duration = Duration::from_secs(180);

pub fn directory() -> PathBuf {
    let fetched = std::env::var_os("PORTCULLIS_PUBLISHED");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/published");
    fetched.map_or(own, PathBuf::from)
}

pub fn documents() -> Vec<PathBuf> {
    let packages = std::fs::read_dir(directory())
        .into_iter()
        .flatten()
        .flatten();
    let files = packages.filter_map(|package| std::fs::read_dir(package.path()).ok());
    let mut files: Vec<PathBuf> = files.flatten().flatten().map(|file| file.path()).collect();
    files.sort();
    files
}

/// Ends the command when it takes too long.
fn run(arguments: &[&str], into: &Path) -> (Output, Duration) {
    let start = Instant::now();
    let out = std::fs::File::create(into.join("out")).unwrap();
    let error = std::fs::File::create(into.join("error")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(error)
        .spawn()
        .unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{arguments:?} takes more than {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let output = Output {
        status,
        stdout: std::fs::read(into.join("out")).unwrap(),
        stderr: std::fs::read(into.join("error")).unwrap(),
    };
    (output, start.elapsed())
}

/// One line about a description.
fn tried(document: &Path, into: &Path) -> String {
    let config = into.join("gateway.toml");
    let _ = std::fs::remove_file(&config);
    let (path, config) = (document.display().to_string(), config.display().to_string());
    let (written, took) = run(&["import", &path, "-o", &config], into);
    let said = String::from_utf8_lossy(&written.stderr).into_owned();
    let name = document.file_name().unwrap().to_string_lossy();
    let head = format!("{name:<44} import {:>6.2} s", took.as_secs_f64());
    assert!(
        matches!(written.status.code(), Some(0 | 1)),
        "{path}: {said}"
    );
    if written.status.code() == Some(1) {
        assert!(said.contains("nothing was loaded"), "{path}: {said}");
        let reason = said.lines().next().unwrap_or_default().to_owned();
        return format!("{head}  refused: {reason}");
    }
    // The owner, an address that needs no look-up, and keys that are somebody's.
    let text = std::fs::read_to_string(&config).unwrap();
    let keys = into.join("keys.json").display().to_string();
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("owner", _)) => "owner = \"team\"\n".to_owned(),
        Some(("address", _)) => "address = \"127.0.0.1:9\"\n".to_owned(),
        Some(("keys", _)) => format!("keys = \"{keys}\"\n"),
        _ => format!("{line}\n"),
    });
    std::fs::write(&config, lines.collect::<String>()).unwrap();
    let (checked, took) = run(&["check", "-c", &config, "--format", "json"], into);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        matches!(checked.status.code(), Some(0 | 1)),
        "{path}: {said}"
    );
    let told: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let errors = told["errors"].as_array().unwrap();
    let is_empty = errors.len() == 1
        && errors[0]["message"]
            .as_str()
            .is_some_and(|message| message.contains("no operation is left"));
    assert!(
        errors.is_empty() || is_empty,
        "{path}: {:#}",
        told["errors"]
    );
    let operations = told["operations"].as_array().map_or(0, Vec::len);
    let left_out = text
        .lines()
        .find_map(|line| line.strip_prefix("# ")?.split_once(" left out"));
    let left_out = left_out.map_or("0", |(count, _)| count);
    format!(
        "{head}  check {:>6.2} s  {operations:>4} operations, {left_out:>4} left out  {}",
        took.as_secs_f64(),
        told["summary"]
    )
}

#[test]
fn descriptions_of_others_are_imported_or_refused_in_time() {
    let documents = documents();
    if documents.is_empty() {
        eprintln!(
            "SKIPPED: no published descriptions in {}: run tests/published first",
            directory().display()
        );
        return;
    }
    let into = std::env::temp_dir().join(format!("portcullis-published-{}", std::process::id()));
    std::fs::create_dir(&into).unwrap();
    let key = portcullis::policy::authn::sign::SigningKey::generate().unwrap();
    std::fs::write(into.join("keys.json"), key.jwks()).unwrap();
    for document in &documents {
        println!("{}", tried(document, &into));
    }
    std::fs::remove_dir_all(&into).unwrap();
    println!("{} descriptions", documents.len());
}
