//! The feed of revocations: pages, streams, cursors.
use super::{key, service};
use crate::support::{Client, TestApp};
use axum::body::Body;
use axum::http::Request;
use hallpass::router;
use hallpass::service_keys::Scope;
use http_body_util::BodyExt;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tower::ServiceExt;

const FEED: &str = "/api/v1/revocations";
const ANN: &str = "ann@example.com";

/// One event of a stream.
#[derive(Debug)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

/// An open stream.
struct Stream {
    body: Body,
    text: String,
}

impl Stream {
    async fn try_open(server: &TestApp, secret: &str, last: &str) -> Result<Self, u16> {
        let request = Request::get(FEED)
            .header("authorization", format!("Bearer {secret}"))
            .header("accept", "text/event-stream")
            .header("last-event-id", last)
            .body(Body::empty())
            .unwrap();
        let response = router::router(&server.app).oneshot(request).await.unwrap();
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Ok(Self { body: response.into_body(), text: String::new() })
    }

    async fn open(server: &TestApp, secret: &str, last: &str) -> Self {
        Self::try_open(server, secret, last).await.unwrap()
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
                    line.unwrap_or_default().to_owned()
                };
                let data = serde_json::from_str(&field("data")).unwrap();
                let event = Event { id: field("id"), name: field("event"), data };
                self.text = rest.into();
                return Some(event);
            }
            let patience = Duration::from_secs(20);
            let frame = tokio::time::timeout(patience, self.body.frame()).await.expect("an event in time");
            let bytes = frame?.unwrap().into_data().unwrap();
            self.text += std::str::from_utf8(&bytes).unwrap();
        }
    }

    /// Events up to and without the next heartbeat, and that.
    async fn until_beat(&mut self) -> (Vec<Event>, Event) {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.name == "heartbeat" {
                return (events, event);
            }
            events.push(event);
        }
    }

    /// The next event that is no heartbeat.
    async fn news(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.name != "heartbeat" {
                return event;
            }
        }
    }
}

