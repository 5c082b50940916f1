//! `/api/v1/admin/keys`: the keys that sign access tokens.
use super::Admin;
use super::needs::{KeysRead, KeysWrite};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::keys::{self, SigningKeyView};
use crate::web::{Client, Fields, FromFields, MaybeBody, Routes, handlers};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

pub(super) fn routes() -> Routes {
    Routes::new().merge(handlers!(list_keys)).merge(handlers!(rotate_keys))
}

/// Every signing key.
#[derive(Serialize, ToSchema)]
pub struct SigningKeys {
    /// Newest first.
    keys: Vec<SigningKeyView>,
}

/// The keys that sign access tokens, without their private parts.
#[utoipa::path(get, path = "/api/v1/admin/keys", tag = "administration", security(("bearer" = ["hallpass:keys:read"])), responses(
    (status = 200, body = SigningKeys), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn list_keys(State(app): State<App>, _: Admin<KeysRead>) -> Result<Json<SigningKeys>> {
    Ok(Json(SigningKeys { keys: keys::list(&app).await? }))
}

/// How to replace the signing key.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct RotateRequest {
    /// Removes the former keys, so that no access token signed before is taken any more; for a key that has leaked. Clients refresh.
    drop_former: Option<bool>,
}

impl FromFields for RotateRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let drop_former = fields.optional_flag("dropFormer");
        (!fields.has_problems()).then_some(Self { drop_former })
    }
}

/// A new signing key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// Its id; `kid` of tokens.
    kid: String,
    /// Whether the former keys are gone.
    former_dropped: bool,
}

/// Makes a new key that signs at once; the former ones verify until their tokens have expired, unless they are dropped. Other nodes take it up
/// within a second. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/keys/rotate", tag = "administration", security(("bearer" = ["hallpass:keys:write"])),
    request_body = Option<RotateRequest>, responses(
    (status = 200, body = Rotated), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn rotate_keys(
    State(app): State<App>,
    client: Client,
    admin: Admin<KeysWrite>,
    MaybeBody(request): MaybeBody<RotateRequest>,
) -> Result<Json<Rotated>> {
    let former_dropped = request.drop_former == Some(true);
    let kid = rotate(&app, &admin, &client, former_dropped).await?;
    Ok(Json(Rotated { kid, former_dropped }))
}

/// Replaces the signing key on an administrator's authority.
async fn rotate(app: &App, admin: &Admin<KeysWrite>, client: &Client, drop_former: bool) -> Result<String> {
    let (mut tx, admin) = admin.begin(app).await?;
    let kid = keys::rotate(app, &mut tx, admin.authority(), client, drop_former).await?;
    tx.commit().await?;
    keys::maintain(app).await?;
    Ok(kid)
}
