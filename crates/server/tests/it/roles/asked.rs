//! Services ask what a token allows, and hear when it changes.
use super::ANN;
use crate::support::{Client, TestApp};
use hallpass::clock::Timestamp;
use hallpass::revocations;
use hallpass::service_keys::Scope;
use serde_json::{Value, json};

async fn service(server: &TestApp, scope: Scope) -> Client {
    let (_, secret) = server.service_key("shop", &[scope], None).await;
    let mut client = server.client();
    client.bearer = Some(secret);
    client
}

#[tokio::test]
async fn a_service_asks_whether_a_token_allows_something_and_hears_what_is_so_now() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in_holding(ANN, &["orders:*", "invoices:read"]).await;
    let mut shop = service(&server, Scope::Authorize).await;
    let token = ann.bearer.clone().unwrap();
    let mut ask = async |permissions: Value, roles: Value| {
        let body = json!({ "token": token, "permissions": permissions, "roles": roles });
        let answer = shop.post("/api/v1/authorize", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    };
    for (permissions, roles, allowed) in [
        (json!(["orders:read"]), json!([]), true),
        (json!(["orders:read", "orders:write:own", "invoices:read"]), Value::Null, true),
        (json!(["orders:read", "invoices:write"]), json!([]), false),
        (json!([]), json!(["admin", "for-ann"]), true),
        (json!([]), json!(["admin"]), false),
        (json!(["orders:read"]), json!(["admin"]), false),
    ] {
        let said = ask(permissions.clone(), roles.clone()).await;
        assert_eq!(
            (&said["allowed"], &said["active"]),
            (&json!(allowed), &json!(true)),
            "{permissions} {roles}"
        );
    }
    let said = ask(json!(["orders:read", "invoices:write"]), json!(["admin"])).await;
    assert_eq!(
        (&said["missingPermissions"], &said["missingRole"]),
        (&json!(["invoices:write"]), &json!(true))
    );
    server.define_role("for-ann", &["invoices:read"]).await;
    assert_eq!(
        ask(json!(["orders:read"]), json!([])).await["allowed"],
        json!(false),
        "not what the token says"
    );
    assert_eq!(ann.post_nothing("/api/v1/logout").await.status, 200);
    let said = ask(json!(["invoices:read"]), json!([])).await;
    let expected = json!({ "allowed": false, "active": false, "missingPermissions": ["invoices:read"], "missingRole": false });
    assert_eq!(said, expected, "a token that is not good tells nothing");
}

#[tokio::test]
async fn a_question_needs_the_scope_and_a_plain_permission() {
    let server = TestApp::start().await;
    let ann = server.signed_in(ANN).await;
    let token = ann.bearer.clone().unwrap();
    let mut other = service(&server, Scope::Introspect).await;
    let answer = other.post("/api/v1/authorize", json!({ "token": token, "roles": ["user"] })).await;
    assert_eq!((answer.status, answer.code()), (403, "insufficient_scope"));
    let mut shop = service(&server, Scope::Authorize).await;
    for (body, problem) in [
        (json!({ "permissions": [] }), "token: required"),
        (json!({ "token": token, "permissions": ["orders:*"] }), "permissions: invalid_value"),
        (json!({ "token": token, "permissions": ["orders"] }), "permissions: invalid_value"),
        (json!({ "token": token, "permissions": "orders:read" }), "permissions: wrong_type"),
        (json!({ "token": token, "permissions": vec!["a:b"; 51] }), "permissions: too_many"),
        // A question that asks for nothing is a slip, and must not let everybody in.
        (json!({ "token": token }), "permissions: required"),
        (json!({ "token": token, "permissions": [], "roles": [] }), "permissions: required"),
        (json!({ "token": token, "permissions": null }), "permissions: required"),
        (json!({ "token": token, "permission": "orders:delete" }), "permissions: required"),
        (json!({ "token": token, "role": "admin" }), "permissions: required"),
        (json!({ "token": "x.y.z", "permissions": [], "roles": null }), "permissions: required"),
        (json!({ "token": token, "roles": ["a", 7] }), "roles: wrong_type"),
    ] {
        let answer = shop.post("/api/v1/authorize", body).await;
        assert_eq!((answer.status, answer.problems()), (422, vec![problem.to_owned()]));
    }
    let refresh = ann.refresh_token.clone().unwrap();
    let answer = shop.post("/api/v1/authorize", json!({ "token": refresh, "roles": ["user"] })).await;
    assert_eq!(answer.json["active"], json!(false), "a refresh token is no access token");
}

#[tokio::test]
async fn introspection_tells_permissions_and_the_feed_tells_that_roles_changed() {
    let server = TestApp::start().await;
    let ann = server.signed_in_holding(ANN, &["orders:read"]).await;
    let mut shop = service(&server, Scope::Introspect).await;
    let form = [("token", ann.bearer.as_deref().unwrap())];
    let said = shop.post_form("/api/v1/introspect", &form).await;
    assert_eq!(
        (&said.json["roles"], &said.json["permissions"]),
        (&json!(["for-ann", "user"]), &json!(["orders:read"]))
    );
    let rows = async || revocations::after(&server.app.db, Timestamp(0), None, 1000).await.unwrap().len();
    let before = rows().await;
    server.define_role("for-ann", &[]).await;
    assert_eq!(rows().await, before + 1);
    let mut follower = service(&server, Scope::Revocations).await;
    let page = follower.get("/api/v1/revocations").await.json;
    let last = page["revocations"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["kind"], last.get("userId")), (&json!("roles_changed"), None));
}
