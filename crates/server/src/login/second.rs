//! The second step of a sign-in: what an attempt waits for is proven, or set up.
use super::admit::{Admitted, Proven, admit, count};
use super::attempt::{self, Attempt};
use super::consent::{self, Consent, Verdict};
use super::mailbox;
use super::passkey::Answered;
use super::policy::Needs;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::devices;
use crate::error::{Code, Error, Result};
use crate::factors::{self, By, TotpSetup, Typed};
use crate::limits::{self, Budget, Subject};
use crate::mail::{self, Message};
use crate::names::Email;
use crate::passkeys::{self, Bound, Checked};
use crate::sessions::{EMAIL_OTP, amr, device};
use crate::users::{self, Login, User};
use crate::web::Client;
use data_encoding::HEXLOWER;
use hallpass_crypto::digest::{equal, sha256};
use serde_json::json;

/// What a client sends to finish a sign-in.
pub struct Finish {
    /// Which attempt.
    pub attempt: Which,
    /// If it is sent, the address that the sign-in is about.
    pub email: Option<Email>,
    /// What shall do.
    pub given: Given,
    /// Whether the device may do without the second factor for a while.
    pub remember_device: bool,
}

/// What names an attempt.
pub enum Which {
    /// Its token.
    Token(String),
    /// The address of the account: the latest attempt that this very client has begun with its password. For front ends of
    /// `compat.authy` that keep no cookies.
    Latest(Email),
}

/// What shall finish a sign-in.
pub enum Given {
    /// Something typed, and what it is; guessed from its form if not said.
    Typed(String, Option<Method>),
    /// What an authenticator answered.
    Passkey(Answered),
}

/// The same, as far as it can be looked at before the transaction.
enum Seen<'a> {
    Typed(&'a str, Option<Method>),
    Passkey(Checked),
}

/// Ways to finish that are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The mailed code.
    EmailOtp,
    /// A second factor.
    Factor(Typed),
}

impl Method {
    /// Names on the wire.
    pub const NAMES: [(&'static str, Option<Self>); 3] = [
        (EMAIL_OTP, Some(Self::EmailOtp)),
        (Typed::Totp.name(), Some(Self::Factor(Typed::Totp))),
        (Typed::RecoveryCode.name(), Some(Self::Factor(Typed::RecoveryCode))),
    ];
}

/// Finishes a sign-in, or takes it one step further.
///
/// # Errors
/// [`Code::InvalidAttempt`], [`Code::InvalidCode`], [`Code::RateLimited`], [`Code::SessionLimitReached`].
pub async fn finish(app: &App, client: &Client, request: &Finish) -> Result<Admitted> {
    count(app, finish_limited(app, client, request).await)
}

async fn finish_limited(app: &App, client: &Client, request: &Finish) -> Result<Admitted> {
    let attempt = match &request.attempt {
        Which::Token(token) => attempt::find(&app.db, client, token, app.now()).await?,
        Which::Latest(email) => attempt::find_latest(app, client, email, app.now()).await?,
    };
    let owner = attempt.user.map(Subject::User);
    // An address that may belong to nobody is counted as such, whether it does or not, but for its user's own devices: what
    // strangers typed must not delay those.
    let known = devices::recognise(app, &app.db, client, attempt.user).await?.is_some();
    let given = attempt.identifier_hash.as_deref().map(Subject::Identifier).filter(|_| !known);
    let subject = given.or(owner).ok_or_else(|| Error::new(Code::InvalidAttempt))?;
    let reservation = match limits::reserve(app, Budget::Codes, subject, client).await {
        Ok(reservation) => reservation,
        Err(limited) => {
            // Once for each wait: a flood of refused calls must not become a flood of rows.
            if let Some(user) = attempt.user.filter(|_| limited.first) {
                let event = Event::new(Kind::LoginLimited, client).user(user);
                audit::record_alone(app, event.detail(json!({ "needs": attempt.needs.name() }))).await?;
            }
            return Err(limited.error);
        }
    };
    let mut result = try_finish(app, client, &attempt, request, None).await;
    if let Ok(Verdict::Ask(question)) = &result {
        result = match consent::ask(app, client, question).await {
            Ok(consent) => try_finish(app, client, &attempt, request, Some(&consent)).await,
            Err(error) => Err(error),
        };
    }
    let result = result.and_then(|verdict| verdict.admitted(Code::InvalidAttempt));
    match &result {
        Ok(_) => reservation.succeeded(app).await,
        Err(error) if error.code == Code::InvalidCode => {}
        Err(_) => reservation.cancelled(app).await,
    }
    result
}

async fn try_finish(
    app: &App,
    client: &Client,
    attempt: &Attempt,
    request: &Finish,
    consent: Option<&Consent>,
) -> Result<Verdict> {
    let seen = look(app, attempt, request).await?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, attempt.user_or_decoy()).await?;
    let attempt = attempt::count_try(&mut tx, attempt.id, now).await?;
    let login = owner(app, &mut tx, &attempt).await?;
    if !is_about(app, &attempt, login.as_ref(), request.email.as_ref()) {
        // It counts as a try: addresses must not be tested for nothing.
        tx.commit().await?;
        return Err(Error::new(Code::InvalidAttempt));
    }
    let Some(step) = prove(app, &mut tx, client, &attempt, login.as_ref(), seen).await? else {
        return Err(wrong(app, tx, client, &attempt, login.as_ref(), now).await?);
    };
    let Some(Login { user, password_hash }) = login else { return Err(Error::new(Code::InvalidCode)) };
    attempt::take(&mut tx, &attempt).await?;
    let step = Step { remember_device: request.remember_device, consent, ..step };
    go_on(app, tx, client, &attempt, (user, password_hash), step).await
}

