//! What a document says beside its operations: title, servers, issuers. All of it is a proposal
//! that a person reads, so what is missing is guessed and marked, never an error.

use std::path::Path;

use serde_json::Value;

/// Where systems keep the authorities that their browsers trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The backend.
pub struct Server {
    /// As it stands in the document.
    pub url: Option<String>,
    /// `host:port`
    pub address: String,
    pub is_tls: bool,
    /// The path below which all operations are, without a final slash.
    pub path: String,
    /// The document does not say where it is.
    pub is_assumed: bool,
}

/// Who signs tokens.
pub struct Issuer {
    pub url: String,
    pub is_assumed: bool,
}

/// The title in small letters, as the name of an API.
pub fn name(root: &Value) -> String {
    let title = root["info"]["title"].as_str().unwrap_or_default();
    let mut name = String::new();
    for character in title.chars().take(60) {
        if character.is_ascii_alphanumeric() {
            name.push(character.to_ascii_lowercase());
        } else if !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
    }
    match name.trim_end_matches('-') {
        "" => "api".to_owned(),
        name => name.to_owned(),
    }
}

/// The first server with a host, or else one to be filled in.
pub fn server(root: &Value) -> Server {
    let servers = root["servers"].as_array().into_iter().flatten();
    let urls: Vec<String> = servers.filter_map(url).collect();
    let found = urls.iter().find_map(|url| {
        let (is_tls, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit('@').next().unwrap_or_default();
        let port = if is_tls { 443 } else { 80 };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        });
        let is_plain = !host.is_empty() && !host.contains(['{', '}', ' ', '?', '#']);
        is_plain.then(|| Server {
            url: Some(url.trim_end_matches('/').to_owned()),
            address: match has_port {
                true => host.to_owned(),
                false => format!("{host}:{port}"),
            },
            is_tls,
            path: plain_path(path),
            is_assumed: false,
        })
    });
    found.unwrap_or_else(|| Server {
        url: None,
        address: "127.0.0.1:9000".to_owned(),
        is_tls: false,
        path: urls.first().map_or_else(String::new, |url| plain_path(url)),
        is_assumed: true,
    })
}

/// A URL whose variables have their defaults.
fn url(server: &Value) -> Option<String> {
    let mut url = server["url"].as_str()?.to_owned();
    for (name, variable) in server["variables"].as_object().into_iter().flatten() {
        let default = variable["default"].as_str().unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), default);
    }
    Some(url)
}

/// A path that can stand before others; nothing for what cannot.
fn plain_path(path: &str) -> String {
    let path = path.trim_end_matches('/');
    let is_plain = path.starts_with('/') && !path.contains(['{', '}', '?', '#', ' ']);
    match is_plain {
        true => path.to_owned(),
        false => String::new(),
    }
}

/// By the discovery document or the token endpoint that a scheme names.
pub fn issuer(root: &Value) -> Issuer {
    let schemes = root["components"]["securitySchemes"].as_object();
    let schemes = schemes.into_iter().flatten().map(|(_, scheme)| scheme);
    for scheme in schemes.clone() {
        let discovery = scheme["openIdConnectUrl"].as_str();
        if let Some(url) = discovery.filter(|url| url.contains("://")) {
            let end = url.find("/.well-known/").unwrap_or(url.len());
            return Issuer {
                url: url[..end].to_owned(),
                is_assumed: false,
            };
        }
    }
    let flows = schemes
        .filter_map(|scheme| scheme["flows"].as_object())
        .flatten();
    for (_, flow) in flows {
        let endpoint = flow["tokenUrl"]
            .as_str()
            .or(flow["authorizationUrl"].as_str());
        let origin = endpoint.and_then(|url| {
            let (scheme, rest) = url.split_once("://")?;
            let host = rest.split('/').next()?;
            Some(format!("{scheme}://{host}"))
        });
        if let Some(url) = origin {
            return Issuer {
                url,
                is_assumed: false,
            };
        }
    }
    Issuer {
        url: "https://issuer.example".to_owned(),
        is_assumed: true,
    }
}

/// The bundle of this machine, or where most have it.
pub fn authorities() -> String {
    let mut bundles = BUNDLES.iter();
    let found = bundles.find(|path| Path::new(path).exists());
    found.unwrap_or(&BUNDLES[0]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn servers_become_addresses() {
        for (servers, address, is_tls, path) in [
            (
                json!([{"url": "https://api.example/v1/"}]),
                "api.example:443",
                true,
                "/v1",
            ),
            (
                json!([{"url": "http://localhost:8080"}]),
                "localhost:8080",
                false,
                "",
            ),
            (
                json!([{"url": "/v2"}, {"url": "https://u@h.example/x"}]),
                "h.example:443",
                true,
                "/x",
            ),
            (
                json!([{"url": "https://{r}.h.example/{v}", "variables": {"r": {"default": "eu"}, "v": {"default": "v3"}}}]),
                "eu.h.example:443",
                true,
                "/v3",
            ),
            (
                json!([{"url": "https://{r}.h.example"}]),
                "127.0.0.1:9000",
                false,
                "",
            ),
            (json!([{"url": "https://[::1]:9/a b"}]), "[::1]:9", true, ""),
            (json!([{"url": "/v2"}]), "127.0.0.1:9000", false, "/v2"),
            (json!(null), "127.0.0.1:9000", false, ""),
        ] {
            let found = server(&json!({"servers": servers}));
            assert_eq!(
                (found.address.as_str(), found.is_tls, found.path.as_str()),
                (address, is_tls, path)
            );
        }
    }

    #[test]
    fn issuers_are_named_by_their_schemes() {
        let of = |scheme: Value| {
            let found = issuer(&json!({"components": {"securitySchemes": {"s": scheme}}}));
            (found.url, found.is_assumed)
        };
        let discovery =
            json!({"openIdConnectUrl": "https://i.example/realm/.well-known/openid-configuration"});
        assert_eq!(of(discovery), ("https://i.example/realm".to_owned(), false));
        let flow = json!({"flows": {"clientCredentials": {"tokenUrl": "https://i.example/token"}}});
        assert_eq!(of(flow), ("https://i.example".to_owned(), false));
        assert!(of(json!({"type": "http", "scheme": "bearer"})).1);
    }

    #[test]
    fn titles_become_names() {
        for (title, expected) in [
            ("GitHub v3 REST API", "github-v3-rest-api"),
            ("", "api"),
            ("!é", "api"),
            (" A  b. ", "a-b"),
        ] {
            assert_eq!(name(&json!({"info": {"title": title}})), expected);
        }
    }
}
