//! What the invited person does with the link.
use super::{Invitation, store};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::hashing::Password;
use crate::hooks::{self, Registration};
use crate::login;
use crate::mail::{self, Message};
use crate::names::{Email, Username};
use crate::passwords::{self, Context};
use crate::roles::{self, Authority, Grants};
use crate::users::{self, NewUser, User, Way};
use crate::web::Client;
use hallpass_crypto::secret::{Kind as SecretKind, Opaque};
use serde_json::json;

/// What the invited person chooses.
pub struct Acceptance {
    /// From the mailed link.
    pub token: String,
    /// Password.
    pub password: Password,
    /// Display name, instead of the one that the invitation has.
    pub name: Option<String>,
    /// Public name for signing in.
    pub username: Option<Username>,
}

/// What a link opens, without using it.
///
/// # Errors
/// [`Code::InvalidToken`]; [`Code::RegistrationClosed`] when the settings have changed since.
pub(super) async fn peek(app: &App, token: &str) -> Result<(Invitation, Email, [u8; 32])> {
    let invalid = || Error::new(Code::InvalidToken);
    let digest = Opaque::parse(SecretKind::Invitation, token).ok_or_else(invalid)?.digest();
    let found = store::by_link(&mut &app.db, &digest, app.now()).await?.ok_or_else(invalid)?;
    let email = Email::parse(&found.email).ok_or_else(invalid)?;
    users::check_access(app, Way::Invitation, &email)?;
    Ok((found, email, digest))
}

fn has_account() -> Error {
    Error::new(Code::EmailTaken).with_detail(
        "This address has an account by now. Sign in; whoever has invited you can give that account what the invitation was for.",
    )
}

/// Makes the account that somebody was invited to. The mailbox is proven by the link; nobody is signed in.
///
/// # Errors
/// [`Code::InvalidToken`]; [`Code::ValidationFailed`], [`Code::UsernameTaken`], [`Code::Busy`], [`Code::RefusedByHook`] and
/// [`Code::HookFailed`] (the link stays good);
/// [`Code::EmailTaken`] when the address has an account by now, which whoever has its mailbox may know.
pub async fn accept(app: &App, client: &Client, wish: Acceptance) -> Result<User> {
    let (invitation, email, digest) = peek(app, &wish.token).await?;
    let name = wish.name.or_else(|| invitation.name.clone());
    let context = Context {
        email: &email.typed,
        username: wish.username.as_ref().map(|username| username.typed.as_str()),
        name: name.as_deref(),
    };
    passwords::check_rules(app, "password", &wish.password, &context).await?;
    if users::find_by_email(&app.db, &email).await?.is_some() {
        return Err(has_account());
    }
    if let Some(username) = &wish.username
        && users::username_taken(&app.db, username, None).await?
    {
        return Err(Error::new(Code::UsernameTaken));
    }
    let asked = Registration {
        email: &email,
        username: context.username,
        name: context.name,
        device_name: None,
        invitation: Some(invitation.id),
    };
    hooks::before_register(app, client, &asked).await?;
    let hash = passwords::hash(app, wish.password.clone()).await?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    // Before the invitation's row, in the order in which administrators who delete an account take them too.
    roles::lock(&mut tx).await?;
    if !store::take(&mut tx, invitation.id, &digest, now).await? {
        return Err(Error::new(Code::InvalidToken));
    }
    let (given, dropped) = still_given(app, &mut tx, &invitation).await?;
    let new = NewUser {
        way: Way::Invitation,
        email: &email,
        username: wish.username.as_ref(),
        name: name.as_deref(),
        password_hash: Some(&hash),
        email_verified_at: Some(now),
        roles: &given,
    };
    let user = users::create(app, &mut tx, &new, now).await?.ok_or_else(has_account)?;
    store::note_account(&mut tx, invitation.id, user.id).await?;
    if user.username.is_none() && wish.username.is_some() {
        return Err(Error::new(Code::UsernameTaken));
    }
    // What somebody began to register under this address must not touch the account.
    login::forget_address(&mut tx, &user.email_normalised).await?;
    let mut detail = json!({ "invitation": invitation.id, "roles": given });
    if !dropped.is_empty() {
        detail["dropped"] = json!(dropped);
    }
    let accepted = Event::new(Kind::InvitationAccepted, client).user(user.id).detail(detail);
    audit::record(app, &mut tx, accepted, now);
    audit::record(app, &mut tx, Event::new(Kind::UserCreated, client).user(user.id), now);
    audit::record(app, &mut tx, Event::new(Kind::EmailVerified, client).user(user.id), now);
    mail::enqueue(app, &mut tx, &user.email, &Message::Welcome {}, now).await?;
    mail::commit(app, tx).await?;
    Ok(user)
}

/// Which of the roles whoever answers for an invitation may give at this moment, and which not. Under [`roles::lock`], which whoever takes
/// rights holds too.
async fn still_given(app: &App, tx: &mut Tx, invitation: &Invitation) -> Result<(Vec<String>, Vec<String>)> {
    let held = match invitation.invited_by {
        Some(inviter) => users::grants_now(app, tx, inviter).await?,
        None => Grants::NONE,
    };
    let by = invitation.invited_by.map_or(Authority::Operator, |inviter| Authority::Holder(inviter, &held));
    let may = invitation.invited_by.is_none() || held.allows(roles::GIVE);
    let (mut given, mut dropped) = (Vec::new(), Vec::new());
    for name in &invitation.roles {
        let role = roles::find(&mut *tx, name).await?;
        match role.filter(|role| may && by.may_give_role(role).is_ok()) {
            Some(role) => given.push(role.name),
            None => dropped.push(name.clone()),
        }
    }
    Ok((given, dropped))
}
