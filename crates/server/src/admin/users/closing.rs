//! Closing accounts, opening them, removing them.
use crate::account;
use crate::admin::Actor;
use crate::admin::actor::Deed;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::error::Result;
use crate::ids::UserId;
use crate::login;
use crate::sessions;
use crate::users::{self, User};
use serde_json::json;

/// What came of closing or opening an account.
pub struct Switched {
    /// The account afterwards.
    pub user: User,
    /// Whether anything had to be done.
    pub changed: bool,
    /// Sessions that ended.
    pub ended: u64,
}

/// Closes an account and ends its sessions and the sign-ins under way, or opens it.
///
/// # Errors
/// [`crate::error::Code::NotFound`] when the account went away meanwhile, [`crate::error::Code::LastAdministrator`],
/// [`crate::error::Code::Forbidden`], [`crate::error::Code::ReauthenticationRequired`].
pub async fn set_disabled(app: &App, by: &Actor<'_>, id: UserId, disabled: bool) -> Result<Switched> {
    let mut deed = by.begin(app, id).await?;
    if deed.user.disabled_at.is_some() == disabled {
        return Ok(Switched { user: deed.user, changed: false, ended: 0 });
    }
    users::set_disabled(app, &mut deed.tx, id, disabled, deed.now).await?;
    let mut ended = 0;
    if disabled {
        login::forget_attempts(&mut deed.tx, id).await?;
        ended = sessions::revoke_all(app, &mut deed.tx, id, None, "user_disabled", deed.now).await?;
    }
    let user = deed.reload().await?;
    let Deed { mut tx, by, now, .. } = deed;
    let kind = if disabled { Kind::UserDisabled } else { Kind::UserEnabled };
    let detail = json!({ "by": by.name(), "sessions": ended });
    audit::record(app, &mut tx, Event::new(kind, by.client).user(id).detail(detail), now);
    tx.commit().await?;
    Ok(Switched { user, changed: true, ended })
}

/// Removes an account with everything that hangs on it; its owner is told by mail.
///
/// # Errors
/// [`crate::error::Code::NotFound`], [`crate::error::Code::LastAdministrator`], [`crate::error::Code::AccountInUse`],
/// [`crate::error::Code::Forbidden`], [`crate::error::Code::ReauthenticationRequired`].
pub async fn delete(app: &App, by: &Actor<'_>, id: UserId) -> Result<()> {
    let Deed { tx, by, user, now } = by.begin(app, id).await?;
    let event = Event::new(Kind::UserDeleted, by.client).user(id).detail(json!({ "by": by.name() }));
    account::remove(app, tx, &user, event, now).await
}
