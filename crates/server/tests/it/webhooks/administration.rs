//! Webhooks in the hands of administrators.
use super::retries::WAITS;
use crate::support::receiver::{Receiver, Reply};
use crate::support::{Client, TestApp};
use hallpass::webhooks::worker::run_once;
use serde_json::{Value, json};
use std::time::Duration;

const WEBHOOKS: &str = "/api/v1/admin/webhooks";

/// Sets an endpoint up; its path and its secret.
async fn set_up(boss: &mut Client, receiver: &Receiver, types: &[&str]) -> (String, String) {
    let body = json!({ "name": "app", "url": receiver.url(), "types": types });
    let made = boss.post(WEBHOOKS, body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("{WEBHOOKS}/{}", made.json["webhook"]["id"].as_str().unwrap());
    (path, made.json["secret"].as_str().unwrap().to_owned())
}

async fn deliveries(boss: &mut Client, path: &str, query: &str) -> Vec<Value> {
    let answer = boss.get(&format!("{path}/deliveries{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_endpoint_is_set_up_told_looked_at_and_removed() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let receiver = Receiver::start(Reply::Status(200)).await;
    let (path, secret) = set_up(&mut boss, &receiver, &["session.created"]).await;
    assert!(secret.starts_with("whsec_") && !server.everything_stored().contains(&secret));
    let pinged = boss.post_nothing(&format!("{path}/ping")).await;
    assert_eq!(pinged.json, json!({ "taken": true, "status": 200, "error": null }));
    server.signed_in("ann@example.com").await;
    run_once(&server.app).await.unwrap();
    let got = receiver.got();
    assert_eq!(got.len(), 2);
    assert!(got.iter().all(|one| one.is_signed_by(&secret)));
    let shown = boss.get(&path).await;
    assert_eq!(
        (&shown.json["webhook"]["status"], &shown.json["webhook"]["name"]),
        (&json!("enabled"), &json!("app"))
    );
    let listed = boss.get(WEBHOOKS).await;
    assert_eq!(listed.json["webhooks"], json!([shown.json["webhook"]]));
    assert!(!shown.text.contains("whsec_") && !listed.text.contains("whsec_"));
    let told = deliveries(&mut boss, &path, "").await;
    assert_eq!((told.len(), &told[0]["state"]), (1, &json!("delivered")));
    assert_eq!(boss.delete(&path).await.status, 200);
    assert_eq!(boss.delete(&path).await.status, 404);
    assert_eq!(boss.get(&path).await.status, 404);
    let me = boss.get("/api/v1/me").await.json["user"]["id"].clone();
    for kind in ["webhook_created", "webhook_deleted"] {
        let log = boss.get(&format!("/api/v1/admin/audit?kind={kind}")).await.json;
        assert_eq!(log["events"][0]["detail"]["by"], me, "{log}");
    }
}

#[tokio::test]
async fn what_was_given_up_is_seen_in_pages_and_told_once_more_under_the_same_id() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let receiver = Receiver::start(Reply::Status(500)).await;
    let (path, _) = set_up(&mut boss, &receiver, &["session.created"]).await;
    for _ in 0..3 {
        server.sign_in("boss@example.com").await;
    }
    run_once(&server.app).await.unwrap();
    for wait in WAITS {
        server.advance(Duration::from_secs(wait + wait / 10 + 1));
        run_once(&server.app).await.unwrap();
    }
    let mut boss = server.sign_in("boss@example.com").await;
    let dead = deliveries(&mut boss, &path, "?state=dead").await;
    assert_eq!(dead.len(), 3, "{dead:?}");
    let first = boss.get(&format!("{path}/deliveries?state=dead&limit=2")).await.json;
    let next = first["next"].as_str().unwrap();
    let second = boss.get(&format!("{path}/deliveries?state=dead&limit=2&before={next}")).await.json;
    assert_eq!(
        [&first["deliveries"][0], &first["deliveries"][1], &second["deliveries"][0]],
        [&dead[0], &dead[1], &dead[2]]
    );
    assert_eq!(second["next"], json!(null));
    receiver.behave(Reply::Status(200));
    let id = dead[2]["id"].as_str().unwrap().to_owned();
    let one = boss.post_nothing(&format!("{path}/deliveries/{id}/replay")).await;
    assert_eq!(one.json, json!({ "replayed": 1 }));
    let before = receiver.got().len();
    run_once(&server.app).await.unwrap();
    assert!(receiver.got()[before..].iter().any(|got| got.headers["webhook-id"] == id));
    let rest = boss.post(&format!("{path}/replay"), json!({ "last": 30 * 86_400 })).await;
    assert_eq!(rest.json, json!({ "replayed": 2 }));
    assert_eq!(boss.post_nothing(&format!("{path}/replay")).await.json, json!({ "replayed": 0 }));
    run_once(&server.app).await.unwrap();
    assert_eq!(deliveries(&mut boss, &path, "?state=dead").await, Vec::<Value>::new());
    // A delivery is one of its endpoint.
    let (other, _) = set_up(&mut boss, &receiver, &["user.deleted"]).await;
    assert_eq!(boss.post_nothing(&format!("{other}/deliveries/{id}/replay")).await.status, 404);
}

#[tokio::test]
async fn an_endpoint_is_switched_off_and_on_and_gets_another_secret() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let receiver = Receiver::start(Reply::Status(200)).await;
    let (path, old) = set_up(&mut boss, &receiver, &["*"]).await;
    for _ in 0..2 {
        let off = boss.post_nothing(&format!("{path}/disable")).await;
        assert_eq!(
            (&off.json["webhook"]["status"], &off.json["webhook"]["disabledReason"]),
            (&json!("disabled"), &json!("operator"))
        );
    }
    let rotated = boss.post(&format!("{path}/rotate-secret"), json!({ "overlap": 0 })).await;
    assert_eq!((rotated.status, &rotated.json["webhook"]["formerSecretUntil"]), (200, &json!(null)));
    let new = rotated.json["secret"].as_str().unwrap().to_owned();
    assert_eq!(boss.post_nothing(&format!("{path}/enable")).await.json["webhook"]["status"], "enabled");
    server.signed_in("ann@example.com").await;
    run_once(&server.app).await.unwrap();
    assert!(!receiver.got().is_empty());
    assert!(receiver.got().iter().all(|one| one.is_signed_by(&new) && !one.is_signed_by(&old)));
    let kept = boss.post_nothing(&format!("{path}/rotate-secret")).await;
    assert!(kept.json["webhook"]["formerSecretUntil"].is_string(), "{}", kept.text);
}

#[tokio::test]
async fn bad_endpoints_and_questions_are_refused_with_every_problem() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    for (body, problems) in [
        (json!({}), &["name: required", "types: required", "url: required"][..]),
        (json!({ "name": " ", "url": "https://example.com", "types": ["*"] }), &["name: required"]),
        (json!({ "name": "a", "url": "ftp://example.com", "types": ["*"] }), &["url: invalid_value"]),
        (json!({ "name": "a", "url": "https://a:b@example.com", "types": ["*"] }), &["url: invalid_value"]),
        (
            json!({ "name": "a", "url": "https://example.com", "types": ["user.exploded"] }),
            &["types: invalid_value"],
        ),
        (json!({ "name": "a", "url": "https://example.com", "types": [] }), &["types: required"]),
    ] {
        let answer = boss.post(WEBHOOKS, body.clone()).await;
        let expected: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!((answer.status, answer.problems()), (422, expected), "{body}");
    }
    let receiver = Receiver::start(Reply::Status(200)).await;
    let (path, _) = set_up(&mut boss, &receiver, &["*"]).await;
    for query in ["state=lost", "before=7", "limit=0", "limit=201"] {
        assert_eq!(boss.get(&format!("{path}/deliveries?{query}")).await.status, 422, "{query}");
    }
    for body in [json!({ "overlap": 604_801 }), json!({ "overlap": -1 }), json!({ "overlap": "1d" })] {
        let answer = boss.post(&format!("{path}/rotate-secret"), body).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
    }
    assert_eq!(boss.post(&format!("{path}/replay"), json!({ "last": 0 })).await.status, 422);
    assert_eq!(boss.get(&format!("{WEBHOOKS}/7")).await.status, 404);
}

#[tokio::test]
async fn what_opens_doors_takes_a_fresh_proof_and_what_closes_them_does_not() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let receiver = Receiver::start(Reply::Status(200)).await;
    let (path, _) = set_up(&mut boss, &receiver, &["*"]).await;
    server.advance(Duration::from_secs(700));
    boss.refresh().await;
    let body = json!({ "name": "b", "url": receiver.url(), "types": ["*"] });
    for answer in [
        boss.post(WEBHOOKS, body).await,
        boss.post_nothing(&format!("{path}/rotate-secret")).await,
        boss.post_nothing(&format!("{path}/enable")).await,
        boss.post_nothing(&format!("{path}/replay")).await,
        boss.delete(&path).await,
    ] {
        assert_eq!((answer.status, answer.code()), (403, "reauthentication_required"), "{}", answer.text);
    }
    assert_eq!(boss.post_nothing(&format!("{path}/disable")).await.status, 200);
}
