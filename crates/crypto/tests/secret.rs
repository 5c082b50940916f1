//! Opaque secrets and refresh tokens: form, binding, redaction.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use data_encoding::BASE64URL_NOPAD;
use hallpass_crypto::ring::{KeyRing, Keys, Purpose};
use hallpass_crypto::secret::{Kind, Opaque, RefreshToken};
use proptest::prelude::*;

fn keys(current: u8, previous: &[&[u8]]) -> Keys {
    KeyRing::new(&[current; 32], previous).unwrap().derive(Purpose::RefreshMac)
}

#[test]
fn every_kind_has_its_own_prefix() {
    let prefixes: std::collections::HashSet<&str> = Kind::ALL.iter().map(|kind| kind.prefix()).collect();
    assert_eq!(prefixes.len(), Kind::ALL.len());
    assert!(
        prefixes.iter().all(|prefix| prefix.len() == 5 && prefix.starts_with("hp_") && *prefix != "hp_rt")
    );
}

#[test]
fn a_secret_reads_back_as_its_kind_and_as_no_other() {
    for minted in Kind::ALL {
        let secret = Opaque::mint(minted, [7; 32]);
        for read in Kind::ALL {
            let parsed = Opaque::parse(read, &secret.expose());
            assert_eq!(parsed.is_some(), read == minted);
            if let Some(parsed) = parsed {
                assert_eq!(parsed.digest(), secret.digest());
                assert_eq!(parsed.kind(), minted);
            }
        }
    }
}

#[test]
fn the_same_bytes_have_another_digest_in_each_kind() {
    let digests: std::collections::HashSet<[u8; 32]> =
        Kind::ALL.iter().map(|kind| Opaque::mint(*kind, [7; 32]).digest()).collect();
    assert_eq!(digests.len(), Kind::ALL.len());
}

#[test]
fn a_secret_is_written_as_prefix_and_base64url() {
    let text = Opaque::mint(Kind::ServiceKey, [0xff; 32]).expose();
    assert_eq!(text, format!("hp_sk_{}8", "_".repeat(42)));
}

#[test]
fn another_spelling_of_the_same_bytes_is_refused() {
    let text = Opaque::mint(Kind::ServiceKey, [0; 32]).expose();
    assert!(Opaque::parse(Kind::ServiceKey, &text).is_some());
    let twisted = [
        format!("{}B", &text[..text.len() - 1]), // bits beyond the last byte
        format!("{text}="),
        format!("{text} "),
        format!(" {text}"),
        text.to_uppercase(),
        text.replacen('_', "-", 2),
        text[..text.len() - 1].to_owned(),
        format!("{}+", &text[..text.len() - 1]),
        String::new(),
        "hp_sk_".to_owned(),
    ];
    for wrong in twisted {
        assert!(Opaque::parse(Kind::ServiceKey, &wrong).is_none(), "{wrong}");
    }
}

#[test]
fn debug_redacts_every_secret() {
    assert_eq!(format!("{:?}", Opaque::mint(Kind::Device, [65; 32])), "Opaque(hp_dv_redacted)");
    assert_eq!(
        format!("{:?}", RefreshToken::new([65; 16], 3, [65; 32])),
        "RefreshToken { generation: 3, .. }"
    );
}

#[test]
fn a_refresh_token_has_the_documented_form() {
    let keys = keys(1, &[]);
    let text = RefreshToken::new([2; 16], 0x0102_0304, [3; 32]).expose(&keys);
    let bytes = BASE64URL_NOPAD.decode(text.strip_prefix("hp_rt_").unwrap().as_bytes()).unwrap();
    assert_eq!(bytes.len(), 69);
    assert_eq!(bytes[0], 1);
    assert_eq!(bytes[1..17], [2; 16]);
    assert_eq!(bytes[17..21], [1, 2, 3, 4]);
    assert_eq!(bytes[21..53], [3; 32]);
    let signed = [b"hallpass refresh token", &bytes[..53]].concat();
    assert_eq!(bytes[53..], keys.mac(&signed)[..16]);
}

#[test]
fn a_refresh_token_reads_back_under_any_secret_of_the_ring() {
    let token = RefreshToken::new([2; 16], 9, [3; 32]);
    let text = token.expose(&keys(1, &[]));
    for ring in [keys(1, &[]), keys(5, &[&[4; 32], &[1; 32]])] {
        let parsed = RefreshToken::parse(&text, &ring).unwrap();
        assert_eq!((parsed.session, parsed.generation), ([2; 16], 9));
        assert_eq!(parsed.hash(), token.hash());
    }
    assert!(RefreshToken::parse(&text, &keys(2, &[])).is_none());
}

#[test]
fn every_flipped_bit_of_a_refresh_token_is_noticed() {
    let ring = keys(1, &[]);
    let text = RefreshToken::new([2; 16], 9, [3; 32]).expose(&ring);
    let bytes = BASE64URL_NOPAD.decode(&text.as_bytes()[6..]).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let forged = format!("hp_rt_{}", BASE64URL_NOPAD.encode(&changed));
        assert!(RefreshToken::parse(&forged, &ring).is_none(), "bit {bit}");
    }
}

