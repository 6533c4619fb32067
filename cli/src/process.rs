//! What this process has used so far, and on which cores it runs. Only Linux tells in a way that needs no unsafe code.

use std::fs;

/// Clock ticks of `/proc/self/stat`; every Linux that this program is built for has 100 a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the processor time of all threads in seconds.
pub(crate) fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in the second field may hold anything, but ends at the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // Fields 14 and 15 of the whole line: user and system time.
    Some((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND)
}

/// Returns the most memory that was resident at any time, in bytes.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// Returns the memory that is resident and belongs to no file, in bytes.
pub(crate) fn memory_bytes() -> Option<u64> {
    status_bytes("RssAnon:")
}

fn status_bytes(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Runs `work` on the first `cores` of the cores that this thread may use; what it starts stays there too. Where that
/// cannot be had, it runs on all of them.
#[cfg(target_os = "linux")]
pub(crate) fn confined<T>(cores: u64, work: impl FnOnce() -> T) -> T {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    let this_thread = Pid::from_raw(0);
    let Ok(all) = sched_getaffinity(this_thread) else { return work() };
    let usable = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap_or(false));
    let mut few = CpuSet::new();
    let chosen = usable.take(cores as usize).all(|core| few.set(core).is_ok());
    if !chosen || sched_setaffinity(this_thread, &few).is_err() {
        return work();
    }
    let result = work();
    // Were it refused, the thread would only be slower.
    let _ = sched_setaffinity(this_thread, &all);
    result
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn confined<T>(_: u64, work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_what_was_used() {
        assert!(cpu_seconds().is_some_and(|seconds| (0.0..100_000.0).contains(&seconds)));
        assert!(peak_memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn confined_work_sees_one_core_and_the_thread_gets_its_own_back() {
        let cores = || std::thread::available_parallelism().map_or(0, |cores| cores.get());
        let before = cores();
        assert_eq!(confined(1, cores), 1);
        assert_eq!(cores(), before);
    }
}
