//! People as the replaced systems showed them: our fields and theirs, so that a front end can move over one screen at a time.
use crate::roles::Grants;
use crate::users::{User, UserView};
use serde::Serialize;
use utoipa::ToSchema;

/// An account with the names that the replaced systems gave to its fields.
#[derive(Serialize, ToSchema)]
pub(super) struct Person {
    /// The same as `id`.
    #[serde(rename = "_id")]
    underscored: String,
    /// `admin` for those who hold that role, else `user`.
    role: &'static str,
    #[serde(flatten)]
    user: UserView,
}

impl Person {
    /// What the owner sees.
    pub(super) fn of(user: &User, grants: &Grants) -> Self {
        let admin = user.roles.iter().any(|role| role == "admin");
        let role = if admin { "admin" } else { "user" };
        Self { underscored: user.id.to_string(), role, user: user.view(grants) }
    }
}

/// An account as Authify's sign-in told it, whose source has a slip of the pen that its clients read.
#[derive(Serialize, ToSchema)]
pub(super) struct MisspeltPerson {
    /// The same as `username`.
    uesrname: Option<String>,
    #[serde(flatten)]
    person: Person,
}

impl MisspeltPerson {
    /// What the owner sees.
    pub(super) fn of(user: &User, grants: &Grants) -> Self {
        Self { uesrname: user.username.clone(), person: Person::of(user, grants) }
    }
}
