//! What is not taken is told again, for a while.
use super::{ANN, delete, deliveries, endpoint, listened, replay, replay_dead, rotate_secret, set_disabled};
use crate::support::TestApp;
use crate::support::receiver::{Receiver, Reply};
use hallpass::app::App;
use hallpass::db::Statements;
use hallpass::housekeeping::purge_once;
use hallpass::ids::RowId;
use hallpass::webhooks;
use hallpass::webhooks::worker::run_once;
use std::time::Duration;

/// Seconds after each failure, less than a tenth more for jitter.
pub const WAITS: [u64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// A server with one event that waits.
async fn one_event(reply: Reply) -> (TestApp, Receiver, RowId) {
    let server = TestApp::start().await;
    let receiver = Receiver::start(reply).await;
    let (id, _) = endpoint(&server.app, &receiver.url(), &["session.created"]).await;
    server.signed_in(ANN).await;
    (server, receiver, id)
}

async fn state(app: &App, id: RowId) -> (&'static str, i64) {
    let only = deliveries(app, id).await.remove(0);
    (only.state, only.attempts)
}

#[tokio::test]
async fn a_failed_delivery_is_tried_ten_times_with_growing_waits_under_one_id_and_then_given_up() {
    let (server, receiver, id) = one_event(Reply::Status(500)).await;
    for (failures, wait) in (1..).zip(WAITS) {
        assert_eq!(run_once(&server.app).await.unwrap().retried, 1);
        assert_eq!(state(&server.app, id).await, ("waiting", failures));
        server.advance(Duration::from_secs(wait - 1));
        assert_eq!(run_once(&server.app).await.unwrap().retried, 0, "too early");
        server.advance(Duration::from_secs(2 + wait / 10));
    }
    assert_eq!(run_once(&server.app).await.unwrap().dead, 1);
    assert_eq!(state(&server.app, id).await, ("dead", 10));
    let got = receiver.got();
    assert_eq!(got.len(), 10);
    assert!(got.iter().all(|one| one.headers["webhook-id"] == got[0].headers["webhook-id"]));
    assert!(got[9].headers["webhook-timestamp"] > got[0].headers["webhook-timestamp"]);
    server.advance(Duration::from_secs(86_400));
    assert_eq!(run_once(&server.app).await.unwrap(), webhooks::worker::Report::default());
    assert!(server.app.metrics.render().contains("hallpass_webhooks_total{outcome=\"dead\"} 1"));
}

#[tokio::test]
async fn what_was_given_up_can_be_told_once_more_one_by_one_or_all_since_a_time() {
    let (server, receiver, id) = one_event(Reply::Status(410)).await;
    assert_eq!(run_once(&server.app).await.unwrap().dead, 1);
    receiver.behave(Reply::Status(200));
    set_disabled(&server.app, id, false).await;
    let now = server.app.now();
    let later = now.plus(Duration::from_secs(1));
    assert_eq!(replay_dead(&server.app, id, later).await, 0);
    assert_eq!(replay_dead(&server.app, id, now).await, 1);
    assert_eq!(state(&server.app, id).await, ("waiting", 0));
    assert_eq!(run_once(&server.app).await.unwrap().delivered, 1);
    let delivery = RowId::parse(&deliveries(&server.app, id).await[0].id).unwrap();
    assert!(replay(&server.app, delivery).await);
    assert_eq!(run_once(&server.app).await.unwrap().delivered, 1);
    let ids: Vec<_> = receiver.got().iter().map(|one| one.headers["webhook-id"].clone()).collect();
    assert_eq!(ids, [ids[0].clone(), ids[0].clone(), ids[0].clone()]);
}

#[tokio::test]
async fn gone_disables_an_endpoint_at_once() {
    let (server, receiver, id) = one_event(Reply::Status(410)).await;
    assert_eq!(run_once(&server.app).await.unwrap().dead, 1);
    let found = webhooks::find(&server.app.db, id).await.unwrap();
    assert_eq!(found.disabled_reason.as_deref(), Some("gone"));
    server.sign_in(ANN).await;
    assert_eq!(run_once(&server.app).await.unwrap(), webhooks::worker::Report::default());
    assert_eq!((receiver.got().len(), deliveries(&server.app, id).await.len()), (1, 1));
}

#[tokio::test]
async fn an_endpoint_is_waited_for_as_long_as_it_asks() {
    for (status, text, wait) in [
        (429, "1000".to_owned(), 1000),
        (503, "Thu, 01 Jan 2026 01:00:00 GMT".to_owned(), 3600),
        (503, "99999999".to_owned(), 86_400),
        (429, "soon".to_owned(), 5),
        (429, "1".to_owned(), 5),
        (500, "1000".to_owned(), 5),
    ] {
        let (server, _receiver, _) = one_event(Reply::Header(status, "retry-after", text.clone())).await;
        assert_eq!(run_once(&server.app).await.unwrap().retried, 1, "{text}");
        server.advance(Duration::from_secs(wait - 1));
        assert_eq!(run_once(&server.app).await.unwrap().retried, 0, "{text}");
        server.advance(Duration::from_secs(2 + wait / 100));
        assert_eq!(run_once(&server.app).await.unwrap().retried, 1, "{text}");
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_for_days_is_disabled_and_one_success_begins_the_count_anew() {
    let (server, receiver, id) = one_event(Reply::Status(500)).await;
    let day = Duration::from_secs(86_400);
    run_once(&server.app).await.unwrap();
    server.advance(day * 3);
    receiver.next(Reply::Status(200));
    run_once(&server.app).await.unwrap();
    assert!(webhooks::find(&server.app.db, id).await.unwrap().failing_since.is_none());
    for _ in 0..5 {
        server.sign_in(ANN).await;
        run_once(&server.app).await.unwrap();
        assert!(webhooks::find(&server.app.db, id).await.unwrap().disabled_at.is_none());
        server.advance(day);
    }
    run_once(&server.app).await.unwrap();
    let found = webhooks::find(&server.app.db, id).await.unwrap();
    assert_eq!(found.disabled_reason.as_deref(), Some("failing"));
    // What waits is told when somebody has mended it.
    receiver.behave(Reply::Status(200));
    server.advance(day);
    assert_eq!(run_once(&server.app).await.unwrap().delivered, 0);
    set_disabled(&server.app, id, false).await;
    assert_eq!(run_once(&server.app).await.unwrap().delivered, 5);
}

#[tokio::test]
async fn a_node_that_dies_between_telling_and_noting_tells_again_under_the_same_id() {
    let (server, receiver, id) = one_event(Reply::Hang).await;
    let app = server.app.clone();
    let dying = tokio::spawn(async move { run_once(&app).await });
    receiver.wait_for(1).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    receiver.behave(Reply::Status(200));
    let other = server.second_node().await;
    assert_eq!(run_once(&other.app).await.unwrap().delivered, 0, "still claimed");
    server.advance(Duration::from_secs(75));
    assert_eq!(run_once(&other.app).await.unwrap().delivered, 1);
    let got = receiver.got();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].headers["webhook-id"], got[1].headers["webhook-id"]);
    assert_eq!(state(&server.app, id).await.0, "delivered");
}

#[tokio::test]
async fn several_nodes_tell_each_event_once() {
    let (server, receiver, _, _) = listened(Reply::Status(200)).await;
    for number in 0..10 {
        server.sign_up(&format!("user{number}@example.com")).await;
    }
    let other = server.second_node().await;
    let (one, two) = tokio::join!(run_once(&server.app), run_once(&other.app));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.delivered + two.delivered, 20);
    let mut ids: Vec<_> = receiver.got().iter().map(|one| one.headers["webhook-id"].clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), receiver.got().len()), (20, 20));
}

