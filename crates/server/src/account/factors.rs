//! What proves a user's identity: the overview, and the way out for somebody who lost it.
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::config::{EmailOtp, FactorPolicy};
use crate::error::Result;
use crate::factors::{self, RecoveryCodesView, TotpView};
use crate::login;
use crate::mail::{self, Message};
use crate::passkeys::{self, Passkey, PasskeyView};
use crate::sessions;
use crate::users::{self, User};
use crate::web::Client;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// What proves a user's identity.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FactorsView {
    /// Whether a password is set.
    pub password: bool,
    /// The authenticator app.
    pub totp: Option<TotpView>,
    /// Passkeys, oldest first.
    pub passkeys: Vec<PasskeyView>,
    /// Recovery codes.
    pub recovery_codes: Option<RecoveryCodesView>,
    /// Whether a sign-in by password needs a mailed code, for users without a second factor: `off`, `always` or `new_device`.
    pub email_otp: EmailOtp,
    /// Whether users have second factors: `off`, `optional` or `required`.
    pub policy: FactorPolicy,
    /// Whether this user may not be without one.
    pub required: bool,
}

/// What proves a user's identity. No secret, ever.
pub async fn overview(app: &App, user: &User) -> Result<FactorsView> {
    Ok(FactorsView {
        password: user.has_password,
        totp: factors::totp_of(&app.db, user.id).await?,
        passkeys: passkeys::of_user(&app.db, user.id).await?.iter().map(Passkey::view).collect(),
        recovery_codes: factors::recovery_codes_of(&app.db, user).await?,
        email_otp: app.config.login.email_otp,
        policy: app.config.factors.policy,
        required: factors::is_required(app, user),
    })
}

/// Removes every second factor of somebody who lost them, for an operator who made sure who asks. All sessions end, and the owner is
/// told by mail. Returns how many sessions were live.
///
/// # Errors
/// The database's.
pub async fn reset_factors(app: &App, user: &User, client: &Client) -> Result<u64> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, user.id).await?;
    factors::remove_all(app, &mut tx, user.id, now).await?;
    passkeys::remove_all(app, &mut tx, user.id, now).await?;
    login::forget_attempts(&mut tx, user.id).await?;
    let ended = sessions::revoke_all(app, &mut tx, user.id, None, "factors_reset", now).await?;
    let event = Event::new(Kind::FactorsReset, client).user(user.id);
    audit::record(app, &mut tx, event.detail(json!({ "by": "operator", "sessions": ended })), now);
    let message = Message::FactorChanged {
        change: "reset",
        factor: "all",
        at: now.rfc3339(),
        ip: client.ip.to_string(),
        device: "the operator".into(),
    };
    mail::enqueue(app, &mut tx, &user.email, &message, now).await?;
    mail::commit(app, tx).await?;
    Ok(ended)
}