#[test]
fn another_version_is_refused_even_with_a_right_mac() {
    let ring = keys(1, &[]);
    let mut body = [&[2][..], &[2; 16], &[0; 4], &[3; 32]].concat();
    let mac = ring.mac(&[b"hallpass refresh token", body.as_slice()].concat());
    body.extend_from_slice(&mac[..16]);
    let forged = format!("hp_rt_{}", BASE64URL_NOPAD.encode(&body));
    assert!(RefreshToken::parse(&forged, &ring).is_none());
}

#[test]
fn no_opaque_secret_passes_for_a_refresh_token() {
    let ring = keys(1, &[]);
    for kind in Kind::ALL {
        assert!(RefreshToken::parse(&Opaque::mint(kind, [1; 32]).expose(), &ring).is_none());
    }
}

#[test]
fn the_hash_binds_session_generation_and_random_part() {
    let hash = RefreshToken::new([2; 16], 9, [3; 32]).hash();
    assert_ne!(hash, RefreshToken::new([1; 16], 9, [3; 32]).hash());
    assert_ne!(hash, RefreshToken::new([2; 16], 8, [3; 32]).hash());
    assert_ne!(hash, RefreshToken::new([2; 16], 9, [4; 32]).hash());
}

#[test]
fn only_the_predecessor_opens_the_hand_over() {
    let parent = RefreshToken::new([2; 16], 9, [3; 32]);
    let child = RefreshToken::new([2; 16], 10, [4; 32]);
    let blob = parent.seal_successor(&child, [5; 12]);
    assert_eq!(parent.open_successor(&blob).unwrap().hash(), child.hash());
    for other in [
        RefreshToken::new([2; 16], 9, [9; 32]),
        RefreshToken::new([2; 16], 8, [3; 32]),
        RefreshToken::new([1; 16], 9, [3; 32]),
        child,
    ] {
        assert!(other.open_successor(&blob).is_none());
    }
    assert!(parent.open_successor(&[]).is_none());
}

#[test]
fn a_hand_over_to_anything_but_the_next_generation_of_the_session_does_not_open() {
    let parent = RefreshToken::new([2; 16], 9, [3; 32]);
    for (session, generation) in [([2; 16], 9), ([2; 16], 11), ([1; 16], 10)] {
        let blob = parent.seal_successor(&RefreshToken::new(session, generation, [4; 32]), [5; 12]);
        assert!(parent.open_successor(&blob).is_none());
    }
    let last = RefreshToken::new([2; 16], u32::MAX, [3; 32]);
    let blob = last.seal_successor(&RefreshToken::new([2; 16], 0, [4; 32]), [5; 12]);
    assert!(last.open_successor(&blob).is_none());
}

#[test]
fn the_blob_shows_nothing_of_the_successor() {
    let parent = RefreshToken::new([2; 16], 9, [3; 32]);
    let blob = parent.seal_successor(&RefreshToken::new([2; 16], 10, [4; 32]), [5; 12]);
    assert!(!blob.windows(8).any(|window| window == [4; 8] || window == [3; 8]));
}

proptest! {
    #[test]
    fn arbitrary_text_is_never_a_secret_and_never_panics(text in ".{0,120}", payload in "[A-Za-z0-9_-]{92}") {
        let ring = keys(1, &[]);
        prop_assert!(RefreshToken::parse(&text, &ring).is_none());
        let refresh = format!("hp_rt_{payload}");
        prop_assert!(RefreshToken::parse(&refresh, &ring).is_none());
        for kind in Kind::ALL {
            let prefix = format!("{}_", kind.prefix());
            prop_assert!(text.starts_with(&prefix) || Opaque::parse(kind, &text).is_none());
        }
    }

    #[test]
    fn what_parses_is_written_back_letter_by_letter(payload in "[A-Za-z0-9_-]{43}") {
        let text = format!("hp_vl_{payload}");
        if let Some(secret) = Opaque::parse(Kind::VerifyLink, &text) {
            prop_assert_eq!(secret.expose(), text);
        }
    }

    #[test]
    fn any_refresh_token_comes_back(
        session in any::<[u8; 16]>(), generation: u32, random in any::<[u8; 32]>()
    ) {
        let (ring, token) = (keys(1, &[]), RefreshToken::new(session, generation, random));
        let parsed = RefreshToken::parse(&token.expose(&ring), &ring).unwrap();
        prop_assert_eq!(parsed.hash(), token.hash());
    }

    #[test]
    fn arbitrary_bytes_are_never_a_hand_over(blob in proptest::collection::vec(any::<u8>(), 0..120)) {
        prop_assert!(RefreshToken::new([2; 16], 9, [3; 32]).open_successor(&blob).is_none());
    }
}
