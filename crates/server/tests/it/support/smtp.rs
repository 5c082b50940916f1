//! A small SMTP server on loopback, with a certificate of its own and a script for misbehaving.
use std::future::{pending, poll_fn};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// Who may log in.
pub const USER: &str = "hall@pass";
/// With characters that a URL has to encode.
pub const PASSWORD: &str = "p/ss:w+rd %";

/// How TLS begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    Implicit,
    /// By STARTTLS.
    Upgraded,
    /// STARTTLS is not offered; login is, as a trap.
    Never,
}

/// What the server does with a mail.
#[derive(Clone, Copy)]
pub enum Behaviour {
    Accept,
    /// 550 to recipients that begin with "nobody".
    RefuseNobody,
    /// 451 to so many recipients, then accept.
    Greylist(u32),
    /// Accepts the connection and never says a word.
    Hang,
    /// Reads the mail and hangs up without a word.
    DropAfterData,
    /// 535 to every login.
    RefuseLogin,
}

/// A mail that was accepted.
#[derive(Clone)]
pub struct Received {
    pub from: String,
    pub to: String,
    pub raw: String,
    /// Whether the client had logged in, and all of it was under TLS.
    pub logged_in: bool,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    mails: Mutex<Vec<Received>>,
    /// Lines that came without TLS.
    clear: Mutex<Vec<String>>,
    /// Recipients asked for, refused ones too.
    asked: Mutex<u32>,
}

/// See the module's doc. Stops when dropped.
pub struct SmtpServer {
    tls: Tls,
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl SmtpServer {
    pub async fn start(tls: Tls) -> Self {
        Self::start_on(0, tls).await
    }

    /// On the port of a server that was stopped.
    pub async fn start_on(port: u16, tls: Tls) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(Behaviour::Accept),
            mails: Mutex::default(),
            clear: Mutex::default(),
            asked: Mutex::default(),
        });
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(listen(listener, tls, shared.clone()));
        Self { tls, port, shared, task }
    }

    /// Stops and tells the port.
    pub async fn stop(mut self) -> u16 {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.port
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }

    /// The URL for `mail.smtp_url`, with login.
    pub fn url(&self) -> String {
        self.url_as("127.0.0.1")
    }

    /// The same under another host name.
    pub fn url_as(&self, host: &str) -> String {
        let scheme = if self.tls == Tls::Implicit { "smtps" } else { "smtp" };
        format!("{scheme}://hall%40pass:p%2Fss%3Aw+rd%20%25@{host}:{}", self.port)
    }

    pub fn mails(&self) -> Vec<Received> {
        lock(&self.shared.mails).clone()
    }

    /// What was said without TLS.
    pub fn heard_in_clear(&self) -> Vec<String> {
        lock(&self.shared.clear).clone()
    }

    /// How many recipients were asked for.
    pub fn asked(&self) -> u32 {
        *lock(&self.shared.asked)
    }
}

/// The PEM file of the one certificate of all these servers; it is for 127.0.0.1 only.
pub fn ca_file() -> PathBuf {
    certificate().folder.path().join("ca.pem")
}

struct Certificate {
    folder: tempfile::TempDir,
    acceptor: TlsAcceptor,
}

fn certificate() -> &'static Certificate {
    static MADE: OnceLock<Certificate> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Certificate { folder, acceptor: TlsAcceptor::from(Arc::new(config)) }
    })
}

async fn listen(listener: TcpListener, tls: Tls, shared: Arc<Shared>) {
    let mut sessions = tokio::task::JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let shared = shared.clone();
        sessions.spawn(async move {
            // A client that hangs up ends its session, nothing else.
            let _ = Session::run(tcp, tls, shared).await;
        });
    }
}

