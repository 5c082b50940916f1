//! The one place that lets somebody in. Every way in brings here what it has proven; either a session begins, or an attempt that
//! tells what is missing.
use super::attempt::{self, Opening};
use super::consent::{Consent, Question, Verdict};
use super::policy::{self, Device, Facts, Needs, Strength};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::codes;
use crate::db::Tx;
use crate::devices;
use crate::error::{Code, Error, Result};
use crate::factors;
use crate::hooks;
use crate::known_devices;
use crate::mail::{self, Message};
use crate::sessions::{self, Delivery, EMAIL_OTP, Issued, Start, amr, device};
use crate::telemetry::Outcome;
use crate::users::{self, Factor, User};
use crate::web::Client;
use hallpass_crypto::digest::sha256;
use hallpass_crypto::secret::Opaque;
use serde_json::json;
use std::time::Duration;

/// What a way in has proven, and how the session shall be.
pub(super) struct Proven<'a> {
    /// Who.
    pub(super) user: &'a User,
    /// The password hash that the account has, and if the password was proven, by which it was.
    pub(super) password_hash: Option<&'a str>,
    /// From where.
    pub(super) client: &'a Client,
    /// By which methods ([`amr`]).
    pub(super) amr: &'a str,
    /// How tokens travel.
    pub(super) delivery: Delivery,
    /// What the owner calls the device.
    pub(super) device_name: Option<&'a str>,
    /// Failures before this.
    pub(super) failures: u32,
    /// The word of the hook, once it was asked for.
    pub(super) consent: Option<&'a Consent>,
}

/// What came of it.
pub enum Admitted {
    /// In.
    SignedIn(Box<SignedIn>),
    /// Something is missing.
    Wanted(Wanted),
}

/// A finished sign-in.
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// The session and its tokens.
    pub issued: Issued,
    /// Recovery codes, when a second factor was set up on the way.
    pub recovery_codes: Option<Vec<String>>,
}

/// What a sign-in still needs.
pub struct Wanted {
    /// Token of the attempt.
    pub attempt: Opaque,
    /// Whether a second factor has to be set up, by one of `methods`; else one of them has to be proven.
    pub enrolment: bool,
    /// Names on the wire.
    pub methods: Vec<&'static str>,
    /// How long the attempt lives.
    pub life: Duration,
}

/// Counts what came of a step of a sign-in, whichever way it went.
pub(super) fn count(app: &App, result: Result<Admitted>) -> Result<Admitted> {
    let outcome = match result.as_ref().map_err(|error| error.code) {
        Ok(Admitted::SignedIn(_)) => "ok",
        Ok(Admitted::Wanted(_)) => "second_factor",
        Err(Code::InvalidCredentials | Code::InvalidCode) => "wrong",
        Err(Code::RateLimited) => "limited",
        Err(_) => "refused",
    };
    app.metrics.logins.get_or_create(&Outcome { outcome }).inc();
    result
}

/// Begins the session, or an attempt. When the account was closed, or its password, factors or roles changed meanwhile, or
/// the trust of its device ended, or when the hook has to be asked first, the caller drops the transaction.
///
/// # Errors
/// [`Code::SessionLimitReached`], [`Code::RateLimited`] for mailed codes.
pub(super) async fn admit(app: &App, tx: &mut Tx, proven: &Proven<'_>, now: Timestamp) -> Result<Verdict> {
    let facts = facts(app, tx, proven, now).await?;
    if let Some(needs) = policy::missing(facts) {
        return Ok(Verdict::Admitted(Admitted::Wanted(want(app, tx, proven, needs, now).await?)));
    }
    if hooks::asks_before_login(app) {
        match proven.consent {
            None => return Ok(Verdict::Ask(Question::new(proven.user, proven.amr, proven.device_name))),
            Some(consent) if !consent.covers(proven.user, proven.amr) => return Ok(Verdict::Changed),
            Some(_) => {}
        }
    }
    let by_trust = facts.device == Device::Trusted && facts.asks_for_factor();
    let begun = begin_session(app, tx, proven, by_trust, now).await?;
    Ok(begun.map_or(Verdict::Changed, Verdict::Admitted))
}

async fn facts(app: &App, tx: &mut Tx, proven: &Proven<'_>, now: Timestamp) -> Result<Facts> {
    let user = proven.user;
    let device = devices::recognise(app, tx, proven.client, Some(user.id)).await?;
    Ok(Facts {
        policy: app.config.factors.policy,
        email_otp: app.config.login.email_otp,
        required: factors::is_required(app, user),
        enrolled: user.has_second_factor(),
        proven: if amr::has(proven.amr, amr::SEVERAL_FACTORS) {
            Strength::SecondFactor
        } else if amr::has(proven.amr, amr::EMAIL) {
            Strength::Mailbox
        } else {
            Strength::Password
        },
        device: match device {
            Some(device) if device.trusted(now) => Device::Trusted,
            Some(_) => Device::Known,
            None => Device::Unknown,
        },
    })
}

