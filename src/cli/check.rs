//! `portcullis check`: everything that is wrong, or everything that is open.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::table::table;
use crate::cli::{diagnose, unseen};
use crate::config;
use crate::config::reader::Warning;
use crate::diagnostic::Diagnostic;
use crate::policy::catalogue::{Authentication, Operation};
use crate::policy::contract::lint::Lint;
use crate::policy::snapshot::Snapshot;
use crate::policy::waf::outbound::Reach;

/// Warnings of one kind that are shown without being asked for all.
const SHOWN: usize = 5;

#[derive(Args)]
#[command(after_help = HELP, override_usage = USAGE)]
pub struct Options {
    /// The configuration
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "config/gateway.toml"
    )]
    config: PathBuf,
    /// For people, or one JSON object for programs
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Show every warning, not the first few of each kind
    #[arg(long)]
    all: bool,
    /// Fail when there are warnings
    #[arg(long)]
    strict: bool,
}

const USAGE: &str = "portcullis check [--config FILE] [--format text|json] [--all] [--strict]";

const HELP: &str = "\
Errors are what keeps the configuration from loading. Warnings are what its documents leave open;
[lint] of the configuration makes each kind of them an error, a warning or nothing.

Exit codes: 0 it loads, 1 it does not (with --strict: or there are warnings), 2 wrong usage.";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub fn check(options: &Options) -> Result<(), String> {
    let loaded = config::load(&options.config, 1);
    let is_json = options.format == Format::Json;
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(found) if is_json => {
            println!("{}", report(&found, &[], &[]));
            return Err(format!("{}: nothing was loaded", errors(found.len())));
        }
        Err(found) => return Err(diagnose::render(&found)),
    };
    let warnings = &loaded.warnings;
    match is_json {
        true => {
            let operations = loaded.snapshot.catalogue.operations();
            println!("{}", report(&[], warnings, operations));
        }
        false => {
            print!("{}", describe(&loaded.snapshot));
            let most = if options.all { usize::MAX } else { SHOWN };
            print!("{}", described(warnings, most));
        }
    }
    match options.strict && !warnings.is_empty() {
        true => Err(format!(
            "{}, and --strict",
            counted(warnings.len(), "warning")
        )),
        false => Ok(()),
    }
}

fn errors(count: usize) -> String {
    counted(count, "error")
}

pub fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

/// Warnings by kind, the first of each, and how many there are.
fn described(warnings: &[Warning], most: usize) -> String {
    let mut out = String::new();
    let mut summary = Vec::new();
    let mut is_cut = false;
    for lint in Lint::ALL {
        let own: Vec<&Warning> = warnings.iter().filter(|each| each.lint == lint).collect();
        if own.is_empty() {
            continue;
        }
        out.push_str(&format!("\n{} ({})\n", lint.name(), own.len()));
        for Warning { diagnostic, .. } in own.iter().take(most) {
            out.push_str(&line(diagnostic));
        }
        if own.len() > most {
            is_cut = true;
            out.push_str(&format!("  ... and {} more\n", own.len() - most));
        }
        summary.push([lint.name().to_owned(), own.len().to_string()]);
    }
    if summary.is_empty() {
        return out;
    }
    out.push('\n');
    out.push_str(&table(["kind", "warnings"], &summary));
    let rest = match is_cut {
        true => "; --all shows every one",
        false => "",
    };
    let count = counted(warnings.len(), "warning");
    out.push_str(&format!(
        "\n{count}: it loads all the same{rest}. [lint] sets their levels.\n"
    ));
    out
}

fn line(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.position;
    let mut text = format!(
        "  {}:{}:{}: {}\n",
        diagnostic.file.display(),
        place.line,
        place.column,
        diagnostic.message
    );
    if let Some(pointer) = diagnostic
        .pointer
        .as_ref()
        .filter(|pointer| !pointer.is_empty())
    {
        text.push_str(&format!("    at {pointer}\n"));
    }
    if let Some(hint) = &diagnostic.hint {
        text.push_str(&format!("    hint: {hint}\n"));
    }
    text
}