enum Stream {
    Clear(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

trait Both: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

impl Stream {
    fn io(&mut self) -> Pin<&mut dyn Both> {
        match self {
            Self::Clear(stream) => Pin::new(stream),
            Self::Encrypted(stream) => Pin::new(&mut **stream),
        }
    }
}

struct Session {
    stream: Stream,
    buffer: Vec<u8>,
    shared: Arc<Shared>,
    logged_in: bool,
}

impl Session {
    async fn run(tcp: TcpStream, tls: Tls, shared: Arc<Shared>) -> io::Result<()> {
        let behaviour = *lock(&shared.behaviour);
        if matches!(behaviour, Behaviour::Hang) {
            pending::<()>().await;
        }
        let stream = if tls == Tls::Implicit {
            Stream::Encrypted(Box::new(certificate().acceptor.accept(tcp).await?))
        } else {
            Stream::Clear(tcp)
        };
        let mut session = Self { stream, buffer: Vec::new(), shared, logged_in: false };
        session.say("220 test").await?;
        let (mut from, mut to) = (String::new(), String::new());
        loop {
            let line = session.line().await?;
            let verb = line.split([' ', ':']).next().unwrap().to_uppercase();
            let address = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            match verb.as_str() {
                "EHLO" => session.hello(tls).await?,
                "STARTTLS" => session = session.upgrade().await?,
                "AUTH" => session.log_in(&line).await?,
                "MAIL" => {
                    from = address();
                    session.say("250 ok").await?;
                }
                "RCPT" => {
                    to = address();
                    session.recipient(&to).await?;
                }
                "DATA" => session.data(&from, &to).await?,
                "QUIT" => return session.say("221 bye").await,
                _ => session.say("502 what?").await?,
            }
        }
    }

    async fn hello(&mut self, tls: Tls) -> io::Result<()> {
        match (&self.stream, tls) {
            (Stream::Clear(_), Tls::Upgraded) => self.say("250-test\r\n250 STARTTLS").await,
            _ => self.say("250-test\r\n250 AUTH PLAIN LOGIN").await,
        }
    }

    async fn upgrade(mut self) -> io::Result<Self> {
        self.say("220 go").await?;
        let Stream::Clear(tcp) = self.stream else { return Err(io::ErrorKind::InvalidData.into()) };
        self.stream = Stream::Encrypted(Box::new(certificate().acceptor.accept(tcp).await?));
        self.buffer.clear();
        Ok(self)
    }

    async fn log_in(&mut self, line: &str) -> io::Result<()> {
        let refused = matches!(*lock(&self.shared.behaviour), Behaviour::RefuseLogin);
        let sent = line.split(' ').nth(2).unwrap_or_default();
        let expected = format!("\0{USER}\0{PASSWORD}");
        self.logged_in = !refused && sent == data_encoding::BASE64.encode(expected.as_bytes());
        self.say(if self.logged_in { "235 welcome" } else { "535 wrong" }).await
    }

    async fn recipient(&mut self, to: &str) -> io::Result<()> {
        *lock(&self.shared.asked) += 1;
        let reply = match &mut *lock(&self.shared.behaviour) {
            Behaviour::RefuseNobody if to.starts_with("nobody") => "550 5.1.1 no such mailbox",
            Behaviour::Greylist(left) if *left > 0 => {
                *left -= 1;
                "451 4.7.1 come back later"
            }
            _ => "250 ok",
        };
        self.say(reply).await
    }

    async fn data(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.say("354 go on").await?;
        let mut raw = String::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                break;
            }
            raw.push_str(line.strip_prefix('.').unwrap_or(&line));
            raw.push_str("\r\n");
        }
        if matches!(*lock(&self.shared.behaviour), Behaviour::DropAfterData) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let logged_in = self.logged_in && matches!(self.stream, Stream::Encrypted(_));
        lock(&self.shared.mails).push(Received { from: from.into(), to: to.into(), raw, logged_in });
        self.say("250 taken").await
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let line = String::from_utf8(line).unwrap().trim_end_matches("\r\n").to_owned();
                if matches!(self.stream, Stream::Clear(_)) {
                    lock(&self.shared.clear).push(line.clone());
                }
                return Ok(line);
            }
            let mut chunk = [0; 4096];
            let mut read = ReadBuf::new(&mut chunk);
            poll_fn(|context| self.stream.io().poll_read(context, &mut read)).await?;
            if read.filled().is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(read.filled());
        }
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        let text = format!("{text}\r\n");
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let written = poll_fn(|context| self.stream.io().poll_write(context, rest)).await?;
            rest = &rest[written..];
        }
        poll_fn(|context| self.stream.io().poll_flush(context)).await
    }
}
