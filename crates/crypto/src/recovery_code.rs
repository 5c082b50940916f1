//! Recovery codes: look-up secrets of 120 bits (NIST SP 800-63B-4 section 3.1.2, ASVS 6.5.2), written so that people can
//! print them and type them again.

use crate::digest::sha256;
use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

/// Random bytes of a code.
pub const RANDOM_BYTES: usize = 15;

const CHARACTERS: usize = 24;
const GROUP: usize = 4;

/// A code from fresh random bytes: six groups of four letters or digits, without those that look like others.
pub fn write(random: [u8; RANDOM_BYTES]) -> Zeroizing<String> {
    let letters = Zeroizing::new(BASE32_NOPAD.encode(&random));
    let groups: Vec<&str> =
        letters.as_bytes().chunks(GROUP).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    Zeroizing::new(groups.join("-"))
}

/// What a person typed, as the 24 characters of a code; `None` when it cannot be one. Case, spaces and dashes do not matter, and
/// digits that are in no code count as the letters that they look like.
pub fn normalise(typed: &str) -> Option<Zeroizing<String>> {
    let mut letters = Zeroizing::new(String::with_capacity(CHARACTERS));
    for character in typed.chars() {
        let letter = match character.to_ascii_uppercase() {
            ' ' | '\t' | '\r' | '\n' | '-' | '\u{a0}' | '\u{2010}'..='\u{2015}' => continue,
            '0' => 'O',
            '1' => 'I',
            '8' => 'B',
            letter @ ('A'..='Z' | '2'..='7') => letter,
            _ => return None,
        };
        if letters.len() == CHARACTERS {
            return None;
        }
        letters.push(letter);
    }
    (letters.len() == CHARACTERS).then_some(letters)
}

/// What is stored of a normalised code, for the one user that it belongs to. With 120 random bits it needs no key, so that the
/// codes outlive a change of the server's secrets.
pub fn digest(user: &[u8; 16], normalised: &str) -> [u8; 32] {
    let message = Zeroizing::new([b"hallpass recovery code", &user[..], normalised.as_bytes()].concat());
    sha256(&message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_code_is_six_groups_of_four() {
        assert_eq!(*write([0; 15]), "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA");
        assert_eq!(*write([255; 15]), "7777-7777-7777-7777-7777-7777");
    }

    #[test]
    fn a_code_belongs_to_one_user() {
        assert_ne!(digest(&[1; 16], "A"), digest(&[2; 16], "A"));
        assert_ne!(digest(&[1; 16], "A"), digest(&[1; 16], "B"));
    }

    #[test]
    fn what_cannot_be_a_code_is_none() {
        for typed in ["", "AAAA", "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-A", "AAAA-AAAA-AAAA-AAAA-AAAA-AAA9", "ä"] {
            assert!(normalise(typed).is_none(), "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back_however_it_is_typed(random in any::<[u8; RANDOM_BYTES]>()) {
            let code = write(random);
            let normalised = normalise(&code).unwrap();
            prop_assert_eq!(&*normalised, &code.replace('-', ""));
            let sloppy = code.to_lowercase().replace('-', " ").replace('o', "0").replace('i', "1").replace('b', "8");
            prop_assert_eq!(normalise(&sloppy).unwrap(), normalised);
        }

        #[test]
        fn arbitrary_text_breaks_nothing(typed in ".{0,60}") {
            if let Some(normalised) = normalise(&typed) {
                prop_assert_eq!(normalised.len(), CHARACTERS);
            }
        }
    }
}
