//! Which new passwords are acceptable, and what is said about the others.

use hallpass_crypto::strength::{Policy, Weakness, check};
use proptest::prelude::*;
use std::collections::HashSet;

const CONTEXT: [&str; 4] = ["jane.doe1985@example.org", "Jane Doe-Müller", "Hallpass", "auth.acme.test"];

fn found(password: &str) -> Vec<Weakness> {
    check(password, &CONTEXT, &Policy::DEFAULT)
}

#[test]
fn a_good_password_has_no_weakness() {
    for good in
        ["correct mule battery staple", "Xk9#mQ2$vLp7", "пятница молоко телега", "🦀 walks sideways home 🌊"]
    {
        assert_eq!(found(good), [], "{good}");
    }
}

#[test]
fn length_counts_code_points_of_the_composed_form() {
    assert!(found("Xk9#mQ2").contains(&Weakness::TooShort));
    assert!(!found("Xk9#mQ2$").contains(&Weakness::TooShort));
    // Eight letters and eight combining marks are eight code points once composed.
    let seven = "a\u{30a}".repeat(7);
    assert!(found(&seven).contains(&Weakness::TooShort));
    assert!(!found(&format!("{seven}a\u{30a}")).contains(&Weakness::TooShort));
}

#[test]
fn a_password_of_the_greatest_length_passes_and_one_more_does_not() {
    let policy = Policy::DEFAULT;
    let words = "correct mule battery staple ".repeat(10);
    let longest: String = words.chars().take(256).collect();
    assert_eq!(check(&longest, &[], &policy), []);
    assert_eq!(check(&format!("{longest}x"), &[], &policy), [Weakness::TooLong]);
    // 256 code points of four bytes are 1024 bytes.
    assert!(!check(&"🦀".repeat(256), &[], &policy).contains(&Weakness::TooLong));
    let wide = Policy { max_length: 1000, ..policy };
    assert_eq!(check(&"🦀".repeat(257), &[], &wide), [Weakness::TooLong]);
}

#[test]
fn nul_is_refused_and_other_control_characters_are_not() {
    assert!(found("correct mule\0battery staple").contains(&Weakness::NulByte));
    assert_eq!(found("correct mule\tbattery staple"), []);
}

#[test]
fn common_passwords_are_refused_in_any_case() {
    for common in
        ["password", "PassWord", "12345678", "iloveyou", "1qaz2wsx", "passwordpassword", "123456789password"]
    {
        assert!(found(common).contains(&Weakness::Common), "{common}");
    }
}

#[test]
fn the_list_has_three_thousand_entries_for_either_minimum() {
    let list: Vec<&str> = include_str!("../src/common-passwords.txt").lines().collect();
    let unique: HashSet<&&str> = list.iter().collect();
    assert_eq!(unique.len(), list.len());
    assert!(list.iter().all(|entry| entry.chars().count() >= 8 && *entry == entry.to_lowercase()));
    assert!(list.iter().filter(|entry| entry.chars().count() < 15).count() >= 3000);
    assert!(list.iter().filter(|entry| entry.chars().count() >= 15).count() >= 3000);
}

#[test]
fn a_context_word_with_affixes_is_refused() {
    for derived in [
        "jane.doe1985@example.org",
        "jane.doe1985",
        "JaneDoe1985!",
        "!!Hallpass2024",
        "ssapllah99",
        "acme-acme-acme",
        "example.org",
        "123müller!!",
        "MU\u{308}LLER12",
        "hall-pass",
    ] {
        assert!(found(derived).contains(&Weakness::ContextWord), "{derived}");
    }
}

#[test]
fn a_context_word_inside_other_words_is_not_searched_for() {
    for free in ["hallpass walks sideways home", "my jane likes turnips 4ever", "acmeist poets of moscow"] {
        assert!(!found(free).contains(&Weakness::ContextWord), "{free}");
    }
    // Initials and empty entries match nothing.
    assert!(!check("x1234567", &["", "x", "@", "..."], &Policy::DEFAULT).contains(&Weakness::ContextWord));
}

#[test]
fn guessable_passwords_are_refused_and_the_score_is_the_policys() {
    assert!(found("aaaaaaaaaaaaaaaa").contains(&Weakness::TooGuessable));
    assert!(found("qwertyuiop1234").contains(&Weakness::TooGuessable));
    let lax = Policy { min_score: 0, ..Policy::DEFAULT };
    assert!(!check("aaaaaaaaaaaaaaaa", &[], &lax).contains(&Weakness::TooGuessable));
}

#[test]
fn all_weaknesses_are_told_at_once() {
    assert_eq!(
        found("jane\0"),
        [Weakness::NulByte, Weakness::TooShort, Weakness::ContextWord, Weakness::TooGuessable]
    );
    let strict = Policy { min_length: 15, ..Policy::DEFAULT };
    let all = check("password", &[], &strict);
    assert_eq!(all, [Weakness::TooShort, Weakness::Common, Weakness::TooGuessable]);
}

#[test]
fn every_weakness_has_its_own_code_and_a_sentence() {
    let all = [
        (Weakness::TooShort, "too_short"),
        (Weakness::TooLong, "too_long"),
        (Weakness::NulByte, "control_character"),
        (Weakness::Common, "common"),
        (Weakness::ContextWord, "contains_context"),
        (Weakness::TooGuessable, "too_guessable"),
    ];
    for (weakness, code) in all {
        assert_eq!(weakness.code(), code);
        assert!(weakness.message().ends_with('.'));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_text_never_panics(password in ".{0,60}", word in ".{0,20}") {
        check(&password, &[&word], &Policy::DEFAULT);
    }
}