#[tokio::test]
async fn what_is_done_with_is_removed_soon_and_what_was_given_up_later() {
    let (server, receiver, id) = one_event(Reply::Status(200)).await;
    run_once(&server.app).await.unwrap();
    receiver.behave(Reply::Status(410));
    server.sign_in(ANN).await;
    run_once(&server.app).await.unwrap();
    let day = Duration::from_secs(86_400);
    server.advance(day + Duration::from_secs(1));
    purge_once(&server.app).await.unwrap();
    assert_eq!(state(&server.app, id).await.0, "dead");
    server.advance(day * 14);
    purge_once(&server.app).await.unwrap();
    assert!(deliveries(&server.app, id).await.is_empty());
}

#[tokio::test]
async fn a_receiver_that_is_away_for_long_does_not_fill_the_disk() {
    let server = TestApp::start_with(|config| config.webhooks.max_waiting = 10).await;
    let receiver = Receiver::start(Reply::Status(500)).await;
    let (id, _) = endpoint(&server.app, &receiver.url(), &["session.created"]).await;
    server.sign_up(ANN).await;
    for _ in 0..10 {
        server.sign_in(ANN).await;
    }
    run_once(&server.app).await.unwrap();
    for _ in 0..5 {
        server.sign_in(ANN).await;
    }
    assert_eq!(deliveries(&server.app, id).await.len(), 10);
    assert!(webhooks::find(&server.app.db, id).await.unwrap().full_since.is_some());
    receiver.behave(Reply::Status(200));
    server.advance(Duration::from_secs(60));
    assert_eq!(run_once(&server.app).await.unwrap().delivered, 10);
    run_once(&server.app).await.unwrap();
    server.sign_in(ANN).await;
    assert_eq!(run_once(&server.app).await.unwrap().delivered, 1);
}

