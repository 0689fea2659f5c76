//! `portcullis run`: the gateway itself.

use std::path::Path;

use crate::cli::check::counted;
use crate::cli::diagnose;
use crate::cli::process::Process;
use crate::config;

pub fn run(config: &Path) -> Result<(), String> {
    let loaded = config::load(config, 1).map_err(|found| diagnose::render(&found))?;
    let process = Process::start(loaded, config.to_owned(), None)?;
    let addresses: Vec<String> = process.addresses.iter().map(ToString::to_string).collect();
    let greeting = format!(
        "portcullis: listening on {}, admin on {}; {} shards on {}; {}",
        addresses.join(", "),
        process.admin,
        process.shards(),
        process.mode,
        counted(process.operations(), "operation"),
    );
    process.run(move || eprintln!("{greeting}"))
}