/// Ids of the revocations of all pages from a cursor on, and the cursor after them.
async fn pages(client: &mut Client, after: &str, limit: u32) -> (Vec<String>, String) {
    let (mut ids, mut after) = (Vec::new(), after.to_owned());
    for _ in 0..1000 {
        let page = client.get(&format!("{FEED}?after={after}&limit={limit}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let rows = page.json["revocations"].as_array().unwrap();
        ids.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        page.json["next"].as_str().unwrap().clone_into(&mut after);
        if page.json["more"] == false {
            return (ids, after);
        }
    }
    panic!("the pages never end");
}

/// Ends so many sessions; returns their ids.
async fn end_sessions(server: &TestApp, count: usize) -> Vec<String> {
    let mut ended = Vec::new();
    for _ in 0..count {
        let mut client = server.sign_in(ANN).await;
        ended.push(client.get("/api/v1/me").await.json["session"]["id"].as_str().unwrap().to_owned());
        client.post_nothing("/api/v1/logout").await;
    }
    ended
}

#[tokio::test]
async fn pages_of_any_size_say_everything_and_the_next_round_begins_with_an_overlap() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut client = service(&server, &[Scope::Revocations]).await;
    let empty = client.get(FEED).await.json;
    assert_eq!((&empty["more"], &empty["keepSeconds"]), (&false.into(), &930.into()));
    assert_eq!(empty["now"], server.app.now().rfc3339());
    let sessions = end_sessions(&server, 7).await;
    let page = client.get(FEED).await.json;
    let named: Vec<_> = page["revocations"].as_array().unwrap().iter().map(|row| &row["sessionId"]).collect();
    assert_eq!(named, sessions.iter().collect::<Vec<_>>());
    assert_eq!(page["revocations"][0]["kind"], "session_ended");
    let (all, end) = pages(&mut client, "", 1000).await;
    for limit in [1, 2, 3, 7] {
        assert_eq!(pages(&mut client, "", limit).await, (all.clone(), end.clone()), "{limit}");
    }
    assert_eq!(pages(&mut client, &end, 2).await.0, all, "what is recent is said again");
    server.advance(Duration::from_secs(41));
    let (_, later) = pages(&mut client, &end, 2).await;
    assert_eq!(pages(&mut client, &later, 2).await.0.len(), 0, "what is not is not");
}

#[tokio::test]
async fn a_row_that_is_committed_late_is_said_all_the_same() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let me = ann.get("/api/v1/me").await.json;
    let user = hallpass::ids::UserId::parse(me["user"]["id"].as_str().unwrap()).unwrap();
    let (_, secret) = key(&server, &[Scope::Revocations], None).await;
    let mut client = server.client();
    client.bearer = Some(secret.clone());
    let early = server.app.now();
    server.advance(Duration::from_secs(30));
    end_sessions(&server, 3).await;
    let mut stream = Stream::open(&server, &secret, "").await;
    assert_eq!(stream.until_beat().await.0.len(), 3);
    let (_, next) = pages(&mut client, "", 2).await;
    let mut tx = server.app.db.begin().await.unwrap();
    hallpass::revocations::record(
        &server.app,
        &mut tx,
        hallpass::revocations::Fact::UserChanged(user, None),
        early,
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let (ids, _) = pages(&mut client, &next, 2).await;
    assert_eq!(ids.len(), 4, "30 s behind those that were read before");
    assert_eq!(stream.news().await.name, "user_changed");
}

#[tokio::test]
async fn cursors_that_are_too_old_or_made_up_are_refused() {
    let server = TestApp::start().await;
    let mut client = service(&server, &[Scope::Revocations]).await;
    let (_, cursor) = pages(&mut client, "", 10).await;
    server.advance(Duration::from_secs(86_400 + 930 - 40));
    assert_eq!(client.get(&format!("{FEED}?after={cursor}")).await.status, 200);
    server.advance(Duration::from_secs(1));
    let gone = client.get(&format!("{FEED}?after={cursor}")).await;
    assert_eq!((gone.status, gone.code()), (410, "cursor_too_old"));
    let nines = "9".repeat(18);
    let many = "9".repeat(5000);
    for wrong in ["x", "-1", "+1", "1.2", "1.2.3.4", "0x1", " 1", "1%20", &nines, &many, ".", "1."] {
        let answer = client.get(&format!("{FEED}?after={}", wrong.replace(' ', "+"))).await;
        assert_eq!(answer.problems(), ["after: invalid_value"], "{wrong}: {}", answer.text);
    }
    for limit in ["0", "1001", "x", "-1", "1e3"] {
        let answer = client.get(&format!("{FEED}?limit={limit}")).await;
        assert_eq!(answer.problems(), ["limit: invalid_value"], "{limit}");
    }
    let key = client.bearer.clone().unwrap();
    assert_eq!(Stream::try_open(&server, &key, &cursor).await.err(), Some(410));
    assert_eq!(Stream::try_open(&server, &key, "x").await.err(), Some(422));
}

#[tokio::test]
async fn a_stream_says_what_was_and_what_comes_with_heartbeats_between() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let (_, secret) = key(&server, &[Scope::Revocations], None).await;
    let before = end_sessions(&server, 2).await;
    let mut stream = Stream::open(&server, &secret, "").await;
    let (events, beat) = stream.until_beat().await;
    assert_eq!(
        events.iter().map(|event| event.data["sessionId"].as_str().unwrap()).collect::<Vec<_>>(),
        before
    );
    assert_eq!(beat.data["now"], server.app.now().rfc3339());
    assert_eq!(beat.data["keepSeconds"], 930);

    let ended = end_sessions(&server, 1).await;
    let event = stream.news().await;
    assert_eq!(
        (event.name.as_str(), event.data["sessionId"].as_str()),
        ("session_ended", Some(ended[0].as_str()))
    );
    assert!(stream.until_beat().await.0.is_empty(), "nothing is said twice");

    // What another process does is found as well.
    let node = server.second_node().await;
    let mut elsewhere = node.client();
    elsewhere.log_in(serde_json::json!({ "email": ANN, "password": crate::support::PASSWORD, "tokenDelivery": "body" })).await;
    elsewhere.post_nothing("/api/v1/logout-all").await;
    assert_eq!(stream.news().await.name, "sessions_ended");
    let (_, beat) = stream.until_beat().await;
    drop(stream);

    let missed = end_sessions(&server, 1).await;
    let mut stream = Stream::open(&server, &secret, &beat.id).await;
    let (events, _) = stream.until_beat().await;
    assert!(events.iter().any(|event| event.data["sessionId"] == *missed[0]), "{events:?}");
    let ids: BTreeSet<_> = events.iter().map(|event| event.data["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len(), "an overlap, but nothing twice within a stream");
}

#[tokio::test]
async fn a_stream_ends_with_its_key_and_with_the_server() {
    let server = TestApp::start().await;
    let (id, secret) = key(&server, &[Scope::Revocations], None).await;
    let mut stream = Stream::open(&server, &secret, "").await;
    stream.until_beat().await;
    server.revoke_service_key(id).await;
    while stream.next().await.is_some() {}
    drop(stream);

    let (_, secret) = key(&server, &[Scope::Revocations], None).await;
    let mut stream = Stream::open(&server, &secret, "").await;
    stream.until_beat().await;
    server.app.feed.close();
    while stream.next().await.is_some() {}
    drop(stream);
    assert_eq!(server.app.feed.open(), 0);
}

#[tokio::test]
async fn streams_are_bounded_and_places_are_given_back() {
    let server = TestApp::start().await;
    let (_, secret) = key(&server, &[Scope::Revocations], None).await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Stream::open(&server, &secret, "").await);
    }
    assert_eq!(Stream::try_open(&server, &secret, "").await.err(), Some(429));
    let (_, other) = key(&server, &[Scope::Revocations], None).await;
    assert!(Stream::try_open(&server, &other, "").await.is_ok(), "others have places of their own");
    drop(streams.pop());
    assert!(Stream::try_open(&server, &secret, "").await.is_ok());
    drop(streams);
    assert_eq!(server.app.feed.open(), 0);
}

#[tokio::test]
async fn a_slow_follower_misses_nothing() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let me = ann.get("/api/v1/me").await.json;
    let user = hallpass::ids::UserId::parse(me["user"]["id"].as_str().unwrap()).unwrap();
    let (_, secret) = key(&server, &[Scope::Revocations], None).await;
    let mut stream = Stream::open(&server, &secret, "").await;
    stream.until_beat().await;
    // Far more than any queue holds.
    let fact = hallpass::revocations::Fact::UserChanged(user, None);
    for _ in 0..30 {
        let mut tx = server.app.db.begin().await.unwrap();
        for _ in 0..100 {
            hallpass::revocations::record(&server.app, &mut tx, fact, server.app.now()).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    let mut seen = BTreeSet::new();
    while seen.len() < 3000 {
        assert!(seen.insert(stream.news().await.data["id"].as_str().unwrap().to_owned()), "said twice");
    }
}
