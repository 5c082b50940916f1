//! Authenticated encryption with AES-256-GCM (NIST SP 800-38D, ASVS 11.3.2).
//!
//! A sealed value is `version (1) | key id (4) | nonce (12) | ciphertext and tag`. The head is authenticated
//! together with the caller's context, which says where the value belongs (table, column, row), so that a
//! value copied to another place does not open there.

use crate::digest::{hkdf_expand, hmac_sha256};
use crate::ring::{KeyRing, Keys, Purpose};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use std::fmt;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 12;
const HEAD: usize = 1 + KEY_ID + NONCE;
const TAG: usize = 16;

/// Why a sealed value did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short, or of a version that this program does not know.
    #[error("the sealed value is malformed")]
    Malformed,
    /// Sealed under a secret that is not in the ring.
    #[error("the sealed value belongs to a key that is not in the ring")]
    UnknownKey,
    /// Changed, cut, or moved to another place.
    #[error("the sealed value does not authenticate")]
    NotAuthentic,
}

/// Seals under the current secret of a ring and opens under any of them.
#[derive(Clone)]
pub struct Sealer {
    keys: Keys,
}

impl Sealer {
    /// A sealer over the keys of [`Purpose::Seal`].
    pub fn new(ring: &KeyRing) -> Self {
        Self { keys: ring.derive(Purpose::Seal) }
    }

    /// Seals `plaintext`; `aad` is authenticated but not stored.
    ///
    /// `nonce` must be random and never used twice (at most 2^32 values under one secret, SP 800-38D 8.3).
    /// AES-GCM refuses nothing below 64 GiB; above that the result is empty, which never opens.
    pub fn seal(&self, plaintext: &[u8], aad: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        let mut head = Vec::with_capacity(HEAD + plaintext.len() + TAG);
        head.push(VERSION);
        head.extend_from_slice(&key_id(&self.keys.current));
        let bound = bind(&head, aad);
        let Some(body) = encrypt(&self.keys.current, plaintext, &bound, nonce) else {
            return Vec::new();
        };
        head.extend_from_slice(&nonce);
        head.extend_from_slice(&body);
        head
    }

    /// Opens what [`Sealer::seal`] made with the same `aad`, under the key that the value names.
    ///
    /// # Errors
    /// [`SealError::Malformed`], [`SealError::UnknownKey`] or [`SealError::NotAuthentic`].
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (version, id, rest) = split(sealed)?;
        if version != VERSION {
            return Err(SealError::Malformed);
        }
        let bound = bind(sealed.get(..=KEY_ID).ok_or(SealError::Malformed)?, aad);
        let mut result = Err(SealError::UnknownKey);
        // Ids are short: should two keys of the ring share one, each is tried.
        for key in self.keys.all().filter(|key| key_id(key) == id) {
            result = decrypt(key, rest, &bound);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Whether `sealed` names a key other than the current one and so should be sealed anew.
    pub fn is_stale(&self, sealed: &[u8]) -> bool {
        split(sealed).map_or(true, |(_, id, _)| id != key_id(&self.keys.current))
    }
}

impl From<&KeyRing> for Sealer {
    fn from(ring: &KeyRing) -> Self {
        Self::new(ring)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(redacted)")
    }
}

/// Seals under one key, as `version | nonce | ciphertext and tag`, for values whose key the holder brings
/// along.
///
/// The same rules for `nonce` and size hold as for [`Sealer::seal`].
pub fn seal_under(key: &[u8; 32], plaintext: &[u8], aad: &[u8], nonce: [u8; 12]) -> Vec<u8> {
    let Some(body) = encrypt(key, plaintext, &bind(&[VERSION], aad), nonce) else {
        return Vec::new();
    };
    let mut sealed = Vec::with_capacity(1 + NONCE + body.len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&body);
    sealed
}

/// Opens what [`seal_under`] made with the same key and `aad`.
///
/// # Errors
/// [`SealError::Malformed`] or [`SealError::NotAuthentic`].
pub fn open_under(key: &[u8; 32], sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    match sealed.split_first() {
        Some((&VERSION, rest)) => decrypt(key, rest, &bind(&[VERSION], aad)),
        _ => Err(SealError::Malformed),
    }
}

/// The public id of a key: the start of a one-way value, so that it tells nothing about the key.
fn key_id(key: &[u8; 32]) -> [u8; KEY_ID] {
    hmac_sha256(key, b"key id").first_chunk().copied().unwrap_or_default()
}

/// Head before context: the head has a fixed length per version, so the pair is unambiguous.
fn bind(head: &[u8], aad: &[u8]) -> Vec<u8> {
    [head, aad].concat()
}

fn split(sealed: &[u8]) -> Result<(u8, [u8; KEY_ID], &[u8]), SealError> {
    match sealed {
        [version, a, b, c, d, rest @ ..] if rest.len() >= NONCE + TAG => {
            Ok((*version, [*a, *b, *c, *d], rest))
        }
        _ => Err(SealError::Malformed),
    }
}

fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    // A key of its own for the cipher: the key id is a MAC under the parent.
    let key = Zeroizing::new(hkdf_expand(key, b"aes-256-gcm"));
    UnboundKey::new(&AES_256_GCM, key.as_slice()).ok().map(LessSafeKey::new)
}

