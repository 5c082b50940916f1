//! Signed double-submit tokens (OWASP CSRF cheat sheet, NIST SP 800-63B section 5.1, ASVS 3.5.1).
//!
//! `hex(HMAC(len(sid) ! sid ! len(r) ! r)) . r`: bound to one session, or to one flow before sign-in, and as
//! long-lived as that. No time stamp: a token that outlives its session verifies for nobody.

use crate::ring::Keys;
use data_encoding::HEXLOWER;

const MAC_DIGITS: usize = 64;
const RANDOM_DIGITS: usize = 64;

/// Makes a token for a session, from 32 fresh random bytes. `keys` are those of
/// [`crate::ring::Purpose::Csrf`].
pub fn mint(keys: &Keys, session: &str, random: [u8; 32]) -> String {
    let random = HEXLOWER.encode(&random);
    let mac = HEXLOWER.encode(&keys.mac(&message(session, &random)));
    format!("{mac}.{random}")
}

/// Whether `token` was made by [`mint`] for this session. Constant time once the shape is right.
pub fn verify(keys: &Keys, session: &str, token: &str) -> bool {
    if token.len() != MAC_DIGITS + 1 + RANDOM_DIGITS {
        return false;
    }
    let Some((mac, random)) = token.split_once('.') else {
        return false;
    };
    let Ok(tag) = HEXLOWER.decode(mac.as_bytes()) else {
        return false;
    };
    tag.len() * 2 == MAC_DIGITS && keys.verify_mac(&message(session, random), &tag)
}

/// Lengths before values, so that no two pairs of session and random part make the same message.
fn message(session: &str, random: &str) -> Vec<u8> {
    format!("{}!{session}!{}!{random}", session.len(), random.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hmac_sha256;
    use crate::ring::{KeyRing, Purpose};
    use proptest::prelude::*;

    fn keys(byte: u8) -> Keys {
        KeyRing::new(&[byte; 32], &[]).unwrap().derive(Purpose::Csrf)
    }

    #[test]
    fn a_token_has_the_documented_form() {
        let keys = keys(1);
        let random = "ab".repeat(32);
        let mac = hmac_sha256(&keys.current, format!("3!sid!64!{random}").as_bytes());
        assert_eq!(mint(&keys, "sid", [0xab; 32]), format!("{}.{random}", HEXLOWER.encode(&mac)));
    }

    #[test]
    fn a_token_verifies_for_its_session_and_key_only() {
        let token = mint(&keys(1), "session", [5; 32]);
        assert!(verify(&keys(1), "session", &token));
        assert!(!verify(&keys(1), "session2", &token));
        assert!(!verify(&keys(1), "", &token));
        assert!(!verify(&keys(2), "session", &token));
    }

    #[test]
    fn a_token_of_a_previous_secret_still_verifies() {
        let token = mint(&keys(1), "session", [5; 32]);
        let ring = KeyRing::new(&[2; 32], &[&[1; 32]]).unwrap();
        assert!(verify(&ring.derive(Purpose::Csrf), "session", &token));
    }

    #[test]
    fn a_changed_cut_or_upper_case_token_is_refused() {
        let token = mint(&keys(1), "session", [5; 32]);
        assert!(!verify(&keys(1), "session", &token[1..]));
        assert!(!verify(&keys(1), "session", &token.to_uppercase()));
        assert!(!verify(&keys(1), "session", &token.replace('.', "!")));
        assert!(!verify(&keys(1), "session", &format!("{}6", &token[..token.len() - 1])));
        assert!(!verify(&keys(1), "session", &format!("{}.{}", &token[..32], "0".repeat(96))));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_verifies_and_never_panics(text in ".{0,140}", tail in "[0-9a-f.]{129}") {
            prop_assert!(!verify(&keys(1), "session", &text));
            prop_assert!(!verify(&keys(1), "session", &tail));
        }
    }
}
