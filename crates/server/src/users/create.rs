//! How an account comes into being, by whatever way.
use super::{User, Way, check_access, search, store};
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::ids::UserId;
use crate::names::{Email, Username};
use crate::roles;

/// A user to be created.
pub struct NewUser<'a> {
    /// How the account comes into being.
    pub way: Way,
    /// Address.
    pub email: &'a Email,
    /// Public name.
    pub username: Option<&'a Username>,
    /// Display name.
    pub name: Option<&'a str>,
    /// PHC string.
    pub password_hash: Option<&'a str>,
    /// When the mailbox was proven.
    pub email_verified_at: Option<Timestamp>,
    /// Names of roles beyond `user`, as [`roles::check_given`] has checked them.
    pub roles: &'a [String],
}

/// Creates a user. `None` when the address was taken meanwhile; a username that was taken is left out.
///
/// # Errors
/// [`Code::RegistrationClosed`].
pub async fn create(app: &Inner, tx: &mut Tx, new: &NewUser<'_>, now: Timestamp) -> Result<Option<User>> {
    check_access(app, new.way, new.email)?;
    let id = UserId(app.new_id(now));
    let username = match new.username {
        Some(username) if username_taken_in(tx, username).await? => None,
        other => other,
    };
    let mut names: Vec<String> = new.roles.iter().cloned().chain([roles::USER.to_owned()]).collect();
    names.sort_unstable();
    names.dedup();
    let written = names.join(" ");
    let mut row = store::NewRow { id, new, username, roles: &written, now };
    if !store::insert(tx, &row).await? {
        if row.username.is_none() || store::find_by_email(tx, &new.email.normalised).await?.is_some() {
            return Ok(None);
        }
        // It was the username that somebody took since it was looked for.
        row.username = None;
        if !store::insert(tx, &row).await? {
            return Ok(None);
        }
    }
    if !new.roles.is_empty() {
        roles::note_members(tx, id, &names).await?;
    }
    let Some(user) = store::find(tx, id).await? else { return Ok(None) };
    search::note_new(tx, &user).await?;
    Ok(Some(user))
}

async fn username_taken_in(tx: &mut Tx, username: &Username) -> Result<bool> {
    Ok(store::find_by_username(tx, &username.normalised).await?.is_some())
}
