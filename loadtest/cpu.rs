//! The run time of a process with its children, to the nanosecond.

use std::fs;
use std::time::Duration;

/// Of all threads that live now, and of those of its children.
pub fn run_time(pid: u32) -> Duration {
    let mut total = Duration::ZERO;
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return total;
    };
    for task in tasks.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        total += on_cpu(&text);
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children
            .split_whitespace()
            .filter_map(|child| child.parse().ok())
        {
            total += run_time(child);
        }
    }
    total
}

/// The first number of a `schedstat`: nanoseconds on the CPU.
fn on_cpu(schedstat: &str) -> Duration {
    let ns = schedstat.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_time_grows_with_work() {
        assert_eq!(on_cpu("1234 5 6\n"), Duration::from_nanos(1234));
        assert_eq!(on_cpu(""), Duration::ZERO);
        let before = run_time(std::process::id());
        let sum = (0..20_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
        assert!(run_time(std::process::id()) > before, "{sum}");
    }
}
