//! The audit log: what it tells, and that nobody changes it unnoticed.
mod chains;
mod former;

use crate::cli::process::Place;
use crate::support::{Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::audit::{self, Filter, Kind, Report, StoredEvent};
use hallpass::db::{Statements, Value as Param};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const ANN: &str = "ann@example.com";

async fn report(server: &TestApp) -> Report {
    audit::verify(&server.app, &[]).await.unwrap()
}

async fn all(server: &TestApp) -> Vec<StoredEvent> {
    audit::list(&server.app.db, &Filter::default(), None, 10_000).await.unwrap()
}

async fn kinds(server: &TestApp) -> Vec<String> {
    all(server).await.into_iter().map(|event| event.kind).collect()
}

/// Somebody with access to the database, beside the server.
async fn tamper(server: &TestApp, sql: &'static str, params: &[Param<'_>]) {
    let mut tx = server.app.db.begin().await.unwrap();
    assert!(tx.execute(sql, params).await.unwrap() > 0, "the tampering hits something");
    tx.commit().await.unwrap();
}

/// A server with some history.
async fn with_history() -> TestApp {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    for _ in 0..3 {
        client.post("/api/v1/reauthenticate", json!({ "password": OTHER_PASSWORD })).await;
        client.patch("/api/v1/me", json!({ "name": "Ann" })).await;
    }
    assert_eq!(report(&server).await.findings, Vec::<String>::new());
    assert!(all(&server).await.len() > 8);
    server
}

#[tokio::test]
async fn a_changed_event_is_found_whatever_was_changed() {
    let changes = [
        "update audit_events set at = at + 1 where seq = 5",
        "update audit_events set kind = 'logged_out' where seq = 5",
        "update audit_events set result = 'maybe' where seq = 5",
        "update audit_events set actor = 'operator' where seq = 5",
        "update audit_events set user_id = 'x' where seq = 5",
        "update audit_events set session_id = 'x' where seq = 5",
        "update audit_events set ip = '10.9.9.9' where seq = 5",
        "update audit_events set user_agent = null where seq = 5",
        "update audit_events set identifier_hash = 'x' where seq = 5",
        "update audit_events set request_id = 'x' where seq = 5",
        "update audit_events set detail = '{}' where seq = 5",
        "update audit_events set id = '01990000-0000-7000-8000-000000000000' where seq = 5",
        "update audit_events set hash = personal_hash where seq = 5",
        "update audit_events set personal_hash = hash where seq = 5",
        "update audit_events set personal_salt = null where seq = 5",
    ];
    for change in changes {
        let server = with_history().await;
        tamper(&server, change, &[]).await;
        let findings = report(&server).await.findings;
        assert!(
            findings.iter().any(|finding| finding.starts_with("event ") && finding.contains("/5 (")),
            "{change}: {findings:?}"
        );
    }
}

#[tokio::test]
async fn removed_events_are_found_in_the_middle_at_the_start_and_at_the_end() {
    for (removal, words) in [
        ("delete from audit_events where seq = 5", "events 5 to 5 of the chain"),
        ("delete from audit_events where seq < 4", "events 1 to 3 of the chain"),
        ("delete from audit_events where seq > 7", "events 8 to"),
        ("delete from audit_events", "events 1 to"),
        ("delete from audit_chains where chain = 'main'", "after the end of their chain"),
        ("delete from audit_chains where chain = '17'", "the end of the chain 17 was removed"),
    ] {
        let server = with_history().await;
        tamper(&server, removal, &[]).await;
        let findings = report(&server).await.findings;
        assert!(findings.iter().any(|finding| finding.contains(words)), "{removal}: {findings:?}");
    }
}

#[tokio::test]
async fn inserted_and_reordered_events_are_found() {
    let copy = "insert into audit_events (id, at, kind, result, user_id, session_id, identifier_hash, ip, user_agent, detail,
        chain, seq, actor, request_id, personal_salt, personal_hash, hash)
        select '01990000-0000-7000-8000-000000000000', at, kind, result, user_id, session_id, identifier_hash, ip, user_agent,
        detail, $1, $2, actor, request_id, personal_salt, personal_hash, hash from audit_events where seq = 5 limit 1";
    let cases: [(Param<'_>, Param<'_>, &str); 6] = [
        (Param::Text(None), Param::Int(None), "belong to no chain"),
        ("main".into(), 1000.into(), "after the end of their chain"),
        ("main".into(), 0.into(), "after the end of their chain"),
        ("main".into(), Param::Int(None), "after the end of their chain"),
        ("before".into(), 0.into(), "after the end of their chain"),
        ("mine".into(), 5.into(), "after the end of their chain"),
    ];
    for (chain, seq, words) in cases {
        let server = with_history().await;
        tamper(&server, copy, &[chain, seq]).await;
        let findings = report(&server).await.findings;
        assert!(findings.iter().any(|finding| finding.contains(words)), "{words}: {findings:?}");
    }
    let server = with_history().await;
    for step in [
        "update audit_events set seq = -1 where seq = 4",
        "update audit_events set seq = 4 where seq = 5",
        "update audit_events set seq = 5 where seq = -1",
    ] {
        tamper(&server, step, &[]).await;
    }
    let findings = report(&server).await.findings;
    assert!(findings.iter().any(|finding| finding.contains("changed, moved or put in")), "{findings:?}");
}

