//! What proves a user's identity: the overview.
use crate::app::App;
use crate::config::{EmailOtp, FactorPolicy};
use crate::error::Result;
use crate::factors::{self, RecoveryCodesView, TotpView};
use crate::passkeys::{self, Passkey, PasskeyView};
use crate::users::User;
use serde::Serialize;
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
