//! The few hash primitives everything else is built from.
//!
//! They cannot fail, so that callers need no error path for what never happens.

use aws_lc_rs::{constant_time, digest, hmac};

/// SHA-256 of `data` (FIPS 180-4).
pub fn sha256(data: &[u8]) -> [u8; 32] {
    first_32(digest::digest(&digest::SHA256, data).as_ref())
}

/// HMAC-SHA-256 of `data` under a 32-byte key (RFC 2104).
pub fn hmac_sha256(key: &[u8; 32], data: &[u8]) -> [u8; 32] {
    hmac_any(key, &[data])
}

/// A key of HMAC-SHA-256 that is used again and again: its two blocks are hashed once.
#[derive(Clone)]
pub(crate) struct HmacKey(hmac::Key);

impl HmacKey {
    /// Makes a key ready.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// As [`hmac_sha256`].
    pub(crate) fn mac(&self, data: &[u8]) -> [u8; 32] {
        first_32(hmac::sign(&self.0, data).as_ref())
    }
}

/// Whether two byte strings are equal, in time that depends on their lengths only (ASVS 11.2.4).
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// HKDF-SHA-256, extract step (RFC 5869 section 2.2).
pub(crate) fn hkdf_extract(salt: &[u8], secret: &[u8]) -> [u8; 32] {
    hmac_any(salt, &[secret])
}

/// HKDF-SHA-256, expand step for exactly 32 bytes, which is one block (RFC 5869 section 2.3).
pub(crate) fn hkdf_expand(prk: &[u8; 32], info: &[u8]) -> [u8; 32] {
    hmac_any(prk, &[info, &[1]])
}

fn hmac_any(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    first_32(context.sign().as_ref())
}

/// Both algorithms of this module give exactly 32 bytes; the zip only spares a fallible conversion.
fn first_32(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::hkdf;
    use data_encoding::HEXLOWER;

    #[test]
    fn sha256_gives_the_fips_180_example() {
        assert_eq!(
            HEXLOWER.encode(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn hmac_gives_rfc_4231_test_case_two() {
        // A key shorter than the block is padded with zeros, so the 4-byte key may be given with 32.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            HEXLOWER.encode(&hmac_sha256(&key, b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn hkdf_gives_rfc_5869_test_case_one() {
        let salt = HEXLOWER.decode(b"000102030405060708090a0b0c").unwrap();
        let info = HEXLOWER.decode(b"f0f1f2f3f4f5f6f7f8f9").unwrap();
        let prk = hkdf_extract(&salt, &[0x0b; 22]);
        assert_eq!(HEXLOWER.encode(&prk), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
        assert_eq!(
            HEXLOWER.encode(&hkdf_expand(&prk, &info)),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
        );
    }

    #[test]
    fn hkdf_agrees_with_the_library() {
        let mut theirs = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"salt")
            .extract(b"secret")
            .expand(&[b"info"], hkdf::HKDF_SHA256)
            .unwrap()
            .fill(&mut theirs)
            .unwrap();
        assert_eq!(hkdf_expand(&hkdf_extract(b"salt", b"secret"), b"info"), theirs);
    }

    #[test]
    fn equality_needs_the_same_length_and_bytes() {
        assert!(equal(b"", b""));
        assert!(equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"abd"));
        assert!(!equal(b"abc", b"ab"));
    }
}
