//! Known devices: a random name, and for each of the last few users who signed in there a tag under a server key.
//!
//! The cookie carries no authority. It lets limits count a device's failures apart from strangers' (OWASP, "Slow down
//! online guessing attacks with device cookies").

use crate::ring::Keys;
use crate::secret::Kind;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};

const NAME_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// Users that a device remembers; the one who signed in longest ago makes room.
const MOST_USERS: usize = 6;

/// A device: its name, the server's tag on the name, and a tag for each user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    name: [u8; NAME_BYTES],
    /// The tag of the name alone, then one for each user, oldest first.
    tags: Vec<[u8; TAG_BYTES]>,
}

impl KnownDevice {
    /// A device that knows nobody yet, from fresh random bytes. `keys` are those of
    /// [`crate::ring::Purpose::Device`].
    pub fn new(name: [u8; NAME_BYTES], keys: &Keys) -> Self {
        Self { name, tags: vec![tag(keys, &name, b"")] }
    }

    /// Reads a cookie's value. Says nothing about who made it; see [`KnownDevice::knows`].
    pub fn parse(text: &str) -> Option<Self> {
        let payload = text.strip_prefix(Kind::Device.prefix())?.strip_prefix('_')?;
        if payload.len() > (NAME_BYTES + (MOST_USERS + 1) * TAG_BYTES).div_ceil(3) * 4 {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
        let (name, rest) = bytes.split_first_chunk::<NAME_BYTES>()?;
        let (tags, left) = rest.as_chunks::<TAG_BYTES>();
        let fits = left.is_empty() && (1..=MOST_USERS + 1).contains(&tags.len());
        fits.then(|| Self { name: *name, tags: tags.to_vec() })
    }

    /// The cookie's value.
    pub fn expose(&self) -> String {
        let mut bytes = self.name.to_vec();
        bytes.extend(self.tags.iter().flatten());
        format!("{}_{}", Kind::Device.prefix(), BASE64URL_NOPAD.encode(&bytes))
    }

    /// The name in hexadecimal; the same for as long as the device keeps its cookie.
    pub fn name(&self) -> String {
        HEXLOWER.encode(&self.name)
    }

    /// Whether this user has signed in on the device, by a tag under any key of the ring.
    pub fn knows(&self, keys: &Keys, user: &[u8; 16]) -> bool {
        let data = message(&self.name, user);
        // `|` and not `||`: all tags are tried, so that time does not tell which one was right.
        self.tags.iter().skip(1).fold(false, |found, tag| found | keys.verify_mac(&data, tag))
    }

    /// The device itself if the server named it, so that nobody chooses a name.
    #[must_use]
    pub fn genuine(self, keys: &Keys) -> Option<Self> {
        let named = self.tags.first().is_some_and(|tag| keys.verify_mac(&message(&self.name, b""), tag));
        named.then_some(self)
    }

    /// The device after this user has signed in on it.
    #[must_use]
    pub fn with(mut self, keys: &Keys, user: &[u8; 16]) -> Self {
        let data = message(&self.name, user);
        let named = tag(keys, &self.name, b"");
        let users = self.tags.iter().skip(1).filter(|tag| !keys.verify_mac(&data, *tag));
        let mut users: Vec<[u8; TAG_BYTES]> = users.copied().collect();
        users.push(tag(keys, &self.name, user));
        let surplus = users.len().saturating_sub(MOST_USERS);
        self.tags = std::iter::once(named).chain(users.into_iter().skip(surplus)).collect();
        self
    }
}

fn message(name: &[u8; NAME_BYTES], user: &[u8]) -> Vec<u8> {
    [name, user].concat()
}

fn tag(keys: &Keys, name: &[u8; NAME_BYTES], user: &[u8]) -> [u8; TAG_BYTES] {
    let mac = keys.mac(&message(name, user));
    let mut short = [0; TAG_BYTES];
    short.copy_from_slice(&mac[..TAG_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{KeyRing, Purpose};
    use proptest::prelude::*;

    fn keys(byte: u8) -> Keys {
        KeyRing::new(&[byte; 32], &[]).unwrap().derive(Purpose::Device)
    }

    #[test]
    fn a_device_knows_who_signed_in_and_nobody_else() {
        let device = KnownDevice::new([7; 16], &keys(1)).with(&keys(1), &[1; 16]);
        assert!(device.knows(&keys(1), &[1; 16]));
        assert!(!device.knows(&keys(1), &[2; 16]));
        assert!(!device.knows(&keys(2), &[1; 16]), "made under another key");
        assert!(!KnownDevice::new([7; 16], &keys(1)).knows(&keys(1), &[0; 16]));
    }

    #[test]
    fn it_remembers_the_last_six_and_nobody_twice() {
        let mut device = KnownDevice::new([7; 16], &keys(1));
        for user in 0..8 {
            device = device.with(&keys(1), &[user; 16]).with(&keys(1), &[user; 16]);
        }
        let known: Vec<u8> = (0..8).filter(|user| device.knows(&keys(1), &[*user; 16])).collect();
        assert_eq!(known, [2, 3, 4, 5, 6, 7]);
        assert_eq!(KnownDevice::parse(&device.expose()), Some(device));
    }

    #[test]
    fn a_name_that_the_server_did_not_give_is_not_genuine() {
        let device = KnownDevice::new([7; 16], &keys(1)).with(&keys(1), &[1; 16]);
        assert!(device.clone().genuine(&keys(1)).is_some());
        assert!(KnownDevice { name: [8; 16], ..device.clone() }.genuine(&keys(1)).is_none());
        assert!(device.genuine(&keys(2)).is_none());
    }

    #[test]
    fn after_a_change_of_the_secret_the_device_is_still_known_and_gets_new_tags() {
        let ring = KeyRing::new(&[2; 32], &[&[1; 32]]).unwrap().derive(Purpose::Device);
        let old = KnownDevice::new([7; 16], &keys(1)).with(&keys(1), &[1; 16]);
        assert!(old.knows(&ring, &[1; 16]));
        let renewed = old.genuine(&ring).unwrap().with(&ring, &[1; 16]);
        assert!(renewed.knows(&keys(2), &[1; 16]) && renewed.genuine(&keys(2)).is_some());
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_device_that_knows_anybody(text in "(hp_dv_)?[A-Za-z0-9_-]{0,200}") {
            if let Some(device) = KnownDevice::parse(&text) {
                prop_assert!(!device.knows(&keys(1), &[1; 16]));
                prop_assert_eq!(device.expose(), text);
                prop_assert!(device.genuine(&keys(1)).is_none());
            }
        }
    }
}
