//! JSON Web Tokens and Keys: nothing verifies that was not signed, and nothing is believed that a verifier did not ask for.
use crate::{flipped, text};
use data_encoding::BASE64URL_NOPAD;
use hallpass_crypto::jwk::thumbprint;
use hallpass_crypto::jwt::{
    Algorithm, Claims, Expectation, JwtError, SigningKey, VerifyingKey, verify, verify_ignoring_expiry,
    verify_with,
};
use serde_json::Value;
use std::sync::LazyLock;

const NOW: i64 = 1_800_000_000;
const EXPECTED: Expectation<'_> =
    Expectation { typ: "at+jwt", issuer: "https://auth.test", audience: "api", now: NOW, leeway: 30 };

/// A fresh Ed25519 key and a shared one; what the fuzzer finds must not depend on knowing them.
static KEYS: LazyLock<[(SigningKey, VerifyingKey); 2]> = LazyLock::new(|| {
    [Algorithm::EdDsa, Algorithm::Hs256].map(|algorithm| {
        let key = SigningKey::generate(algorithm, "shared-1").expect("a key");
        let public = key.verifying_key();
        (key, public)
    })
});

fn check(token: &str) -> Result<Claims, JwtError> {
    // Whatever id the token names, it gets a key: so that the look-up hides nothing.
    let [(_, edwards), (_, shared)] = &*KEYS;
    let edwards = verify_with(token, |_| Some(edwards), &EXPECTED);
    if edwards.is_ok() { edwards } else { verify_with(token, |_| Some(shared), &EXPECTED) }
}

/// A token that nobody signed never verifies; a signed one does exactly when its claims are what the verifier expects.
pub fn jwt(data: &[u8]) {
    assert!(check(text(data)).is_err(), "a forged token verifies");

    // The same bytes where only one who encodes them well can bring them: header, payload and signature, a line each.
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let [header, payload, signature] =
        [(); 3].map(|()| BASE64URL_NOPAD.encode(parts.next().unwrap_or_default()));
    assert!(check(&format!("{header}.{payload}.{signature}")).is_err(), "a forged token verifies");

    for (key, public) in &*KEYS {
        let Ok(token) = key.sign("at+jwt", data) else { continue };
        let strict = verify(&token, &[public], &EXPECTED);
        assert_eq!(strict.is_ok(), expected(data), "{strict:?}");
        if let Ok(claims) = &strict {
            assert_eq!(verify_ignoring_expiry(&token, &[public], &EXPECTED).as_ref(), Ok(claims));
            assert_eq!(
                serde_json::from_slice::<Value>(data).ok().as_ref(),
                Some(&Value::Object(claims.clone()))
            );
        }
        let other = Expectation { typ: "JWT", ..EXPECTED };
        assert_eq!(verify(&token, &[public], &other), Err(JwtError::WrongType));
        let forged = flipped(token.as_bytes(), data.last().copied().unwrap_or_default());
        if let Ok(forged) = std::str::from_utf8(&forged) {
            assert!(verify(forged, &[public], &EXPECTED).is_err(), "a changed token verifies");
        }
    }
}

/// The rules once more, in other words: over the value that an ordinary JSON reader sees.
fn expected(payload: &[u8]) -> bool {
    let Ok(claims) = serde_json::from_slice::<Value>(payload) else { return false };
    let audience = match &claims["aud"] {
        Value::String(one) => one == "api",
        Value::Array(many) => many.iter().all(Value::is_string) && many.contains(&"api".into()),
        _ => false,
    };
    let started = |name: &str| claims.get(name).is_none_or(|at| at.as_i64().is_some_and(|at| at <= NOW + 30));
    let names = claims.as_object().map_or(0, serde_json::Map::len);
    claims["iss"] == "https://auth.test"
        && audience
        && claims["exp"].as_i64().is_some_and(|exp| exp > NOW - 30)
        && started("nbf")
        && started("iat")
        && names == names_written(payload)
}

/// How many names stand at the top of an object, repetitions counted. The text is known to be one JSON value.
fn names_written(json: &[u8]) -> usize {
    let (mut depth, mut count, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (quoted, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, b':') if depth == 1 => count += 1,
            _ => {}
        }
    }
    count
}

/// A key that is read is written back as the same key, has one algorithm, and verifies nothing that is not signed.
pub fn jwk(data: &[u8]) {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Hs256] {
        if let Ok(key) = SigningKey::from_pkcs8(algorithm, "kid", data) {
            let bytes = key.to_pkcs8().expect("a key that was read is written");
            let again = SigningKey::from_pkcs8(algorithm, "kid", &bytes).expect("and read again");
            assert_eq!(again.verifying_key().to_jwk(), key.verifying_key().to_jwk());
        }
    }
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return };
    let Ok(key) = VerifyingKey::from_jwk(&json) else { return };
    let written = key.to_jwk().expect("a public key has a JWK");
    let again = VerifyingKey::from_jwk(&written).expect("what was written is read");
    assert_eq!((again.kid(), again.algorithm()), (key.kid(), key.algorithm()));
    assert_eq!(again.to_jwk().as_ref(), Some(&written));
    assert_ne!(key.algorithm(), Algorithm::Hs256, "a public key as a shared secret");
    for (name, value) in written.as_object().into_iter().flatten() {
        assert!(json.get(name).is_none_or(|given| given == value), "{name} was changed");
    }
    if json.get("kid").is_none_or(|kid| kid.as_str().is_none()) {
        assert_eq!(Some(key.kid()), thumbprint(&written).as_deref());
    }
    let header = serde_json::json!({ "alg": key.algorithm().name(), "kid": key.kid(), "typ": "at+jwt" });
    let header = BASE64URL_NOPAD.encode(header.to_string().as_bytes());
    let forged = format!("{header}.e30.{}", BASE64URL_NOPAD.encode(&[0; 64]));
    assert_eq!(verify(&forged, &[&key], &EXPECTED), Err(JwtError::BadSignature));
}
