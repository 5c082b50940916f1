//! Hashes of other systems: examples that those systems published, and bounds.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

use data_encoding::{BASE64, HEXLOWER};
use hallpass_crypto::password::legacy::{
    Digest, Fast, FastHash, Firebase, Legacy, argon2_form, pbkdf2_form, read_legacy, wrap,
};
use hallpass_crypto::password::{
    Memory, Params, PasswordError, Prf, check_form, needs_new_pepper, needs_rehash, verify,
};
use proptest::prelude::*;

/// As little as a file may have, so that the tests are quick.
const TINY: Params = Params { memory_kib: 1024, passes: 1, lanes: 1 };

fn check(password: &str, stored: &str) -> Result<bool, PasswordError> {
    verify(password, stored, None, &mut Memory::new())
}

fn stored(text: &str) -> String {
    match read_legacy(text, None) {
        Ok(Legacy::Stored(form)) => form,
        other => panic!("{text}: {other:?}"),
    }
}

#[track_caller]
fn verifies(password: &str, form: &str) {
    assert_eq!(check_form(form, None), Ok(()), "{form}");
    assert_eq!(check(password, form), Ok(true), "{form}");
    assert_eq!(check(&format!("{password}x"), form), Ok(false), "{form}");
    assert_eq!(check("", form), Ok(false), "{form}");
    assert_eq!(check(&"a".repeat(5000), form), Ok(false), "{form}");
    assert!(needs_rehash(form, &TINY) && needs_new_pepper(form, None), "{form}");
    // What is stored can be exported and imported again.
    assert_eq!(stored(form), form);
}

/// The example of github.com/firebase/scrypt.
fn firebase() -> Firebase {
    let key = "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==";
    Firebase {
        signer_key: BASE64.decode(key.as_bytes()).unwrap().into(),
        salt_separator: BASE64.decode(b"Bw==").unwrap(),
        rounds: 8,
        mem_cost: 14,
    }
}

#[test]
fn firebases_own_example_verifies_without_the_signer_key_in_it() {
    let hash = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
    let hash = BASE64.decode(hash.as_bytes()).unwrap();
    let salt = BASE64.decode(b"42xEC+ixf3L2lw==").unwrap();
    let form = firebase().form(&hash, &salt).unwrap();
    verifies("user1password", &form);
    assert!(!form.contains("jxspr8Ki0RYycVU8"));
    assert_eq!(firebase().form(&hash[1..], &salt), Err(PasswordError::Malformed));
    let costly = Firebase { mem_cost: 30, ..firebase() };
    assert_eq!(costly.form(&hash, &salt), Err(PasswordError::BadParams));
}

#[test]
fn the_example_of_the_scrypt_rfc_verifies() {
    // RFC 7914 section 12, N = 16384, r = 8, p = 1, in the forms of passlib and of Werkzeug.
    let tag = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2\
               d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887";
    let werkzeug = format!("scrypt:16384:8:1$SodiumChloride${tag}");
    verifies("pleaseletmein", &stored(&werkzeug));
    let base64 = |bytes: &[u8]| data_encoding::BASE64_NOPAD.encode(bytes);
    let tag = base64(&HEXLOWER.decode(tag.as_bytes()).unwrap());
    let passlib = format!("$scrypt$ln=14,r=8,p=1${}${tag}", base64(b"SodiumChloride"));
    assert_eq!(stored(&werkzeug), passlib);
}

#[test]
fn django_hashes_verify() {
    // tests/auth_tests/test_hashers.py of Django 1.6, with a letter beyond ASCII.
    let hash = "pbkdf2_sha256$12000$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s=";
    verifies("l\u{e8}tmein", &stored(hash));
    let bcrypt = "bcrypt$$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    assert_eq!(check("U*U", &stored(bcrypt)), Ok(true));
    // src/test.c of the reference implementation.
    for argon2 in [
        "argon2$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "argon2$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
    ] {
        assert_eq!(check("password", &stored(argon2)), Ok(true), "{argon2}");
    }
}

