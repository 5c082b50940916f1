//! Passkeys: WebAuthn credentials (WebAuthn Level 3), as second factor and alone.
//!
//! Invariants: a challenge serves once, for five minutes, and only what it was made for: enrolment in one session, sign-in, one
//! sign-in attempt, one session. A ceremony under way is with the client, sealed, so that beginning one writes nothing. Nothing
//! that a stranger can ask for tells who has an account or a passkey. A proof is verified before the transaction and counts
//! in it by compare-and-set; why one was refused is told to the audit log only. The choices are argued in
//! `docs/decisions/passkeys.md`.
mod assertion;
mod carry;
mod ceremony;
mod decoys;
mod enrolment;
mod relying_party;
mod routes;
mod store;

pub use assertion::{Asserted, Bound, Checked, Whom, accept, begin_assertion, check_assertion};
pub use carry::{CarriedPasskey, import, taken};
pub use enrolment::{Enrolled, begin_enrolment, enrol, remove, remove_all, rename};
pub use routes::routes;

use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::Result;
use crate::ids::{RowId, UserId};
use crate::mail::PasskeyNotice;
use crate::sessions::{amr, device};
use crate::web::Client;
use hallpass_crypto::digest::sha256;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use utoipa::ToSchema;

/// How long a ceremony may take (ASVS 6.5.5 for what is sent out of band; people also look for their keys).
const CEREMONY_TTL: Duration = Duration::from_secs(5 * 60);
/// Passkeys that a user may have.
const MOST: usize = 20;
/// Longest name, in characters.
const NAME_MAX: usize = 64;

/// Bits of the flags of authenticator data (WebAuthn Level 3, 6.1).
mod flag {
    /// The user was verified.
    pub(super) const UV: i64 = 0x04;
    /// The credential can be backed up.
    pub(super) const BE: i64 = 0x08;
    /// The credential is backed up.
    pub(super) const BS: i64 = 0x10;
}

/// A passkey. Nothing in it is secret.
#[derive(Clone, Debug)]
pub struct Passkey {
    /// Id of the row.
    pub id: RowId,
    /// Whose.
    pub user: UserId,
    /// What the authenticator calls it.
    pub credential_id: Vec<u8>,
    /// COSE key, as JSON.
    public_key: String,
    /// Signature counter of the latest assertion; 0 if the authenticator has none.
    pub sign_count: u32,
    flags: i64,
    /// How the client reaches the authenticator, names separated by one space.
    transports: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When it last proved something.
    pub last_used_at: Option<Timestamp>,
    /// When its counter first did not grow, or its owner said that somebody else was in when it was added.
    pub suspect_at: Option<Timestamp>,
}

/// A passkey as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyView {
    /// Id.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub last_used_at: Option<String>,
    /// Whether it can be copied to other devices of its owner, for example through a password manager.
    pub backup_eligible: bool,
    /// Whether such a copy existed when it was last used.
    pub backed_up: bool,
    /// Whether it asked for a PIN, fingerprint or the like when it was enrolled.
    pub user_verified: bool,
    /// How clients reach it, as they said: `internal`, `hybrid`, `usb`, `nfc`, `ble`.
    pub transports: Vec<String>,
    /// Since when somebody else may hold it: its counter says that there may be a copy, or it was added when somebody else was
    /// in the account. It does not sign in alone any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspect_at: Option<String>,
}

/// What a page needs for a ceremony.
#[derive(Debug, Serialize, ToSchema)]
pub struct Challenge {
    /// To be sent back with the answer. Opaque; good once, for five minutes.
    pub ceremony: String,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    #[schema(value_type = Object)]
    pub options: Value,
}

impl Passkey {
    /// What the owner sees.
    pub fn view(&self) -> PasskeyView {
        PasskeyView {
            id: self.id.to_string(),
            name: self.name.clone(),
            created_at: self.created_at.rfc3339(),
            last_used_at: self.last_used_at.map(Timestamp::rfc3339),
            backup_eligible: self.has(flag::BE),
            backed_up: self.has(flag::BS),
            user_verified: self.has(flag::UV),
            transports: self.transports().map(str::to_owned).collect(),
            suspect_at: self.suspect_at.map(Timestamp::rfc3339),
        }
    }

    fn has(&self, flag: i64) -> bool {
        self.flags & flag != 0
    }

    fn transports(&self) -> impl Iterator<Item = &str> {
        self.transports.split(' ').filter(|name| !name.is_empty())
    }

    /// What its enrolment adds to the methods of the session.
    fn methods(&self) -> Vec<&'static str> {
        methods(self.has(flag::BE), self.has(flag::UV))
    }

    /// What a mail tells about it.
    fn notice(&self, client: &Client, now: Timestamp) -> PasskeyNotice {
        PasskeyNotice {
            name: self.name.clone(),
            at: now.rfc3339(),
            ip: client.ip.to_string(),
            device: device::describe(client.agent.as_deref().unwrap_or_default()),
        }
    }
}

/// The methods that a proof by passkey stands for (RFC 8176), beside another factor or with its user verified.
fn methods(backup_eligible: bool, user_verified: bool) -> Vec<&'static str> {
    let key = if backup_eligible { amr::SOFTWARE_KEY } else { amr::HARDWARE_KEY };
    let user = user_verified.then_some(amr::USER);
    [key].into_iter().chain(user).chain([amr::SEVERAL_FACTORS]).collect()
}

/// The passkeys of a user, oldest first.
pub async fn of_user(mut db: impl Statements, user: UserId) -> Result<Vec<Passkey>> {
    Ok(store::of_user(&mut db, user).await?)
}

/// How far clocks of nodes may differ.
const SKEW: Duration = Duration::from_secs(60);

/// Marks the passkeys that were enrolled since somebody else was in the account: they sign in no longer alone and are no fresh proof.
/// They stay second factors, since whoever holds only the mailbox must not be able to take one away. Returns how many were marked.
pub async fn suspect_since(tx: &mut Tx, user: UserId, since: Timestamp, now: Timestamp) -> Result<u64> {
    Ok(store::suspect_since(tx, user, since.minus(SKEW), now).await?)
}

/// Removes what is known of ceremonies that expired before an instant, a batch at a time; returns how many.
pub async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    Ok(store::purge(tx, before).await?)
}

/// The handle of a user (WebAuthn Level 3, 5.4.3 and 14.6.1): always the same, and without the time that is in the id.
fn user_handle(user: UserId) -> [u8; 16] {
    let digest = sha256(&[b"passkey user handle/".as_slice(), user.0.as_bytes()].concat());
    digest.first_chunk().copied().unwrap_or_default()
}
