//! `/api/v1/admin/users`.
mod acting;
mod changing;
mod reading;

use crate::admin::etag;
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::roles;
use crate::users::{User, UserView};
use crate::web::Routes;
use axum::Json;
use axum::http::HeaderValue;
use axum::http::header::HeaderName;
use serde::Serialize;
use utoipa::ToSchema;

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new().merge(reading::routes()).merge(changing::routes()).merge(acting::routes())
}

/// One account.
#[derive(Serialize, ToSchema)]
pub struct OneUser {
    /// The account.
    user: UserView,
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<OneUser>);

async fn tagged(app: &App, user: &User) -> Result<Tagged> {
    let view = user.view(&roles::grants(app, &app.db, &user.roles).await?);
    Ok(([etag::tag(Some(user.updated_at))], Json(OneUser { user: view })))
}

/// What is no id is nobody's.
fn id(text: &str) -> Result<UserId> {
    UserId::parse(text).ok_or_else(|| Error::new(Code::NotFound))
}
