//! Our cookies: names, attributes, strict reading.
use crate::config::Compat;
use crate::error::{Code, Error, Result};
use axum::http::header::{COOKIE, HeaderValue};
use axum::http::{HeaderMap, header};
use std::time::Duration;

/// Where the refresh cookie is sent.
const API_PATH: &str = "/api/v1";

/// The cookies that the server sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// The refresh token: HttpOnly, SameSite=Strict, API path only.
    Refresh,
    /// The access token: HttpOnly, SameSite=Lax.
    Access,
    /// The CSRF token: readable by scripts, SameSite=Lax.
    Csrf,
    /// Proves which client registered: HttpOnly, SameSite=Lax.
    Registration,
    /// The secret of a device on which somebody has signed in: HttpOnly, SameSite=Lax.
    Device,
    /// A sign-in that is under way: HttpOnly, SameSite=Lax.
    Attempt,
}

impl Cookie {
    const ALL: [Self; 6] =
        [Self::Refresh, Self::Access, Self::Csrf, Self::Registration, Self::Device, Self::Attempt];

    const fn base(self) -> &'static str {
        match self {
            Self::Refresh => "refreshToken",
            Self::Access => "accessToken",
            Self::Csrf => "csrfToken",
            Self::Registration => "registration",
            Self::Device => "device",
            Self::Attempt => "attempt",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Refresh => API_PATH,
            Self::Access | Self::Csrf | Self::Registration | Self::Device | Self::Attempt => "/",
        }
    }
}

/// Names by scheme: on https `__Host-` where the path is `/`, else `__Secure-` (draft-ietf-httpbis-rfc6265bis 4.1.3).
pub struct CookieNames {
    https: bool,
    /// Whether session cookies are those of a replaced system.
    plain: bool,
    /// Whether pages of other sites send them.
    cross_site: bool,
    names: [String; 6],
}

impl CookieNames {
    /// Names for a server that browsers reach by https, or by plain http on loopback.
    pub fn new(https: bool) -> Self {
        let name = |cookie: Cookie| match (https, cookie.path()) {
            (false, _) => cookie.base().to_owned(),
            (true, "/") => format!("__Host-{}", cookie.base()),
            (true, _) => format!("__Secure-{}", cookie.base()),
        };
        Self { https, plain: false, cross_site: false, names: Cookie::ALL.map(name) }
    }

    /// The same for a server with a route profile. The session's cookies have the names and the path that they had in the replaced
    /// systems: under another path they would come beside the old ones that browsers still have, and nobody could tell which is meant.
    #[must_use]
    pub fn for_profile(mut self, compat: &Compat) -> Self {
        if compat.any() {
            self.plain = true;
            for cookie in [Cookie::Refresh, Cookie::Access, Cookie::Csrf] {
                cookie.base().clone_into(&mut self.names[cookie as usize]);
            }
        }
        self.cross_site = compat.cross_site_cookies;
        self
    }

    /// The name as it goes over the wire.
    pub fn name(&self, cookie: Cookie) -> &str {
        &self.names[cookie as usize]
    }

    /// The value that the client sent, if any.
    ///
    /// # Errors
    /// [`Code::BadRequest`] when the cookie comes twice: then nobody knows which one is meant.
    pub fn read<'h>(&self, headers: &'h HeaderMap, cookie: Cookie) -> Result<Option<&'h str>> {
        let name = self.name(cookie);
        let mut found = None;
        for header in headers.get_all(COOKIE) {
            // Cookies of others may hold any bytes; ours are ASCII.
            for pair in header.as_bytes().split(|byte| *byte == b';') {
                let Some(value) = std::str::from_utf8(pair).ok().and_then(|pair| value_of(pair, name)) else {
                    continue;
                };
                if found.is_some() {
                    let text =
                        format!("The cookie {name} comes more than once. Clear the cookies of this site.");
                    return Err(Error::new(Code::BadRequest).with_detail(text));
                }
                found = Some(value);
            }
        }
        Ok(found.filter(|value| !value.is_empty()))
    }

    /// A `Set-Cookie` value that keeps `value` for `life`.
    pub fn set(&self, cookie: Cookie, value: &str, life: Duration) -> Option<HeaderValue> {
        self.line(cookie, value, life.as_secs())
    }

    /// A `Set-Cookie` value that removes the cookie, with the attributes it was set with.
    pub fn clear(&self, cookie: Cookie) -> Option<HeaderValue> {
        self.line(cookie, "", 0)
    }

    fn line(&self, cookie: Cookie, value: &str, max_age: u64) -> Option<HeaderValue> {
        let http_only = if cookie == Cookie::Csrf { "" } else { "; HttpOnly" };
        let secure = if self.https { "; Secure" } else { "" };
        let same_site = match cookie {
            _ if self.cross_site => "None",
            Cookie::Refresh => "Strict",
            _ => "Lax",
        };
        let (name, path) = (self.name(cookie), if self.plain { "/" } else { cookie.path() });
        let line = format!(
            "{name}={value}; Path={path}; Max-Age={max_age}{http_only}{secure}; SameSite={same_site}"
        );
        HeaderValue::from_str(&line).ok()
    }
}

/// The cookies that go with one answer.
#[derive(Default)]
pub struct SetCookies(Vec<HeaderValue>);

impl SetCookies {
    /// Adds one line.
    pub fn add(&mut self, line: Option<HeaderValue>) {
        self.0.extend(line);
    }

    /// Removes the session's cookies from the client.
    pub fn clear_session(names: &CookieNames) -> Self {
        let mut cookies = Self::default();
        for cookie in [Cookie::Refresh, Cookie::Access, Cookie::Csrf] {
            cookies.add(names.clear(cookie));
        }
        cookies
    }

    /// Adds the lines of another answer.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Puts the lines into an answer.
    pub fn apply(self, headers: &mut HeaderMap) {
        for line in self.0 {
            headers.append(header::SET_COOKIE, line);
        }
    }
}

impl axum::response::IntoResponseParts for SetCookies {
    type Error = std::convert::Infallible;

    fn into_response_parts(
        self,
        mut parts: axum::response::ResponseParts,
    ) -> std::result::Result<axum::response::ResponseParts, Self::Error> {
        self.apply(parts.headers_mut());
        Ok(parts)
    }
}

fn value_of<'p>(pair: &'p str, name: &str) -> Option<&'p str> {
    let (key, value) = pair.split_once('=')?;
    (key.trim() == name).then(|| value.trim().trim_matches('"'))
}
