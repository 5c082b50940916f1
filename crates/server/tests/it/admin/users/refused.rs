//! What administrators may not do to accounts.
use super::{ANN, of, patch, put_roles};
use crate::support::operator::BOSS;
use crate::support::{Client, PASSWORD, TestApp};
use axum::http::Method;
use serde_json::json;

const LESSER: &str = "lesser@example.com";
const ALL: [&str; 4] =
    ["hallpass:users:read", "hallpass:users:write", "hallpass:users:roles", "hallpass:users:delete"];

/// Every change of an account, with the status of each.
async fn everything(client: &mut Client, path: &str) -> Vec<(u16, String)> {
    let mut answers = vec![
        patch(client, path, "*", json!({ "email": "mine@example.com", "emailVerified": true })).await,
        put_roles(client, path, "*", json!([])).await,
    ];
    for what in ["disable", "enable", "verify-email", "reset-password", "reset-factors", "end-sessions"] {
        answers.push(client.post_nothing(&format!("{path}/{what}")).await);
    }
    answers.push(client.delete(&format!("{path}/sessions/01900000-0000-7000-8000-000000000000")).await);
    answers.push(client.delete(path).await);
    answers.into_iter().map(|answer| (answer.status, answer.code().to_owned())).collect()
}

#[tokio::test]
async fn nobody_acts_on_an_account_that_may_do_more_than_their_own() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let mut lesser = server.signed_in_holding(LESSER, &ALL).await;
    server.define_role("author", &["articles:write"]).await;
    server.sign_up(ANN).await;
    server.give_roles(ANN, &["author"]).await;
    for email in [BOSS, ANN] {
        let path = of(&server, email).await;
        for (status, code) in everything(&mut lesser, &path).await {
            assert_eq!((status, code.as_str()), (403, "forbidden"), "{email}");
        }
    }
    assert_eq!(boss.get("/api/v1/me").await.status, 200, "nothing ended");
    assert_eq!(boss.get(&of(&server, ANN).await).await.json["user"]["roles"], json!(["author", "user"]));
    let seen = lesser.get(&of(&server, BOSS).await).await;
    assert_eq!(seen.status, 200, "seeing is another matter");
}

#[tokio::test]
async fn nobody_gives_a_role_that_holds_more_than_they_do_to_others_or_to_themselves() {
    let server = TestApp::start().await;
    server.boss().await;
    let mut lesser = server.signed_in_holding(LESSER, &ALL).await;
    server.define_role("deleter", &["hallpass:users:delete"]).await;
    server.define_role("auditor", &["hallpass:audit:read"]).await;
    server.sign_up(ANN).await;
    for email in [ANN, LESSER] {
        let path = of(&server, email).await;
        for role in ["admin", "auditor"] {
            let answer = put_roles(&lesser, &path, "*", json!(["for-lesser", role])).await;
            assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{email} {role}");
        }
        let made =
            lesser.post("/api/v1/admin/users", json!({ "email": "x@example.com", "roles": ["admin"] }));
        assert_eq!(made.await.code(), "forbidden");
    }
    server.give_roles(LESSER, &["for-lesser", "deleter"]).await;
    let given = put_roles(&lesser, &of(&server, ANN).await, "*", json!(["deleter"])).await;
    assert_eq!(given.status, 200, "{}", given.text);
    let mut writer = server.signed_in_holding("writer@example.com", &ALL[..2]).await;
    let body = json!({ "email": "x@example.com", "roles": ["deleter"] });
    let made = writer.post("/api/v1/admin/users", body).await;
    assert_eq!(made.json["detail"], "This needs the permission hallpass:users:roles.");
}

#[tokio::test]
async fn the_own_account_keeps_its_own_routes_and_the_last_administrator_stays() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let path = of(&server, BOSS).await;
    let answers = everything(&mut boss, &path).await;
    assert_eq!(answers[1], (409, "last_administrator".into()), "the own roles are a matter of rights");
    for (place, (status, code)) in answers.iter().enumerate().filter(|(place, _)| *place != 1) {
        assert_eq!((*status, code.as_str()), (403, "forbidden"), "{place}");
    }
    server.sign_up(ANN).await;
    let ann = of(&server, ANN).await;
    assert_eq!(put_roles(&boss, &ann, "*", json!(["admin"])).await.status, 200);
    assert_eq!(put_roles(&boss, &path, "*", json!([])).await.status, 200, "another one is left");
    assert_eq!(boss.get(&path).await.status, 403);
}

