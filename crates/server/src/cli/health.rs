//! `hallpass health`.
use super::{Common, Failure, Outcome};
use clap::Args;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Longest answer that is read.
const LONGEST: u64 = 64 * 1024;

/// Asks a running server whether it can serve; exit code 1 when it cannot. For containers, which have no curl.
#[derive(Args)]
#[command(after_help = "Examples:\n  hallpass health          # /health/ready where server.listen says\n  \
                        hallpass health --live   # only whether the process answers\n  \
                        hallpass health --url http://10.0.0.7:3000/health/ready")]
pub(super) struct Health {
    /// Where to ask, by plain http.
    #[arg(long, value_name = "URL", conflicts_with = "live")]
    url: Option<String>,
    /// Ask /health/live: the process answers, whatever its database does.
    #[arg(long)]
    live: bool,
    /// Seconds to wait for the answer.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

impl Health {
    pub(super) fn run(&self, common: &Common) -> Outcome {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => {
                let path = if self.live { "/health/live" } else { "/health/ready" };
                format!("http://{}{path}", within_reach(&common.settings()?.server.listen))
            }
        };
        let timeout = Duration::from_secs(self.timeout);
        let answer = ask(&url, timeout).map_err(|problem| Failure(format!("{url}: {problem}")))?;
        let Answer { status, body } = answer;
        let parts: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        common.out().show(&json!({ "url": url, "status": status, "health": parts }), || {
            let named = parts.as_object().into_iter().flatten();
            let row = |(name, value): (&String, &Value)| format!("{name}: {}", value.as_str().unwrap_or("?"));
            let rows: Vec<String> = named.map(row).collect();
            if rows.is_empty() { format!("{url} answers {status}") } else { rows.join("\n") }
        })?;
        if (200..300).contains(&status) { Ok(()) } else { Err(Failure::said()) }
    }
}

/// The address as this machine reaches it: a server that listens everywhere is asked over loopback.
fn within_reach(listen: &str) -> String {
    match listen.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() && address.is_ipv6() => {
            format!("[::1]:{}", address.port())
        }
        Ok(address) if address.ip().is_unspecified() => format!("127.0.0.1:{}", address.port()),
        _ => listen.to_owned(),
    }
}

struct Answer {
    status: u16,
    body: String,
}

/// One request over a connection of its own. Plain http: the server speaks nothing else, TLS is the proxy's.
fn ask(url: &str, timeout: Duration) -> Result<Answer, String> {
    let until = Instant::now() + timeout;
    let url = url::Url::parse(url).map_err(|error| error.to_string())?;
    let (Some(host), "http") = (url.host_str(), url.scheme()) else {
        return Err("write it as http://127.0.0.1:3000/health/ready".into());
    };
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses =
        (host.trim_matches(['[', ']']), port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut stream = connect(addresses, until)?;
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {host}:{port}\r\nuser-agent: hallpass-health\r\nconnection: close\r\n\r\n",
        url.path()
    );
    let failed = |error: std::io::Error| format!("no answer: {error}");
    stream.write_all(head.as_bytes()).map_err(failed)?;
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(until)?)).map_err(failed)?;
        match stream.read(&mut chunk).map_err(failed)? {
            0 => break,
            count => text.extend_from_slice(&chunk[..count]),
        }
        if text.len() as u64 > LONGEST {
            return Err("the answer is no answer of Hallpass: too long".into());
        }
    }
    let text = String::from_utf8_lossy(&text);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let status = status.ok_or("the answer is not HTTP")?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    Ok(Answer { status, body })
}

/// The first address that answers.
fn connect(addresses: impl Iterator<Item = SocketAddr>, until: Instant) -> Result<TcpStream, String> {
    let mut problem = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(stream) => {
                stream.set_write_timeout(Some(left(until)?)).map_err(|error| error.to_string())?;
                return Ok(stream);
            }
            Err(error) => problem = format!("cannot connect: {error}"),
        }
    }
    Err(problem)
}

fn left(until: Instant) -> Result<Duration, String> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err("no answer in time".into()) } else { Ok(left) }
}
