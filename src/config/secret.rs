//! Secrets: read from the environment or a file, never written in the configuration, never shown.

use std::fmt;
use std::path::Path;

use crate::config::reader::Reader;
use crate::diagnostic::{Diagnostic, Position};

const LITERAL: &str = "a secret must not stand in the configuration";
const REFERENCE: &str = "write \"${NAME}\" for an environment variable, or \"file:PATH\"";

/// A value that cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    pub fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[secret]")
    }
}

/// Follows `${NAME}` to the environment or `file:PATH` to a file; a final line break is not part
/// of the secret.
pub fn resolve(
    reader: &Reader<'_>,
    position: Position,
    reference: &str,
) -> Option<Secret<Vec<u8>>> {
    match look_up(reader, reference) {
        Ok(bytes) if bytes.is_empty() => {
            reader.error(
                position,
                format!("{reference} is empty"),
                "put the secret there",
            );
            None
        }
        Ok(bytes) => Some(Secret::new(bytes)),
        Err((message, hint)) => {
            let told = Diagnostic::new(reader.path(), position, message).with_hint(hint);
            // What stands there may be the secret itself.
            reader.extend(vec![told.private()]);
            None
        }
    }
}

fn look_up(reader: &Reader<'_>, reference: &str) -> Result<Vec<u8>, (String, String)> {
    if let Some(path) = reference.strip_prefix("file:") {
        return read_file(&reader.resolve(path));
    }
    let name = reference
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    let Some(name) = name else {
        return Err((LITERAL.to_owned(), REFERENCE.to_owned()));
    };
    match std::env::var_os(name) {
        Some(value) => Ok(value.into_encoded_bytes()),
        None => Err((
            format!("the environment variable {name} is not set"),
            format!("set {name} before the gateway starts"),
        )),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, (String, String)> {
    let mut bytes = std::fs::read(path).map_err(|error| {
        let message = format!("{} cannot be read: {error}", path.display());
        (message, "check the path and its permissions".to_owned())
    })?;
    while bytes.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        bytes.pop();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown_and_never_literal() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
        let reader = Reader::new(Path::new("x.toml"), "");
        let at = Position::default();
        assert!(resolve(&reader, at, "hunter2").is_none());
        assert!(resolve(&reader, at, "${PORTCULLIS_SURELY_NOT_SET}").is_none());
        assert!(resolve(&reader, at, "file:no/such/file").is_none());
        let path = resolve(&reader, at, "${PATH}").unwrap();
        assert!(!path.reveal().is_empty());
        let told = reader.into_diagnostics();
        assert_eq!(told.len(), 3);
        assert!(
            told.iter()
                .all(|each| !each.to_string().contains("hunter2"))
        );
    }
}
