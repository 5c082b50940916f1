//! What makes a new password acceptable (NIST SP 800-63B section 3.1.1.2, ASVS 6.2).
//!
//! Length, a list of common passwords, words of the context, and an estimate of guesses. No rules of
//! composition.
//!
//! NOTICE: `common-passwords.txt` is taken from the password frequency list of the `zxcvbn` crate (MIT
//! licence, Copyright the zxcvbn-rs contributors; the list is that of Dropbox's zxcvbn, MIT licence,
//! Copyright Dropbox, Inc.). It has the entries of at least 8 characters, and pairs of the most frequent
//! entries that reach 15 characters, so that the longer minimum has its list too (ASVS 6.2.4).

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Longest password in bytes of its NFC form, whatever the policy says; a longer one is refused, never cut.
pub const MAX_BYTES: usize = 1024;

/// Shortest context word that counts, in code points: initials are no words.
const MIN_WORD: usize = 3;

static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("common-passwords.txt").lines().collect());

/// What a password has to satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Fewest code points.
    pub min_length: usize,
    /// Most code points.
    pub max_length: usize,
    /// Lowest zxcvbn score, 0 to 4.
    pub min_score: u8,
}

impl Policy {
    /// 8 to 256 code points, score 3.
    pub const DEFAULT: Self = Self { min_length: 8, max_length: 256, min_score: 3 };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why a password is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weakness {
    /// Fewer code points than the policy asks for.
    TooShort,
    /// More code points than the policy allows, or more than [`MAX_BYTES`].
    TooLong,
    /// Contains the character NUL, at which other programs cut.
    NulByte,
    /// One of the most used passwords.
    Common,
    /// A word of its context with nothing but digits and punctuation around it.
    ContextWord,
    /// Guessed too soon.
    TooGuessable,
}

impl Weakness {
    /// The name for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::NulByte => "control_character",
            Self::Common => "common",
            Self::ContextWord => "contains_context",
            Self::TooGuessable => "too_guessable",
        }
    }

    /// What to do about it, for people.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooShort => "Make the password longer; a few unrelated words are easy to remember.",
            Self::TooLong => "Make the password shorter.",
            Self::NulByte => "Remove the NUL character from the password.",
            Self::Common => "Choose another password; this one is among those that are tried first.",
            Self::ContextWord => {
                "Choose a password that is not made of your name, your address or the name of this service."
            }
            Self::TooGuessable => "Add another unrelated word or two; this password could be guessed soon.",
        }
    }
}

/// Everything that is wrong with a new password; empty if it is acceptable.
///
/// `context` holds what is known about the user and the service: name, e-mail address, host name, brand. They
/// are compared with the whole password, case and digit or punctuation affixes aside, not searched for inside
/// it.
pub fn check(password: &str, context: &[&str], policy: &Policy) -> Vec<Weakness> {
    let normal = Zeroizing::new(password.nfc().collect::<String>());
    let length = normal.chars().count();
    let mut found = Vec::new();
    if normal.contains('\0') {
        found.push(Weakness::NulByte);
    }
    if length > policy.max_length || normal.len() > MAX_BYTES {
        // The estimate would only cost time.
        found.push(Weakness::TooLong);
        return found;
    }
    if length < policy.min_length {
        found.push(Weakness::TooShort);
    }
    let folded = Zeroizing::new(fold(&normal));
    if COMMON.contains(folded.as_str()) {
        found.push(Weakness::Common);
    }
    let words = words(context);
    if is_context_word(&folded, &words) {
        found.push(Weakness::ContextWord);
    }
    let known: Vec<&str> = words.iter().map(String::as_str).collect();
    if u8::from(zxcvbn::zxcvbn(&normal, &known).score()) < policy.min_score {
        found.push(Weakness::TooGuessable);
    }
    found
}

/// Lower case of the NFC form: close enough to case folding to compare words.
fn fold(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase().nfc().collect()
}

/// Without digits and punctuation at either end.
fn core(text: &str) -> &str {
    text.trim_matches(|character: char| !character.is_alphabetic())
}

/// Letters and digits only.
fn joined(text: &str) -> String {
    text.chars().filter(|character| character.is_alphanumeric()).collect()
}

/// The context as single folded words: each entry whole, its parts, and its parts joined.
fn words(context: &[&str]) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for entry in context {
        let entry = fold(entry);
        for whole in std::iter::once(entry.as_str()).chain(entry.split('@')) {
            words.insert(whole.to_owned());
            words.insert(core(whole).to_owned());
            words.insert(joined(whole));
        }
        for part in entry.split(|character: char| !character.is_alphanumeric()) {
            words.insert(part.to_owned());
            words.insert(core(part).to_owned());
        }
    }
    words.retain(|word| word.chars().count() >= MIN_WORD);
    words
}

/// Whether the folded password is a context word, once or repeated, backwards too.
fn is_context_word(folded: &str, words: &BTreeSet<String>) -> bool {
    let forms = [folded.to_owned(), core(folded).to_owned(), joined(folded), joined(core(folded))]
        .map(Zeroizing::new);
    words.iter().any(|word| {
        let backwards: String = word.chars().rev().collect();
        [word, &backwards].into_iter().any(|word| {
            forms.iter().any(|form| !form.is_empty() && form.split(word.as_str()).all(str::is_empty))
        })
    })
}