#[tokio::test]
async fn the_chains_hold_under_parallel_writes_of_two_processes_and_undone_transactions() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let other = server.second_node().await;
    let mut calls = Vec::new();
    for number in 0..24 {
        let mut client: Client = if number % 2 == 0 { server.client() } else { other.client() };
        client = client.at(&format!("10.0.{number}.1"));
        // Some hang up at once, some are refused, some succeed.
        let password = if number % 3 == 0 { OTHER_PASSWORD } else { PASSWORD };
        let call = tokio::spawn(async move {
            client.post("/api/v1/login", json!({ "email": ANN, "password": password })).await;
        });
        if number % 5 == 0 {
            call.abort();
        }
        calls.push(call);
    }
    for call in calls {
        let _ = call.await;
    }
    let checked = report(&server).await;
    assert_eq!((checked.findings, checked.events > 15), (Vec::new(), true));
}

#[tokio::test]
async fn after_a_change_of_the_secret_key_the_log_still_verifies() {
    let key = |letter: &str| {
        Some(hallpass::config::Secret::new(format!("{letter}K3yPn8LqVx2Rt6Wz9Bd4Gh7Jm1Cs5Fa")))
    };
    let server = TestApp::start_with(|config| config.keys.secret_key = key("a")).await;
    server.sign_up(ANN).await;
    let server = server
        .restart_with(|config| {
            config.keys.secret_key = key("b");
            config.keys.previous_secret_keys = key("a").into_iter().collect();
        })
        .await;
    assert_eq!(report(&server).await.findings, Vec::<String>::new());
    // Also the chains in which nothing happens any more.
    let server = server.restart_with(|config| config.keys.previous_secret_keys.clear()).await;
    assert_eq!(report(&server).await.findings, Vec::<String>::new());
}

#[tokio::test]
async fn a_change_of_the_secret_key_does_not_make_a_forged_end_good() {
    let key = |letter: &str| {
        Some(hallpass::config::Secret::new(format!("{letter}K3yPn8LqVx2Rt6Wz9Bd4Gh7Jm1Cs5Fa")))
    };
    let server = TestApp::start_with(|config| config.keys.secret_key = key("a")).await;
    server.sign_up(ANN).await;
    tamper(&server, "update audit_chains set mac = head where seq > 0 and chain <> 'main'", &[]).await;
    let server = server
        .restart_with(|config| {
            config.keys.secret_key = key("b");
            config.keys.previous_secret_keys = key("a").into_iter().collect();
        })
        .await;
    let findings = report(&server).await.findings;
    assert!(
        findings.iter().any(|finding| finding.contains("not under this server's secret key")),
        "{findings:?}"
    );
}

#[tokio::test]
async fn the_life_of_an_account_is_told_event_by_event() {
    let server = TestApp::start_with(|config| config.sessions.handover_window = Duration::ZERO).await;
    let mut client = server.signed_in(ANN).await;
    let first = client.refresh_token.clone().unwrap();
    client.refresh().await;
    client.refresh().await;
    client.refresh_with(&first).await;
    let mut client = server.sign_in(ANN).await;
    client.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    client.post("/api/v1/email/change", json!({ "email": "new@example.com" })).await;
    client.get("/api/v1/me/export").await;
    client.post_nothing("/api/v1/logout").await;
    let happened: BTreeSet<String> = kinds(&server).await.into_iter().collect();
    for kind in [
        Kind::SigningKeyCreated,
        Kind::RegistrationStarted,
        Kind::UserCreated,
        Kind::EmailVerified,
        Kind::LoginSucceeded,
        Kind::RefreshTokenReused,
        Kind::Reauthenticated,
        Kind::EmailChangeRequested,
        Kind::DataExported,
        Kind::LoggedOut,
    ] {
        assert!(happened.contains(kind.name()), "{} in {happened:?}", kind.name());
    }
    let login = all(&server).await.into_iter().find(|event| event.kind == "login_succeeded").unwrap();
    assert_eq!((login.actor.as_deref(), login.ip.as_deref()), (Some("person"), Some("127.0.0.1")));
    assert!(login.request.is_some_and(|id| id.len() >= 8), "the request's id");
}

