//! What a process holds, from `/proc`.

use std::fs;
use std::io;

/// Bytes of memory that are resident now.
pub fn resident(pid: u32) -> io::Result<u64> {
    status(pid, "VmRSS:")
}

/// The most that was resident since [`forget_peak`].
pub fn peak(pid: u32) -> io::Result<u64> {
    status(pid, "VmHWM:")
}

/// Begins to look for the most anew, proc_pid_clear_refs(5).
pub fn forget_peak(pid: u32) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

fn status(pid: u32, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_taken_shows() {
        let own = std::process::id();
        let before = resident(own).unwrap();
        forget_peak(own).unwrap();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(resident(own).unwrap() > before + (32 << 20));
        drop(block);
        assert!(peak(own).unwrap() > before + (32 << 20));
        assert!(resident(1 << 23).is_err());
    }
}
