//! Calls to other people's servers, whose addresses operators and, one day, strangers choose (ASVS 1.3.6, 13.2.4).
//!
//! Invariants: a host is resolved once, each of its addresses has to be public or in `webhooks.allow_private`, and the
//! connection goes to one of the addresses that were looked at, so that a name that answers differently the next time
//! reaches nothing. Without TLS nothing leaves for the public internet. Redirects are answers. Everything, the look-up too,
//! ends within the caller's patience; of an answer no more is read than asked for. Each call has a connection of its own.
mod addresses;

use crate::config::{Config, parse_network};
use axum::http::header::{CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use axum::http::{HeaderMap, Method, Request, uri::PathAndQuery};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use url::{Host, Url};

/// Longest head of an answer in bytes.
const HEAD_LIMIT: usize = 16 * 1024;
/// Addresses of a host that are tried.
const ADDRESSES: usize = 4;
/// Who calls.
const AGENT: &str = concat!("Hallpass/", env!("CARGO_PKG_VERSION"));

/// Why a call failed: the words are ours, never those of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The URL is not one that may be called.
    #[error("the URL is not https, or has no host")]
    BadUrl,
    /// The host has no address.
    #[error("the host has no address")]
    NoAddress,
    /// One of the addresses is somebody's own network.
    #[error("the host is on a private network that webhooks.allow_private does not name")]
    PrivateAddress,
    /// Plain http to the public internet.
    #[error("plain http is for private networks that webhooks.allow_private names")]
    PlainHttp,
    /// Nobody listens.
    #[error("no connection could be made")]
    NoConnection,
    /// No TLS, or a certificate that is not trusted for the host.
    #[error("TLS failed: no TLS, or a certificate that is not trusted for the host")]
    Tls,
    /// The answer is not HTTP, or ends before it is complete.
    #[error("the answer is not HTTP, or broke off")]
    Broken,
    /// The answer is longer than asked for.
    #[error("the answer is too long")]
    TooLong,
    /// Not answered in time.
    #[error("no answer in time")]
    Timeout,
    /// The roots of trust of the settings cannot be read.
    #[error("webhooks.ca_file cannot be used")]
    Roots,
}

/// Tells the addresses of a host.
pub trait Resolve: Send + Sync {
    /// The addresses, in the order of preference.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// The machine's resolver.
struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// A call to be made: always a POST of JSON.
pub struct Call<'a> {
    /// Where.
    pub url: &'a Url,
    /// Beside `Content-Type`, `User-Agent` and `Host`.
    pub headers: &'a [(HeaderName, String)],
    /// JSON.
    pub body: Vec<u8>,
    /// For everything together.
    pub patience: Duration,
    /// How many bytes of the answer are read; with 0 its body is left alone.
    pub longest: usize,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status; 3xx too.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// As far as asked for.
    pub body: Bytes,
}

/// The client.
pub struct Outgoing {
    allowed: Vec<IpNet>,
    ca_file: Option<std::path::PathBuf>,
    resolver: Arc<dyn Resolve>,
    /// Made with the first call that needs it, since most servers call nobody, and that finds the roots readable.
    tls: OnceLock<TlsConnector>,
}

impl Outgoing {
    /// A client after the settings. In development loopback addresses are allowed.
    pub fn new(config: &Config) -> Self {
        Self::with_resolver(config, Arc::new(System))
    }

