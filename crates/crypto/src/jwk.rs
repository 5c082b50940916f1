//! Keys that sign and verify tokens, parsed once, and their JSON Web Key form (RFC 7517, 7518, 8037).
//!
//! A key has exactly one algorithm, fixed when it is made: a token can never choose how a key is used
//! (RFC 8725 section 3.1, ASVS 9.1.2).

mod public;

pub use public::VerifyingKey;

use crate::digest::sha256;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{hmac, rsa};
use data_encoding::BASE64URL_NOPAD;
use public::Public;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use zeroize::Zeroizing;

/// Fewest bits of an RSA modulus (ASVS 11.2.3: 128 bits of security).
pub const MIN_RSA_BITS: usize = 3072;
/// Fewest bytes of an HS256 secret (RFC 7518 section 3.2).
pub const MIN_HMAC_BYTES: usize = 32;

/// The signature algorithms, by their JOSE names (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// HMAC with SHA-256.
    #[serde(rename = "HS256")]
    Hs256,
}

impl Algorithm {
    /// The JOSE name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    /// The algorithm of a JOSE name, in exactly this case; `None` for any other, `none` included.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::EdDsa, Self::Es256, Self::Rs256, Self::Hs256].into_iter().find(|known| known.name() == name)
    }
}

/// Why a key was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a key of the stated algorithm, or damaged.
    #[error("the key is not a valid key of its algorithm")]
    Rejected,
    /// RSA below [`MIN_RSA_BITS`], a public exponent below 65537, or HS256 below [`MIN_HMAC_BYTES`].
    #[error("the key is too weak: RSA needs {MIN_RSA_BITS} bits, HS256 {MIN_HMAC_BYTES} bytes")]
    TooWeak,
    /// A key type, curve or use that is not supported here.
    #[error("the key has an unsupported type, curve, algorithm or use")]
    Unsupported,
    /// The key id is empty, longer than 128, or has characters other than visible ASCII without quotes.
    #[error("the key id must be 1 to 128 visible ASCII characters without quotes and backslashes")]
    BadKeyId,
}

enum Private {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Hmac(Zeroizing<Vec<u8>>, Box<hmac::Key>),
}

/// A private or shared key with its id. May be used from many threads at once.
pub struct SigningKey {
    private: Private,
    public: VerifyingKey,
    /// The JOSE header up to the value of `typ`; the same for every token of this key.
    header: String,
}

