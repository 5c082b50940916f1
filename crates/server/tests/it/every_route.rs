//! Every route, tried by those who must not get through. A route that is missing from the table fails the test.
pub mod beside;

use crate::support::{Client, PASSWORD, TestApp};
use axum::http::Method;
use hallpass::openapi;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// Anybody.
    Public,
    /// Holders of a live session.
    Session,
    /// Holders of a live session with the permission that the document names.
    Admin,
    /// Holders of a live service key with the scope.
    Service,
}
use Rule::{Admin, Public, Service, Session};

/// Access rules by method and path; the whole API.
const TABLE: [(&str, &str, Rule); 101] = [
    ("GET", "/.well-known/jwks.json", Public),
    ("GET", "/api/v1/admin/audit", Admin),
    ("GET", "/api/v1/admin/audit/export", Admin),
    ("GET", "/api/v1/admin/invitations", Admin),
    ("POST", "/api/v1/admin/invitations", Admin),
    ("DELETE", "/api/v1/admin/invitations/{id}", Admin),
    ("POST", "/api/v1/admin/invitations/{id}/resend", Admin),
    ("GET", "/api/v1/admin/keys", Admin),
    ("POST", "/api/v1/admin/keys/rotate", Admin),
    ("GET", "/api/v1/admin/roles", Admin),
    ("GET", "/api/v1/admin/roles/{name}", Admin),
    ("PUT", "/api/v1/admin/roles/{name}", Admin),
    ("DELETE", "/api/v1/admin/roles/{name}", Admin),
    ("GET", "/api/v1/admin/users", Admin),
    ("POST", "/api/v1/admin/users", Admin),
    ("GET", "/api/v1/admin/users/{id}", Admin),
    ("PATCH", "/api/v1/admin/users/{id}", Admin),
    ("DELETE", "/api/v1/admin/users/{id}", Admin),
    ("POST", "/api/v1/admin/users/{id}/disable", Admin),
    ("POST", "/api/v1/admin/users/{id}/enable", Admin),
    ("POST", "/api/v1/admin/users/{id}/end-sessions", Admin),
    ("GET", "/api/v1/admin/users/{id}/events", Admin),
    ("POST", "/api/v1/admin/users/{id}/reset-factors", Admin),
    ("POST", "/api/v1/admin/users/{id}/reset-password", Admin),
    ("PUT", "/api/v1/admin/users/{id}/roles", Admin),
    ("GET", "/api/v1/admin/users/{id}/sessions", Admin),
    ("DELETE", "/api/v1/admin/users/{id}/sessions/{session}", Admin),
    ("POST", "/api/v1/admin/users/{id}/verify-email", Admin),
    ("GET", "/api/v1/admin/service-keys", Admin),
    ("POST", "/api/v1/admin/service-keys", Admin),
    ("DELETE", "/api/v1/admin/service-keys/{id}", Admin),
    ("GET", "/api/v1/admin/settings", Admin),
    ("GET", "/api/v1/admin/statistics", Admin),
    ("POST", "/api/v1/admin/users/{id}/impersonate", Admin),
    ("GET", "/api/v1/admin/webhooks", Admin),
    ("POST", "/api/v1/admin/webhooks", Admin),
    ("GET", "/api/v1/admin/webhooks/{id}", Admin),
    ("DELETE", "/api/v1/admin/webhooks/{id}", Admin),
    ("GET", "/api/v1/admin/webhooks/{id}/deliveries", Admin),
    ("POST", "/api/v1/admin/webhooks/{id}/deliveries/{delivery}/replay", Admin),
    ("POST", "/api/v1/admin/webhooks/{id}/disable", Admin),
    ("POST", "/api/v1/admin/webhooks/{id}/enable", Admin),
    ("POST", "/api/v1/admin/webhooks/{id}/ping", Admin),
    ("POST", "/api/v1/admin/webhooks/{id}/replay", Admin),
    ("POST", "/api/v1/admin/webhooks/{id}/rotate-secret", Admin),
    ("POST", "/api/v1/authorize", Service),
    ("GET", "/api/v1/csrf", Session),
    ("GET", "/api/v1/devices", Session),
    ("DELETE", "/api/v1/devices", Session),
    ("DELETE", "/api/v1/devices/{id}", Session),
    ("POST", "/api/v1/email/change", Session),
    ("POST", "/api/v1/email/confirm", Public),
    ("POST", "/api/v1/email/undo", Public),
    ("GET", "/api/v1/events", Session),
    ("GET", "/api/v1/factors", Session),
    ("GET", "/api/v1/factors/passkeys", Session),
    ("POST", "/api/v1/factors/passkeys", Session),
    ("POST", "/api/v1/factors/passkeys/options", Session),
    ("PATCH", "/api/v1/factors/passkeys/{id}", Session),
    ("DELETE", "/api/v1/factors/passkeys/{id}", Session),
    ("POST", "/api/v1/factors/recovery-codes", Session),
    ("POST", "/api/v1/factors/totp", Session),
    ("DELETE", "/api/v1/factors/totp", Session),
    ("POST", "/api/v1/factors/totp/confirm", Session),
    ("POST", "/api/v1/introspect", Service),
    ("POST", "/api/v1/invitations/accept", Public),
    ("POST", "/api/v1/login", Public),
    ("POST", "/api/v1/login/email", Public),
    ("POST", "/api/v1/login/passkey", Public),
    ("POST", "/api/v1/login/passkey/options", Public),
    ("POST", "/api/v1/logout", Public),
    ("POST", "/api/v1/logout-all", Session),
    ("GET", "/api/v1/me", Session),
    ("PATCH", "/api/v1/me", Session),
    ("DELETE", "/api/v1/me", Session),
    ("GET", "/api/v1/me/export", Session),
    ("POST", "/api/v1/not-me", Public),
    ("POST", "/api/v1/password/change", Session),
    ("POST", "/api/v1/password/forgot", Public),
    ("POST", "/api/v1/password/reset", Public),
    ("POST", "/api/v1/reauthenticate", Session),
    ("POST", "/api/v1/reauthenticate/passkey/options", Session),
    ("POST", "/api/v1/reauthenticate/code", Session),
    ("POST", "/api/v1/refresh", Public),
    ("POST", "/api/v1/register", Public),
    ("GET", "/api/v1/revocations", Service),
    ("GET", "/api/v1/sessions", Session),
    ("DELETE", "/api/v1/sessions", Session),
    ("GET", "/api/v1/sessions/{id}", Session),
    ("DELETE", "/api/v1/sessions/{id}", Session),
    ("GET", "/api/v1/settings", Public),
    ("POST", "/api/v1/verify", Public),
    ("POST", "/api/v1/verify-email", Public),
    ("POST", "/api/v1/verify-email/resend", Public),
    ("POST", "/api/v1/verify/enrol", Public),
    ("POST", "/api/v1/verify/passkey/options", Public),
    ("POST", "/api/v1/verify/resend", Public),
    ("GET", "/forward-auth", Session),
    ("GET", "/health/live", Public),
    ("GET", "/health/ready", Public),
    ("GET", "/metrics", Public),
];

