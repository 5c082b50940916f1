//! `/api/v1/admin/invitations`: who is invited, with which roles.
use super::needs::{InvitationsRead, InvitationsWrite, UsersRoles};
use super::{Admin, Need, query, require};
use crate::app::App;
use crate::config::Registration;
use crate::db::Tx;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::RowId;
use crate::invitations::{self, Actor, Invitation, InvitationView, Invite};
use crate::mail;
use crate::names::Email;
use crate::roles::MAX_PER_USER;
use crate::web::form::Query;
use crate::web::path::{Segment, row};
use crate::web::{Body, Client, Fields, FromFields, MaybeBody, Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// Invitations in a page, unless told otherwise.
const PAGE: u16 = 50;
/// Most invitations in a page.
const PAGE_MAX: u16 = 200;
/// Longest name of a role that is even looked at.
const ROLE_MAX: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(list_invitations, create_invitation))
        .merge(handlers!(revoke_invitation))
        .merge(handlers!(resend_invitation))
}

/// A page of invitations.
#[derive(Serialize, ToSchema)]
pub struct Invitations {
    /// Oldest first, of every state.
    invitations: Vec<InvitationView>,
    /// What to send as `after` for the following page; null at the end.
    next: Option<String>,
}

/// One invitation.
#[derive(Serialize, ToSchema)]
pub struct OneInvitation {
    /// The invitation, without its link, which only the mail has.
    invitation: InvitationView,
}

/// Invitations, without their links: all of them in pages, or all of one address.
#[utoipa::path(get, path = "/api/v1/admin/invitations", tag = "administration", security(("bearer" = ["hallpass:invitations:read"])),
    params(("email" = Option<String>, Query, description = "Those of this address only, in one page"), ("after" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 by default")), responses(
    (status = 200, body = Invitations), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn list_invitations(
    State(app): State<App>,
    _: Admin<InvitationsRead>,
    query: Query,
) -> Result<Json<Invitations>> {
    let (after, limit) = (query::row(&query, "after")?, query::limit(&query, PAGE, PAGE_MAX)?);
    let (found, more) = match query.get("email") {
        "" => page(&app, after, limit).await?,
        email => (of_address(&app, email).await?, false),
    };
    let now = app.now();
    let invitations: Vec<InvitationView> = found.iter().map(|one| one.view(now)).collect();
    let next = invitations.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(Invitations { invitations, next }))
}

/// A page, and whether there is another.
async fn page(app: &App, after: Option<RowId>, limit: u16) -> Result<(Vec<Invitation>, bool)> {
    let mut found = invitations::list(&app.db, after, i64::from(limit) + 1).await?;
    let more = query::cut(&mut found, limit);
    Ok((found, more))
}

async fn of_address(app: &App, text: &str) -> Result<Vec<Invitation>> {
    let wrong =
        || Error::field("email", "invalid_email", "email must be an address such as name@example.com.");
    let email = Email::parse(text).ok_or_else(wrong)?;
    invitations::of_address(&app.db, &email.normalised).await
}

/// Whom to invite.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct InvitationRequest {
    /// E-mail address.
    #[schema(value_type = String)]
    email: Email,
    /// Display name.
    name: Option<String>,
    /// Roles beyond `user`. Takes `hallpass:users:roles`, and only roles that the caller has, unless they hold everything.
    roles: Option<Vec<String>>,
    /// Life of the link in seconds, from 60 to 7776000; without it `registration.invitation_ttl`.
    #[schema(value_type = Option<u64>)]
    expires_in: Option<Duration>,
}

impl FromFields for InvitationRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.email("email");
        let name = fields.optional_text("name", 100);
        let roles = fields.optional_names("roles", MAX_PER_USER, ROLE_MAX);
        let expires_in = life(fields);
        let request = Self { email: email?, name, roles, expires_in };
        (!fields.has_problems()).then_some(request)
    }
}

fn life(fields: &mut Fields) -> Option<Duration> {
    let longest = Registration::LONGEST_INVITATION.as_secs();
    fields.optional_number("expiresIn", 60, longest).map(Duration::from_secs)
}

