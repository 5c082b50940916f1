//! The administration: who gets in where.
use crate::support::{Answer, Client, TestApp};
use axum::http::Method;
use hallpass::admin::PERMISSIONS;
use hallpass::openapi;
use serde_json::{Value, json};
use std::collections::BTreeSet;

mod audit;
mod first;
mod impersonation;
mod invitations;
mod keys;
mod roles;
mod statistics;
mod users;

/// Method, path and permissions of every route of the administration, as the API document says.
fn routes() -> Vec<(Method, String, Vec<String>)> {
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let scopes = operation["security"][0]["bearer"].as_array().cloned().unwrap_or_default();
            let scopes: Vec<String> = scopes.iter().map(|scope| scope.as_str().unwrap().to_owned()).collect();
            if path.starts_with("/api/v1/admin") || !scopes.is_empty() {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                routes.push((method, path.clone(), scopes));
            }
        }
    }
    routes
}

async fn call(client: &mut Client, method: &Method, path: &str) -> Answer {
    let path = path.replace("{name}", "nothing");
    let path = path.split('/').map(|part| if part.starts_with('{') { NOBODY } else { part });
    let body = (*method != Method::GET && *method != Method::DELETE).then(|| json!({}));
    client.send(method.clone(), &path.collect::<Vec<_>>().join("/"), body).await
}

const NOBODY: &str = "01900000-0000-7000-8000-000000000000";

#[test]
fn every_route_of_the_administration_names_one_permission_and_every_permission_has_a_route() {
    let known: BTreeSet<&str> = PERMISSIONS.iter().map(|(permission, _)| *permission).collect();
    let mut used = BTreeSet::new();
    let routes = routes();
    for (method, path, scopes) in &routes {
        assert!(path.starts_with("/api/v1/admin/") && scopes.len() == 1, "{method} {path}: {scopes:?}");
        assert!(known.contains(scopes[0].as_str()), "{method} {path}: {scopes:?}");
        used.insert(scopes[0].as_str());
    }
    assert_eq!(used, known);
}

#[tokio::test]
async fn the_permission_of_the_document_and_nothing_else_opens_each_route() {
    let server = TestApp::start().await;
    let mut user = server.signed_in("user@example.com").await;
    for (permission, _) in PERMISSIONS {
        let name = permission.replace(':', "-");
        let others: Vec<&str> =
            PERMISSIONS.iter().map(|(other, _)| *other).filter(|other| *other != permission).collect();
        // An application's permissions of a similar name open nothing here.
        let short = permission.trim_start_matches("hallpass:");
        let similar = [short, "*:read", "*:write"];
        let mut lesser = server
            .signed_in_holding(&format!("no-{name}@example.com"), &[&others[..], &similar].concat())
            .await;
        let mut only = server.signed_in_holding(&format!("only-{name}@example.com"), &[permission]).await;
        for (method, path, scopes) in routes().iter().filter(|(.., scopes)| scopes[0] == permission) {
            let what = format!("{method} {path} {scopes:?}");
            let stranger = call(&mut server.client(), method, path).await;
            assert_eq!((stranger.status, stranger.code()), (401, "unauthenticated"), "{what}");
            for refused in [&mut user, &mut lesser] {
                let answer = call(refused, method, path).await;
                assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{what}");
                assert!(answer.json["detail"].as_str().unwrap().contains(permission), "{what}");
            }
            let answer = call(&mut only, method, path).await;
            assert!(answer.status < 500, "{what}: {}", answer.text);
            let guard = format!("This needs the permission {permission}.");
            assert_ne!(answer.json["detail"].as_str(), Some(guard.as_str()), "{what}");
        }
    }
}

#[tokio::test]
async fn a_right_that_is_taken_opens_nothing_on_the_next_call() {
    let server = TestApp::start().await;
    let mut boss = server.signed_in("boss@example.com").await;
    assert_eq!(boss.get("/api/v1/admin/roles").await.status, 403);
    server.give_roles("boss@example.com", &["admin"]).await;
    assert_eq!(boss.get("/api/v1/admin/roles").await.status, 200, "the same session, the same token");
    server.signed_in("other@example.com").await;
    server.give_roles("other@example.com", &["admin"]).await;
    server.give_roles("boss@example.com", &[]).await;
    assert_eq!(boss.get("/api/v1/admin/roles").await.status, 403);
}
