//! A client as they come: with cookies, an address, a user agent, perhaps a bearer token.
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tower::ServiceExt;

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// Null when the body is not JSON.
    pub json: Value,
}

impl Answer {
    /// The stable error code.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// `field: code` of every field problem, sorted.
    pub fn problems(&self) -> Vec<String> {
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        let text = |error: &Value| {
            format!("{}: {}", error["field"].as_str().unwrap(), error["code"].as_str().unwrap())
        };
        let mut problems: Vec<String> = errors.iter().map(text).collect();
        problems.sort();
        problems
    }

    /// The whole `Set-Cookie` line of a cookie, if it was set.
    pub fn set_cookie(&self, name: &str) -> Option<String> {
        let mut lines =
            self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned());
        lines.rfind(|line| line.starts_with(&format!("{name}=")))
    }

    /// A header, or the empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// See the module's doc. Cookies are kept with their path.
#[derive(Clone)]
pub struct Client {
    router: axum::Router,
    pub cookies: BTreeMap<String, (String, String)>,
    pub bearer: Option<String>,
    /// The refresh token of `tokenDelivery: "body"`.
    pub refresh_token: Option<String>,
    pub address: SocketAddr,
    pub agent: Option<String>,
    /// Sent with every request.
    pub extra: Vec<(String, String)>,
}

impl Client {
    pub fn new(router: axum::Router) -> Self {
        Self {
            router,
            cookies: BTreeMap::new(),
            bearer: None,
            refresh_token: None,
            address: "127.0.0.1:40000".parse().unwrap(),
            agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".into()),
            extra: Vec::new(),
        }
    }

    /// From another address.
    pub fn at(mut self, address: &str) -> Self {
        self.address = SocketAddr::new(address.parse().unwrap(), 40000);
        self
    }

    /// With another program.
    pub fn with_agent(mut self, agent: &str) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// With a header on every request.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(|(value, _)| value.as_str())
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// A POST without a body.
    pub async fn post_nothing(&mut self, path: &str) -> Answer {
        self.send(Method::POST, path, None).await
    }

    pub async fn patch(&mut self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&mut self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// A form as a page posts it.
    pub async fn post_form(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.raw(Method::POST, path, &headers, body.into_bytes()).await
    }

    /// Signs in and keeps the tokens.
    pub async fn log_in(&mut self, body: Value) -> Answer {
        let answer = self.post("/api/v1/login", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.keep_tokens(&answer);
        answer
    }

    /// Keeps the tokens of an answer's body.
    pub fn keep_tokens(&mut self, answer: &Answer) {
        if let Some(token) = answer.json["accessToken"].as_str() {
            self.bearer = Some(token.into());
        }
        if let Some(token) = answer.json["refreshToken"].as_str() {
            self.refresh_token = Some(token.into());
        }
    }

    /// Refreshes with the kept refresh token and keeps the next ones.
    pub async fn refresh(&mut self) -> Answer {
        let token = self.refresh_token.clone().expect("a refresh token from the body");
        let answer = self.refresh_with(&token).await;
        self.keep_tokens(&answer);
        answer
    }

    /// Presents a refresh token in the body.
    pub async fn refresh_with(&mut self, token: &str) -> Answer {
        self.post("/api/v1/refresh", serde_json::json!({ "refreshToken": token })).await
    }

    pub async fn send(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        match body {
            Some(body) => {
                self.raw(method, path, &[("content-type", "application/json")], body.to_string().into_bytes())
                    .await
            }
            None => self.raw(method, path, &[], Vec::new()).await,
        }
    }

    /// Sends exactly this, with cookies, bearer token, address and agent added.
    pub async fn raw(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in &self.extra {
            request = request.header(name, value);
        }
        if let Some(agent) = &self.agent {
            request = request.header("user-agent", agent);
        }
        if let Some(token) = &self.bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let cookies = self.cookies_for(path);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(ConnectInfo(self.address));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, text, json };
        self.keep_cookies(&answer);
        answer
    }

    fn cookies_for(&self, path: &str) -> String {
        let fits = |scope: &str| scope == "/" || path == scope || path.starts_with(&format!("{scope}/"));
        let pairs = self.cookies.iter().filter(|(_, (_, scope))| fits(scope));
        pairs.map(|(name, (value, _))| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let mut parts = line.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let attributes: Vec<&str> = parts.collect();
            let scope = attributes.iter().find_map(|part| part.strip_prefix("Path=")).unwrap_or("/");
            if attributes.contains(&"Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), (value.into(), scope.into()));
            }
        }
    }
}
