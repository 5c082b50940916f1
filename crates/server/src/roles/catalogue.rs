//! Every role's permissions in memory, as long as nobody has changed a role since they were read.
use super::{EVERYTHING, USER, list, store};
use crate::app::Inner;
use crate::bus::ROLES;
use crate::clock::Timestamp;
use crate::db::{Currency, Db, Statements};
use crate::error::Result;
use crate::ids::{RowId, UserId};
use hallpass_crypto::digest::sha256;
use hallpass_crypto::permission;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Most bytes of permissions in an access token: with everything else it has to fit into a cookie.
const IN_TOKEN: usize = 1024;

/// What every role holds, as of one moment.
#[derive(Debug)]
pub struct Catalogue {
    version: String,
    permissions: HashMap<String, Vec<String>>,
}

impl Catalogue {
    /// What somebody with these roles may do. A role that is not defined holds nothing.
    pub fn grants(&self, roles: &[String]) -> Grants {
        let mut permissions: Vec<String> =
            roles.iter().filter_map(|role| self.permissions.get(role)).flatten().cloned().collect();
        permissions.sort_unstable();
        permissions.dedup();
        // Nothing but a wildcard covers another; of those there are few.
        let wide: Vec<&String> = permissions.iter().filter(|one| one.contains('*')).collect();
        let covered = |one: &String| wide.iter().any(|other| *other != one && permission::covers(other, one));
        let needed = permissions.iter().filter(|one| !covered(one)).cloned().collect();
        Grants { roles: roles.to_vec(), permissions: needed, as_of: as_of(&self.version) }
    }
}

/// When roles were changed last, in the name of that change: its microseconds since 1970 UTC, or, by an older version of the server, a
/// UUIDv7, which tells the millisecond. The beginning of time when they never were.
pub(super) fn as_of(version: &str) -> Timestamp {
    let of_id = || Uuid::try_parse(version).map(|id| RowId(id).made_at().micros().saturating_add(999));
    Timestamp(version.parse().or_else(|_| of_id()).unwrap_or(0))
}

/// What somebody may do.
#[derive(Clone, Debug)]
pub struct Grants {
    /// Names of roles, sorted.
    pub roles: Vec<String>,
    /// Permissions, sorted, without those that another one covers.
    pub permissions: Vec<String>,
    /// Of which state of the roles: later with every change of one.
    pub as_of: Timestamp,
}

impl Grants {
    /// Of somebody who may do nothing, such as one who is gone.
    pub const NONE: Self = Self { roles: Vec::new(), permissions: Vec::new(), as_of: Timestamp(0) };

    /// Whether that permission is among what is held; one with wildcards only if all that it stands for is.
    pub fn allows(&self, asked: &str) -> bool {
        self.permissions.iter().any(|held| permission::covers(held, asked))
    }

    /// Whether everything that the others are is held too: permissions and roles, since doors open to the name of a role as well.
    pub fn covers(&self, others: &Self) -> bool {
        others.permissions.iter().all(|one| self.allows(one))
            && others.roles.iter().all(|role| self.can_give_role(role))
    }

    /// Whether the role is held.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// Whether the role's name is among what is held: as everybody's, as one's own, or because everything is.
    pub fn can_give_role(&self, role: &str) -> bool {
        role == USER || self.has_role(role) || self.allows(EVERYTHING)
    }

    /// The permissions, unless they are too long for a token.
    pub fn for_token(&self) -> Option<&[String]> {
        let length: usize = self.permissions.iter().map(|one| one.len() + 3).sum();
        (length <= IN_TOKEN).then_some(&self.permissions)
    }
}

/// What every role holds at this moment, as far as it was committed and announced.
pub async fn catalogue(app: &Inner, db: &Db) -> Result<Arc<Catalogue>> {
    let name = sha256(b"roles");
    // Before the read, so that what is announced meanwhile outdates it.
    let currency = app.db.currency(UserId(ROLES), None);
    let known = app.recall.get::<(Option<Currency>, Arc<Catalogue>)>(&name);
    if let Some(known) = known.as_ref().filter(|known| currency.is_some() && known.0 == currency) {
        return Ok(Arc::clone(&known.1));
    }
    let version = store::version(&mut &*db).await?;
    let same = known.filter(|known| known.1.version == version).map(|known| Arc::clone(&known.1));
    let catalogue = match same {
        Some(catalogue) => catalogue,
        None => Arc::new(read(db, version).await?),
    };
    app.recall.put(name, Arc::new((currency, Arc::clone(&catalogue))));
    Ok(catalogue)
}

async fn read(db: impl Statements, version: String) -> Result<Catalogue> {
    let permissions = list(db).await?.into_iter().map(|role| (role.name, role.permissions)).collect();
    Ok(Catalogue { version, permissions })
}

/// What somebody with these roles may do at this moment.
pub async fn grants(app: &Inner, db: &Db, roles: &[String]) -> Result<Grants> {
    Ok(catalogue(app, db).await?.grants(roles))
}

/// The same as a transaction sees it. What is in memory was committed and announced, which the transaction may be ahead of, since it
/// waited for whoever changed a role; nor does what it sees belong there, since it may be undone.
pub async fn grants_in(app: &Inner, mut db: impl Statements, roles: &[String]) -> Result<Grants> {
    let version = store::version(&mut db).await?;
    let known = app.recall.get::<(Option<Currency>, Arc<Catalogue>)>(&sha256(b"roles"));
    match known.filter(|known| known.1.version == version) {
        Some(known) => Ok(known.1.grants(roles)),
        None => Ok(read(db, version).await?.grants(roles)),
    }
}
