//! Giving roles to users and taking them.
use super::credentials::{Link, begin_anew};
use crate::admin::Actor;
use crate::admin::actor::Deed;
use crate::admin::etag::Read;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::codes;
use crate::db::Tx;
use crate::error::Result;
use crate::ids::UserId;
use crate::mail;
use crate::roles;
use crate::users::{self, User};
use serde_json::json;

/// What came of giving and taking roles.
pub struct RolesSet {
    /// The account afterwards.
    pub user: User,
    /// Whether that changed something.
    pub changed: bool,
    /// Whether everything that proves identity was taken away: it may have been that of somebody with fewer rights.
    pub anew: bool,
    /// Then the link to choose a password, if an operator has to hand it over; else it was mailed.
    pub link: Option<Link>,
}

/// Gives roles to a user and takes some.
///
/// # Errors
/// [`crate::error::Code::NotFound`] when the account went away meanwhile, [`crate::error::Code::ValidationFailed`],
/// [`crate::error::Code::LastAdministrator`].
pub async fn change_roles(
    app: &App,
    by: &Actor<'_>,
    id: UserId,
    add: &[String],
    remove: &[String],
) -> Result<RolesSet> {
    let deed = by.begin_with_own(app, id).await?;
    let kept = deed.user.roles.iter().filter(|role| !remove.contains(role));
    let wanted: Vec<String> = kept.chain(add).cloned().collect();
    put_roles(app, deed, &wanted).await
}

/// Gives a user these roles and no others.
///
/// # Errors
/// As [`change_roles`], [`crate::error::Code::Outdated`], and [`crate::error::Code::Forbidden`] for a role that the administrator has not.
pub(in crate::admin) async fn set_roles(
    app: &App,
    by: &Actor<'_>,
    id: UserId,
    wanted: &[String],
    read: &Read,
) -> Result<RolesSet> {
    let deed = by.begin_with_own(app, id).await?;
    deed.expect(read)?;
    put_roles(app, deed, wanted).await
}

async fn put_roles(app: &App, mut deed: Deed<'_>, wanted: &[String]) -> Result<RolesSet> {
    let names = roles::check_given(&mut deed.tx, deed.by.authority(), wanted).await?;
    let changed = users::set_roles(app, &mut deed.tx, &deed.user, &names, deed.now).await?;
    let gained = names.iter().any(|name| !deed.user.roles.contains(name));
    let anew = gained && beyond_vouchers(app, &mut deed.tx, deed.user.id, &names).await?;
    let mut link = None;
    if anew {
        link = begin_anew(app, &mut deed).await?;
    } else if gained && deed.by.is_administrator() {
        // A link that somebody with fewer rights saw must not open an account that has more since.
        codes::kill_all(&mut deed.tx, deed.user.id).await?;
    }
    let user = deed.reload().await?;
    let Deed { mut tx, by, user: former, now } = deed;
    if changed {
        let event = Event::new(Kind::UserRolesChanged, by.client).user(user.id);
        let detail = json!({ "by": by.name(), "roles": names, "former": former.roles });
        audit::record(app, &mut tx, event.detail(detail), now);
    }
    mail::commit(app, tx).await?;
    Ok(RolesSet { user, changed, anew, link })
}

/// Whether these roles are more than somebody could give on whose word the account is the person's. What was set up in it, a password that
/// they chose or a link that they saw, would be theirs.
async fn beyond_vouchers(app: &App, tx: &mut Tx, id: UserId, names: &[String]) -> Result<bool> {
    let wanted = roles::grants_in(app, &mut *tx, names).await?;
    for voucher in users::vouchers(tx, id).await? {
        if !users::grants_now(app, tx, voucher).await?.covers(&wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}
