//! Keys that verify, and how they are read from and written as JSON Web Keys.

use super::{Algorithm, KeyError, MIN_RSA_BITS, check_kid, thumbprint};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use std::fmt;

#[derive(Clone)]
pub(super) enum Public {
    Asymmetric(ParsedPublicKey),
    Hmac(Box<hmac::Key>),
}

/// A public or shared key with its id, parsed once. May be used from many threads at once.
#[derive(Clone)]
pub struct VerifyingKey {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) public: Public,
    pub(super) jwk: Option<Value>,
}

impl VerifyingKey {
    /// The key's id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key's only algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key as a JWK with `kid`, `alg` and `use`; `None` for HS256, which has nothing to publish.
    pub fn to_jwk(&self) -> Option<Value> {
        self.jwk.clone()
    }

    /// Reads a public Ed25519, P-256 or RSA key. Without `kid` it gets its thumbprint.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for another type, curve, `alg` or `use`; [`KeyError::Rejected`],
    /// [`KeyError::TooWeak`] or [`KeyError::BadKeyId`] for a bad key or id.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| {
            let encoded = text(name).ok_or(KeyError::Rejected)?;
            BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| KeyError::Rejected)
        };
        let kid = text("kid");
        let key = match (text("kty"), text("crv")) {
            (Some("OKP"), Some("Ed25519")) => Self::ed25519(&bytes("x")?, kid)?,
            (Some("EC"), Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return Err(KeyError::Rejected);
                }
                Self::p256(&[&[4], x.as_slice(), &y].concat(), kid)?
            }
            (Some("RSA"), _) => Self::rsa(&bytes("n")?, &bytes("e")?, kid)?,
            _ => return Err(KeyError::Unsupported),
        };
        let same_or_absent = |name, value| jwk.get(name).is_none_or(|found| found.as_str() == Some(value));
        let usable = same_or_absent("alg", key.algorithm.name()) && same_or_absent("use", "sig");
        if usable { Ok(key) } else { Err(KeyError::Unsupported) }
    }

    pub(super) fn ed25519(point: &[u8], kid: Option<&str>) -> Result<Self, KeyError> {
        let key = ParsedPublicKey::new(&signature::ED25519, point).map_err(|_| KeyError::Rejected)?;
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64URL_NOPAD.encode(point) });
        Self::asymmetric(Algorithm::EdDsa, key, jwk, kid)
    }

    /// `point` is uncompressed: 4, x, y (SEC 1 section 2.3.3).
    pub(super) fn p256(point: &[u8], kid: Option<&str>) -> Result<Self, KeyError> {
        let key = ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
            .map_err(|_| KeyError::Rejected)?;
        let [4, coordinates @ ..] = point else {
            return Err(KeyError::Rejected);
        };
        let (x, y) = coordinates.split_at_checked(32).ok_or(KeyError::Rejected)?;
        let (x, y) = (BASE64URL_NOPAD.encode(x), BASE64URL_NOPAD.encode(y));
        Self::asymmetric(Algorithm::Es256, key, json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }), kid)
    }

    /// Modulus and exponent big-endian without leading zeros (RFC 7518 section 6.3.1).
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8], kid: Option<&str>) -> Result<Self, KeyError> {
        match (modulus, exponent) {
            ([0, ..] | [], _) | (_, [0, ..] | []) => return Err(KeyError::Rejected),
            ([first, ..], _) if modulus.len() * 8 - (first.leading_zeros() as usize) < MIN_RSA_BITS => {
                return Err(KeyError::TooWeak);
            }
            (_, [_] | [_, _]) => return Err(KeyError::TooWeak),
            _ => {}
        }
        let key = RsaPublicKeyComponents { n: modulus, e: exponent }
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| KeyError::Rejected)?;
        let (n, e) = (BASE64URL_NOPAD.encode(modulus), BASE64URL_NOPAD.encode(exponent));
        Self::asymmetric(Algorithm::Rs256, key, json!({ "kty": "RSA", "n": n, "e": e }), kid)
    }

    fn asymmetric(
        algorithm: Algorithm,
        key: ParsedPublicKey,
        mut jwk: Value,
        kid: Option<&str>,
    ) -> Result<Self, KeyError> {
        let kid = match kid {
            Some(given) => given.to_owned(),
            None => thumbprint(&jwk).ok_or(KeyError::Rejected)?,
        };
        check_kid(&kid)?;
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".into(), kid.clone().into());
            members.insert("alg".into(), algorithm.name().into());
            members.insert("use".into(), "sig".into());
        }
        Ok(Self { kid, algorithm, public: Public::Asymmetric(key), jwk: Some(jwk) })
    }

    /// Whether `signature` is the JOSE signature of `message`.
    pub(crate) fn verify_bytes(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::Asymmetric(key) => key.verify_sig(message, signature).is_ok(),
            Public::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
