//! Clients that hang up, many at once, two nodes on one file.
use crate::support::{Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::db::Statements;
use serde_json::json;
use std::future::Future;
use std::task::{Context, Waker};

const ANN: &str = "ann@example.com";

/// Polls a request so many times, letting other tasks run between, then hangs up. Returns whether it was answered.
async fn hang_up_after<F: Future>(polls: usize, request: F) -> bool {
    let mut request = Box::pin(request);
    for _ in 0..polls {
        if request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn a_client_that_hangs_up_during_a_refresh_can_always_go_on() {
    let server = TestApp::start().await;
    let client = server.signed_in(ANN).await;
    let mut token = client.refresh_token.clone().unwrap();
    for polls in 0..60 {
        let mut leaving = client.clone();
        hang_up_after(polls, leaving.refresh_with(&token)).await;
        // Rotated or not: the same token gets the one successor.
        let answer = client.clone().refresh_with(&token).await;
        assert_eq!(answer.status, 200, "after {polls} polls: {}", answer.text);
        token = answer.json["refreshToken"].as_str().unwrap().to_owned();
    }
}

async fn sessions(client: &mut Client) -> usize {
    client.get("/api/v1/sessions").await.json["sessions"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_client_that_hangs_up_during_sign_in_sign_up_or_a_change_leaves_whole_states_and_a_free_writer() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut client = server.signed_in(ANN).await;
    for polls in 0..30 {
        let mut leaving = server.client();
        hang_up_after(polls, leaving.post("/api/v1/login", json!({ "email": ANN, "password": PASSWORD })))
            .await;
        let email = format!("user{polls}@example.com");
        hang_up_after(
            polls,
            leaving.post("/api/v1/register", json!({ "email": email, "password": PASSWORD })),
        )
        .await;
        let mut other = client.clone();
        let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
        hang_up_after(polls, other.post("/api/v1/password/change", body)).await;
        let answer = client.patch("/api/v1/me", json!({ "name": format!("Ann {polls}") })).await;
        assert_eq!(answer.status, 200, "the writer is stuck after {polls} polls: {}", answer.text);
    }
    let sql = "select count(*) from sessions s left join audit_events e
               on e.session_id = s.id and e.kind = 'login_succeeded' where e.id is null";
    let mut row = (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap();
    assert_eq!(row.int().unwrap(), 0, "a session without its event");
    let passwords = [PASSWORD, OTHER_PASSWORD];
    let mut works = 0;
    for password in passwords {
        let answer =
            server.client().post("/api/v1/login", json!({ "email": ANN, "password": password })).await;
        works += usize::from(answer.status == 200);
    }
    assert_eq!(works, 1, "one of the two passwords, never both or neither");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_was_acknowledged_under_load_is_in_the_file() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let calls: Vec<_> = (0..64)
        .map(|number| {
            let mut client = server.client().at(&format!("10.0.1.{number}"));
            let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
            tokio::spawn(async move {
                client.log_in(body).await;
                client
            })
        })
        .collect();
    let mut clients = Vec::new();
    for call in calls {
        clients.push(call.await.unwrap());
    }
    let copied = server.as_a_crash_would_leave_it();
    let mut row = (&mut &copied).query_opt("select count(*) from sessions", &[]).await.unwrap().unwrap();
    assert_eq!(row.int().unwrap(), 64, "what was answered survives a crash at this moment");
    assert_eq!(sessions(&mut clients[0]).await, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_sign_ins_never_exceed_the_limit_of_sessions() {
    let server = TestApp::start_with(|config| config.sessions.max_per_user = 3).await;
    server.sign_up(ANN).await;
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let mut client = server.client().at(&format!("10.0.2.{number}"));
            let body = json!({ "email": ANN, "password": PASSWORD });
            tokio::spawn(async move { client.post("/api/v1/login", body).await.status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    let sql = "select count(*) from sessions where revoked_at is null";
    let mut row = (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap();
    assert_eq!(row.int().unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_on_one_file_take_writes_at_the_same_time() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let other = server.second_node().await;
    let calls: Vec<_> = (0..40)
        .map(|number| {
            let client = if number % 2 == 0 { server.client() } else { other.client() };
            let mut client = client.at(&format!("10.0.3.{number}"));
            tokio::spawn(async move {
                client.log_in(json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" })).await
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
    let mut client = other.client();
    client.log_in(json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" })).await;
    assert_eq!(sessions(&mut client).await, 41);
    client.post_nothing("/api/v1/logout-all").await;
    let mut here = server.client();
    here.bearer = client.bearer;
    assert_eq!(here.get("/api/v1/me").await.code(), "session_revoked", "ended there, ended here");
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing_and_a_failing_one_harms_no_other() {
    let server = TestApp::start().await;
    let insert = "insert into meta (name, value) values ($1, 'x')";
    let mut dropped = server.app.db.begin().await.unwrap();
    dropped.execute(insert, &["dropped".into()]).await.unwrap();
    let queued = tokio::spawn({
        let db = server.app.db.clone();
        async move {
            let mut tx = db.begin().await.unwrap();
            tx.execute(insert, &["kept".into()]).await.unwrap();
            tx.commit().await
        }
    });
    tokio::task::yield_now().await;
    drop(dropped);
    queued.await.unwrap().unwrap();
    let mut failing = server.app.db.begin().await.unwrap();
    failing.execute(insert, &["lost".into()]).await.unwrap();
    assert!(failing.execute(insert, &["kept".into()]).await.is_err(), "violates the primary key");
    assert!(failing.execute(insert, &["after".into()]).await.is_err(), "it was given up");
    assert!(failing.commit().await.is_err(), "nobody is told that it was stored");
    let rows = (&mut &server.app.db).query("select name from meta where value = 'x'", &[]).await.unwrap();
    let names: Vec<String> = rows.into_iter().map(|mut row| row.text().unwrap()).collect();
    assert_eq!(names, ["kept"]);
}

#[tokio::test]
async fn a_flood_of_bad_new_passwords_waits_in_the_queue_of_the_hashes_and_holds_nobody_up() {
    let server = TestApp::start_with(|config| config.passwords.queue = 1).await;
    let mut client = server.signed_in("ann@example.com").await;
    let calls: Vec<_> = (0..40)
        .map(|number| {
            let mut client = server.client().at(&format!("10.0.{number}.1"));
            let body = json!({ "email": "eve@example.com", "password": "a1b2".repeat(64) });
            tokio::spawn(async move { client.post("/api/v1/register", body).await })
        })
        .collect();
    assert_eq!(client.get("/api/v1/me").await.status, 200);
    let mut busy = 0;
    for call in calls {
        let answer = call.await.unwrap();
        assert!([422, 503].contains(&answer.status), "{}", answer.text);
        busy += u32::from(answer.code() == "busy");
    }
    assert!(busy > 0, "the queue is bounded");
}
