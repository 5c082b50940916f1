//! Ids of credentials for identifiers that are nobody's (WebAuthn Level 3, 14.6.2): always the same for one identifier, and in
//! one list with real ids, so that the list is as long for whoever asks about whomever.
use super::Passkey;
use crate::app::Inner;
use crate::names::Email;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// Ids in every list that a stranger gets.
const SHOWN: usize = 5;
/// Lengths of ids as authenticators make them: password managers 16, Apple 20, Windows and Android 32, security keys 48 and 64.
const LENGTHS: [usize; 16] = [16, 16, 16, 16, 20, 20, 20, 20, 32, 32, 32, 32, 32, 48, 48, 64];

/// What a stranger is told about an identifier: the newest passkeys of its user, if there is one, filled up with ids that do
/// not exist. Without transports, which only real ones have.
pub(super) fn descriptors(app: &Inner, identifier: &str, passkeys: &[Passkey]) -> Vec<Value> {
    let name = normalised(identifier);
    let made = (0..SHOWN).map(|place| id(app, &name, place));
    let real = passkeys.iter().rev().map(|passkey| passkey.credential_id.clone());
    let mut ids: Vec<Vec<u8>> = real.take(SHOWN).collect();
    let missing = SHOWN - ids.len();
    ids.extend(made.take(missing));
    // In an order that tells nothing, and does not change.
    ids.sort_by_key(|id| app.secrets.passkeys.mac(&[b"order/", id.as_slice()].concat()));
    ids.iter().map(|id| json!({ "type": "public-key", "id": BASE64URL_NOPAD.encode(id) })).collect()
}

/// As `users::find_login` reads it.
fn normalised(identifier: &str) -> String {
    match Email::parse(identifier) {
        Some(email) if identifier.contains('@') => email.normalised,
        _ => identifier.trim().to_ascii_lowercase(),
    }
}

fn id(app: &Inner, name: &str, place: usize) -> Vec<u8> {
    let block = |block: usize| app.secrets.passkeys.mac(format!("decoy/{place}/{block}/{name}").as_bytes());
    let length = LENGTHS[usize::from(block(0)[0]) % LENGTHS.len()];
    let mut id = [block(1), block(2)].concat();
    id.truncate(length);
    id
}
