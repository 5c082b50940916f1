//! Keys: stored, published, and refused.

use crate::tokens::{EXPECTED, KEYS, check, claims, key};
use hallpass_crypto::jwt::{Algorithm, JwtError, KeyError, SigningKey, VerifyingKey, verify};
use serde_json::{Value, json};

#[test]
fn a_key_survives_storage_and_publication() {
    for key in KEYS.iter() {
        let stored = SigningKey::from_pkcs8(key.algorithm(), key.kid(), &key.to_pkcs8().unwrap()).unwrap();
        let token = stored.sign("at+jwt", claims().to_string().as_bytes()).unwrap();
        assert_eq!(check(&token), Ok(()));
        match key.verifying_key().to_jwk() {
            None => assert_eq!(key.algorithm(), Algorithm::Hs256),
            Some(jwk) => {
                let public = VerifyingKey::from_jwk(&jwk).unwrap();
                assert_eq!((public.kid(), public.algorithm()), (key.kid(), key.algorithm()));
                assert!(verify(&token, &[&public], &EXPECTED).is_ok());
                assert!(["d", "p", "q", "k"].iter().all(|private| jwk.get(private).is_none()));
            }
        }
    }
}

#[test]
fn only_plain_types_and_objects_are_signed() {
    for typ in ["", "at\"jwt", "at\\jwt", "ät+jwt", "at jwt"] {
        assert_eq!(key().sign(typ, b"{}"), Err(JwtError::Malformed));
    }
    assert_eq!(key().sign("at+jwt", b"[]"), Err(JwtError::Malformed));
    assert_eq!(key().sign("at+jwt", b""), Err(JwtError::Malformed));
}

#[test]
fn weak_broken_and_foreign_keys_are_refused() {
    assert_eq!(SigningKey::from_pkcs8(Algorithm::Hs256, "a", &[1; 31]).unwrap_err(), KeyError::TooWeak);
    for kid in ["", "a\"b", "a\\b", "a b", "ä", &"a".repeat(129)] {
        assert_eq!(SigningKey::from_pkcs8(Algorithm::Hs256, kid, &[1; 32]).unwrap_err(), KeyError::BadKeyId);
    }
    let ed25519 = KEYS[0].to_pkcs8().unwrap();
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        assert_eq!(SigningKey::from_pkcs8(algorithm, "a", &ed25519).unwrap_err(), KeyError::Rejected);
    }
    let jwk = |key: &SigningKey, name: &str, value: Value| {
        let mut jwk = key.verifying_key().to_jwk().unwrap();
        jwk[name] = value;
        VerifyingKey::from_jwk(&jwk).map(drop)
    };
    assert_eq!(jwk(&KEYS[0], "crv", json!("X25519")), Err(KeyError::Unsupported));
    assert_eq!(jwk(&KEYS[0], "x", json!("AAAA")), Err(KeyError::Rejected));
    assert_eq!(jwk(&KEYS[0], "alg", json!("HS256")), Err(KeyError::Unsupported));
    assert_eq!(jwk(&KEYS[0], "use", json!("enc")), Err(KeyError::Unsupported));
    assert_eq!(jwk(&KEYS[1], "y", json!("A".repeat(43))), Err(KeyError::Rejected));
    assert_eq!(jwk(&KEYS[2], "e", json!("Aw")), Err(KeyError::TooWeak));
    assert_eq!(jwk(&KEYS[2], "n", Value::Null), Err(KeyError::Rejected));
    assert_eq!(
        VerifyingKey::from_jwk(&json!({ "kty": "oct", "k": "AAAA" })).unwrap_err(),
        KeyError::Unsupported
    );
    assert_eq!(VerifyingKey::from_jwk(&Value::Null).unwrap_err(), KeyError::Unsupported);
}

#[test]
fn algorithms_are_written_by_their_jose_names() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Hs256] {
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.name());
    }
    assert!(serde_json::from_value::<Algorithm>(json!("none")).is_err());
}

#[test]
fn debug_shows_ids_and_no_keys() {
    assert_eq!(format!("{:?}", KEYS[3]), "SigningKey { kid: \"shared-1\", .. }");
    let public = format!("{:?}", KEYS[3].verifying_key());
    assert_eq!(public, "VerifyingKey { kid: \"shared-1\", algorithm: Hs256, .. }");
}

#[test]
fn keys_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<SigningKey>();
    shared::<VerifyingKey>();
}
