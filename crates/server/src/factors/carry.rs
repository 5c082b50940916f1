//! Authenticator apps and recovery codes that come from elsewhere or go there.
use super::store;
use super::totp::bound_to;
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::{Error, Result};
use crate::ids::{RowId, UserId};
use hallpass_crypto::totp::Secret;

/// A confirmed authenticator app.
pub struct CarriedTotp {
    /// What the app knows.
    pub secret: Secret,
    /// When it was set up.
    pub created_at: Timestamp,
    /// The latest time step whose code was taken; it and those before it are not taken again.
    pub last_step: i64,
    /// When its latest code was taken.
    pub last_used_at: Option<Timestamp>,
}

/// What a user has of both.
#[derive(Default)]
pub struct Carried {
    /// The authenticator app.
    pub totp: Option<CarriedTotp>,
    /// Digests of recovery codes that were not used; each is bound to the id of the user.
    pub recovery_codes: Vec<[u8; 32]>,
}

/// Stores the factors of users who were created in the same transaction, with these kinds in `users.factors`.
///
/// # Errors
/// The database's.
pub async fn import(app: &Inner, tx: &mut Tx, factors: &[(UserId, &Carried)], now: Timestamp) -> Result<()> {
    let sealed: Vec<(UserId, &CarriedTotp, Vec<u8>)> = factors
        .iter()
        .filter_map(|(user, carried)| {
            let totp = carried.totp.as_ref()?;
            let sealer = &app.secrets.sealer;
            Some((*user, totp, sealer.seal(totp.secret.bytes(), &bound_to(*user), app.random_bytes())))
        })
        .collect();
    let apps: Vec<store::ImportedTotp<'_>> = sealed
        .iter()
        .map(|(user, totp, sealed)| store::ImportedTotp {
            user: *user,
            id: RowId(app.new_id(now)),
            totp,
            sealed,
        })
        .collect();
    store::import_totp(tx, &apps).await?;
    let codes: Vec<(RowId, UserId, &[u8; 32])> = factors
        .iter()
        .flat_map(|(user, carried)| carried.recovery_codes.iter().map(|code| (*user, code)))
        .map(|(user, code)| (RowId(app.new_id(now)), user, code))
        .collect();
    store::import_codes(tx, &codes, now).await?;
    Ok(())
}

/// What a user has, with the secret opened.
///
/// # Errors
/// The database's; the secret was sealed under a key that is not in the settings.
pub async fn carry(app: &Inner, mut db: impl Statements, user: UserId) -> Result<Carried> {
    let stored = store::find_totp(&mut db, user).await?.filter(|totp| totp.confirmed_at.is_some());
    let totp = stored.map(|totp| {
        let secret =
            app.secrets.sealer.open(&totp.sealed_secret, &bound_to(user)).map_err(Error::internal)?;
        let secret = Secret::from_bytes(&secret).ok_or_else(|| {
            Error::internal(std::io::Error::other("a stored authenticator secret has a bad length"))
        })?;
        let (created_at, last_step, last_used_at) = (totp.created_at, totp.last_step, totp.last_used_at);
        Ok::<_, Error>(CarriedTotp { secret, created_at, last_step, last_used_at })
    });
    let recovery_codes = store::unused_codes(&mut db, user).await?;
    Ok(Carried { totp: totp.transpose()?, recovery_codes })
}
