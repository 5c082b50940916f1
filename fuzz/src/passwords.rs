//! Stored password hashes: they come with imports, so they are outside bytes too.
use crate::{line, text};
use hallpass_crypto::password::legacy::read_legacy;
use hallpass_crypto::password::{
    Memory, Params, PasswordError, check_form, hash, needs_new_pepper, needs_rehash, verify,
};

/// As little as Argon2 takes.
const TINY: Params = Params { memory_kib: 8, passes: 1, lanes: 1 };

/// A stored text never verifies a password that it was not made of, and never asks for more work than is bounded; what needs
/// no new hash has exactly the form in which we write.
///
/// The input is a stored hash and, behind the first line, a password.
pub fn password_hash(data: &[u8]) {
    let (stored, password) = line(data);
    let (stored, password) = (text(stored), text(password));
    let mut memory = Memory::for_params(&TINY);
    for pepper in [None, Some(&b"pepper"[..])] {
        if !needs_rehash(stored, &TINY) && !needs_new_pepper(stored, pepper) {
            let rest = stored.strip_prefix("$argon2id$v=19$m=8,t=1,p=1").expect("our form");
            assert_eq!(rest.starts_with(",keyid="), pepper.is_some());
        }
    }
    // What an import takes is what a sign-in can judge.
    let _ = read_legacy(stored, None);
    if cheap(stored) {
        // The hashes in the corpus are of other passwords.
        assert_ne!(verify("no hash is of this one", stored, None, &mut memory), Ok(true));
        assert_ne!(verify("no hash is of this one", stored, Some(b"pepper"), &mut memory), Ok(true));
    }
    let Ok(ours) = hash(password, &TINY, Some(b"pepper"), [7; 16], &mut memory) else { return };
    assert!(!needs_rehash(&ours, &TINY) && !needs_new_pepper(&ours, Some(b"pepper")));
    assert_eq!(verify(password, &ours, Some(b"pepper"), &mut memory), Ok(true));
    assert_eq!(verify(&format!("{password}x"), &ours, Some(b"pepper"), &mut memory), Ok(false));
    assert!(verify(password, &ours, None, &mut memory).is_err(), "a hash forgot its pepper");
}

/// Whether trying takes no longer than the fuzzer has patience for. What is costlier and out of bounds is refused without
/// work, so it is tried as well.
fn cheap(stored: &str) -> bool {
    if let Some(bcrypt) = stored.strip_prefix("$sha256-in-bcrypt$").or_else(|| stored.strip_prefix("$2").and(stored.get(1..))) {
        return bcrypt
            .get(3..5)
            .and_then(|cost| cost.parse().ok())
            .is_none_or(|cost: u32| !(5..=16).contains(&cost));
    }
    if stored.starts_with("$scrypt$") || stored.starts_with("$firebase-scrypt$") || stored.starts_with("$pbkdf2-") {
        return check_form(stored, None).is_err_and(|error| error != PasswordError::TooWeak);
    }
    let costs = stored.split('$').find(|field| field.starts_with("m=")).unwrap_or_default();
    let mut numbers =
        costs.split(',').map(|cost| cost.get(2..).and_then(|number| number.parse::<u64>().ok()));
    let (memory, passes) = (numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0));
    let bounded = memory <= 1024 * 1024 && passes <= 64 && memory * passes <= 4 * 1024 * 1024;
    !bounded || memory * passes <= 256
}
