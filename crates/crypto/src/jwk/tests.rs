use super::*;
use serde_json::json;

fn decode(text: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

/// RFC 8037 appendix A.1.
const ED25519_SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// RFC 7515 appendix A.1 and A.3.
const RFC_7515_PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl\
     LmNvbS9pc19yb290Ijp0cnVlfQ";

fn ed25519_pkcs8() -> Vec<u8> {
    // PKCS#8 version 1 head of an Ed25519 seed (RFC 8410 section 7).
    let head = data_encoding::HEXLOWER.decode(b"302e020100300506032b657004220420").unwrap();
    [head, decode(ED25519_SEED)].concat()
}

#[test]
fn ed25519_signs_as_in_rfc_8037() {
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, "", &ed25519_pkcs8()).unwrap();
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(BASE64URL_NOPAD.encode(&key.sign_bytes(message).unwrap()), signature);
    assert!(key.verifying_key().verify_bytes(message, &decode(signature)));
}

#[test]
fn the_thumbprint_of_ed25519_is_that_of_rfc_8037() {
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, "", &ed25519_pkcs8()).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(key.verifying_key().to_jwk().unwrap()["x"], ED25519_X);
}

#[test]
fn the_thumbprint_of_rsa_is_that_of_rfc_7638() {
    let jwk = json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_B\
              JECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_F\
              DW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4\
              vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29"
    });
    assert_eq!(thumbprint(&jwk).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    // The example has 2048 bits, which is below the floor.
    assert_eq!(VerifyingKey::from_jwk(&jwk).unwrap_err(), KeyError::TooWeak);
}

#[test]
fn hs256_signs_as_in_rfc_7515() {
    let secret =
        decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    let key = SigningKey::from_pkcs8(Algorithm::Hs256, "a", &secret).unwrap();
    let message = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{RFC_7515_PAYLOAD}");
    let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(BASE64URL_NOPAD.encode(&key.sign_bytes(message.as_bytes()).unwrap()), signature);
}

#[test]
fn es256_verifies_the_signature_of_rfc_7515() {
    let jwk = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    });
    let key = VerifyingKey::from_jwk(&jwk).unwrap();
    let message = format!("eyJhbGciOiJFUzI1NiJ9.{RFC_7515_PAYLOAD}");
    let signature =
        decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
    assert!(key.verify_bytes(message.as_bytes(), &signature));
    assert!(!key.verify_bytes(&message.as_bytes()[1..], &signature));
}

#[test]
fn ed25519_refuses_a_signature_with_a_reduced_scalar_added() {
    // S + L is the same scalar again; RFC 8032 section 5.1.7 wants it refused.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, "", &ed25519_pkcs8()).unwrap();
    let mut signature = key.sign_bytes(b"message").unwrap();
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(!key.verifying_key().verify_bytes(b"message", &signature));
}

#[test]
fn a_der_encoded_or_zero_ecdsa_signature_is_refused() {
    let key = SigningKey::generate(Algorithm::Es256, "").unwrap();
    assert!(!key.verifying_key().verify_bytes(b"message", &[0; 64]));
    assert!(!key.verifying_key().verify_bytes(b"message", &[]));
    let der = [vec![0x30, 0x44, 0x02, 0x20], vec![1; 32], vec![0x02, 0x20], vec![1; 32]].concat();
    assert!(!key.verifying_key().verify_bytes(b"message", &der));
}
