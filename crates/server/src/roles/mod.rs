//! Roles hold permissions, users hold roles. What a role holds is defined here; who has it is written by `users`.
//!
//! Invariants: `admin` holds everything and cannot be changed; whoever gives permissions, in a role or with one, holds them
//! all; whoever gives a role has it or holds everything, since services go by its name, whatever it holds here; a change of a role
//! is announced as outdating everything that was read of anybody, so it counts at once on every node.
mod authority;
mod catalogue;
mod store;

pub use authority::{Authority, check_given};
pub use catalogue::{Catalogue, Grants, catalogue, grants, grants_in};

use crate::app::{App, Inner};
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::{Code, Error, FieldProblem, Result};
use crate::ids::UserId;
use crate::names::has_control_characters;
use crate::revocations::{self, Fact};
use crate::web::Client;
use hallpass_crypto::permission;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// The role that everybody has.
pub const USER: &str = "user";
/// The role that holds every permission.
pub const ADMIN: &str = "admin";
/// The permission to give roles.
pub const GIVE: &str = "hallpass:users:roles";
/// Every permission.
pub const EVERYTHING: &str = "*:*";
/// Most roles that can be defined.
pub const MAX_ROLES: usize = 256;
/// Most permissions of a role.
pub const MAX_PERMISSIONS: usize = 100;
/// Most roles of a user, so that they fit into every token.
pub const MAX_PER_USER: usize = 16;
/// Longest name of a role, in characters.
const NAME_MAX: usize = 48;
/// Longest description, in characters.
const DESCRIPTION_MAX: usize = 200;
/// One change of roles at a time.
const LOCK: &str = "roles";

/// What a name of a role may be, as a sentence.
pub const NAME_RULE: &str =
    "Use 1 to 48 lower-case letters, digits, dots, dashes or underscores, beginning with a letter.";

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name; unique.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Permissions, sorted; may have wildcards.
    pub permissions: Vec<String>,
    /// When it was defined; nothing for one that is built in.
    pub created_at: Option<Timestamp>,
    /// When it was changed last; nothing for one that is built in and was never changed.
    pub updated_at: Option<Timestamp>,
}

/// A role as administrators see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleView {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Permissions that it holds, sorted; `*` stands for a whole segment, at the end for all that follow.
    pub permissions: Vec<String>,
    /// Whether it exists without being defined: `admin` and `user`.
    pub built_in: bool,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
}

impl Role {
    /// What administrators see.
    pub fn view(&self) -> RoleView {
        RoleView {
            name: self.name.clone(),
            description: self.description.clone(),
            permissions: self.permissions.clone(),
            built_in: is_built_in(&self.name),
            created_at: self.created_at.map(Timestamp::rfc3339),
            updated_at: self.updated_at.map(Timestamp::rfc3339),
        }
    }
}

/// Whether a role exists without being defined.
pub fn is_built_in(name: &str) -> bool {
    matches!(name, ADMIN | USER)
}

/// Whether a text can be the name of a role.
pub fn is_name(text: &str) -> bool {
    text.len() <= NAME_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
}

/// What a role is to be.
pub struct Definition {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Permissions that it holds.
    pub permissions: Vec<String>,
}

/// All roles, the built-in ones included, by name.
pub async fn list(mut db: impl Statements) -> Result<Vec<Role>> {
    let mut roles = store::all(&mut db).await?;
    roles.retain(|role| role.name != ADMIN);
    for name in [ADMIN, USER] {
        if !roles.iter().any(|role| role.name == name) {
            roles.push(built_in(name));
        }
    }
    roles.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(roles)
}

/// By name.
pub async fn find(mut db: impl Statements, name: &str) -> Result<Option<Role>> {
    if name == ADMIN {
        return Ok(Some(built_in(ADMIN)));
    }
    let found = store::find(&mut db, name).await?;
    Ok(found.or_else(|| is_built_in(name).then(|| built_in(name))))
}

