//! Which second factors a user has set up, as every check of a session knows it. The secrets themselves are the business of
//! the features that hold them; each tells here, in its own transaction, when its factor comes or goes.
use super::{store, tell};
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::devices;
use crate::error::Result;
use crate::ids::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A way to prove identity beside the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// WebAuthn credential.
    Passkey,
    /// One-time code printed or written down, each good once.
    RecoveryCode,
    /// Time-based code of an authenticator app (RFC 6238).
    Totp,
}

impl Factor {
    /// Every factor, in the order of names.
    pub const ALL: [Self; 3] = [Self::Passkey, Self::RecoveryCode, Self::Totp];

    /// The name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::RecoveryCode => "recovery_code",
            Self::Totp => "totp",
        }
    }

    /// Reads what [`write`] wrote.
    pub(super) fn read(text: &str) -> Vec<Self> {
        let named = |name| Self::ALL.into_iter().find(|factor| factor.name() == name);
        text.split(' ').filter_map(named).collect()
    }
}

/// Names separated by one space, sorted.
pub(super) fn write(factors: &[Factor]) -> String {
    let names: Vec<&str> = factors.iter().map(|factor| factor.name()).collect();
    names.join(" ")
}

/// Has whoever changes what proves a user's identity (password, address, second factors), or ends what somebody else did in the account, wait
/// for whoever does so already. To be called first in the transaction, so that nobody writes by what was read before, and that
/// no two wait for each other's rows.
pub async fn lock_factors(tx: &mut Tx, id: UserId) -> Result<()> {
    Ok(tx.lock(&format!("factors/{id}")).await?)
}

/// Notes that a factor is set up, or not any more. The caller holds [`lock_factors`].
pub async fn set_factor(
    app: &Inner,
    tx: &mut Tx,
    id: UserId,
    factor: Factor,
    present: bool,
    now: Timestamp,
) -> Result<()> {
    let Some(user) = store::find(tx, id).await? else { return Ok(()) };
    let mut factors: Vec<Factor> = user.factors.into_iter().filter(|known| *known != factor).collect();
    factors.extend(present.then_some(factor));
    factors.sort_unstable();
    // The user before devices, as a sign-in takes them: on a database server they would wait for each other otherwise.
    let changed = store::set_factors(tx, id, &write(&factors), now).await?;
    // Whoever was trusted was so with the factors of then.
    devices::distrust_all(tx, id).await?;
    tell(app, tx, id, changed, now).await.map(drop)
}
