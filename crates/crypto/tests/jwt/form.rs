//! Form, header, key and signature: at which check a token that is not ours fails.

use crate::tokens::{EXPECTED, KEYS, changed, check, claims, key, raw, signed};
use data_encoding::BASE64URL_NOPAD;
use hallpass_crypto::jwt::{Algorithm, JwtError, SigningKey, verify, verify_with};
use serde_json::{Value, json};

#[test]
fn every_algorithm_signs_what_its_public_key_verifies() {
    for key in KEYS.iter() {
        let token = key.sign("at+jwt", claims().to_string().as_bytes()).unwrap();
        assert_eq!(check(&token), Ok(()), "{:?}", key.algorithm());
        let accepted = verify(&token, &[&key.verifying_key()], &EXPECTED).unwrap();
        assert_eq!(Value::Object(accepted), claims());
        let found = verify_with(
            &token,
            |kid| (kid == key.kid()).then(|| &*Box::leak(Box::new(key.verifying_key()))),
            &EXPECTED,
        );
        assert!(found.is_ok());
    }
}

#[test]
fn the_header_is_exactly_algorithm_key_and_type() {
    let token = signed(&claims());
    let header = BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    let expected = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"at+jwt"}}"#, key().kid());
    assert_eq!(String::from_utf8(header).unwrap(), expected);
}

#[test]
fn hs256_under_a_public_key_is_refused() {
    // The classic confusion: the attacker takes the public key's bytes as an HMAC secret.
    let public = KEYS[2].verifying_key();
    let n = public.to_jwk().unwrap()["n"].as_str().unwrap().to_owned();
    let confused = SigningKey::from_pkcs8(Algorithm::Hs256, public.kid(), n.as_bytes()).unwrap();
    let token = confused.sign("at+jwt", claims().to_string().as_bytes()).unwrap();
    assert_eq!(check(&token), Err(JwtError::WrongAlgorithm));
}

