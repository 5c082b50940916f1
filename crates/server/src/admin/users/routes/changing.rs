//! Making accounts, and saying anew who somebody is and what they may do.
use super::{Tagged, id, tagged};
use crate::admin::needs::{UsersRoles, UsersWrite};
use crate::admin::users::changing::{Change, change};
use crate::admin::users::roles::set_roles;
use crate::admin::users::{NewAccount, create};
use crate::admin::{Actor, Admin, etag};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::hashing::Password;
use crate::names::{Email, Username};
use crate::passwords::{Context, check_rules};
use crate::roles::{MAX_PER_USER, grants};
use crate::users::{Profile, UserView};
use crate::web::{Body, Client, Fields, FromFields, Routes, Segment, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header::HeaderName};
use serde::Serialize;
use utoipa::ToSchema;

/// Longest name of a role that is even looked at.
const ROLE_MAX: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new().merge(handlers!(create_user)).merge(handlers!(change_user)).merge(handlers!(put_user_roles))
}

/// An account to be made.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewUserRequest {
    /// E-mail address.
    #[schema(value_type = String)]
    email: Email,
    /// Whether the caller answers for the address; without it the owner has to prove it. False by default.
    email_verified: Option<bool>,
    /// Public name for signing in.
    #[schema(value_type = Option<String>)]
    username: Option<Username>,
    /// Display name.
    name: Option<String>,
    /// Without one the answer holds a link to choose one.
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
    /// Roles beyond `user`; takes `hallpass:users:roles` too.
    roles: Option<Vec<String>>,
}

impl FromFields for NewUserRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.email("email");
        let email_verified = fields.optional_flag("emailVerified");
        let username = fields.optional_username("username");
        let name = fields.optional_text("name", 100);
        let password = fields.optional_password("password");
        let roles = fields.optional_names("roles", MAX_PER_USER, ROLE_MAX);
        Some(Self { email: email?, email_verified, username, name, password, roles })
    }
}

/// An account that was made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// The account.
    user: UserView,
    /// Link to choose a password, shown once: whoever opens it owns the account, and the address counts as proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    link_expires_at: Option<String>,
}

type CreatedTagged = (StatusCode, [(HeaderName, HeaderValue); 1], Json<Created>);

/// Makes an account. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/users", tag = "administration", security(("bearer" = ["hallpass:users:write"])),
    request_body = NewUserRequest, responses(
    (status = 201, body = Created), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn create_user(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersWrite>,
    Body(request): Body<NewUserRequest>,
) -> Result<CreatedTagged> {
    let by = Actor::administrator(&admin, &client);
    if let Some(password) = &request.password {
        let username = request.username.as_ref().map(|username| username.typed.as_str());
        let context = Context { email: &request.email.typed, username, name: request.name.as_deref() };
        check_rules(&app, "password", password, &context).await?;
    }
    let new = NewAccount {
        email: request.email,
        username: request.username,
        name: request.name,
        password: request.password,
        roles: request.roles.unwrap_or_default(),
        verified: request.email_verified.unwrap_or(false),
    };
    let (user, link) = create(&app, &by, &new).await?;
    let view = user.view(&grants(&app, &app.db, &user.roles).await?);
    let link_expires_at = link.as_ref().map(|link| link.expires_at.rfc3339());
    let created = Created { user: view, link: link.map(|link| link.url), link_expires_at };
    Ok((StatusCode::CREATED, [etag::tag(Some(user.updated_at))], Json(created)))
}

/// What an account is to be; absent fields stay, null removes name or username.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ChangeUserRequest {
    /// Display name.
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    /// Public name for signing in.
    #[schema(value_type = Option<String>)]
    username: Option<Option<Username>>,
    /// E-mail address.
    #[schema(value_type = Option<String>)]
    email: Option<Email>,
    /// Whether the caller answers for the address; without it the owner has to prove a new one. False by default; only with `email`. With the present address, `true`
    /// counts it as proven and `false` changes nothing.
    email_verified: Option<bool>,
}

impl FromFields for ChangeUserRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.change("name", 100);
        let username = match fields.change("username", 200) {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => fields.parse_username("username", &text).map(Some),
        };
        let email = fields.optional_email("email");
        let email_verified = fields.optional_flag("emailVerified");
        if email_verified.is_some() && !fields.has("email") {
            let text = "Send it with email; the present address is verified with verify-email.";
            fields.problem("emailVerified", "invalid_value", text);
        }
        Some(Self { name, username, email, email_verified })
    }
}

/// Changes name, username or address. The owner is told by mail of the latter two. Needs a fresh proof of identity.
#[utoipa::path(patch, path = "/api/v1/admin/users/{id}", tag = "administration", security(("bearer" = ["hallpass:users:write"])),
    params(("id" = String, Path, description = "Id of the user"), ("If-Match" = Option<String>, Header, description = "`ETag` of what was read, or *; required")),
    request_body = ChangeUserRequest, responses(
    (status = 200, body = super::OneUser), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 412, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
    (status = 428, body = Problem), (status = 503, body = Problem)))]
async fn change_user(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersWrite>,
    Segment(user): Segment,
    headers: HeaderMap,
    Body(request): Body<ChangeUserRequest>,
) -> Result<Tagged> {
    let (id, read) = (id(&user)?, etag::read(&headers)?);
    let profile = Profile { name: request.name, username: request.username };
    let email = request.email.map(|email| (email, request.email_verified.unwrap_or(false)));
    let by = Actor::administrator(&admin, &client);
    let user = change(&app, &by, id, &Change { profile, email }, &read).await?;
    tagged(&app, &user).await
}

/// The roles that somebody is to have.
#[derive(ToSchema)]
pub struct UserRolesRequest {
    /// All of them; `user` need not be named.
    roles: Vec<String>,
}

impl FromFields for UserRolesRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { roles: fields.names("roles", MAX_PER_USER, ROLE_MAX)? })
    }
}

/// Gives somebody these roles and no others. Counts at once, in sessions that exist too. Nobody gives a role that they have not, unless they hold everything. An account that
/// another administrator made, or whose address they answered for, and that gets more than they could give, begins anew: password, factors and sessions go, and its address is mailed
/// a link. Needs a fresh proof of identity.
#[utoipa::path(put, path = "/api/v1/admin/users/{id}/roles", tag = "administration", security(("bearer" = ["hallpass:users:roles"])),
    params(("id" = String, Path, description = "Id of the user"), ("If-Match" = Option<String>, Header, description = "`ETag` of what was read, or *; required")),
    request_body = UserRolesRequest, responses(
    (status = 200, body = super::OneUser), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 412, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
    (status = 428, body = Problem), (status = 503, body = Problem)))]
async fn put_user_roles(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersRoles>,
    Segment(user): Segment,
    headers: HeaderMap,
    Body(request): Body<UserRolesRequest>,
) -> Result<Tagged> {
    let (id, read) = (id(&user)?, etag::read(&headers)?);
    let by = Actor::administrator(&admin, &client);
    let done = set_roles(&app, &by, id, &request.roles, &read).await?;
    tagged(&app, &done.user).await
}
