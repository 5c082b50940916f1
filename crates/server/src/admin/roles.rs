//! `/api/v1/admin/roles`: which roles there are and what they hold.
use super::Admin;
use super::etag::{self, Read};
use super::needs::{PERMISSIONS, RolesRead, RolesWrite};
use crate::app::App;
use crate::error::{Code, Error, Problem, Result};
use crate::roles::{self, Definition, Expected, MAX_PERMISSIONS, Role, RoleView};
use crate::sessions::Said;
use crate::web::path::Segment;
use crate::web::{Body, Client, Fields, FromFields};
use axum::Json;
use axum::extract::State;
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};
use hallpass_crypto::permission;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_roles)).routes(routes!(show_role, put_role, delete_role))
}

/// A permission of the server's own.
#[derive(Serialize, ToSchema)]
pub struct OwnPermission {
    /// Its name.
    permission: &'static str,
    /// What it allows.
    description: &'static str,
}

/// Every role.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Roles {
    /// By name.
    roles: Vec<RoleView>,
    /// What the server itself asks for, as a role may hold it beside the application's.
    own_permissions: Vec<OwnPermission>,
}

/// Roles and what they hold.
#[utoipa::path(get, path = "/api/v1/admin/roles", tag = "administration", security(("bearer" = ["hallpass:roles:read"])), responses(
    (status = 200, body = Roles), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn list_roles(State(app): State<App>, _: Admin<RolesRead>) -> Result<Json<Roles>> {
    let roles = roles::list(&app.db).await?.iter().map(Role::view).collect();
    let own = PERMISSIONS.map(|(permission, description)| OwnPermission { permission, description });
    Ok(Json(Roles { roles, own_permissions: own.into() }))
}

/// One role.
#[derive(Serialize, ToSchema)]
pub struct OneRole {
    /// The role.
    role: RoleView,
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<OneRole>);

fn tagged(role: &Role) -> Tagged {
    ([etag::tag(role.updated_at)], Json(OneRole { role: role.view() }))
}

/// One role; its `ETag` is what a change of it sends as `If-Match`.
#[utoipa::path(get, path = "/api/v1/admin/roles/{name}", tag = "administration", security(("bearer" = ["hallpass:roles:read"])),
    params(("name" = String, Path, description = "Name of the role")), responses(
    (status = 200, body = OneRole), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show_role(State(app): State<App>, _: Admin<RolesRead>, Segment(name): Segment) -> Result<Tagged> {
    let role = roles::find(&app.db, &name).await?.ok_or_else(|| Error::new(Code::NotFound))?;
    Ok(tagged(&role))
}

/// What a role is to be.
#[derive(ToSchema)]
pub struct RoleRequest {
    /// For people; at most 200 characters.
    description: Option<String>,
    /// All permissions that it holds, such as `orders:read`; `*` stands for a whole segment, at the end for all that follow. At most 100.
    permissions: Vec<String>,
}

impl FromFields for RoleRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let description = fields.optional_text("description", 200);
        let permissions = fields.names("permissions", MAX_PERMISSIONS, permission::MAX);
        Some(Self { description, permissions: permissions? })
    }
}

/// Defines a role (`If-None-Match: *`) or says anew what it is (`If-Match` with its `ETag`). Counts at once for everybody who has it. Needs a fresh
/// proof of identity, and takes only what the caller holds.
#[utoipa::path(put, path = "/api/v1/admin/roles/{name}", tag = "administration", security(("bearer" = ["hallpass:roles:write"])),
    params(("name" = String, Path, description = "Name of the role"), ("If-Match" = Option<String>, Header, description = "`ETag` of what was read, or *"),
        ("If-None-Match" = Option<String>, Header, description = "* for a new role")),
    request_body = RoleRequest, responses(
    (status = 200, body = OneRole), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 412, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem), (status = 503, body = Problem)))]
async fn put_role(
    State(app): State<App>,
    client: Client,
    admin: Admin<RolesWrite>,
    Segment(name): Segment,
    headers: HeaderMap,
    Body(request): Body<RoleRequest>,
) -> Result<Tagged> {
    let expected = expected(etag::read(&headers)?);
    let RoleRequest { description, permissions } = request;
    let definition = Definition { name, description, permissions };
    let role = define(&app, &admin, &client, definition, expected).await?;
    Ok(tagged(&role))
}

/// Removes a role that nobody has and that no live invitation names. Needs a fresh proof of identity.
#[utoipa::path(delete, path = "/api/v1/admin/roles/{name}", tag = "administration", security(("bearer" = ["hallpass:roles:write"])),
    params(("name" = String, Path, description = "Name of the role"), ("If-Match" = Option<String>, Header, description = "`ETag` of what was read, or *")), responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 412, body = Problem), (status = 428, body = Problem), (status = 503, body = Problem)))]
async fn delete_role(
    State(app): State<App>,
    client: Client,
    admin: Admin<RolesWrite>,
    Segment(name): Segment,
    headers: HeaderMap,
) -> Result<Json<Said>> {
    let expected = expected(etag::read(&headers)?);
    delete(&app, &admin, &client, &name, expected).await?;
    Ok(Json(Said { message: "The role was deleted." }))
}

/// Defines or changes a role on an administrator's authority.
async fn define(
    app: &App,
    admin: &Admin<RolesWrite>,
    client: &Client,
    definition: Definition,
    expected: Expected,
) -> Result<Role> {
    let (mut tx, admin) = admin.begin(app).await?;
    let role = roles::define(app, &mut tx, admin.authority(), client, definition, expected).await?;
    tx.commit().await?;
    Ok(role)
}

/// Removes a role on an administrator's authority.
async fn delete(
    app: &App,
    admin: &Admin<RolesWrite>,
    client: &Client,
    name: &str,
    expected: Expected,
) -> Result<()> {
    let (mut tx, admin) = admin.begin(app).await?;
    roles::delete(app, &mut tx, admin.authority(), client, name, expected).await?;
    tx.commit().await?;
    Ok(())
}

fn expected(read: Read) -> Expected {
    match read {
        Read::Anything => Expected::Present,
        Read::Nothing => Expected::Absent,
        Read::Versions(read) => Expected::UnchangedSince(read),
    }
}
