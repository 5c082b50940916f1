//! What proxies, or those who pose as proxies, say of a client's address.
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use hallpass::config::{ForwardedHeader, Server};
use hallpass::proxies::Proxies;
use hallpass::proxy_protocol::address;
use std::net::{IpAddr, SocketAddr};

const PROXY: &str = "10.0.0.5";

/// A stranger's header changes nothing; what a proxy itself appended is believed whatever stands left of it.
///
/// The input is one header value per line.
pub fn forwarded(data: &[u8]) {
    for (setting, name) in
        [(ForwardedHeader::XForwardedFor, "x-forwarded-for"), (ForwardedHeader::Forwarded, "forwarded")]
    {
        let settings = Server {
            trusted_proxies: vec![PROXY.into(), "192.168.0.0/16".into()],
            forwarded_header: setting,
            ..Server::default()
        };
        let proxies = Proxies::new(&settings);
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static(name);
        for line in data.split(|byte| *byte == b'\n').take(8) {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(name.clone(), value);
            }
        }
        let [stranger, proxy, seen] = ["203.0.113.9", PROXY, "198.51.100.7"].map(parse);
        assert_eq!(proxies.client(stranger, &headers), stranger);
        // Never a panic, and never an address that nobody wrote but the proxy's own.
        let claimed = proxies.client(proxy, &headers);
        assert!(claimed == claimed.to_canonical());
        let appended =
            if setting == ForwardedHeader::Forwarded { "for=198.51.100.7" } else { "198.51.100.7" };
        headers.append(name, HeaderValue::from_static(appended));
        assert_eq!(proxies.client(proxy, &headers), seen);
    }
}

fn parse(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A header of the PROXY protocol names an IP address, the proxy, or nothing.
pub fn proxy_protocol(data: &[u8]) {
    let peer = SocketAddr::new(parse(PROXY), 1);
    let _ = address(data, peer);
    // Behind a right beginning, so that more than the signature is tried.
    let mut whole = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    whole.extend(data);
    if let Ok(client) = address(&whole, peer) {
        assert!(client == peer || whole.len() >= 16 + 12);
        assert_eq!(address(&whole, peer), Ok(client));
    }
}
