//! An authenticator and its client in software (WebAuthn Level 3, 6 and 5.8.1), which can also lie about everything.
use super::TestApp;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use hallpass_crypto::digest::sha256;
use serde_json::{Value, json};

const UP: u8 = 0x01;
const UV: u8 = 0x04;
const BE: u8 = 0x08;
const BS: u8 = 0x10;
const AT: u8 = 0x40;

struct Made {
    id: Vec<u8>,
    rp_id: String,
    user_handle: Vec<u8>,
    pkcs8: Vec<u8>,
    counter: u32,
}

/// See the module's doc. What is public may be changed to lie.
pub struct SecurityKey {
    credentials: Vec<Made>,
    /// Of the page that asks.
    pub origin: String,
    /// Instead of the one that the options name.
    pub rp_id: Option<String>,
    /// Instead of the one that the options name.
    pub challenge: Option<String>,
    /// What `type` of the client data says, instead of the truth.
    pub kind: Option<&'static str>,
    /// Whether somebody touched it.
    pub present: bool,
    /// Whether it verifies its user.
    pub verifies: bool,
    /// Whether credentials can be backed up, and are.
    pub backup: (bool, bool),
    /// By how much the counter grows with each use; 0 for none.
    pub step: u32,
    /// Sent with the client data.
    pub place: Value,
    /// Whether the handle of the user is returned.
    pub tells_user: bool,
    /// Length of the next credential id.
    pub id_length: usize,
}

fn b64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn from_b64(text: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_str().unwrap().as_bytes()).unwrap()
}

impl SecurityKey {
    /// A hardware key with a PIN, at a page of the server's.
    pub fn of(server: &TestApp) -> Self {
        Self {
            credentials: Vec::new(),
            origin: server.app.public_url.clone(),
            rp_id: None,
            challenge: None,
            kind: None,
            present: true,
            verifies: true,
            backup: (false, false),
            step: 1,
            place: json!({ "crossOrigin": false }),
            tells_user: true,
            id_length: 32,
        }
    }

    /// `navigator.credentials.create`, then `toJSON`.
    pub fn create(&mut self, options: &Value) -> Value {
        self.create_with(options, None)
    }

    /// The same with an id that somebody else's credential may have.
    pub fn create_with_id(&mut self, options: &Value, id: &str) -> Value {
        self.create_with(options, Some(from_b64(&id.into())))
    }

    fn create_with(&mut self, options: &Value, id: Option<Vec<u8>>) -> Value {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
        let point = pair.public_key().as_ref()[1..].to_vec();
        let id = id.unwrap_or_else(|| made_of(&point, self.id_length));
        let rp_id = self.rp_id.clone().unwrap_or_else(|| options["rp"]["id"].as_str().unwrap().into());
        let made = Made {
            id: id.clone(),
            rp_id,
            user_handle: from_b64(&options["user"]["id"]),
            pkcs8: pkcs8.as_ref().to_vec(),
            counter: 0,
        };
        let mut data = self.data(&made, AT);
        data.extend([0; 16]);
        data.extend(u16::try_from(id.len()).unwrap().to_be_bytes());
        data.extend(&id);
        // COSE_Key of ES256 (RFC 9053 7.1): kty EC2, alg ES256, crv P-256, x, y.
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[..32]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[32..]);
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt\x64none\x67attStmt\xa0\x68authData\x59");
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(&data);
        self.credentials.push(made);
        json!({ "id": b64(&id), "rawId": b64(&id), "type": "public-key", "clientExtensionResults": {},
            "response": { "clientDataJSON": b64(self.client_data("webauthn.create", options).as_bytes()),
                "attestationObject": b64(&object), "transports": ["usb", "nfc"] } })
    }

    /// `navigator.credentials.get`, then `toJSON`: by the newest credential that is allowed.
    pub fn get(&mut self, options: &Value) -> Value {
        let allowed: Vec<Vec<u8>> =
            options["allowCredentials"].as_array().unwrap().iter().map(|one| from_b64(&one["id"])).collect();
        let fits = |made: &Made| allowed.is_empty() || allowed.contains(&made.id);
        let place = self.credentials.iter().rposition(fits).expect("a credential that is allowed");
        self.answer(place, options)
    }

    /// The answer of one of its credentials, whatever is allowed.
    pub fn answer(&mut self, place: usize, options: &Value) -> Value {
        self.credentials[place].counter += self.step;
        let made = &self.credentials[place];
        let data = self.data(made, 0);
        let client_data = self.client_data("webauthn.get", options);
        let signed = [data.as_slice(), &sha256(client_data.as_bytes())].concat();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &made.pkcs8).unwrap();
        let signature = pair.sign(&SystemRandom::new(), &signed).unwrap();
        let mut response = json!({ "clientDataJSON": b64(client_data.as_bytes()), "authenticatorData": b64(&data),
            "signature": b64(signature.as_ref()) });
        if self.tells_user {
            response["userHandle"] = b64(&made.user_handle).into();
        }
        json!({ "id": b64(&made.id), "rawId": b64(&made.id), "type": "public-key", "clientExtensionResults": {},
            "response": response })
    }

    /// Another with the same keys and counters: a clone.
    pub fn cloned(&self) -> Self {
        let copy = |made: &Made| Made {
            id: made.id.clone(),
            rp_id: made.rp_id.clone(),
            user_handle: made.user_handle.clone(),
            pkcs8: made.pkcs8.clone(),
            counter: made.counter,
        };
        Self {
            credentials: self.credentials.iter().map(copy).collect(),
            origin: self.origin.clone(),
            rp_id: self.rp_id.clone(),
            challenge: self.challenge.clone(),
            place: self.place.clone(),
            ..*self
        }
    }

    /// Forgets how far it counted.
    pub fn reset(&mut self) {
        self.credentials.iter_mut().for_each(|made| made.counter = 0);
    }

    /// The ids of its credentials, as they are on the wire.
    pub fn ids(&self) -> Vec<String> {
        self.credentials.iter().map(|made| b64(&made.id)).collect()
    }

    /// Claims to be of another user.
    pub fn set_user(&mut self, place: usize, handle: &[u8]) {
        self.credentials[place].user_handle = handle.to_vec();
    }

    /// Gives the key of a credential another name.
    pub fn set_id(&mut self, place: usize, id: &str) {
        self.credentials[place].id = from_b64(&id.into());
    }

    fn data(&self, made: &Made, more: u8) -> Vec<u8> {
        let set = |flag, on: bool| if on { flag } else { 0 };
        let flags = set(UP, self.present)
            | set(UV, self.verifies)
            | set(BE, self.backup.0)
            | set(BS, self.backup.1)
            | more;
        let rp_id = self.rp_id.as_ref().unwrap_or(&made.rp_id);
        [&sha256(rp_id.as_bytes())[..], &[flags], &made.counter.to_be_bytes()].concat()
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        let challenge = self.challenge.as_deref().or(options["challenge"].as_str());
        let mut data =
            json!({ "type": self.kind.unwrap_or(kind), "challenge": challenge, "origin": self.origin });
        for (name, value) in self.place.as_object().unwrap() {
            data[name] = value.clone();
        }
        data.to_string()
    }
}

/// An id that looks random, of whatever is.
fn made_of(point: &[u8], length: usize) -> Vec<u8> {
    let blocks = (0_u8..2).flat_map(|block| sha256(&[point, &[block]].concat()));
    blocks.take(length).collect()
}
