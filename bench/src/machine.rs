//! What the machine says: which core a process runs on, how much CPU and memory it used.
use crate::Fallible;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::path::Path;
use std::time::Duration;

/// The core of whatever is measured.
pub const MEASURED: usize = 0;
/// The core of the load generator.
pub const GENERATOR: usize = 1;

/// Moves the calling thread, and what it starts from now on, to one core.
pub fn pin(core: usize) -> Fallible<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| format!("cannot use core {core}: {error}").into())
}

/// CPU time of a process: all threads, and those alone whose name begins with `hash`.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    /// All threads.
    pub all: Duration,
    /// The password hashers.
    pub hashing: Duration,
}

impl Cpu {
    /// What was used since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            all: self.all.saturating_sub(earlier.all),
            hashing: self.hashing.saturating_sub(earlier.hashing),
        }
    }
}

/// CPU time that a process used so far, to the nanosecond, from `schedstat` of its threads.
pub fn cpu(pid: u32) -> Fallible<Cpu> {
    let mut cpu = Cpu::default();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let folder = thread?.path();
        let used = Duration::from_nanos(first_number(&folder.join("schedstat")));
        cpu.all += used;
        if std::fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.starts_with("hash")) {
            cpu.hashing += used;
        }
    }
    Ok(cpu)
}

/// A thread that has just ended counts as nothing.
fn first_number(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Resident memory of a process in MiB.
pub fn memory(pid: u32) -> Fallible<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// Processor, kernel and compiler, without names of machines or folders.
pub fn describe() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = std::process::Command::new("rustc").arg("--version").output();
    let rustc =
        rustc.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    let rustc = rustc.split(" (").next().unwrap_or_default().to_owned();
    format!("{}, Linux {}, {rustc}", model.trim_start_matches([' ', '\t', ':']).trim(), kernel.trim())
}
