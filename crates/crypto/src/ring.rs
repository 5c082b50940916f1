//! The ring of master secrets, and one key per purpose derived from it.
//!
//! A server has one current secret and, while it is being replaced, the ones before it. Everything new is
//! made under the current one; everything old still verifies until its secret leaves the ring (ASVS 13.3.4).

use crate::digest::{HmacKey, equal, hkdf_expand, hkdf_extract, hmac_sha256};
use data_encoding::HEXLOWER;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Fewest bytes of a master secret (ASVS 11.5.1 asks for 128 bits; a key of AES-256 needs 256).
pub const MIN_SECRET_BYTES: usize = 32;

/// Fewest bytes to which a tag may be cut (RFC 2104 section 5: not below half the output).
pub const MIN_TAG_BYTES: usize = 16;

const SALT: &[u8] = b"hallpass/ring/v1";

/// Why a ring was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// A master secret has fewer than [`MIN_SECRET_BYTES`] bytes.
    #[error("a master secret must have at least {MIN_SECRET_BYTES} bytes")]
    TooShort,
}

/// What a derived key is for. No two purposes share a key (ASVS 11.2.2, NIST SP 800-57 part 1, 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The MAC inside a refresh token.
    RefreshMac,
    /// Encryption of columns.
    Seal,
    /// CSRF tokens.
    Csrf,
    /// Stored six-digit codes.
    Code,
    /// Identifiers that are written to logs or counted in limits without being readable.
    Identifier,
    /// Registrations that are not yet proven.
    Registration,
    /// The head of the audit log.
    Audit,
    /// Values by which nodes and commands recognise their own data.
    Check,
    /// Passkey ceremonies under way, and ids of credentials that do not exist.
    Passkey,
    /// What nodes leave for each other beside the database.
    Share,
}

impl Purpose {
    /// The HKDF label. Part of the stored format: changing one orphans everything made under it.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::RefreshMac => b"refresh-mac",
            Self::Seal => b"seal",
            Self::Csrf => b"csrf",
            Self::Code => b"code",
            Self::Identifier => b"identifier",
            Self::Registration => b"registration",
            Self::Audit => b"audit",
            Self::Check => b"check",
            Self::Passkey => b"passkey",
            Self::Share => b"share",
        }
    }
}

/// The current master secret and the previous ones. Holds extracted keys, never the secrets as given.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct KeyRing {
    current: [u8; 32],
    previous: Vec<[u8; 32]>,
}

impl KeyRing {
    /// Makes a ring from the current secret and the ones it replaced, newest first.
    ///
    /// # Errors
    /// [`RingError::TooShort`] if any of them has fewer than [`MIN_SECRET_BYTES`] bytes.
    pub fn new(current: &[u8], previous: &[&[u8]]) -> Result<Self, RingError> {
        if previous.iter().chain([&current]).any(|secret| secret.len() < MIN_SECRET_BYTES) {
            return Err(RingError::TooShort);
        }
        Ok(Self {
            current: hkdf_extract(SALT, current),
            previous: previous.iter().map(|secret| hkdf_extract(SALT, secret)).collect(),
        })
    }

    /// The keys of one purpose, for every secret of the ring (HKDF-SHA-256, RFC 5869).
    pub fn derive(&self, purpose: Purpose) -> Keys {
        let label = purpose.label();
        let current = hkdf_expand(&self.current, label);
        Keys {
            hmac: HmacKey::new(&current),
            current,
            previous: self.previous.iter().map(|secret| hkdf_expand(secret, label)).collect(),
        }
    }

    /// A short public name of the current secret: 16 hexadecimal digits, derived one way.
    ///
    /// Stored beside the data, it tells a wrong secret at start instead of at the first failing decryption.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.current)
    }

    /// The names of the previous secrets, in the order of the ring; see [`KeyRing::fingerprint`].
    pub fn previous_fingerprints(&self) -> Vec<String> {
        self.previous.iter().map(fingerprint).collect()
    }
}

