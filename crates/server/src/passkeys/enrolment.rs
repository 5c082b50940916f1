//! Passkeys come, get names, and go, inside a session whose user proved identity a moment ago.
use super::ceremony::{self, Returned};
use super::relying_party::{Made, RelyingParty};
use super::{Challenge, MOST, Passkey, store};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::config::FactorPolicy;
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::factors::{self, By};
use crate::ids::{RowId, UserId};
use crate::mail::{self, Message};
use crate::sessions::{self, Current, Session, device};
use crate::users::{self, Factor, User};
use crate::web::Client;
use serde_json::{Value, json};
use webauthn_rs_core::proto::RegistrationState;

/// What a page needs to have a passkey made.
///
/// # Errors
/// [`Code::ReauthenticationRequired`], [`Code::EmailNotVerified`], [`Code::PasskeyLimitReached`].
pub async fn begin_enrolment(app: &App, current: &Current) -> Result<Challenge> {
    let now = app.now();
    current.require_fresh(app, now)?;
    factors::require_mailbox(&current.user)?;
    let known = super::of_user(&app.db, current.user.id).await?;
    require_room(&known)?;
    let (options, state) = RelyingParty::of(app).creation(&current.user, &known)?;
    Ok(Challenge { ceremony: ceremony::begin(app, &context(current), state, now)?, options })
}

/// A new passkey, and what came with it.
pub struct Enrolled {
    /// The passkey.
    pub passkey: Passkey,
    /// The session as it is now: whoever holds the passkey could prove it with the next call.
    pub session: Session,
    /// Recovery codes, with the first second factor.
    pub recovery_codes: Option<Vec<String>>,
}

/// Enrols what an authenticator made.
///
/// # Errors
/// Those of [`begin_enrolment`]; [`Code::InvalidPasskey`]; [`Code::SessionRevoked`] when the session was ended meanwhile.
pub async fn enrol(
    app: &App,
    current: &Current,
    client: &Client,
    ceremony: &str,
    answer: Value,
    name: Option<String>,
) -> Result<Enrolled> {
    let now = app.now();
    current.require_fresh(app, now)?;
    let returned = ceremony::come_back::<RegistrationState>(app, &context(current), ceremony, now);
    let Some(Returned { state, once }) = returned else {
        return Err(refuse(app, current, client, "ceremony").await?);
    };
    let made = match RelyingParty::of(app).check_new(&state, answer) {
        Ok(made) => made,
        Err(reason) => return Err(refuse(app, current, client, reason).await?),
    };
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, current.user.id).await?;
    if !once.spend(&mut tx).await? {
        drop(tx);
        return Err(refuse(app, current, client, "replayed").await?);
    }
    let current = &still_may(app, &mut tx, current, now).await?;
    let user = &current.user;
    factors::require_mailbox(user)?;
    require_room(&store::of_user(&mut tx, user.id).await?)?;
    let passkey = new_row(app, client, user, made, name, now);
    if !store::insert(&mut tx, &passkey).await? {
        drop(tx);
        return Err(refuse(app, current, client, "known_credential").await?);
    }
    // The user before the session, as everybody who changes both: on a database server they lock each other out otherwise.
    users::set_factor(app, &mut tx, user.id, Factor::Passkey, true, now).await?;
    let session = sessions::note_proof(&mut tx, &current.session, &passkey.methods(), now).await?;
    let recovery_codes = if app.config.factors.policy == FactorPolicy::Off {
        None
    } else {
        factors::first_codes(app, &mut tx, &By::owner(current, client), now).await?
    };
    let event = changed(current, client, Kind::PasskeyAdded, &passkey);
    audit::record(app, &mut tx, event, now);
    let message = Message::PasskeyAdded(passkey.notice(client, now));
    mail::enqueue(app, &mut tx, &user.email, &message, now).await?;
    mail::commit(app, tx).await?;
    Ok(Enrolled { passkey, session, recovery_codes })
}

