//! Register, verify, sign in.
use crate::support::{PASSWORD, TestApp};
use serde_json::json;

#[tokio::test]
async fn a_new_user_registers_verifies_signs_in_refreshes_and_signs_out() {
    let server = TestApp::start().await;
    let mut client = server.client();
    let answer =
        client.post("/api/v1/register", json!({ "email": "Ann@Example.com", "password": PASSWORD })).await;
    assert_eq!(answer.status, 202);
    let token = server.mailed_token("ann@example.com", "/verify-email").await;
    let answer = client.post("/api/v1/verify-email", json!({ "token": token })).await;
    assert_eq!((answer.status, answer.json["user"]["emailVerified"].as_bool()), (200, Some(true)));
    let answer = client.log_in(json!({ "email": "ann@example.com", "password": PASSWORD })).await;
    assert_eq!(answer.json["tokenType"], "Bearer");
    let me = client.get("/api/v1/me").await;
    assert_eq!((me.status, me.json["user"]["email"].as_str()), (200, Some("Ann@example.com")));
    let answer = client.post_nothing("/api/v1/refresh").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    client.keep_tokens(&answer);
    assert_eq!(client.post_nothing("/api/v1/logout").await.status, 200);
    assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
}