/// All of it for programs.
fn report(found: &[Diagnostic], warnings: &[Warning], operations: &[Operation]) -> Value {
    let entry = |diagnostic: &Diagnostic, kind: &str| {
        json!({
            "kind": kind,
            "file": diagnostic.file.display().to_string(),
            "line": diagnostic.position.line,
            "column": diagnostic.position.column,
            "pointer": diagnostic.pointer,
            "message": diagnostic.message,
            "hint": diagnostic.hint,
        })
    };
    let found = found.iter();
    let errors: Vec<Value> = found
        .map(|each| entry(each, each.kind.unwrap_or("error")))
        .collect();
    let told: Vec<Value> = warnings
        .iter()
        .map(|each| entry(&each.diagnostic, each.lint.name()))
        .collect();
    let mut summary = serde_json::Map::new();
    for each in errors.iter().chain(&told) {
        let kind = each["kind"].as_str().unwrap_or_default();
        let count = summary.get(kind).and_then(Value::as_u64).unwrap_or(0);
        summary.insert(kind.to_owned(), json!(count + 1));
    }
    let operations: Vec<Value> = operations
        .iter()
        .map(|operation| {
            json!({
                "api": operation.api,
                "id": operation.id,
                "owner": operation.owner,
                "method": operation.method,
                "path": operation.path,
                "contract": contract(operation),
                "waf_responses": responses(operation),
            })
        })
        .collect();
    json!({
        "loads": errors.is_empty(),
        "errors": errors,
        "warnings": told,
        "summary": summary,
        "operations": operations,
    })
}

/// What the requests of an operation are checked by.
fn contract(operation: &Operation) -> &'static str {
    match (operation.contract.is_graphql(), operation.is_covered) {
        (true, _) => "graphql",
        (false, true) => "openapi",
        (false, false) => "none",
    }
}

/// How much of its answers rules of the WAF see.
fn responses(operation: &Operation) -> &'static str {
    let outbound = operation.waf.as_ref().and_then(|waf| waf.outbound.as_ref());
    match outbound.map(|outbound| outbound.reach) {
        None => "off",
        Some(Reach::Heads) => "heads",
        Some(Reach::Collected) => "collected",
        Some(Reach::All) => "all",
    }
}

fn describe(snapshot: &Snapshot) -> String {
    let operations = snapshot.catalogue.operations();
    let rows: Vec<_> = operations.iter().map(|each| row(snapshot, each)).collect();
    let heading = [
        "api",
        "operation",
        "request",
        "caller",
        "limits",
        "contract",
    ];
    let mut out = table(heading, &rows);
    let uncovered: Vec<&Operation> = operations.iter().filter(|each| !each.is_covered).collect();
    out.push_str(&format!(
        "\n{}; nothing else exists.\n",
        counted(operations.len(), "operation")
    ));
    if !uncovered.is_empty() {
        out.push_str(&format!(
            "{} uncovered, nothing is validated there:\n",
            uncovered.len()
        ));
        for operation in uncovered {
            out.push_str(&format!("  {} {}\n", operation.api, operation.id));
        }
    }
    out.push_str(&unseen::describe(snapshot));
    out
}

fn row(snapshot: &Snapshot, operation: &Operation) -> [String; 6] {
    let caller = match operation.authentication {
        Authentication::None => "everybody".to_owned(),
        Authentication::Bearer(index) => caller(snapshot, index, operation),
    };
    let limits: Vec<String> = operation
        .limits
        .iter()
        .map(|limit| {
            format!(
                "{} {}/{}s",
                limit.quota.name(),
                limit.quota.count(),
                limit.quota.window_s()
            )
        })
        .collect();
    [
        operation.api.to_string(),
        operation.id.to_string(),
        format!("{} {}", operation.method, operation.path),
        caller,
        if limits.is_empty() {
            "-".to_owned()
        } else {
            limits.join(", ")
        },
        contract(operation).to_owned(),
    ]
}

fn caller(snapshot: &Snapshot, issuer: usize, operation: &Operation) -> String {
    let requirement = &operation.requirement;
    let sets: Vec<String> = requirement
        .scopes
        .iter()
        .map(|set| set.join(" and "))
        .collect();
    let mut text = format!("token of {}", snapshot.issuers[issuer].settings().issuer);
    if sets.iter().any(|set| !set.is_empty()) {
        text.push_str(&format!(" with {}", sets.join(", or ")));
    }
    let owned = requirement.ownership.iter();
    for rule in owned {
        text.push_str(&format!(", owning it by `{}`", rule.claim));
    }
    text
}
