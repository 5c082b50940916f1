//! Tokens go both ways between this crate and `jsonwebtoken`, an independent JOSE implementation.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use data_encoding::BASE64;
use hallpass_crypto::jwt::{Algorithm, Expectation, SigningKey, verify};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const ALL: [Algorithm; 4] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Hs256];

fn theirs(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    algorithm.name().parse().unwrap()
}

fn claims() -> Value {
    // Their clock is the system's, so the end lies far ahead.
    json!({ "iss": "https://auth.test", "aud": ["api"], "sub": "u", "iat": NOW, "exp": 32_503_680_000i64 })
}

fn pem(key: &SigningKey) -> Vec<u8> {
    let body = BASE64.encode(&key.to_pkcs8().unwrap());
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")).into_bytes()
}

fn decoding(key: &SigningKey) -> DecodingKey {
    match key.verifying_key().to_jwk() {
        Some(jwk) => DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap(),
        None => DecodingKey::from_secret(&key.to_pkcs8().unwrap()),
    }
}

fn encoding(key: &SigningKey) -> EncodingKey {
    match key.algorithm() {
        Algorithm::EdDsa => EncodingKey::from_ed_der(&key.to_pkcs8().unwrap()),
        Algorithm::Es256 => EncodingKey::from_ec_der(&key.to_pkcs8().unwrap()),
        Algorithm::Rs256 => EncodingKey::from_rsa_pem(&pem(key)).unwrap(),
        Algorithm::Hs256 => EncodingKey::from_secret(&key.to_pkcs8().unwrap()),
    }
}

#[test]
fn they_accept_what_we_sign() {
    for algorithm in ALL {
        let key = SigningKey::generate(algorithm, "shared").unwrap();
        let token = key.sign("at+jwt", claims().to_string().as_bytes()).unwrap();
        let mut validation = Validation::new(theirs(algorithm));
        validation.set_issuer(&["https://auth.test"]);
        validation.set_audience(&["api"]);
        let read = decode::<Value>(&token, &decoding(&key), &validation).unwrap();
        assert_eq!(read.claims, claims());
        assert_eq!(read.header.kid.as_deref(), Some(key.kid()));
        assert_eq!(read.header.typ.as_deref(), Some("at+jwt"));
    }
}

#[test]
fn we_accept_what_they_sign() {
    let expected =
        Expectation { typ: "at+jwt", issuer: "https://auth.test", audience: "api", now: NOW, leeway: 0 };
    for algorithm in ALL {
        let key = SigningKey::generate(algorithm, "shared").unwrap();
        let mut header = Header::new(theirs(algorithm));
        header.typ = Some("at+jwt".into());
        header.kid = Some(key.kid().into());
        let token = encode(&header, &claims(), &encoding(&key)).unwrap();
        let read = verify(&token, &[&key.verifying_key()], &expected).unwrap();
        assert_eq!(Value::Object(read), claims());
    }
}

#[test]
fn our_thumbprint_is_their_thumbprint() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
        let key = SigningKey::generate(algorithm, "").unwrap();
        let jwk: jsonwebtoken::jwk::Jwk =
            serde_json::from_value(key.verifying_key().to_jwk().unwrap()).unwrap();
        assert_eq!(jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap(), key.kid());
    }
}
