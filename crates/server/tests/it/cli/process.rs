//! The real binary in a folder of its own, and a server of it that runs for a while.
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// The output as JSON.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that the command failed with a sentence that has these words.
    pub fn fails_with(&self, words: &str) {
        assert_eq!(self.code, 1, "{self:?}");
        let text = format!("{}{}", self.out, self.err);
        assert!(text.contains(words), "no \"{words}\" in {self:?}");
    }

    /// Asserts success.
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// A folder with settings in the environment; commands run in it.
pub struct Place {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Place {
    pub fn new() -> Self {
        let environment =
            [("HALLPASS_PASSWORDS__HASH_THREADS", "1"), ("HALLPASS_TELEMETRY__LOG_LEVEL", "error")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { folder: tempfile::tempdir().unwrap(), environment }
    }

    /// With a migrated database.
    pub fn migrated() -> Self {
        let place = Self::new();
        place.run(&["migrate"]).succeeds();
        place
    }

    /// With a setting in the environment.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn database(&self) -> PathBuf {
        self.path("data/hallpass.db")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hallpass"));
        command.args(arguments).env_clear().current_dir(self.folder.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, "")
    }

    /// Runs a command with something on its standard input. No command may ever panic.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = Said::from(output);
        assert!(
            !said.err.contains("panicked") && !said.err.contains("RUST_BACKTRACE"),
            "{arguments:?}: {said:?}"
        );
        said
    }

    /// A user with the password that the tests share.
    pub fn add_user(&self, email: &str) {
        self.run_with(&["user", "create", "--email", email, "--password-stdin"], crate::support::PASSWORD)
            .succeeds();
    }

    /// Addresses of all users.
    pub fn users(&self) -> Vec<String> {
        let json = self.run(&["user", "list", "--json"]).json();
        let users = json["users"].as_array().unwrap().iter();
        users.map(|user| user["email"].as_str().unwrap().to_owned()).collect()
    }

    /// Starts a server on a free port and waits until it says where it is.
    pub fn serve(&self) -> Server {
        self.serve_with(Stdio::inherit())
    }

    /// The same, with a log to read in the end.
    pub fn serve_logging(&self) -> Server {
        self.serve_with(Stdio::piped())
    }

    fn serve_with(&self, log: Stdio) -> Server {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
        command.stderr(log);
        Server::start(command)
    }
}

/// Overwrites part of a file.
pub fn overwrite(file: &Path, at: u64, bytes: &[u8]) {
    use std::io::{Seek, SeekFrom};
    let mut file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub address: String,
    // Held open, so that the server can go on writing.
    _out: BufReader<ChildStdout>,
}

impl Server {
    /// Runs `serve --json` and waits until it says where it is.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).expect("the server says where it is");
        Self { child, address: said["listen"].as_str().unwrap().into(), _out: out }
    }

    /// Sends one request; returns status and body.
    pub fn send(&self, method: &str, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        let answer = Self::try_send(&self.address, method, path, bearer, body);
        answer.unwrap_or_else(|| panic!("{method} {path} was not answered"))
    }

    /// Sends one request; `None` when no whole answer came.
    pub fn try_send(
        address: &str,
        method: &str,
        path: &str,
        bearer: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(address).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             authorization: Bearer {bearer}\r\ncontent-length: {}\r\n\r\n{body}",
            address,
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let status = text.split(' ').nth(1)?.parse().ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
        (body.len() == length).then(|| (status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// Status line and headers of an answer.
    pub fn head(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split("\r\n\r\n").next().unwrap().to_owned()
    }

    /// What the server says of its parts.
    pub fn ready(&self) -> Value {
        self.send("GET", "/health/ready", "", &Value::Null).1
    }

    /// Signs in; returns the access token.
    pub fn sign_in(&self, email: &str, password: &str) -> String {
        self.tokens_of(email, password)["accessToken"].as_str().unwrap().to_owned()
    }

    /// Signs in; returns the whole answer, tokens in the body.
    pub fn tokens_of(&self, email: &str, password: &str) -> Value {
        let body = serde_json::json!({ "email": email, "password": password, "tokenDelivery": "body" });
        let (status, body) = self.send("POST", "/api/v1/login", "", &body);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Status of the caller's own account.
    pub fn me(&self, token: &str) -> u16 {
        self.send("GET", "/api/v1/me", token, &Value::Null).0
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in the middle of whatever it does, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops and returns what was logged.
    pub fn stop_and_read_log(mut self) -> String {
        let mut log = self.child.stderr.take().expect("started by serve_logging");
        assert_eq!(self.stop(), Some(0));
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    }

    /// Stops as an init system does; returns the exit code.
    pub fn stop(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
