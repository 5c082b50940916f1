//! Password hashes: form, known answers, imported kinds, bounds.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use hallpass_crypto::password::{
    Memory, Params, PasswordError, dummy, hash, needs_new_pepper, needs_rehash, verify,
};
use proptest::prelude::*;

/// As little as Argon2 takes, so that the tests are quick.
const TINY: Params = Params { memory_kib: 8, passes: 1, lanes: 1 };

fn make(password: &str, pepper: Option<&[u8]>) -> String {
    hash(password, &TINY, pepper, [7; 16], &mut Memory::new()).unwrap()
}

fn check(password: &str, stored: &str) -> Result<bool, PasswordError> {
    verify(password, stored, None, &mut Memory::new())
}

#[test]
fn a_hash_is_a_phc_string_of_its_parameters() {
    let stored = make("correct horse", None);
    assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$"), "{stored}");
    assert_eq!(stored.rsplit('$').next().unwrap().len(), 43);
}

#[test]
fn the_right_password_verifies_and_others_do_not() {
    let stored = make("correct horse", None);
    assert_eq!(check("correct horse", &stored), Ok(true));
    for wrong in ["", "correct horse ", "Correct horse", "correct hors", "correct horse\0"] {
        assert_eq!(check(wrong, &stored), Ok(false), "{wrong:?}");
    }
}

#[test]
fn composed_and_decomposed_spelling_are_the_same_password() {
    let (composed, decomposed) = ("p\u{e5}ssw\u{f6}rd", "pa\u{30a}sswo\u{308}rd");
    assert_eq!(make(composed, None), make(decomposed, None));
    assert_eq!(check(decomposed, &make(composed, None)), Ok(true));
    // Compatibility forms stay apart: NFC, not NFKC.
    assert_eq!(check("\u{fb01}sh-password", &make("fish-password", None)), Ok(false));
}

#[test]
fn an_imported_hash_of_a_decomposed_password_verifies_as_received() {
    let decomposed = "pa\u{30a}ssword";
    let stored = bcrypt::hash_with_salt(decomposed, 4, [1; 16]).unwrap().to_string();
    assert_eq!(check(decomposed, &stored), Ok(true));
}

#[test]
fn reference_hashes_of_argon2_verify() {
    // From the test suite of the reference implementation, P-H-C/phc-winner-argon2, src/test.c.
    let v13 = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let two_lanes = "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc";
    let argon2i = "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8";
    let argon2i_v10 = "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY";
    for stored in [v13, two_lanes, argon2i, argon2i_v10] {
        assert_eq!(check("password", stored), Ok(true), "{stored}");
        assert_eq!(check("passwore", stored), Ok(false), "{stored}");
        assert!(needs_rehash(stored, &TINY));
    }
}

#[test]
fn bcrypt_hashes_of_every_supported_version_verify() {
    // John the Ripper and OpenBSD vectors.
    assert_eq!(check("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), Ok(true));
    assert_eq!(check("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"), Ok(true));
    let ours = bcrypt::hash_with_salt("correct horse", 4, [1; 16]).unwrap();
    for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
        let stored = ours.format_for_version(version);
        assert_eq!(check("correct horse", &stored), Ok(true));
        assert_eq!(check("correct hors", &stored), Ok(false));
        assert!(needs_rehash(&stored, &Params::DEFAULT));
    }
    let broken = ours.format_for_version(bcrypt::Version::TwoX);
    assert_eq!(check("correct horse", &broken), Err(PasswordError::Unsupported));
}

#[test]
fn bcrypt_takes_seventy_two_bytes_and_refuses_what_it_would_ignore() {
    let longest = "a".repeat(72);
    let stored = bcrypt::hash_with_salt(&longest, 4, [1; 16]).unwrap().to_string();
    assert_eq!(check(&longest, &stored), Ok(true));
    assert_eq!(check(&"a".repeat(73), &stored), Ok(false));
    assert_eq!(check(&format!("{longest}tail"), &stored), Ok(false));
}

#[test]
fn bcrypt_refuses_nul_which_would_repeat_the_key() {
    let stored = bcrypt::hash_with_salt("abc", 4, [1; 16]).unwrap().to_string();
    assert_eq!(check("abc", &stored), Ok(true));
    assert_eq!(check("abc\0abc", &stored), Ok(false));
}

#[test]
fn a_pepper_is_needed_and_named_but_not_shown() {
    let stored = make("correct horse", Some(b"pepper one"));
    let with = |pepper: Option<&[u8]>| verify("correct horse", &stored, pepper, &mut Memory::new());
    assert_eq!(with(Some(b"pepper one")), Ok(true));
    assert_eq!(with(Some(b"pepper two")), Err(PasswordError::UnknownPepper));
    assert_eq!(with(None), Err(PasswordError::UnknownPepper));
    assert!(stored.contains(",keyid=") && !stored.contains("pepper"));
    assert_ne!(stored.rsplit('$').next(), make("correct horse", None).rsplit('$').next());
}

#[test]
fn a_hash_from_before_the_pepper_verifies_and_asks_for_it() {
    let old = make("correct horse", None);
    assert_eq!(verify("correct horse", &old, Some(b"pepper"), &mut Memory::new()), Ok(true));
    assert!(needs_new_pepper(&old, Some(b"pepper")));
    assert!(!needs_new_pepper(&old, None));
    let new = make("correct horse", Some(b"pepper"));
    assert!(!needs_new_pepper(&new, Some(b"pepper")));
    assert!(needs_new_pepper(&new, Some(b"other")) && needs_new_pepper(&new, None));
    assert!(needs_new_pepper("garbage", None));
}

#[test]
fn a_hash_is_redone_only_when_it_differs_from_the_parameters() {
    let stored = make("x", None);
    assert!(!needs_rehash(&stored, &TINY));
    assert!(needs_rehash(&stored, &Params::DEFAULT));
    assert!(needs_rehash(&stored.replace("argon2id", "argon2i"), &TINY));
    assert!(needs_rehash(&stored.replace("v=19", "v=16"), &TINY));
    assert!(needs_rehash("", &TINY));
}

#[test]
fn the_dummy_has_the_cost_of_a_real_hash_and_no_password() {
    let stored = dummy(&TINY);
    assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    assert!(!needs_rehash(&stored, &TINY));
    assert_eq!(stored.len(), make("x", None).len());
    for password in ["", "password", "no such password"] {
        assert_eq!(check(password, &stored), Ok(false));
    }
}

#[test]
fn the_floor_is_owasps_list() {
    assert!(Params::DEFAULT.is_at_least_floor() && Params::STRONG.is_at_least_floor());
    let with = |memory_kib, passes| Params { memory_kib, passes, lanes: 1 };
    for (memory, passes) in [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)] {
        assert!(with(memory, passes).is_at_least_floor());
        assert!(!with(memory - 1, passes).is_at_least_floor());
        assert!(!with(memory, passes - 1).is_at_least_floor());
    }
    assert!(with(65_536, 1).is_at_least_floor());
    assert!(!Params { lanes: 0, ..Params::DEFAULT }.is_at_least_floor());
}

