//! Services outside that are asked about requests.

use std::sync::Arc;
use std::time::Duration;

use crate::config::compile::one_of;
use crate::config::file::{self, File};
use crate::config::reader::{At, Reader, nearest};
use crate::policy::inspector::{Inspector, OnFailure};

const TIMEOUT: Duration = Duration::from_millis(200);
const BODY: usize = 16 * 1024;
const THRESHOLD: u32 = 5;

/// The services, by name.
pub struct Inspectors(Vec<Arc<Inspector>>);

impl Inspectors {
    pub fn compile(reader: &Reader<'_>, file: &File) -> Inspectors {
        let all = file.inspectors.iter();
        Inspectors(
            all.map(|(name, declared)| Arc::new(one(reader, file, name, declared)))
                .collect(),
        )
    }

    /// The service that an operation asks: as it says, or else as its API says.
    pub fn of(
        &self,
        reader: &Reader<'_>,
        api: &file::Inspected,
        own: Option<&file::Inspected>,
    ) -> Option<Arc<Inspector>> {
        let own = own.and_then(|own| own.inspector.as_ref());
        let name = own.or(api.inspector.as_ref())?;
        if name.value == "off" {
            return None;
        }
        let found = self.0.iter().find(|each| *each.name == name.value);
        if found.is_none() {
            let names = self.0.iter().map(|each| &*each.name);
            let hint = match nearest(&name.value, names) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("add [inspector.{}]", name.value),
            };
            let message = format!("there is no inspector \"{}\"", name.value);
            reader.error(name.position, message, hint);
        }
        found.cloned()
    }
}

fn one(
    reader: &Reader<'_>,
    file: &File,
    name: &At<String>,
    declared: &file::Inspector,
) -> Inspector {
    if name.value == "off" {
        let hint = "choose another name: inspector = \"off\" asks nobody";
        reader.error(name.position, "\"off\" names no inspector", hint);
    }
    let on_failure = [("open", OnFailure::Open), ("closed", OnFailure::Closed)];
    let modes = [("block", true), ("detect", false)];
    let path = declared.path.as_ref().map_or("/", |path| &path.value);
    let is_sound = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if let Some(at) = declared.path.as_ref().filter(|_| !is_sound) {
        reader.error(
            at.position,
            format!("\"{path}\" is no path"),
            "write \"/inspect\"",
        );
    }
    let threshold = declared.threshold.as_ref();
    Inspector {
        name: name.value.as_str().into(),
        upstream: upstream(reader, file, declared),
        path: path.into(),
        timeout: timeout(reader, declared),
        on_failure: one_of(
            reader,
            declared.on_failure.as_ref(),
            &on_failure,
            OnFailure::Closed,
        ),
        blocks: one_of(reader, declared.mode.as_ref(), &modes, true),
        max_body: declared.max_body.as_ref().map_or(BODY, |at| at.value.0),
        threshold: threshold.map_or(THRESHOLD, |at| u32::try_from(at.value).unwrap_or(u32::MAX)),
    }
}

fn timeout(reader: &Reader<'_>, declared: &file::Inspector) -> Duration {
    let Some(timeout) = &declared.timeout else {
        return TIMEOUT;
    };
    if timeout.value.is_zero() {
        let hint = "write \"200ms\"";
        reader.error(timeout.position, "no service answers in no time", hint);
    }
    timeout.value
}

fn upstream(reader: &Reader<'_>, file: &File, declared: &file::Inspector) -> usize {
    let Some(name) = &declared.upstream else {
        return 0;
    };
    let names = || file.upstreams.iter().map(|(name, _)| name.value.as_str());
    names()
        .position(|each| each == name.value)
        .unwrap_or_else(|| {
            let hint = match nearest(&name.value, names()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("add [upstream.{}]", name.value),
            };
            let message = format!("there is no upstream \"{}\"", name.value);
            reader.error(name.position, message, hint);
            0
        })
}
