//! Whether a token allows something, by what its user's roles hold at this moment.
use super::introspect;
use crate::app::App;
use crate::error::{Error, FieldProblem, Result};
use crate::sessions::Act;
use crate::web::{Fields, FromFields};
use hallpass_crypto::permission;
use serde::Serialize;
use utoipa::ToSchema;

/// Most roles or permissions that are asked for at once.
const MOST: usize = 50;

/// What somebody needs to go on.
#[derive(Default)]
pub struct Needed {
    /// All of these permissions.
    pub permissions: Vec<String>,
    /// One of these roles, unless there are none.
    pub roles: Vec<String>,
}

impl Needed {
    /// What is wrong with it, if something is: only a plain permission can be asked for.
    fn problems(&self) -> Vec<FieldProblem> {
        let bad = self.permissions.iter().find(|one| !permission::is_concrete(one));
        let bad = bad.map(|_| FieldProblem {
            field: "permissions".into(),
            code: "invalid_value".into(),
            message: "Ask for permissions such as orders:read, in lower case and without wildcards.".into(),
        });
        bad.into_iter().collect()
    }

    /// Checks what a proxy was configured to ask for, separated by commas; `None` for what it does not ask for. A list that came never
    /// comes out shorter than it was written: a slip would let everybody in.
    ///
    /// # Errors
    /// [`crate::error::Code::ValidationFailed`].
    pub fn from_lists(permissions: Option<&str>, roles: Option<&str>) -> Result<Self> {
        let needed = Self { permissions: names("permission", permissions)?, roles: names("role", roles)? };
        let problems = needed.problems();
        if problems.is_empty() { Ok(needed) } else { Err(Error::validation(problems)) }
    }

    /// The permissions that are missing, and whether the role is there.
    pub fn missing(&self, grants: &crate::roles::Grants) -> (Vec<String>, bool) {
        let missing = self.permissions.iter().filter(|one| !grants.allows(one)).cloned().collect();
        let has_role = self.roles.is_empty() || self.roles.iter().any(|role| grants.has_role(role));
        (missing, has_role)
    }
}

fn names(field: &str, list: Option<&str>) -> Result<Vec<String>> {
    let names: Vec<String> =
        list.iter().flat_map(|list| list.split(',')).map(|name| name.trim().into()).collect();
    if names.iter().any(String::is_empty) {
        let text = format!("{field} has an empty name. Separate names by single commas.");
        return Err(Error::field(field, "invalid_value", &text));
    }
    Ok(names)
}

/// A question about a token.
#[derive(ToSchema)]
pub struct AuthorizeRequest {
    /// The access token of the one who wants something.
    token: String,
    /// Permissions, all of which are needed; at most 50, without wildcards. Required unless `roles` names some.
    permissions: Option<Vec<String>>,
    /// Roles, one of which is needed; at most 50.
    roles: Option<Vec<String>>,
}

impl FromFields for AuthorizeRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.token("token");
        let permissions = fields.optional_names("permissions", MOST, permission::MAX);
        let roles = fields.optional_names("roles", MOST, permission::MAX);
        // A question that asks for nothing is a slip, such as `permission` for `permissions`, and must not let everybody in.
        let asks = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        if !fields.has_problems() && !asks(&permissions) && !asks(&roles) {
            fields.problem(
                "permissions",
                "required",
                "Name permissions that are needed, or roles of which one is.",
            );
        }
        Some(Self { token: token?, permissions, roles })
    }
}

/// The answer to that question.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// Whether the token is good at this moment and its user may do all of that.
    allowed: bool,
    /// Whether the token is good at this moment.
    active: bool,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// The session's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    /// Who acts in the session, if it is not the user (RFC 8693 4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Act>,
    /// Roles as they are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<String>>,
    /// Those of the permissions asked for that are not held.
    missing_permissions: Vec<String>,
    /// Whether none of the roles asked for is held.
    missing_role: bool,
}

/// Answers from what the database says now, not from what the token said when it was made.
///
/// # Errors
/// [`crate::error::Code::ValidationFailed`], and those of the database; a token that is not good is no error.
pub(super) async fn authorize(app: &App, request: AuthorizeRequest) -> Result<Authorization> {
    let AuthorizeRequest { token, permissions, roles } = request;
    let needed = Needed { permissions: permissions.unwrap_or_default(), roles: roles.unwrap_or_default() };
    let problems = needed.problems();
    if !problems.is_empty() {
        return Err(Error::validation(problems));
    }
    let Some((owner, _)) = introspect::live(app, &token, app.now()).await? else {
        return Ok(Authorization {
            missing_role: !needed.roles.is_empty(),
            missing_permissions: needed.permissions,
            ..Authorization::default()
        });
    };
    let (missing_permissions, has_role) = needed.missing(&owner.grants);
    Ok(Authorization {
        allowed: missing_permissions.is_empty() && has_role,
        active: true,
        sub: Some(owner.user.id.to_string()),
        sid: Some(owner.session.id.to_string()),
        act: owner.session.act(),
        roles: Some(owner.grants.roles),
        missing_permissions,
        missing_role: !has_role,
    })
}