fn built_in(name: &str) -> Role {
    let (about, permissions) = match name {
        ADMIN => ("Everything, the server's own administration included.", vec![EVERYTHING.to_owned()]),
        _ => ("Everybody.", Vec::new()),
    };
    Role {
        name: name.to_owned(),
        description: Some(about.to_owned()),
        permissions,
        created_at: None,
        updated_at: None,
    }
}

/// What must hold of the role before it is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Anything,
    /// It exists.
    Present,
    /// It does not exist.
    Absent,
    /// It was changed last at one of these instants (`None`: never).
    UnchangedSince(Vec<Option<Timestamp>>),
}

/// Defines a role or changes what it is. With the commit it counts at once for everybody who has it.
///
/// # Errors
/// [`Code::ValidationFailed`]; [`Code::Forbidden`] for `admin` and for what the authority does not hold, in the former or in the new
/// definition; [`Code::RoleExists`]; [`Code::Outdated`].
pub async fn define(
    app: &App,
    tx: &mut Tx,
    by: Authority<'_>,
    client: &Client,
    definition: Definition,
    expected: Expected,
) -> Result<Role> {
    let definition = checked(definition)?;
    lock(tx).await?;
    let now = app.now();
    let former = find(&mut *tx, &definition.name).await?;
    expect(former.as_ref(), expected)?;
    by.may_give(former.iter().flat_map(|role| &role.permissions))?;
    by.may_give(&definition.permissions)?;
    let defined = list(&mut *tx).await?.len();
    if former.is_none() && defined >= MAX_ROLES {
        let text = format!("There can be {MAX_ROLES} roles; delete one first.");
        return Err(Error::field("name", "too_many", &text));
    }
    let created_at = former.as_ref().and_then(|role| role.created_at).unwrap_or(now);
    // Two changes within a microsecond must not look like one.
    let updated_at = former
        .as_ref()
        .and_then(|role| role.updated_at)
        .map_or(now, |at| Timestamp(now.micros().max(at.micros() + 1)));
    let role = Role {
        name: definition.name,
        description: definition.description,
        permissions: definition.permissions,
        created_at: Some(created_at),
        updated_at: Some(updated_at),
    };
    store::put(tx, &role, created_at, updated_at).await?;
    changed(app, tx, now).await?;
    let kind = if former.is_some() { Kind::RoleChanged } else { Kind::RoleCreated };
    let former: Vec<&String> = former.iter().flat_map(|role| &role.permissions).collect();
    let detail =
        json!({ "by": by.name(), "role": role.name, "permissions": role.permissions, "former": former });
    audit::record(app, tx, Event::new(kind, client).detail(detail), now);
    Ok(role)
}

/// Removes a role that nobody has and that no live invitation names, which would else give what is defined under the name later.
///
/// # Errors
/// [`Code::NotFound`]; [`Code::Forbidden`] for one that is built in or holds what the authority does not; [`Code::RoleInUse`];
/// [`Code::Outdated`].
pub async fn delete(
    app: &App,
    tx: &mut Tx,
    by: Authority<'_>,
    client: &Client,
    name: &str,
    expected: Expected,
) -> Result<()> {
    if is_built_in(name) {
        return Err(Error::new(Code::Forbidden).with_detail("A built-in role cannot be deleted."));
    }
    lock(tx).await?;
    let now = app.now();
    let role = find(&mut *tx, name).await?.ok_or_else(|| Error::new(Code::NotFound))?;
    expect(Some(&role), expected)?;
    by.may_give(&role.permissions)?;
    if store::has_members(tx, name).await? || store::is_promised(tx, name, now).await? {
        return Err(Error::new(Code::RoleInUse));
    }
    store::delete(tx, name).await?;
    changed(app, tx, now).await?;
    let event = Event::new(Kind::RoleDeleted, client).detail(json!({ "by": by.name(), "role": name }));
    audit::record(app, tx, event, now);
    Ok(())
}

