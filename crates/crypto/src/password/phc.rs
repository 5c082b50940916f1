//! The PHC string form of Argon2 hashes, read strictly and bounded.

use super::{Params, PasswordError};
use argon2::{Algorithm, Version};
use data_encoding::BASE64_NOPAD;

/// Longest stored hash that is looked at; ours have about a hundred bytes.
const MAX_BYTES: usize = 512;

/// One stored Argon2 hash.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Phc {
    pub(super) algorithm: Algorithm,
    pub(super) version: Version,
    pub(super) params: Params,
    /// Names the pepper that went in, if any.
    pub(super) pepper_id: Option<[u8; 8]>,
    pub(super) salt: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

impl Phc {
    pub(super) fn write(&self) -> String {
        let Params { memory_kib, passes, lanes } = self.params;
        let version = u32::from(self.version);
        let pepper =
            self.pepper_id.map(|id| format!(",keyid={}", BASE64_NOPAD.encode(&id))).unwrap_or_default();
        let (salt, tag) = (BASE64_NOPAD.encode(&self.salt), BASE64_NOPAD.encode(&self.tag));
        format!(
            "${}$v={version}$m={memory_kib},t={passes},p={lanes}{pepper}${salt}${tag}",
            self.algorithm.as_str()
        )
    }

    /// Reads `$argon2id$v=19$m=…,t=…,p=…[,keyid=…]$salt$tag`; a missing version means 16, as in PHC strings
    /// of old.
    pub(super) fn read(text: &str) -> Result<Self, PasswordError> {
        if text.len() > MAX_BYTES {
            return Err(PasswordError::Malformed);
        }
        let mut fields = text.strip_prefix('$').ok_or(PasswordError::Malformed)?.split('$').peekable();
        let algorithm = match fields.next() {
            Some("argon2id") => Algorithm::Argon2id,
            Some("argon2i") => Algorithm::Argon2i,
            Some("argon2d") => Algorithm::Argon2d,
            _ => return Err(PasswordError::Unsupported),
        };
        let version = match fields.next_if(|field| field.starts_with("v=")) {
            Some("v=19") => Version::V0x13,
            Some("v=16") | None => Version::V0x10,
            Some(_) => return Err(PasswordError::Unsupported),
        };
        let [costs, salt, tag] = [fields.next(), fields.next(), fields.next()];
        if fields.next().is_some() {
            return Err(PasswordError::Malformed);
        }
        let (params, pepper_id) = costs.ok_or(PasswordError::Malformed).and_then(read_costs)?;
        let (salt, tag) = (read_bytes(salt, 8..=64)?, read_bytes(tag, 16..=64)?);
        Ok(Self { algorithm, version, params, pepper_id, salt, tag })
    }
}

fn read_costs(field: &str) -> Result<(Params, Option<[u8; 8]>), PasswordError> {
    let mut costs = field.split(',');
    let mut number = |name: &str| {
        let value = costs.next().and_then(|cost| cost.strip_prefix(name)).ok_or(PasswordError::Malformed)?;
        let plain = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
        value.parse().ok().filter(|_| plain).ok_or(PasswordError::Malformed)
    };
    let params = Params { memory_kib: number("m=")?, passes: number("t=")?, lanes: number("p=")? };
    let pepper_id = match costs.next() {
        None => None,
        Some(extra) => {
            let id = extra.strip_prefix("keyid=").ok_or(PasswordError::Unsupported)?;
            let id = BASE64_NOPAD.decode(id.as_bytes()).map_err(|_| PasswordError::Malformed)?;
            // Another length is somebody else's key.
            Some(id.try_into().map_err(|_| PasswordError::UnknownPepper)?)
        }
    };
    if costs.next().is_some() { Err(PasswordError::Unsupported) } else { Ok((params, pepper_id)) }
}

fn read_bytes(
    field: Option<&str>,
    length: std::ops::RangeInclusive<usize>,
) -> Result<Vec<u8>, PasswordError> {
    let bytes = BASE64_NOPAD
        .decode(field.ok_or(PasswordError::Malformed)?.as_bytes())
        .map_err(|_| PasswordError::Malformed)?;
    if length.contains(&bytes.len()) { Ok(bytes) } else { Err(PasswordError::Malformed) }
}
