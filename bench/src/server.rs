//! What is measured, each in a process of its own on the measured core: Hallpass, or the bare route.
use crate::Fallible;
use crate::http::{Connection, field, request};
use crate::machine::{self, Cpu};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The secret key of measured servers, so that the generator can make tokens for a million sessions.
pub const SECRET_KEY: &str = "bench-only:4Jm1Cs5FaKq8Zt3Wm1Xv7Lr5Kd9Yb2Hn";

/// A running process.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to the first healthy answer.
    pub cold_start: Duration,
}

impl Server {
    /// Starts the release binary that lies beside this one, on a data folder.
    pub async fn hallpass(folder: &Path) -> Fallible<Self> {
        Self::hallpass_with(folder, &[]).await
    }

    /// The same with more settings.
    pub async fn hallpass_with(folder: &Path, settings: &[(&str, String)]) -> Fallible<Self> {
        let binary: PathBuf = std::env::current_exe()?.with_file_name("hallpass");
        let mut command = Command::new(binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--json"])
            .env("HALLPASS_DATA_DIR", folder)
            .env("HALLPASS_SECRET_KEY", SECRET_KEY)
            .env("HALLPASS_PUBLIC_URL", "http://localhost:3000")
            .env("HALLPASS_LIMITS__ENABLED", "false")
            .env("HALLPASS_PASSWORDS__HASH_THREADS", "1")
            .env("HALLPASS_TELEMETRY__LOG_LEVEL", "warn")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .current_dir(folder);
        Self::start(command, "/health/ready").await
    }

    /// Starts the bare route: this binary again.
    pub async fn bare() -> Fallible<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare");
        Self::start(command, "/bare").await
    }

    /// The process says where it listens on its first line.
    async fn start(mut command: Command, healthy: &str) -> Fallible<Self> {
        machine::pin(machine::MEASURED)?;
        let started = Instant::now();
        let child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn();
        machine::pin(machine::GENERATOR)?;
        let mut child = child?;
        let output = child.stdout.take().ok_or("no output")?;
        let first = BufReader::new(output).lines().next_line().await?.unwrap_or_default();
        let address: SocketAddr = field(&first, "listen")?.parse()?;
        Connection::open(address).await?.send(&request("GET", healthy, None, "")).await?.good()?;
        Ok(Self { child, address, cold_start: started.elapsed() })
    }

    fn pid(&self) -> Fallible<u32> {
        Ok(self.child.id().ok_or("the server has ended")?)
    }

    /// Resident memory in MiB.
    pub fn memory(&self) -> Fallible<f64> {
        machine::memory(self.pid()?)
    }

    /// CPU time used so far.
    pub fn cpu(&self) -> Fallible<Cpu> {
        machine::cpu(self.pid()?)
    }

    /// Ends the process as an init system does.
    pub async fn stop(mut self) -> Fallible<()> {
        let pid = i32::try_from(self.pid()?)?;
        let pid = rustix::process::Pid::from_raw(pid).ok_or("no process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait().await?;
        Ok(())
    }
}