#[test]
fn django_hashes_beyond_its_default_verify() {
    // RFC 7914 section 12 in Django's order.
    let tag = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2\
               d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887";
    let tag = BASE64.encode(&HEXLOWER.decode(tag.as_bytes()).unwrap());
    verifies("pleaseletmein", &stored(&format!("scrypt$16384$SodiumChloride$8$1${tag}")));
    // bcrypt of the hexadecimal digits of SHA-256, so that it sees a long password whole.
    for (password, digits) in [
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (&"a".repeat(100), "2816597888e4a0d3a36b82b83316ab32680eb8f00f8cd3b904d681246d285a0e"),
    ] {
        let bcrypt = bcrypt::hash_with_salt(digits, 4, [1; 16]).unwrap().to_string();
        let form = stored(&format!("bcrypt_sha256${bcrypt}"));
        verifies(password, &form);
        assert_eq!(check(digits, &form), Ok(false), "the digest is no password");
    }
    let costly = "bcrypt_sha256$$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    assert_eq!(read_legacy(costly, None), Err(PasswordError::BadParams));
}

#[test]
fn supabases_form_of_firebases_scrypt_verifies() {
    let form = |costs: &str| {
        let key = "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==";
        let hash = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
        format!("$fbscrypt${costs},ss=Bw==,sk={key}$42xEC+ixf3L2lw==${hash}")
    };
    let read = stored(&form("v=1,n=14,r=8,p=1"));
    verifies("user1password", &read);
    assert!(!read.contains("jxspr8Ki"), "the signer key is stored nowhere");
    assert_eq!(read_legacy(&form("v=2,n=14,r=8,p=1"), None), Err(PasswordError::Unsupported));
    assert_eq!(read_legacy(&form("v=1,n=14,r=8,p=2"), None), Err(PasswordError::Unsupported));
    assert_eq!(read_legacy(&form("v=1,n=300,r=8,p=1"), None), Err(PasswordError::BadParams));
    assert_eq!(read_legacy("$fbscrypt$v=1,n=14,r=8,p=1$AAAA$AAAA", None), Err(PasswordError::Malformed));
}

#[test]
fn pbkdf2_in_phc_strings_with_a_length_verifies() {
    // RFC 6070, 4096 iterations.
    let tag = HEXLOWER.decode(b"4b007901b765489abead49d926f721d065a429c1").unwrap();
    let tag = data_encoding::BASE64_NOPAD.encode(&tag);
    verifies("password", &stored(&format!("$pbkdf2-sha1$i=4096,l=20$c2FsdA${tag}")));
    for wrong in ["i=4096,l=21", "i=4096,l=", "i=,l=20", "l=20,i=4096"] {
        let form = format!("$pbkdf2-sha1${wrong}$c2FsdA${tag}");
        assert_eq!(read_legacy(&form, None), Err(PasswordError::Malformed), "{wrong}");
    }
}

#[test]
fn the_three_kinds_of_argon2_verify() {
    use argon2::Algorithm::{Argon2d, Argon2i, Argon2id};
    for algorithm in [Argon2d, Argon2i, Argon2id] {
        let params = argon2::Params::new(1024, 1, 1, Some(32)).unwrap();
        let mut tag = [0; 32];
        argon2::Argon2::new(algorithm, argon2::Version::V0x13, params)
            .hash_password_into(b"password", b"somesalt", &mut tag)
            .unwrap();
        let form = argon2_form(algorithm, TINY, b"somesalt", &tag).unwrap();
        assert!(form.starts_with(&format!("${algorithm}$")), "{form}");
        assert_eq!(check("password", &form), Ok(true), "{form}");
        assert_eq!(check("passwort", &form), Ok(false), "{form}");
        assert_eq!(stored(&form), form);
    }
}

#[test]
fn aspnet_identity_hashes_of_both_versions_verify() {
    // PasswordHasherTest of ASP.NET Identity.
    verifies("my password", &stored("AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggHIVY0sdEUfdyeM+E1LtH1uJg=="));
    verifies(
        "my password",
        &stored("AQAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw=="),
    );
}

