//! What has to hold whatever bytes come in. Each function is one fuzz target; it stops the run when something does not hold.
#![forbid(unsafe_code)]

mod passwords;
mod proxies;
mod secrets;
mod services;
mod settings;
mod tokens;
mod web;

pub use passwords::password_hash;
pub use proxies::{forwarded, proxy_protocol};
pub use secrets::{link_token, refresh_token, sealed, typed};
pub use services::service;
pub use settings::config;
pub use tokens::{jwk, jwt};
pub use web::{cookies, device, form, json_body, names};

/// The input as text, where the parser takes text; other bytes are none of its business.
fn text(data: &[u8]) -> &str {
    match std::str::from_utf8(data) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&data[..error.valid_up_to()]).unwrap_or_default(),
    }
}

/// The first line of the input, and the rest.
fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, b""),
    }
}

/// `N` bytes made of the input, filled up with zeros.
fn array<const N: usize>(data: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(data) {
        *to = *from;
    }
    out
}

/// The bytes with one bit turned, at a place that the number chooses.
fn flipped(bytes: &[u8], choice: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    if !changed.is_empty() {
        let at = usize::from(choice) * 8191 % (changed.len() * 8);
        changed[at / 8] ^= 1 << (at % 8);
    }
    changed
}
