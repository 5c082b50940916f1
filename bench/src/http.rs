//! A kept-alive HTTP/1.1 connection that costs the generator little: one write, reads until the body is whole.
use crate::Fallible;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// See the module's doc.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Fallible<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// A GET; fails unless the answer is 2xx.
    pub async fn get(&mut self, path: &str, bearer: Option<&str>) -> Fallible<Value> {
        self.call("GET", path, bearer, "").await
    }

    /// A POST of JSON; fails unless the answer is 2xx.
    pub async fn post(&mut self, path: &str, bearer: Option<&str>, body: &Value) -> Fallible<Value> {
        self.call("POST", path, bearer, &body.to_string()).await
    }

    async fn call(&mut self, method: &str, path: &str, bearer: Option<&str>, body: &str) -> Fallible<Value> {
        let authorization =
            bearer.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{authorization}content-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some(body) = self.whole_body() {
                let text = String::from_utf8_lossy(&self.buffer[body..]).into_owned();
                if !self.buffer.starts_with(b"HTTP/1.1 2") {
                    return Err(format!("{method} {path} answered {text}").into());
                }
                return Ok(serde_json::from_str(&text).unwrap_or(Value::Null));
            }
        }
    }

    /// Where the body starts, once all of it is there.
    fn whole_body(&self) -> Option<usize> {
        let head = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let text = std::str::from_utf8(&self.buffer[..head]).ok()?.to_ascii_lowercase();
        let length: usize = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
        (self.buffer.len() >= head + length).then_some(head)
    }
}
