//! Compact JSON Web Tokens (RFC 7515, 7519), checked the way RFC 8725 asks.
//!
//! The order of checks is fixed, and nothing of a token is believed before its signature is: length, form,
//! header, key, algorithm of the key, signature, then claims. `jku`, `x5u`, `jwk` and `x5c` are ignored: keys
//! come from the caller alone (RFC 8725 section 3.10, ASVS 9.1.3).

pub use crate::jwk::{Algorithm, KeyError, SigningKey, VerifyingKey};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The claims of a verified token.
pub type Claims = Map<String, Value>;

/// Why a token was not made or not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not a token: too long, not three canonical parts, not JSON objects, a name twice, a critical
    /// extension, or a time that is not a whole number.
    #[error("the token is malformed")]
    Malformed,
    /// No key id, or one that names no key, or more than one.
    #[error("the token names no known key")]
    UnknownKey,
    /// An algorithm that is unknown, or not the key's own.
    #[error("the token has the wrong algorithm")]
    WrongAlgorithm,
    /// The signature does not verify.
    #[error("the token has a bad signature")]
    BadSignature,
    /// The `typ` is not the expected one: a token of another kind (RFC 8725 section 3.11, ASVS 9.2.2).
    #[error("the token is of the wrong type")]
    WrongType,
    /// Another issuer.
    #[error("the token has the wrong issuer")]
    WrongIssuer,
    /// Meant for somebody else (ASVS 9.2.3).
    #[error("the token has the wrong audience")]
    WrongAudience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A required claim is absent.
    #[error("the token lacks the claim {0}")]
    MissingClaim(&'static str),
    /// The library could not sign.
    #[error("the token could not be signed")]
    SigningFailed,
}

/// What a verifier requires of a token.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The exact `typ` of the kind of token, such as `at+jwt`.
    pub typ: &'a str,
    /// The exact issuer.
    pub issuer: &'a str,
    /// Who must be the audience or one of it.
    pub audience: &'a str,
    /// The present time, in seconds since 1970 UTC.
    pub now: i64,
    /// By how many seconds clocks may differ.
    pub leeway: i64,
}

impl SigningKey {
    /// Signs a token of the given `typ` over claims that are already a JSON object.
    ///
    /// # Errors
    /// [`JwtError::Malformed`] if `typ` is not a plain media type, the claims are not an object, or the token
    /// would exceed [`MAX_TOKEN_BYTES`]; [`JwtError::SigningFailed`] if the library fails.
    pub fn sign(&self, typ: &str, claims_json: &[u8]) -> Result<String, JwtError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-./".contains(&byte);
        if typ.is_empty() || !typ.bytes().all(plain) || claims_json.first() != Some(&b'{') {
            return Err(JwtError::Malformed);
        }
        let header = [self.header_start(), typ, "\"}"].concat();
        let mut token = BASE64URL_NOPAD.encode(header.as_bytes());
        token.push('.');
        BASE64URL_NOPAD.encode_append(claims_json, &mut token);
        let signature = self.sign_bytes(token.as_bytes()).ok_or(JwtError::SigningFailed)?;
        token.push('.');
        BASE64URL_NOPAD.encode_append(&signature, &mut token);
        if token.len() > MAX_TOKEN_BYTES { Err(JwtError::Malformed) } else { Ok(token) }
    }
}

/// Verifies a token with the one key of `keys` that it names, and returns its claims.
///
/// # Errors
/// The first check that fails, in the order of the module's description.
pub fn verify(token: &str, keys: &[&VerifyingKey], expected: &Expectation<'_>) -> Result<Claims, JwtError> {
    verify_with(token, |kid| only(keys, kid), expected)
}

/// As [`verify`], with the caller's own look-up of keys by id.
///
/// # Errors
/// As [`verify`].
pub fn verify_with<'k>(
    token: &str,
    lookup: impl FnOnce(&str) -> Option<&'k VerifyingKey>,
    expected: &Expectation<'_>,
) -> Result<Claims, JwtError> {
    let claims = authentic(token, lookup, expected.typ)?;
    check_party(&claims, expected)?;
    let exp = time(&claims, "exp")?.ok_or(JwtError::MissingClaim("exp"))?;
    if expected.now.saturating_sub(expected.leeway) >= exp {
        return Err(JwtError::Expired);
    }
    check_started(&claims, expected)?;
    Ok(claims)
}