#[test]
fn passlib_pbkdf2_verifies() {
    // RFC 6070, 4096 iterations, in passlib's form, whose alphabet has a dot for the plus sign.
    let tag = HEXLOWER.decode(b"4b007901b765489abead49d926f721d065a429c1").unwrap();
    let tag = data_encoding::BASE64_NOPAD.encode(&tag).replace('+', ".");
    verifies("password", &stored(&format!("$pbkdf2$4096$c2FsdA${tag}")));
}

#[test]
fn keycloak_parts_become_a_form() {
    let tag = HEXLOWER.decode(b"4b007901b765489abead49d926f721d065a429c1").unwrap();
    verifies("password", &pbkdf2_form(Prf::Sha1, 4096, b"salt", &tag).unwrap());
    let tag = HEXLOWER.decode(b"09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7").unwrap();
    let params = Params { memory_kib: 65536, passes: 2, lanes: 1 };
    // src/test.c of the reference implementation.
    let form = argon2_form(argon2::Algorithm::Argon2id, params, b"somesalt", &tag).unwrap();
    assert_eq!(check("password", &form), Ok(true));
    let huge = Params { memory_kib: 1 << 24, ..params };
    assert_eq!(
        argon2_form(argon2::Algorithm::Argon2id, huge, b"somesalt", &tag),
        Err(PasswordError::BadParams)
    );
}

fn wrapped(hash: FastHash, pepper: Option<&[u8]>) -> String {
    wrap(hash, &TINY, pepper, [7; 16], &mut Memory::new()).unwrap()
}

#[test]
fn quick_digests_are_stored_inside_argon2_only() {
    // FIPS 180-4 examples of "abc", in both cases.
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let sha512 = "DDAF35A193617ABACC417349AE20413112E6FA4E89A97EA20A9EEEE64B55D39A\
                  2192992A274FC1A836BA3C23A3FEEBBD454D4423643CE80E2A9AC94FA54CA49F";
    for hex in [sha256, sha512] {
        let Ok(Legacy::Fast(hash)) = read_legacy(hex, None) else { panic!("{hex}") };
        let form = wrapped(hash, None);
        verifies("abc", &form);
        assert!(!form.to_lowercase().contains(&hex.to_lowercase()[..16]));
        assert_eq!(check(hex, &form), Ok(false), "the digest is no password");
    }
}

#[test]
fn salted_digests_verify_with_the_salt_on_either_side() {
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (before, password, after) in [("a", "bc", ""), ("", "ab", "c"), ("a", "b", "c")] {
        let fast = Fast { digest: Digest::Sha256, before: before.into(), after: after.into() };
        let form = wrapped(FastHash::read(fast, sha256).unwrap(), Some(b"pepper"));
        let with = |pepper| verify(password, &form, pepper, &mut Memory::new());
        assert_eq!(with(Some(b"pepper".as_slice())), Ok(true), "{form}");
        assert_eq!(with(None), Err(PasswordError::UnknownPepper));
        assert_eq!(check_form(&form, None), Err(PasswordError::UnknownPepper));
        assert_eq!(check_form(&form, Some(b"pepper")), Ok(()));
    }
}

#[test]
fn what_would_take_minutes_or_gigabytes_is_refused() {
    let b = "AAAAAAAAAAAAAAAAAAAAAA";
    let long = data_encoding::BASE64_NOPAD.encode(&[0; 65]);
    for costly in [
        // What stands beside the memory of scrypt, p * r * 128 bytes, is hashed for each 32 bytes of the tag.
        format!("$scrypt$ln=1,r=4096,p=1000${b}${b}"),
        format!("$scrypt$ln=1,r=1,p=4194304${b}${b}"),
        format!("scrypt:2:4096:65$salt${}", "00".repeat(16)),
        format!("$scrypt$ln=14,r=8,p=1${b}${long}"),
        format!("$pbkdf2-sha512$i=1000${b}${long}"),
        format!("$argon2id$v=19$m=262145,t=1,p=1${b}${b}"),
        format!("$sha256-in-argon2id$before=,after=$argon2id$v=19$m=262145,t=1,p=1${b}${b}"),
        format!("$scrypt$ln=22,r=8,p=1${b}${b}"),
        format!("$scrypt$ln=14,r=4294967295,p=1${b}${b}"),
        format!("$scrypt$ln=14,r=8,p=1000000${b}${b}"),
        format!("$firebase-scrypt$ln=200,r=8,p=1${b}${b}"),
        format!("$pbkdf2-sha256$i=4000000000${b}${b}"),
        "pbkdf2_sha256$99999999$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s=".to_owned(),
        "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
        format!("$argon2id$v=19$m=4000000,t=2,p=1${b}${b}"),
        format!("$sha256-in-argon2id$before=,after=$argon2id$v=19$m=4000000,t=2,p=1${b}${b}"),
        "scrypt:1099511627776:8:1$salt$00112233445566778899aabbccddeeff".to_owned(),
    ] {
        let read = read_legacy(&costly, None);
        assert!(
            matches!(read, Err(PasswordError::BadParams | PasswordError::Malformed)),
            "{costly}: {read:?}"
        );
    }
}