/// Mails somebody a link with which to have an account, with roles that are decided now. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/invitations", tag = "administration", security(("bearer" = ["hallpass:invitations:write"])),
    request_body = InvitationRequest, responses(
    (status = 201, body = OneInvitation), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn create_invitation(
    State(app): State<App>,
    client: Client,
    admin: Admin<InvitationsWrite>,
    Body(request): Body<InvitationRequest>,
) -> Result<(StatusCode, Json<OneInvitation>)> {
    let InvitationRequest { email, name, roles, expires_in } = request;
    let invite = Invite { email, name, roles: roles.unwrap_or_default(), life: expires_in };
    let made = create(&app, &admin, &client, &invite).await?;
    Ok((StatusCode::CREATED, Json(OneInvitation { invitation: made.view(app.now()) })))
}

/// How an invitation is sent again.
#[derive(Default, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ResendInvitationRequest {
    /// Life of the new link in seconds, from 60 to 7776000; without it `registration.invitation_ttl`.
    #[schema(value_type = Option<u64>)]
    expires_in: Option<Duration>,
}

impl FromFields for ResendInvitationRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let expires_in = life(fields);
        (!fields.has_problems()).then_some(Self { expires_in })
    }
}

/// Mails a new link; the former one is dead. An expired invitation comes back to life by it. Needs a fresh proof of identity, and takes
/// only roles that the caller has, as inviting does.
#[utoipa::path(post, path = "/api/v1/admin/invitations/{id}/resend", tag = "administration", security(("bearer" = ["hallpass:invitations:write"])),
    params(("id" = String, Path, description = "Id of the invitation")), request_body = Option<ResendInvitationRequest>, responses(
    (status = 200, body = OneInvitation), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn resend_invitation(
    State(app): State<App>,
    client: Client,
    admin: Admin<InvitationsWrite>,
    Segment(id): Segment,
    MaybeBody(request): MaybeBody<ResendInvitationRequest>,
) -> Result<Json<OneInvitation>> {
    let renewed = resend(&app, &admin, &client, row(&id)?, request.expires_in).await?;
    Ok(Json(OneInvitation { invitation: renewed.view(app.now()) }))
}

/// Takes an invitation back: its link opens nothing any more; again and again changes nothing. Needs no fresh proof of identity: it only closes doors.
#[utoipa::path(delete, path = "/api/v1/admin/invitations/{id}", tag = "administration", security(("bearer" = ["hallpass:invitations:write"])),
    params(("id" = String, Path, description = "Id of the invitation")), responses(
    (status = 200, body = OneInvitation), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn revoke_invitation(
    State(app): State<App>,
    client: Client,
    admin: Admin<InvitationsWrite>,
    Segment(id): Segment,
) -> Result<Json<OneInvitation>> {
    let revoked = revoke(&app, &admin, &client, row(&id)?).await?;
    Ok(Json(OneInvitation { invitation: revoked.view(app.now()) }))
}

/// Giving roles takes the permission to give them, here as everywhere.
fn require_roles(admin: &Admin<InvitationsWrite>, roles: &[String]) -> Result<()> {
    if roles.is_empty() { Ok(()) } else { require(&admin.current, UsersRoles::PERMISSION) }
}

/// Invites on an administrator's authority.
async fn create(
    app: &App,
    admin: &Admin<InvitationsWrite>,
    client: &Client,
    invite: &Invite,
) -> Result<Invitation> {
    let (mut tx, admin) = admin.begin(app).await?;
    require_roles(&admin, &invite.roles)?;
    let actor = Actor { client, by: admin.authority() };
    let made = invitations::create(app, &mut tx, actor, invite).await?;
    mail::commit(app, tx).await?;
    Ok(made)
}

/// Sends an invitation again on an administrator's authority.
async fn resend(
    app: &App,
    admin: &Admin<InvitationsWrite>,
    client: &Client,
    id: RowId,
    life: Option<Duration>,
) -> Result<Invitation> {
    let (mut tx, admin) = admin.begin(app).await?;
    let former = find(&mut tx, id).await?;
    require_roles(&admin, &former.roles)?;
    let actor = Actor { client, by: admin.authority() };
    let renewed = invitations::resend(app, &mut tx, actor, id, life).await?;
    mail::commit(app, tx).await?;
    Ok(renewed)
}

/// Takes an invitation back on an administrator's authority.
async fn revoke(
    app: &App,
    admin: &Admin<InvitationsWrite>,
    client: &Client,
    id: RowId,
) -> Result<Invitation> {
    let (mut tx, admin) = admin.begin_at_once(app).await?;
    let actor = Actor { client, by: admin.authority() };
    invitations::revoke(app, &mut tx, actor, id).await?;
    let revoked = find(&mut tx, id).await?;
    tx.commit().await?;
    Ok(revoked)
}

async fn find(tx: &mut Tx, id: RowId) -> Result<Invitation> {
    invitations::find(tx, id).await?.ok_or_else(|| Error::new(Code::NotFound))
}
