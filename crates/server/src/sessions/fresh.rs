//! What changes credentials, deletes or exports needs a fresh proof of identity: of a second factor, where one is set up.
use super::{Current, amr};
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::config::FactorPolicy;
use crate::error::{Code, Error, Result};
use crate::users::Factor;

/// A mailed code, as a way to prove identity again.
pub const EMAIL_OTP: &str = "email_otp";
/// The password, as a way to prove identity again.
const PASSWORD: &str = "password";

impl Current {
    /// Whether the latest proof of identity is fresh enough (ASVS 7.5.1, 7.5.3).
    ///
    /// # Errors
    /// [`Code::ReauthenticationRequired`] with the methods that would do, and the challenge of RFC 9470.
    pub fn require_fresh(&self, app: &Inner, now: Timestamp) -> Result<()> {
        let window = app.config.sessions.reauthentication_window;
        let with_factor = self.needs_factor(app);
        let proven_at = if with_factor { self.session.factor_at } else { Some(self.session.auth_time) };
        let acts = self.session.impersonator.is_some();
        if !acts && proven_at.is_some_and(|at| at.plus(window) > now) {
            return Ok(());
        }
        let acr = if with_factor { amr::TWO_FACTORS } else { amr::ONE_FACTOR };
        let challenge = format!(
            "Bearer error=\"insufficient_user_authentication\", acr_values=\"{acr}\", max_age={}",
            window.as_secs()
        );
        let error = Error::new(Code::ReauthenticationRequired).with_challenge(challenge);
        Err(error.with_methods(self.ways_to_prove(app)))
    }

    /// Whether only a second factor proves enough.
    pub fn needs_factor(&self, app: &Inner) -> bool {
        app.config.factors.policy != FactorPolicy::Off && self.user.has_second_factor()
    }

    /// What would do as a fresh proof.
    pub fn ways_to_prove(&self, app: &Inner) -> Vec<&'static str> {
        if self.needs_factor(app) {
            return self.user.factors.iter().copied().map(Factor::name).collect();
        }
        // Who has a password proves by it: a mailbox alone must not be enough to change it.
        let alone = if self.user.has_password { PASSWORD } else { EMAIL_OTP };
        // By itself it is two factors.
        let passkey = self.user.factors.contains(&Factor::Passkey).then_some(Factor::Passkey.name());
        [alone].into_iter().chain(passkey).collect()
    }
}
