//! Rotation as clients and thieves see it.
use crate::support::{Answer, Client, TestApp};
use hallpass::config::OnReuse;
use hallpass::sessions::flush_presence;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

fn refresh_token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["refreshToken"].as_str().unwrap().to_owned()
}

async fn started() -> (TestApp, Client, String) {
    let server = TestApp::start().await;
    let client = server.signed_in("ann@example.com").await;
    let token = client.refresh_token.clone().unwrap();
    (server, client, token)
}

/// Whether the session's newest access token is still accepted.
async fn is_live(client: &mut Client) -> bool {
    client.get("/api/v1/me").await.status == 200
}

#[tokio::test]
async fn a_chain_of_twenty_rotations_never_repeats_a_token_and_keeps_the_session() {
    let (server, mut client, first) = started().await;
    let mut seen = BTreeSet::from([first]);
    for _ in 0..20 {
        server.advance(HOUR);
        let answer = client.refresh().await;
        assert!(seen.insert(refresh_token(&answer)), "a token came twice");
        assert!(is_live(&mut client).await);
    }
    assert_eq!(client.get("/api/v1/sessions").await.json["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_retry_within_ten_seconds_gets_the_same_successor_even_after_the_successor_was_seen() {
    let (server, mut client, first) = started().await;
    let successor = refresh_token(&client.refresh().await);
    assert!(is_live(&mut client).await);
    server.advance(SECOND * 10);
    assert_eq!(refresh_token(&client.refresh_with(&first).await), successor);
    assert!(is_live(&mut client).await);
}

#[tokio::test]
async fn fifty_parallel_refreshes_of_one_token_get_one_successor() {
    let (_server, client, first) = started().await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (mut tab, first) = (client.clone(), first.clone());
            tokio::spawn(async move { refresh_token(&tab.refresh_with(&first).await) })
        })
        .collect();
    let mut successors = BTreeSet::new();
    for task in tasks {
        successors.insert(task.await.unwrap());
    }
    assert_eq!(successors.len(), 1);
}

#[tokio::test]
async fn a_client_whose_answer_was_lost_may_retry_hours_later_any_number_of_times() {
    let (server, mut client, first) = started().await;
    let lost = refresh_token(&client.clone().refresh_with(&first).await);
    for _ in 0..3 {
        server.advance(HOUR * 5);
        assert_eq!(refresh_token(&client.refresh_with(&first).await), lost);
    }
    let answer = client.refresh_with(&lost).await;
    client.keep_tokens(&answer);
    assert!(is_live(&mut client).await);
}

#[tokio::test]
async fn a_late_retry_is_reuse_once_something_of_the_successor_was_seen() {
    for flushed in [false, true] {
        let (server, mut client, first) = started().await;
        client.refresh().await;
        assert!(is_live(&mut client).await, "the successor's access token arrives");
        if flushed {
            flush_presence(&server.app).await.unwrap();
        }
        server.advance(SECOND * 11);
        assert_eq!(client.clone().refresh_with(&first).await.code(), "refresh_token_reused");
        assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
    }
}

#[tokio::test]
async fn what_one_node_saw_counts_on_another_once_it_is_written() {
    let (server, mut client, first) = started().await;
    client.refresh().await;
    assert!(is_live(&mut client).await);
    flush_presence(&server.app).await.unwrap();
    server.advance(SECOND * 11);
    let other = server.second_node().await;
    assert_eq!(other.client().refresh_with(&first).await.code(), "refresh_token_reused");
}

#[tokio::test]
async fn late_retries_of_two_consecutive_rotations_are_reuse() {
    let (server, mut client, first) = started().await;
    let second = refresh_token(&client.refresh_with(&first).await);
    server.advance(HOUR);
    assert_eq!(refresh_token(&client.refresh_with(&first).await), second);
    let third = refresh_token(&client.refresh_with(&second).await);
    server.advance(HOUR);
    assert_eq!(client.refresh_with(&second).await.code(), "refresh_token_reused");
    assert_eq!(client.refresh_with(&third).await.code(), "session_revoked");
}

#[tokio::test]
async fn late_retries_with_a_clean_rotation_between_are_fine() {
    let (server, mut client, first) = started().await;
    let second = refresh_token(&client.refresh_with(&first).await);
    server.advance(HOUR);
    client.refresh_with(&first).await;
    let third = refresh_token(&client.refresh_with(&second).await);
    let fourth = refresh_token(&client.refresh_with(&third).await);
    server.advance(HOUR);
    assert_eq!(refresh_token(&client.refresh_with(&third).await), fourth);
}

