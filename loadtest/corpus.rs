//! What a generator of the user's own needs to send the same requests to the full pipeline.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::arm;
use crate::bounds::Bounds;
use crate::workload::Workload;

/// Between looks at the bounds of the run.
const LOOK: Duration = Duration::from_millis(100);

/// Writes the files, tells how they are used, and stays as the backend until it is interrupted.
pub fn serve(
    directory: &Path,
    workload: &Workload,
    backend: SocketAddr,
    bounds: &Bounds,
) -> Result<(), String> {
    let gateway = write(directory, workload, backend)?;
    let shown = directory.display();
    println!(
        "The backend answers on {backend} until this is interrupted. In other shells:\n\n\
         portcullis run --config {shown}/full.toml\n\
         export CORPUS={shown}\n\
         wrk -t1 -c32 -d10 -s loadtest/wrk/get.lua http://{gateway}\n\
         wrk -t1 -c32 -d10 -s loadtest/wrk/post.lua http://{gateway}\n\
         k6 run -e URL=http://{gateway} -e CORPUS=$PWD/{shown} loadtest/k6/post.js"
    );
    while bounds.check().is_ok() {
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// The address that the gateway is to listen on.
fn write(directory: &Path, workload: &Workload, backend: SocketAddr) -> Result<SocketAddr, String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let lines = workload.tokens.iter();
    let tokens: String = lines
        .map(|(account, token)| format!("{account} {token}\n"))
        .collect();
    let files = [
        ("tokens.txt", tokens.as_str()),
        ("body.json", &workload.body),
    ];
    arm::write_all(directory, &files)?;
    arm::write_full(directory, backend, &workload.jwks)
}
