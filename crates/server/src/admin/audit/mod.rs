//! The audit log for administrators. Whoever reads it leaves an event in it.
mod export;
mod routes;

pub(super) use routes::routes;

use super::Admin;
use super::needs::AuditRead;
use crate::app::App;
use crate::audit::{self, Event, Filter, Kind, Searched};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::RowId;
use crate::web::Client;
use axum::body::Body;
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than the commit of an event takes after its id was made. What is younger may still be joined by an event with
/// an earlier id, which an export that goes on after the last one would miss.
const SETTLED: Duration = Duration::from_secs(60);

/// A page of events, newest first.
async fn page(
    app: &App,
    admin: &Admin<AuditRead>,
    client: &Client,
    filter: &Filter,
    before: Option<RowId>,
    limit: usize,
) -> Result<Searched> {
    let found = audit::search(&app.db, filter, before, limit).await?;
    note(app, admin, client, Kind::AuditRead, filter).await?;
    Ok(found)
}

/// All events that pass a filter, oldest first, but for those of the last minute. Needs a fresh proof of identity.
async fn export(
    app: &App,
    admin: Admin<AuditRead>,
    client: &Client,
    mut filter: Filter,
    after: Option<RowId>,
) -> Result<Body> {
    admin.require_fresh(app)?;
    let settled = app.now().minus(SETTLED);
    filter.until = Some(filter.until.map_or(settled, |until| until.min(settled)));
    note(app, &admin, client, Kind::AuditExported, &filter).await?;
    Ok(export::stream(app, admin, filter, after, settled))
}

async fn note(
    app: &App,
    admin: &Admin<AuditRead>,
    client: &Client,
    kind: Kind,
    filter: &Filter,
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let now = app.now();
    let admin = admin.anew(app, &mut tx, now).await?;
    let event = Event::new(kind, client).session(admin.current.session.id);
    let mut detail = words(filter);
    detail["by"] = admin.authority().name().into();
    audit::record(app, &mut tx, event.detail(detail), now);
    Ok(tx.commit().await?)
}

fn words(filter: &Filter) -> Value {
    let time = |at: Option<Timestamp>| at.map(Timestamp::rfc3339);
    json!({
        "user": filter.user, "kind": filter.kind.map(Kind::name), "failed": filter.failed,
        "from": time(filter.since), "to": time(filter.until),
    })
}
