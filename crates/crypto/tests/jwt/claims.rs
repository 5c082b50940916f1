//! Claims: which genuine tokens are for us, and for now.

use crate::tokens::{EXPECTED, NOW, changed, check, claims, key, raw, signed};
use hallpass_crypto::jwt::{JwtError, verify_ignoring_expiry};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn the_issuer_is_compared_exactly() {
    for wrong in
        [json!("https://auth.test/"), json!("HTTPS://auth.test"), json!(["https://auth.test"]), json!("")]
    {
        assert_eq!(check(&signed(&changed("iss", wrong))), Err(JwtError::WrongIssuer));
    }
    assert_eq!(check(&signed(&changed("iss", Value::Null))), Err(JwtError::MissingClaim("iss")));
}

#[test]
fn the_audience_is_me_or_contains_me() {
    assert_eq!(check(&signed(&changed("aud", json!(["web", "api"])))), Ok(()));
    for wrong in
        [json!("API"), json!("api2"), json!([]), json!(["web"]), json!(["api", 1]), json!({ "api": 1 })]
    {
        assert_eq!(check(&signed(&changed("aud", wrong))), Err(JwtError::WrongAudience));
    }
    assert_eq!(check(&signed(&changed("aud", Value::Null))), Err(JwtError::MissingClaim("aud")));
}

#[test]
fn a_token_ends_with_its_last_second_and_the_leeway() {
    assert_eq!(check(&signed(&changed("exp", json!(NOW - 29)))), Ok(()));
    assert_eq!(check(&signed(&changed("exp", json!(NOW - 30)))), Err(JwtError::Expired));
    assert_eq!(check(&signed(&changed("exp", json!(i64::MIN)))), Err(JwtError::Expired));
    assert_eq!(check(&signed(&changed("exp", Value::Null))), Err(JwtError::MissingClaim("exp")));
}

#[test]
fn a_token_from_the_future_is_refused() {
    for name in ["nbf", "iat"] {
        assert_eq!(check(&signed(&changed(name, json!(NOW + 30)))), Ok(()));
        assert_eq!(check(&signed(&changed(name, json!(NOW + 31)))), Err(JwtError::NotYetValid));
        assert_eq!(check(&signed(&changed(name, Value::Null))), Ok(()));
    }
}

#[test]
fn times_are_whole_numbers() {
    for name in ["exp", "nbf", "iat"] {
        for wrong in
            ["\"1800000900\"", "1800000900.5", "1e400", "1e10", "99999999999999999999", "true", "[]", "null"]
        {
            let body = changed(name, json!("HERE")).to_string().replace("\"HERE\"", wrong);
            let token = raw(r#"{"alg":"HS256","kid":"shared-1","typ":"at+jwt"}"#, &body);
            assert_eq!(check(&token), Err(JwtError::Malformed), "{name} {wrong}");
        }
    }
}

#[test]
fn sign_out_accepts_an_expired_token_and_nothing_else_more() {
    let public = key().verifying_key();
    let lenient = |claims: Value| verify_ignoring_expiry(&signed(&claims), &[&public], &EXPECTED).map(drop);
    assert_eq!(lenient(changed("exp", json!(1))), Ok(()));
    assert_eq!(lenient(changed("exp", Value::Null)), Err(JwtError::MissingClaim("exp")));
    assert_eq!(lenient(changed("iss", json!("x"))), Err(JwtError::WrongIssuer));
    assert_eq!(lenient(changed("aud", json!("x"))), Err(JwtError::WrongAudience));
    assert_eq!(lenient(changed("iat", json!(NOW + 31))), Err(JwtError::NotYetValid));
    let token = signed(&claims());
    let forged = format!("{}.AAAA", token.rsplit_once('.').unwrap().0);
    assert_eq!(verify_ignoring_expiry(&forged, &[&public], &EXPECTED), Err(JwtError::BadSignature));
}

proptest! {
    #[test]
    fn arbitrary_text_is_never_accepted_and_never_panics(
        text in ".{0,200}", parts in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}"
    ) {
        prop_assert!(check(&text).is_err());
        prop_assert!(check(&parts).is_err());
    }

    #[test]
    fn arbitrary_json_in_a_signed_token_never_panics(
        header in ".{0,60}", payload in ".{0,60}", bytes in "[\\[\\]{}\":,0-9a-z]{0,60}"
    ) {
        let good = r#"{"alg":"HS256","kid":"shared-1","typ":"at+jwt"}"#;
        for token in [raw(&header, &payload), raw(&bytes, &payload), raw(good, &payload), raw(good, &bytes)] {
            prop_assert!(check(&token).is_err());
        }
    }
}
