//! Authenticator apps (RFC 6238). A secret is sealed before it is stored, counts from its confirmation by a code, and each of
//! its codes serves once.
use super::store::{self, Totp};
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::config::Profile;
use crate::db::{Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::ids::{RowId, UserId};
use crate::users::User;
use fast_qr::convert::svg::SvgBuilder;
use fast_qr::qr::QRBuilder;
use hallpass_crypto::code;
use hallpass_crypto::totp::Secret;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// How long a secret waits for the code that confirms it.
const CONFIRM_WITHIN: Duration = Duration::from_secs(15 * 60);

/// What an authenticator app needs; shown once.
#[derive(Serialize, ToSchema)]
pub struct TotpSetup {
    /// Base32, to be typed where no camera is.
    pub secret: String,
    /// `otpauth` URI, for a link on the device that has the app.
    pub uri: String,
    /// The URI as QR code: an SVG image.
    pub qr: String,
}

/// Begins to set an app up; an earlier beginning is void.
///
/// # Errors
/// [`Code::FactorExists`] when one is set up.
pub(super) async fn begin(app: &Inner, tx: &mut Tx, user: &User, now: Timestamp) -> Result<TotpSetup> {
    let secret = Secret::new(app.random_bytes());
    let sealed = app.secrets.sealer.seal(secret.bytes(), &bound_to(user.id), app.random_bytes());
    if !store::begin_totp(tx, user.id, RowId(app.new_id(now)), &sealed, now).await? {
        return Err(Error::new(Code::FactorExists));
    }
    let uri = secret.uri(&app.config.mail.product_name, &user.email);
    let qr = QRBuilder::new(uri.as_bytes()).build().map_err(Error::internal)?;
    Ok(TotpSetup {
        secret: secret.base32().to_string(),
        uri: uri.to_string(),
        qr: SvgBuilder::default().to_str(&qr),
    })
}

/// Confirms an app by one of its codes. `false` when the code is wrong or nothing was begun of late.
pub(super) async fn confirm(
    app: &Inner,
    tx: &mut Tx,
    user: UserId,
    typed: &str,
    now: Timestamp,
) -> Result<bool> {
    let waits = |totp: &Totp| totp.confirmed_at.is_none() && totp.created_at.plus(CONFIRM_WITHIN) > now;
    let begun = store::find_totp(tx, user).await?.filter(waits);
    match right_step(app, user, begun.as_ref(), typed, now)? {
        Some((id, step)) => Ok(store::confirm_totp(tx, id, user, step, now).await?),
        None => Ok(false),
    }
}

/// Takes a code. `false` when it is wrong, was used, or no app is set up.
pub(super) async fn take(
    app: &Inner,
    tx: &mut Tx,
    user: UserId,
    typed: &str,
    now: Timestamp,
) -> Result<bool> {
    let confirmed = store::find_totp(tx, user).await?.filter(|totp| totp.confirmed_at.is_some());
    match right_step(app, user, confirmed.as_ref(), typed, now)? {
        Some((id, step)) => Ok(store::take_step(tx, id, user, step, now).await?),
        None => Ok(false),
    }
}

/// The time step that a typed code belongs to, if it is a right one.
fn right_step(
    app: &Inner,
    user: UserId,
    totp: Option<&Totp>,
    typed: &str,
    now: Timestamp,
) -> Result<Option<(RowId, i64)>> {
    let (Some(totp), Some(code)) = (totp, code::normalise(typed)) else { return Ok(None) };
    let secret = app.secrets.sealer.open(&totp.sealed_secret, &bound_to(user)).map_err(Error::internal)?;
    let secret = Secret::from_bytes(&secret).ok_or_else(|| Error::internal("a TOTP secret is malformed"))?;
    let earlier = u8::from(app.config.profile != Profile::Strict);
    Ok(secret.verify(&code, now.seconds(), earlier, totp.last_step).map(|step| (totp.id, step)))
}

/// What a secret is sealed for, so that it opens in nobody else's row.
pub(super) fn bound_to(user: UserId) -> Vec<u8> {
    format!("totp/{user}").into_bytes()
}

/// Seals anew what was sealed under a former secret key: a page of users after a cursor. Returns the next cursor.
///
/// # Errors
/// The database's, or a secret that no key opens.
pub async fn reseal(app: &Inner, tx: &mut Tx, after: &str) -> Result<Option<String>> {
    let page = store::totp_after(tx, after, RESEALED_AT_ONCE).await?;
    for (user, _, sealed) in page.iter().filter(|(_, _, sealed)| app.secrets.sealer.is_stale(sealed)) {
        let secret = app.secrets.sealer.open(sealed, &bound_to(*user)).map_err(Error::internal)?;
        let renewed = app.secrets.sealer.seal(&secret, &bound_to(*user), app.random_bytes());
        store::reseal_totp(tx, *user, sealed, &renewed).await?;
    }
    Ok(page.last().map(|(user, _, _)| user.to_string()))
}

const RESEALED_AT_ONCE: i64 = 200;

/// When a user's app was set up and last used.
pub(super) async fn about(
    mut db: impl Statements,
    user: UserId,
) -> Result<Option<(Timestamp, Option<Timestamp>)>> {
    let found = store::find_totp(&mut db, user).await?;
    Ok(found.and_then(|totp| totp.confirmed_at.map(|_| (totp.created_at, totp.last_used_at))))
}