#[test]
fn what_is_quick_to_guess_through_is_refused() {
    let b = "AAAAAAAAAAAAAAAAAAAAAA";
    let hex = "00".repeat(32);
    for (weak, enough) in [
        (format!("$pbkdf2-sha256$i=999${b}${b}"), format!("$pbkdf2-sha256$i=1000${b}${b}")),
        (format!("$pbkdf2-sha256$1${b}${b}"), format!("$pbkdf2-sha256$1000${b}${b}")),
        (format!("pbkdf2:sha512:999$salt${hex}"), format!("pbkdf2:sha512:1000$salt${hex}")),
        (
            "pbkdf2_sha256$1$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s=".to_owned(),
            "pbkdf2_sha256$1000$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s=".to_owned(),
        ),
        (format!("$scrypt$ln=9,r=8,p=1${b}${b}"), format!("$scrypt$ln=10,r=8,p=1${b}${b}")),
        (format!("scrypt:512:8:8$salt${hex}"), format!("scrypt:1024:8:8$salt${hex}")),
        (format!("$firebase-scrypt$ln=1,r=1,p=1${b}${b}"), format!("$firebase-scrypt$ln=14,r=8,p=1${b}${b}")),
        (format!("$argon2id$v=19$m=1023,t=64,p=1${b}${b}"), format!("$argon2id$v=19$m=1024,t=1,p=1${b}${b}")),
        (
            format!("argon2$argon2i$v=19$m=8,t=1,p=1${b}${b}"),
            format!("argon2$argon2i$v=19$m=1024,t=1,p=1${b}${b}"),
        ),
        (
            format!("$sha256-in-argon2id$before=,after=$argon2id$v=19$m=8,t=1,p=1${b}${b}"),
            format!("$sha256-in-argon2id$before=,after=$argon2id$v=19$m=1024,t=1,p=1${b}${b}"),
        ),
    ] {
        assert_eq!(read_legacy(&weak, None), Err(PasswordError::TooWeak), "{weak}");
        stored(&enough);
    }
    let weak = |form| assert_eq!(form, Err(PasswordError::TooWeak));
    weak(pbkdf2_form(Prf::Sha512, 999, b"salt", &[0; 64]));
    let params = Params { memory_kib: 8, passes: 1, lanes: 1 };
    weak(argon2_form(argon2::Algorithm::Argon2id, params, b"somesalt", &[0; 32]));
    weak(Firebase { mem_cost: 1, ..firebase() }.form(&[0; 64], b"salt"));
}

#[test]
fn what_could_not_be_read_again_is_not_stored() {
    let hex = "00".repeat(32);
    // N = 1 would be stored as a logarithm of zero; the block size makes up for the memory.
    for n in ["1", "0", "3"] {
        let form = format!("scrypt:{n}:65536:1$salt${hex}");
        assert_eq!(read_legacy(&form, None), Err(PasswordError::BadParams), "{n}");
    }
    let form = Firebase { mem_cost: 0, rounds: 65536, ..firebase() }.form(&[0; 64], b"salt");
    assert_eq!(form, Err(PasswordError::BadParams));
}