#[test]
fn absurd_costs_in_a_stored_hash_are_refused_without_running() {
    let with = |costs: &str| check("x", &make("x", None).replace("m=8,t=1,p=1", costs));
    for costs in [
        "m=1048577,t=1,p=1",
        "m=8,t=65,p=1",
        "m=8192,t=1,p=65",
        "m=1048576,t=5,p=1",
        "m=7,t=1,p=1",
        "m=8,t=1,p=2",
    ] {
        assert_eq!(with(costs), Err(PasswordError::BadParams), "{costs}");
    }
    for costs in [
        "m=99999999999,t=1,p=1",
        "m=08,t=1,p=1",
        "m=+8,t=1,p=1",
        "t=1,m=8,p=1",
        "m=8,t=1",
        "m=8,t=0,p=1",
        "m=,t=1,p=1",
    ] {
        assert_eq!(with(costs), Err(PasswordError::Malformed), "{costs}");
    }
    assert_eq!(with("m=8,t=1,p=1,data=AAAA"), Err(PasswordError::Unsupported));
    let absurd = bcrypt::hash_with_salt("x", 4, [1; 16]).unwrap().to_string().replacen("$04$", "$31$", 1);
    assert_eq!(check("x", &absurd), Err(PasswordError::BadParams));
}

#[test]
fn unreadable_hashes_are_errors_and_not_wrong_passwords() {
    for (stored, error) in [
        ("", PasswordError::Malformed),
        ("plain", PasswordError::Malformed),
        (
            "$argon2x$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$BwcHBwcHBwcHBwcHBwcHBw",
            PasswordError::Unsupported,
        ),
        (
            "$argon2id$v=20$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$BwcHBwcHBwcHBwcHBwcHBw",
            PasswordError::Unsupported,
        ),
        ("$argon2id$v=19$m=8,t=1,p=1$BwcH$BwcHBwcHBwcHBwcHBwcHBw", PasswordError::Malformed),
        ("$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$", PasswordError::Malformed),
        (
            "$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$BwcHBwcHBwcHBwcHBwcHBw$",
            PasswordError::Malformed,
        ),
        ("$5$rounds=5000$salt$hash", PasswordError::Unsupported),
        ("$2b$04$short", PasswordError::Malformed),
    ] {
        assert_eq!(check("x", stored), Err(error), "{stored}");
    }
}

#[test]
fn an_endless_password_is_refused_when_set_and_wrong_when_tried() {
    let endless = "a".repeat(4097);
    assert_eq!(hash(&endless, &TINY, None, [7; 16], &mut Memory::new()), Err(PasswordError::TooLong));
    assert_eq!(check(&endless, &make("", None)), Ok(false));
    assert_eq!(check(&"a".repeat(4096), &make(&"a".repeat(4096), None)), Ok(true));
}

#[test]
fn memory_is_reused_and_an_outlier_does_not_enlarge_it() {
    let mut memory = Memory::for_params(&TINY);
    assert_eq!(format!("{memory:?}"), "Memory { kib: 0, .. }");
    let first = hash("x", &TINY, None, [7; 16], &mut memory).unwrap();
    let large = Params { memory_kib: 64, ..TINY };
    let second = hash("x", &large, None, [7; 16], &mut memory).unwrap();
    assert_eq!(format!("{memory:?}"), "Memory { kib: 8, .. }");
    assert_eq!(verify("x", &first, None, &mut memory), Ok(true));
    assert_eq!(verify("x", &second, None, &mut memory), Ok(true));
    assert_eq!(hash("x", &TINY, None, [7; 16], &mut memory).unwrap(), first);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_password_verifies_against_its_own_hash(password in ".{0,60}") {
        prop_assert_eq!(check(&password, &make(&password, None)), Ok(true));
    }

    #[test]
    fn an_arbitrary_stored_hash_never_verifies_and_never_panics(
        stored in ".{0,100}", costs in "[mtp=,0-9]{0,20}", tail in "[A-Za-z0-9+/$]{0,80}"
    ) {
        for text in [stored, format!("$argon2id$v=19${costs}${tail}"), format!("$2b$04${tail}")] {
            prop_assert_ne!(check("password", &text), Ok(true));
            needs_rehash(&text, &TINY);
        }
    }
}
