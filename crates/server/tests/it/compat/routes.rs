//! Every route of the profiles, tried by those who must not get through, as `every_route` does it for the native ones.
use super::{ANN, authify, authify_on, authy, authy_on};
use crate::support::{Answer, Client, TestApp};
use axum::http::Method;
use hallpass::config::Config;
use hallpass::openapi;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a stranger without any token gets.
const AUTHIFY: [(&str, &str, u16); 10] = [
    ("GET", "/api/auth/get-me", 401),
    ("POST", "/api/auth/get-me", 401),
    ("POST", "/api/auth/login", 400),
    ("GET", "/api/auth/logout", 400),
    ("POST", "/api/auth/logout", 400),
    ("GET", "/api/auth/logout-all", 400),
    ("POST", "/api/auth/logout-all", 400),
    ("GET", "/api/auth/refresh-token", 401),
    ("POST", "/api/auth/refresh-token", 401),
    ("POST", "/api/auth/register", 400),
];
const AUTHY: [(&str, &str, u16); 9] = [
    ("POST", "/api/v1/login", 400),
    ("POST", "/api/v1/logout", 200),
    ("GET", "/api/v1/me", 403),
    ("POST", "/api/v1/refresh", 401),
    ("POST", "/api/v1/refresh-csrf", 403),
    ("POST", "/api/v1/register", 400),
    ("POST", "/api/v1/verify", 400),
    ("GET", "/api/v1/verify/{token}", 400),
    ("POST", "/api/v1/verify/{token}", 400),
];

fn operations(document: &str) -> BTreeMap<(String, String), Value> {
    let document: Value = serde_json::from_str(document).unwrap();
    let mut found = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            found.insert((method.to_uppercase(), path.clone()), operation.clone());
        }
    }
    found
}

/// What a profile adds to the native document or says otherwise.
fn changed(on: fn(&mut Config)) -> BTreeMap<(String, String), Value> {
    let mut config = Config::default();
    on(&mut config);
    let native = operations(&openapi::document());
    let mut all = operations(&openapi::document_with(&config.compat));
    assert!(native.keys().all(|operation| all.contains_key(operation)), "native operations stay");
    all.retain(|name, operation| native.get(name) != Some(operation));
    all
}

async fn call(client: &mut Client, method: &str, path: &str, body: Option<Value>) -> Answer {
    let path = path.replace("{token}", "hp_vl_x");
    client.send(Method::from_bytes(method.as_bytes()).unwrap(), &path, body).await
}

fn names(table: &[(&str, &str, u16)]) -> BTreeSet<(String, String)> {
    table.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect()
}

#[test]
fn every_route_of_a_profile_has_a_rule_and_stands_in_the_document_of_its_server() {
    assert_eq!(changed(authify_on).into_keys().collect::<BTreeSet<_>>(), names(&AUTHIFY));
    assert_eq!(changed(authy_on).into_keys().collect::<BTreeSet<_>>(), names(&AUTHY));
}

#[tokio::test]
async fn the_served_document_is_that_of_the_profile_and_its_ids_and_references_hold() {
    for (server, on) in [(authify().await, authify_on as fn(&mut Config)), (authy().await, authy_on)] {
        let served = server.client().get("/openapi.json").await.text;
        let mut config = Config::default();
        on(&mut config);
        let document = openapi::document_with(&config.compat);
        assert_eq!(operations(&served), operations(&document));
        let mut ids: Vec<String> = Vec::new();
        for operation in operations(&document).values() {
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
        }
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all);
        let parsed: Value = serde_json::from_str(&document).unwrap();
        for part in document.split("\"$ref\": \"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(parsed.pointer(pointer).is_some(), "{pointer}");
        }
    }
}

#[tokio::test]
async fn strangers_and_ended_sessions_get_through_nowhere() {
    for (server, table) in [(authify().await, &AUTHIFY[..]), (authy().await, &AUTHY[..])] {
        let native = server_session(&server).await;
        for (method, path, status) in table {
            let stranger = call(&mut server.client(), method, path, None).await;
            assert_eq!(stranger.status, *status, "{method} {path}: {}", stranger.text);
            if *status >= 400 {
                assert!(
                    stranger.json["message"].is_string() && !stranger.code().is_empty(),
                    "{}",
                    stranger.text
                );
                assert!(stranger.json["requestId"].is_string());
            }
            let ended = call(&mut native.clone(), method, path, None).await;
            assert!(ended.status >= 400 || path.ends_with("/logout"), "{method} {path}: {}", ended.text);
        }
    }
}