/// Gives a passkey another name.
///
/// # Errors
/// [`Code::ReauthenticationRequired`], [`Code::NotFound`].
pub async fn rename(app: &App, current: &Current, client: &Client, id: RowId, name: &str) -> Result<Passkey> {
    let now = app.now();
    current.require_fresh(app, now)?;
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, current.user.id).await?;
    let current = &still_may(app, &mut tx, current, now).await?;
    let renamed = store::rename(&mut tx, current.user.id, id, name).await?;
    let passkey = renamed.ok_or_else(|| Error::new(Code::NotFound))?;
    audit::record(app, &mut tx, changed(current, client, Kind::PasskeyRenamed, &passkey), now);
    tx.commit().await?;
    Ok(passkey)
}

/// Removes a passkey.
///
/// # Errors
/// [`Code::ReauthenticationRequired`], [`Code::NotFound`], [`Code::FactorRequired`] for the last one of a user who may not be
/// without.
pub async fn remove(app: &App, current: &Current, client: &Client, id: RowId) -> Result<()> {
    let now = app.now();
    current.require_fresh(app, now)?;
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, current.user.id).await?;
    let current = &still_may(app, &mut tx, current, now).await?;
    let user = &current.user;
    let removed = store::delete(&mut tx, user.id, id).await?;
    let passkey = removed.ok_or_else(|| Error::new(Code::NotFound))?;
    let left = !store::of_user(&mut tx, user.id).await?.is_empty();
    users::set_factor(app, &mut tx, user.id, Factor::Passkey, left, now).await?;
    if !left {
        factors::leave(app, &mut tx, &By::owner(current, client), now).await?;
    }
    audit::record(app, &mut tx, changed(current, client, Kind::PasskeyRemoved, &passkey), now);
    let message = Message::PasskeyRemoved(passkey.notice(client, now));
    mail::enqueue(app, &mut tx, &user.email, &message, now).await?;
    mail::commit(app, tx).await
}

/// Removes every passkey, for an operator who helps somebody that lost them. The caller holds the lock and writes event and mail.
///
/// # Errors
/// The database's.
pub async fn remove_all(app: &App, tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    store::delete_all(tx, user).await?;
    users::set_factor(app, tx, user, Factor::Passkey, false, now).await
}

/// An enrolment belongs to the session that began it.
fn context(current: &Current) -> String {
    format!("enrol/{}", current.session.id)
}

fn require_room(known: &[Passkey]) -> Result<()> {
    if known.len() < MOST { Ok(()) } else { Err(Error::new(Code::PasskeyLimitReached)) }
}

/// The session as the transaction sees it, provided that it was not ended since the request came.
async fn still_may(app: &App, tx: &mut Tx, current: &Current, now: Timestamp) -> Result<Current> {
    let current = current.anew(app, tx, now).await?;
    current.require_fresh(app, now)?;
    Ok(current)
}

fn new_row(
    app: &App,
    client: &Client,
    user: &User,
    made: Made,
    name: Option<String>,
    now: Timestamp,
) -> Passkey {
    let named = || device::describe(client.agent.as_deref().unwrap_or_default());
    Passkey {
        id: RowId(app.new_id(now)),
        user: user.id,
        credential_id: made.credential_id,
        public_key: made.public_key,
        sign_count: made.sign_count,
        flags: made.flags,
        transports: made.transports,
        name: name.unwrap_or_else(named),
        created_at: now,
        last_used_at: None,
        suspect_at: None,
    }
}

fn changed<'a>(current: &Current, client: &'a Client, kind: Kind, passkey: &Passkey) -> Event<'a> {
    let event = Event::new(kind, client).user(current.user.id).session(current.session.id);
    event.detail(json!({ "passkey": passkey.id, "name": passkey.name }))
}

/// Tells the audit log why, the client only that.
async fn refuse(app: &App, current: &Current, client: &Client, reason: &'static str) -> Result<Error> {
    let event = Event::new(Kind::PasskeyRefused, client).user(current.user.id).session(current.session.id);
    let event = event.detail(json!({ "for": "enrolment", "reason": reason }));
    audit::record_alone(app, event).await?;
    Ok(Error::new(Code::InvalidPasskey))
}
