//! Token issuers and their keys.

use jsonwebtoken::Algorithm;

use crate::config::compile::read_text;
use crate::config::file;
use crate::config::reader::{At, Reader};
use crate::config::secret;
use crate::policy::authn::{Issuer, IssuerSettings, Keys, algorithm};

/// Longest token when nothing else is said; tokens of large providers have 2 KiB.
const TOKEN: usize = 4 * 1024;

/// Leeway beyond five minutes would keep expired tokens alive rather than forgive clocks.
const MOST_LEEWAY_S: u32 = 300;

pub fn compile(reader: &Reader<'_>, issuer: &file::Issuer) -> Option<Issuer> {
    let algorithms = algorithms(reader, issuer);
    if issuer.audiences.is_empty() {
        let hint = "add audiences = [\"https://api.example\"]: what `aud` must hold";
        let message = "the issuer has no `audiences`";
        reader.absent(issuer.position, &["audiences"], message, hint);
    }
    if issuer.leeway.0 > MOST_LEEWAY_S {
        reader.error(
            issuer.position,
            "the `leeway` is too large",
            "write \"5m\" or less",
        );
    }
    let keys = keys(reader, issuer, &algorithms)?;
    let settings = IssuerSettings {
        issuer: issuer.issuer.as_ref()?.value.clone(),
        audiences: issuer.audiences.iter().map(|at| at.value.clone()).collect(),
        algorithms,
        leeway_s: issuer.leeway.0,
        max_token_size: issuer
            .max_token_size
            .as_ref()
            .map_or(TOKEN, |at| at.value.0),
    };
    Some(Issuer::new(settings, keys))
}

fn algorithms(reader: &Reader<'_>, issuer: &file::Issuer) -> Vec<Algorithm> {
    if issuer.algorithms.is_empty() {
        let hint = "add algorithms = [\"ES256\"]: those that the issuer signs with";
        let message = "the issuer has no `algorithms`";
        reader.absent(issuer.position, &["algorithms"], message, hint);
    }
    let known = issuer.algorithms.iter().filter_map(|name| {
        let found = algorithm(&name.value);
        if found.is_none() {
            let message = format!("\"{}\" is no signature algorithm", name.value);
            let hint = "write RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, \
                        HS256, HS384 or HS512";
            reader.error(name.position, message, hint);
        }
        found
    });
    known.collect()
}

fn keys(reader: &Reader<'_>, issuer: &file::Issuer, algorithms: &[Algorithm]) -> Option<Keys> {
    let (at, loaded) = match (&issuer.keys, &issuer.secret) {
        (Some(path), None) => {
            let text = read_text(reader, path)?;
            let is_jwks = text.trim_start().starts_with('{');
            let loaded = match is_jwks {
                true => Keys::from_jwks(&text, algorithms),
                false => Keys::from_pem(&text, algorithms),
            };
            (path, loaded)
        }
        (None, Some(reference)) => {
            let secret = secret::resolve(reader, reference.position, &reference.value)?;
            (reference, Keys::from_secret(secret.reveal(), algorithms))
        }
        (Some(_), Some(At { position, .. })) => {
            let hint = "keep `keys` for RS, PS, ES and EdDSA, or `secret` for HS";
            reader.error(*position, "`keys` and `secret` exclude each other", hint);
            return None;
        }
        (None, None) => {
            let hint = "add keys = \"FILE\" (JWKS or PEM), or secret = \"${NAME}\" for HS";
            let said_by = ["keys", "secret"];
            reader.absent(issuer.position, &said_by, "the issuer has no keys", hint);
            return None;
        }
    };
    // Without a known algorithm no key fits, which has been told already.
    if algorithms.is_empty() {
        return None;
    }
    let hint = "the keys must fit the `algorithms`";
    loaded
        .map_err(|reason| reader.error(at.position, format!("the keys: {reason}"), hint))
        .ok()
}