fn document() -> Value {
    serde_json::from_str(&openapi::document()).unwrap()
}

const NOBODY: &str = "01900000-0000-7000-8000-000000000000";

fn concrete(path: &str) -> String {
    path.replace("{id}", NOBODY)
        .replace("{name}", "editor")
        .replace("{session}", NOBODY)
        .replace("{delivery}", NOBODY)
}

async fn call(client: &mut Client, method: &str, path: &str, body: Option<Value>) -> crate::support::Answer {
    client.send(Method::from_bytes(method.as_bytes()).unwrap(), &concrete(path), body).await
}

/// The documented statuses of an operation.
fn documented(document: &Value, method: &str, path: &str) -> BTreeSet<u16> {
    let responses = &document["paths"][path][method.to_lowercase()]["responses"];
    responses.as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect()
}

#[test]
fn every_route_of_the_api_has_a_rule() {
    let document = document();
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        routes
            .extend(methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    let table: BTreeSet<_> =
        TABLE.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(routes, table);
}

#[tokio::test]
async fn strangers_and_ended_sessions_get_through_nowhere_but_to_public_routes() {
    let server = TestApp::start().await;
    let mut ended = server.signed_in("ann@example.com").await;
    ended.post_nothing("/api/v1/logout").await;
    for (method, path, rule) in TABLE {
        let stranger = call(&mut server.client(), method, path, None).await;
        let revoked = call(&mut ended, method, path, None).await;
        match rule {
            Session | Admin => {
                assert_eq!((stranger.status, stranger.code()), (401, "unauthenticated"), "{method} {path}");
                assert_eq!((revoked.status, revoked.code()), (401, "session_revoked"), "{method} {path}");
            }
            Service => {
                assert_eq!(
                    (stranger.status, stranger.code()),
                    (401, "invalid_service_key"),
                    "{method} {path}"
                );
                assert_eq!((revoked.status, revoked.code()), (401, "invalid_service_key"), "{method} {path}");
            }
            Public => assert_ne!(stranger.code(), "unauthenticated", "{method} {path}"),
        }
    }
}

#[tokio::test]
async fn cookie_clients_get_through_no_unsafe_route_without_the_csrf_token_of_their_session() {
    let server = TestApp::start().await;
    server.sign_up("ann@example.com").await;
    let mut browser = server.client();
    let body = json!({ "email": "ann@example.com", "password": PASSWORD, "tokenDelivery": "cookies" });
    assert_eq!(browser.post("/api/v1/login", body).await.status, 200);
    for (method, path, rule) in TABLE {
        if matches!(rule, Session | Admin) && method != "GET" {
            let without = call(&mut browser, method, path, Some(json!({}))).await;
            assert_eq!((without.status, without.code()), (403, "csrf_failed"), "{method} {path}");
            let mut forger = browser.clone().with_header("x-csrf-token", "0".repeat(64).as_str());
            assert_eq!(
                call(&mut forger, method, path, Some(json!({}))).await.code(),
                "csrf_failed",
                "{method} {path}"
            );
        }
    }
    assert_eq!(browser.get("/api/v1/me").await.status, 200, "nothing was changed");
}

#[tokio::test]
async fn every_route_answers_odd_calls_with_a_documented_status_and_never_with_5xx() {
    let server = TestApp::start().await;
    let document = document();
    let bodies =
        [None, Some(json!({})), Some(json!([])), Some(json!({ "email": 7, "token": [], "password": {} }))];
    for (method, path, _) in TABLE {
        let documented = documented(&document, method, path);
        for body in &bodies {
            for mut client in [server.client(), server.client().with_header("authorization", "Bearer x.y.z")]
            {
                let answer = call(&mut client, method, path, body.clone()).await;
                assert!(answer.status < 500, "{method} {path} {body:?}: {}", answer.text);
                assert!(
                    documented.contains(&answer.status),
                    "{method} {path} {body:?}: {} is not documented",
                    answer.status
                );
            }
        }
    }
}

#[tokio::test]
async fn wrong_methods_are_refused_by_every_route() {
    let server = TestApp::start().await;
    let document = document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            if methods.get(method.to_lowercase()).is_none() {
                let answer = call(&mut server.client(), method, path, None).await;
                assert_eq!((answer.status, answer.code()), (405, "method_not_allowed"), "{method} {path}");
            }
        }
    }
}