/// Verifies a passkey, which takes too long for a transaction.
async fn look<'a>(app: &App, attempt: &Attempt, request: &'a Finish) -> Result<Seen<'a>> {
    match &request.given {
        Given::Typed(otp, method) => Ok(Seen::Typed(otp, *method)),
        Given::Passkey(_) if attempt.needs != Needs::SecondFactor || attempt.user.is_none() => {
            Err(Error::new(Code::InvalidAttempt))
        }
        Given::Passkey(Answered { ceremony, credential }) => {
            let (bound, credential) = (Bound::Attempt(attempt.id), credential.clone());
            let checked = passkeys::check_assertion(app, bound, attempt.user, ceremony, credential).await?;
            Ok(Seen::Passkey(checked))
        }
    }
}

/// Lets the owner of an attempt in with what is proven now.
pub(super) async fn go_on(
    app: &App,
    mut tx: Tx,
    client: &Client,
    attempt: &Attempt,
    (user, password_hash): (User, Option<String>),
    step: Step<'_>,
) -> Result<Verdict> {
    let now = app.now();
    let (user, password_hash) = if step.methods.contains(&amr::EMAIL) && attempt.amr.is_empty() {
        mailbox::claim(app, &mut tx, client, user, password_hash, now).await?
    } else {
        (user, password_hash)
    };
    let methods = amr::with(&attempt.amr, &step.methods);
    let proven = Proven {
        user: &user,
        password_hash: password_hash.as_deref(),
        client,
        amr: &methods,
        delivery: attempt.delivery,
        device_name: attempt.device_name.as_deref(),
        failures: attempt
            .failures()
            .saturating_add(u32::try_from(attempt.failed_tries).unwrap_or(0).saturating_sub(1)),
        consent: step.consent,
    };
    let mut admitted = match admit(app, &mut tx, &proven, now).await? {
        Verdict::Admitted(admitted) => admitted,
        other => return Ok(other),
    };
    if let Admitted::SignedIn(done) = &mut admitted {
        done.recovery_codes = step.recovery_codes;
        if let Some(noted) = done.issued.device.as_ref().filter(|_| step.remember_device)
            && amr::has(&methods, amr::SEVERAL_FACTORS)
        {
            devices::trust(app, &mut tx, client, &noted.device, now).await?;
        }
    }
    mail::commit(app, tx).await?;
    Ok(Verdict::Admitted(admitted))
}

/// The account of an attempt, provided that it is open and has still the password that was verified, or the address that was
/// mailed to. One that was begun with an address is a decoy from the moment it is not.
pub(super) async fn owner(app: &App, tx: &mut Tx, attempt: &Attempt) -> Result<Option<Login>> {
    // A decoy asks the database as well, so that time does not tell who has an account.
    let login = users::find_credentials(tx, attempt.user_or_decoy()).await?;
    if attempt.user.is_none() {
        return Ok(None);
    }
    let same = |login: &Login| {
        let digest = login.password_hash.as_ref().map(|hash| sha256(hash.as_bytes()));
        let unchanged = match (&attempt.credential, &digest) {
            (Some(then), Some(now)) => equal(then, now),
            (Some(_), None) => false,
            (None, _) => true,
        };
        unchanged && login.user.disabled_at.is_none()
    };
    let login = login.filter(same);
    let Some(hash) = &attempt.identifier_hash else {
        return login.map(Some).ok_or_else(|| Error::new(Code::InvalidAttempt));
    };
    // Links and codes that were mailed to a former address open nothing any more.
    let mailed_to =
        |login: &Login| equal(hash.as_bytes(), hash_of(app, &login.user.email_normalised).as_bytes());
    Ok(login.filter(mailed_to))
}

/// Whether the address that was sent, if any, is the one that the attempt is about.
fn is_about(app: &App, attempt: &Attempt, login: Option<&Login>, email: Option<&Email>) -> bool {
    let Some(email) = email else { return true };
    match (&attempt.identifier_hash, login) {
        (Some(hash), _) => equal(hash.as_bytes(), identifier_hash(app, email).as_bytes()),
        (None, Some(login)) => login.user.email_normalised == email.normalised,
        (None, None) => false,
    }
}

