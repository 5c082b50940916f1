//! `/api/v1/admin/statistics`: what happened, by the day.
use super::Admin;
use super::needs::StatisticsRead;
use super::query;
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::statistics::{self, Day};
use crate::web::form::Query;
use crate::web::{Routes, handlers};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

const DAY: Duration = Duration::from_secs(86_400);
/// Most days of an answer.
const MOST_DAYS: u32 = 366;
/// Days of an answer when nobody says from when.
const USUAL_DAYS: u32 = 30;

pub(super) fn routes() -> Routes {
    Routes::new().merge(handlers!(show_statistics))
}

/// One day, UTC.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DayView {
    /// Such as `2026-01-31`.
    day: String,
    /// Accounts that came into being.
    registrations: i64,
    /// Sessions that people began.
    sign_ins: i64,
    /// First and second steps of a sign-in that were wrong.
    failed_sign_ins: i64,
    /// Users who signed in or used a session.
    active_users: i64,
    /// Accounts at the end of the day, or now; null when the server was not running.
    users: Option<i64>,
    /// Live sessions at the end of the day, or now; null when the server was not running.
    live_sessions: Option<i64>,
    /// When the two were counted, RFC 3339.
    measured_at: Option<String>,
    /// Every kind of event of the audit log, by its name.
    events: BTreeMap<String, i64>,
}

impl From<Day> for DayView {
    fn from(day: Day) -> Self {
        let count = |kind: &str| day.events.get(kind).copied().unwrap_or(0);
        Self {
            day: day.begins.rfc3339().chars().take(10).collect(),
            registrations: count("user_created"),
            sign_ins: count("login_succeeded"),
            failed_sign_ins: count("login_failed") + count("second_factor_failed"),
            active_users: day.active_users,
            users: day.users,
            live_sessions: day.live_sessions,
            measured_at: day.measured_at.map(Timestamp::rfc3339),
            events: day.events,
        }
    }
}

/// What happened, by the day.
#[derive(Serialize, ToSchema)]
pub struct Statistics {
    /// Every day asked for, in order.
    days: Vec<DayView>,
}

/// What happened, by the day, UTC. Events count within seconds; accounts and live sessions are counted every 10 minutes.
#[utoipa::path(get, path = "/api/v1/admin/statistics", tag = "administration", security(("bearer" = ["hallpass:statistics:read"])),
    params(("from" = Option<String>, Query, description = "First day, such as `2026-01-01`; default 29 days before the last"),
        ("to" = Option<String>, Query, description = "Last day; default today. At most 366 days")),
    responses((status = 200, body = Statistics), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn show_statistics(
    State(app): State<App>,
    _: Admin<StatisticsRead>,
    query: Query,
) -> Result<Json<Statistics>> {
    let to = query::day(&query, "to")?.unwrap_or_else(|| statistics::day_of(app.now()));
    let from = query::day(&query, "from")?.unwrap_or_else(|| to.minus(DAY * (USUAL_DAYS - 1)));
    if from > to || from.plus(DAY * MOST_DAYS) <= to {
        return Err(Error::field("from", "invalid_value", "Ask for 1 to 366 days."));
    }
    let days = statistics::days(&app, from, to).await?;
    Ok(Json(Statistics { days: days.into_iter().map(DayView::from).collect() }))
}