/// Whoever writes who has which role waits for whoever changes what roles there are, and the other way round.
pub async fn lock(tx: &mut Tx) -> Result<()> {
    Ok(tx.lock(LOCK).await?)
}

/// Writes who has which role. `users` calls it in the transaction that changes its own column.
pub(crate) async fn note_members(tx: &mut Tx, user: UserId, names: &[String]) -> Result<()> {
    Ok(store::set_members(tx, user, names).await?)
}

/// As [`note_members`] for many accounts that were made in the same transaction.
pub(crate) async fn note_newcomers(tx: &mut Tx, members: &[(UserId, &[String])]) -> Result<()> {
    Ok(store::add_members(tx, members).await?)
}

/// Whether anybody has a role beyond `user`.
pub async fn has_members(mut db: impl Statements, name: &str) -> Result<bool> {
    Ok(store::has_members(&mut db, name).await?)
}

/// Before an administrator's account closes, goes, or loses the role: somebody has to be left who can administer the server.
///
/// # Errors
/// [`Code::LastAdministrator`].
pub async fn keep_an_administrator(tx: &mut Tx, without: UserId) -> Result<()> {
    // Of two administrators who remove each other, the second has to see what the first did.
    lock(tx).await?;
    let left = store::has_other_member(tx, ADMIN, without).await?;
    if left { Ok(()) } else { Err(Error::new(Code::LastAdministrator)) }
}

/// A name as a message repeats it: whatever was sent, but short.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()
}

fn expect(former: Option<&Role>, expected: Expected) -> Result<()> {
    match (former, expected) {
        (_, Expected::Anything) | (None, Expected::Absent) | (Some(_), Expected::Present) => Ok(()),
        (Some(_), Expected::Absent) => Err(Error::new(Code::RoleExists)),
        (Some(role), Expected::UnchangedSince(read)) if read.contains(&role.updated_at) => Ok(()),
        (None, Expected::Present) | (_, Expected::UnchangedSince(_)) => Err(Error::new(Code::Outdated)),
    }
}

/// The definition in order, or every problem that it has.
fn checked(mut definition: Definition) -> Result<Definition> {
    if definition.name == ADMIN {
        return Err(Error::new(Code::Forbidden)
            .with_detail("The role admin holds everything and cannot be changed. Define another role."));
    }
    let mut problems = Vec::new();
    let mut problem = |field: &str, code: &str, message: String| {
        problems.push(FieldProblem { field: field.into(), code: code.into(), message });
    };
    if !is_name(&definition.name) {
        problem("name", "invalid_value", NAME_RULE.into());
    }
    definition.permissions.sort_unstable();
    definition.permissions.dedup();
    if definition.permissions.len() > MAX_PERMISSIONS {
        problem("permissions", "too_many", format!("A role can hold {MAX_PERMISSIONS} permissions."));
    }
    if let Some(bad) = definition.permissions.iter().find(|one| !permission::is_permission(one)) {
        let bad: String = bad.chars().filter(|c| !c.is_control()).take(permission::MAX).collect();
        problem("permissions", "invalid_value", format!("\"{bad}\": {}", permission::RULE));
    }
    let about = definition.description.as_deref().unwrap_or_default();
    if about.chars().count() > DESCRIPTION_MAX || has_control_characters(about) {
        let text = format!("Describe it in at most {DESCRIPTION_MAX} characters on one line.");
        problem("description", "invalid_value", text);
    }
    if problems.is_empty() { Ok(definition) } else { Err(Error::validation(problems)) }
}

/// Tells every node, and every service that follows.
async fn changed(app: &Inner, tx: &mut Tx, now: Timestamp) -> Result<()> {
    // Later with every change, whatever the clocks of nodes show.
    let former = catalogue::as_of(&store::version(tx).await?);
    let as_of = Timestamp(now.micros().max(former.micros().saturating_add(1)));
    store::set_version(tx, &as_of.micros().to_string()).await?;
    revocations::record(app, tx, Fact::RolesChanged(Some(as_of)), now).await
}
