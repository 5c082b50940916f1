//! On whose authority something is given, and what may be given on it.
use super::{Grants, MAX_PER_USER, Role, USER, find, shown};
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;

/// On whose authority something is given.
#[derive(Clone, Copy, Debug)]
pub enum Authority<'a> {
    /// An operator's, who owns the server.
    Operator,
    /// That of a user who holds these.
    Holder(UserId, &'a Grants),
}

impl Authority<'_> {
    /// Who that is, in the audit log.
    pub fn name(&self) -> String {
        match self {
            Self::Operator => "operator".into(),
            Self::Holder(user, _) => user.to_string(),
        }
    }

    /// Nobody gives what they do not hold.
    ///
    /// # Errors
    /// [`Code::Forbidden`], naming what is missing.
    pub fn may_give<'p>(&self, permissions: impl IntoIterator<Item = &'p String>) -> Result<()> {
        let Self::Holder(_, grants) = self else { return Ok(()) };
        let missing: Vec<&str> =
            permissions.into_iter().filter(|one| !grants.allows(one)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let text = format!("You cannot give what you do not hold yourself: {}.", missing.join(", "));
        Err(Error::new(Code::Forbidden).with_detail(text))
    }

    /// The same for a role, whose name opens doors whatever it holds.
    ///
    /// # Errors
    /// [`Code::Forbidden`].
    pub fn may_give_role(&self, role: &Role) -> Result<()> {
        self.may_give(&role.permissions)?;
        match self {
            Self::Holder(_, grants) if !grants.can_give_role(&role.name) => {
                let text = format!("You cannot give a role that you do not have yourself: {}.", role.name);
                Err(Error::new(Code::Forbidden).with_detail(text))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that roles exist and that the authority may give them; returns them with `user`, sorted, each once.
///
/// # Errors
/// [`Code::ValidationFailed`], [`Code::Forbidden`].
pub async fn check_given(tx: &mut Tx, by: Authority<'_>, names: &[String]) -> Result<Vec<String>> {
    let mut names: Vec<String> = names.iter().cloned().chain([USER.to_owned()]).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > MAX_PER_USER {
        let text = format!("A user can have {MAX_PER_USER} roles.");
        return Err(Error::field("roles", "too_many", &text));
    }
    for name in &names {
        let role = find(&mut *tx, name).await?.ok_or_else(|| {
            let text = format!("There is no role {}. Define it first.", shown(name));
            Error::field("roles", "unknown_role", &text)
        })?;
        // What everybody has is given to everybody.
        if name != USER {
            by.may_give_role(&role)?;
        }
    }
    Ok(names)
}
