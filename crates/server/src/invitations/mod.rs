//! Invitations: an operator or an administrator mails somebody a link with which to have an account, with a display name and roles
//! that are decided then.
//!
//! Invariants: an address has at most one invitation that opens an account; the link is stored as a hash, has a kind of its own,
//! opens at most one account, and only one of the invited address, whose mailbox it proves; sent again, it replaces the former one.
//! Nobody is signed in by it: the first sign-in asks for what the roles require, as every sign-in does.
//!
//! Nobody's rights change by a mail that they did not answer. An address that has an account cannot be invited (its roles are changed
//! directly); one that got an account since keeps it as it is, and the invitation stays unused until it is revoked or expires.
//!
//! Nobody invites to what they do not hold themselves: asked when an invitation is made, of whoever sends it again, who answers for it from
//! then on, and once more at acceptance. What whoever answers for it may not give any more by then (a role that was taken from them or holds
//! more by now, the permission to give roles, an account that is closed or gone) is left out of the account, and the event says so: else
//! somebody who was demoted would have their rights back under another address. Operators may give everything.
//!
//! The roles are those of the moment of acceptance: one that was changed since is given as it is then, as to everybody who has it. While a live
//! invitation names a role, nobody deletes it, so that it comes to mean nothing else; one that expired and is sent again is asked about anew.
//!
//! For the rest an invitation stands until it is revoked, also when whoever made it may not invite any more: it opens an account like
//! everybody's. `invited_by` is in every list, so that those of somebody who turned out to be hostile can be found.
mod accept;
mod pages;
mod routes;
mod store;

pub use accept::{Acceptance, accept};
pub use pages::routes as page_routes;
pub use routes::routes;

use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::ids::{RowId, UserId};
use crate::mail::{self, Message};
use crate::names::Email;
use crate::roles::{self, Authority};
use crate::users::{self, User, Way};
use crate::web::Client;
use hallpass_crypto::secret::{Kind as SecretKind, Opaque};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use utoipa::ToSchema;

/// Who invites.
#[derive(Clone, Copy)]
pub struct Actor<'a> {
    /// From where.
    pub client: &'a Client,
    /// On whose authority roles are given.
    pub by: Authority<'a>,
}

impl Actor<'_> {
    /// The administrator; `None` for an operator.
    const fn user(&self) -> Option<UserId> {
        match self.by {
            Authority::Operator => None,
            Authority::Holder(user, _) => Some(user),
        }
    }
}

/// Whom to invite.
pub struct Invite {
    /// Address.
    pub email: Email,
    /// Display name.
    pub name: Option<String>,
    /// Names of roles beyond `user`.
    pub roles: Vec<String>,
    /// Life of the link; `None` for `registration.invitation_ttl`.
    pub life: Option<Duration>,
}

/// An invitation, without its link, which only the mail has.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Id.
    pub id: RowId,
    /// Where the mail went.
    pub email: String,
    /// What is compared.
    pub email_normalised: String,
    /// Display name.
    pub name: Option<String>,
    /// Names of roles beyond `user`, sorted.
    pub roles: Vec<String>,
    /// The administrator who answers for it, having made it or sent it again last; `None` for an operator.
    pub invited_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its link was last mailed.
    pub sent_at: Timestamp,
    /// End of the link's life.
    pub expires_at: Timestamp,
    /// When it became an account.
    pub accepted_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// An invitation as whoever may invite sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvitationView {
    /// Id.
    pub id: String,
    /// Where the mail went.
    pub email: String,
    /// Display name.
    pub name: Option<String>,
    /// Roles beyond `user`.
    pub roles: Vec<String>,
    /// `pending`, `accepted`, `revoked` or `expired`.
    pub state: &'static str,
    /// Id of the administrator who answers for it, having made it or sent it again last; null for an operator.
    pub invited_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339: when the link was last mailed.
    pub sent_at: String,
    /// RFC 3339.
    pub expires_at: String,
    /// RFC 3339.
    pub accepted_at: Option<String>,
    /// RFC 3339.
    pub revoked_at: Option<String>,
}

