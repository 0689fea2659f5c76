//! `portcullis token`: tokens for trying things out. The gateway itself signs nothing.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::{Map, Value, json};

use crate::policy::authn::algorithm;
use crate::policy::authn::sign::SigningKey;

const EXAMPLES: &str = "\
Examples:
  portcullis token --new-key bank.key > config/bank.jwks.json     a key pair: private and public half
  portcullis token --key bank.key --issuer https://issuer.bank.example \\
    --audience https://api.bank.example --subject alice --client mobile \\
    --scope read:accounts --claim accounts='[\"a-1\"]'";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Make a new ES256 key, write its private half to FILE and print the JWK set of the public half
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    new_key: Option<PathBuf>,

    /// The private key that signs: a PEM file, or the secret itself in a file for HS256 to HS512
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    key: Option<PathBuf>,

    /// How the key signs: ES256, ES384, RS256 to RS512, PS256 to PS512, EdDSA, HS256 to HS512
    #[arg(long, default_value = "ES256")]
    algorithm: String,

    /// The id of the key, as in the key set
    #[arg(long)]
    kid: Option<String>,

    /// `iss`: who issues the token
    #[arg(long, required_unless_present = "new_key")]
    issuer: Option<String>,

    /// `aud`: for whom; may be repeated
    #[arg(long)]
    audience: Vec<String>,

    /// `sub`: the user
    #[arg(long, default_value = "alice")]
    subject: String,

    /// `client_id`: the application
    #[arg(long)]
    client: Option<String>,

    /// A scope; may be repeated
    #[arg(long)]
    scope: Vec<String>,

    /// How many seconds the token is good for; negative for one that has expired
    #[arg(long, default_value_t = 300, allow_negative_numbers = true)]
    expires_in: i64,

    /// Another claim, its value in JSON; may be repeated
    #[arg(long, value_name = "NAME=JSON")]
    claim: Vec<String>,
}

pub fn token(options: &Options) -> Result<(), String> {
    if let Some(path) = &options.new_key {
        return new_key(path);
    }
    let key = signing_key(options)?;
    println!("{}", key.sign(&claims(options)?)?);
    Ok(())
}

/// The private half is for its owner's eyes, and never replaces another key.
fn new_key(path: &PathBuf) -> Result<(), String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let key = SigningKey::generate()?;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(key.private_pem().as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}", key.jwks());
    Ok(())
}

fn signing_key(options: &Options) -> Result<SigningKey, String> {
    let path = options.key.as_ref().ok_or("--key FILE is needed")?;
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let algorithm = algorithm(&options.algorithm).ok_or_else(|| {
        format!(
            "\"{}\" is no signature algorithm; see --help",
            options.algorithm
        )
    })?;
    let key = match algorithm.family() {
        jsonwebtoken::AlgorithmFamily::Hmac => {
            SigningKey::from_secret(bytes.trim_ascii_end(), algorithm)
        }
        _ => SigningKey::from_pem(&String::from_utf8_lossy(&bytes), algorithm)?,
    };
    Ok(key.with_id(options.kid.clone()))
}

fn claims(options: &Options) -> Result<Value, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_err(|_| "the clock stands before 1970")?.as_secs() as i64;
    let mut claims = Map::new();
    claims.insert("iss".to_owned(), json!(options.issuer));
    claims.insert("sub".to_owned(), json!(options.subject));
    claims.insert("iat".to_owned(), json!(now));
    claims.insert(
        "exp".to_owned(),
        json!(now.saturating_add(options.expires_in)),
    );
    if !options.audience.is_empty() {
        claims.insert("aud".to_owned(), json!(options.audience));
    }
    if let Some(client) = &options.client {
        claims.insert("client_id".to_owned(), json!(client));
    }
    if !options.scope.is_empty() {
        claims.insert("scope".to_owned(), json!(options.scope.join(" ")));
    }
    for claim in &options.claim {
        let hint = || format!("\"{claim}\" is not NAME=JSON, as in accounts='[\"a-1\"]'");
        let (name, value) = claim.split_once('=').ok_or_else(hint)?;
        let value = serde_json::from_str(value).map_err(|_| hint())?;
        claims.insert(name.to_owned(), value);
    }
    Ok(Value::Object(claims))
}
