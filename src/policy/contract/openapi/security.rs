//! Who may call (OpenAPI "Security Requirement Object").
//!
//! Only bearer tokens are understood. A requirement that cannot be enforced is an error, since
//! leaving it out would open the operation.

use crate::policy::contract::openapi::Security;
use crate::policy::contract::openapi::node::{Node, Report};
use crate::policy::contract::schema::Dialect;

const SCHEME: [&str; 8] = [
    "type",
    "description",
    "name",
    "in",
    "scheme",
    "bearerFormat",
    "flows",
    "openIdConnectUrl",
];

/// What the operation says, or else the document.
pub fn read<'d>(report: &mut Report<'d>, root: &Node<'d>, operation: &Node<'d>) -> Security {
    let own = operation.member("security");
    let Some(requirements) = own.or_else(|| root.member("security")) else {
        return Security::Undeclared;
    };
    if !report.is_sequence(&requirements, "`security`") {
        return Security::Undeclared;
    }
    let mut alternatives = Vec::new();
    let mut is_open = requirements.items().next().is_none();
    for requirement in requirements.items() {
        if !report.is_mapping(&requirement, "a security requirement") {
            continue;
        }
        let schemes: Vec<_> = requirement.members().collect();
        match &schemes[..] {
            [] => is_open = true,
            [(name, scopes)] => alternatives.extend(alternative(report, root, name, scopes)),
            [_, (_, second), ..] => report.error(
                second,
                "two credentials for one request are not enforced yet",
                "require one scheme; alternatives are items of their own",
            ),
        }
    }
    match is_open {
        true => Security::Anonymous,
        false => Security::Scopes(alternatives),
    }
}

/// The scopes that a token needs by one requirement.
fn alternative<'d>(
    report: &mut Report<'d>,
    root: &Node<'d>,
    name: &str,
    node: &Node<'d>,
) -> Option<Vec<String>> {
    let known = scheme(report, root, name, node)?;
    if !report.is_sequence(node, "the list of scopes") {
        return None;
    }
    let mut scopes = Vec::new();
    for item in node.items() {
        let Some(scope) = item.value.as_str().filter(|scope| is_scope(scope)) else {
            let hint = "use visible ASCII without spaces, quotes and backslashes";
            report.error(&item, "not the name of a scope", hint);
            continue;
        };
        match &known {
            Scopes::Any => {}
            Scopes::None => {
                let message = "a scheme of type `http` has no scopes in OpenAPI 3.0";
                report.error(&item, message, "use type `oauth2` or OpenAPI 3.1");
            }
            Scopes::Declared(declared) if declared.iter().any(|each| each == scope) => {}
            Scopes::Declared(declared) => {
                let message = format!("the scheme `{name}` does not declare the scope `{scope}`");
                report.error(&item, message, format!("it has: {}", declared.join(", ")));
            }
        }
        scopes.push(scope.to_owned());
    }
    Some(scopes)
}

/// RFC 6749 section 3.3.
fn is_scope(text: &str) -> bool {
    let mut bytes = text.bytes();
    !text.is_empty() && bytes.all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// The scopes that a scheme may require.
enum Scopes {
    Any,
    None,
    Declared(Vec<String>),
}

/// Finds a scheme; none, with an error, for one that cannot be enforced.
fn scheme<'d>(
    report: &mut Report<'d>,
    root: &Node<'d>,
    name: &str,
    requirement: &Node<'d>,
) -> Option<Scopes> {
    let schemes = root
        .member("components")
        .and_then(|all| all.member("securitySchemes"));
    let Some(declared) = schemes.and_then(|schemes| schemes.member(name)) else {
        let message = format!("the security scheme `{name}` is not declared");
        report.error(
            requirement,
            message,
            "declare it in `components: securitySchemes:`",
        );
        return None;
    };
    let scheme = report.resolve(declared)?;
    if !report.mapping(&scheme, "a security scheme", &SCHEME) {
        return None;
    }
    let kind = scheme.value["type"].as_str().unwrap_or_default();
    let http = scheme.value["scheme"].as_str().unwrap_or_default();
    match kind {
        "oauth2" => oauth_scopes(report, &scheme),
        "openIdConnect" => Some(Scopes::Any),
        "http" if http.eq_ignore_ascii_case("bearer") => match report.document.dialect {
            Dialect::OpenApi30 => Some(Scopes::None),
            Dialect::OpenApi31 => Some(Scopes::Any),
        },
        _ => {
            let kind = [kind, http].join(" ");
            let message = format!(
                "a security scheme of type `{}` is not enforced yet",
                kind.trim()
            );
            let hint = "use `type: oauth2`, `openIdConnect`, or `http` with `scheme: bearer`";
            report.error(requirement, message, hint);
            None
        }
    }
}

/// All scopes of all flows.
fn oauth_scopes(report: &mut Report<'_>, scheme: &Node<'_>) -> Option<Scopes> {
    const FLOWS: [&str; 4] = [
        "implicit",
        "password",
        "clientCredentials",
        "authorizationCode",
    ];
    const FLOW: [&str; 4] = ["authorizationUrl", "tokenUrl", "refreshUrl", "scopes"];
    let Some(flows) = scheme.member("flows") else {
        report.error(
            scheme,
            "the scheme has no `flows`",
            "add `flows` with their `scopes`",
        );
        return None;
    };
    if !report.mapping(&flows, "`flows`", &FLOWS) {
        return None;
    }
    let mut declared = Vec::new();
    for (_, flow) in flows.declared() {
        report.mapping(&flow, "an OAuth flow", &FLOW);
        let scopes = flow.member("scopes");
        let scopes = scopes.iter().flat_map(|scopes| scopes.members());
        declared.extend(scopes.map(|(name, _)| name.to_owned()));
    }
    declared.sort();
    declared.dedup();
    Some(Scopes::Declared(declared))
}