impl SigningKey {
    /// Makes a new key; RSA gets 3072 bits.
    ///
    /// The id is the key's RFC 7638 thumbprint; only HS256, whose secret must not be hashed into a public
    /// name, takes `hmac_id`. This is the one function of the crate that draws random bytes itself: the
    /// library makes keys of these types from its own generator only.
    ///
    /// # Errors
    /// [`KeyError::Rejected`] if the library cannot make a key, [`KeyError::BadKeyId`] for a bad `hmac_id`.
    pub fn generate(algorithm: Algorithm, hmac_id: &str) -> Result<Self, KeyError> {
        let rejected = |_| KeyError::Rejected;
        let private = match algorithm {
            Algorithm::EdDsa => Private::Ed25519(Ed25519KeyPair::generate().map_err(rejected)?),
            Algorithm::Es256 => Private::Ecdsa(
                EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).map_err(rejected)?,
            ),
            Algorithm::Rs256 => Private::Rsa(RsaKeyPair::generate(rsa::KeySize::Rsa3072).map_err(rejected)?),
            Algorithm::Hs256 => {
                let mut secret = Zeroizing::new(vec![0; MIN_HMAC_BYTES]);
                SystemRandom::new().fill(&mut secret).map_err(rejected)?;
                return Self::from_pkcs8(algorithm, hmac_id, &secret);
            }
        };
        Self::assemble(private, algorithm, None)
    }

    /// Reads a key from unencrypted PKCS#8 (RFC 5208 or RFC 5958, DER), or for HS256 from the raw secret.
    /// An empty `kid` stands for the thumbprint, except for HS256.
    ///
    /// # Errors
    /// [`KeyError::Rejected`], [`KeyError::TooWeak`] or [`KeyError::BadKeyId`].
    pub fn from_pkcs8(algorithm: Algorithm, kid: &str, bytes: &[u8]) -> Result<Self, KeyError> {
        let rejected = |_| KeyError::Rejected;
        let private = match algorithm {
            Algorithm::EdDsa => {
                // "Maybe unchecked" only in that version 1, as OpenSSL writes it, has no public key to
                // compare.
                Private::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map_err(rejected)?)
            }
            Algorithm::Es256 => Private::Ecdsa(
                EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, bytes)
                    .map_err(rejected)?,
            ),
            Algorithm::Rs256 => Private::Rsa(RsaKeyPair::from_pkcs8(bytes).map_err(rejected)?),
            Algorithm::Hs256 => {
                check_kid(kid)?;
                let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
                Private::Hmac(Zeroizing::new(bytes.to_vec()), Box::new(key))
            }
        };
        Self::assemble(private, algorithm, (!kid.is_empty()).then_some(kid))
    }

    fn assemble(private: Private, algorithm: Algorithm, kid: Option<&str>) -> Result<Self, KeyError> {
        let public = match &private {
            Private::Ed25519(pair) => VerifyingKey::ed25519(pair.public_key().as_ref(), kid)?,
            Private::Ecdsa(pair) => VerifyingKey::p256(pair.public_key().as_ref(), kid)?,
            Private::Rsa(pair) => {
                let public = pair.public_key();
                let modulus = public.modulus().big_endian_without_leading_zero();
                VerifyingKey::rsa(modulus, public.exponent().big_endian_without_leading_zero(), kid)?
            }
            Private::Hmac(secret, key) => {
                if secret.len() < MIN_HMAC_BYTES {
                    return Err(KeyError::TooWeak);
                }
                let kid = kid.unwrap_or_default();
                check_kid(kid)?;
                VerifyingKey { kid: kid.into(), algorithm, public: Public::Hmac(key.clone()), jwk: None }
            }
        };
        let header = format!(r#"{{"alg":"{}","kid":"{}","typ":""#, algorithm.name(), public.kid);
        Ok(Self { private, public, header })
    }

    /// The key as PKCS#8, or for HS256 the raw secret. To be encrypted at once (ASVS 13.3.1).
    ///
    /// # Errors
    /// [`KeyError::Rejected`] if the library cannot write the key.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let rejected = |_| KeyError::Rejected;
        let bytes = match &self.private {
            Private::Ed25519(pair) => pair.to_pkcs8().map_err(rejected)?.as_ref().to_vec(),
            Private::Ecdsa(pair) => pair.to_pkcs8v1().map_err(rejected)?.as_ref().to_vec(),
            Private::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(rejected)?;
                der.as_ref().to_vec()
            }
            Private::Hmac(secret, _) => secret.to_vec(),
        };
        Ok(Zeroizing::new(bytes))
    }

    /// The key's id.
    pub fn kid(&self) -> &str {
        &self.public.kid
    }

    /// The key's only algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.public.algorithm
    }

    /// The key that verifies what this one signs.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public.clone()
    }

    pub(crate) fn header_start(&self) -> &str {
        &self.header
    }

    /// The JOSE signature of `message`; `None` only if the library fails.
    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.private {
            Private::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
            Private::Ecdsa(pair) => Some(pair.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
            Private::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out).ok()?;
                Some(out)
            }
            Private::Hmac(_, key) => Some(hmac::sign(key, message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.public.kid).finish_non_exhaustive()
    }
}

/// The RFC 7638 thumbprint of a public JWK: base64url of SHA-256 over its required members in order.
/// `None` if the type is unknown or a required member is missing.
pub fn thumbprint(jwk: &Value) -> Option<String> {
    let required: &[&str] = match jwk.get("kty")?.as_str()? {
        "OKP" => &["crv", "kty", "x"],
        "EC" => &["crv", "kty", "x", "y"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let members: Option<Vec<String>> = required
        .iter()
        .map(|name| Some(format!("\"{name}\":{}", Value::from(jwk.get(name)?.as_str()?))))
        .collect();
    Some(BASE64URL_NOPAD.encode(&sha256(format!("{{{}}}", members?.join(",")).as_bytes())))
}

/// Key ids go into headers that are written without escaping.
fn check_kid(kid: &str) -> Result<(), KeyError> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if (1..=128).contains(&kid.len()) && kid.bytes().all(plain) { Ok(()) } else { Err(KeyError::BadKeyId) }
}

#[cfg(test)]
mod tests;