#[tokio::test]
async fn a_token_from_two_rotations_ago_ends_the_session_tells_the_owner_and_clears_the_cookies() {
    let (server, mut client, first) = started().await;
    server.advance(SECOND);
    client.refresh().await;
    client.refresh().await;
    let mut thief = server.client();
    thief.cookies.insert("refreshToken".into(), (first, "/api/v1".into()));
    let answer = thief.post_nothing("/api/v1/refresh").await;
    assert_eq!((answer.status, answer.code()), (401, "refresh_token_reused"));
    for cookie in ["refreshToken", "accessToken", "csrfToken"] {
        assert!(answer.set_cookie(cookie).unwrap().contains("Max-Age=0"), "{cookie}");
    }
    assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(client.refresh().await.code(), "session_revoked");
    let mail = server.latest_mail("ann@example.com").await;
    assert!(mail["text"].as_str().unwrap().contains("Firefox on Linux"), "{mail}");
    let mut owner = server.sign_in("ann@example.com").await;
    let events = owner.get("/api/v1/events").await;
    let kinds: Vec<&str> = events.json["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert!(kinds.contains(&"refresh_token_reused"), "{kinds:?}");
}

#[tokio::test]
async fn reuse_ends_one_session_by_default_and_all_by_setting() {
    for (on_reuse, left) in [(OnReuse::Session, 200), (OnReuse::AllSessions, 401)] {
        let server = TestApp::start_with(|config| config.sessions.on_reuse = on_reuse).await;
        let mut phone = server.signed_in("ann@example.com").await;
        let mut laptop = server.sign_in("ann@example.com").await;
        let first = phone.refresh_token.clone().unwrap();
        phone.refresh().await;
        phone.refresh().await;
        assert_eq!(phone.refresh_with(&first).await.code(), "refresh_token_reused");
        assert_eq!(laptop.get("/api/v1/me").await.status, left);
    }
}

#[tokio::test]
async fn inside_the_window_another_network_with_another_program_is_reuse_but_one_of_them_is_not() {
    let cases =
        [("127.0.0.2", None, 200), ("127.0.0.1", Some("curl/8"), 200), ("127.0.0.2", Some("curl/8"), 401)];
    for (address, agent, status) in cases {
        let (_server, mut client, first) = started().await;
        client.refresh().await;
        let mut other = client.clone().at(address);
        if let Some(agent) = agent {
            other = other.with_agent(agent);
        }
        assert_eq!(other.refresh_with(&first).await.status, status, "{address} {agent:?}");
        assert_eq!(is_live(&mut client).await, status == 200);
    }
}

#[tokio::test]
async fn the_strict_rule_takes_every_token_once() {
    let server = TestApp::start_with(|config| {
        config.sessions.handover_window = Duration::ZERO;
        config.sessions.late_retry = false;
    })
    .await;
    let mut client = server.signed_in("ann@example.com").await;
    let first = client.refresh_token.clone().unwrap();
    client.refresh().await;
    assert_eq!(client.refresh_with(&first).await.code(), "refresh_token_reused");
}

#[tokio::test]
async fn forged_and_damaged_tokens_are_refused_and_harm_nobody() {
    let (server, mut client, first) = started().await;
    let elsewhere = TestApp::start().await.signed_in("ann@example.com").await.refresh_token.unwrap();
    let mut forgeries = vec![
        String::new(),
        "garbage".into(),
        elsewhere,
        first[..first.len() - 1].into(),
        format!("{first}A"),
    ];
    for index in 6..first.len() {
        let mut bytes = first.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        forgeries.push(String::from_utf8(bytes).unwrap());
    }
    for forgery in forgeries.iter().filter(|forgery| **forgery != first) {
        let answer = server.client().refresh_with(forgery).await;
        assert_eq!((answer.status, answer.code()), (401, "invalid_refresh_token"), "{forgery}");
    }
    assert!(is_live(&mut client).await);
    refresh_token(&client.refresh().await);
}

#[tokio::test]
async fn a_clock_that_steps_back_counts_as_inside_the_window() {
    let (server, mut client, first) = started().await;
    let successor = refresh_token(&client.refresh().await);
    assert!(is_live(&mut client).await);
    server.clock.step_back(SECOND * 90);
    assert_eq!(refresh_token(&client.refresh_with(&first).await), successor);
}

#[tokio::test]
async fn a_session_expires_when_idle_and_at_its_absolute_end_whatever_is_rotated() {
    let (server, mut client, _) = started().await;
    server.advance(HOUR * 24 * 8);
    assert_eq!(client.refresh().await.code(), "session_expired");
    let mut client = server.sign_in("ann@example.com").await;
    for _ in 0..5 {
        server.advance(HOUR * 24 * 5);
        refresh_token(&client.refresh().await);
    }
    server.advance(HOUR * 24 * 6);
    assert_eq!(client.refresh().await.code(), "session_expired", "30 days after the sign-in");
}

#[tokio::test]
async fn tokens_survive_a_restart_and_a_change_of_the_secret_key_with_its_predecessor_named() {
    let (server, mut client, _) = started().await;
    let successor = refresh_token(&client.refresh().await);
    let former = server.secret_key();
    let server = server
        .restart_with(|config| {
            config.keys.secret_key =
                Some(hallpass::config::Secret::new("kJ7x-fresh-bytes-of-32-characters-1"));
            config.keys.previous_secret_keys = vec![hallpass::config::Secret::new(former.trim())];
        })
        .await;
    let answer = server.client().refresh_with(&successor).await;
    assert_ne!(refresh_token(&answer), successor);
}

#[tokio::test]
async fn a_thief_and_the_owner_who_take_turns_are_caught_by_the_second_rotation() {
    let (server, mut owner, first) = started().await;
    // The thief rotates first and stays silent; the owner's retry, late, looks like a lost answer.
    let mut thief = server.client().at("10.9.9.9").with_agent("thief/1.0");
    let second = refresh_token(&thief.refresh_with(&first).await);
    server.advance(HOUR);
    let shared = refresh_token(&owner.refresh_with(&first).await);
    assert_eq!(shared, second, "one chain, never two branches");
    let third = refresh_token(&thief.refresh_with(&second).await);
    server.advance(HOUR);
    assert_eq!(owner.refresh_with(&second).await.code(), "refresh_token_reused");
    assert_eq!(thief.refresh_with(&third).await.code(), "session_revoked");
}

#[tokio::test]
async fn a_body_client_that_forgets_its_token_is_told_so() {
    let (server, _, _) = started().await;
    let answer = server.client().post("/api/v1/refresh", json!({})).await;
    assert_eq!((answer.status, answer.code()), (401, "invalid_refresh_token"));
    let answer = server.client().post_nothing("/api/v1/refresh").await;
    assert_eq!((answer.status, answer.code()), (401, "invalid_refresh_token"));
}