/// Starts the session with its event, which tells how many failures came before.
async fn begin_session(
    app: &App,
    tx: &mut Tx,
    proven: &Proven<'_>,
    by_trust: bool,
    now: Timestamp,
) -> Result<Option<Admitted>> {
    let id = proven.user.id;
    if !users::note_login(tx, id, proven.password_hash, now).await? {
        return Ok(None);
    }
    // As it is now: others may have changed it since it was proven, and so may this transaction.
    let user = users::find_in(tx, id).await?.ok_or_else(|| Error::new(Code::InvalidCredentials))?;
    let start = Start {
        user: &user,
        client: proven.client,
        amr: proven.amr,
        delivery: proven.delivery,
        device_name: proven.device_name,
    };
    let issued = sessions::start(app, tx, &start, now).await?;
    known_devices::tell_if_new(app, tx, proven.user, proven.client, &issued, now).await?;
    let event = Event::new(Kind::LoginSucceeded, proven.client).user(id).session(issued.session.id);
    let detail = match proven.failures {
        0 => json!({ "amr": proven.amr }),
        failures => json!({ "amr": proven.amr, "afterFailures": failures }),
    };
    audit::record(app, tx, event.detail(detail), now);
    // On a database server it was judged by what others may have changed until `note_login`; from then on nobody changes the
    // user, and the device is as the session found it.
    let same = amr::has(proven.amr, amr::SEVERAL_FACTORS)
        || (user.factors == proven.user.factors && user.roles == proven.user.roles);
    let trust = issued.device.as_ref().is_some_and(|noted| noted.device.trusted(now));
    if !same || (by_trust && !trust) {
        return Ok(None);
    }
    Ok(Some(Admitted::SignedIn(Box::new(SignedIn { user, issued, recovery_codes: None }))))
}

/// Begins an attempt that waits for what is missing, and mails the code if that is it.
async fn want(app: &App, tx: &mut Tx, proven: &Proven<'_>, needs: Needs, now: Timestamp) -> Result<Wanted> {
    let code = (needs == Needs::EmailCode).then(|| codes::new_code(app));
    if code.is_some() && !attempt::may_mail_code(tx, proven.user, now).await? {
        return Err(attempt::too_many_mails());
    }
    let code_life = app.config.codes.sign_in_code_life();
    let life = match needs {
        Needs::SecondFactor => attempt::LIFE,
        Needs::EmailCode => attempt::LIFE.max(code_life),
        Needs::Enrolment => attempt::ENROLMENT_LIFE,
    };
    let opening = Opening {
        user: Some(proven.user.id),
        identifier_hash: None,
        credential: proven.password_hash.map(|hash| sha256(hash.as_bytes())),
        amr: proven.amr,
        needs,
        code: code.as_deref().map(|code| (code, code_life)),
        link: None,
        client: proven.client,
        delivery: proven.delivery,
        device_name: proven.device_name,
        failures: proven.failures,
        life,
    };
    let token = attempt::open(app, tx, &opening, now).await?;
    if let Some(code) = code {
        mail::enqueue(app, tx, &proven.user.email, &code_message(app, proven.client, code), now).await?;
    }
    let event = Event::new(Kind::SecondFactorRequired, proven.client).user(proven.user.id);
    let detail = json!({ "amr": proven.amr, "needs": needs.name() });
    audit::record(app, tx, event.detail(detail), now);
    Ok(Wanted {
        attempt: token,
        enrolment: needs == Needs::Enrolment,
        methods: methods(needs, proven.user),
        life,
    })
}

/// What would do, by the names on the wire.
pub(super) fn methods(needs: Needs, user: &User) -> Vec<&'static str> {
    match needs {
        Needs::SecondFactor => user.factors.iter().copied().map(Factor::name).collect(),
        Needs::EmailCode => vec![EMAIL_OTP],
        Needs::Enrolment => vec![Factor::Totp.name()],
    }
}

/// The mail with a code that finishes a sign-in.
pub(super) fn code_message(app: &App, client: &Client, code: String) -> Message {
    Message::SignInCode {
        code,
        seconds: app.config.codes.sign_in_code_life().as_secs(),
        ip: client.ip.to_string(),
        device: device::describe(client.agent.as_deref().unwrap_or_default()),
    }
}
