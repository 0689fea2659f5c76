//! The run time of a process and its descendants, from `/proc`.
//!
//! What stays true: a run time that cannot be read is an error, never zero. A gateway that seems to
//! cost nothing would win every comparison.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A tick of `/proc/PID/stat`: Linux shows user space a hundred of them a second on every
/// architecture, whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of all threads that live now, of the process and of all that descend from
/// it: the kernel's workers of a ring are threads of their process, the workers of nginx children.
pub fn run_time(pid: u32) -> io::Result<Duration> {
    let mut total = thread_time(Path::new(&format!("/proc/{pid}/task/{pid}")))?;
    for member in family(pid, &parents()?) {
        // What ends between being listed and being read does not live now.
        let Some(tasks) = living(fs::read_dir(format!("/proc/{member}/task")))? else {
            continue;
        };
        for task in tasks {
            let task = task?;
            // The first thread of the process was asked for above, where its absence is an error.
            if task.file_name().to_str() != Some(&pid.to_string()) {
                total += living(thread_time(&task.path()))?.unwrap_or_default();
            }
        }
    }
    Ok(total)
}

/// `None`: the thread or process that was asked for has ended.
fn living<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    const ENDED: i32 = nix::libc::ESRCH;
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(ENDED) => Ok(None),
        Err(error) => Err(error),
    }
}

/// To the nanosecond where the kernel keeps `schedstat`, else in ticks.
fn thread_time(task: &Path) -> io::Result<Duration> {
    let precise = fs::read_to_string(task.join("schedstat")).ok();
    if let Some(time) = precise.as_deref().and_then(on_cpu) {
        return Ok(time);
    }
    let text = fs::read_to_string(task.join("stat"))?;
    let stat = Stat::parse(&text).ok_or(io::ErrorKind::InvalidData)?;
    Ok(TICK * stat.ticks)
}

/// The first number of a `schedstat`: nanoseconds on a CPU. Zero is what kernels show that do not
/// count.
fn on_cpu(schedstat: &str) -> Option<Duration> {
    let ns = schedstat.split_whitespace().next()?.parse().ok()?;
    (ns > 0).then_some(Duration::from_nanos(ns))
}

/// What is used of a `stat`, proc_pid_stat(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time.
    ticks: u32,
}

impl Stat {
    /// The name of a process stands in parentheses and may itself hold spaces and parentheses, so
    /// the fields are counted from the last one that closes.
    fn parse(text: &str) -> Option<Stat> {
        let (_, rest) = text.rsplit_once(')')?;
        // The state of the process, field 3, comes first.
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u32>().ok();
        Some(Stat {
            parent: number(4)?,
            ticks: number(14)?.checked_add(number(15)?)?,
        })
    }
}

/// Every process with its parent.
fn parents() -> io::Result<Vec<(u32, u32)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // It may have ended since the directory was read.
        let text = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        found.extend(Stat::parse(&text).map(|stat| (pid, stat.parent)));
    }
    Ok(found)
}

/// A process and all that descend from it.
fn family(root: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        let children = parents.iter().filter(|(_, of)| *of == parent);
        let fresh: Vec<u32> = children
            .map(|(pid, _)| *pid)
            .filter(|pid| !family.contains(pid))
            .collect();
        family.extend(fresh);
        next += 1;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_time_grows_with_work() {
        let before = run_time(std::process::id()).unwrap();
        let sum = (0..20_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
        assert!(run_time(std::process::id()).unwrap() > before, "{sum}");
    }

    #[test]
    fn threads_that_end_meanwhile_are_no_error() {
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    std::thread::scope(|short| drop(short.spawn(|| {})));
                }
            });
            for _ in 0..300 {
                run_time(std::process::id()).unwrap();
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        // Beyond the largest pid that Linux gives.
        assert!(run_time(1 << 23).is_err());
    }

    #[test]
    fn schedstat_is_nanoseconds_first() {
        assert_eq!(on_cpu("1234 5 6\n"), Some(Duration::from_nanos(1234)));
        for text in ["", "\n", "0 0 0\n", "-1 2 3", "x"] {
            assert_eq!(on_cpu(text), None, "{text:?}");
        }
    }

    #[test]
    fn names_do_not_shift_the_fields() {
        let rest = "S 77 1 1 0 -1 4194560 9 0 0 0 250 50 7 8 20 0 1 0";
        let stat = Stat {
            parent: 77,
            ticks: 300,
        };
        for name in ["nginx", "a b", "x) R 1 (y", ""] {
            assert_eq!(
                Stat::parse(&format!("12 ({name}) {rest}")),
                Some(stat),
                "{name}"
            );
        }
        for text in ["", "12 (nginx", "12 (nginx) S 77", "12 (nginx) S a b"] {
            assert_eq!(Stat::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_family_is_all_that_descends() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (1, 1)];
        assert_eq!(family(2, &parents), [2, 3, 4]);
        assert_eq!(family(9, &parents), [9]);
        // A pid that came round again must not make a ring.
        assert_eq!(family(1, &[(1, 2), (2, 1)]), [1, 2]);
    }
}
