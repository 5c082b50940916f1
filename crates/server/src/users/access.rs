//! The one gate to having an account: `registration.access`. Every way to an account names itself, and [`super::create`] asks here.
use crate::app::Inner;
use crate::config::Access;
use crate::error::{Code, Error, Result};
use crate::names::Email;

/// By which way somebody comes to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By one's own wish, whatever proves the address.
    SignUp,
    /// By an invitation.
    Invitation,
    /// Made by an operator or an administrator, who are not bound by the setting.
    Appointed,
}

/// Refuses those who may not have an account. Depends on the settings and on the address alone, never on what is stored, so that
/// nobody learns from it who has an account; so whoever asks does so before anything is looked up.
///
/// # Errors
/// [`Code::RegistrationClosed`].
pub fn check_access(app: &Inner, way: Way, email: &Email) -> Result<()> {
    let settings = &app.config.registration;
    let refused = match (settings.access, way) {
        (_, Way::Appointed) | (Access::Open, _) | (Access::InviteOnly | Access::Domains, Way::Invitation) => {
            return Ok(());
        }
        (Access::Domains, Way::SignUp) if settings.lists(email) => return Ok(()),
        (Access::Domains, Way::SignUp) => "Addresses of this domain cannot register here.",
        (Access::InviteOnly, Way::SignUp) => "Accounts are by invitation here. Ask for one.",
        (Access::Closed, _) => "No new accounts are made here.",
    };
    Err(Error::new(Code::RegistrationClosed).with_detail(refused))
}
