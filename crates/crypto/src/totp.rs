//! Time-based one-time passwords (RFC 6238 over RFC 4226): SHA-1, six digits, steps of 30 seconds, which is what every
//! authenticator app understands.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use std::fmt::{self, Write};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a new secret (RFC 4226 section 4, R6: 160 bits are recommended).
pub const SECRET_BYTES: usize = 20;
/// Fewest bytes of a secret that was made elsewhere (RFC 4226 section 4, R6: 128 bits, though apps were given 80).
pub const MIN_SECRET_BYTES: usize = 10;
/// Most bytes of a secret: the block of the hash.
pub const MAX_SECRET_BYTES: usize = 64;
/// Length of a time step in seconds (RFC 6238 section 5.2).
pub const STEP_SECONDS: i64 = 30;

const MODULUS: u32 = 1_000_000;

/// The secret that server and app share.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new secret from fresh random bytes.
    pub fn new(random: [u8; SECRET_BYTES]) -> Self {
        Self(random.to_vec())
    }

    /// A secret that was stored or made elsewhere; `None` when it is too short or too long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// The bytes, to be sealed before they are stored.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret as people type it: base32 without padding (RFC 4648 section 6).
    pub fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(&self.0))
    }

    /// The `otpauth` URI that apps read from a QR code (the Key Uri Format of the Google Authenticator project). `issuer`
    /// names the service, `account` the user.
    pub fn uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
        let secret = self.base32();
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
            *secret
        ))
    }

    /// The code of a time step (RFC 4226 section 5.3).
    pub fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let bytes = tag.as_ref();
        let offset = usize::from(bytes.last().copied().unwrap_or(0) & 0x0f);
        let word = bytes.iter().skip(offset).take(4).fold(0, |word: u32, byte| word << 8 | u32::from(*byte));
        format!("{:06}", (word & 0x7fff_ffff) % MODULUS)
    }

    /// The time step whose code this is, if it is that of `now` (seconds since the epoch) or of one of the `earlier` steps
    /// before it, and later than `last_step`, whose code was taken already (RFC 6238 section 5.2).
    ///
    /// Every candidate is compared, in constant time, so that time does not tell which one was nearly right.
    pub fn verify(&self, code: &str, now: i64, earlier: u8, last_step: i64) -> Option<i64> {
        let present = now.div_euclid(STEP_SECONDS);
        let matching = |found: Option<i64>, back: i64| {
            let step = present.saturating_sub(back);
            let right = crate::digest::equal(self.code(step).as_bytes(), code.as_bytes());
            if right && step > last_step { Some(step) } else { found }
        };
        (0..=i64::from(earlier)).fold(None, matching)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("totp::Secret(redacted)")
    }
}

/// Everything but letters, digits and `-._~` as percent and two hexadecimal digits (RFC 3986 section 2.1).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of_the_rfc() -> Secret {
        Secret::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238_appendix_b() {
        let table = [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ];
        for (time, eight_digits) in table {
            assert_eq!(of_the_rfc().code(time / STEP_SECONDS), eight_digits[2..], "{time}");
        }
    }

    #[test]
    fn the_codes_are_those_of_rfc_4226_appendix_d() {
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871"];
        for (step, code) in (0..).zip(codes) {
            assert_eq!(of_the_rfc().code(step), code);
        }
    }

    #[test]
    fn a_code_serves_in_its_step_and_the_next_and_never_twice() {
        let secret = of_the_rfc();
        let code = secret.code(100);
        assert_eq!(secret.verify(&code, 100 * 30, 1, 0), Some(100));
        assert_eq!(secret.verify(&code, 100 * 30 + 29, 0, 0), Some(100));
        assert_eq!(secret.verify(&code, 101 * 30 + 29, 1, 0), Some(100));
        assert_eq!(secret.verify(&code, 101 * 30, 0, 0), None, "the strict rule knows the present step only");
        assert_eq!(secret.verify(&code, 102 * 30, 1, 0), None);
        assert_eq!(secret.verify(&code, 99 * 30 + 29, 1, 0), None, "a clock ahead is not believed");
        assert_eq!(secret.verify(&code, 100 * 30, 1, 100), None, "taken already");
        assert_eq!(secret.verify(&code, 100 * 30, 1, 101), None, "a later one was taken");
    }

    #[test]
    fn secrets_of_other_makers_are_taken_within_bounds() {
        assert!(Secret::from_bytes(&[1; 9]).is_none());
        assert!(Secret::from_bytes(&[1; 10]).is_some());
        assert!(Secret::from_bytes(&[1; 64]).is_some());
        assert!(Secret::from_bytes(&[1; 65]).is_none());
    }

    #[test]
    fn the_uri_names_issuer_and_account_and_nothing_breaks_out_of_it() {
        let uri = of_the_rfc().uri("Tom & Co", "ann+a?b@example.com");
        let expected = "otpauth://totp/Tom%20%26%20Co:ann%2Ba%3Fb%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
                        &issuer=Tom%20%26%20Co&algorithm=SHA1&digits=6&period=30";
        assert_eq!(*uri, expected);
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", of_the_rfc()), "totp::Secret(redacted)");
    }

    proptest! {
        #[test]
        fn of_all_codes_only_those_of_live_steps_are_taken(
            random in any::<[u8; SECRET_BYTES]>(), now in 0..4_000_000_000i64, typed in "[0-9]{6}"
        ) {
            let secret = Secret::new(random);
            let step = now / STEP_SECONDS;
            let live = [step, step - 1].into_iter().any(|step| secret.code(step) == typed);
            prop_assert_eq!(secret.verify(&typed, now, 1, -2).is_some(), live);
        }

        #[test]
        fn arbitrary_text_and_times_break_nothing(typed in ".{0,40}", now in any::<i64>(), last in any::<i64>()) {
            let _ = of_the_rfc().verify(&typed, now, 1, last);
        }
    }
}