#[tokio::test]
async fn of_administrators_who_remove_each_other_at_once_one_acts_and_stays() {
    let server = TestApp::start().await;
    for round in 0..4 {
        let (one, other) = (format!("one{round}@example.com"), format!("other{round}@example.com"));
        let mut first = server.signed_in(&one).await;
        let mut second = server.signed_in(&other).await;
        // A third one, so that it is not the rule about the last that decides.
        server.sign_up(&format!("third{round}@example.com")).await;
        for email in [&one, &other, &format!("third{round}@example.com")] {
            server.give_roles(email, &["admin"]).await;
        }
        let (of_one, of_other) = (of(&server, &one).await, of(&server, &other).await);
        let (a, b) = match round % 3 {
            0 => tokio::join!(
                put_roles(&first, &of_other, "*", json!([])),
                put_roles(&second, &of_one, "*", json!([]))
            ),
            1 => {
                let (of_one, of_other) = (format!("{of_one}/disable"), format!("{of_other}/disable"));
                tokio::join!(first.post_nothing(&of_other), second.post_nothing(&of_one))
            }
            _ => tokio::join!(first.delete(&of_other), second.delete(&of_one)),
        };
        let mut answers = [a.status, b.status];
        answers.sort_unstable();
        assert!(answers[0] == 200 && matches!(answers[1], 401 | 403), "{round}: {} {}", a.text, b.text);
    }
}

#[tokio::test]
async fn of_parallel_changes_that_rest_on_one_reading_exactly_one_counts() {
    let server = TestApp::start().await;
    let boss = server.boss().await;
    server.sign_up(ANN).await;
    let path = of(&server, ANN).await;
    let tag = boss.clone().get(&path).await.header("etag").to_owned();
    let names: Vec<String> = (0..8).map(|number| format!("Name{number}")).collect();
    let calls = names.iter().map(|name| patch(&boss, &path, &tag, json!({ "name": name })));
    let answers = futures_util::future::join_all(calls).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1);
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.code() == "outdated"));
    let found = boss.clone().get("/api/v1/admin/users?q=name").await.json;
    assert_eq!(found["users"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["users"][0]["name"], won[0].json["user"]["name"]);
}

#[tokio::test]
async fn odd_calls_are_refused_with_every_problem() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.sign_up(ANN).await;
    let path = of(&server, ANN).await;
    for (query, problem) in [
        ("status=closed", "status"),
        ("verified=yes", "verified"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("after=x", "after"),
        ("after=e.", "after"),
        ("after=e00.01900000-0000-7000-8000-000000000000", "after"),
        ("after=t6.01900000-0000-7000-8000-000000000000&q=a", "after"),
        ("after=%C3%A9e.01900000-0000-7000-8000-000000000000", "after"),
        ("after=r.01900000-0000-7000-8000-000000000000", "after"),
    ] {
        let answer = boss.get(&format!("/api/v1/admin/users?{query}")).await;
        assert_eq!(
            (answer.status, answer.problems()),
            (422, vec![format!("{problem}: invalid_value")]),
            "{query}"
        );
    }
    let bad = patch(&boss, &path, "*", json!({ "email": "x", "username": "a b", "name": 7 })).await;
    assert_eq!(bad.problems(), ["email: invalid_email", "name: wrong_type", "username: invalid_username"]);
    assert_eq!(put_roles(&boss, &path, "*", json!(["nothing"])).await.problems(), ["roles: unknown_role"]);
    let mut matching = boss.clone().with_header("if-match", "*");
    let none = matching.send(Method::PUT, &format!("{path}/roles"), Some(json!({}))).await;
    assert_eq!(none.problems(), ["roles: required"]);
    let mut new = boss.clone().with_header("if-none-match", "*");
    assert_eq!(new.patch(&path, json!({})).await.code(), "outdated", "it is there already");
    let zero = patch(&boss, &path, "\"0\"", json!({})).await;
    assert_eq!(zero.code(), "outdated");
}

