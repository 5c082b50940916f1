//! Passkeys that come from another server of the same relying party, or go there. Nothing in them is secret.
use super::{NAME_MAX, Passkey, flag, relying_party, store};
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::{RowId, UserId};
use crate::names::has_control_characters;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A passkey as files hold it; instants in microseconds since the epoch.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarriedPasskey {
    /// Base64url, what the authenticator calls it.
    credential_id: String,
    /// COSE key, as JSON text.
    public_key: String,
    sign_count: u32,
    flags: i64,
    transports: String,
    name: String,
    created_at: i64,
    last_used_at: Option<i64>,
    suspect_at: Option<i64>,
}

impl CarriedPasskey {
    /// Of a stored one.
    pub fn of(passkey: &Passkey) -> Self {
        Self {
            credential_id: BASE64URL_NOPAD.encode(&passkey.credential_id),
            public_key: passkey.public_key.clone(),
            sign_count: passkey.sign_count,
            flags: passkey.flags,
            transports: passkey.transports.clone(),
            name: passkey.name.clone(),
            created_at: passkey.created_at.micros(),
            last_used_at: passkey.last_used_at.map(Timestamp::micros),
            suspect_at: passkey.suspect_at.map(Timestamp::micros),
        }
    }

    /// The passkey, if a server could have stored it. Instants before 1970 or in the future come to the nearest that is neither.
    pub fn read(&self, now: Timestamp) -> Option<Passkey> {
        let past = |micros: i64| Timestamp(micros).min(now).max(Timestamp(0));
        let credential_id = BASE64URL_NOPAD.decode(self.credential_id.as_bytes()).ok()?;
        let known = flag::UV | flag::BE | flag::BS;
        let sound = (1..=relying_party::CREDENTIAL_ID_MAX).contains(&credential_id.len())
            && relying_party::is_key(&self.public_key)
            && self.flags & !known == 0
            && self.transports.len() <= 100
            && self.transports.bytes().all(|byte| byte.is_ascii_lowercase() || b"- ".contains(&byte))
            && self.name.chars().count() <= NAME_MAX
            && !has_control_characters(&self.name);
        sound.then(|| Passkey {
            id: RowId(Uuid::nil()),
            user: UserId(Uuid::nil()),
            credential_id,
            public_key: self.public_key.clone(),
            sign_count: self.sign_count,
            flags: self.flags,
            transports: self.transports.clone(),
            name: self.name.clone(),
            created_at: past(self.created_at),
            last_used_at: self.last_used_at.map(past),
            suspect_at: self.suspect_at.map(past),
        })
    }
}

/// Whether somebody has enrolled a credential.
///
/// # Errors
/// The database's.
pub async fn taken(tx: &mut Tx, credential_id: &[u8]) -> Result<bool> {
    Ok(store::by_credential(tx, credential_id).await?.is_some())
}

/// Stores the passkeys of users who were created in the same transaction, with this kind in `users.factors`.
///
/// # Errors
/// The database's; also when a credential was enrolled since [`taken`] was asked.
pub async fn import(app: &Inner, tx: &mut Tx, passkeys: &[(UserId, &Passkey)], now: Timestamp) -> Result<()> {
    for (user, passkey) in passkeys {
        let row = Passkey { id: RowId(app.new_id(now)), user: *user, ..(*passkey).clone() };
        if !store::insert(tx, &row).await? {
            return Err(Error::internal(std::io::Error::other("a passkey was enrolled meanwhile")));
        }
    }
    Ok(())
}
