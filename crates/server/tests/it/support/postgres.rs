//! PostgreSQL servers of a test's own, to be restarted, stopped and failed over. They flush to the disk.
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A server in a folder of its own; stopped when dropped.
pub struct Postgres {
    folder: tempfile::TempDir,
    data: PathBuf,
    pub port: u16,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The newest of the installed versions.
fn program(name: &str) -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed (make test does it)");
    let mut folders: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.last().unwrap().join("bin").join(name)
}

/// Runs one of its programs; as root as the user that Debian made for it, since it refuses to run as root.
fn run(name: &str, arguments: &[&str]) -> Output {
    let path = program(name);
    let mut command = if rustix::process::getuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(path);
        command
    } else {
        Command::new(path)
    };
    command.args(arguments).output().unwrap()
}

fn must(name: &str, arguments: &[&str]) {
    let output = run(name, arguments);
    assert!(output.status.success(), "{name} {arguments:?}: {output:?}");
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    if rustix::process::getuid().is_root() {
        let output = Command::new("chown").arg("postgres").arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    folder
}

impl Postgres {
    /// A new server with an empty database `hallpass`, owned by a role of that name.
    pub fn start() -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        must(
            "initdb",
            &["-D", text(&data), "-U", "hallpass", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8"],
        );
        let server = Self { folder, data, port: free_port() };
        server
            .configure("max_connections = 200\nwal_level = replica\nmax_wal_senders = 4\nhot_standby = on\n");
        server.up();
        must("createdb", &["-h", "127.0.0.1", "-p", &server.port.to_string(), "-U", "hallpass", "hallpass"]);
        server
    }

    /// A server that offers TLS under a name, and the file of the authority that signed for it.
    pub fn start_with_tls(name: &str) -> (Self, PathBuf) {
        let server = Self::start();
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::from_params(&parameters, &authority_key);
        let certificate =
            rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let file = server.folder.path().join("authority.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        for (name, text) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
            let path = server.data.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            if rustix::process::getuid().is_root() {
                Command::new("chown").arg("postgres").arg(&path).output().unwrap();
            }
        }
        server.configure("ssl = on\n");
        server.crash_and_restart();
        (server, file)
    }

    fn configure(&self, more: &str) {
        use std::io::Write;
        let file = self.data.join("postgresql.conf");
        let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
        write!(
            file,
            "\nport = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nlog_min_messages = fatal\n{more}",
            self.port,
            self.folder.path().display()
        )
        .unwrap();
    }

    pub fn url(&self) -> String {
        format!("postgres://hallpass@127.0.0.1:{}/hallpass", self.port)
    }

    fn up(&self) {
        let log = self.folder.path().join("log");
        must("pg_ctl", &["-D", text(&self.data), "-l", text(&log), "-w", "start"]);
    }

    fn down(&self, mode: &str) {
        run("pg_ctl", &["-D", text(&self.data), "-m", mode, "-w", "stop"]);
    }

    /// Ends it as a crash would, and starts it again.
    pub fn crash_and_restart(&self) {
        self.down("immediate");
        self.up();
    }

    /// Ends it as a crash would.
    pub fn crash(&self) {
        self.down("immediate");
    }

    /// Runs a statement.
    pub fn sql(&self, sql: &str) -> String {
        let port = self.port.to_string();
        let arguments = ["-h", "127.0.0.1", "-p", &port, "-U", "hallpass", "-d", "hallpass", "-Atqc", sql];
        let output = run("psql", &arguments);
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A second server that follows this one, which from now on acknowledges only what both have.
    pub fn synchronous_standby(&self) -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        let port = self.port.to_string();
        must(
            "pg_basebackup",
            &["-h", "127.0.0.1", "-p", &port, "-U", "hallpass", "-D", text(&data), "-R", "-c", "fast"],
        );
        let standby = Self { folder, data, port: free_port() };
        standby.configure("");
        standby.up();
        self.sql("alter system set synchronous_standby_names = '*'");
        self.sql("select pg_reload_conf()");
        while self.sql("select count(*) from pg_stat_replication where sync_state = 'sync'") != "1" {
            std::thread::yield_now();
        }
        standby
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        self.sql("alter system set synchronous_standby_names = ''");
        must("pg_ctl", &["-D", text(&self.data), "-w", "promote"]);
        self.sql("select pg_reload_conf()");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.down("immediate");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
