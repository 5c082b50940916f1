//! Secrets that holders bring back: nothing that was not made under the server's keys is one.
use crate::{array, flipped, text};
use hallpass_crypto::ring::{KeyRing, Keys, Purpose};
use hallpass_crypto::seal::{Sealer, open_under, seal_under};
use hallpass_crypto::secret::{Kind, Opaque, RefreshToken};
use hallpass_crypto::{code, csrf, ticket};
use std::sync::LazyLock;

static RING: LazyLock<KeyRing> =
    LazyLock::new(|| KeyRing::new(&[7; 32], &[&[8; 32]]).expect("secrets of 32 bytes"));
static REFRESH: LazyLock<Keys> = LazyLock::new(|| RING.derive(Purpose::RefreshMac));
static CSRF: LazyLock<Keys> = LazyLock::new(|| RING.derive(Purpose::Csrf));
static TICKETS: LazyLock<Keys> = LazyLock::new(|| RING.derive(Purpose::Passkey));
static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(&RING));

/// Text is no refresh token, one that the server made comes back as it was, and no changed one does.
pub fn refresh_token(data: &[u8]) {
    assert!(RefreshToken::parse(text(data), &REFRESH).is_none(), "a refresh token without a MAC");

    let (session, generation) = (array::<16>(data), array::<4>(data.get(16..).unwrap_or_default()));
    let token =
        RefreshToken::new(session, u32::from_be_bytes(generation), array(data.get(20..).unwrap_or_default()));
    let written = token.expose(&REFRESH);
    let read = RefreshToken::parse(&written, &REFRESH).expect("what was written is read");
    assert_eq!((read.session, read.generation, read.hash()), (token.session, token.generation, token.hash()));
    assert_eq!(read.expose(&REFRESH), written);

    let choice = data.last().copied().unwrap_or_default();
    let forged = flipped(written.as_bytes(), choice);
    if let Ok(forged) = std::str::from_utf8(&forged) {
        assert!(RefreshToken::parse(forged, &REFRESH).is_none(), "a changed refresh token: {forged}");
    }
    assert!(token.open_successor(data).is_none(), "a hand-over that nobody sealed");
    if let Some(next) = token.generation.checked_add(1) {
        let blob = token.seal_successor(&RefreshToken::new(session, next, array(data)), array(data));
        assert!(token.open_successor(&blob).is_some(), "a hand-over that does not open");
        assert!(token.open_successor(&flipped(&blob, choice)).is_none(), "a changed hand-over");
    }
}

/// What is read is written back letter by letter, and text is of one kind at most.
pub fn link_token(data: &[u8]) {
    let text = text(data);
    let read: Vec<Opaque> = Kind::ALL.iter().filter_map(|kind| Opaque::parse(*kind, text)).collect();
    assert!(read.len() <= 1, "a secret of two kinds");
    for secret in read {
        assert_eq!(secret.expose(), text);
    }
    for kind in Kind::ALL {
        let minted = Opaque::mint(kind, array(data));
        let back = Opaque::parse(kind, &minted.expose()).expect("what was minted is read");
        assert_eq!(back.digest(), minted.digest());
    }
}

/// Nothing opens that was not sealed, and what was sealed opens in its place only.
pub fn sealed(data: &[u8]) {
    assert!(SEALER.open(data, b"place").is_err(), "a value that nobody sealed");
    assert!(open_under(&[7; 32], data, b"place").is_err(), "a value that nobody sealed");
    let _ = SEALER.is_stale(data);

    let (nonce, rest) = data.split_at(data.len().min(12));
    let (plain, place) = rest.split_at(rest.len() / 2);
    let choice = data.last().copied().unwrap_or_default();
    let blob = SEALER.seal(plain, place, array(nonce));
    assert_eq!(SEALER.open(&blob, place).expect("it opens in its place").as_slice(), plain);
    assert!(!SEALER.is_stale(&blob));
    assert!(SEALER.open(&flipped(&blob, choice), place).is_err(), "a changed value opens");
    assert!(SEALER.open(&blob, &[place, b"x"].concat()).is_err(), "a value opens in another place");
    assert!(SEALER.open(&blob[..blob.len() - 1], place).is_err(), "a cut value opens");

    let blob = seal_under(&array(data), plain, place, array(nonce));
    assert_eq!(open_under(&array(data), &blob, place).expect("it opens under its key").as_slice(), plain);
    assert!(open_under(&array(data), &flipped(&blob, choice), place).is_err(), "a changed value opens");

    assert!(ticket::open(&TICKETS, text(data), b"place").is_none(), "a ticket that nobody sealed");
    let sealed = ticket::seal(&TICKETS, plain, place, array(nonce));
    assert_eq!(ticket::open(&TICKETS, &sealed, place).expect("it opens in its place").as_slice(), plain);
    assert!(ticket::open(&TICKETS, &sealed, &[place, b"x"].concat()).is_none(), "a ticket opens in another place");
    if let Ok(forged) = std::str::from_utf8(&flipped(sealed.as_bytes(), choice)) {
        assert!(ticket::open(&TICKETS, forged, place).is_none(), "a changed ticket opens");
    }
}

/// Codes as typed are six digits that were typed in this order, and no text is a CSRF token.
pub fn typed(data: &[u8]) {
    let text = text(data);
    if let Some(digits) = code::normalise(text) {
        assert_eq!(digits.len(), code::DIGITS);
        assert_eq!(text.chars().filter(char::is_ascii_digit).collect::<String>(), digits);
        assert!(!text.chars().any(char::is_alphabetic));
    }
    assert!(!csrf::verify(&CSRF, "session", text), "a CSRF token without a MAC");
    let token = csrf::mint(&CSRF, text, array(data));
    assert!(csrf::verify(&CSRF, text, &token));
    assert!(!csrf::verify(&CSRF, &format!("{text}x"), &token), "a CSRF token of another session");
    let forged = flipped(token.as_bytes(), data.last().copied().unwrap_or_default());
    if let Ok(forged) = std::str::from_utf8(&forged) {
        assert!(!csrf::verify(&CSRF, text, forged), "a changed CSRF token");
    }
}