fn fingerprint(secret: &[u8; 32]) -> String {
    let mut name = HEXLOWER.encode(&hkdf_expand(secret, b"fingerprint"));
    name.truncate(16);
    name
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("current", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// The keys of one purpose: the current one and those of the previous secrets.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    /// The key for everything new.
    pub current: [u8; 32],
    /// The keys that still verify, newest first.
    pub previous: Vec<[u8; 32]>,
    /// The current key, made ready once. The library wipes it.
    #[zeroize(skip)]
    hmac: HmacKey,
}

impl Keys {
    /// HMAC-SHA-256 under the current key.
    pub fn mac(&self, data: &[u8]) -> [u8; 32] {
        self.hmac.mac(data)
    }

    /// Whether `tag` is the HMAC-SHA-256 of `data` under any key of the ring, whole or cut to at least
    /// [`MIN_TAG_BYTES`]. The time depends on lengths and on the size of the ring only.
    pub fn verify_mac(&self, data: &[u8], tag: &[u8]) -> bool {
        if !(MIN_TAG_BYTES..=32).contains(&tag.len()) {
            return false;
        }
        // `|` and not `||`: all keys are tried, so that time does not tell which one was right.
        let fits = |mac: [u8; 32]| mac.get(..tag.len()).is_some_and(|cut| equal(cut, tag));
        let current = fits(self.mac(data));
        self.previous.iter().fold(current, |found, key| found | fits(hmac_sha256(key, data)))
    }

    /// HMAC-SHA-256 under every key of the ring, the current one's first: to find what was stored under any of them.
    pub fn macs(&self, data: &[u8]) -> Vec<[u8; 32]> {
        self.all().map(|key| hmac_sha256(key, data)).collect()
    }

    /// Every key, the current one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &[u8; 32]> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Purpose; 10] = [
        Purpose::RefreshMac,
        Purpose::Seal,
        Purpose::Csrf,
        Purpose::Code,
        Purpose::Identifier,
        Purpose::Registration,
        Purpose::Audit,
        Purpose::Check,
        Purpose::Passkey,
        Purpose::Share,
    ];

    #[test]
    fn a_short_secret_is_refused_wherever_it_stands() {
        assert_eq!(KeyRing::new(&[1; 31], &[]).unwrap_err(), RingError::TooShort);
        assert_eq!(KeyRing::new(&[1; 32], &[&[2; 32], &[3; 31]]).unwrap_err(), RingError::TooShort);
        assert!(KeyRing::new(&[1; 32], &[&[2; 64]]).is_ok());
    }

    #[test]
    fn no_two_purposes_and_no_two_secrets_share_a_key() {
        let ring = KeyRing::new(&[1; 32], &[&[2; 32]]).unwrap();
        let mut keys: Vec<[u8; 32]> =
            ALL.iter().flat_map(|p| ring.derive(*p).all().copied().collect::<Vec<_>>()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 2 * ALL.len());
    }

    #[test]
    fn derivation_is_part_of_the_stored_format_and_stays_as_it_is() {
        let ring = KeyRing::new(&[7; 32], &[]).unwrap();
        assert_eq!(ring.fingerprint(), "ec04f2607e6f8596");
        assert_eq!(
            HEXLOWER.encode(&ring.derive(Purpose::Seal).current),
            "bd3f68f246c686e61577ddb3dcc506dc11f05eebd6d8af3a402e83fc214700f2"
        );
    }

    #[test]
    fn a_tag_of_a_previous_secret_still_verifies() {
        let old = KeyRing::new(&[1; 32], &[]).unwrap().derive(Purpose::Csrf);
        let new = KeyRing::new(&[2; 32], &[&[1; 32]]).unwrap().derive(Purpose::Csrf);
        let gone = KeyRing::new(&[2; 32], &[]).unwrap().derive(Purpose::Csrf);
        let tag = old.mac(b"data");
        assert!(new.verify_mac(b"data", &tag));
        assert!(!gone.verify_mac(b"data", &tag));
        assert_ne!(new.mac(b"data"), tag);
    }

    #[test]
    fn a_tag_may_be_cut_to_sixteen_bytes_and_no_further() {
        let keys = KeyRing::new(&[1; 32], &[]).unwrap().derive(Purpose::Check);
        let tag = keys.mac(b"data");
        assert!(keys.verify_mac(b"data", &tag[..16]));
        assert!(!keys.verify_mac(b"data", &tag[..15]));
        assert!(!keys.verify_mac(b"data", b""));
        assert!(!keys.verify_mac(b"datb", &tag));
        let mut long = tag.to_vec();
        long.push(0);
        assert!(!keys.verify_mac(b"data", &long));
    }

    #[test]
    fn debug_shows_no_key() {
        let ring = KeyRing::new(&[0xAB; 32], &[]).unwrap();
        assert_eq!(format!("{:?}", ring.derive(Purpose::Seal)), "Keys(redacted)");
        assert_eq!(format!("{ring:?}"), format!("KeyRing {{ current: \"{}\", .. }}", ring.fingerprint()));
    }
}
