//! Opaque bearer secrets, written `prefix_payload`.
//!
//! The prefix lets scanners find leaks and keeps one kind from passing for another; the payload is 256 random
//! bits (ASVS 7.2.3, 11.5.1). Only digests are stored, and looked up by digest.

use crate::digest::{hkdf_expand, hkdf_extract, sha256};
use crate::ring::Keys;
use crate::seal::{open_under, seal_under};
use data_encoding::BASE64URL_NOPAD;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What an opaque secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The link that proves a mailbox.
    VerifyLink,
    /// The link that resets a password.
    ResetLink,
    /// The link that confirms a new e-mail address.
    EmailChange,
    /// The link to the old address that takes an e-mail change back.
    EmailUndo,
    /// The link with which an invited or imported user sets a first password.
    SetPassword,
    /// The handle of a registration that is not yet proven.
    Registration,
    /// The handle of a sign-in attempt.
    Attempt,
    /// The link that signs in without a password.
    SignInLink,
    /// A service's own key.
    ServiceKey,
    /// An invitation.
    Invitation,
    /// A known device; opens nothing by itself.
    Device,
    /// The link that says that a sign-in was somebody else's.
    NotMe,
    /// The link on the console that makes the first administrator.
    FirstAdministrator,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::VerifyLink,
        Self::ResetLink,
        Self::EmailChange,
        Self::EmailUndo,
        Self::SetPassword,
        Self::Registration,
        Self::Attempt,
        Self::SignInLink,
        Self::ServiceKey,
        Self::Invitation,
        Self::Device,
        Self::NotMe,
        Self::FirstAdministrator,
    ];

    /// The prefix, without the underscore that follows it.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::VerifyLink => "hp_vl",
            Self::ResetLink => "hp_pr",
            Self::EmailChange => "hp_ec",
            Self::EmailUndo => "hp_eu",
            Self::SetPassword => "hp_sp",
            Self::Registration => "hp_rg",
            Self::Attempt => "hp_at",
            Self::SignInLink => "hp_sl",
            Self::ServiceKey => "hp_sk",
            Self::Invitation => "hp_in",
            Self::Device => "hp_dv",
            Self::NotMe => "hp_nm",
            Self::FirstAdministrator => "hp_fa",
        }
    }
}

/// A secret of 32 random bytes and its kind.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Opaque {
    #[zeroize(skip)]
    kind: Kind,
    bytes: [u8; 32],
}

impl Opaque {
    /// A secret from 32 fresh random bytes.
    pub const fn mint(kind: Kind, random: [u8; 32]) -> Self {
        Self { kind, bytes: random }
    }

    /// What it is for.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The secret as its holder keeps it. The only way out: everything else redacts it.
    pub fn expose(&self) -> String {
        format!("{}_{}", self.kind.prefix(), BASE64URL_NOPAD.encode(&self.bytes))
    }

    /// Reads what [`Opaque::expose`] wrote: the prefix of this kind, exact length, canonical base64url.
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        let payload = text.strip_prefix(kind.prefix())?.strip_prefix('_')?;
        Some(Self { kind, bytes: *decode::<32>(payload)? })
    }

    /// What is stored and looked up: SHA-256 over prefix and bytes.
    pub fn digest(&self) -> [u8; 32] {
        let input = Zeroizing::new([self.kind.prefix().as_bytes(), b"_", &self.bytes].concat());
        sha256(&input)
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opaque({}_redacted)", self.kind.prefix())
    }
}

const REFRESH_PREFIX: &str = "hp_rt_";
const REFRESH_LABEL: &[u8] = b"hallpass refresh token";
const REFRESH_VERSION: u8 = 1;
/// Version, session, generation, random.
const REFRESH_BODY: usize = 1 + 16 + 4 + 32;
const REFRESH_MAC: usize = 16;
const REFRESH_BYTES: usize = REFRESH_BODY + REFRESH_MAC;
/// Session, generation, random.
const SUCCESSOR_BYTES: usize = 16 + 4 + 32;

/// One refresh token of one session.
///
/// The session and generation are readable, but bound by a MAC under a server key (RFC 9700 section 4.14.2),
/// so that garbage costs no look-up and nobody ends a session that they never held a token of.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RefreshToken {
    /// The session's id.
    pub session: [u8; 16],
    /// How often the session's token was rotated before this one.
    pub generation: u32,
    random: [u8; 32],
}

