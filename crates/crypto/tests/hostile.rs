//! Near misses: what an attacker makes of something genuine by changing a little, and keys that were never made.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use data_encoding::BASE64URL_NOPAD;
use hallpass_crypto::jwk::thumbprint;
use hallpass_crypto::jwt::{Algorithm, Expectation, SigningKey, VerifyingKey, verify};
use hallpass_crypto::password::{Memory, Params, hash, verify as verify_password};
use hallpass_crypto::ring::{KeyRing, Keys, Purpose};
use hallpass_crypto::seal::Sealer;
use hallpass_crypto::secret::{Kind, Opaque, RefreshToken};
use hallpass_crypto::{code, csrf, ticket};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::sync::LazyLock;

static RING: LazyLock<KeyRing> = LazyLock::new(|| KeyRing::new(&[7; 32], &[&[8; 32]]).unwrap());
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::EdDsa, "").unwrap());

const EXPECTED: Expectation<'_> = Expectation {
    typ: "at+jwt",
    issuer: "https://auth.test",
    audience: "api",
    now: 1_800_000_000,
    leeway: 30,
};

fn keys(purpose: Purpose) -> Keys {
    RING.derive(purpose)
}

/// One character replaced, taken out or put in. `None` when that changes nothing.
fn near(text: &str, at: Index, with: char, how: u8) -> Option<String> {
    let mut letters: Vec<char> = text.chars().collect();
    let at = at.index(letters.len());
    match how % 3 {
        0 => letters[at] = with,
        1 => drop(letters.remove(at)),
        _ => letters.insert(at, with),
    }
    let changed: String = letters.into_iter().collect();
    (changed != text).then_some(changed)
}

fn any_letter() -> impl Strategy<Value = char> {
    prop_oneof![proptest::char::range('!', '~'), any::<char>()]
}

