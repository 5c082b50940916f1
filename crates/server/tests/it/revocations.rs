//! What other services are told: every way in which a session can end and a user can change leaves its row, in the same transaction.
use crate::cli::process::Place;
use crate::support::{Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::clock::Timestamp;
use hallpass::config::{OnLimit, OnReuse};
use hallpass::db::Db;
use hallpass::housekeeping;
use hallpass::revocations::{self, Fact};
use serde_json::json;
use std::time::Duration;

const ANN: &str = "ann@example.com";

async fn facts_of(db: &Db) -> Vec<Fact> {
    let rows = revocations::after(db, Timestamp(0), None, 1000).await.unwrap();
    rows.iter().map(|row| row.fact).collect()
}

/// What was recorded while something was done.
struct Watch<'a> {
    server: &'a TestApp,
    before: usize,
}

impl<'a> Watch<'a> {
    async fn start(server: &'a TestApp) -> Self {
        // What began after the end of everything has to be later, also on a clock that stands.
        server.advance(Duration::from_millis(2));
        Self { server, before: facts_of(&server.app.db).await.len() }
    }

    /// Kinds since the start, with what they name, in short.
    async fn end(self) -> Vec<String> {
        let facts = facts_of(&self.server.app.db).await;
        let short = |fact: &Fact| {
            let name =
                |id: Option<hallpass::ids::SessionId>| id.map(|id| format!(" {id}")).unwrap_or_default();
            let except = fact.except().map(|id| format!(" but {id}")).unwrap_or_default();
            format!("{}{}{except}", fact.kind(), name(fact.session()))
        };
        facts.iter().skip(self.before).map(short).collect()
    }
}

async fn session_of(client: &mut Client) -> String {
    client.get("/api/v1/me").await.json["session"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_way_of_ending_a_session_over_http_is_recorded() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;

    let id = session_of(&mut client).await;
    let watch = Watch::start(&server).await;
    assert_eq!(client.post_nothing("/api/v1/logout").await.status, 200);
    assert_eq!(client.post_nothing("/api/v1/logout").await.status, 200, "twice is no failure");
    assert_eq!(watch.end().await, [format!("session_ended {id}")]);

    let mut client = server.sign_in(ANN).await;
    let watch = Watch::start(&server).await;
    assert_eq!(client.post_nothing("/api/v1/logout-all").await.status, 200);
    assert_eq!(watch.end().await, ["sessions_ended"]);

    let mut client = server.sign_in(ANN).await;
    let mut other = server.sign_in(ANN).await;
    let (own, id) = (session_of(&mut client).await, session_of(&mut other).await);
    let watch = Watch::start(&server).await;
    assert_eq!(client.delete(&format!("/api/v1/sessions/{id}")).await.status, 200);
    assert_eq!(client.delete("/api/v1/sessions").await.status, 200);
    assert_eq!(watch.end().await, [format!("session_ended {id}"), format!("sessions_ended but {own}")]);

    let watch = Watch::start(&server).await;
    let change = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    assert_eq!(client.post("/api/v1/password/change", change).await.status, 200);
    assert_eq!(watch.end().await, [format!("sessions_ended but {own}")]);

    let watch = Watch::start(&server).await;
    client.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    let token = server.mailed_token(ANN, "/password/reset").await;
    assert_eq!(
        client.post("/api/v1/password/reset", json!({ "token": token, "password": PASSWORD })).await.status,
        200
    );
    assert_eq!(watch.end().await, ["sessions_ended"]);
    assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
}

#[tokio::test]
async fn changes_of_a_user_and_the_end_of_an_account_are_recorded() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;

    let watch = Watch::start(&server).await;
    assert_eq!(client.patch("/api/v1/me", json!({ "name": "Ann" })).await.status, 200);
    assert_eq!(client.patch("/api/v1/me", json!({})).await.status, 200, "nothing changes");
    assert_eq!(watch.end().await, ["user_changed"]);

    let watch = Watch::start(&server).await;
    client.post("/api/v1/email/change", json!({ "email": "new@example.com" })).await;
    let (confirm, undo) = (
        server.mailed_token("new@example.com", "/email/confirm").await,
        server.mailed_token(ANN, "/email/undo").await,
    );
    assert_eq!(client.post("/api/v1/email/confirm", json!({ "token": confirm })).await.status, 200);
    assert_eq!(watch.end().await, ["user_changed"]);

    let watch = Watch::start(&server).await;
    assert_eq!(client.post("/api/v1/email/undo", json!({ "token": undo })).await.status, 200);
    assert_eq!(watch.end().await, ["user_changed", "sessions_ended"]);

    let mut client = server.sign_in(ANN).await;
    let watch = Watch::start(&server).await;
    assert_eq!(client.delete("/api/v1/me").await.status, 200);
    assert_eq!(watch.end().await, ["sessions_ended", "user_changed"]);
}

