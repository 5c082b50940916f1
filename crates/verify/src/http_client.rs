//! The few calls that are made: plain TCP or TLS, HTTP/1.1, bounded in time and size.
use crate::error::BuildError;
use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

/// Longest answer that is read.
const LONGEST: usize = 4 * 1024 * 1024;
/// Connections that are kept open for the next call.
const KEPT: usize = 8;

type Sender = SendRequest<Full<Bytes>>;

/// Why a call failed; for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CallError(pub(crate) String);

fn failed(error: impl std::fmt::Display) -> CallError {
    CallError(error.to_string())
}

/// A call to be made.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(HeaderName, &'a str)],
    pub(crate) body: String,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str, headers: &'a [(HeaderName, &'a str)]) -> Self {
        Self { method: Method::GET, path, headers, body: String::new() }
    }
}

/// Where Hallpass is reached.
pub(crate) struct Server {
    host: String,
    port: u16,
    /// For the `Host` header.
    authority: String,
    /// What stands before the paths of the API.
    prefix: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    key: HeaderValue,
    patience: Duration,
    idle: Mutex<Vec<Sender>>,
}

impl Server {
    pub(crate) fn new(
        url: &str,
        key: &str,
        plain: bool,
        roots: Vec<Vec<u8>>,
        patience: Duration,
    ) -> Result<Self, BuildError> {
        let bad = || BuildError::BadUrl(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        if !secure && uri.scheme() != Some(&Scheme::HTTP) || host.is_empty() {
            return Err(bad());
        }
        let loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if !secure && !plain && !loopback {
            return Err(BuildError::PlainHttp(url.to_owned()));
        }
        let tls = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
            Some((connector(roots)?, name))
        } else {
            None
        };
        let mut key = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| BuildError::NoServiceKey)?;
        key.set_sensitive(true);
        Ok(Self {
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.as_str().rsplit('@').next().unwrap_or_default().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            host,
            tls,
            key,
            patience,
            idle: Mutex::default(),
        })
    }

    /// Makes a call and reads the answer whole.
    pub(crate) async fn fetch(&self, call: &Call<'_>) -> Result<(StatusCode, Bytes), CallError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(sender) = kept
            && let Ok(answer) = self.fetch_over(sender, call).await
        {
            return Ok(answer);
        }
        // The server may have closed the connection meanwhile; every call may be made twice.
        self.fetch_over(self.connect().await?, call).await
    }

    async fn fetch_over(
        &self,
        mut sender: Sender,
        call: &Call<'_>,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let exchange = async {
            sender.ready().await.map_err(failed)?;
            let response = sender.send_request(self.request(call)?).await.map_err(failed)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(failed)?;
            Ok((status, body.to_bytes()))
        };
        let answer = timeout(self.patience, exchange).await.map_err(failed)??;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(sender);
        }
        Ok(answer)
    }

    /// Makes a call on a connection of its own, whose answer may go on for ever.
    pub(crate) async fn open(&self, call: &Call<'_>) -> Result<Response<Incoming>, CallError> {
        let exchange = async {
            let mut sender = self.connect().await?;
            sender.send_request(self.request(call)?).await.map_err(failed)
        };
        timeout(self.patience, exchange).await.map_err(failed)?
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Full<Bytes>>, CallError> {
        let mut request = Request::builder()
            .method(&call.method)
            .uri(format!("{}{}", self.prefix, call.path))
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, self.key.clone());
        for (name, value) in call.headers {
            request = request.header(name, *value);
        }
        request.body(Full::from(call.body.clone())).map_err(failed)
    }

    async fn connect(&self) -> Result<Sender, CallError> {
        let connecting = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            match &self.tls {
                Some((connector, name)) => {
                    start(connector.connect(name.clone(), stream).await.map_err(failed)?).await
                }
                None => start(stream).await,
            }
        };
        timeout(self.patience, connecting).await.map_err(failed)?
    }
}

async fn start<S>(stream: S) -> Result<Sender, CallError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Ends with the sender, or with the answer that is read last.
    tokio::spawn(connection);
    Ok(sender)
}

/// Trusts the given authorities, or those of the web.
fn connector(roots: Vec<Vec<u8>>) -> Result<TlsConnector, BuildError> {
    let bad = |error: &dyn std::fmt::Display| BuildError::BadCertificate(error.to_string());
    let mut store = RootCertStore::empty();
    if roots.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for root in roots {
        store.add(CertificateDer::from(root)).map_err(|error| bad(&error))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
