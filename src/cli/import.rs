//! `portcullis import`: from an OpenAPI document to a configuration to begin with.
//!
//! What is written loads once its owner is filled in (and its keys are there, where callers bring
//! tokens). It opens nothing that the document does not open, and says in comments what of the
//! document would not be enforced.

mod source;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::{check, diagnose};
use crate::diagnostic::Diagnostic;
use crate::policy::contract::lint::{Level, Levels, Lint};
use crate::policy::contract::openapi::{Document, Found, Operation, Security};

/// Reasons that are listed in comments; `check` tells all of them.
const REASONS: usize = 40;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Options {
    /// The OpenAPI document, 3.0 or 3.1, YAML or JSON
    document: PathBuf,
    /// Where to write the configuration; an existing file is left alone. Default: standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The name of the API, for logs and metrics; by default its title
    #[arg(long)]
    name: Option<String>,
    /// The backend, as HOST:PORT; by default the first of the document's servers
    #[arg(long, value_name = "ADDRESS")]
    upstream: Option<String>,
    /// The public keys that tokens are checked with: a JWK set or PEM
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

const HELP: &str = "\
What comes of it:
  portcullis import openapi.yaml -o gateway.toml    write it
  (fill in `owner`, read the comments)
  portcullis check -c gateway.toml                  what is open, and who may call what
  portcullis run -c gateway.toml                    protect the backend

Operations that could not be enforced whole are left out: they do not exist until the document
or the configuration says more. Exit codes: 0 written, 1 failed, 2 wrong usage.";

pub fn import(options: &Options) -> Result<(), String> {
    let shown = options.document.display();
    let text = std::fs::read_to_string(&options.document)
        .map_err(|error| format!("{shown} cannot be read: {error}\n  hint: name the document"))?;
    let outline = Outline::read(options, &text).map_err(|found| diagnose::render(&found))?;
    let config = outline.write();
    let Some(path) = &options.output else {
        print!("{config}");
        return Ok(());
    };
    let mut file = std::fs::File::create_new(path).map_err(|error| {
        let hint = "a file that is there is left alone: remove it, or name another with -o";
        format!(
            "{} cannot be written: {error}\n  hint: {hint}",
            path.display()
        )
    })?;
    std::io::Write::write_all(&mut file, config.as_bytes())
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    println!(
        "{} in {}. Fill in `owner`, then: portcullis check -c {}",
        check::counted(outline.operations.len(), "operation"),
        path.display(),
        path.display()
    );
    Ok(())
}

/// All that is written.
struct Outline {
    name: String,
    openapi: String,
    base_path: Option<String>,
    server: source::Server,
    issuer: Option<source::Issuer>,
    keys: String,
    /// What has to be tolerated for any operation to load.
    tolerated: Vec<Lint>,
    operations: Vec<Operation>,
    left_out: Vec<Operation>,
    findings: Vec<Found>,
}

impl Outline {
    fn read(options: &Options, text: &str) -> Result<Outline, Vec<Diagnostic>> {
        let document = Document::read(&options.document, text)?;
        let root = document.value();
        let name = match &options.name {
            Some(name) => name.clone(),
            None => source::name(root),
        };
        let mut server = source::server(root);
        if let Some(address) = &options.upstream {
            server.address.clone_from(address);
            server.is_tls = false;
            server.is_assumed = false;
        }
        // Servers that agree on no path leave it to the configuration.
        let base_path = match document.all_operations(None) {
            Ok(_) => None,
            Err(_) => Some(server.path.clone()),
        };
        let base = base_path.as_deref().map(|base| base.trim_end_matches('/'));
        let mut levels = Levels::default();
        let mut tolerated = Vec::new();
        for lint in [Lint::UnknownFormat, Lint::UnknownKeyword] {
            levels.set(lint, Level::Warn);
        }
        let document = document.with_levels(levels);
        let (operations, left_out): (Vec<_>, Vec<_>) = document
            .all_operations(base)?
            .into_iter()
            .partition(|operation| operation.faults.is_empty());
        let findings = document.lints(&operations);
        for lint in [Lint::UnknownFormat, Lint::UnknownKeyword] {
            if findings.iter().any(|found| found.lint == lint) {
                tolerated.push(lint);
            }
        }
        if !left_out.is_empty() {
            tolerated.push(Lint::LeftOut);
        }
        let needs_tokens = operations
            .iter()
            .any(|operation| matches!(operation.security, Security::Scopes(_)));
        let keys = match &options.keys {
            Some(keys) => relative(options, keys),
            None => format!("{name}.jwks.json"),
        };
        Ok(Outline {
            openapi: relative(options, &options.document),
            issuer: needs_tokens.then(|| source::issuer(document.value())),
            name,
            base_path: base_path.map(|base| {
                if base.is_empty() {
                    "/".to_owned()
                } else {
                    base
                }
            }),
            server,
            keys,
            tolerated,
            operations,
            left_out,
            findings,
        })
    }

    fn write(&self) -> String {
        let mut out = String::new();
        self.preamble(&mut out);
        self.issuer(&mut out);
        self.upstream(&mut out);
        self.api(&mut out);
        self.own_tables(&mut out);
        self.comments(&mut out);
        out
    }

    fn preamble(&self, out: &mut String) {
        line(
            out,
            "# Written by `portcullis import`. Paths are relative to this file. config/gateway.toml",
        );
        line(
            out,
            "# of the distribution explains every key; `portcullis check` tells what is open.",
        );
        line(out, "\n[[listener]]\naddress = \"127.0.0.1:8080\"");
        if !self.tolerated.is_empty() {
            line(
                out,
                "\n# The document says what nothing can enforce. Correct it there, then take these out.",
            );
            line(out, "[lint]");
            for lint in &self.tolerated {
                let why = match lint {
                    Lint::UnknownFormat => "# formats that are notes only, listed by `check`",
                    Lint::UnknownKeyword => "# keywords that are notes only, listed by `check`",
                    _ => "# operations that do not exist here, listed below",
                };
                line(out, &format!("{} = \"warn\"  {why}", lint.name()));
            }
        }
    }

    fn issuer(&self, out: &mut String) {
        let Some(issuer) = &self.issuer else {
            return;
        };
        let name = quoted(&self.name);
        line(out, &format!("\n[issuer.{name}]"));
        let note = match issuer.is_assumed {
            true => "# FILL IN: the `iss` of its tokens; the document does not say it",
            false => "# from the security schemes; compare with the `iss` of a token",
        };
        line(out, &format!("issuer = {}  {note}", quoted(&issuer.url)));
        let audience = self.server.url.as_deref().unwrap_or("https://api.example");
        let note = "# a guess: what their `aud` must hold";
        line(out, &format!("audiences = [{}]  {note}", quoted(audience)));
        line(out, "algorithms = [\"ES256\", \"RS256\"]");
        let note = "# the issuer's public keys: its JWK set, or PEM";
        line(out, &format!("keys = {}  {note}", quoted(&self.keys)));
    }

    fn upstream(&self, out: &mut String) {
        let server = &self.server;
        let name = quoted(&self.name);
        line(out, &format!("\n[upstream.{name}]"));
        let note = match server.is_assumed {
            true => "  # FILL IN: the document names no server",
            false => "",
        };
        line(out, &format!("address = {}{note}", quoted(&server.address)));
        if server.is_tls {
            line(out, &format!("[upstream.{name}.tls]"));
            let ca = quoted(&source::authorities());
            line(
                out,
                &format!("ca = {ca}  # who may sign its certificate; a private authority is safer"),
            );
        }
    }

    fn api(&self, out: &mut String) {
        let name = quoted(&self.name);
        line(out, &format!("\n[api.{name}]"));
        line(out, &format!("openapi = {}", quoted(&self.openapi)));
        if let Some(base) = &self.base_path {
            let note = "# the document's servers have no one path";
            line(out, &format!("base_path = {}  {note}", quoted(base)));
        }
        line(out, &format!("upstream = {name}"));
        line(
            out,
            "owner = \"FILL IN\"  # the team that answers for it; it does not load without one",
        );
        match &self.issuer {
            Some(_) => line(out, &format!("issuer = {name}")),
            None => line(
                out,
                "authentication = \"none\"  # the document asks nobody for a token: name an `issuer` to change that",
            ),
        }
        line(out, "max_body = \"64KiB\"");
        line(out, "limits = [");
        line(
            out,
            "    { name = \"source\", per = \"source\", rate = \"100/s\", burst = 200 },",
        );
        if self.issuer.is_some() {
            line(
                out,
                "    { name = \"client\", per = \"client\", rate = \"50/s\", burst = 100 },",
            );
        }
        line(out, "]");
    }

    /// What has to be said of single operations for them to load.
    fn own_tables(&self, out: &mut String) {
        let api = quoted(&self.name);
        for operation in &self.operations {
            let mut keys = Vec::new();
            if self.issuer.is_some() && operation.security == Security::Anonymous {
                keys.push(
                    "authentication = \"none\"  # the document opens it to everybody".to_owned(),
                );
            }
            match &operation.responses {
                None => keys.push("responses = \"off\"  # the document declares none".to_owned()),
                Some(Err(found)) => {
                    let reason = found.first().map_or("", |first| &first.message);
                    keys.push(format!("responses = \"off\"  # {}", in_comment(reason)));
                }
                Some(Ok(_)) => {}
            }
            if !keys.is_empty() {
                line(
                    out,
                    &format!("\n[api.{api}.operation.{}]", quoted(&operation.id)),
                );
                keys.iter().for_each(|key| line(out, key));
            }
        }
    }

    fn comments(&self, out: &mut String) {
        line(out, &format!("\n# {} operations:", self.operations.len()));
        for Operation {
            method, path, id, ..
        } in &self.operations
        {
            line(
                out,
                &format!("#   {method} {}  {}", in_comment(path), in_comment(id)),
            );
        }
        if !self.left_out.is_empty() {
            line(
                out,
                &format!("\n# {} left out, which do not exist:", self.left_out.len()),
            );
            for operation in &self.left_out {
                let Operation { method, path, .. } = operation;
                line(out, &format!("#   {method} {}", in_comment(path)));
            }
            line(out, "# because of:");
            for (reason, count) in self.reasons() {
                line(out, &format!("#   {count} times: {}", in_comment(&reason)));
            }
        }
        let mut kinds: BTreeMap<Lint, usize> = BTreeMap::new();
        for found in &self.findings {
            *kinds.entry(found.lint).or_default() += 1;
        }
        if !kinds.is_empty() {
            line(
                out,
                "\n# What the document leaves open; `portcullis check` tells where, [lint] how serious it is:",
            );
        }
        for (lint, count) in kinds {
            line(out, &format!("#   {} {count}", lint.name()));
        }
    }

    /// Why operations are left out, the most frequent reasons first.
    fn reasons(&self) -> Vec<(String, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for fault in self.left_out.iter().flat_map(|operation| &operation.faults) {
            *counts.entry(&fault.message).or_default() += 1;
        }
        let counts = counts.into_iter();
        let mut reasons: Vec<_> = counts
            .map(|(reason, count)| (reason.to_owned(), count))
            .collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons.truncate(REASONS);
        reasons
    }
}

fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{text}");
}

/// How the configuration names a file: from its own directory where it is below that.
fn relative(options: &Options, path: &Path) -> String {
    let directory = options.output.as_ref().and_then(|output| output.parent());
    let Some(directory) = directory.filter(|directory| !directory.as_os_str().is_empty()) else {
        return path.display().to_string();
    };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let below = absolute.strip_prefix(&directory).unwrap_or(&absolute);
    below.display().to_string()
}

/// A basic string of TOML, which is a key as well.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

/// On one line, as comments are.
fn in_comment(text: &str) -> String {
    let plain = text
        .chars()
        .map(|each| if each.is_control() { ' ' } else { each });
    plain.take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_document_says_stays_text() {
        for text in ["a", "a\"b", "a\\", "a\nb = 1", "\u{7f}\u{0}\u{1f600}"] {
            let table: toml::Table = format!("x = {0}\n{0} = 1\n", quoted(text)).parse().unwrap();
            assert_eq!(table["x"].as_str(), Some(text));
            assert!(table.contains_key(text));
            assert!(!in_comment(text).contains('\n'));
        }
    }
}
