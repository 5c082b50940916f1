//! What people do with their own account: look, change, export, delete, read its log.
mod factors;
mod routes;

pub use factors::{FactorsView, overview};
pub use routes::routes;

use crate::app::App;
use crate::audit::{self, Event, EventView, Kind};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::ids::RowId;
use crate::invitations::{self, InvitationView};
use crate::known_devices::{self, DeviceView};
use crate::login;
use crate::mail::{self, Message};
use crate::passkeys::{self, Passkey, PasskeyView};
use crate::roles;
use crate::sessions::{self, Current, SessionView, device};
use crate::users::{self, Profile, User, UserView};
use crate::web::Client;
use serde::Serialize;
use utoipa::ToSchema;

/// Events in an export.
const EXPORTED_EVENTS: i64 = 10_000;

/// Everything that is stored about a user and is theirs to have. No hash, no secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    /// RFC 3339.
    exported_at: String,
    /// The account.
    user: UserView,
    /// What proves identity.
    factors: FactorsView,
    /// Live sessions.
    sessions: Vec<SessionView>,
    /// Passkeys, oldest first.
    passkeys: Vec<PasskeyView>,
    /// Devices, the latest sign-in first.
    devices: Vec<DeviceView>,
    /// Invitations of the address, and the one that the account came of, oldest first.
    invitations: Vec<InvitationView>,
    /// Security log, newest first.
    events: Vec<EventView>,
}

/// Changes name or username. The latter signs in, so it takes a fresh proof and is told by mail (ASVS 6.3.7, 7.5.1).
///
/// # Errors
/// [`Code::UsernameTaken`], [`Code::ReauthenticationRequired`].
pub async fn change(app: &App, current: &Current, client: &Client, profile: &Profile) -> Result<User> {
    let now = app.now();
    let username = profile.username.as_ref().map(|to| to.as_ref().map(|name| name.typed.as_str()));
    let username = username.filter(|to| *to != current.user.username.as_deref());
    if username.is_some() {
        current.require_fresh(app, now)?;
    }
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, current.user.id).await?;
    let current = &current.anew(app, &mut tx, now).await?;
    if username.is_some() {
        current.require_fresh(app, now)?;
    }
    users::change_profile(app, &mut tx, &current.user, profile, now).await?;
    // An address that nobody has proven may be a stranger's, who must not be flooded with mail.
    if let Some(to) = username.filter(|_| current.user.email_verified_at.is_some()) {
        let message = Message::UsernameChanged {
            username: to.map(str::to_owned),
            at: now.rfc3339(),
            ip: client.ip.to_string(),
            device: device::describe(client.agent.as_deref().unwrap_or_default()),
        };
        mail::enqueue(app, &mut tx, &current.user.email, &message, now).await?;
    }
    let event = Event::new(Kind::ProfileChanged, client).user(current.user.id).session(current.session.id);
    audit::record(app, &mut tx, event, now);
    let user =
        users::find_in(&mut tx, current.user.id).await?.ok_or_else(|| Error::new(Code::SessionRevoked))?;
    mail::commit(app, tx).await?;
    Ok(user)
}

/// A copy of the account's data.
///
/// # Errors
/// [`Code::ReauthenticationRequired`].
pub async fn export(app: &App, current: &Current, client: &Client) -> Result<Export> {
    let now = app.now();
    current.require_fresh(app, now)?;
    let mut tx = app.db.begin().await?;
    let current = &current.anew(app, &mut tx, now).await?;
    let event = Event::new(Kind::DataExported, client).user(current.user.id).session(current.session.id);
    audit::record(app, &mut tx, event, now);
    tx.commit().await?;
    let sessions = sessions::live(&app.db, current.user.id, now).await?;
    let invited = invitations::of_person(&app.db, &current.user).await?;
    Ok(Export {
        exported_at: now.rfc3339(),
        user: current.user.view(&current.grants),
        factors: overview(app, &current.user).await?,
        sessions: sessions.iter().map(sessions::Session::view).collect(),
        passkeys: passkeys::of_user(&app.db, current.user.id).await?.iter().map(Passkey::view).collect(),
        devices: known_devices::list(app, current).await?,
        invitations: invited.iter().map(|one| one.view(now)).collect(),
        events: events(app, current, None, EXPORTED_EVENTS).await?,
    })
}

/// Deletes the account; its sessions go with it.
///
/// # Errors
/// [`Code::ReauthenticationRequired`].
pub async fn delete(app: &App, current: &Current, client: &Client) -> Result<()> {
    let now = app.now();
    current.require_fresh(app, now)?;
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, current.user.id).await?;
    if current.user.roles.iter().any(|role| role == roles::ADMIN) {
        // Before the rows of invitations, as everybody takes them who holds both.
        roles::lock(&mut tx).await?;
    }
    let current = current.anew(app, &mut tx, now).await?;
    current.require_fresh(app, now)?;
    let event = Event::new(Kind::UserDeleted, client).user(current.user.id);
    remove(app, tx, &current.user, event, now).await
}

/// Removes an account, in a transaction that holds `users::lock_factors` and is committed.
///
/// # Errors
/// [`Code::NotFound`], [`Code::LastAdministrator`], [`Code::AccountInUse`].
pub async fn remove(app: &App, mut tx: Tx, user: &User, event: Event<'_>, now: Timestamp) -> Result<()> {
    // Its row before devices and sessions, as a sign-in takes them: else they could wait for each other.
    users::clear_password(&mut tx, user.id, now).await?;
    // Before the account goes: whoever accepts takes the invitation first too.
    invitations::forget_person(&mut tx, user).await?;
    sessions::revoke_all(app, &mut tx, user.id, None, "user_deleted", now).await?;
    if !users::delete(app, &mut tx, user.id, now).await? {
        return Err(Error::new(Code::NotFound));
    }
    login::forget_address(&mut tx, &user.email_normalised).await?;
    login::forget_attempts_of_address(app, &mut tx, &user.email_normalised).await?;
    mail::forget(&mut tx, &user.email_normalised).await?;
    audit::ask_erasure(app, &mut tx, user.id, &user.email_normalised, now).await?;
    let at_once = app.config.retention.deleted_accounts.is_zero();
    audit::record(app, &mut tx, if at_once { event.impersonal() } else { event }, now);
    mail::enqueue(app, &mut tx, &user.email, &Message::AccountDeleted {}, now).await?;
    mail::commit(app, tx).await
}

/// One page of the own security log.
pub async fn events(
    app: &App,
    current: &Current,
    before: Option<RowId>,
    limit: i64,
) -> Result<Vec<EventView>> {
    let events = audit::of_user(app, current.user.id, before, limit).await?;
    Ok(events.into_iter().map(|event| event.for_owner(current.user.id)).collect())
}