/// As [`verify`], but an expired token passes. Only for ending what the token stands for, as at sign-out.
///
/// # Errors
/// As [`verify`], without [`JwtError::Expired`]; `exp` must still be there.
pub fn verify_ignoring_expiry(
    token: &str,
    keys: &[&VerifyingKey],
    expected: &Expectation<'_>,
) -> Result<Claims, JwtError> {
    verify_ignoring_expiry_with(token, |kid| only(keys, kid), expected)
}

/// As [`verify_ignoring_expiry`], with the caller's own look-up of keys by id.
///
/// # Errors
/// As [`verify_ignoring_expiry`].
pub fn verify_ignoring_expiry_with<'k>(
    token: &str,
    lookup: impl FnOnce(&str) -> Option<&'k VerifyingKey>,
    expected: &Expectation<'_>,
) -> Result<Claims, JwtError> {
    let claims = authentic(token, lookup, expected.typ)?;
    check_party(&claims, expected)?;
    time(&claims, "exp")?.ok_or(JwtError::MissingClaim("exp"))?;
    check_started(&claims, expected)?;
    Ok(claims)
}

/// The key of this id, unless two share it: then nobody knows which one the issuer meant.
fn only<'k>(keys: &[&'k VerifyingKey], kid: &str) -> Option<&'k VerifyingKey> {
    let mut named = keys.iter().filter(|key| key.kid() == kid);
    let first = named.next()?;
    named.next().is_none().then_some(*first)
}

/// Everything up to and including the signature.
fn authentic<'k>(
    token: &str,
    lookup: impl FnOnce(&str) -> Option<&'k VerifyingKey>,
    typ: &str,
) -> Result<Claims, JwtError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(JwtError::Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(JwtError::Malformed)?;
    let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
    let header = object(&header)?;
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let algorithm = text("alg").and_then(Algorithm::from_name).ok_or(JwtError::WrongAlgorithm)?;
    if text("typ") != Some(typ) {
        return Err(JwtError::WrongType);
    }
    if header.contains_key("crit") {
        return Err(JwtError::Malformed);
    }
    let key = text("kid").and_then(lookup).ok_or(JwtError::UnknownKey)?;
    if key.algorithm() != algorithm {
        return Err(JwtError::WrongAlgorithm);
    }
    if !key.verify_bytes(message.as_bytes(), &signature) {
        return Err(JwtError::BadSignature);
    }
    object(&payload)
}

/// The alphabet of base64url has no dot, so a fourth part fails here too.
fn decode(part: &str) -> Result<Vec<u8>, JwtError> {
    BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| JwtError::Malformed)
}

fn check_party(claims: &Claims, expected: &Expectation<'_>) -> Result<(), JwtError> {
    let issuer = claims.get("iss").ok_or(JwtError::MissingClaim("iss"))?;
    if issuer.as_str() != Some(expected.issuer) {
        return Err(JwtError::WrongIssuer);
    }
    let mine = match claims.get("aud").ok_or(JwtError::MissingClaim("aud"))? {
        Value::String(one) => one == expected.audience,
        Value::Array(many) => {
            many.iter().all(Value::is_string)
                && many.iter().any(|one| one.as_str() == Some(expected.audience))
        }
        _ => false,
    };
    if mine { Ok(()) } else { Err(JwtError::WrongAudience) }
}

fn check_started(claims: &Claims, expected: &Expectation<'_>) -> Result<(), JwtError> {
    let latest = expected.now.saturating_add(expected.leeway);
    for name in ["nbf", "iat"] {
        if time(claims, name)?.is_some_and(|start| start > latest) {
            return Err(JwtError::NotYetValid);
        }
    }
    Ok(())
}

/// A time claim in whole seconds. RFC 7519 allows fractions; no issuer we serve writes them, so they are
/// refused.
fn time(claims: &Claims, name: &str) -> Result<Option<i64>, JwtError> {
    claims.get(name).map(|value| value.as_i64().ok_or(JwtError::Malformed)).transpose()
}

/// A JSON object in which no name stands twice: parsers disagree about which one counts (RFC 7519 section 4).
fn object(bytes: &[u8]) -> Result<Claims, JwtError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let claims = deserializer.deserialize_map(UniqueNames).map_err(|_| JwtError::Malformed)?;
    deserializer.end().map_err(|_| JwtError::Malformed)?;
    Ok(claims)
}

struct UniqueNames;

impl<'de> Visitor<'de> for UniqueNames {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose names are unique")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Claims, A::Error> {
        let mut claims = Claims::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if claims.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(claims)
    }
}
