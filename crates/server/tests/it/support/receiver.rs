//! Somebody else's server on loopback, which takes calls as it likes.
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// What it does with a call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with a status and no body.
    Status(u16),
    /// Answers with a status and a header.
    Header(u16, &'static str, String),
    /// Answers 200 with this body.
    Body(String),
    /// Sends these bytes, whatever they are, and hangs up.
    Raw(Vec<u8>),
    /// Says nothing until it is told to let go, then 200.
    Hang,
    /// A byte of the head now and then, for ever.
    Drip,
    /// Sends a head, then a body without end.
    Endless,
    /// Takes the call and hangs up.
    HangUp,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Got {
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Got {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether a secret made one of the signatures, checked as a receiver would, by another library's HMAC.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key = data_encoding::BASE64.decode(secret.strip_prefix("whsec_").unwrap().as_bytes()).unwrap();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        let (id, at) = (&self.headers["webhook-id"], &self.headers["webhook-timestamp"]);
        let message = format!("{id}.{at}.{}", self.body);
        self.headers["webhook-signature"].split(' ').any(|one| {
            let mac =
                one.strip_prefix("v1,").and_then(|mac| data_encoding::BASE64.decode(mac.as_bytes()).ok());
            mac.is_some_and(|mac| aws_lc_rs::hmac::verify(&key, message.as_bytes(), &mac).is_ok())
        })
    }
}

struct Shared {
    otherwise: Mutex<Reply>,
    next: Mutex<VecDeque<Reply>>,
    got: watch::Sender<Vec<Got>>,
    connections: Mutex<usize>,
    let_go: Notify,
}

/// See the module's doc.
pub struct Receiver {
    pub port: u16,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub async fn start(reply: Reply) -> Self {
        Self::start_on(0, reply).await
    }

    pub async fn start_on(port: u16, reply: Reply) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            otherwise: Mutex::new(reply),
            next: Mutex::default(),
            got: watch::channel(Vec::new()).0,
            connections: Mutex::default(),
            let_go: Notify::new(),
        });
        let task = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Self { port, shared, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks?from=hallpass", self.port)
    }

    pub fn behave(&self, reply: Reply) {
        *self.shared.otherwise.lock().unwrap() = reply;
    }

    /// Once, before what it does otherwise.
    pub fn next(&self, reply: Reply) {
        self.shared.next.lock().unwrap().push_back(reply);
    }

    /// Answers everybody who waits.
    pub fn let_go(&self) {
        self.shared.let_go.notify_waiters();
    }

    pub fn got(&self) -> Vec<Got> {
        self.shared.got.borrow().clone()
    }

    pub fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// Waits until so many calls have arrived.
    pub async fn wait_for(&self, calls: usize) -> Vec<Got> {
        let mut got = self.shared.got.subscribe();
        let waited =
            tokio::time::timeout(std::time::Duration::from_secs(20), got.wait_for(|got| got.len() >= calls));
        waited.await.expect("the calls arrive").unwrap().clone()
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut calls = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        *shared.connections.lock().unwrap() += 1;
        let shared = Arc::clone(&shared);
        calls.spawn(async move {
            let _ = take(stream, &shared).await;
        });
    }
}

async fn take(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let target = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let body = String::from_utf8(bytes[head + 4..].to_vec()).unwrap();
    let reply = shared.next.lock().unwrap().pop_front();
    let reply = reply.unwrap_or_else(|| shared.otherwise.lock().unwrap().clone());
    // Registered before anybody hears of the call, so that nobody lets go too early.
    let let_go = shared.let_go.notified();
    tokio::pin!(let_go);
    let_go.as_mut().enable();
    shared.got.send_modify(|got| got.push(Got { target, headers, body }));
    match reply {
        Reply::Status(status) => stream.write_all(&answer(status, "", "")).await,
        Reply::Header(status, name, value) => {
            stream.write_all(&answer(status, &format!("{name}: {value}\r\n"), "")).await
        }
        Reply::Body(body) => {
            stream.write_all(&answer(200, "content-type: application/json\r\n", &body)).await
        }
        Reply::Raw(bytes) => stream.write_all(&bytes).await,
        Reply::Hang => {
            let_go.await;
            stream.write_all(&answer(200, "", "")).await
        }
        Reply::Drip => loop {
            stream.write_all(b"H").await?;
            tokio::task::yield_now().await;
            stream.readable().await?;
        },
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n").await?;
            loop {
                stream.write_all(&[b' '; 8192]).await?;
            }
        }
        Reply::HangUp => Ok(()),
    }
}

fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
