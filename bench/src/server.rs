//! The server under load: a process of its own on a temporary folder and a free port.
use crate::Fallible;
use crate::http::Connection;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// See the module's doc.
pub struct Server {
    child: Child,
    _folder: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to the first healthy answer.
    pub cold_start: Duration,
}

impl Server {
    /// Starts the release binary that lies beside this one.
    pub async fn start() -> Fallible<Self> {
        let folder = tempfile::tempdir()?;
        let binary: PathBuf = std::env::current_exe()?.with_file_name("hallpass");
        let started = Instant::now();
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("HALLPASS_DATA_DIR", folder.path())
            .env("HALLPASS_LIMITS__ENABLED", "false")
            .env("HALLPASS_TELEMETRY__LOG_LEVEL", "warn")
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let banner = BufReader::new(output).lines().next_line().await?.unwrap_or_default();
        let port = banner.rsplit(':').next().unwrap_or_default().trim().parse()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Connection::open(address).await?.get("/health/ready", None).await?;
        Ok(Self { child, _folder: folder, address, cold_start: started.elapsed() })
    }

    fn pid(&self) -> Fallible<u32> {
        Ok(self.child.id().ok_or("the server has ended")?)
    }

    /// Resident memory in KiB.
    pub fn memory_kib(&self) -> Fallible<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// CPU time used so far, user and system, in ticks of 10 ms.
    pub fn cpu(&self) -> Fallible<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
    }

    /// Ends the process.
    pub async fn stop(mut self) -> Fallible<()> {
        self.child.kill().await?;
        Ok(())
    }
}
