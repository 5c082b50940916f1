//! Ceremonies under way. What the server has to know at their end is sealed and carried by the client; only that one has
//! served is written. So a flood of begun ceremonies fills nothing, and one begun elsewhere does not open.
use super::{CEREMONY_TTL, store};
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::{Error, Result};
use hallpass_crypto::digest::sha256;
use hallpass_crypto::ticket;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Carried<S> {
    expires_at: i64,
    state: S,
}

/// A ceremony that has come back in time to where it began.
pub(super) struct Returned<S> {
    /// What was sealed.
    pub(super) state: S,
    /// What has to be spent.
    pub(super) once: Once,
}

/// A right to serve once.
#[derive(Clone, Copy)]
pub(super) struct Once {
    hash: [u8; 32],
    expires_at: Timestamp,
}

/// Seals the state of a ceremony for one context. The state holds the random challenge.
pub(super) fn begin<S: Serialize>(app: &Inner, context: &str, state: S, now: Timestamp) -> Result<String> {
    let carried = Carried { expires_at: now.plus(CEREMONY_TTL).micros(), state };
    let plain = serde_json::to_vec(&carried).map_err(Error::internal)?;
    Ok(ticket::seal(&app.secrets.passkeys, &plain, context.as_bytes(), app.random_bytes()))
}

/// Opens a ceremony; `None` when it is not ours, is for something else, or has expired.
pub(super) fn come_back<S: DeserializeOwned>(
    app: &Inner,
    context: &str,
    text: &str,
    now: Timestamp,
) -> Option<Returned<S>> {
    let plain = ticket::open(&app.secrets.passkeys, text, context.as_bytes())?;
    let carried: Carried<S> = serde_json::from_slice(&plain).ok()?;
    let expires_at = Timestamp(carried.expires_at);
    let once = Once { hash: sha256(&plain), expires_at };
    (now < expires_at).then_some(Returned { state: carried.state, once })
}

impl Once {
    /// Uses the right up: of parallel calls exactly one succeeds.
    pub(super) async fn spend(&self, tx: &mut Tx) -> Result<bool> {
        Ok(store::spend(tx, &self.hash, self.expires_at).await?)
    }
}