#[test]
fn a_key_is_never_used_with_another_algorithm_than_its_own() {
    for key in KEYS.iter() {
        for algorithm in
            ["EdDSA", "ES256", "RS256", "HS256"].into_iter().filter(|name| *name != key.algorithm().name())
        {
            let header = format!(r#"{{"alg":"{algorithm}","kid":"{}","typ":"at+jwt"}}"#, key.kid());
            assert_eq!(check(&raw(&header, &claims().to_string())), Err(JwtError::WrongAlgorithm));
        }
    }
}

#[test]
fn unknown_algorithms_and_none_are_refused_in_every_spelling() {
    for algorithm in [
        r#""none""#,
        r#""None""#,
        r#""NONE""#,
        r#""""#,
        r#""hs256""#,
        r#""HS512""#,
        r#""PS256""#,
        r#""Ed25519""#,
        "null",
        "1",
    ] {
        let header = format!(r#"{{"alg":{algorithm},"kid":"shared-1","typ":"at+jwt"}}"#);
        assert_eq!(check(&raw(&header, &claims().to_string())), Err(JwtError::WrongAlgorithm), "{algorithm}");
    }
    let unsigned = raw(r#"{"alg":"none","typ":"at+jwt"}"#, &claims().to_string());
    assert_eq!(check(&format!("{}.", unsigned.rsplit_once('.').unwrap().0)), Err(JwtError::WrongAlgorithm));
    assert_eq!(check(&raw(r#"{"kid":"shared-1","typ":"at+jwt"}"#, "{}")), Err(JwtError::WrongAlgorithm));
}

#[test]
fn an_empty_signature_is_refused() {
    let token = signed(&claims());
    assert_eq!(check(&format!("{}.", token.rsplit_once('.').unwrap().0)), Err(JwtError::BadSignature));
}

#[test]
fn a_token_of_another_kind_is_refused() {
    for typ in ["JWT", "logout+jwt", "AT+JWT", "application/at+jwt", "at+jwt "] {
        let header = format!(r#"{{"alg":"HS256","kid":"shared-1","typ":"{typ}"}}"#);
        assert_eq!(check(&raw(&header, &claims().to_string())), Err(JwtError::WrongType), "{typ}");
    }
    assert_eq!(check(&raw(r#"{"alg":"HS256","kid":"shared-1"}"#, "{}")), Err(JwtError::WrongType));
}

#[test]
fn critical_extensions_and_double_names_are_refused() {
    let body = claims().to_string();
    for header in [
        r#"{"alg":"HS256","kid":"shared-1","typ":"at+jwt","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","kid":"shared-1","typ":"at+jwt","crit":[]}"#,
        r#"{"alg":"none","alg":"HS256","kid":"shared-1","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","kid":"other","kid":"shared-1","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","kid":"shared-1","typ":"at+jwt"} x"#,
        r#"["alg","HS256"]"#,
        "",
    ] {
        assert_eq!(check(&raw(header, &body)), Err(JwtError::Malformed), "{header}");
    }
    let good = r#"{"alg":"HS256","kid":"shared-1","typ":"at+jwt"}"#;
    assert_eq!(check(&raw(good, &body)), Ok(()));
    let twice = body.replacen('{', r#"{"exp":1,"#, 1);
    assert_eq!(check(&raw(good, &twice)), Err(JwtError::Malformed));
    assert_eq!(check(&raw(good, "[]")), Err(JwtError::Malformed));
}

#[test]
fn keys_offered_by_the_token_are_ignored() {
    let offers = r#""jku":"https://evil.test","jwk":{"kty":"oct"},"x5c":[]"#;
    let header = &format!(r#"{{"alg":"HS256","kid":"shared-1","typ":"at+jwt",{offers}}}"#);
    assert_eq!(check(&raw(header, &claims().to_string())), Ok(()));
    let stranger = SigningKey::generate(Algorithm::EdDsa, "").unwrap();
    let jwk = stranger.verifying_key().to_jwk().unwrap();
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "jwk": jwk, "kid": stranger.kid() }).to_string();
    assert_eq!(check(&raw(&header, &claims().to_string())), Err(JwtError::UnknownKey));
}

#[test]
fn a_key_is_found_by_its_exact_id_only() {
    for kid in [r#""kid":"shared-2","#, r#""kid":"SHARED-1","#, r#""kid":"","#, r#""kid":["shared-1"],"#, ""]
    {
        let header = format!(r#"{{"alg":"HS256",{kid}"typ":"at+jwt"}}"#);
        assert_eq!(check(&raw(&header, &claims().to_string())), Err(JwtError::UnknownKey), "{kid}");
    }
}

#[test]
fn two_keys_of_one_id_verify_nothing() {
    let double = SigningKey::from_pkcs8(Algorithm::Hs256, key().kid(), &[1; 32]).unwrap().verifying_key();
    let public = key().verifying_key();
    let token = signed(&claims());
    assert!(verify(&token, &[&public], &EXPECTED).is_ok());
    assert_eq!(verify(&token, &[&public, &double], &EXPECTED), Err(JwtError::UnknownKey));
    assert_eq!(verify(&token, &[&double, &public], &EXPECTED), Err(JwtError::UnknownKey));
}

#[test]
fn anything_but_three_canonical_parts_is_malformed() {
    let token = signed(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    for wrong in [
        String::new(),
        "..".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}."),
        format!("{token}.{}", parts[2]),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{}.{} .{}", parts[0], parts[1], parts[2]),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{token}=="),
        token.replacen('.', "..", 1),
    ] {
        assert_eq!(check(&wrong), Err(JwtError::Malformed), "{wrong}");
    }
    // 64 bytes leave four unused bits in the last letter; setting them is another spelling of the same bytes.
    let last = token.chars().last().unwrap();
    let other = char::from_u32(last as u32 + 1).unwrap();
    assert_eq!(check(&format!("{}{other}", &token[..token.len() - 1])), Err(JwtError::Malformed));
}

#[test]
fn a_changed_payload_or_signature_is_noticed() {
    let token = signed(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let richer = BASE64URL_NOPAD.encode(changed("sub", json!("admin")).to_string().as_bytes());
    assert_eq!(check(&format!("{}.{richer}.{}", parts[0], parts[2])), Err(JwtError::BadSignature));
    let mut signature = BASE64URL_NOPAD.decode(parts[2].as_bytes()).unwrap();
    signature[0] ^= 1;
    let signature = BASE64URL_NOPAD.encode(&signature);
    assert_eq!(check(&format!("{}.{}.{signature}", parts[0], parts[1])), Err(JwtError::BadSignature));
}

#[test]
fn the_signature_is_checked_before_the_claims() {
    let token = signed(&changed("exp", json!(1)));
    let (message, _) = token.rsplit_once('.').unwrap();
    assert_eq!(check(&format!("{message}.AAAA")), Err(JwtError::BadSignature));
}

#[test]
fn a_huge_token_is_refused_before_it_is_read_and_is_never_made() {
    assert_eq!(check(&"a".repeat(8 * 1024 + 1)), Err(JwtError::Malformed));
    assert_eq!(check(&".".repeat(10_000_000)), Err(JwtError::Malformed));
    let big = changed("roles", json!("r".repeat(8000)));
    assert_eq!(key().sign("at+jwt", big.to_string().as_bytes()), Err(JwtError::Malformed));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(2500), "]".repeat(2500));
    assert_eq!(
        check(&raw(r#"{"alg":"HS256","kid":"shared-1","typ":"at+jwt"}"#, &deep)),
        Err(JwtError::Malformed)
    );
}