    /// The same with another resolver.
    pub fn with_resolver(config: &Config, resolver: Arc<dyn Resolve>) -> Self {
        let named = config.webhooks.allow_private.iter().filter_map(|text| parse_network(text));
        let loopback = [IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))]
            .into_iter()
            .chain(IpNet::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8));
        let loopback = loopback.filter(|_| config.development());
        Self {
            allowed: named.chain(loopback).collect(),
            ca_file: config.webhooks.ca_file.clone(),
            resolver,
            tls: OnceLock::new(),
        }
    }

    /// Makes the call.
    ///
    /// # Errors
    /// [`CallError`]; an answer with any status is none.
    pub async fn post(&self, call: Call<'_>) -> Result<Answer, CallError> {
        let patience = call.patience;
        timeout(patience, self.exchange(call)).await.unwrap_or(Err(CallError::Timeout))
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Answer, CallError> {
        let host = call.url.host().ok_or(CallError::BadUrl)?;
        let port = call.url.port_or_known_default().ok_or(CallError::BadUrl)?;
        let addresses = self.addresses(&host, port).await?;
        self.check(call.url, &addresses)?;
        let stream = connect(&addresses, call.patience).await?;
        if call.url.scheme() == "http" {
            return talk(stream, call).await;
        }
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|_| CallError::BadUrl)?,
            Host::Ipv4(ip) => IpAddr::V4(ip).into(),
            Host::Ipv6(ip) => IpAddr::V6(ip).into(),
        };
        let connector = match self.tls.get() {
            Some(connector) => connector,
            None => {
                let made = self.connector().ok_or(CallError::Roots)?;
                self.tls.get_or_init(|| made)
            }
        };
        let stream = connector.connect(name, stream).await.map_err(|_| CallError::Tls)?;
        talk(stream, call).await
    }

    async fn addresses(&self, host: &Host<&str>, port: u16) -> Result<Vec<SocketAddr>, CallError> {
        let addresses = match host {
            Host::Ipv4(ip) => vec![SocketAddr::from((*ip, port))],
            Host::Ipv6(ip) => vec![SocketAddr::from((*ip, port))],
            Host::Domain(name) => {
                self.resolver.resolve(name, port).await.map_err(|_| CallError::NoAddress)?
            }
        };
        if addresses.is_empty() { Err(CallError::NoAddress) } else { Ok(addresses) }
    }

    /// One bad address among good ones is enough: whoever mixes them wants to see which is taken.
    fn check(&self, url: &Url, addresses: &[SocketAddr]) -> Result<(), CallError> {
        let public = |address: &SocketAddr| addresses::is_public(address.ip());
        let allowed = |address: &SocketAddr| addresses::is_allowed(address.ip(), &self.allowed);
        if !addresses.iter().all(|address| public(address) || allowed(address)) {
            return Err(CallError::PrivateAddress);
        }
        match url.scheme() {
            "https" => Ok(()),
            "http" if addresses.iter().all(allowed) => Ok(()),
            "http" => Err(CallError::PlainHttp),
            _ => Err(CallError::BadUrl),
        }
    }

    /// Trusts the authorities of the web, or those of `webhooks.ca_file` as well.
    fn connector(&self) -> Option<TlsConnector> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(file) = &self.ca_file {
            for root in CertificateDer::pem_file_iter(file).ok()? {
                roots.add(root.ok()?).ok()?;
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .ok()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Some(TlsConnector::from(Arc::new(config)))
    }
}

/// Connects to the first address that answers. All but the last have half of the patience between them, so that one that swallows
/// everything leaves time for the next, and for the call itself.
async fn connect(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, CallError> {
    let tried = &addresses[..addresses.len().min(ADDRESSES)];
    let share = patience / u32::try_from(2 * tried.len()).unwrap_or(u32::MAX).max(1);
    for (number, address) in tried.iter().enumerate() {
        let patience = if number + 1 == tried.len() { patience } else { share };
        if let Ok(Ok(stream)) = timeout(patience, TcpStream::connect(address)).await {
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(CallError::NoConnection)
}

async fn talk<S>(stream: S, call: Call<'_>) -> Result<Answer, CallError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let broken = |_| CallError::Broken;
    let request = request(&call)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_LIMIT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = answer.into_parts();
        let body = match call.longest {
            0 => Bytes::new(),
            longest => {
                let read = Limited::new(body, longest).collect().await;
                read.map_err(|error| {
                    if error.is::<http_body_util::LengthLimitError>() {
                        CallError::TooLong
                    } else {
                        CallError::Broken
                    }
                })?
                .to_bytes()
            }
        };
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    // The connection is driven here and closed with this future, however that ends.
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // It may end with the last byte of the answer.
        _ = connection => exchange.await,
    }
}

fn request(call: &Call<'_>) -> Result<Request<Full<Bytes>>, CallError> {
    let bad = |_| CallError::BadUrl;
    let target = match call.url.query() {
        Some(query) => format!("{}?{query}", call.url.path()),
        None => call.url.path().to_owned(),
    };
    let target: PathAndQuery = target.parse().map_err(|_| CallError::BadUrl)?;
    let host = call.url.host_str().ok_or(CallError::BadUrl)?;
    let authority = call.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(target.as_str())
        .header(HOST, authority)
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    request.body(Full::from(call.body.clone())).map_err(bad)
}