proptest! {
    #[test]
    fn a_refresh_token_with_one_letter_changed_is_none(
        generation: u32, at: Index, with in any_letter(), how: u8
    ) {
        let keys = keys(Purpose::RefreshMac);
        let token = RefreshToken::new([2; 16], generation, [3; 32]).expose(&keys);
        if let Some(changed) = near(&token, at, with, how) {
            prop_assert!(RefreshToken::parse(&changed, &keys).is_none(), "{changed}");
        }
    }

    #[test]
    fn a_link_token_with_one_letter_changed_is_none_or_another_secret(
        random in any::<[u8; 32]>(), at: Index, with in any_letter(), how: u8
    ) {
        let minted = Opaque::mint(Kind::ResetLink, random);
        if let Some(changed) = near(&minted.expose(), at, with, how)
            && let Some(other) = Opaque::parse(Kind::ResetLink, &changed)
        {
            prop_assert_ne!(other.digest(), minted.digest());
            prop_assert_eq!(other.expose(), changed);
        }
    }

    #[test]
    fn an_access_token_with_one_letter_changed_does_not_verify(at: Index, with in any_letter(), how: u8) {
        let claims = json!({ "iss": "https://auth.test", "aud": "api", "exp": 1_800_000_900 }).to_string();
        let token = KEY.sign("at+jwt", claims.as_bytes()).unwrap();
        prop_assert!(verify(&token, &[&KEY.verifying_key()], &EXPECTED).is_ok());
        if let Some(changed) = near(&token, at, with, how) {
            prop_assert!(verify(&changed, &[&KEY.verifying_key()], &EXPECTED).is_err(), "{changed}");
        }
    }

    #[test]
    fn a_csrf_token_with_one_letter_changed_does_not_verify(at: Index, with in any_letter(), how: u8) {
        let keys = keys(Purpose::Csrf);
        if let Some(changed) = near(&csrf::mint(&keys, "session", [5; 32]), at, with, how) {
            prop_assert!(!csrf::verify(&keys, "session", &changed), "{changed}");
        }
    }

    #[test]
    fn a_sealed_value_with_one_bit_changed_does_not_open(
        plain in proptest::collection::vec(any::<u8>(), 0..80), at: Index, bit in 0_u8..8
    ) {
        let sealer = Sealer::new(&RING);
        let mut sealed = sealer.seal(&plain, b"place", [5; 12]);
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(sealer.open(&sealed, b"place").is_err());
    }

    #[test]
    fn a_ticket_with_one_letter_changed_does_not_open(
        plain in proptest::collection::vec(any::<u8>(), 0..80), at: Index, with in any_letter(), how: u8
    ) {
        let keys = keys(Purpose::Passkey);
        if let Some(changed) = near(&ticket::seal(&keys, &plain, b"place", [5; 32]), at, with, how) {
            prop_assert!(ticket::open(&keys, &changed, b"place").is_none(), "{changed}");
        }
    }

    #[test]
    fn a_stored_hash_with_one_letter_changed_does_not_verify(at: Index, with in any_letter(), how: u8) {
        let tiny = Params { memory_kib: 8, passes: 1, lanes: 1 };
        let mut memory = Memory::for_params(&tiny);
        let stored = hash("correct horse", &tiny, None, [7; 16], &mut memory).unwrap();
        let costs = stored.find("$v=19").unwrap()..stored.find("$Bw").unwrap();
        // Higher costs would be tried in earnest.
        if !costs.contains(&at.index(stored.len()))
            && let Some(changed) = near(&stored, at, with, how)
        {
            prop_assert_ne!(verify_password("correct horse", &changed, None, &mut memory), Ok(true), "{}", changed);
        }
    }

    #[test]
    fn a_code_is_what_was_typed_in_the_order_it_was_typed(typed in "[0-9 \\-a\u{2013}\u{a0}]{0,12}") {
        if let Some(digits) = code::normalise(&typed) {
            prop_assert_eq!(typed.chars().filter(char::is_ascii_digit).collect::<String>(), digits);
            prop_assert!(!typed.contains('a'));
        }
    }

    #[test]
    fn whatever_is_read_as_a_key_is_written_as_the_same_key(
        kty in prop_oneof!["OKP", "EC", "RSA", "oct", ".{0,4}"],
        crv in prop_oneof!["Ed25519", "P-256", ".{0,4}"],
        bytes in proptest::collection::vec(any::<u8>(), 0..70),
        second in proptest::collection::vec(any::<u8>(), 0..70),
        kid in proptest::option::of(".{0,10}")
    ) {
        let [x, y] = [&bytes, &second].map(|bytes| BASE64URL_NOPAD.encode(bytes));
        let mut jwk = json!({ "kty": kty, "crv": crv, "x": x, "y": y, "n": x, "e": "AQAB" });
        if let Some(kid) = kid {
            jwk["kid"] = Value::from(kid);
        }
        same_key(&jwk)?;
    }

    #[test]
    fn any_thirty_two_bytes_are_read_as_an_ed25519_key_or_refused(point in any::<[u8; 32]>()) {
        same_key(&json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64URL_NOPAD.encode(&point) }))?;
    }
}

/// If it is a key, it is written as what it was read from, and its id is its own or its thumbprint.
fn same_key(jwk: &Value) -> Result<(), TestCaseError> {
    let Ok(key) = VerifyingKey::from_jwk(jwk) else { return Ok(()) };
    let written = key.to_jwk().unwrap();
    for name in ["kty", "crv", "x", "y", "n", "e", "kid"] {
        let changed =
            written.get(name).is_some_and(|value| jwk.get(name).is_some_and(|given| given != value));
        prop_assert!(!changed, "{name} of {jwk} became {written}");
    }
    if jwk.get("kid").is_none() {
        let own = thumbprint(jwk);
        prop_assert_eq!(Some(key.kid()), own.as_deref());
    }
    let again = VerifyingKey::from_jwk(&written).unwrap();
    prop_assert_eq!(again.to_jwk(), Some(written));
    Ok(())
}
