//! The audit log in the hands of administrators.
use crate::support::{Client, PASSWORD, TestApp};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tower::ServiceExt;

fn events(json: &Value) -> Vec<Value> {
    json["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_log_is_filtered_and_paged_newest_first() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let ann = server.signed_in("ann@example.com").await.get("/api/v1/me").await.json["user"]["id"].clone();
    let ann = ann.as_str().unwrap();
    let wrong = json!({ "email": "ann@example.com", "password": "wrong horse battery" });
    assert_eq!(server.client().post("/api/v1/login", wrong).await.status, 401);
    let all = boss.get("/api/v1/admin/audit?limit=200").await;
    let ids: Vec<String> = events(&all.json).iter().map(|event| event["id"].to_string()).collect();
    assert!(ids.len() > 6 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    assert_eq!(all.json["next"], Value::Null);

    let of_ann = boss.get(&format!("/api/v1/admin/audit?user={ann}")).await;
    assert!(events(&of_ann.json).len() > 2);
    assert!(events(&of_ann.json).iter().all(|event| event["userId"] == ann), "{}", of_ann.text);
    let failed = boss.get(&format!("/api/v1/admin/audit?user={ann}&result=failure")).await;
    assert_eq!(events(&failed.json).len(), 1);
    assert_eq!(failed.json["events"][0]["kind"], "login_failed");
    let none = boss.get("/api/v1/admin/audit?kind=login_failed&result=success").await;
    assert_eq!(events(&none.json).len(), 0);

    let (mut paged, mut path) = (Vec::new(), format!("/api/v1/admin/audit?user={ann}&limit=2"));
    loop {
        let page = boss.get(&path).await;
        assert!(events(&page.json).len() <= 2);
        paged.extend(events(&page.json));
        let Some(next) = page.json["next"].as_str() else { break };
        path = format!("/api/v1/admin/audit?user={ann}&limit=2&before={next}");
    }
    assert_eq!(paged, events(&of_ann.json), "pages hold everything once");
}

#[tokio::test]
async fn the_log_is_cut_by_time() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.advance(Duration::from_secs(3600));
    let middle = server.app.now().rfc3339();
    server.signed_in("ann@example.com").await;
    assert_eq!(boss.refresh().await.status, 200);
    let count = async |boss: &mut Client, query: &str| {
        let answer = boss.get(&format!("/api/v1/admin/audit?kind=login_succeeded&{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        events(&answer.json).len()
    };
    let middle = middle.replace('+', "%2B");
    assert_eq!(count(&mut boss, "").await, 2);
    assert_eq!(count(&mut boss, &format!("from={middle}")).await, 1);
    assert_eq!(count(&mut boss, &format!("to={middle}")).await, 1);
    assert_eq!(count(&mut boss, &format!("from={middle}&to={middle}")).await, 0);
    assert_eq!(count(&mut boss, "from=1970-01-01T00:00:00Z&to=9999-12-31T23:59:59Z").await, 2);
}

#[tokio::test]
async fn whoever_reads_the_log_is_in_it() {
    let server = TestApp::start().await;
    let mut reader = server.signed_in_holding("reader@example.com", &["hallpass:audit:read"]).await;
    let me = reader.get("/api/v1/me").await.json["user"]["id"].clone();
    reader.get("/api/v1/admin/audit?kind=login_failed").await;
    let answer = reader.get("/api/v1/admin/audit?kind=audit_read").await;
    let seen = &answer.json["events"][0]["detail"];
    assert_eq!((&seen["by"], &seen["kind"]), (&me, &json!("login_failed")), "{}", answer.text);
    reader.get("/api/v1/admin/audit/export").await;
    let answer = reader.get("/api/v1/admin/audit?kind=audit_exported").await;
    assert_eq!(answer.json["events"][0]["detail"]["by"], me);
}

#[tokio::test]
async fn an_export_is_json_lines_and_goes_on_after_the_last() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let young = boss.get("/api/v1/admin/audit/export").await;
    assert_eq!(
        (young.status, young.text.as_str()),
        (200, ""),
        "what is a moment old may be joined by something older"
    );
    server.advance(Duration::from_secs(61));
    let first = boss.get("/api/v1/admin/audit/export").await;
    assert_eq!(first.header("content-type"), "application/jsonl");
    let lines: Vec<Value> = first.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 4 && lines.is_sorted_by(|a, b| a["id"].as_str() < b["id"].as_str()));
    assert!(!first.text.contains(PASSWORD));
    server.signed_in("ann@example.com").await;
    server.advance(Duration::from_secs(61));
    let last = lines.last().unwrap()["id"].as_str().unwrap();
    let second = boss.get(&format!("/api/v1/admin/audit/export?after={last}")).await;
    let more: Vec<Value> = second.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(more.iter().any(|event| event["kind"] == "user_created"));
    assert!(more.iter().all(|event| !lines.contains(event)), "nothing twice");
    let created = boss.get("/api/v1/admin/audit/export?kind=user_created").await;
    assert_eq!(created.text.lines().count(), 2);
}

#[tokio::test]
async fn bad_filters_are_refused() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    for (query, problem) in [
        ("user=ann", "user: invalid_value"),
        ("kind=nothing", "kind: invalid_value"),
        ("result=maybe", "result: invalid_value"),
        ("from=yesterday", "from: invalid_value"),
        ("to=99999-01-01", "to: invalid_value"),
    ] {
        for path in ["/api/v1/admin/audit", "/api/v1/admin/audit/export"] {
            let answer = boss.get(&format!("{path}?{query}")).await;
            assert_eq!((answer.status, answer.problems()), (422, vec![problem.to_owned()]), "{query}");
        }
    }
    for query in ["limit=0", "limit=201", "limit=-1", "limit=x", "before=zz"] {
        assert_eq!(boss.get(&format!("/api/v1/admin/audit?{query}")).await.status, 422, "{query}");
    }
    assert_eq!(boss.get("/api/v1/admin/audit/export?after=zz").await.status, 422);
}