/// A client whose session has been ended and who still sends everything it had.
async fn server_session(server: &TestApp) -> Client {
    let mut client = server.client();
    let body = json!({ "username": "ann", "name": "Ann", "email": ANN, "password": super::PASSWORD });
    if server.app.config.compat.authify {
        let answer = client.post("/api/auth/register", body).await;
        client.keep_tokens(&answer);
    } else {
        client.post("/api/v1/register", body).await;
        let path = super::authy::mailed_path(server, ANN).await;
        client.get(&path).await;
        assert_eq!(super::authy::sign_in(server, &mut client, ANN).await.status, 200);
    }
    let before = client.clone();
    let csrf = client.cookie("csrfToken").unwrap().to_owned();
    let mut client = client.with_header("x-csrf-token", &csrf);
    assert_eq!(client.post_nothing("/api/v1/logout-all").await.status, 200);
    before
}

#[tokio::test]
async fn odd_calls_get_a_documented_status_and_never_a_5xx() {
    let bodies =
        [None, Some(json!({})), Some(json!([])), Some(json!({ "email": 7, "otp": [], "password": {} }))];
    let odd = ["Bearer x.y.z", "Basic eDp5", "Token"];
    for (server, on, table) in [
        (authify().await, authify_on as fn(&mut Config), &AUTHIFY[..]),
        (authy().await, authy_on, &AUTHY[..]),
    ] {
        let documented = changed(on);
        for (method, path, _) in table {
            let responses = &documented[&((*method).to_owned(), (*path).to_owned())]["responses"];
            for body in &bodies {
                for header in odd {
                    let mut client = server.client().with_header("authorization", header);
                    client.cookies.insert("refreshToken".into(), ("hp_rt_x".into(), "/".into()));
                    let answer = call(&mut client, method, path, body.clone()).await;
                    assert!(answer.status < 500, "{method} {path} {body:?}: {}", answer.text);
                    let status = answer.status.to_string();
                    assert!(
                        responses.get(&status).is_some(),
                        "{method} {path} {body:?}: {status} is not documented"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn without_the_setting_nothing_of_a_profile_is_there() {
    let server = TestApp::start().await;
    for (method, path, _) in AUTHIFY {
        assert_eq!(call(&mut server.client(), method, path, None).await.status, 404, "{method} {path}");
    }
    for (method, path) in [
        ("GET", "/api/v1/verify/{token}"),
        ("POST", "/api/v1/verify/{token}"),
        ("POST", "/api/v1/refresh-csrf"),
    ] {
        assert_eq!(call(&mut server.client(), method, path, None).await.status, 404, "{method} {path}");
    }
    assert_eq!(server.client().get("/api/v1/me").await.code(), "unauthenticated");
    let server = authify().await;
    assert_eq!(server.client().post_nothing("/api/v1/refresh-csrf").await.status, 404);
    let server = authy().await;
    assert_eq!(server.client().post_nothing("/api/auth/login").await.status, 404);
}

#[tokio::test]
async fn what_a_profile_does_not_take_goes_on_to_the_native_routes_and_is_counted_under_its_route() {
    let server = authy().await;
    let mut client = server.client();
    assert_eq!(client.get("/health/live").await.status, 200);
    assert_eq!(client.patch("/api/v1/me", json!({})).await.code(), "unauthenticated");
    assert_eq!(client.send(Method::PUT, "/api/v1/me", None).await.code(), "method_not_allowed");
    assert_eq!(client.get("/api/v1/login").await.code(), "method_not_allowed");
    for path in ["/api/v1/verify/resend", "/api/v1/verify/enrol", "/api/v1/verify/passkey/options"] {
        assert_eq!(client.post_nothing(path).await.code(), "invalid_attempt", "{path}: no token of a link");
    }
    assert_eq!(client.get("/nowhere").await.code(), "not_found");
    let preflight = [
        ("origin", "http://localhost:5173"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,x-csrf-token"),
    ];
    for path in ["/api/v1/login", "/api/v1/sessions"] {
        let answer = client.raw(Method::OPTIONS, path, &preflight, Vec::new()).await;
        assert_eq!(answer.header("access-control-allow-origin"), "http://localhost:5173", "{path}");
    }
    let metrics = client.get("/metrics").await.text;
    for route in ["/health/live", "/api/v1/me", "(none)"] {
        assert!(metrics.contains(&format!("route=\"{route}\"")), "{route}\n{metrics}");
    }
    assert_eq!(client.get("/health/live").await.headers.get_all("x-request-id").iter().count(), 1);
}
