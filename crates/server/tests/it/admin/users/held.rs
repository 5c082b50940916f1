//! The name of a role is something that one has or has not: proxies, services and tokens go by it.
use super::{ANN, of, patch, put_roles};
use crate::support::{Client, PASSWORD, TestApp};
use serde_json::{Value, json};

const MALLORY: &str = "mallory@example.com";

/// Somebody who may do everything to accounts and gives roles, with the role `support`, and two roles that hold no more than that.
async fn mallory(server: &TestApp) -> Client {
    server.define_role("support", &["hallpass:users:*", "orders:*"]).await;
    server.define_role("finance", &[]).await;
    server.define_role("sales", &["orders:read"]).await;
    let mallory = server.signed_in(MALLORY).await;
    server.give_roles(MALLORY, &["support"]).await;
    mallory
}

#[tokio::test]
async fn nobody_gives_a_role_that_they_have_not_themselves_however_little_it_holds() {
    let server = TestApp::start().await;
    let mut mallory = mallory(&server).await;
    server.sign_up(ANN).await;
    for role in ["finance", "sales"] {
        let question = format!("/forward-auth?role={role}");
        let mut passing = mallory.clone().with_header("x-forwarded-method", "GET");
        assert_eq!(passing.get(&question).await.status, 403);
        for email in [MALLORY, ANN] {
            let path = of(&server, email).await;
            let answer = put_roles(&mallory, &path, "*", json!(["support", role])).await;
            assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{email} {role}");
            assert!(answer.json["detail"].as_str().unwrap().contains(role), "{}", answer.text);
        }
        let body = json!({ "email": "x@example.com", "password": PASSWORD, "roles": [role] });
        let made = mallory.post("/api/v1/admin/users", body).await;
        assert_eq!((made.status, made.code()), (403, "forbidden"), "{role}");
        assert_eq!(passing.get(&question).await.status, 403);
    }
    let given = put_roles(&mallory, &of(&server, ANN).await, "*", json!(["support"])).await;
    assert_eq!(given.status, 200, "what one has oneself can be given: {}", given.text);
    // Whoever holds everything has every role.
    server.define_role("root", &["*:*"]).await;
    server.give_roles(MALLORY, &["root"]).await;
    let given = put_roles(&mallory, &of(&server, ANN).await, "*", json!(["finance", "sales", "admin"])).await;
    assert_eq!(given.status, 200, "{}", given.text);
}

#[tokio::test]
async fn nobody_acts_on_an_account_that_has_a_role_which_they_have_not() {
    let server = TestApp::start().await;
    let mut mallory = mallory(&server).await;
    server.sign_up(ANN).await;
    let path = of(&server, ANN).await;
    for role in ["finance", "sales"] {
        server.give_roles(ANN, &[role]).await;
        let mut answers = vec![
            patch(&mallory, &path, "*", json!({ "email": "mine@example.com", "emailVerified": true })).await,
            put_roles(&mallory, &path, "*", json!([])).await,
            mallory.post(&format!("{path}/impersonate"), json!({ "reason": "Ticket 4711" })).await,
            mallory.delete(&path).await,
        ];
        for what in ["disable", "enable", "verify-email", "reset-password", "reset-factors", "end-sessions"] {
            answers.push(mallory.post_nothing(&format!("{path}/{what}")).await);
        }
        for answer in answers {
            assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{role}: {}", answer.text);
        }
        server.give_roles(MALLORY, &["support", role]).await;
        let helped = mallory.post_nothing(&format!("{path}/reset-password")).await;
        assert_eq!(helped.status, 200, "{role}: {}", helped.text);
        server.give_roles(MALLORY, &["support"]).await;
    }
}

#[tokio::test]
async fn an_empty_role_that_is_given_meanwhile_ends_what_somebody_does_in_its_place() {
    let server = TestApp::start().await;
    let mut mallory = mallory(&server).await;
    server.sign_up(ANN).await;
    let path = of(&server, ANN).await;
    let begun = mallory.post(&format!("{path}/impersonate"), json!({ "reason": "Ticket 4711" })).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let mut acting = server.client().with_header("x-forwarded-method", "GET");
    acting.bearer = begun.json["accessToken"].as_str().map(str::to_owned);
    assert_eq!(acting.get("/forward-auth").await.status, 200);
    server.give_roles(ANN, &["finance"]).await;
    assert_eq!(acting.get("/forward-auth?role=finance").await.code(), "session_revoked");
    assert_eq!(
        mallory.get(&path).await.json["user"]["roles"],
        json!(["finance", "user"]),
        "seeing is another matter"
    );
}

#[tokio::test]
async fn whoever_defines_a_role_has_not_given_it_to_anybody_yet() {
    let server = TestApp::start().await;
    let mut mallory = server.signed_in_holding(MALLORY, &["hallpass:users:*", "hallpass:roles:*"]).await;
    let mut defining = mallory.clone().with_header("if-none-match", "*");
    let body = json!({ "permissions": [] });
    let path = "/api/v1/admin/roles/admins";
    assert_eq!(defining.send(axum::http::Method::PUT, path, Some(body)).await.status, 200);
    let own = of(&server, MALLORY).await;
    let answer = put_roles(&mallory, &own, "*", json!(["for-mallory", "admins"])).await;
    assert_eq!((answer.status, answer.code()), (403, "forbidden"));
    // Laying down what one has, and staying with what one has, is nobody else's matter.
    server.give_roles(MALLORY, &["for-mallory", "admins"]).await;
    assert_eq!(put_roles(&mallory, &own, "*", json!(["for-mallory", "admins"])).await.status, 200);
    assert_eq!(put_roles(&mallory, &own, "*", json!(["for-mallory"])).await.status, 200);
    assert_eq!(
        put_roles(&mallory, &own, "*", json!(["for-mallory", "admins"])).await.status,
        403,
        "it is gone"
    );
    let me: Value = mallory.get("/api/v1/me").await.json;
    assert_eq!(me["user"]["roles"], json!(["for-mallory", "user"]));
}
