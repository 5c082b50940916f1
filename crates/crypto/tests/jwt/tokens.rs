//! Keys, claims and tokens that the token tests share.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use data_encoding::BASE64URL_NOPAD;
use hallpass_crypto::jwt::{Algorithm, Expectation, JwtError, SigningKey, VerifyingKey, verify};
use serde_json::{Value, json};
use std::sync::LazyLock;

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const EXPECTED: Expectation<'_> =
    Expectation { typ: "at+jwt", issuer: "https://auth.test", audience: "api", now: NOW, leeway: 30 };

/// One key of each algorithm; RSA generation is slow.
pub(crate) static KEYS: LazyLock<[SigningKey; 4]> = LazyLock::new(|| {
    [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Hs256]
        .map(|algorithm| SigningKey::generate(algorithm, "shared-1").unwrap())
});

pub(crate) fn key() -> &'static SigningKey {
    &KEYS[0]
}

pub(crate) fn claims() -> Value {
    json!({ "iss": "https://auth.test", "aud": "api", "sub": "u", "iat": NOW, "nbf": NOW, "exp": NOW + 900 })
}

pub(crate) fn changed(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.into(), value),
    };
    claims
}

pub(crate) fn signed(claims: &Value) -> String {
    key().sign("at+jwt", claims.to_string().as_bytes()).unwrap()
}

/// A token of raw header and payload texts. HS256 alone lets a test sign what `sign` would not write.
pub(crate) fn raw(header: &str, payload: &str) -> String {
    let message = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.as_bytes()),
        BASE64URL_NOPAD.encode(payload.as_bytes())
    );
    let secret = KEYS[3].to_pkcs8().unwrap();
    let tag = hallpass_crypto::digest::hmac_sha256(secret.as_slice().try_into().unwrap(), message.as_bytes());
    format!("{message}.{}", BASE64URL_NOPAD.encode(&tag))
}

pub(crate) fn check(token: &str) -> Result<(), JwtError> {
    let keys: Vec<VerifyingKey> = KEYS.iter().map(SigningKey::verifying_key).collect();
    verify(token, &keys.iter().collect::<Vec<_>>(), &EXPECTED).map(drop)
}