#[test]
fn what_is_no_hash_is_refused() {
    for text in [
        "",
        "password",
        "$",
        "$$",
        "$2b$",
        "$1$abc$def",
        "$6$rounds=5000$salt$hash",
        "$pbkdf2-sha256$",
        "$scrypt$$$",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
        "AQAAAA==",
        "AA==",
        "pbkdf2:md5:1$salt$00",
        "$sha256-in-argon2id$before=,after=",
        "$sha256-in-bcrypt$",
        "$sha256-in-bcrypt$2b$12$short",
        "$sha256-in-bcrypt$sha256-in-bcrypt$2b$12$short",
        "$fbscrypt$",
        "bcrypt_sha256$$2b$",
        "scrypt$16384$salt$8$1",
        "$sha1-in-argon2id$before=,after=$argon2id$",
        "$sha256-in-argon2id$before=,after=$sha256-in-argon2id$before=,after=$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAA",
    ] {
        assert!(read_legacy(text, None).is_err(), "{text}");
    }
    assert!(read_legacy(&"a".repeat(2000), None).is_err());
}

/// Hashes as files have them, most of them near a bound, and whether trying one is quick.
fn near_a_bound() -> impl Strategy<Value = (String, bool)> {
    let number = || prop_oneof![Just(1), 0..20_u32, 999..1002_u32, 1023..1026_u32, Just(8192), any::<u32>()];
    let vec = |length: std::ops::Range<usize>| prop::collection::vec(any::<u8>(), length);
    let bytes = move || prop_oneof![vec(0..20), vec(28..36), vec(60..70)];
    let base64 = |bytes: &[u8]| data_encoding::BASE64_NOPAD.encode(bytes);
    let kind = 0..9_u8;
    (kind, [number(), number(), number()], "[a-z,=.$]{0,9}", bytes(), bytes()).prop_map(
        move |(kind, [a, b, c], text, salt, tag)| {
            let (salt64, tag64, hex) = (base64(&salt), base64(&tag), HEXLOWER.encode(&tag));
            let work = |numbers: &[u32]| numbers.iter().fold(1_u64, |work, n| work.saturating_mul((*n).into()));
            let quick = match kind {
                0 => work(&[a, b, c]) <= 65536,
                1 | 2 => work(&[1 << (a % 16), b, c]) <= 65536,
                6 | 8 => work(&[a, b]) <= 20480,
                _ => a <= 5000,
            };
            let text = match kind {
                0 => format!("scrypt:{a}:{b}:{c}${text}${hex}"),
                1 => format!("$scrypt$ln={},r={b},p={c}${salt64}${tag64}", a % 16),
                2 => format!("$firebase-scrypt$ln={},r={b},p={c}${salt64}${tag64}", a % 16),
                3 => format!("pbkdf2:sha1:{a}${text}${hex}"),
                4 => format!("$pbkdf2-sha512${a}${salt64}${tag64}"),
                5 => format!("pbkdf2_sha256${a}${text}${}", BASE64.encode(&tag)),
                6 => format!("$argon2id$v=19$m={a},t={b},p={c}${salt64}${tag64}"),
                7 => BASE64.encode(&[&[1, 0, 0, 0, 2][..], &a.to_be_bytes(), &[0, 0, 0, 16], &salt, &tag].concat()),
                _ => format!(
                    "$sha512-in-argon2id$before={salt64},after={tag64}$argon2id$v=19$m={a},t={b},p={c}${salt64}${tag64}"
                ),
            };
            (text, quick)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_accepted_is_read_again((text, quick) in near_a_bound()) {
        if let Ok(Legacy::Stored(form)) = read_legacy(&text, None) {
            prop_assert_eq!(check_form(&form, None), Ok(()));
            prop_assert_eq!(read_legacy(&form, None), Ok(Legacy::Stored(form.clone())));
            if quick {
                prop_assert!(check("x", &form).is_ok(), "{}", form);
            }
        }
    }

    #[test]
    fn arbitrary_text_never_panics(
        text in prop_oneof![".{0,200}", "\\$(scrypt|pbkdf2-sha256|firebase-scrypt|fbscrypt|sha256-in-argon2id|sha256-in-bcrypt)[$a-z0-9=,/+.]{0,80}",
            "[A-Za-z0-9+/=]{0,120}"]
    ) {
        let _ = read_legacy(&text, None);
        let _ = check_form(&text, None);
    }
}
