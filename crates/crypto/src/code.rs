//! Six-digit codes for mail and for typing (NIST SP 800-63B section 3.1.3.2, ASVS 6.5).
//!
//! A code has 20 bits, so it is never stored or compared as a plain hash: only under a server key, with the
//! purpose and the flow it belongs to. The number of tries is the caller's to limit.

use crate::ring::Keys;

const LIMIT: u128 = 1_000_000;

/// Digits of a code.
pub const DIGITS: usize = 6;

/// A code from 16 fresh random bytes: six decimal digits, leading zeros kept.
///
/// The reduction of a 128-bit number prefers no code by more than 2^-108, so no byte is ever rejected and the
/// function always returns.
pub fn six_digits(random: [u8; 16]) -> String {
    format!("{:06}", u128::from_be_bytes(random) % LIMIT)
}

/// What is stored of a code: HMAC-SHA-256 under the server's key over purpose, subject and code.
///
/// `subject` names the one flow or user that may use the code. `keys` are those of
/// [`crate::ring::Purpose::Code`].
pub fn mac(keys: &Keys, purpose: &str, subject: &str, code: &str) -> [u8; 32] {
    keys.mac(&message(purpose, subject, code))
}

/// Whether `stored` is [`mac`] of this code, under any key of the ring, in constant time.
pub fn verify(keys: &Keys, purpose: &str, subject: &str, code: &str, stored: &[u8; 32]) -> bool {
    keys.verify_mac(&message(purpose, subject, code), stored)
}

/// What a person typed, without spaces and dashes: six ASCII digits, or `None`.
pub fn normalise(typed: &str) -> Option<String> {
    let mut digits = String::with_capacity(DIGITS);
    for character in typed.chars() {
        match character {
            // Mail programs and phones also group digits with these.
            ' ' | '\t' | '\r' | '\n' | '-' | '\u{a0}' | '\u{2010}'..='\u{2015}' | '\u{202f}' => {}
            '0'..='9' if digits.len() < DIGITS => digits.push(character),
            _ => return None,
        }
    }
    (digits.len() == DIGITS).then_some(digits)
}

/// Lengths before values, so that no two triples make the same message.
fn message(purpose: &str, subject: &str, code: &str) -> Vec<u8> {
    format!("{}!{purpose}!{}!{subject}!{code}", purpose.len(), subject.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{KeyRing, Purpose};
    use proptest::prelude::*;

    fn keys(current: u8, previous: &[&[u8]]) -> Keys {
        KeyRing::new(&[current; 32], previous).unwrap().derive(Purpose::Code)
    }

    #[test]
    fn a_code_keeps_its_leading_zeros() {
        assert_eq!(six_digits([0; 16]), "000000");
        assert_eq!(six_digits(42u128.to_be_bytes()), "000042");
        assert_eq!(six_digits(1_999_999u128.to_be_bytes()), "999999");
    }

    #[test]
    fn a_code_counts_for_its_purpose_and_subject_only() {
        let stored = mac(&keys(1, &[]), "verify", "user", "123456");
        assert!(verify(&keys(1, &[]), "verify", "user", "123456", &stored));
        assert!(verify(&keys(2, &[&[1; 32]]), "verify", "user", "123456", &stored));
        assert!(!verify(&keys(2, &[]), "verify", "user", "123456", &stored));
        assert!(!verify(&keys(1, &[]), "verify", "user", "123457", &stored));
        assert!(!verify(&keys(1, &[]), "verify", "other", "123456", &stored));
        assert!(!verify(&keys(1, &[]), "sign-in", "user", "123456", &stored));
        assert_ne!(mac(&keys(1, &[]), "a", "b!1", "2"), mac(&keys(1, &[]), "a", "b", "1!2"));
    }

    #[test]
    fn what_people_type_is_read_as_they_mean_it() {
        for typed in ["123456", " 123 456 ", "123-456", "12 34-56\n", "123\u{a0}456", "123\u{2013}456"] {
            assert_eq!(normalise(typed).as_deref(), Some("123456"), "{typed:?}");
        }
        for typed in ["", "12345", "1234567", "12345a", "１２３４５６", "123.456", "+123456"] {
            assert_eq!(normalise(typed), None, "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn every_code_reads_back_as_itself(random in any::<[u8; 16]>()) {
            let code = six_digits(random);
            prop_assert_eq!(normalise(&code), Some(code));
        }

        #[test]
        fn arbitrary_text_gives_six_digits_or_nothing(text in ".{0,40}") {
            if let Some(code) = normalise(&text) {
                prop_assert!(code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit()));
            }
        }
    }
}
