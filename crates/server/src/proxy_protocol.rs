//! The header that a TCP proxy puts before a connection to say for whom it speaks: PROXY protocol, version 2
//! (haproxy.org, proxy-protocol.txt). Version 1, which is text, is not accepted: it can be confused with a request.
use ppp::v2::{Addresses, Command, Header};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How long a proxy may take for its header; it sends it at once.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The fixed part: signature, command, family, length of the rest.
const FIXED: usize = 16;
/// Where the length of the rest is.
const LENGTH: usize = 14;
/// Longest rest that is read: addresses and a few TLVs; the specification wants 216 bytes to be enough for everybody.
const REST: usize = 4096;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Reads exactly the header, and returns the client's address: the one that the proxy names, or the proxy itself for its
/// own health checks (`LOCAL`) and for families that are not IP.
///
/// # Errors
/// A sentence for the operator: no header, a broken one, or none in time.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), peer: SocketAddr) -> Result<SocketAddr, String> {
    match tokio::time::timeout(TIMEOUT, header(stream)).await {
        Err(_) => Err("it sent no PROXY header in time".into()),
        Ok(Err(problem)) => Err(problem),
        Ok(Ok(bytes)) => address(&bytes, peer),
    }
}

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; FIXED];
    stream.read_exact(&mut bytes).await.map_err(|error| format!("it sent no whole PROXY header: {error}"))?;
    if bytes[..SIGNATURE.len()] != SIGNATURE {
        let text = "it sent no PROXY header of version 2; let the proxy send one, or set server.proxy_protocol to false";
        return Err(text.into());
    }
    let rest = usize::from(u16::from_be_bytes([bytes[LENGTH], bytes[LENGTH + 1]]));
    if rest > REST {
        return Err(format!("its PROXY header has {rest} bytes, and {REST} are read"));
    }
    bytes.resize(FIXED + rest, 0);
    let read = stream.read_exact(&mut bytes[FIXED..]).await;
    read.map_err(|error| format!("its PROXY header broke off: {error}"))?;
    Ok(bytes)
}

/// What a whole header says.
///
/// # Errors
/// A sentence that names the defect.
pub fn address(bytes: &[u8], peer: SocketAddr) -> Result<SocketAddr, String> {
    let header =
        Header::try_from(bytes).map_err(|error| format!("its PROXY header is malformed: {error}"))?;
    match (header.command, header.addresses) {
        (Command::Proxy, Addresses::IPv4(pair)) => Ok((pair.source_address, pair.source_port).into()),
        (Command::Proxy, Addresses::IPv6(pair)) => Ok((pair.source_address, pair.source_port).into()),
        (Command::Local, _) | (Command::Proxy, Addresses::Unspecified | Addresses::Unix(_)) => Ok(peer),
    }
}