impl RefreshToken {
    /// A token from 32 fresh random bytes.
    pub const fn new(session: [u8; 16], generation: u32, random: [u8; 32]) -> Self {
        Self { session, generation, random }
    }

    /// The token as its holder keeps it: `hp_rt_` and base64url of
    /// `version (1) | session (16) | generation (4, big-endian) | random (32) | MAC (16)`.
    /// `keys` are those of [`crate::ring::Purpose::RefreshMac`].
    pub fn expose(&self, keys: &Keys) -> String {
        let body = self.body();
        let mac = keys.mac(&Zeroizing::new([REFRESH_LABEL, body.as_slice()].concat()));
        let short = mac.get(..REFRESH_MAC).unwrap_or_default();
        let bytes = Zeroizing::new([body.as_slice(), short].concat());
        format!("{REFRESH_PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// Reads what [`RefreshToken::expose`] wrote under any key of the ring. Form first, then the MAC in
    /// constant time; `None` says nothing about which of them failed.
    pub fn parse(text: &str, keys: &Keys) -> Option<Self> {
        let bytes = decode::<REFRESH_BYTES>(text.strip_prefix(REFRESH_PREFIX)?)?;
        let (body, mac) = bytes.split_at_checked(REFRESH_BODY)?;
        let (version, rest) = body.split_first()?;
        if *version != REFRESH_VERSION {
            return None;
        }
        let signed = Zeroizing::new([REFRESH_LABEL, body].concat());
        if !keys.verify_mac(&signed, mac) {
            return None;
        }
        Self::from_parts(rest)
    }

    /// What is stored of the token: SHA-256 over session, generation and random part.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&Zeroizing::new([REFRESH_LABEL, b" hash", self.body().as_slice()].concat()))
    }

    /// Seals the next token so that only a holder of this one can read it again: AES-256-GCM under a key from
    /// this token's random part, bound to its session and generation. `nonce` is 12 fresh random bytes.
    pub fn seal_successor(&self, successor: &Self, nonce: [u8; 12]) -> Vec<u8> {
        let body = successor.body();
        let plain = body.get(1..).unwrap_or_default();
        seal_under(&self.handover_key(), plain, &self.place(), nonce)
    }

    /// Opens what [`RefreshToken::seal_successor`] made; `None` unless it holds the next token of this
    /// session.
    pub fn open_successor(&self, blob: &[u8]) -> Option<Self> {
        let plain = open_under(&self.handover_key(), blob, &self.place()).ok()?;
        let successor = Self::from_parts(&plain)?;
        let next = self.generation.checked_add(1)? == successor.generation;
        (next && successor.session == self.session).then_some(successor)
    }

    fn body(&self) -> Zeroizing<Vec<u8>> {
        let generation = self.generation.to_be_bytes();
        Zeroizing::new([&[REFRESH_VERSION], &self.session[..], &generation, &self.random].concat())
    }

    fn place(&self) -> Vec<u8> {
        [&self.session[..], &self.generation.to_be_bytes()].concat()
    }

    fn handover_key(&self) -> Zeroizing<[u8; 32]> {
        let extracted = Zeroizing::new(hkdf_extract(REFRESH_LABEL, &self.random));
        Zeroizing::new(hkdf_expand(&extracted, b"hand-over"))
    }

    /// From `session | generation | random`.
    fn from_parts(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SUCCESSOR_BYTES] = bytes.try_into().ok()?;
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let (generation, rest) = rest.split_first_chunk::<4>()?;
        Some(Self::new(*session, u32::from_be_bytes(*generation), rest.try_into().ok()?))
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// Canonical unpadded base64url of exactly `N` bytes. Over-long input is refused before it is decoded.
fn decode<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    if text.len() != BASE64URL_NOPAD.encode_len(N) {
        return None;
    }
    let decoded = Zeroizing::new(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?);
    let mut bytes = Zeroizing::new([0; N]);
    if decoded.len() != N {
        return None;
    }
    bytes.copy_from_slice(&decoded);
    Some(bytes)
}
