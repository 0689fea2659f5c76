//! `portcullis check`: everything that is wrong, or everything that is open.

use std::path::Path;

use crate::cli::diagnose;
use crate::cli::table::table;
use crate::config;
use crate::policy::catalogue::{Authentication, Operation};
use crate::policy::snapshot::Snapshot;

pub fn check(config: &Path) -> Result<(), String> {
    let loaded = config::load(config, 1).map_err(|found| diagnose::render(&found))?;
    print!("{}", describe(&loaded.snapshot));
    Ok(())
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
        "\n{} operations; nothing else exists.\n",
        operations.len()
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
    let contract = match (operation.contract.is_graphql(), operation.is_covered) {
        (true, _) => "graphql",
        (false, true) => "openapi",
        (false, false) => "none",
    };
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
        contract.to_owned(),
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
