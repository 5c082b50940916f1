//! A fresh proof of identity within a session: moves `auth_time`, nothing else.
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::error::{Code, Error, Result};
use crate::hashing::Password;
use crate::passwords;
use crate::sessions::{self, Current, Session};
use crate::web::Client;

/// Proves identity by password.
///
/// # Errors
/// [`Code::InvalidCredentials`], [`Code::RateLimited`], [`Code::Busy`].
pub async fn reauthenticate(
    app: &App,
    current: &Current,
    client: &Client,
    password: Password,
) -> Result<Session> {
    passwords::prove(app, current, client, password).await?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    if !sessions::set_auth_time(&mut tx, current.session.id, now).await? {
        return Err(Error::new(Code::SessionRevoked));
    }
    let event = Event::new(Kind::Reauthenticated, client).user(current.user.id).session(current.session.id);
    audit::record(app, &mut tx, event, now);
    tx.commit().await?;
    Ok(Session { auth_time: now, ..Session::clone(&current.session) })
}
