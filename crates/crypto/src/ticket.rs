//! Tickets: what the server would otherwise have to remember between two calls of a client, sealed and handed to that client.
//!
//! A ticket is `hp_pc_` and base64url of `salt (32) | sealed value`. Each is sealed under a key of its own, made from the salt, so
//! that tickets which anybody can ask for do not use up what one AES-GCM key bears (SP 800-38D 8.3). It opens in the context
//! that it was made for and nowhere else. Whether it was used before is the business of whoever takes it.

use crate::digest::hmac_sha256;
use crate::ring::Keys;
use crate::seal::{open_under, seal_under};
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

const PREFIX: &str = "hp_pc_";
const LABEL: &[u8] = b"hallpass ticket";
const SALT: usize = 32;
/// The key is new for every ticket and seals once.
const NONCE: [u8; 12] = [0; 12];

/// Seals `plaintext` into a ticket. `salt` is fresh random bytes; `context` says what the ticket is for and is not stored.
pub fn seal(keys: &Keys, plaintext: &[u8], context: &[u8], salt: [u8; SALT]) -> String {
    let key = Zeroizing::new(keys.mac(&input(&salt)));
    let sealed = seal_under(&key, plaintext, context, NONCE);
    format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&[&salt, sealed.as_slice()].concat()))
}

/// Opens what [`seal`] made with the same context, under any key of the ring.
pub fn open(keys: &Keys, text: &str, context: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = BASE64URL_NOPAD.decode(text.strip_prefix(PREFIX)?.as_bytes()).ok()?;
    let (salt, sealed) = bytes.split_first_chunk::<SALT>()?;
    let input = input(salt);
    keys.all().find_map(|key| {
        let key = Zeroizing::new(hmac_sha256(key, &input));
        open_under(&key, sealed, context).ok()
    })
}

fn input(salt: &[u8; SALT]) -> Vec<u8> {
    [LABEL, salt].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{KeyRing, Purpose};

    fn keys(current: u8, previous: &[&[u8]]) -> Keys {
        KeyRing::new(&[current; 32], previous).unwrap().derive(Purpose::Passkey)
    }

    #[test]
    fn a_ticket_opens_in_its_context_and_nowhere_else() {
        let keys = keys(1, &[]);
        let ticket = seal(&keys, b"state", b"here", [7; 32]);
        assert_eq!(open(&keys, &ticket, b"here").unwrap().as_slice(), b"state");
        assert!(open(&keys, &ticket, b"there").is_none());
    }

    #[test]
    fn a_ticket_of_a_former_secret_opens_and_one_of_a_stranger_does_not() {
        let ticket = seal(&keys(1, &[]), b"state", b"", [7; 32]);
        assert!(open(&keys(2, &[&[1; 32]]), &ticket, b"").is_some());
        assert!(open(&keys(2, &[]), &ticket, b"").is_none());
    }

    #[test]
    fn no_changed_or_cut_ticket_opens() {
        let keys = keys(1, &[]);
        let ticket = seal(&keys, b"state", b"", [7; 32]);
        for end in 0..ticket.len() {
            assert!(open(&keys, &ticket[..end], b"").is_none(), "{end}");
        }
        let payload = ticket.strip_prefix(PREFIX).unwrap();
        let bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let changed = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&changed));
            assert!(open(&keys, &changed, b"").is_none(), "{place}");
        }
    }

    #[test]
    fn the_same_state_looks_different_every_time() {
        let keys = keys(1, &[]);
        let [one, other] = [[1; 32], [2; 32]].map(|salt| seal(&keys, b"state", b"", salt));
        assert_ne!(one[PREFIX.len() + 43..], other[PREFIX.len() + 43..]);
        assert_eq!(one.len(), other.len());
    }
}