#[tokio::test]
async fn a_changed_address_leaves_whoever_had_the_former_one_no_way_back() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.sign_up("mallory@evil.example").await;
    let mut mallory = server.sign_in("mallory@evil.example").await;
    // Another device: the mail has a link for "this was not me".
    let mut other = server.client().at("203.0.113.9").with_agent("Mozilla/5.0 (Macintosh) Safari/605.1.15");
    other
        .log_in(json!({ "email": "mallory@evil.example", "password": PASSWORD, "tokenDelivery": "body" }))
        .await;
    let not_me = server.mailed_token("mallory@evil.example", "/not-me").await;
    let id = mallory.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/admin/users/{id}");
    let tag = boss.get(&path).await.header("etag").to_owned();
    let body = json!({ "email": "bob@example.com", "emailVerified": true });
    let moved = boss.clone().with_header("if-match", &tag).patch(&path, body).await;
    assert_eq!(moved.status, 200, "{}", moved.text);
    let answer = server.client().post("/api/v1/not-me", json!({ "token": not_me })).await;
    assert_eq!((answer.status, answer.code()), (400, "invalid_token"));
    assert_eq!(boss.get(&path).await.json["user"]["email"], "bob@example.com");
}

#[tokio::test]
async fn a_link_that_somebody_with_fewer_rights_made_opens_no_account_that_has_more_since() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let mut support = server.signed_in_holding("support@example.com", &["hallpass:users:*"]).await;
    let made = support.post("/api/v1/admin/users", json!({ "email": "ann@example.com" })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let link = made.json["link"].as_str().unwrap().split_once("token=").unwrap().1.to_owned();
    let path = format!("/api/v1/admin/users/{}/roles", made.json["user"]["id"].as_str().unwrap());
    let mut giving = boss.clone().with_header("if-match", "*");
    let given = giving.send(axum::http::Method::PUT, &path, Some(json!({ "roles": ["admin"] }))).await;
    assert_eq!(given.status, 200, "{}", given.text);
    let answer =
        server.client().post("/api/v1/password/reset", json!({ "token": link, "password": PASSWORD })).await;
    assert_eq!((answer.status, answer.code()), (400, "invalid_token"));
    assert_eq!(boss.get("/api/v1/admin/users?q=ann").await.json["users"][0]["factors"], json!([]));
}

#[tokio::test]
async fn of_several_tags_one_has_to_be_the_present_one_to_the_byte() {
    let server = TestApp::start().await;
    let boss = server.boss().await;
    server.sign_up(ANN).await;
    let path = of(&server, ANN).await;
    let tag = async || boss.clone().get(&path).await.header("etag").trim_matches('"').to_owned();
    for (list, expected) in [
        ("\"0\", \"TAG\"", 200),
        ("\"an,other\",\"TAG\" ,W/\"7\"", 200),
        (" \"TAG\"", 200),
        ("\"0\", \"7\"", 412),
        ("W/\"TAG\"", 412),
        ("TAG", 412),
        ("\"+TAG\"", 412),
        ("\"00TAG\"", 412),
        ("\"\"", 412),
        ("*, \"TAG\"", 400),
    ] {
        let sent = list.replace("TAG", &tag().await);
        let answer = patch(&boss, &path, &sent, json!({ "name": "Ann" })).await;
        assert_eq!(answer.status, expected, "{sent}: {}", answer.text);
    }
    // The clock stands: each change raises the number by one.
    while !tag().await.contains(char::is_alphabetic) {
        patch(&boss, &path, "*", json!({ "name": "Ann" })).await;
    }
    let upper = format!("\"{}\"", tag().await.to_uppercase());
    assert_eq!(patch(&boss, &path, &upper, json!({ "name": "Ann" })).await.status, 412, "{upper}");
    // Two lines are one list.
    let present = format!("\"{}\"", tag().await);
    let mut caller = boss.clone();
    let headers =
        [("if-match", "\"7\""), ("if-match", present.as_str()), ("content-type", "application/json")];
    let answer = caller.raw(Method::PATCH, &path, &headers, b"{\"name\":\"Ann\"}".to_vec()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}
