//! Where a key that stands in the wrong table belongs. The reference configuration has every key (a
//! test insists), so it is asked.

const REFERENCE: &str = include_str!("../../config/gateway.toml");

/// A key of so many tables is a word that says nothing about where it was meant to stand.
const MOST: usize = 4;

/// The tables that have such a key, as they are written; none if there are none or too many.
pub fn tables_of(key: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut table = String::new();
    for line in REFERENCE.lines() {
        let line = line.strip_prefix("#|").unwrap_or(line).trim_start();
        if let Some(header) = header(line) {
            table = header;
        }
        let rest = line.strip_prefix(key).map(str::trim_start);
        let is_key = rest.is_some_and(|rest| rest.starts_with('='));
        if is_key && !table.is_empty() && !found.contains(&table) {
            found.push(table.clone());
        }
    }
    match found.len() {
        0..=MOST => found,
        _ => Vec::new(),
    }
}

/// `[issuer.NAME]` of `[issuer.bank]`: what an operator names is not the example's.
fn header(line: &str) -> Option<String> {
    let end = line.rfind(']').filter(|_| line.starts_with('['))?;
    let (open, close) = match line.starts_with("[[") {
        true => ("[[", "]]"),
        false => ("[", "]"),
    };
    let name = line[..=end]
        .strip_prefix(open)?
        .split(']')
        .next()
        .unwrap_or_default();
    let mut parts: Vec<&str> = name.splitn(5, '.').collect();
    if matches!(
        parts[0],
        "issuer" | "upstream" | "waf" | "inspector" | "api"
    ) && parts.len() > 1
    {
        parts[1] = "NAME";
    }
    if parts.get(2) == Some(&"operation") && parts.len() > 3 {
        parts[3] = "ID";
    }
    Some(format!("{open}{}{close}", parts.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_the_reference_has_them() {
        assert_eq!(tables_of("shards"), ["[server]"]);
        assert_eq!(tables_of("audiences"), ["[issuer.NAME]"]);
        assert_eq!(tables_of("trusted_peers"), ["[[listener]]"]);
        assert_eq!(tables_of("minimum_version"), ["[listener.tls]"]);
        assert_eq!(tables_of("websocket"), ["[api.NAME.operation.ID]"]);
        assert!(tables_of("nothing").is_empty() && tables_of("").is_empty());
    }
}
