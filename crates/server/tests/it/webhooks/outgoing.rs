//! Calls reach the public internet, and private networks only where the operator says so.
use super::ANN;
use crate::support::TestApp;
use crate::support::receiver::{Receiver, Reply};
use futures_util::future::BoxFuture;
use hallpass::config::{Config, Mode};
use hallpass::outgoing::{Call, CallError, Outgoing, Resolve};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use url::Url;

/// Answers with one list of addresses after the other.
#[derive(Default)]
struct Names {
    answers: Mutex<Vec<Vec<SocketAddr>>>,
    asked: AtomicUsize,
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, std::io::Result<Vec<SocketAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.is_empty() { Vec::new() } else { answers.remove(0) };
        Box::pin(async move { Ok(answer) })
    }
}

fn production() -> Config {
    let mut config = Config::default();
    config.server.mode = Mode::Production;
    config
}

async fn call(outgoing: &Outgoing, url: &str) -> Result<u16, CallError> {
    let url = Url::parse(url).unwrap();
    let call = Call {
        url: &url,
        headers: &[],
        body: b"{}".to_vec(),
        patience: Duration::from_millis(400),
        longest: 0,
    };
    outgoing.post(call).await.map(|answer| answer.status)
}

#[tokio::test]
async fn no_spelling_of_a_private_address_is_called() {
    let receiver = Receiver::start(Reply::Status(200)).await;
    let port = receiver.port;
    let outgoing = Outgoing::new(&production());
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[3fff::1]",
        "169.254.169.254",
        "100.100.100.200",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        for scheme in ["http", "https"] {
            let answer = call(&outgoing, &format!("{scheme}://{host}:{port}/")).await;
            assert_eq!(answer, Err(CallError::PrivateAddress), "{scheme}://{host}");
        }
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn private_networks_are_called_where_the_operator_names_them_also_without_tls() {
    let receiver = Receiver::start(Reply::Status(200)).await;
    let mut config = production();
    config.webhooks.allow_private = vec!["127.0.0.0/8".into()];
    let outgoing = Outgoing::new(&config);
    assert_eq!(call(&outgoing, &format!("http://127.0.0.1:{}/", receiver.port)).await, Ok(200));
    assert_eq!(call(&outgoing, &format!("http://[::ffff:127.0.0.1]:{}/", receiver.port)).await, Ok(200));
    assert_eq!(call(&outgoing, "http://[::1]:9/").await, Err(CallError::PrivateAddress));
    assert_eq!(call(&outgoing, "http://10.0.0.1:9/").await, Err(CallError::PrivateAddress));
    // In development loopback is, and nothing else.
    let outgoing = Outgoing::new(&Config::default());
    assert_eq!(call(&outgoing, &format!("http://127.0.0.1:{}/", receiver.port)).await, Ok(200));
    assert_eq!(call(&outgoing, "http://10.0.0.1:9/").await, Err(CallError::PrivateAddress));
}

#[tokio::test]
async fn nothing_goes_to_the_public_internet_without_tls() {
    let outgoing = Outgoing::new(&production());
    for url in ["http://9.9.9.9/", "http://[2620:fe::fe]/"] {
        assert_eq!(call(&outgoing, url).await, Err(CallError::PlainHttp), "{url}");
    }
}

#[tokio::test]
async fn a_name_that_answers_differently_the_second_time_reaches_nothing() {
    let receiver = Receiver::start(Reply::Status(200)).await;
    let public = SocketAddr::from(([9, 9, 9, 9], 9));
    let private = SocketAddr::from(([127, 0, 0, 1], receiver.port));
    let names = Arc::new(Names::default());
    let outgoing = Outgoing::with_resolver(&production(), names.clone());
    let url = format!("https://rebinding.example.com:{}/", receiver.port);
    // Asked once: the connection goes to what was looked at.
    *names.answers.lock().unwrap() = vec![vec![public], vec![private]];
    assert!(call(&outgoing, &url).await.is_err());
    assert_eq!((names.asked.load(Ordering::SeqCst), receiver.connections()), (1, 0));
    // The second answer is looked at as well.
    assert_eq!(call(&outgoing, &url).await, Err(CallError::PrivateAddress));
    for mixed in [vec![public, private], vec![private, public]] {
        *names.answers.lock().unwrap() = vec![mixed];
        assert_eq!(call(&outgoing, &url).await, Err(CallError::PrivateAddress));
    }
    assert_eq!(call(&outgoing, &url).await, Err(CallError::NoAddress));
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn an_endpoint_on_a_private_network_gets_nothing_in_production() {
    let receiver = Receiver::start(Reply::Status(200)).await;
    let server = TestApp::start().await;
    let (id, _) = super::endpoint(&server.app, &receiver.url(), &["*"]).await;
    server.sign_up(ANN).await;
    let node = server.in_production().await;
    let report = hallpass::webhooks::worker::run_once(&node.app).await.unwrap();
    assert_eq!((report.delivered, report.retried, receiver.connections()), (0, 2, 0));
    let reason = super::deliveries(&server.app, id).await.remove(0).last_error.unwrap();
    assert!(reason.contains("webhooks.allow_private"), "{reason}");
}

#[tokio::test]
async fn an_address_that_swallows_everything_leaves_time_for_the_next() {
    let receiver = Receiver::start(Reply::Status(200)).await;
    let hole = tokio::net::TcpSocket::new_v4().unwrap();
    hole.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let hole = hole.listen(1).unwrap();
    let swallows = hole.local_addr().unwrap();
    // Nobody accepts: when its line is full, the system drops what comes.
    let mut line = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(swallows)).await
    {
        line.push(stream.unwrap());
        assert!(line.len() < 100, "connections go nowhere");
    }
    let answers = SocketAddr::from(([127, 0, 0, 1], receiver.port));
    let names = Arc::new(Names::default());
    let outgoing = Outgoing::with_resolver(&Config::default(), names.clone());
    let url = format!("http://several.example.com:{}/", receiver.port);
    for several in [vec![swallows, answers], vec![swallows, swallows, swallows, answers], vec![answers]] {
        *names.answers.lock().unwrap() = vec![several.clone()];
        assert_eq!(call(&outgoing, &url).await, Ok(200), "{several:?}");
    }
    *names.answers.lock().unwrap() = vec![vec![swallows, swallows]];
    assert_eq!(call(&outgoing, &url).await, Err(CallError::Timeout));
}

#[tokio::test]
async fn a_file_of_authorities_that_could_not_be_read_is_read_again() {
    let receiver = Receiver::start(Reply::Status(200)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    let mut config = Config::default();
    config.webhooks.ca_file = Some(file.clone());
    let outgoing = Outgoing::new(&config);
    let url = format!("https://127.0.0.1:{}/", receiver.port);
    assert_eq!(call(&outgoing, &url).await, Err(CallError::Roots));
    std::fs::write(&file, b"").unwrap();
    // The receiver speaks no TLS; what matters is that it was tried.
    assert!(matches!(call(&outgoing, &url).await, Err(CallError::Tls | CallError::Timeout)));
}
