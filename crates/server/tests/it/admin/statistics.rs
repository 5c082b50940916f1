//! What happened, by the day.
use crate::support::operator::BOSS;
use crate::support::{Client, TestApp};
use hallpass::{sessions, statistics};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

async fn days(boss: &mut Client, query: &str) -> Vec<Value> {
    let answer = boss.get(&format!("/api/v1/admin/statistics{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["days"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_event_is_counted_once_on_its_day() {
    let server = TestApp::start().await;
    server.boss().await;
    server.signed_in("ann@example.com").await;
    let wrong = json!({ "email": "ann@example.com", "password": "wrong horse battery" });
    server.client().post("/api/v1/login", wrong).await;
    for _ in 0..2 {
        statistics::count(&server.app).await.unwrap();
    }
    server.advance(DAY);
    server.sign_in("ann@example.com").await;
    let mut boss = server.sign_in(BOSS).await;
    // Another node counts the rest.
    let node = server.second_node().await;
    statistics::count(&node.app).await.unwrap();
    statistics::count(&server.app).await.unwrap();
    let days = days(&mut boss, "").await;
    assert_eq!(days.len(), 30);
    let (yesterday, today) = (&days[28], &days[29]);
    assert_eq!((&yesterday["registrations"], &today["registrations"]), (&json!(2), &json!(0)));
    assert_eq!((&yesterday["signIns"], &today["signIns"]), (&json!(2), &json!(2)));
    assert_eq!((&yesterday["failedSignIns"], &today["failedSignIns"]), (&json!(1), &json!(0)));
    assert_eq!((&yesterday["activeUsers"], &today["activeUsers"]), (&json!(2), &json!(2)));
    assert_eq!((&yesterday["users"], &yesterday["liveSessions"]), (&json!(2), &json!(2)));
    assert_eq!((&today["users"], &today["liveSessions"]), (&json!(2), &json!(4)));
    assert_eq!(yesterday["events"]["user_created"], 2);
    assert_eq!((&days[0]["signIns"], &days[0]["users"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn who_only_uses_a_session_is_active_too_and_counts_once_a_day() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let mut ann = server.signed_in("ann@example.com").await;
    statistics::count(&server.app).await.unwrap();
    server.advance(DAY);
    for _ in 0..3 {
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(ann.get("/api/v1/me").await.status, 200);
        sessions::flush_presence(&server.app).await.unwrap();
        statistics::count(&server.app).await.unwrap();
        server.advance(Duration::from_secs(120));
    }
    assert_eq!(boss.refresh().await.status, 200);
    let seen = days(&mut boss, "").await;
    assert_eq!((&seen[29]["activeUsers"], &seen[28]["activeUsers"]), (&json!(1), &json!(2)));
    statistics::count(&server.app).await.unwrap();
    assert_eq!(days(&mut boss, "").await[29]["activeUsers"], 2, "the administrator's call is counted now");
    // When the day is over it is forgotten who it was; the number stays.
    server.advance(DAY * 2);
    server.sign_in("ann@example.com").await;
    statistics::count(&server.app).await.unwrap();
    let sql = "select count(*) from daily_users";
    let mut row = hallpass::db::Statements::query_opt(&mut &server.app.db, sql, &[]).await.unwrap().unwrap();
    assert_eq!(row.int().unwrap(), 1);
    let mut boss = server.sign_in(BOSS).await;
    assert_eq!(days(&mut boss, "").await[27]["activeUsers"], 2);
}

#[tokio::test]
async fn a_long_log_is_counted_bit_by_bit_and_on_several_nodes_at_once() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let client = hallpass::web::Client::system();
    let mut tx = server.app.db.begin().await.unwrap();
    for number in 0..1200 {
        let identifier = format!("{number}@example.com");
        let event = hallpass::audit::Event::new(hallpass::audit::Kind::LoginFailed, &client);
        hallpass::audit::record(&server.app, &mut tx, event.identifier(&identifier), server.app.now());
    }
    tx.commit().await.unwrap();
    let node = server.second_node().await;
    let (one, other) = tokio::join!(statistics::count(&server.app), statistics::count(&node.app));
    one.and(other).unwrap();
    assert_eq!(days(&mut boss, "").await[29]["failedSignIns"], 1200);
}

#[tokio::test]
async fn bad_ranges_are_refused_and_good_ones_answered() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    assert_eq!(days(&mut boss, "?from=2026-01-01&to=2026-01-01").await.len(), 1);
    let year = days(&mut boss, "?from=2024-01-01&to=2024-12-31").await;
    assert_eq!((year.len(), &year[59]["day"]), (366, &json!("2024-02-29")));
    for query in [
        "?from=2026-01-02&to=2026-01-01",
        "?from=2024-01-01&to=2025-01-01",
        "?from=x",
        "?to=2026-02-30",
        "?from=9999-12-31",
        "?from=0000-01-01",
    ] {
        let answer = boss.get(&format!("/api/v1/admin/statistics{query}")).await;
        assert_eq!((answer.status, answer.code()), (422, "validation_failed"), "{query}");
    }
}
