//! Service keys.
use super::{key, service};
use crate::cli::process::Place;
use crate::support::TestApp;
use data_encoding::BASE64;
use hallpass::service_keys::{self, Scope};
use std::time::Duration;

const FEED: &str = "/api/v1/revocations";

#[tokio::test]
async fn wrong_expired_and_revoked_keys_are_refused_with_a_challenge() {
    let server = TestApp::start().await;
    let (id, secret) = key(&server, &[Scope::Revocations], Some(Duration::from_secs(3600))).await;
    let mut client = server.client();
    let nothing = client.get(FEED).await;
    assert_eq!((nothing.status, nothing.code()), (401, "invalid_service_key"));
    assert_eq!(nothing.header("www-authenticate"), "Bearer realm=\"services\"");

    let other = secret.replace("hp_sk_", "hp_vl_");
    for wrong in ["", "x", "hp_sk_", &secret[..secret.len() - 1], &other, &secret.to_uppercase()] {
        client.bearer = Some(wrong.to_owned());
        let refused = client.get(FEED).await;
        assert_eq!((refused.status, refused.code()), (401, "invalid_service_key"), "{wrong}");
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"services\", error=\"invalid_token\"");
        assert_eq!(refused.header("cache-control"), "no-store");
    }
    client.bearer = Some(secret);
    assert_eq!(client.get(FEED).await.status, 200);
    server.advance(Duration::from_secs(3600));
    assert_eq!(client.get(FEED).await.code(), "invalid_service_key", "it has expired");

    let (other, secret) = key(&server, &[Scope::Revocations], None).await;
    client.bearer = Some(secret);
    assert_eq!(client.get(FEED).await.status, 200);
    assert!(server.revoke_service_key(other).await);
    assert!(!server.revoke_service_key(other).await, "twice changes nothing");
    assert_eq!(client.get(FEED).await.code(), "invalid_service_key", "it was revoked");
    let states: Vec<_> = service_keys::list(&server.app.db).await.unwrap();
    let states: Vec<_> = states.iter().map(|key| key.view(server.app.now()).state).collect();
    assert_eq!(states, ["expired", "revoked"]);
    assert_ne!(id, other);
}

#[tokio::test]
async fn a_key_opens_only_what_its_scopes_name() {
    let server = TestApp::start().await;
    let mut follower = service(&server, &[Scope::Revocations]).await;
    let mut asker = service(&server, &[Scope::Introspect]).await;
    let refused = follower.post_form("/api/v1/introspect", &[("token", "x")]).await;
    assert_eq!((refused.status, refused.code()), (403, "insufficient_scope"));
    assert!(refused.header("www-authenticate").contains("error=\"insufficient_scope\""));
    assert_eq!(asker.get(FEED).await.code(), "insufficient_scope");
    assert_eq!(follower.get(FEED).await.status, 200);
    assert_eq!(asker.post_form("/api/v1/introspect", &[("token", "x")]).await.status, 200);
    assert_eq!(asker.get("/api/v1/me").await.code(), "unauthenticated", "it is no session");
}

#[tokio::test]
async fn http_basic_takes_the_id_and_the_key() {
    let server = TestApp::start().await;
    let (id, secret) = key(&server, &[Scope::Introspect], None).await;
    let (other, _) = key(&server, &[Scope::Introspect], None).await;
    let encoded = secret.replace('_', "%5F");
    for (pair, status) in [
        (format!("{id}:{secret}"), 200),
        (format!("{id}:{encoded}"), 200),
        (format!("{other}:{secret}"), 401),
        (format!("{id}:"), 401),
        (secret.clone(), 401),
    ] {
        let header = format!("Basic {}", BASE64.encode(pair.as_bytes()));
        let mut client = server.client().with_header("authorization", &header);
        let answer = client.post_form("/api/v1/introspect", &[("token", "x")]).await;
        assert_eq!(answer.status, status, "{pair}: {}", answer.text);
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge == "Basic realm=\"services\"", status == 401, "{challenge}");
    }
    for odd in ["Basic", "Basic ====", "Basic /w==", "Digest x", "Bearer"] {
        let mut client = server.client().with_header("authorization", odd);
        assert_eq!(client.get(FEED).await.status, 401, "{odd}");
    }
}

#[tokio::test]
async fn the_last_use_is_noted_at_most_once_a_minute_and_wrong_keys_are_counted() {
    let server = TestApp::start().await;
    let mut client = service(&server, &[Scope::Revocations]).await;
    let used = async || service_keys::list(&server.app.db).await.unwrap()[0].last_used_at;
    assert_eq!(used().await, None);
    client.get(FEED).await;
    let first = server.app.now();
    assert_eq!(used().await, Some(first));
    server.advance(Duration::from_secs(59));
    client.get(FEED).await;
    assert_eq!(used().await, Some(first));
    server.advance(Duration::from_secs(1));
    client.get(FEED).await;
    assert_eq!(used().await, Some(server.app.now()));

    let before = server.app.db.statements();
    client.bearer = Some("hp_sk_short".into());
    client.get(FEED).await;
    assert_eq!(server.app.db.statements(), before, "what has not the form of a key costs no statement");
    client.bearer = Some(format!("hp_sk_{}", "A".repeat(43)));
    client.get(FEED).await;
    assert_eq!(server.app.db.statements(), before + 1, "a wrong key costs one");
    let metrics = client.get("/metrics").await.text;
    assert!(metrics.contains("hallpass_service_calls_total{outcome=\"refused\"} 2"), "{metrics}");
}

#[test]
fn operators_make_list_and_revoke_keys() {
    let place = Place::migrated();
    let create = ["service-key", "create", "--name", "billing", "--scope", "revocations,introspect"];
    let made = place.run(&[&create[..], &["--expires", "90d", "--json"]].concat()).json();
    let (id, secret) = (made["serviceKey"]["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(secret.starts_with("hp_sk_"));
    assert_eq!(made["serviceKey"]["scopes"], serde_json::json!(["introspect", "revocations"]));
    let text = place.run(&create).succeeds();
    assert!(text.out.contains("hp_sk_") && text.err.contains("only time"), "{text:?}");
    let listed = place.run(&["service-key", "list", "--json"]).json();
    assert_eq!(listed["serviceKeys"].as_array().unwrap().len(), 2);
    assert_eq!(listed["serviceKeys"][0]["state"], "live");
    let table = place.run(&["service-key", "list"]).succeeds();
    assert!(table.out.contains("billing") && !table.out.contains("hp_sk_"), "{table:?}");
    let revoked = place.run(&["service-key", "revoke", id, "--json"]).json();
    assert_eq!(revoked["revoked"], true);
    assert_eq!(place.run(&["service-key", "revoke", id, "--json"]).json()["revoked"], false);
    place.run(&["service-key", "revoke", "x"]).fails_with("is not the id of a service key");
    place
        .run(&["service-key", "revoke", "01990000-0000-7000-8000-000000000000"])
        .fails_with("there is no service key");
    place.run(&["service-key", "create", "--name", " ", "--scope", "introspect"]).fails_with("name");
    for wrong in [&["--scope", "all"][..], &["--scope", "introspect", "--expires", "0s"], &[]] {
        let said = place.run(&[&["service-key", "create", "--name", "x"], wrong].concat());
        assert_eq!(said.code, 2, "{said:?}");
    }
    let events = place.run(&["audit", "list", "--json"]).succeeds().out;
    assert!(events.contains("service_key_created") && events.contains("service_key_revoked"), "{events}");
    assert!(!events.contains("hp_sk_"));
}
