//! The client's true address: the peer of the connection, or what a configured proxy says of it.
//!
//! A forwarding header is read only from a peer in `server.trusted_proxies`, and only the one that is set; from anybody
//! else it is a claim. It is read from the right: the last entry is what our own proxy saw, and whatever stands left of
//! the first address that is not a proxy of ours was written by the client (ASVS 4.1.3).
use crate::config::{ForwardedHeader, Server, parse_network};
use axum::http::HeaderMap;
use axum::http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whom to believe about addresses.
pub struct Proxies {
    networks: Vec<IpNet>,
    header: HeaderName,
    warned: AtomicBool,
}

impl Proxies {
    /// From the settings, which were checked.
    pub fn new(settings: &Server) -> Self {
        let header = match settings.forwarded_header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => FORWARDED,
        };
        let networks = settings.trusted_proxies.iter().filter_map(|text| parse_network(text)).collect();
        Self { networks, header, warned: AtomicBool::new(false) }
    }

    /// Whether an address is a proxy of ours.
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if self.is_trusted(peer) {
            return self.forwarded(peer, headers);
        }
        if headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED) {
            self.warn_once(peer);
        }
        peer
    }

    /// The first address from the right that is not a proxy of ours. An entry that is no address ends the walk: then
    /// the proxy that passed it on stands for the client.
    fn forwarded(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer;
        let lines = headers.get_all(&self.header).iter().collect::<Vec<_>>();
        for line in lines.into_iter().rev() {
            let Ok(line) = line.to_str() else { return nearest };
            for entry in line.rsplit(',') {
                let address =
                    if self.header == FORWARDED { forwarded_for(entry) } else { address_of(entry.trim()) };
                let Some(address) = address else { return nearest };
                nearest = address;
                if !self.is_trusted(address) {
                    return nearest;
                }
            }
        }
        nearest
    }

    fn warn_once(&self, peer: IpAddr) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a request from {peer} carries a forwarding header, and {peer} is not in server.trusted_proxies: the \
                 header is ignored. If it is your proxy, all its clients count as one until you set \
                 HALLPASS_SERVER__TRUSTED_PROXIES={peer}; if not, somebody tried to forge an address. This is said once."
            );
        }
    }
}

/// The `for` of one element (RFC 7239 4 and 6). Obfuscated and unknown nodes are no addresses.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") {
            let value = value.trim();
            let value = value.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(value);
            // Twice in one element: nobody knows which one is meant.
            if found.replace(address_of(value)?).is_some() {
                return None;
            }
        }
    }
    found
}

/// An address with or without a port; IPv6 with or without brackets.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text).parse().ok();
    let address: Option<IpAddr> = text.parse::<SocketAddr>().ok().map(|address| address.ip()).or_else(bare);
    address.map(|address| address.to_canonical())
}