/// Events that nobody looks for.
async fn much_else(server: &TestApp, count: usize) {
    let client = hallpass::web::Client::system();
    let mut tx = server.app.db.begin().await.unwrap();
    for _ in 0..count {
        let event = hallpass::audit::Event::new(hallpass::audit::Kind::LoginFailed, &client);
        hallpass::audit::record(&server.app, &mut tx, event, server.app.now());
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_export_of_something_rare_looks_at_a_bounded_number_of_events_at_a_time_and_begins_where_it_is_told()
 {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    much_else(&server, 3100).await;
    server.advance(Duration::from_secs(150));
    let from = server.app.now().rfc3339().replace('+', "%2B");
    server.signed_in("ann@example.com").await;
    server.advance(Duration::from_secs(150));
    // As many statements as there are thousands of events, each with one that looks whether the administrator still may.
    let mut export = async |query: &str| {
        let before = server.app.db.statements();
        let answer = boss.get(&format!("/api/v1/admin/audit/export?kind=user_created{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        (answer.text.lines().count(), server.app.db.statements() - before)
    };
    let (whole, of_whole) = export("").await;
    let (late, of_late) = export(&format!("&from={from}")).await;
    let (early, of_early) = export(&format!("&to={from}")).await;
    let (none, of_none) = export("&to=2020-01-01T00:00:00Z").await;
    assert_eq!((whole, late, early, none), (2, 1, 1, 0));
    assert!(of_whole >= of_late + 3 && of_late == of_none, "{of_whole}, {of_late}, {of_none}");
    assert!(of_early <= of_whole, "{of_early}, {of_whole}");
    // Nobody goes on for a client that is gone.
    let before = server.app.db.statements();
    let bearer = format!("Bearer {}", boss.bearer.as_deref().unwrap());
    let request =
        Request::get("/api/v1/admin/audit/export?kind=user_created").header("authorization", bearer);
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
    let begun = hallpass::router::router(&server.app).oneshot(request).await.unwrap();
    assert_eq!(begun.status(), 200);
    drop(begun);
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    let of_broken_off = server.app.db.statements() - before;
    assert!(of_broken_off + 2 <= of_whole, "{of_broken_off}, {of_whole}");
    // The command line walks the same way.
    let filter =
        hallpass::audit::Filter { kind: Some(hallpass::audit::Kind::UserCreated), ..Default::default() };
    let listed = hallpass::audit::list(&server.app.db, &filter, None, 1).await.unwrap();
    let latest = hallpass::audit::latest(&server.app.db, &filter, 1).await.unwrap();
    assert!(listed.len() == 1 && latest.len() == 1 && listed[0].id < latest[0].id);
    assert_eq!(hallpass::audit::latest(&server.app.db, &filter, 9).await.unwrap()[0].id, listed[0].id);
    assert!(hallpass::audit::latest(&server.app.db, &filter, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_export_is_whole_beyond_a_page() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    much_else(&server, 1100).await;
    server.advance(Duration::from_secs(61));
    let answer = boss.get("/api/v1/admin/audit/export?kind=login_failed").await;
    assert_eq!(answer.text.lines().count(), 1100);
    let rare = boss.get("/api/v1/admin/audit?kind=user_created").await;
    assert_eq!(events(&rare.json).len(), 1, "found behind much else");
}
