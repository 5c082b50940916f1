//! Other systems are told what happens: what, how, how often, and what it costs when nobody listens.
mod abuse;
mod administration;
mod cli;
mod outgoing;
mod retries;

use crate::support::receiver::{Got, Receiver, Reply};
use crate::support::{OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::app::App;
use hallpass::clock::Timestamp;
use hallpass::error::Result;
use hallpass::ids::RowId;
use hallpass::roles::Authority;
use hallpass::web::Client;
use hallpass::webhooks::worker::run_once;
use hallpass::webhooks::{self, Delivery, DeliveryView, NewEndpoint};
use serde_json::json;
use std::time::Duration;

const ANN: &str = "ann@example.com";
const OPERATOR: Authority<'static> = Authority::Operator;

/// An endpoint for these events; its id and secret.
async fn endpoint(app: &App, url: &str, types: &[&str]) -> (RowId, String) {
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    let new = NewEndpoint { name: "test", url, types: &types };
    create(app, &new).await.unwrap()
}

async fn create(app: &App, new: &NewEndpoint<'_>) -> Result<(RowId, String)> {
    let mut tx = app.db.begin().await?;
    let (endpoint, secret) = webhooks::create(app, &mut tx, OPERATOR, &Client::local(), new).await?;
    webhooks::commit(app, tx).await?;
    Ok((endpoint.id, secret.to_string()))
}

async fn delete(app: &App, id: RowId) {
    let mut tx = app.db.begin().await.unwrap();
    webhooks::delete(app, &mut tx, OPERATOR, &Client::local(), id).await.unwrap();
    webhooks::commit(app, tx).await.unwrap();
}

async fn set_disabled(app: &App, id: RowId, disabled: bool) {
    let mut tx = app.db.begin().await.unwrap();
    webhooks::set_disabled(app, &mut tx, OPERATOR, &Client::local(), id, disabled).await.unwrap();
    webhooks::commit(app, tx).await.unwrap();
}

async fn rotate_secret(app: &App, id: RowId, overlap: Duration) -> String {
    let mut tx = app.db.begin().await.unwrap();
    let secret =
        webhooks::rotate_secret(app, &mut tx, OPERATOR, &Client::local(), id, overlap).await.unwrap();
    webhooks::commit(app, tx).await.unwrap();
    secret.to_string()
}

async fn replay(app: &App, delivery: RowId) -> bool {
    let mut tx = app.db.begin().await.unwrap();
    let due = webhooks::replay(app, &mut tx, OPERATOR, &Client::local(), None, delivery).await.unwrap();
    tx.commit().await.unwrap();
    due
}

async fn replay_dead(app: &App, id: RowId, since: Timestamp) -> u64 {
    let mut tx = app.db.begin().await.unwrap();
    let many = webhooks::replay_dead(app, &mut tx, OPERATOR, &Client::local(), id, since).await.unwrap();
    tx.commit().await.unwrap();
    many
}

async fn deliveries(app: &App, endpoint: RowId) -> Vec<DeliveryView> {
    let found = webhooks::deliveries(app, endpoint, None, None, 1000).await.unwrap();
    found.iter().map(Delivery::view).collect()
}

/// A server, and a receiver that wants everything.
async fn listened(reply: Reply) -> (TestApp, Receiver, RowId, String) {
    let server = TestApp::start().await;
    let receiver = Receiver::start(reply).await;
    let (id, secret) = endpoint(&server.app, &receiver.url(), &["*"]).await;
    (server, receiver, id, secret)
}

/// Types in the order in which they happened.
fn types(got: &[Got]) -> Vec<String> {
    let mut told: Vec<_> = got.iter().map(|one| (one.headers["webhook-id"].clone(), one.json())).collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    told.iter().map(|(_, json)| json["type"].as_str().unwrap().to_owned()).collect()
}

fn told(got: &[Got], kind: &str) -> serde_json::Value {
    let found = got.iter().map(Got::json).find(|json| json["type"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} among {:?}", types(got)))
}

#[tokio::test]
async fn a_life_is_told_in_signed_events() {
    let (server, receiver, _, secret) = listened(Reply::Status(200)).await;
    let mut ann = server.signed_in(ANN).await;
    ann.patch("/api/v1/me", json!({ "name": "Ann" })).await;
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    assert_eq!(ann.post("/api/v1/password/change", body).await.status, 200);
    ann.post_nothing("/api/v1/logout-all").await;
    let report = run_once(&server.app).await.unwrap();
    let got = receiver.got();
    assert_eq!(report.delivered, got.len() as u64);
    let expected = [
        "user.created",
        "user.email_verified",
        "session.created",
        "user.updated",
        "user.password_changed",
        "session.ended",
    ];
    assert_eq!(types(&got), expected);
    for one in &got {
        assert_eq!(one.target, "/hooks?from=hallpass");
        assert_eq!(one.headers["content-type"], "application/json");
        assert!(one.is_signed_by(&secret), "{one:?}");
        let other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert!(!one.is_signed_by(other));
        assert_eq!(one.headers["webhook-timestamp"], "1767225600");
    }
    let created = told(&got, "user.created");
    assert_eq!(created["timestamp"], "2026-01-01T00:00:00.000Z");
    assert_eq!(created["data"]["user"]["email"], ANN);
    // As it is when it is told: receivers that are late do not overwrite what is fresh.
    assert_eq!(created["data"]["user"]["name"], "Ann");
    let started = told(&got, "session.created");
    assert_eq!(started["data"]["session"]["amr"], json!(["pwd"]));
    assert_eq!(started["data"]["session"]["ip"], "127.0.0.1");
    let ended = told(&got, "session.ended");
    assert_eq!(ended["data"]["reason"], "ended_by_owner");
    assert_eq!(ended["data"]["session"]["id"], started["data"]["session"]["id"]);
    assert_eq!(run_once(&server.app).await.unwrap(), webhooks::worker::Report::default());
}

#[tokio::test]
async fn an_endpoint_hears_only_what_it_wants() {
    let server = TestApp::start().await;
    let (one, two) =
        (Receiver::start(Reply::Status(204)).await, Receiver::start(Reply::Body("{\"ok\":".into())).await);
    endpoint(&server.app, &one.url(), &["session.*"]).await;
    endpoint(&server.app, &two.url(), &["user.created", "session.ended"]).await;
    let mut ann = server.signed_in(ANN).await;
    ann.refresh().await;
    ann.post_nothing("/api/v1/logout").await;
    run_once(&server.app).await.unwrap();
    assert_eq!(types(&one.got()), ["session.created", "session.ended"]);
    assert_eq!(types(&two.got()), ["user.created", "session.ended"]);
}

#[tokio::test]
async fn every_ended_session_is_told_with_its_reason_and_operators_are_heard_of() {
    let (server, receiver, _, _) = listened(Reply::Status(200)).await;
    server.sign_up(ANN).await;
    for _ in 0..3 {
        server.sign_in(ANN).await;
    }
    let mut ann = server.sign_in(ANN).await;
    assert_eq!(ann.delete("/api/v1/sessions").await.status, 200);
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    run_once(&server.app).await.unwrap();
    let got = receiver.got();
    let reasons: Vec<_> = got.iter().map(Got::json).filter(|json| json["type"] == "session.ended").collect();
    let of = |reason: &str| reasons.iter().filter(|json| json["data"]["reason"] == reason).count();
    assert_eq!((of("ended_by_owner"), of("user_deleted")), (3, 1));
    let deleted = told(&got, "user.deleted");
    assert!(deleted["data"]["user"]["id"].is_string() && deleted["data"]["user"]["email"].is_null());
}

#[tokio::test]
async fn a_reused_refresh_token_is_told() {
    let (server, receiver, _, _) = listened(Reply::Status(200)).await;
    let mut ann = server.signed_in(ANN).await;
    let first = ann.refresh_token.clone().unwrap();
    ann.refresh().await;
    ann.refresh().await;
    assert_eq!(server.client().refresh_with(&first).await.code(), "refresh_token_reused");
    run_once(&server.app).await.unwrap();
    let got = receiver.got();
    assert!(told(&got, "session.token_reused")["data"]["session"]["id"].is_string());
    assert_eq!(told(&got, "session.ended")["data"]["reason"], "refresh_token_reused");
}

#[tokio::test]
async fn a_session_in_which_an_administrator_acts_is_told_from_its_beginning_to_its_end_with_who_it_is() {
    let (server, receiver, _, _) = listened(Reply::Status(200)).await;
    let mut boss = server.boss().await;
    let boss_id = boss.get("/api/v1/me").await.json["user"]["id"].clone();
    let mut ann = server.signed_in(ANN).await;
    let ann_id = ann.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    run_once(&server.app).await.unwrap();
    let before = receiver.got().len();
    let mut begun = Vec::new();
    for _ in 0..2 {
        let path = format!("/api/v1/admin/users/{ann_id}/impersonate");
        let answer = boss.post(&path, json!({ "reason": "Ticket 4711" })).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let mut acting = server.client();
        acting.bearer = Some(answer.json["accessToken"].as_str().unwrap().to_owned());
        begun.push(acting.get("/api/v1/me").await.json["session"]["id"].clone());
    }
    // One is ended by whom it is about, the other ends with the administrator's own.
    let ended = ann.delete(&format!("/api/v1/sessions/{}", begun[0].as_str().unwrap())).await;
    assert_eq!(ended.status, 200, "{}", ended.text);
    assert_eq!(boss.post_nothing("/api/v1/logout").await.status, 200);
    run_once(&server.app).await.unwrap();
    let got: Vec<_> = receiver.got()[before..].iter().map(Got::json).collect();
    let of_ann = |kind: &str| {
        let of_ann =
            got.iter().filter(|one| one["type"] == kind && one["data"]["user"]["id"] == ann_id.as_str());
        of_ann.map(|one| one["data"].clone()).collect::<Vec<_>>()
    };
    let created = of_ann("session.created");
    assert_eq!(created.len(), 2, "{got:?}");
    for (one, id) in created.iter().zip(&begun) {
        assert_eq!(
            (&one["session"]["impersonatedBy"], &one["session"]["acr"]),
            (&boss_id, &json!("0")),
            "{one}"
        );
        assert!(created.iter().any(|one| one["session"]["id"] == *id));
    }
    let ended = of_ann("session.ended");
    for (id, reason) in begun.iter().zip(["ended_by_owner", "impersonator_ended"]) {
        let one = ended.iter().find(|one| one["session"]["id"] == *id);
        let one = one.unwrap_or_else(|| panic!("no end of {id} in {ended:?}"));
        assert_eq!((&one["reason"], &one["session"]["impersonatedBy"]), (&json!(reason), &boss_id));
    }
    assert_eq!(ended.len(), 2);
}

#[tokio::test]
async fn without_an_endpoint_a_sign_in_costs_no_statement_more() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    server.sign_in(ANN).await;
    let counted = async |server: &TestApp| {
        let before = server.app.db.statements();
        let mut ann = server.sign_in(ANN).await;
        let signed_in = server.app.db.statements();
        ann.refresh().await;
        (signed_in - before, server.app.db.statements() - signed_in)
    };
    let without = counted(&server).await;
    // One that wants something else makes no difference either, one that wants this costs one statement for each row.
    let (other, _) = endpoint(&server.app, "https://example.com/hooks", &["user.deleted"]).await;
    assert_eq!(counted(&server).await, without);
    delete(&server.app, other).await;
    endpoint(&server.app, "https://example.com/hooks", &["session.created"]).await;
    assert_eq!(counted(&server).await, (without.0 + 1, without.1));
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_personal_in_what_waits() {
    let (server, receiver, id, _) = listened(Reply::Status(500)).await;
    let mut zelda = server
        .sign_up_as(json!({ "email": "zelda.quux@example.com", "password": PASSWORD, "name": "Zelda Quux" }))
        .await;
    zelda
        .log_in(json!({ "email": "zelda.quux@example.com", "password": PASSWORD, "tokenDelivery": "body" }))
        .await;
    assert!(run_once(&server.app).await.unwrap().retried > 0);
    assert!(told(&receiver.got(), "user.created")["data"]["user"]["name"] == "Zelda Quux");
    assert_eq!(zelda.delete("/api/v1/me").await.status, 200);
    let waiting = deliveries(&server.app, id).await;
    let shown = serde_json::to_string(&waiting).unwrap();
    assert!(!shown.contains("quux") && !shown.contains("Quux"), "{shown}");
    receiver.behave(Reply::Status(200));
    server.advance(Duration::from_secs(3600));
    let before = receiver.got().len();
    run_once(&server.app).await.unwrap();
    for late in &receiver.got()[before..] {
        assert!(!late.body.to_lowercase().contains("quux"), "{}", late.body);
        assert!(late.json()["data"]["user"]["id"].is_string());
    }
}

#[tokio::test]
async fn while_a_secret_is_rotated_both_sign() {
    let (server, receiver, id, old) = listened(Reply::Status(200)).await;
    let day = Duration::from_secs(86_400);
    let new = rotate_secret(&server.app, id, day).await;
    server.sign_up(ANN).await;
    run_once(&server.app).await.unwrap();
    for one in receiver.got() {
        assert!(one.is_signed_by(&old) && one.is_signed_by(&new), "{one:?}");
    }
    let before = receiver.got().len();
    server.advance(day);
    server.sign_in(ANN).await;
    run_once(&server.app).await.unwrap();
    for one in &receiver.got()[before..] {
        assert!(!one.is_signed_by(&old) && one.is_signed_by(&new), "{one:?}");
    }
    let at_once = rotate_secret(&server.app, id, Duration::ZERO).await;
    let before = receiver.got().len();
    server.sign_in(ANN).await;
    run_once(&server.app).await.unwrap();
    for one in &receiver.got()[before..] {
        assert!(!one.is_signed_by(&new) && one.is_signed_by(&at_once), "{one:?}");
    }
    let stored = server.everything_stored();
    for secret in [old.as_str(), new.as_str(), at_once.as_str()] {
        assert!(!stored.contains(secret) && !stored.contains(&secret[6..]));
    }
}

#[tokio::test]
async fn secrets_outlive_a_change_of_the_secret_key() {
    let (server, receiver, _, secret) = listened(Reply::Status(200)).await;
    let former = server.secret_key();
    let server = server
        .restart_with(|config| {
            config.keys.secret_key =
                Some(hallpass::config::Secret::new("a-new-key-of-many-letters-0123456789-XYZ"));
            config.keys.previous_secret_keys = vec![hallpass::config::Secret::new(former.trim())];
        })
        .await;
    hallpass::housekeeping::reseal(&server.app).await.unwrap();
    let server = server.restart_with(|config| config.keys.previous_secret_keys.clear()).await;
    server.sign_up(ANN).await;
    run_once(&server.app).await.unwrap();
    assert!(!receiver.got().is_empty() && receiver.got().iter().all(|one| one.is_signed_by(&secret)));
}

#[tokio::test]
async fn endpoints_are_checked_and_few() {
    let server = TestApp::start().await;
    let create = async |url: &str, types: &[&str]| {
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        let new = NewEndpoint { name: "x", url, types: &types };
        create(&server.app, &new).await.map(drop)
    };
    let long = format!("https://example.com/{}", "x".repeat(1000));
    for url in
        ["", "example.com", "ftp://example.com", "https://a:b@example.com", "https://example.com/#x", &long]
    {
        assert_eq!(create(url, &["*"]).await.unwrap_err().fields[0].field, "url", "{url}");
    }
    for types in [&[][..], &["user.exploded"], &["*.created"], &["user*"], &["user.created", ""]] {
        assert_eq!(
            create("https://example.com", types).await.unwrap_err().fields[0].field,
            "types",
            "{types:?}"
        );
    }
    for _ in 0..webhooks::ENDPOINTS {
        create("https://example.com", &["*"]).await.unwrap();
    }
    assert_eq!(create("https://example.com", &["*"]).await.unwrap_err().fields[0].code, "too_many");
}
