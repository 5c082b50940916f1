//! What changes credentials needs a fresh proof, of a second factor where one is set up; refreshing proves nothing.
use super::{MINUTE, ann_with_an_app, claims};
use crate::support::{OTHER_PASSWORD, PASSWORD, TestApp};
use serde_json::{Value, json};

/// Calls that change credentials, delete or export.
const SENSITIVE: [(&str, &str); 6] = [
    ("GET", "/api/v1/me/export"),
    ("POST", "/api/v1/email/change"),
    ("POST", "/api/v1/password/change"),
    ("DELETE", "/api/v1/factors/totp"),
    ("POST", "/api/v1/factors/recovery-codes"),
    ("DELETE", "/api/v1/me"),
];

#[tokio::test]
async fn with_a_second_factor_only_a_fresh_one_opens_what_changes_credentials() {
    let server = TestApp::start().await;
    let (mut ann, app, _) = ann_with_an_app(&server).await;
    server.advance(MINUTE * 10);
    assert_eq!(ann.refresh().await.status, 200);
    let body =
        json!({ "email": "new@example.com", "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    for (method, path) in SENSITIVE {
        let sent = (method == "POST").then(|| body.clone());
        let refused = ann.send(method.parse().unwrap(), path, sent).await;
        assert_eq!((refused.status, refused.code()), (403, "reauthentication_required"), "{method} {path}");
        assert_eq!(refused.json["methods"], json!(["recovery_code", "totp"]), "{method} {path}");
        let challenge = "Bearer error=\"insufficient_user_authentication\", acr_values=\"aal2\", max_age=600";
        assert_eq!(refused.header("www-authenticate"), challenge, "RFC 9470");
    }
    let by_password = ann.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    assert_eq!((by_password.status, by_password.code()), (403, "reauthentication_required"));
    let wrong = ann.post("/api/v1/reauthenticate", json!({ "otp": app.wrong_code(&server) })).await;
    assert_eq!((wrong.status, wrong.code()), (401, "invalid_code"));
    let fresh = ann.post("/api/v1/reauthenticate", json!({ "otp": app.code(&server) })).await;
    assert_eq!(fresh.status, 200, "{}", fresh.text);
    ann.keep_tokens(&fresh);
    assert_eq!(ann.get("/api/v1/me/export").await.status, 200);
    assert_eq!(ann.post("/api/v1/password/change", body).await.status, 200);
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn without_a_second_factor_the_password_is_what_proves() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in("ann@example.com").await;
    server.advance(MINUTE * 10);
    ann.refresh().await;
    let refused = ann.get("/api/v1/me/export").await;
    assert_eq!(refused.json["methods"], json!(["password"]));
    assert!(refused.header("www-authenticate").contains("acr_values=\"aal1\""));
    let by_mail = ann.post_nothing("/api/v1/reauthenticate/code").await;
    assert_eq!(by_mail.code(), "reauthentication_required", "the mailbox alone must not change a password");
    let fresh = ann.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    ann.keep_tokens(&fresh);
    assert_eq!(ann.get("/api/v1/me/export").await.status, 200);
}

#[tokio::test]
async fn refreshing_neither_raises_acr_nor_moves_auth_time() {
    let server = TestApp::start().await;
    let (mut ann, app, _) = ann_with_an_app(&server).await;
    let mut other = server.client();
    let wanted = super::first_step(&mut other, "ann@example.com").await;
    let done =
        other.post("/api/v1/verify", json!({ "otp": app.code(&server), "attempt": wanted["attempt"] })).await;
    other.keep_tokens(&done);
    let before = claims(other.bearer.as_ref().unwrap());
    server.advance(MINUTE * 20);
    for client in [&mut ann, &mut other] {
        client.refresh().await;
    }
    let after = claims(other.bearer.as_ref().unwrap());
    for claim in ["acr", "amr", "auth_time"] {
        assert_eq!(after[claim], before[claim], "{claim}");
    }
    // A session from before the factor was set up stays what it was, whatever happens in others.
    let server = TestApp::start().await;
    server.sign_up("bob@example.com").await;
    let mut weak = server.sign_in("bob@example.com").await;
    let mut strong = server.sign_in("bob@example.com").await;
    strong.set_up_totp(&server).await;
    weak.refresh().await;
    let token = claims(weak.bearer.as_ref().unwrap());
    assert_eq!((&token["acr"], &token["amr"]), (&json!("aal1"), &json!(["pwd"])));
    let refused = weak.delete("/api/v1/factors/totp").await;
    assert_eq!(refused.code(), "reauthentication_required", "the session never proved the factor");
}

#[tokio::test]
async fn a_code_proves_once_and_in_one_place() {
    let server = TestApp::start().await;
    let (mut ann, app, _) = ann_with_an_app(&server).await;
    let code = app.code(&server);
    assert_eq!(ann.post("/api/v1/reauthenticate", json!({ "otp": code })).await.status, 200);
    assert_eq!(ann.post("/api/v1/reauthenticate", json!({ "otp": code })).await.code(), "invalid_code");
    let mut phone = server.client();
    super::first_step(&mut phone, "ann@example.com").await;
    assert_eq!(phone.post("/api/v1/verify", json!({ "otp": code })).await.code(), "invalid_code", "replayed");
}

#[tokio::test]
async fn an_account_of_the_mailbox_alone_proves_by_a_mailed_code_in_the_session_that_asked() {
    let server = TestApp::start_with(|config| config.login.passwordless = true).await;
    let mut ann = server.signed_in("ann@example.com").await;
    let mut tx = server.app.db.begin().await.unwrap();
    let user = hallpass::ids::UserId::parse(ann.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap())
        .unwrap();
    hallpass::users::clear_password(&mut tx, user, server.app.now()).await.unwrap();
    tx.commit().await.unwrap();
    server.advance(MINUTE * 10);
    ann.refresh().await;
    let refused = ann.get("/api/v1/me/export").await;
    assert_eq!(refused.json["methods"], json!(["email_otp"]));
    let mut second = server.client();
    let wanted = second
        .post("/api/v1/login/email", json!({ "email": "ann@example.com", "tokenDelivery": "body" }))
        .await;
    let code = server.mailed_code("ann@example.com").await;
    let done = second.post("/api/v1/verify", json!({ "otp": code, "attempt": wanted.json["attempt"] })).await;
    second.keep_tokens(&done);
    assert_eq!(ann.post_nothing("/api/v1/reauthenticate/code").await.status, 202);
    let code = server.mailed_code("ann@example.com").await;
    let elsewhere = second.post("/api/v1/reauthenticate", json!({ "otp": code })).await;
    assert_eq!(elsewhere.code(), "invalid_code", "asked for in another session");
    let fresh = ann.post("/api/v1/reauthenticate", json!({ "otp": code, "method": "email_otp" })).await;
    assert_eq!(fresh.status, 200, "{}", fresh.text);
    ann.keep_tokens(&fresh);
    assert_eq!(ann.get("/api/v1/me/export").await.status, 200);
    assert_eq!(ann.get("/api/v1/me").await.json["user"]["factors"], Value::Array(Vec::new()));
}
