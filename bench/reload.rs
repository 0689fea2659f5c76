//! What a reload of a configuration that has not changed costs, with nothing taken over and with
//! what did not change.
//!
//! `cargo bench --bench reload [FILE ...]`: milliseconds of the processor, medians of 25 loads of
//! each kind in turns. Without files: the reference configuration, and the same with the Core Rule
//! Set where the distribution's package of it is installed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mimalloc::MiMalloc;
use nix::time::{ClockId, clock_gettime};
use portcullis::config::{self, Kept};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const TURNS: usize = 25;

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/gateway.toml");

const CORE_RULE_SET: &str = "/usr/share/modsecurity-crs/rules/*.conf";

fn main() -> Result<(), String> {
    let named: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .map(PathBuf::from)
        .collect();
    if !named.is_empty() {
        return named.iter().try_for_each(|path| measure(path));
    }
    measure(Path::new(REFERENCE))?;
    if !Path::new("/usr/share/modsecurity-crs/rules").is_dir() {
        println!("the Core Rule Set is not installed: apt-get install modsecurity-crs");
        return Ok(());
    }
    let with = with_core_rule_set().map_err(|error| error.to_string())?;
    let measured = measure(&with);
    std::fs::remove_file(&with).map_err(|error| error.to_string())?;
    measured
}

/// The reference configuration with one more rule set, beside it since it names files there.
fn with_core_rule_set() -> std::io::Result<PathBuf> {
    let path = Path::new(REFERENCE).with_file_name(format!(".reload-{}.toml", std::process::id()));
    let setup = "/etc/modsecurity/crs/crs-setup.conf";
    let set = format!(
        "\n[waf.core]\nrules = [\"{setup}\", \"{CORE_RULE_SET}\"]\non_unsupported = \"skip\"\n"
    );
    std::fs::write(&path, std::fs::read_to_string(REFERENCE)? + &set)?;
    Ok(path)
}

fn measure(path: &Path) -> Result<(), String> {
    let nothing = Kept::default();
    let first = load(&nothing, path)?.1;
    let (mut anew, mut after) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        anew.push(load(&nothing, path)?.0);
        after.push(load(&first, path)?.0);
    }
    let (anew, after) = (median(anew), median(after));
    println!(
        "{}: {anew:.2} ms anew, {after:.2} ms after the same",
        path.display()
    );
    Ok(())
}

fn load(kept: &Kept, path: &Path) -> Result<(f64, Kept), String> {
    let begin = now();
    let loaded = config::load_after(kept, path, 1);
    let took = now().saturating_sub(begin);
    let loaded = loaded.map_err(|found| format!("{found:#?}"))?;
    Ok((took.as_secs_f64() * 1e3, loaded.kept))
}

/// Of this thread.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn median(mut found: Vec<f64>) -> f64 {
    found.sort_by(f64::total_cmp);
    found[found.len() / 2]
}
