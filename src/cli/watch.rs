//! The files of TLS, looked at from time to time: whether one of them is another than it was. What
//! they say is judged by who reads them; a new file with the same text changes nothing.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::compile::tls;
use crate::config::file;
use crate::config::settings::Listener;

/// What changes with a file: time, size and place. None: it cannot be looked at.
type Stamp = Option<(i64, i64, u64, u64)>;

#[derive(Default)]
pub struct Watch(Vec<(PathBuf, Stamp)>);

impl Watch {
    /// Watches what `listeners` name in the configuration at `path`. A file that is new here counts
    /// as changed at the next look, because it may have changed since it was read.
    pub fn follow(&mut self, path: &Path, listeners: &[Listener]) {
        let named = listeners.iter().filter_map(named);
        let mut files: Vec<PathBuf> = named.flat_map(|named| tls::files(path, named)).collect();
        files.sort();
        files.dedup();
        let old = std::mem::take(&mut self.0);
        let stamped = files.into_iter().map(|file| {
            let known = old.iter().find(|(known, _)| *known == file);
            let stamp = known.and_then(|(_, stamp)| *stamp);
            (file, stamp)
        });
        self.0 = stamped.collect();
    }

    /// Whether a file is another than at the last look. Told once per change, so that a file that
    /// is refused is not read again and again.
    pub fn has_changed(&mut self) -> bool {
        let mut has_changed = false;
        for (file, known) in &mut self.0 {
            let now = stamp(file);
            has_changed |= *known != now;
            *known = now;
        }
        has_changed
    }
}

/// Where a listener has its TLS from.
pub fn named(listener: &Listener) -> Option<&file::Tls> {
    listener.tls.as_ref().map(|tls| &tls.named)
}

fn stamp(file: &Path) -> Stamp {
    let of = |told: Metadata| (told.mtime(), told.mtime_nsec(), told.size(), told.ino());
    std::fs::metadata(file).map(of).ok()
}