#[tokio::test]
async fn failures_tell_why_a_success_after_them_how_many_and_a_wait_is_told_once() {
    let server = TestApp::start().await;
    server.sign_up_as(json!({ "email": ANN, "password": PASSWORD, "username": "ann" })).await;
    let login = async |identifier: &str, password: &str| {
        let body = json!({ "identifier": identifier, "password": password });
        server.client().post("/api/v1/login", body).await.status
    };
    for _ in 0..5 {
        login(ANN, OTHER_PASSWORD).await;
    }
    for _ in 0..10 {
        assert_eq!(login(ANN, PASSWORD).await, 429);
    }
    server.advance(Duration::from_secs(1));
    assert_eq!(login("ann", PASSWORD).await, 200);
    login("hunter2-typed-into-the-wrong-field", OTHER_PASSWORD).await;
    let told: Vec<(String, Value)> = all(&server)
        .await
        .into_iter()
        .filter(|event| event.kind.starts_with("login_"))
        .map(|event| {
            (event.kind, event.detail.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap()))
        })
        .collect();
    let mut expected = vec![("login_failed".to_owned(), json!({ "reason": "wrong_password" })); 5];
    expected.push(("login_limited".to_owned(), json!({ "reason": "limited" })));
    expected.push(("login_succeeded".to_owned(), json!({ "amr": "pwd", "afterFailures": 5 })));
    expected.push(("login_failed".to_owned(), json!({ "reason": "unknown" })));
    assert_eq!(told, expected);
    let last = all(&server).await.pop().unwrap();
    assert_eq!(
        last.identifier_hash.map(|hash| hash.len()),
        Some(64),
        "an unknown identifier only as keyed hash"
    );
}

#[tokio::test]
async fn a_forged_call_by_cookie_is_told() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut browser = server.client();
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "cookies" });
    browser.post("/api/v1/login", body).await;
    assert_eq!(browser.post_nothing("/api/v1/logout-all").await.code(), "csrf_failed");
    let last = all(&server).await.pop().unwrap();
    assert_eq!((last.kind.as_str(), last.result.as_str()), ("csrf_failed", "failure"));
    assert!(last.user.is_some() && last.detail.unwrap().contains("/api/v1/logout-all"));
}

#[test]
fn the_command_line_lists_exports_and_verifies_and_says_what_was_tampered_with() {
    let place = Place::migrated();
    place.add_user(ANN);
    let server = place.serve();
    server.sign_in(ANN, PASSWORD);
    assert_eq!(server.stop(), Some(0));
    let listed = place.run(&["audit", "list", "--json"]).json();
    let kinds: Vec<&str> =
        listed["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[..1], ["user_created"]);
    assert_eq!(
        kinds[kinds.len() - 4..],
        ["server_started", "device_added", "login_succeeded", "server_stopped"]
    );
    let one = place.run(&["audit", "list", "--user", ANN, "--kind", "login_succeeded"]).succeeds();
    assert!(one.out.contains("login_succeeded") && !one.out.contains("server_started"), "{}", one.out);
    place.run(&["audit", "list", "--kind", "nonsense"]).fails_with("the kinds are");
    place.run(&["audit", "list", "--since", "yesterday"]).fails_with("is not an instant");
    let exported = place.run(&["audit", "export"]).succeeds();
    let lines: Vec<Value> = exported.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), kinds.len());
    assert_eq!(lines[0]["number"], 1);
    assert!(lines.is_sorted_by_key(|line| line["at"].as_str().unwrap()), "{lines:?}");
    assert!(!exported.err.contains("--after"), "nothing is old enough to begin after it: {}", exported.err);
    assert_eq!(place.run(&["audit", "export", "--after", "12"]).code, 2, "a number is no id");
    let after = lines.last().unwrap()["id"].as_str().unwrap();
    let file = place.path("new.jsonl");
    let arguments = ["audit", "export", "--after", after, "--out", file.to_str().unwrap()];
    place.run(&arguments).succeeds();
    place.run(&arguments).fails_with("cannot make");
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1, "the export itself");
    let noted = place.run(&["audit", "verify", "--json"]).succeeds();
    std::fs::write(place.path("anchor.json"), &noted.out).unwrap();
    let anchor = place.path("anchor.json");
    let verify = ["audit", "verify", "--anchor", anchor.to_str().unwrap()];
    assert!(place.run(&verify).succeeds().out.contains("The audit log is whole"));
    let db = hallpass::db::Db::open(
        &format!("sqlite:{}", place.database().display()),
        &hallpass::db::Options::default(),
    )
    .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        (&mut &db)
            .execute("update audit_events set ip = '10.9.9.9' where kind = 'login_succeeded'", &[])
            .await
            .unwrap()
    });
    place.run(&verify).fails_with("were changed");
    place.run(&["audit", "verify", "--anchor", "nowhere.json"]).fails_with("is no output of");
}
