//! An administrator takes somebody's place for a while. Whether they may is judged by `admin`.
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::mail::{self, Message};
use crate::sessions::{self, Current, Impersonation, Session};
use crate::users::User;
use crate::web::Client;
use serde_json::json;

/// Who takes whose place, and why.
pub struct Impersonate<'a> {
    /// The administrator.
    pub by: &'a Current,
    /// As whom.
    pub user: &'a User,
    /// Why; the user can read it.
    pub reason: &'a str,
    /// From where.
    pub client: &'a Client,
}

/// Begins the session, with its event and the mail to the user. No device becomes known, and it is no sign-in of the user's.
/// Returns it with its access token.
pub async fn impersonate(
    app: &App,
    tx: &mut Tx,
    wish: &Impersonate<'_>,
    now: Timestamp,
) -> Result<(Session, String)> {
    let Impersonate { by, user, reason, client } = *wish;
    let life = app.config.sessions.impersonation_ttl;
    let start = Impersonation { user, own: &by.session, client, life };
    let (session, token) = sessions::impersonate(app, tx, &start, now).await?;
    // An address that nobody has proven may be a stranger's.
    if app.config.notices.impersonation && user.email_verified_at.is_some() {
        let message = Message::Impersonated {
            at: now.rfc3339(),
            until: session.expires_at.rfc3339(),
            reason: reason.to_owned(),
        };
        mail::enqueue(app, tx, &user.email, &message, now).await?;
    }
    let event = Event::new(Kind::ImpersonationStarted, client).user(user.id).session(session.id);
    let detail = json!({
        "by": by.user.id, "bySession": by.session.id, "reason": reason, "until": session.expires_at.rfc3339(),
    });
    audit::record(app, tx, event.detail(detail), now);
    Ok((session, token))
}
