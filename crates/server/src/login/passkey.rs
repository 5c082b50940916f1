//! Passkeys in the flows of coming in. Alone one is two factors, since the authenticator verified its user: to have the key, and to
//! be or know what opens it.
use super::admit::{Admitted, Proven, admit, count};
use super::attempt;
use super::consent::{self, Consent, Verdict};
use super::policy::Needs;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::limits::{self, Budget, Reservation, Subject};
use crate::mail;
use crate::passkeys::{self, Asserted, Bound, Challenge, Whom};
use crate::sessions::{Current, Delivery, amr};
use crate::users::{self, Login};
use crate::web::Client;
use serde_json::{Value, json};

/// What a refused caller is told, whatever was wrong.
const NOT_ACCEPTED: &str = "The passkey was not accepted. Begin again.";

/// What an authenticator answered, and to what.
pub struct Answered {
    /// From the options.
    pub ceremony: String,
    /// The assertion.
    pub credential: Value,
}

/// What a sign-in by passkey needs.
pub struct ByPasskey {
    /// The proof.
    pub answered: Answered,
    /// How tokens travel.
    pub delivery: Delivery,
    /// What the owner calls the device.
    pub device_name: Option<String>,
}

/// What a page needs to ask for a passkey: anybody's, or those of an address or username. The answer does not tell whether
/// anybody has it.
///
/// # Errors
/// The database's.
pub async fn ask(app: &App, identifier: Option<&str>) -> Result<Challenge> {
    let whom = identifier.map_or(Whom::Anyone, Whom::Identifier);
    passkeys::begin_assertion(app, Bound::SignIn, whom).await
}

/// What a page needs to ask for a passkey as second step.
///
/// # Errors
/// [`Code::InvalidAttempt`], also when the attempt waits for something else.
pub async fn ask_in_attempt(app: &App, client: &Client, token: &str) -> Result<Challenge> {
    let attempt = attempt::find(&app.db, client, token, app.now()).await?;
    let user = attempt.user.filter(|_| attempt.needs == Needs::SecondFactor);
    let user = user.ok_or_else(|| Error::new(Code::InvalidAttempt))?;
    passkeys::begin_assertion(app, Bound::Attempt(attempt.id), Whom::User(user)).await
}

/// What a page needs to ask for a passkey as fresh proof.
///
/// # Errors
/// The database's.
pub async fn ask_in_session(app: &App, current: &Current) -> Result<Challenge> {
    let bound = Bound::Session(current.session.id);
    passkeys::begin_assertion(app, bound, Whom::User(current.user.id)).await
}

/// Signs in by passkey alone.
///
/// # Errors
/// [`Code::InvalidCredentials`] whatever was wrong, [`Code::RateLimited`], [`Code::SessionLimitReached`].
pub async fn sign_in(app: &App, client: &Client, request: ByPasskey) -> Result<Admitted> {
    count(app, try_sign_in(app, client, request).await)
}

async fn try_sign_in(app: &App, client: &Client, request: ByPasskey) -> Result<Admitted> {
    let reservation = reserve(app, client).await?;
    let mut decided = decide(app, client, &request, None).await;
    if let Ok(Some(Verdict::Ask(question))) = &decided {
        let word = consent::ask(app, client, question).await;
        decided = decide(app, client, &request, Some(&word)).await;
    }
    let decided = decided
        .and_then(|verdict| verdict.map(|verdict| verdict.admitted(Code::InvalidCredentials)).transpose());
    match decided {
        Ok(Some(admitted)) => {
            reservation.succeeded(app).await;
            Ok(admitted)
        }
        Ok(None) => Err(Error::new(Code::InvalidCredentials).with_detail(NOT_ACCEPTED)),
        Err(error) => {
            reservation.cancelled(app).await;
            Err(error)
        }
    }
}

/// A signature cannot be guessed, but every refusal is written down.
async fn reserve(app: &App, client: &Client) -> Result<Reservation> {
    match limits::reserve(app, Budget::Passkeys, Subject::Nobody, client).await {
        Ok(reservation) => Ok(reservation),
        Err(limited) => {
            if limited.first {
                let event = Event::new(Kind::LoginLimited, client);
                audit::record_alone(app, event.detail(json!({ "by": "passkey" }))).await?;
            }
            Err(limited.error)
        }
    }
}

/// Nothing when the proof is refused; the event says why. `word` is what the hook said, once it was asked.
async fn decide(
    app: &App,
    client: &Client,
    request: &ByPasskey,
    word: Option<&Result<Consent>>,
) -> Result<Option<Verdict>> {
    let Answered { ceremony, credential } = &request.answered;
    let checked = passkeys::check_assertion(app, Bound::SignIn, None, ceremony, credential.clone()).await?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let Some(asserted) = passkeys::accept(app, &mut tx, client, checked, now).await? else {
        mail::commit(app, tx).await?;
        return Ok(None);
    };
    let Some(Login { user, password_hash }) = users::find_credentials(&mut tx, asserted.user).await? else {
        return Ok(None);
    };
    if let Some(Err(error)) = word {
        // The passkey has served all the same, as below.
        mail::commit(app, tx).await?;
        return Err(error.clone());
    }
    let methods = amr::with("", &asserted.methods());
    let proven = Proven {
        user: &user,
        password_hash: password_hash.as_deref(),
        client,
        amr: &methods,
        delivery: request.delivery,
        device_name: request.device_name.as_deref(),
        failures: 0,
        consent: word.and_then(|word| word.as_ref().ok()),
    };
    let verdict = admit(app, &mut tx, &proven, now).await;
    match &verdict {
        Ok(Verdict::Admitted(_)) => {}
        Ok(Verdict::Changed) => {
            refused(app, &mut tx, client, &asserted, (Kind::LoginFailed, "disabled"), now);
        }
        // The passkey has served all the same: its ceremony does not serve once more.
        Err(error) if error.code == Code::SessionLimitReached => {
            refused(app, &mut tx, client, &asserted, (Kind::LoginRefused, "session_limit"), now);
        }
        Ok(Verdict::Ask(_)) | Err(_) => return verdict.map(Some),
    }
    mail::commit(app, tx).await?;
    Ok(match verdict? {
        Verdict::Changed => None,
        other => Some(other),
    })
}

fn refused(
    app: &App,
    tx: &mut Tx,
    client: &Client,
    asserted: &Asserted,
    (kind, reason): (Kind, &str),
    now: Timestamp,
) {
    let event = Event::new(kind, client).user(asserted.user);
    audit::record(app, tx, event.detail(json!({ "reason": reason, "by": "passkey" })), now);
}