/// Keyed hash of an address that may belong to nobody.
pub(super) fn identifier_hash(app: &App, email: &Email) -> String {
    hash_of(app, &email.normalised)
}

/// The same, of a normalised address.
pub(super) fn hash_of(app: &App, normalised: &str) -> String {
    HEXLOWER.encode(&app.secrets.identifiers.mac(normalised.as_bytes()))
}

/// What a step has proven.
pub(super) struct Step<'a> {
    pub(super) methods: Vec<&'static str>,
    pub(super) recovery_codes: Option<Vec<String>>,
    /// Whether the device is to be trusted after it.
    pub(super) remember_device: bool,
    /// The word of the hook, once it was asked for.
    pub(super) consent: Option<&'a Consent>,
}

/// Judges what was given. Nothing when it is wrong.
async fn prove(
    app: &App,
    tx: &mut Tx,
    client: &Client,
    attempt: &Attempt,
    login: Option<&Login>,
    seen: Seen<'_>,
) -> Result<Option<Step<'static>>> {
    let now = app.now();
    let (otp, method) = match seen {
        Seen::Typed(otp, method) => (otp, method),
        Seen::Passkey(checked) => {
            let asserted = passkeys::accept(app, tx, client, checked, now).await?;
            let methods = asserted.map(|asserted| asserted.methods());
            return Ok(methods.map(|methods| Step {
                methods,
                recovery_codes: None,
                remember_device: false,
                consent: None,
            }));
        }
    };
    if attempt.needs == Needs::EmailCode {
        let asked = matches!(method, None | Some(Method::EmailOtp));
        let right = asked && attempt.is_code(app, otp, now) && login.is_some();
        return Ok(right.then(|| Step {
            methods: vec![amr::EMAIL],
            recovery_codes: None,
            remember_device: false,
            consent: None,
        }));
    }
    let Some(login) = login else { return Ok(None) };
    let by = By { user: &login.user, client, session: None };
    if attempt.needs == Needs::Enrolment {
        let codes = factors::confirm_totp_in(app, tx, &by, otp, now).await?;
        let methods = Typed::Totp.methods().to_vec();
        return Ok(codes.map(|recovery_codes| Step {
            methods,
            recovery_codes,
            remember_device: false,
            consent: None,
        }));
    }
    let method = match method {
        None => Typed::guess(otp),
        Some(Method::Factor(method)) => method,
        Some(Method::EmailOtp) => return Ok(None),
    };
    let right = factors::take(app, tx, &by, method, otp, now).await?;
    Ok(right.then(|| Step {
        methods: method.methods().to_vec(),
        recovery_codes: None,
        remember_device: false,
        consent: None,
    }))
}

/// Records a wrong try, and tells the owner of every fifth: whoever it was had passed the first step. The caller holds
/// `users::lock_factors`, so that the fifth is one of many parallel ones.
pub(super) async fn wrong(
    app: &App,
    mut tx: Tx,
    client: &Client,
    attempt: &Attempt,
    login: Option<&Login>,
    now: Timestamp,
) -> Result<Error> {
    let event = Event::new(Kind::SecondFactorFailed, client);
    let event = match (login, attempt.identifier_hash.as_deref()) {
        (Some(login), _) => event.user(login.user.id),
        (None, Some(hash)) => event.identifier_hash(hash),
        (None, None) => event,
    };
    let detail = json!({ "needs": attempt.needs.name(), "try": attempt.failed_tries });
    audit::record(app, &mut tx, event.detail(detail), now);
    if let Some(login) = login.filter(|_| !attempt.amr.is_empty())
        && attempt::is_to_be_told(&mut tx, login.user.id, now).await?
    {
        let message = Message::SignInStopped {
            at: now.rfc3339(),
            ip: client.ip.to_string(),
            device: device::describe(client.agent.as_deref().unwrap_or_default()),
        };
        mail::enqueue(app, &mut tx, &login.user.email, &message, now).await?;
    }
    mail::commit(app, tx).await?;
    Ok(Error::new(Code::InvalidCode))
}

/// Begins to set up an authenticator app in a sign-in that needs one.
///
/// # Errors
/// [`Code::InvalidAttempt`], [`Code::FactorExists`].
pub async fn enrol(app: &App, client: &Client, token: &str) -> Result<TotpSetup> {
    let now = app.now();
    let attempt = attempt::find(&app.db, client, token, now).await?;
    if attempt.needs != Needs::Enrolment {
        return Err(Error::new(Code::InvalidAttempt));
    }
    let mut tx = app.db.begin().await?;
    let login = owner(app, &mut tx, &attempt).await?.ok_or_else(|| Error::new(Code::InvalidAttempt))?;
    let setup = factors::begin_totp_in(app, &mut tx, &login.user, now).await?;
    tx.commit().await?;
    Ok(setup)
}
