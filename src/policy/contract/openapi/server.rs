//! The path that stands before all paths of a document (OpenAPI "Server Object").
//!
//! Hosts are the configuration's to decide; only the path of the server URL counts here, and all
//! servers must agree on it.

use crate::policy::contract::openapi::node::{Node, Report};

/// The path of the servers that `node` names, without a final slash; `inherited` if it names none.
pub fn base_path(report: &mut Report<'_>, node: &Node<'_>, inherited: &str) -> String {
    let Some(servers) = node.member("servers") else {
        return inherited.to_owned();
    };
    if !report.is_sequence(&servers, "`servers`") {
        return inherited.to_owned();
    }
    let mut agreed: Option<String> = None;
    for server in servers.items() {
        if !report.mapping(&server, "a server", &["url", "description", "variables"]) {
            continue;
        }
        let Some(path) = path_of(report, &server) else {
            continue;
        };
        match &agreed {
            None => agreed = Some(path),
            Some(first) if *first == path => {}
            Some(first) => {
                let message =
                    format!("the servers have different base paths: `{first}/` and `{path}/`");
                report.error(&server, message, "give each base path its own document");
            }
        }
    }
    // An empty list stands for one server with the URL `/`.
    agreed.unwrap_or_default()
}

fn path_of(report: &mut Report<'_>, server: &Node<'_>) -> Option<String> {
    let node = server.member("url");
    let Some((node, text)) = node
        .as_ref()
        .and_then(|node| Some((node, node.value.as_str()?)))
    else {
        report.error(server, "the server has no `url`", "add `url: https://...`");
        return None;
    };
    let url = substitute(report, server, node, text)?;
    let Some(start) = path_start(&url) else {
        let message = format!("`{url}` is relative to where the document is published");
        report.error(node, message, "write `https://host/path` or `/path`");
        return None;
    };
    let path = url[start..].trim_end_matches('/');
    if path.contains(['?', '#', '{', '}']) {
        let message = format!("`{path}` is not a plain path");
        report.error(node, message, "remove the query or fragment");
        return None;
    }
    Some(path.to_owned())
}

/// Where the path begins; none for a URL that is relative to another.
fn path_start(url: &str) -> Option<usize> {
    let authority = match url.find("://") {
        Some(at) => at + 3,
        None if url.starts_with("//") => 2,
        None if url.starts_with('/') => return Some(0),
        None => return None,
    };
    let length = url[authority..].find(['/', '?', '#']);
    Some(length.map_or(url.len(), |length| authority + length))
}

/// Replaces each `{name}` by the default of that variable.
fn substitute(
    report: &mut Report<'_>,
    server: &Node<'_>,
    node: &Node<'_>,
    text: &str,
) -> Option<String> {
    let mut url = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        url.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            report.error(node, "a brace that does not close", "write `{name}`");
            return None;
        };
        let variable = server.member("variables").and_then(|all| all.member(name));
        let default = variable.as_ref().and_then(|variable| {
            let default = variable.value.get("default")?;
            default.as_str()
        });
        let (Some(variable), Some(default)) = (&variable, default) else {
            let message = format!("the variable `{name}` has no default");
            report.error(node, message, format!("add `variables: {name}: default:`"));
            return None;
        };
        report.mapping(
            variable,
            "a server variable",
            &["default", "enum", "description"],
        );
        let choices = variable.member("enum");
        let is_in_path = path_start(&url).is_some_and(|start| start < url.len());
        if is_in_path && choices.is_some_and(|choices| choices.items().count() > 1) {
            let message = format!("the variable `{name}` gives several base paths");
            report.error(variable, message, "give each base path its own document");
        }
        url.push_str(default);
        rest = after;
    }
    url.push_str(rest);
    Some(url)
}
