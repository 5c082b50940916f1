//! What nodes read for each other: it saves the database a question, and lets nobody in whom the database would not.
// long file: what they share to set the scene is half of it
use super::redis::RedisServer;
use super::{ANN, hears, there};
use crate::support::{Client, TestApp, TestNode, database as backend};
use hallpass::bus::LIMIT;
use hallpass::config::Secret;
use hallpass::db::Statements;
use hallpass::telemetry::Outcome;
use rustix::process::Signal;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// For so long nothing was announced, then what others have read counts: its age, clocks that differ, the longest commit.
const SILENCE: Duration = Duration::from_secs(150);

/// A server, another node, and the Redis of both. With `listen` the database carries announcements as well.
async fn two(listen: bool) -> (RedisServer, TestApp, TestNode) {
    backend::needed();
    let redis = RedisServer::start();
    let url = redis.url();
    let server = TestApp::start_with(|config| {
        config.database.listen = listen;
        config.redis.url = Some(Secret::new(url));
    })
    .await;
    let other = server.second_node().await;
    (redis, server, other)
}

/// Seconds from one look to the next, until long after every limit.
const AGES: [u64; 11] = [0, 15, 30, 15, 15, 15, 15, 15, 15, 15, 60];

/// Lets time pass on nodes that hear, and takes their memory from them.
async fn later(server: &TestApp, others: &[&TestNode], seconds: u64) {
    server.clock.pass(Duration::from_secs(seconds));
    for db in others.iter().map(|node| &node.app.db).chain([&server.app.db]) {
        db.bus().renew();
        hears(db).await;
    }
}

/// Two signed-in people of whom nothing was announced for long; the second has made both nodes read what roles hold.
async fn signed_in_long_ago(server: &TestApp, other: &TestNode, redis: &RedisServer) -> (Client, Client) {
    let (client, mut second) = (server.signed_in(ANN).await, server.signed_in("bea@example.com").await);
    later(server, &[other], SILENCE.as_secs()).await;
    name(&mut there(other, &second)).await;
    if server.app.config.redis.share_rows {
        leave(server, &mut second, redis, 2).await;
    } else {
        name(&mut second).await;
    }
    (client, second)
}

/// Has a node read somebody's rows until so many lie in Redis. While a heartbeat is late it puts none there, and when one was
/// too late it has to hear nothing for long once more.
async fn leave(server: &TestApp, client: &mut Client, redis: &RedisServer, count: usize) {
    for _ in 0..4 {
        for _ in 0..8 {
            server.app.db.bus().renew();
            hears(&server.app.db).await;
            name(client).await;
            if rows(redis).len() >= count {
                return assert_eq!(rows(redis).len(), count);
            }
        }
        later(server, &[], SILENCE.as_secs()).await;
    }
    panic!("{} rows lie in Redis", rows(redis).len());
}

/// Whom a node knows without its memory and without having asked the database about them, if it does.
async fn name_by_redis(node: &TestNode, client: &mut Client) -> Option<Option<String>> {
    let outcome = "hit";
    let hits = || node.app.metrics.shared_rows.get_or_create(&Outcome { outcome }).get();
    for _ in 0..8 {
        node.app.db.bus().renew();
        hears(&node.app.db).await;
        let (before, statements) = (hits(), node.app.db.statements());
        let name = name(client).await;
        if hits() == before + 2 {
            let asked = node.app.db.statements() - statements;
            assert!(asked <= 1, "at most what roles hold, since memory was outdated: {asked}");
            return Some(name);
        }
    }
    None
}

async fn name(client: &mut Client) -> Option<String> {
    let answer = client.get("/api/v1/me").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["user"]["name"].as_str().map(str::to_owned)
}

/// As by somebody who does not announce it.
async fn rename_silently(server: &TestApp, name: &str) {
    let change = "update users set name = $1 where email = $2";
    assert_eq!((&mut &server.app.db).execute(change, &[name.into(), ANN.into()]).await.unwrap(), 1);
}

/// Keys of rows, and their values in hexadecimal.
fn rows(redis: &RedisServer) -> BTreeMap<String, String> {
    let digits =
        "return (redis.call('get', KEYS[1]):gsub('.', function(c) return ('%02x'):format(c:byte()) end))";
    let keys = redis.say(&["--scan", "--pattern", "*:row:*"]);
    let value = |key: &str| redis.say(&["eval", digits, "1", key]).trim().to_owned();
    keys.lines().map(|key| (key.to_owned(), value(key))).collect()
}