#[tokio::test]
async fn reuse_and_the_limit_of_sessions_are_recorded() {
    let server = TestApp::start_with(|config| {
        config.sessions.max_per_user = 1;
        config.sessions.on_limit = OnLimit::EvictOldest;
    })
    .await;
    let mut client = server.signed_in(ANN).await;
    let id = session_of(&mut client).await;
    let watch = Watch::start(&server).await;
    let mut client = server.sign_in(ANN).await;
    assert_eq!(watch.end().await, [format!("session_ended {id}")]);

    let id = session_of(&mut client).await;
    assert_eq!(recorded_on_reuse(&server, client).await, [format!("session_ended {id}")]);

    let server = server.restart_with(|config| config.sessions.on_reuse = OnReuse::AllSessions).await;
    let client = server.sign_in(ANN).await;
    assert_eq!(recorded_on_reuse(&server, client).await, ["sessions_ended"]);
}

/// What is recorded when a token is presented again that was rotated twice since.
async fn recorded_on_reuse(server: &TestApp, mut client: Client) -> Vec<String> {
    let stolen = client.refresh_token.clone().unwrap();
    client.refresh().await;
    server.advance(Duration::from_secs(60));
    client.refresh().await;
    let watch = Watch::start(server).await;
    assert_eq!(client.refresh_with(&stolen).await.code(), "refresh_token_reused");
    watch.end().await
}

#[test]
fn what_an_operator_ends_is_recorded() {
    let place = Place::migrated();
    place.add_user(ANN);
    let server = place.serve();
    let commands: [(&[&str], &[&str]); 5] = [
        (&["sessions", "revoke", "--user", ANN], &["sessions_ended"]),
        (&["user", "set-password", ANN], &["sessions_ended"]),
        (&["user", "disable", ANN], &["user_changed", "sessions_ended"]),
        (&["user", "enable", ANN], &["user_changed"]),
        (&["user", "delete", ANN, "--yes"], &["sessions_ended", "user_changed"]),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let db = Db::open(&format!("sqlite:{}", place.database().display()), &hallpass::db::Options::default())
        .unwrap();
    let mut seen = 0;
    let mut since = || {
        let facts = runtime.block_on(facts_of(&db));
        let new: Vec<_> = facts[seen..].iter().map(|fact| fact.kind()).collect();
        seen = facts.len();
        new
    };
    server.sign_in(ANN, PASSWORD);
    let listed = place.run(&["sessions", "list", ANN, "--json"]).json();
    place.run(&["sessions", "revoke", listed["sessions"][0]["id"].as_str().unwrap()]).succeeds();
    assert_eq!(since(), ["session_ended"]);
    server.sign_in(ANN, PASSWORD);
    for (command, kinds) in commands {
        place.run(command).succeeds();
        assert_eq!(since(), kinds, "{command:?}");
    }
}

#[tokio::test]
async fn a_session_whose_id_is_ahead_of_the_clock_is_named() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let id = session_of(&mut client).await;
    server.clock.step_back(Duration::from_secs(5));
    let watch = Watch::start(&server).await;
    assert_eq!(client.post_nothing("/api/v1/logout-all").await.status, 200);
    assert_eq!(watch.end().await, ["sessions_ended".to_owned(), format!("session_ended {id}")]);
}

#[tokio::test]
async fn nothing_is_recorded_of_what_was_undone() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let id = hallpass::ids::SessionId::parse(&session_of(&mut client).await).unwrap();
    let mut tx = server.app.db.begin().await.unwrap();
    assert!(hallpass::sessions::revoke(&server.app, &mut tx, id, "test", server.app.now()).await.unwrap());
    drop(tx);
    assert!(facts_of(&server.app.db).await.is_empty());
    assert_eq!(client.get("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn rows_that_nobody_can_need_are_removed() {
    let server = TestApp::start().await;
    server.signed_in(ANN).await.post_nothing("/api/v1/logout").await;
    server.advance(Duration::from_secs(86_400 + 15 * 60 + 30));
    housekeeping::purge_once(&server.app).await.unwrap();
    assert_eq!(facts_of(&server.app.db).await.len(), 1);
    server.advance(Duration::from_secs(1));
    housekeeping::purge_once(&server.app).await.unwrap();
    assert!(facts_of(&server.app.db).await.is_empty());
}
