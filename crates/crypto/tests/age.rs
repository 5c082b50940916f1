//! Files sealed with a passphrase: what comes back, what is noticed, and that the age tool reads and writes the same.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use hallpass_crypto::age::{AgeError, CHUNK, Chunks, MAGIC, NONCE, Randomness, TAG, open, seal};
use proptest::prelude::*;

const PASSPHRASE: &[u8] = b"correct horse battery staple";

fn randomness() -> Randomness {
    Randomness { file_key: [5; 16].into(), salt: [6; 16], nonce: [7; NONCE] }
}

fn parts(file: &[u8]) -> (&[u8], &[u8; NONCE], &[u8]) {
    let dashes = file.windows(5).position(|window| window == b"\n--- ").unwrap() + 1;
    let end = dashes + file[dashes..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let (header, rest) = file.split_at(end);
    let (nonce, payload) = rest.split_first_chunk().unwrap();
    (header, nonce, payload)
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let (mut file, mut chunks) = seal(PASSPHRASE, &randomness()).unwrap();
    let mut pieces = plain.chunks(CHUNK).peekable();
    if plain.is_empty() {
        file.extend(chunks.seal(b"", true).unwrap());
    }
    while let Some(piece) = pieces.next() {
        file.extend(chunks.seal(piece, pieces.peek().is_none()).unwrap());
    }
    file
}

fn opened_with(chunks: &mut Chunks, payload: &[u8]) -> Result<Vec<u8>, AgeError> {
    let mut plain = Vec::new();
    let mut pieces = payload.chunks(CHUNK + TAG).peekable();
    if payload.is_empty() {
        return Err(AgeError::NotAuthentic);
    }
    while let Some(piece) = pieces.next() {
        plain.extend_from_slice(&chunks.open(piece.to_vec(), pieces.peek().is_none())?);
    }
    Ok(plain)
}

fn opened(file: &[u8]) -> Result<Vec<u8>, AgeError> {
    let (header, nonce, payload) = parts(file);
    opened_with(&mut open(PASSPHRASE, header, nonce)?, payload)
}

#[test]
fn what_was_sealed_opens_whatever_its_length() {
    for length in [0, CHUNK, CHUNK + 1] {
        let plain = vec![b'x'; length];
        assert!(opened(&sealed(&plain)).unwrap() == plain, "{length}");
    }
}

#[test]
fn a_file_that_another_implementation_made_opens() {
    // Made by rage, the implementation in Rust, through pyrage 1.4.0: encrypt(b"hello age\n", passphrase).
    let file = data_encoding::BASE64.decode(include_bytes!("age/hello.age.base64").trim_ascii()).unwrap();
    assert_eq!(opened(&file).unwrap(), b"hello age\n");
}

#[test]
fn another_passphrase_and_a_changed_header_are_refused() {
    let file = sealed(b"secret");
    let (header, nonce, _) = parts(&file);
    let wrong = |passphrase: &[u8], header: &[u8]| open(passphrase, header, nonce).map(|_| ()).unwrap_err();
    assert_eq!(wrong(b"wrong", header), AgeError::WrongPassphrase);
    let text = std::str::from_utf8(header).unwrap();
    for (from, to, error) in [
        (" 17\n", " 16\n", AgeError::WrongPassphrase),
        (" 17\n", " 21\n", AgeError::TooCostly),
        (" 17\n", " 017\n", AgeError::Malformed),
        (" 17\n", " +17\n", AgeError::Malformed),
        (" 17\n", " 17 1\n", AgeError::Malformed),
        ("scrypt", "X25519", AgeError::Malformed),
        ("org/v1", "org/v2", AgeError::Malformed),
        ("\n---", "\n-> grease\n\n---", AgeError::Malformed),
    ] {
        assert_eq!(wrong(PASSPHRASE, text.replacen(from, to, 1).as_bytes()), error, "{to}");
    }
    let mac = text.rfind(' ').unwrap() + 1;
    let other = if text.as_bytes()[mac] == b'A' { "B" } else { "A" };
    let changed = format!("{}{other}{}", &text[..mac], &text[mac + 1..]);
    assert_eq!(wrong(PASSPHRASE, changed.as_bytes()), AgeError::WrongPassphrase);
}

#[test]
fn a_chunk_that_was_cut_off_moved_or_changed_is_noticed() {
    let file = sealed(&vec![b'x'; 3 * CHUNK - 9]);
    let (header, nonce, payload) = parts(&file);
    let chunks = || open(PASSPHRASE, header, nonce).unwrap();
    let piece = CHUNK + TAG;
    let (first, rest) = payload.split_at(piece);
    let (second, third) = rest.split_at(piece);
    let mut flipped = payload.to_vec();
    flipped[piece + 5] ^= 1;
    let wrong = [
        first.to_vec(),
        [first, second].concat(),
        [second, first, third].concat(),
        [first, first, third].concat(),
        [payload, third].concat(),
        payload[..payload.len() - 1].to_vec(),
        flipped,
        Vec::new(),
    ];
    for (number, payload) in wrong.iter().enumerate() {
        assert_eq!(opened_with(&mut chunks(), payload), Err(AgeError::NotAuthentic), "{number}");
    }
    assert!(chunks().seal(b"short", false).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn arbitrary_headers_never_panic(text in "(-> (scrypt|X25519)?[ A-Za-z0-9+/]{0,30}\n?|---[ A-Za-z0-9]{0,50}\n|.{0,20}\n){0,4}") {
        let header = [MAGIC, text.as_bytes()].concat();
        prop_assert!(open(PASSPHRASE, &header, &[0; NONCE]).is_err());
        prop_assert!(open(PASSPHRASE, text.as_bytes(), &[0; NONCE]).is_err());
    }
}