/// Puts values where they were before, or elsewhere.
fn put_back<'r>(redis: &RedisServer, rows: impl IntoIterator<Item = (&'r String, &'r String)>) {
    let bytes = "local value = ARGV[1]:gsub('..', function(d) return string.char(tonumber(d, 16)) end)
         return redis.call('set', KEYS[1], value)";
    for (key, value) in rows {
        assert_eq!(redis.say(&["eval", bytes, "1", key, value]).trim(), "OK");
    }
}

#[tokio::test]
async fn what_one_node_has_read_costs_the_others_no_statement() {
    for listen in [true, false] {
        let (redis, server, other) = two(listen).await;
        let (mut client, _) = signed_in_long_ago(&server, &other, &redis).await;
        let mut found = None;
        for _ in 0..4 {
            later(&server, &[&other], SILENCE.as_secs()).await;
            redis.say(&["flushall"]);
            leave(&server, &mut client, &redis, 2).await;
            found = name_by_redis(&other, &mut there(&other, &client)).await;
            if found.is_some() {
                break;
            }
        }
        assert_eq!(found, Some(None), "as the other node has read it");
        let metrics = other.client().get("/metrics").await.text;
        assert!(metrics.contains("hallpass_shared_rows_total{outcome=\"hit\"}"), "{metrics}");
        let everything = redis.say(&["--scan"]);
        assert!(everything.lines().all(|key| !key.contains("ann")), "{everything}");
        for (key, value) in rows(&redis) {
            let value = data_encoding::HEXLOWER.decode(value.as_bytes()).unwrap();
            for word in ["example.com", "127.0.0.1", "browser", "password"] {
                assert!(!value.windows(word.len()).any(|part| part == word.as_bytes()), "{word}");
            }
            let life: i64 = redis.say(&["pttl", &key]).trim().parse().unwrap();
            assert!((1..=60_000).contains(&life), "{life}");
        }
    }
}

#[tokio::test]
async fn what_another_node_has_read_counts_for_a_minute_and_only_while_nothing_was_announced_or_missed() {
    let (redis, server, other) = two(true).await;
    let third = server.second_node().await;
    let (mut client, _) = signed_in_long_ago(&server, &other, &redis).await;
    let mut found = None;
    for _ in 0..4 {
        rename_silently(&server, "Bea").await;
        later(&server, &[&other, &third], SILENCE.as_secs()).await;
        redis.say(&["flushall"]);
        leave(&server, &mut client, &redis, 2).await;
        rename_silently(&server, "Ann").await;
        // It was there for long enough: what was read before nobody announced anything counts.
        found = name_by_redis(&other, &mut there(&other, &client)).await;
        if found.is_some() {
            break;
        }
    }
    assert_eq!(found.flatten().as_deref(), Some("Bea"));
    // This node was not there for long enough to know that nothing was announced: it asks the database.
    let new = server.second_node().await;
    hears(&new.app.db).await;
    assert_eq!(name(&mut there(&new, &client)).await.as_deref(), Some("Ann"));
    // This one may have missed something.
    third.app.db.bus().missed();
    assert_eq!(name(&mut there(&third, &client)).await.as_deref(), Some("Ann"));
    // And a minute later nobody relies on it, whatever Redis still has.
    let kept = rows(&redis);
    server.clock.pass(Duration::from_secs(61));
    put_back(&redis, &kept);
    other.app.db.bus().renew();
    hears(&other.app.db).await;
    assert_eq!(name(&mut there(&other, &client)).await.as_deref(), Some("Ann"));
}

#[tokio::test]
async fn what_redis_kept_or_brings_back_from_before_a_revocation_lets_nobody_in() {
    for listen in [true, false] {
        let (redis, server, other) = two(listen).await;
        let third = server.second_node().await;
        let (mut client, _) = signed_in_long_ago(&server, &other, &redis).await;
        hears(&third.app.db).await;
        leave(&server, &mut client, &redis, 4).await;
        let kept = rows(&redis);
        assert_eq!(client.post_nothing("/api/v1/logout").await.status, 200);
        let mut elsewhere = there(&other, &client);
        let refused = async { while elsewhere.get("/api/v1/me").await.code() != "session_revoked" {} };
        tokio::time::timeout(LIMIT, refused).await.expect("refused within the limit");
        // The third has never read it, and its memory is of no help.
        let mut never_asked = there(&third, &client);
        for seconds in AGES {
            later(&server, &[&other, &third], seconds).await;
            put_back(&redis, &kept);
            for client in [&mut client, &mut elsewhere, &mut never_asked] {
                assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked", "{seconds}");
            }
        }
    }
}

