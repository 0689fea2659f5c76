//! Which cores this process may use, and pinning a shard to one of them.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The cores in the affinity mask of the calling thread, in order. The kernel has already reduced
/// the mask by the cgroup's cpuset.
pub fn allowed() -> io::Result<Vec<usize>> {
    let mask = sched_getaffinity(this_thread())?;
    Ok((0..CpuSet::count())
        .filter(|&core| mask.is_set(core).unwrap_or(false))
        .collect())
}

/// Keeps the calling thread on one core.
pub fn pin(core: usize) -> io::Result<()> {
    let mut mask = CpuSet::new();
    mask.set(core)?;
    Ok(sched_setaffinity(this_thread(), &mask)?)
}

fn this_thread() -> Pid {
    Pid::from_raw(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_may_use_its_core_alone() {
        let cores = allowed().unwrap();
        let last = *cores.last().unwrap();
        let after = std::thread::spawn(move || pin(last).and_then(|()| allowed()))
            .join()
            .unwrap();
        assert_eq!(after.unwrap(), [last]);
        assert_eq!(allowed().unwrap(), cores, "only the pinned thread changes");
    }

    #[test]
    fn a_core_that_does_not_exist_is_an_error() {
        let outcome = std::thread::spawn(|| pin(CpuSet::count())).join().unwrap();
        assert!(outcome.is_err());
    }
}
