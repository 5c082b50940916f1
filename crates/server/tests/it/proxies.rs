//! The client's true address, as limits, sessions and events see it.
use crate::cli::process::Place;
use crate::support::{Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::config::{Config, ForwardedHeader};
use hallpass::proxy_protocol::address;
use proptest::prelude::*;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

const ANN: &str = "ann@example.com";

/// The address that the server noted for a sign-in from a peer with headers.
async fn noted(server: &TestApp, peer: &str, headers: &[(&str, &str)]) -> String {
    let mut client = server.client().at(peer);
    for (name, value) in headers {
        client = client.with_header(name, value);
    }
    let answer = client.log_in(json!({ "email": ANN, "password": PASSWORD })).await;
    answer.json["session"]["ip"].as_str().unwrap().to_owned()
}

async fn behind(change: impl FnOnce(&mut Config)) -> TestApp {
    let server = TestApp::start_with(|config| {
        config.server.trusted_proxies =
            vec!["10.0.0.5".into(), "192.168.0.0/16".into(), "2001:db8::/32".into()];
        change(config);
    })
    .await;
    server.sign_up(ANN).await;
    server
}

#[tokio::test]
async fn only_what_a_trusted_proxy_itself_saw_is_believed() {
    let server = behind(|_| {}).await;
    let cases: [(&str, &[&str], &str); 14] = [
        ("10.0.0.5", &["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.5", &["1.2.3.4, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.5", &["1.2.3.4", "203.0.113.7"], "203.0.113.7"),
        ("10.0.0.5", &["203.0.113.7, 192.168.3.4"], "203.0.113.7"),
        ("10.0.0.5", &["192.168.9.9, 192.168.3.4"], "192.168.9.9"),
        ("10.0.0.5", &["203.0.113.7:4711"], "203.0.113.7"),
        ("10.0.0.5", &["[2a00::7]:4711"], "2a00::7"),
        ("10.0.0.5", &["::ffff:203.0.113.7"], "203.0.113.7"),
        ("2001:db8::9", &["2a00::7"], "2a00::7"),
        ("::ffff:10.0.0.5", &["203.0.113.7"], "203.0.113.7"),
        // An entry that is no address: the proxy stands for its client.
        ("10.0.0.5", &["203.0.113.7, unknown"], "10.0.0.5"),
        ("10.0.0.5", &["203.0.113.7, '; drop table users, 192.168.3.4"], "192.168.3.4"),
        ("10.0.0.5", &[""], "10.0.0.5"),
        // Not a proxy of ours.
        ("10.0.0.6", &["203.0.113.7"], "10.0.0.6"),
    ];
    for (peer, lines, expected) in cases {
        let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        assert_eq!(noted(&server, peer, &headers).await, expected, "{peer} {lines:?}");
    }
    let forwarded = [("forwarded", "for=203.0.113.7")];
    assert_eq!(noted(&server, "10.0.0.5", &forwarded).await, "10.0.0.5", "a proxy may pass it on unseen");
}

#[tokio::test]
async fn the_forwarded_header_is_read_as_rfc_7239_writes_it() {
    let server = behind(|config| config.server.forwarded_header = ForwardedHeader::Forwarded).await;
    let cases = [
        ("for=203.0.113.7", "203.0.113.7"),
        ("For=\"203.0.113.7:80\";proto=https;by=10.0.0.5", "203.0.113.7"),
        ("for=1.2.3.4, for=\"[2a00::7]:80\"", "2a00::7"),
        ("for=203.0.113.7;proto=https, for=192.168.3.4", "203.0.113.7"),
        ("for=_hidden", "10.0.0.5"),
        ("for=unknown", "10.0.0.5"),
        ("proto=https", "10.0.0.5"),
        ("for=1.2.3.4;for=5.6.7.8", "10.0.0.5"),
        ("nonsense", "10.0.0.5"),
    ];
    for (line, expected) in cases {
        assert_eq!(noted(&server, "10.0.0.5", &[("forwarded", line)]).await, expected, "{line}");
    }
    let other = [("x-forwarded-for", "203.0.113.7")];
    assert_eq!(noted(&server, "10.0.0.5", &other).await, "10.0.0.5");
}

#[tokio::test]
async fn limits_count_the_true_client_and_nobody_escapes_them_with_a_made_up_header() {
    let server = behind(|_| {}).await;
    let guess = async |peer: &str, forwarded: &str, password: &str| {
        let mut client: Client = server.client().at(peer).with_header("x-forwarded-for", forwarded);
        client.post("/api/v1/login", json!({ "email": ANN, "password": password })).await.status
    };
    for number in 0..5 {
        let forwarded = format!("10.9.9.{number}, 203.0.113.7");
        assert_eq!(guess("10.0.0.5", &forwarded, OTHER_PASSWORD).await, 401);
    }
    assert_eq!(guess("10.0.0.5", "9.9.9.9, 203.0.113.7", PASSWORD).await, 429);
    assert_eq!(guess("10.0.0.5", "203.0.113.8", PASSWORD).await, 200, "another client of the same proxy");
    for number in 0..5 {
        assert_eq!(guess("203.0.113.9", &format!("10.9.9.{number}"), OTHER_PASSWORD).await, 401);
    }
    assert_eq!(guess("203.0.113.9", "10.9.9.77", PASSWORD).await, 429, "the header was ignored");
}

#[test]
fn wrong_proxy_settings_stop_the_start() {
    for (value, words) in
        [("10.0.0.0/33", "10.0.0.0/8"), ("proxy.local", "10.0.0.5"), ("0.0.0.0/0", "anybody")]
    {
        let mut config = Config::default();
        config.server.trusted_proxies = vec![value.into()];
        let problems = config.validate().unwrap_err();
        assert!(
            problems.iter().any(|p| p.path == "server.trusted_proxies" && p.problem.contains(words)),
            "{problems:?}"
        );
    }
    let mut config = Config::default();
    config.server.proxy_protocol = true;
    assert!(config.validate().unwrap_err().iter().any(|problem| problem.path == "server.proxy_protocol"));
}

fn peer() -> SocketAddr {
    "10.0.0.5:1".parse().unwrap()
}

/// A header of version 2: command, family, payload.
pub fn header(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend(payload);
    bytes
}

#[test]
fn a_proxy_protocol_header_names_the_client_or_the_proxy_itself() {
    let four = [203, 0, 113, 7, 10, 0, 0, 5, 0x12, 0x34, 0, 80];
    assert_eq!(address(&header(0x21, 0x11, &four), peer()), Ok("203.0.113.7:4660".parse().unwrap()));
    let mut six = "2a00::7".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    six.extend([0; 16]);
    six.extend([0, 9, 0, 80]);
    assert_eq!(address(&header(0x21, 0x21, &six), peer()), Ok("[2a00::7]:9".parse().unwrap()));
    assert_eq!(address(&header(0x20, 0x00, &[]), peer()), Ok(peer()), "a health check of the proxy");
    assert_eq!(address(&header(0x21, 0x00, &[]), peer()), Ok(peer()), "a family that is not IP");
    for broken in [header(0x21, 0x11, &four[..8]), header(0x31, 0x11, &four), header(0x21, 0x41, &four)] {
        assert!(address(&broken, peer()).is_err(), "{broken:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_of_proxy_headers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = address(&bytes, peer());
        let _ = address(&header(0x21, bytes.first().copied().unwrap_or(0), &bytes), peer());
    }
}

/// Sends bytes on a connection of its own and reads the answer to the end.
fn talk(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut text = Vec::new();
    // A connection that is cut off may end in a reset.
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn login_request() -> Vec<u8> {
    let body = json!({ "email": ANN, "password": PASSWORD }).to_string();
    let length = body.len();
    format!(
        "POST /api/v1/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[test]
fn a_proxy_that_speaks_the_proxy_protocol_says_for_whom_and_has_to() {
    let place = Place::migrated()
        .set("HALLPASS_SERVER__TRUSTED_PROXIES", "127.0.0.1")
        .set("HALLPASS_SERVER__PROXY_PROTOCOL", "true");
    place.add_user(ANN);
    let server = place.serve();
    let four = [203, 0, 113, 7, 127, 0, 0, 1, 0x12, 0x34, 0, 80];
    let announced = [header(0x21, 0x11, &four), login_request()].concat();
    let answer = talk(&server.address, &announced);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"ip\":\"203.0.113.7\""), "{answer}");
    assert_eq!(talk(&server.address, &login_request()), "", "without the header it is not spoken to");
    let text = b"PROXY TCP4 203.0.113.7 127.0.0.1 4660 80\r\nGET / HTTP/1.1\r\n\r\n";
    assert_eq!(talk(&server.address, text), "", "version 1 is not accepted");
    let long = [header(0x21, 0x11, &[0; 5000]), login_request()].concat();
    assert_eq!(talk(&server.address, &long), "");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn an_unlisted_proxy_is_named_once_in_the_log_with_the_setting_to_change() {
    let place = Place::migrated();
    place.add_user(ANN);
    let server = place.set("HALLPASS_TELEMETRY__LOG_LEVEL", "warn").serve_logging();
    for _ in 0..3 {
        let request =
            "GET /health/live HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 1.2.3.4\r\nconnection: close\r\n\r\n";
        assert!(talk(&server.address, request.as_bytes()).starts_with("HTTP/1.1 200"));
    }
    let log = server.stop_and_read_log();
    assert_eq!(log.matches("HALLPASS_SERVER__TRUSTED_PROXIES=127.0.0.1").count(), 1, "{log}");
}
