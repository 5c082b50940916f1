//! Real Chromium, driven over the WebDriver protocol (W3C WebDriver 6 to 12) by its own driver.
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Name of the property that carries an element's reference (W3C WebDriver 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window; both processes end with it.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Starts the driver and a headless browser, with or without JavaScript.
    pub async fn start(javascript: bool) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is installed (scripts/setup browser)");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says its port");
            if let Some(rest) = line.split("successfully on port ").nth(1) {
                break rest.trim_end_matches('.').parse().unwrap();
            }
        };
        let profile = tempfile::tempdir().unwrap();
        let session = String::new();
        let mut browser = Self { driver, port, session, profile };
        let answer = browser.call("POST", "/session", &browser.capabilities(javascript)).await;
        answer["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}")).clone_into(&mut browser.session);
        browser
    }

    fn capabilities(&self, javascript: bool) -> Value {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
        let offline = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
        let mut arguments: Vec<&str> = quiet.into_iter().chain(offline).collect();
        arguments.push(&profile);
        let content = if javascript { 1 } else { 2 };
        let preferences = json!({ "profile.managed_default_content_settings.javascript": content });
        let options = json!({ "args": arguments, "prefs": preferences });
        json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } })
    }

    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.in_session("POST", "/url", &json!({ "url": url })).await;
    }

    /// The text that a person sees; nothing while one page gives way to the next.
    async fn text(&self) -> String {
        let query = json!({ "using": "css selector", "value": "body" });
        let found = self.in_session("POST", "/element", &query).await;
        let Some(body) = found[ELEMENT].as_str() else { return String::new() };
        let text = self.in_session("GET", &format!("/element/{body}/text"), &Value::Null).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Asks until the page shows a text; a click may return before the next page is there.
    pub async fn shows(&self, text: &str) {
        let mut seen = String::new();
        let asked = tokio::time::timeout(Duration::from_secs(30), async {
            while !seen.contains(text) {
                seen = self.text().await;
            }
        });
        assert!(asked.await.is_ok(), "the page shows\n{seen}\nand not \"{text}\"");
    }

    /// The computed value of a style property.
    pub async fn style(&self, selector: &str, property: &str) -> String {
        let element = self.find(selector).await;
        let value = self.in_session("GET", &format!("/element/{element}/css/{property}"), &Value::Null).await;
        value.as_str().unwrap().to_owned()
    }

    /// Presses an element.
    pub async fn press(&self, selector: &str) {
        let element = self.find(selector).await;
        self.in_session("POST", &format!("/element/{element}/click"), &json!({})).await;
    }

    /// Types into an element.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.in_session("POST", &format!("/element/{element}/value"), &json!({ "text": text })).await;
    }

    /// Runs a script in the page, as the body of an async function; its `return`, or what it throws.
    pub async fn run(&self, script: &str, arguments: Value) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; const args = arguments[0];
             (async () => {{ {script} }})().then(value => done({{ value }}), error => done({{ error: String(error) }}))"
        );
        let body = json!({ "script": script, "args": [arguments] });
        let answer = self.in_session("POST", "/execute/async", &body).await;
        assert!(answer["error"].is_null(), "{answer}");
        answer["value"].clone()
    }

    /// Takes pages opened from now on as if they had no content security policy: as pages of a team's own, which may call the API.
    pub async fn ignore_policies(&self) {
        let command = json!({ "cmd": "Page.setBypassCSP", "params": { "enabled": true } });
        self.in_session("POST", "/goog/cdp/execute", &command).await;
    }

    /// Adds a virtual authenticator (WebAuthn Level 3, 11.2): built in, with resident keys and user verification.
    pub async fn add_authenticator(&self) -> String {
        let body = json!({ "protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserConsenting": true, "isUserVerified": true });
        let id = self.in_session("POST", "/webauthn/authenticator", &body).await;
        id.as_str().unwrap_or_else(|| panic!("{id}")).to_owned()
    }

    /// The credentials of a virtual authenticator.
    pub async fn credentials(&self, authenticator: &str) -> Vec<Value> {
        let path = format!("/webauthn/authenticator/{authenticator}/credentials");
        let list = self.in_session("GET", &path, &Value::Null).await;
        list.as_array().unwrap_or_else(|| panic!("{list}")).clone()
    }

    /// Whether a virtual authenticator recognises its user from now on.
    pub async fn set_user_verified(&self, authenticator: &str, verified: bool) {
        let path = format!("/webauthn/authenticator/{authenticator}/uv");
        self.in_session("POST", &path, &json!({ "isUserVerified": verified })).await;
    }

    /// What a person sees, as a PNG in base64; for people who look at it.
    pub async fn screenshot(&self) -> String {
        self.in_session("GET", "/screenshot", &Value::Null).await.as_str().unwrap().to_owned()
    }

    /// Ends the browser, then the driver.
    pub async fn stop(mut self) {
        self.in_session("DELETE", "", &Value::Null).await;
        self.driver.kill().await.unwrap();
    }

    async fn find(&self, selector: &str) -> String {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.in_session("POST", "/element", &query).await;
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{selector}: {found}")).to_owned()
    }

    async fn in_session(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body).await
    }

    /// One command; the driver answers `{"value": …}`.
    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let json = loop {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "the driver hung up");
            if let Some(json) = whole_body(&answer) {
                break json;
            }
        };
        let json: Value = serde_json::from_str(json).unwrap_or_else(|_| panic!("{json}"));
        json["value"].clone()
    }
}

/// The body of an answer, once all of it is there; the driver keeps its connections open.
fn whole_body(answer: &[u8]) -> Option<&str> {
    let (head, body) = std::str::from_utf8(answer).ok()?.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned))?;
    (body.len() >= length.trim().parse().ok()?).then_some(body)
}
