//! Who calls: address, network and user agent.
use crate::app::App;
use crate::cookies::Cookie;
use crate::error::{Code, Error};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName, USER_AGENT};
use axum::http::request::Parts;
use hallpass_crypto::rotation::Origin;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use utoipa::IntoParams;

/// Where clients without cookies send the `deviceToken` of a former sign-in.
pub const DEVICE_TOKEN: HeaderName = HeaderName::from_static("x-device-token");

/// How the document names that header.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by `Client`; this is for the API document")]
pub struct KnownDevice {
    /// `deviceToken` of a former sign-in, for clients that do not keep the cookie `device`; wins over the cookie.
    #[param(rename = "x-device-token")]
    device_token: Option<String>,
}

/// Longest user agent that is kept, in characters.
const AGENT_MAX: usize = 300;

/// Who causes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody, over HTTP.
    Person,
    /// An operator, on the command line.
    Operator,
    /// The server itself.
    System,
}

impl Caller {
    /// The name in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }
}

/// The caller as the server sees it.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address, as `proxies` sees it.
    pub ip: IpAddr,
    /// What it says it is; cut, without control characters.
    pub agent: Option<String>,
    /// The secret of a known device, unchecked: `devices` reads it.
    pub device: Option<String>,
    /// Whether that came in a cookie, which scripts do not read.
    pub device_in_cookie: bool,
    /// Who it is in principle.
    pub caller: Caller,
    /// Id of the request, which the log has too.
    pub request: Option<String>,
}

/// The request's id; put into the request by the one layer.
#[derive(Clone)]
pub struct RequestId(pub Arc<str>);

/// The client's true address; put into the request by the one layer.
#[derive(Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

impl Client {
    /// The command line, for audit events.
    pub fn local() -> Self {
        Self::inner(Caller::Operator, "hallpass command line")
    }

    /// The server itself, for audit events.
    pub fn system() -> Self {
        Self::inner(Caller::System, "hallpass server")
    }

    fn inner(caller: Caller, agent: &str) -> Self {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { ip, agent: Some(agent.into()), device: None, device_in_cookie: false, caller, request: None }
    }

    /// The network that counts as one place: an IPv4 address, an IPv6 /64.
    pub fn network(&self) -> String {
        match self.ip.to_canonical() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string() + "/64"
            }
        }
    }

    /// The pair that rotation compares.
    pub fn origin(&self) -> Origin {
        Origin { network: self.network(), agent: self.agent.clone().unwrap_or_default() }
    }
}

impl FromRequestParts<App> for Client {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let address = parts.extensions.get::<ClientAddress>();
        let ip = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ClientAddress(ip)| *ip);
        let agent = parts.headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let agent = agent.map(|text| text.chars().filter(|c| !c.is_control()).take(AGENT_MAX).collect());
        // Two of a kind are as good as none: it opens nothing by itself, so nobody needs to be told.
        let (device, device_in_cookie) = match single(&parts.headers, &DEVICE_TOKEN) {
            Ok(None) => (app.cookies.read(&parts.headers, Cookie::Device).ok().flatten(), true),
            Ok(token) => (token, false),
            Err(_) => (None, false),
        };
        let device = device.map(str::to_owned);
        let device_in_cookie = device_in_cookie && device.is_some();
        let request = parts.extensions.get::<RequestId>().map(|RequestId(id)| id.to_string());
        Ok(Self { ip, agent, device, device_in_cookie, caller: Caller::Person, request })
    }
}

/// The one value of a header that must not come twice.
///
/// # Errors
/// [`Code::BadRequest`] when it comes twice or is not visible ASCII.
pub fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        let text = format!("The header {name} comes more than once. Send it once.");
        return Err(Error::new(Code::BadRequest).with_detail(text));
    }
    let text = first.to_str().map_err(|_| {
        Error::new(Code::BadRequest)
            .with_detail(format!("The header {name} has characters beyond visible ASCII."))
    })?;
    Ok(Some(text))
}

/// The token of `Authorization: Bearer`, if any (RFC 6750 2.1).
///
/// # Errors
/// [`Code::BadRequest`] when the header comes twice.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(value) = single(headers, &AUTHORIZATION)? else {
        return Ok(None);
    };
    let token = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Ok(token.map(|(_, token)| token.trim()))
}
