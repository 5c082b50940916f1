//! What people and administrators see of an account.
use super::User;
use crate::clock::Timestamp;
use crate::roles::Grants;
use serde::Serialize;
use utoipa::ToSchema;

/// An account as its owner sees it. No hash, no secret, ever.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    /// Id.
    pub id: String,
    /// E-mail address.
    pub email: String,
    /// Whether the mailbox was proven.
    pub email_verified: bool,
    /// Public name for signing in.
    pub username: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Permissions that the roles hold.
    pub permissions: Vec<String>,
    /// `active` or `disabled`.
    pub status: &'static str,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub last_login_at: Option<String>,
    /// Ways to prove identity that are set up.
    pub factors: Vec<&'static str>,
}

impl User {
    /// What the owner sees, with what the roles hold.
    pub fn view(&self, grants: &Grants) -> UserView {
        let second = self.factors.iter().map(|factor| factor.name());
        UserView {
            id: self.id.to_string(),
            email: self.email.clone(),
            email_verified: self.email_verified_at.is_some(),
            username: self.username.clone(),
            name: self.name.clone(),
            roles: self.roles.clone(),
            permissions: grants.permissions.clone(),
            status: if self.disabled_at.is_some() { "disabled" } else { "active" },
            created_at: self.created_at.rfc3339(),
            last_login_at: self.last_login_at.map(Timestamp::rfc3339),
            factors: self.has_password.then_some("password").into_iter().chain(second).collect(),
        }
    }
}