#[tokio::test]
async fn a_closed_account_that_was_read_before_is_refused_everywhere() {
    let (redis, server, other) = two(true).await;
    let mut boss = server.boss().await;
    let (mut client, _) = signed_in_long_ago(&server, &other, &redis).await;
    leave(&server, &mut client, &redis, 4).await;
    let kept = rows(&redis);
    let user = client.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    assert_eq!(boss.post_nothing(&format!("/api/v1/admin/users/{user}/disable")).await.status, 200);
    put_back(&redis, &kept);
    let mut elsewhere = there(&other, &client);
    let refused = async { while elsewhere.get("/api/v1/me").await.status != 401 {} };
    tokio::time::timeout(LIMIT, refused).await.expect("refused within the limit");
    assert_eq!(elsewhere.refresh().await.status, 401);
}

#[tokio::test]
async fn a_changed_account_is_seen_as_it_is_whatever_was_read_of_it_before() {
    for listen in [true, false] {
        let (redis, server, other) = two(listen).await;
        let third = server.second_node().await;
        let (mut client, _) = signed_in_long_ago(&server, &other, &redis).await;
        hears(&third.app.db).await;
        leave(&server, &mut client, &redis, 4).await;
        let kept = rows(&redis);
        assert_eq!(client.patch("/api/v1/me", json!({ "name": "Ann" })).await.status, 200);
        let mut elsewhere = there(&other, &client);
        let renamed = async { while name(&mut elsewhere).await.is_none() {} };
        tokio::time::timeout(LIMIT, renamed).await.expect("seen within the limit");
        for seconds in AGES {
            later(&server, &[&other, &third], seconds).await;
            put_back(&redis, &kept);
            let mut on_the_third = there(&third, &client);
            for client in [&mut client, &mut elsewhere, &mut on_the_third] {
                assert_eq!(name(client).await.as_deref(), Some("Ann"), "{seconds}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_read_before_a_clock_was_set_back_does_not_become_young_again() {
    let (redis, server, other) = two(true).await;
    let (mut client, _) = signed_in_long_ago(&server, &other, &redis).await;
    leave(&server, &mut client, &redis, 4).await;
    let kept = rows(&redis);
    assert_eq!(client.post_nothing("/api/v1/logout").await.status, 200);
    let mut elsewhere = there(&other, &client);
    let refused = async { while elsewhere.get("/api/v1/me").await.code() != "session_revoked" {} };
    tokio::time::timeout(LIMIT, refused).await.expect("refused within the limit");
    for back in [Duration::from_secs(40), SILENCE, SILENCE * 2] {
        server.clock.step_back(back);
        for _ in 0..20 {
            put_back(&redis, &kept);
            assert_eq!(elsewhere.get("/api/v1/me").await.status, 401, "{back:?}");
            later(&server, &[&other], 30).await;
        }
        server.clock.step_back(Duration::from_secs(20 * 30).saturating_sub(back));
    }
}

#[tokio::test]
async fn what_was_read_before_a_refresh_does_not_stand_for_what_came_after_it() {
    let (redis, server, other) = two(true).await;
    let (mut client, _) = signed_in_long_ago(&server, &other, &redis).await;
    assert_eq!(name(&mut client).await, None);
    // So that what lies in Redis says that it was in use a moment ago.
    hallpass::sessions::flush_presence(&server.app).await.unwrap();
    redis.say(&["flushall"]);
    leave(&server, &mut client, &redis, 2).await;
    let former = client.refresh_token.clone().unwrap();
    server.clock.pass(Duration::from_secs(20));
    assert_eq!(client.refresh().await.status, 200);
    hears(&other.app.db).await;
    assert_eq!(name(&mut there(&other, &client)).await, None);
    server.clock.pass(Duration::from_secs(15));
    // The new token was used, on whatever node: nobody comes in by the former one any more.
    hallpass::sessions::flush_presence(&other.app).await.unwrap();
    let stolen = server.client().refresh_with(&former).await;
    assert_eq!((stolen.status, stolen.code()), (401, "refresh_token_reused"));
}

#[tokio::test]
async fn a_redis_without_room_costs_the_copies_and_nothing_else() {
    let (redis, server, other) = two(false).await;
    let (mut client, mut second) = signed_in_long_ago(&server, &other, &redis).await;
    assert_eq!(redis.say(&["config", "set", "maxmemory", "1"]).trim(), "OK");
    let user = client.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    let user = hallpass::ids::UserId::parse(&user).unwrap();
    let mut silent = false;
    for _ in 0..4 {
        later(&server, &[&other], SILENCE.as_secs()).await;
        assert_eq!(name(&mut client).await, None);
        // Until another heartbeat has come back.
        server.clock.last_longer(LIMIT * 2);
        hears(&server.app.db).await;
        silent |= server.app.db.bus().silent_at(user, None, Duration::from_secs(60)).is_some();
    }
    assert!(silent, "announcements arrive, and none was missed");
    // Attempts are counted all the same.
    server.sign_in("bea@example.com").await;
    assert_eq!(second.post_nothing("/api/v1/logout").await.status, 200);
    let mut elsewhere = there(&other, &second);
    let refused = async { while elsewhere.get("/api/v1/me").await.code() != "session_revoked" {} };
    tokio::time::timeout(LIMIT, refused).await.expect("refused within the limit");
}

#[tokio::test]
async fn a_row_in_anothers_place_a_changed_one_and_nonsense_are_not_believed() {
    let (redis, server, other) = two(true).await;
    let (mut ann, mut bea) = signed_in_long_ago(&server, &other, &redis).await;
    let of_bea = rows(&redis);
    let email = async |client: &mut Client| {
        let answer = client.get("/api/v1/me").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["user"]["email"].as_str().unwrap().to_owned()
    };
    leave(&server, &mut ann, &redis, 4).await;
    let all: Vec<String> = rows(&redis).into_keys().collect();
    let (here, there_too) = (of_bea.values().next().unwrap(), of_bea.values().nth(1).unwrap());
    for value in [here, there_too] {
        put_back(&redis, all.iter().map(|key| (key, value)));
        other.app.db.bus().renew();
        hears(&other.app.db).await;
        assert_eq!(email(&mut there(&other, &ann)).await, ANN);
        assert_eq!(email(&mut there(&other, &bea)).await, "bea@example.com");
    }
    for nonsense in ["", "x", "{\"id\":1}", &"y".repeat(700)] {
        for key in &all {
            redis.say(&["set", key, nonsense]);
        }
        other.app.db.bus().renew();
        hears(&other.app.db).await;
        assert_eq!(email(&mut there(&other, &ann)).await, ANN, "{nonsense}");
    }
    for key in &all {
        redis.say(&["del", key]);
        redis.say(&["lpush", key, "of another type"]);
    }
    other.app.db.bus().renew();
    assert_eq!(email(&mut there(&other, &ann)).await, ANN);
    assert_eq!(email(&mut bea).await, "bea@example.com");
}

#[tokio::test]
async fn checks_and_refreshes_go_on_while_redis_hangs_is_flushed_or_is_gone() {
    let (redis, server, other) = two(true).await;
    let (mut client, _) = signed_in_long_ago(&server, &other, &redis).await;
    assert_eq!(name(&mut client).await, None);
    redis.say(&["flushall"]);
    assert_eq!(name(&mut there(&other, &client)).await, None);
    redis.signal(Signal::STOP);
    let done = async {
        for _ in 0..3 {
            other.app.db.bus().renew();
            assert_eq!(name(&mut there(&other, &client)).await, None);
            assert_eq!(client.refresh().await.status, 200);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), done).await.expect("nobody waits for what hangs");
    redis.signal(Signal::CONT);
    drop(redis);
    other.app.db.bus().renew();
    assert_eq!(name(&mut there(&other, &client)).await, None);
    assert_eq!(client.post_nothing("/api/v1/logout").await.status, 200);
    let mut elsewhere = there(&other, &client);
    let refused = async { while elsewhere.get("/api/v1/me").await.code() != "session_revoked" {} };
    tokio::time::timeout(LIMIT * 2, refused).await.expect("refused within the limit");
}

#[tokio::test]
async fn a_session_that_was_prolonged_elsewhere_is_not_refused_for_what_was_read_before() {
    backend::needed();
    let redis = RedisServer::start();
    let url = redis.url();
    let server = TestApp::start_with(|config| {
        config.redis.url = Some(Secret::new(url));
        config.sessions.refresh_ttl = Duration::from_secs(240);
        config.sessions.access_ttl = Duration::from_secs(240);
    })
    .await;
    let other = server.second_node().await;
    let (mut client, _) = signed_in_long_ago(&server, &other, &redis).await;
    // Ends in 40 seconds, as it was read.
    server.clock.pass(Duration::from_secs(80));
    for db in [&server.app.db, &other.app.db] {
        hears(db).await;
    }
    assert_eq!(name(&mut client).await, None);
    assert_eq!(client.refresh().await.status, 200);
    server.clock.pass(Duration::from_secs(45));
    hears(&other.app.db).await;
    assert_eq!(name(&mut there(&other, &client)).await, None);
}

#[tokio::test]
async fn nodes_that_are_told_not_to_share_leave_nothing_in_redis() {
    backend::needed();
    let redis = RedisServer::start();
    let url = redis.url();
    let server = TestApp::start_with(|config| {
        config.redis.url = Some(Secret::new(url));
        config.redis.share_rows = false;
    })
    .await;
    let other = server.second_node().await;
    let (mut client, _) = signed_in_long_ago(&server, &other, &redis).await;
    assert_eq!(name(&mut client).await, None);
    assert_eq!(rows(&redis).len(), 0);
}