fn encrypt(key: &[u8; 32], plaintext: &[u8], aad: &[u8], nonce: [u8; 12]) -> Option<Vec<u8>> {
    // Room for the tag from the start: growing would leave a copy of the plaintext behind.
    let mut buffer = Vec::with_capacity(plaintext.len() + TAG);
    buffer.extend_from_slice(plaintext);
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut buffer)
        .ok()
        .map(|()| buffer)
}

/// `rest` is `nonce | ciphertext and tag`.
fn decrypt(key: &[u8; 32], rest: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (nonce, body) = rest.split_first_chunk::<NONCE>().ok_or(SealError::Malformed)?;
    if body.len() < TAG {
        return Err(SealError::Malformed);
    }
    let mut buffer = Zeroizing::new(body.to_vec());
    let length = cipher(key)
        .ok_or(SealError::NotAuthentic)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut buffer)
        .map_err(|_| SealError::NotAuthentic)?
        .len();
    buffer.truncate(length);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn over(current: u8, previous: &[u8]) -> Sealer {
        let previous: Vec<[u8; 32]> = previous.iter().map(|byte| [*byte; 32]).collect();
        let slices: Vec<&[u8]> = previous.iter().map(<[u8; 32]>::as_slice).collect();
        Sealer::new(&KeyRing::new(&[current; 32], &slices).unwrap())
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_context_only() {
        let vault = over(1, &[]);
        let sealed = vault.seal(b"secret", b"totp|secret|7", [9; 12]);
        assert_eq!(sealed.len(), HEAD + 6 + TAG);
        assert_eq!(vault.open(&sealed, b"totp|secret|7").unwrap().as_slice(), b"secret");
        assert_eq!(vault.open(&sealed, b"totp|secret|8").unwrap_err(), SealError::NotAuthentic);
    }

    #[test]
    fn a_value_of_a_previous_secret_opens_and_is_stale() {
        let sealed = over(1, &[]).seal(b"x", b"", [0; 12]);
        let rotated = over(2, &[1]);
        assert_eq!(rotated.open(&sealed, b"").unwrap().as_slice(), b"x");
        assert!(rotated.is_stale(&sealed));
        assert!(!rotated.is_stale(&rotated.seal(b"x", b"", [0; 12])));
        assert_eq!(over(3, &[]).open(&sealed, b"").unwrap_err(), SealError::UnknownKey);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let vault = over(1, &[]);
        let sealed = vault.seal(b"secret", b"aad", [9; 12]);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(vault.open(&changed, b"aad").is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        let vault = over(1, &[]);
        let sealed = vault.seal(b"secret", b"aad", [9; 12]);
        for length in 0..sealed.len() {
            assert!(vault.open(&sealed[..length], b"aad").is_err());
        }
    }

    #[test]
    fn a_brought_key_opens_its_own_blob_only() {
        let blob = seal_under(&[1; 32], b"next", b"aad", [3; 12]);
        assert_eq!(open_under(&[1; 32], &blob, b"aad").unwrap().as_slice(), b"next");
        assert_eq!(open_under(&[2; 32], &blob, b"aad").unwrap_err(), SealError::NotAuthentic);
        assert_eq!(open_under(&[1; 32], &blob, b"add").unwrap_err(), SealError::NotAuthentic);
        assert_eq!(open_under(&[1; 32], b"", b"aad").unwrap_err(), SealError::Malformed);
        assert_eq!(open_under(&[1; 32], &blob[..20], b"aad").unwrap_err(), SealError::Malformed);
    }

    #[test]
    fn the_cipher_gives_the_gcm_specification_example() {
        // McGrew and Viega, test case 14: 256-bit zero key, zero nonce, one zero block.
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[0; 32]).unwrap());
        let mut buffer = vec![0; 16];
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut buffer)
            .unwrap();
        assert_eq!(
            data_encoding::HEXLOWER.encode(&buffer),
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_open_and_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..100)
        ) {
            prop_assert!(over(1, &[2]).open(&bytes, b"aad").is_err());
            prop_assert!(open_under(&[1; 32], &bytes, b"aad").is_err());
        }

        #[test]
        fn any_plaintext_comes_back(
            plain in proptest::collection::vec(any::<u8>(), 0..200),
            aad in ".{0,20}",
            nonce in any::<[u8; 12]>()
        ) {
            let vault = over(1, &[]);
            let opened = vault.open(&vault.seal(&plain, aad.as_bytes(), nonce), aad.as_bytes()).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
        }
    }
}