impl Invitation {
    /// What whoever may invite sees.
    pub fn view(&self, now: Timestamp) -> InvitationView {
        let state = match (self.accepted_at, self.revoked_at) {
            (Some(_), _) => "accepted",
            (None, Some(_)) => "revoked",
            (None, None) if self.expires_at <= now => "expired",
            (None, None) => "pending",
        };
        InvitationView {
            id: self.id.to_string(),
            email: self.email.clone(),
            name: self.name.clone(),
            roles: self.roles.clone(),
            state,
            invited_by: self.invited_by.map(|user| user.to_string()),
            created_at: self.created_at.rfc3339(),
            sent_at: self.sent_at.rfc3339(),
            expires_at: self.expires_at.rfc3339(),
            accepted_at: self.accepted_at.map(Timestamp::rfc3339),
            revoked_at: self.revoked_at.map(Timestamp::rfc3339),
        }
    }
}

fn check_life(app: &App, life: Option<Duration>) -> Result<Duration> {
    let life = life.unwrap_or(app.config.registration.invitation_ttl);
    let fits = life >= Duration::from_secs(60) && life <= crate::config::Registration::LONGEST_INVITATION;
    let problem = || Error::field("expires", "invalid_value", "An invitation may live from 1m to 90d.");
    fits.then_some(life).ok_or_else(problem)
}

/// Invites somebody, under [`roles::lock`]; [`mail::commit`] ends it.
///
/// # Errors
/// [`Code::ValidationFailed`] for roles or life; [`Code::Forbidden`] for roles that the actor does not have;
/// [`Code::RegistrationClosed`]; [`Code::EmailTaken`] when the address has an account,
/// which whoever may invite may know; [`Code::InvitationExists`]; [`Code::RateLimited`] when the address got too many mails of late.
pub async fn create(app: &App, tx: &mut Tx, actor: Actor<'_>, invite: &Invite) -> Result<Invitation> {
    users::check_access(app, Way::Invitation, &invite.email)?;
    let life = check_life(app, invite.life)?;
    let now = app.now();
    // Before the address, in the order in which administrators who delete an account take both.
    roles::lock(tx).await?;
    tx.lock(&format!("invitations/{}", invite.email.normalised)).await?;
    if users::find_by_email(&mut *tx, &invite.email).await?.is_some() {
        return Err(Error::new(Code::EmailTaken).with_detail("This address has an account already."));
    }
    if store::live(tx, &invite.email.normalised, now).await?.is_some() {
        return Err(Error::new(Code::InvitationExists));
    }
    let mut roles = roles::check_given(tx, actor.by, &invite.roles).await?;
    roles.retain(|role| role != roles::USER);
    let link = Opaque::mint(SecretKind::Invitation, app.random_bytes());
    let invitation = Invitation {
        id: RowId(app.new_id(now)),
        email: invite.email.typed.clone(),
        email_normalised: invite.email.normalised.clone(),
        name: invite.name.clone(),
        roles,
        invited_by: actor.user(),
        created_at: now,
        sent_at: now,
        expires_at: now.plus(life),
        accepted_at: None,
        revoked_at: None,
    };
    store::insert(tx, &invitation, &invitation.roles.join(" "), &link.digest()).await?;
    send(app, tx, &invitation, &link, life, now).await?;
    record(app, tx, actor, Kind::InvitationCreated, &invitation, now);
    Ok(invitation)
}

/// Mails the link, within the limits of mails to an address.
async fn send(
    app: &App,
    tx: &mut Tx,
    invitation: &Invitation,
    link: &Opaque,
    life: Duration,
    now: Timestamp,
) -> Result<()> {
    if !mail::may_send(app, tx, &invitation.email, now).await? {
        let text = "This address got too many mails of late. Try again in a quarter of an hour, or tomorrow.";
        return Err(Error::new(Code::RateLimited).with_detail(text).with_retry_after(900));
    }
    let message = Message::Invitation {
        link: format!("{}/invitation?token={}", app.public_url, link.expose()),
        seconds: life.as_secs(),
    };
    mail::enqueue(app, tx, &invitation.email, &message, now).await
}

fn record(app: &App, tx: &mut Tx, actor: Actor<'_>, kind: Kind, invitation: &Invitation, now: Timestamp) {
    let detail = json!({ "invitation": invitation.id, "roles": invitation.roles, "by": actor.by.name() });
    let event = Event::new(kind, actor.client).identifier(&invitation.email_normalised).detail(detail);
    audit::record(app, tx, event, now);
}

