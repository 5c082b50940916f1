//! The first administrator: whoever sees the console of a server in development may make one, once.
//!
//! Invariants: there is no link outside development; it is known to this process only, ends after a day, and is dead as soon as
//! anybody is an administrator, however that came about.
use crate::app::{App, FirstAdministrator};
use crate::audit::{self, Event, Kind};
use crate::error::{Code, Error, Result};
use crate::hashing::Password;
use crate::login;
use crate::names::Email;
use crate::passwords::{self, Context};
use crate::roles::{self, ADMIN};
use crate::users::{self, NewUser, User, Way};
use crate::web::Client;
use hallpass_crypto::digest::equal;
use hallpass_crypto::secret::{Kind as Secret, Opaque};
use serde_json::json;
use std::time::Duration;

/// Life of the link.
const LIFE: Duration = Duration::from_secs(86_400);

/// The link that makes the first administrator, if this is development and nobody is one.
pub async fn first_administrator_link(app: &App) -> Result<Option<String>> {
    if !app.config.development() || roles::has_members(&app.db, ADMIN).await? {
        return Ok(None);
    }
    let token = Opaque::mint(Secret::FirstAdministrator, app.random_bytes());
    let link = FirstAdministrator { digest: token.digest(), expires_at: app.now().plus(LIFE) };
    // Of several calls the first one's holds.
    let first = app.first_administrator.set(link).is_ok();
    Ok(first.then(|| format!("{}/first-administrator?token={}", app.public_url, token.expose())))
}

/// Whether a token is that of the link, and still good for something.
///
/// # Errors
/// [`Code::InvalidToken`].
pub(super) async fn check(app: &App, token: &str) -> Result<()> {
    let invalid = || Error::new(Code::InvalidToken);
    let link = app.first_administrator.get().ok_or_else(invalid)?;
    let token = Opaque::parse(Secret::FirstAdministrator, token).ok_or_else(invalid)?;
    let right = equal(&token.digest(), &link.digest) && link.expires_at > app.now();
    let open = right && app.config.development() && !roles::has_members(&app.db, ADMIN).await?;
    open.then_some(()).ok_or_else(invalid)
}

/// Makes the first administrator, whose address counts as proven: whoever reads the console owns the server.
///
/// # Errors
/// [`Code::InvalidToken`], [`Code::ValidationFailed`], [`Code::EmailTaken`].
pub(super) async fn create(
    app: &App,
    client: &Client,
    token: &str,
    email: &Email,
    password: Password,
) -> Result<User> {
    check(app, token).await?;
    let context = Context { email: &email.typed, username: None, name: None };
    passwords::check_rules(app, "password", &password, &context).await?;
    let hash = passwords::hash(app, password).await?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    // Of two who use the link at once, the second sees the first.
    roles::lock(&mut tx).await?;
    if roles::has_members(&mut tx, ADMIN).await? {
        return Err(Error::new(Code::InvalidToken));
    }
    let given = [ADMIN.to_owned()];
    let new = NewUser {
        way: Way::Appointed,
        email,
        username: None,
        name: None,
        password_hash: Some(&hash),
        email_verified_at: Some(now),
        roles: &given,
    };
    let user = users::create(app, &mut tx, &new, now).await?;
    let user = user.ok_or_else(|| Error::new(Code::EmailTaken))?;
    login::forget_address(&mut tx, &user.email_normalised).await?;
    let event = Event::new(Kind::UserCreated, client).user(user.id);
    audit::record(
        app,
        &mut tx,
        event.detail(json!({ "by": "first_administrator_link", "roles": given })),
        now,
    );
    tx.commit().await?;
    Ok(user)
}