#[tokio::test]
async fn an_endpoint_that_another_node_has_deleted_or_disabled_costs_nobody_a_sign_in() {
    let (server, receiver, id, _) = listened(Reply::Status(200)).await;
    server.sign_up(ANN).await;
    let other = server.second_node().await;
    let body = serde_json::json!({ "email": ANN, "password": crate::support::PASSWORD });
    set_disabled(&server.app, id, true).await;
    let waiting = deliveries(&server.app, id).await.len();
    // The other node has not heard of it yet.
    assert_eq!(other.client().post("/api/v1/login", body.clone()).await.status, 200);
    assert_eq!(deliveries(&server.app, id).await.len(), waiting);
    delete(&server.app, id).await;
    assert_eq!(other.client().post("/api/v1/login", body).await.status, 200);
    run_once(&other.app).await.unwrap();
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn after_gone_nothing_more_is_told_and_what_waited_is_told_when_it_is_enabled_again() {
    let (server, receiver, id) = one_event(Reply::Status(410)).await;
    for _ in 0..19 {
        server.sign_in(ANN).await;
    }
    let dead = run_once(&server.app).await.unwrap().dead;
    // Those that were on their way when the first answer came.
    let calls = receiver.got().len();
    assert!((1..=4).contains(&calls) && dead == calls as u64, "{calls} calls, {dead} dead");
    receiver.behave(Reply::Status(200));
    server.advance(Duration::from_secs(120));
    assert_eq!(run_once(&server.app).await.unwrap(), webhooks::worker::Report::default());
    set_disabled(&server.app, id, false).await;
    assert_eq!(run_once(&server.app).await.unwrap().delivered, 20 - dead);
}

#[tokio::test]
async fn an_endpoint_that_was_disabled_is_called_no_more_also_by_nodes_that_have_not_looked_since() {
    let (server, receiver, id, _) = listened(Reply::Hang).await;
    for number in 0..6 {
        server.sign_up(&format!("user{number}@example.com")).await;
    }
    let other = server.second_node().await;
    let app = other.app.clone();
    let working = tokio::spawn(async move { run_once(&app).await });
    receiver.wait_for(4).await;
    set_disabled(&server.app, id, true).await;
    receiver.behave(Reply::Status(200));
    receiver.let_go();
    assert_eq!(working.await.unwrap().unwrap().delivered, 4);
    assert_eq!(receiver.got().len(), 4);
    set_disabled(&server.app, id, false).await;
    assert_eq!(run_once(&other.app).await.unwrap().delivered, 8);
}

#[tokio::test]
async fn a_secret_that_no_key_opens_is_a_failure_that_is_told_and_waits_as_others_do() {
    let (server, receiver, id) = one_event(Reply::Status(200)).await;
    let spoil = "update webhook_endpoints set secret = $1";
    (&mut &server.app.db).execute(spoil, &[(&b"nonsense"[..]).into()]).await.unwrap();
    let report = run_once(&server.app).await.unwrap();
    assert_eq!((report.retried, receiver.got().len()), (1, 0));
    assert_eq!(state(&server.app, id).await, ("waiting", 1));
    let reason = deliveries(&server.app, id).await.remove(0).last_error.unwrap();
    assert!(reason.contains("secret"), "{reason}");
    let pinged = webhooks::ping(&server.app, id).await.unwrap();
    assert!(!pinged.taken && pinged.error.unwrap().contains("secret"));
    // Who has got another secret is told what waited.
    rotate_secret(&server.app, id, Duration::ZERO).await;
    server.advance(Duration::from_secs(6));
    assert_eq!(run_once(&server.app).await.unwrap().delivered, 1);
}
