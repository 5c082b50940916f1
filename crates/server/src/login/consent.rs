//! The word of `hooks.before_login`, without which no session begins where that is set. It is asked for outside the transaction: the
//! gate (`admit`) tells that it wants it, the transaction is undone, and with the word the step is taken once more.
use super::admit::Admitted;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::error::{Code, Error, Result};
use crate::hooks::{self, SignIn};
use crate::users::User;
use crate::web::Client;
use serde_json::json;

/// Who wants to come in, with what proven.
pub(super) struct Question {
    user: Box<User>,
    amr: String,
    device_name: Option<String>,
    is_new: bool,
}

impl Question {
    pub(super) fn new(user: &User, amr: &str, device_name: Option<&str>) -> Self {
        let user = Box::new(user.clone());
        Self { user, amr: amr.to_owned(), device_name: device_name.map(str::to_owned), is_new: false }
    }

    /// Of an account that comes into being with the session.
    pub(super) fn of_new_account(self) -> Self {
        Self { is_new: true, ..self }
    }
}

/// The hook allows one sign-in. Made by [`ask`] alone.
pub(super) struct Consent {
    email_normalised: String,
    amr: String,
}

impl Consent {
    /// Whether it was given for this.
    pub(super) fn covers(&self, user: &User, amr: &str) -> bool {
        self.email_normalised == user.email_normalised && self.amr == amr
    }
}

/// What the gate says.
pub(super) enum Verdict {
    /// In, or what is missing.
    Admitted(Admitted),
    /// The account was closed, or its password, factors or roles changed meanwhile.
    Changed,
    /// The hook has to be asked first.
    Ask(Question),
}

impl Verdict {
    /// What came of it once the hook was asked.
    pub(super) fn admitted(self, otherwise: Code) -> Result<Admitted> {
        match self {
            Self::Admitted(admitted) => Ok(admitted),
            Self::Changed | Self::Ask(_) => Err(Error::new(otherwise)),
        }
    }
}

/// Asks the hook; a refusal is written down.
///
/// # Errors
/// [`Code::RefusedByHook`], [`Code::HookFailed`].
pub(super) async fn ask(app: &App, client: &Client, question: &Question) -> Result<Consent> {
    let Question { user, amr, device_name, is_new } = question;
    let sign_in = SignIn { user, is_new: *is_new, amr, device_name: device_name.as_deref() };
    if let Err(error) = hooks::before_login(app, client, &sign_in).await {
        let event = Event::new(Kind::LoginRefused, client);
        let event = if *is_new { event.identifier(&user.email_normalised) } else { event.user(user.id) };
        audit::record_alone(app, event.detail(json!({ "reason": error.code.name(), "amr": amr }))).await?;
        return Err(error);
    }
    Ok(Consent { email_normalised: user.email_normalised.clone(), amr: amr.clone() })
}