/// Invitations of every state, oldest first, after one of them.
///
/// # Errors
/// The database's.
pub async fn list(mut db: impl Statements, after: Option<RowId>, limit: i64) -> Result<Vec<Invitation>> {
    Ok(store::list(&mut db, after, limit).await?)
}

/// One invitation.
///
/// # Errors
/// The database's.
pub async fn find(mut db: impl Statements, id: RowId) -> Result<Option<Invitation>> {
    Ok(store::find(&mut db, id).await?)
}

/// Invitations of one address, oldest first.
///
/// # Errors
/// The database's.
pub async fn of_address(mut db: impl Statements, email_normalised: &str) -> Result<Vec<Invitation>> {
    Ok(store::of_address(&mut db, email_normalised).await?)
}

/// Invitations of a user's address, and the one that the account came of, oldest first.
///
/// # Errors
/// The database's.
pub async fn of_person(mut db: impl Statements, user: &User) -> Result<Vec<Invitation>> {
    Ok(store::of_person(&mut db, user.id, &user.email_normalised).await?)
}

/// Mails a new link, which lives from now on; the former one is dead. Expired invitations come back to life by it.
/// Under [`roles::lock`]; [`mail::commit`] ends it.
///
/// # Errors
/// [`Code::NotFound`]; [`Code::InvitationOver`]; else as [`create`].
pub async fn resend(
    app: &App,
    tx: &mut Tx,
    actor: Actor<'_>,
    id: RowId,
    life: Option<Duration>,
) -> Result<Invitation> {
    let life = check_life(app, life)?;
    let now = app.now();
    let not_found = || Error::new(Code::NotFound);
    // Before the invitation's row, in the order in which administrators who delete an account take them too.
    roles::lock(tx).await?;
    let former = store::find(tx, id).await?.ok_or_else(not_found)?;
    let email = Email::parse(&former.email).ok_or_else(not_found)?;
    users::check_access(app, Way::Invitation, &email)?;
    tx.lock(&format!("invitations/{}", email.normalised)).await?;
    if users::find_by_email(&mut *tx, &email).await?.is_some() {
        return Err(Error::new(Code::EmailTaken).with_detail("This address has an account already."));
    }
    // An expired one, whose address was invited again since.
    if store::live(tx, &email.normalised, now).await?.is_some_and(|live| live.id != id) {
        return Err(Error::new(Code::InvitationExists));
    }
    let link = Opaque::mint(SecretKind::Invitation, app.random_bytes());
    if !store::renew(tx, id, actor.user(), &link.digest(), now, now.plus(life)).await? {
        return Err(Error::new(Code::InvitationOver));
    }
    roles::check_given(tx, actor.by, &former.roles).await?;
    let invited_by = actor.user();
    let invitation = Invitation { invited_by, sent_at: now, expires_at: now.plus(life), ..former };
    send(app, tx, &invitation, &link, life, now).await?;
    record(app, tx, actor, Kind::InvitationResent, &invitation, now);
    Ok(invitation)
}

/// Takes an invitation back: its link opens nothing any more. Returns whether it did until now, or would have after being sent
/// again.
///
/// # Errors
/// [`Code::NotFound`]; [`Code::InvitationOver`] when it has become an account.
pub async fn revoke(app: &App, tx: &mut Tx, actor: Actor<'_>, id: RowId) -> Result<bool> {
    let now = app.now();
    let revoked = store::revoke(tx, id, now).await?;
    let invitation = store::find(tx, id).await?.ok_or_else(|| Error::new(Code::NotFound))?;
    if revoked {
        record(app, tx, actor, Kind::InvitationRevoked, &invitation, now);
    } else if invitation.accepted_at.is_some() {
        return Err(Error::new(Code::InvitationOver));
    }
    Ok(revoked)
}

/// Drops the invitations of an address, and the one that the account came of, since the account is being deleted.
///
/// # Errors
/// The database's.
pub async fn forget_person(tx: &mut Tx, user: &User) -> Result<()> {
    Ok(store::forget(tx, user.id, &user.email_normalised).await?)
}

/// Removes invitations whose link ended before an instant, a batch at a time; returns how many.
///
/// # Errors
/// The database's.
pub async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    Ok(store::purge(tx, before).await?)
}
