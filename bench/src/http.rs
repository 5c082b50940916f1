//! A kept-alive HTTP/1.1 connection that costs the generator little: one write, reads until the body is whole, no
//! parsing beyond status and length.
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

/// A request, rendered once.
pub fn request(method: &str, path: &str, bearer: Option<&str>, body: &str) -> Vec<u8> {
    let authorization = bearer.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{authorization}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// An answer: status and body.
pub struct Answer<'b> {
    /// HTTP status.
    pub status: u16,
    /// Body as it came.
    pub body: &'b [u8],
}

impl Answer<'_> {
    /// The body, provided that the status is 2xx.
    pub fn good(&self) -> Fallible<&str> {
        let text = std::str::from_utf8(self.body)?;
        if (200..300).contains(&self.status) {
            Ok(text)
        } else {
            Err(format!("{}: {text}", self.status).into())
        }
    }
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Fallible<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a rendered request and reads the answer.
    pub async fn send(&mut self, request: &[u8]) -> Fallible<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some((status, body)) = whole(&self.buffer) {
                return Ok(Answer { status, body: &self.buffer[body..] });
            }
        }
    }

    /// A GET of JSON.
    pub async fn get(&mut self, path: &str, bearer: Option<&str>) -> Fallible<Value> {
        Ok(serde_json::from_str(self.send(&request("GET", path, bearer, "")).await?.good()?)?)
    }

    /// A POST of JSON.
    pub async fn post(&mut self, path: &str, body: &Value) -> Fallible<Value> {
        Ok(serde_json::from_str(self.send(&request("POST", path, None, &body.to_string())).await?.good()?)?)
    }
}

/// Status, and where the body starts, once all of it is there.
fn whole(buffer: &[u8]) -> Option<(u16, usize)> {
    let head = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length: usize = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    (buffer.len() >= head + length).then_some((status, head))
}

/// The text of a field of a flat JSON object, without parsing the rest.
pub fn field<'t>(json: &'t str, name: &str) -> Fallible<&'t str> {
    let start =
        json.find(&format!("\"{name}\":\"")).ok_or_else(|| format!("no {name} in {json}"))? + name.len() + 4;
    let end = json[start..].find('"').ok_or("an unclosed string")?;
    Ok(&json[start..start + end])
}
