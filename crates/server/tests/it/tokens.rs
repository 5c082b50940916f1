//! Access tokens and the keys that sign them.
use crate::support::{Client, PASSWORD, TestApp};
use data_encoding::BASE64URL_NOPAD;
use hallpass::config::{Secret, SigningAlgorithm};
use hallpass::db::Statements;
use hallpass::{keys, start};
use hallpass_crypto::jwk::{Algorithm, SigningKey};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";

fn part(token: &str, index: usize) -> Value {
    let bytes = BASE64URL_NOPAD.decode(token.split('.').nth(index).unwrap().as_bytes()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn status_of(server: &TestApp, token: &str) -> String {
    let mut client = server.client();
    client.bearer = Some(token.into());
    let answer = client.get("/api/v1/me").await;
    if answer.status == 200 { "ok".into() } else { answer.code().to_owned() }
}

#[tokio::test]
async fn an_access_token_has_the_claims_of_rfc_9068_and_of_the_contract() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let token = client.bearer.clone().unwrap();
    let (header, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
    let jwks = client.get("/.well-known/jwks.json").await;
    assert_eq!(header["kid"], jwks.json["keys"][0]["kid"]);
    assert!(jwks.json["keys"][0].get("d").is_none(), "the private part stays at home");
    let me = client.get("/api/v1/me").await;
    assert_eq!((&claims["sub"], &claims["sid"]), (&me.json["user"]["id"], &me.json["session"]["id"]));
    assert_eq!(
        (&claims["iss"], &claims["aud"]),
        (&json!("http://localhost:3000"), &json!("http://localhost:3000"))
    );
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    assert_eq!((&claims["gen"], &claims["client_id"]), (&json!(0), &json!("first-party")));
    assert_eq!((&claims["roles"], &claims["amr"]), (&json!(["user"]), &json!(["pwd"])));
    assert_eq!(
        (&claims["auth_time"], &claims["email"], &claims["email_verified"]),
        (&claims["iat"], &json!(ANN), &json!(true))
    );
    assert!(claims["jti"].as_str().unwrap().len() >= 20);
}

#[tokio::test]
async fn two_sign_ins_at_the_same_moment_share_nothing() {
    let server = TestApp::start().await;
    let first = server.signed_in(ANN).await;
    let second = server.sign_in(ANN).await;
    let (a, b) = (part(&first.bearer.unwrap(), 1), part(&second.bearer.unwrap(), 1));
    assert!(a["jti"] != b["jti"] && a["sid"] != b["sid"] && a["iat"] == b["iat"]);
    assert_ne!(first.refresh_token, second.refresh_token);
}

#[tokio::test]
async fn an_independent_library_verifies_tokens_from_the_published_keys() {
    for algorithm in [SigningAlgorithm::EdDSA, SigningAlgorithm::ES256, SigningAlgorithm::RS256] {
        let server = TestApp::start_with(|config| config.keys.algorithm = algorithm).await;
        let mut client = server.signed_in(ANN).await;
        let token = client.bearer.clone().unwrap();
        let set: JwkSet = serde_json::from_value(client.get("/.well-known/jwks.json").await.json).unwrap();
        let header = decode_header(&token).unwrap();
        let key = set.find(header.kid.as_deref().unwrap()).unwrap();
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&["http://localhost:3000"]);
        validation.set_issuer(&["http://localhost:3000"]);
        validation.validate_exp = false;
        let verified = decode::<Value>(&token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap();
        assert_eq!(verified.claims["email"], ANN, "{algorithm:?}");
        let size = part(&token, 0)["alg"].clone();
        assert_eq!(size, json!(format!("{algorithm:?}")));
    }
}

#[tokio::test]
async fn a_symmetric_key_signs_and_is_never_published() {
    let server = TestApp::start_with(|config| config.keys.algorithm = SigningAlgorithm::HS256).await;
    let mut client = server.signed_in(ANN).await;
    assert_eq!(part(&client.bearer.clone().unwrap(), 0)["alg"], "HS256");
    assert_eq!(client.get("/api/v1/me").await.status, 200);
    assert_eq!(client.get("/.well-known/jwks.json").await.json, json!({ "keys": [] }));
}

#[tokio::test]
async fn forged_tokens_are_refused_whatever_they_claim() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let token = client.bearer.clone().unwrap();
    let (mut header, claims) = (part(&token, 0), part(&token, 1));
    let jwks = client.get("/.well-known/jwks.json").await.json;
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signature = token.rsplit('.').next().unwrap();
    let mut forged = vec![
        format!("{}.{}.", encode(&json!({ "alg": "none", "typ": "at+jwt" })), encode(&claims)),
        format!(
            "{}.{}.{signature}",
            encode(&header),
            encode(&json!({ "sub": "somebody", "sid": claims["sid"] }))
        ),
        format!("{}.{}", token, signature),
        token[..token.len() - 4].to_owned(),
    ];
    // The public key as a shared secret.
    let public = jwks["keys"][0]["x"].as_str().unwrap().as_bytes().to_vec();
    let secret = [public.as_slice(), &[0; 32]].concat();
    let kid = header["kid"].as_str().unwrap().to_owned();
    let confused = SigningKey::from_pkcs8(Algorithm::Hs256, &kid, &secret).unwrap();
    forged.push(confused.sign("at+jwt", claims.to_string().as_bytes()).unwrap());
    let stranger = SigningKey::generate(Algorithm::EdDsa, "").unwrap();
    forged.push(stranger.sign("at+jwt", claims.to_string().as_bytes()).unwrap());
    header["crit"] = json!(["x"]);
    forged.push(format!("{}.{}.{signature}", encode(&header), encode(&claims)));
    for token in forged {
        assert_eq!(status_of(&server, &token).await, "unauthenticated", "{token}");
    }
    assert_eq!(status_of(&server, &token).await, "ok");
}

#[tokio::test]
async fn genuine_tokens_of_another_kind_issuer_or_audience_or_time_are_refused() {
    let server = TestApp::start().await;
    let client = server.signed_in(ANN).await;
    let claims = part(&client.bearer.clone().unwrap(), 1);
    let set = server.app.signing.current();
    let key = set.active.as_ref().unwrap();
    let sign = |typ: &str, name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        key.sign(typ, claims.to_string().as_bytes()).unwrap()
    };
    let now = claims["iat"].as_i64().unwrap();
    assert_eq!(status_of(&server, &sign("at+jwt", "jti", json!("x"))).await, "ok", "the method works");
    for token in [
        sign("JWT", "jti", json!("x")),
        sign("at+jwt", "iss", json!("https://elsewhere.example")),
        sign("at+jwt", "aud", json!("https://elsewhere.example")),
        sign("at+jwt", "nbf", json!(now + 31)),
        sign("at+jwt", "iat", json!(now + 31)),
        sign("at+jwt", "exp", Value::Null),
        sign("at+jwt", "sid", json!("not-a-session")),
        sign("at+jwt", "gen", json!(-1)),
    ] {
        assert_eq!(status_of(&server, &token).await, "unauthenticated", "{token}");
    }
    assert_eq!(
        status_of(&server, &sign("at+jwt", "nbf", json!(now + 30))).await,
        "ok",
        "clocks may differ by 30 s"
    );
    let unknown = sign("at+jwt", "sid", json!("01900000-0000-7000-8000-000000000000"));
    assert_eq!(status_of(&server, &unknown).await, "session_revoked");
    server.advance(Duration::from_secs(929));
    assert_eq!(status_of(&server, client.bearer.as_deref().unwrap()).await, "ok");
    server.advance(Duration::from_secs(1));
    assert_eq!(status_of(&server, client.bearer.as_deref().unwrap()).await, "token_expired");
}

/// One of every kind of secret that an account meets.
async fn every_kind(server: &TestApp) -> (Client, Vec<(&'static str, String)>) {
    let mut client = server.signed_in(ANN).await;
    let csrf = client.get("/api/v1/csrf").await.json["csrfToken"].as_str().unwrap().to_owned();
    client.post("/api/v1/email/change", json!({ "email": "new@example.com" })).await;
    client.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    let registered = server
        .client()
        .post("/api/v1/register", json!({ "email": "bob@example.com", "password": PASSWORD }))
        .await;
    let pending = server.mailed_token("bob@example.com", "/verify-email").await;
    let kinds = vec![
        ("access", client.bearer.clone().unwrap()),
        ("refresh", client.refresh_token.clone().unwrap()),
        ("csrf", csrf),
        ("change", server.mailed_token("new@example.com", "/email/confirm").await),
        ("undo", server.mailed_token(ANN, "/email/undo").await),
        ("reset", server.mailed_token(ANN, "/password/reset").await),
        ("registration", registered.json["registration"].as_str().unwrap().to_owned()),
        ("verify", pending),
    ];
    (client, kinds)
}

#[tokio::test]
async fn every_kind_of_token_is_refused_everywhere_but_at_its_own_place() {
    let server = TestApp::start().await;
    let (mut client, kinds) = every_kind(&server).await;
    let places: [(&str, &str, &[&str]); 5] = [
        ("/api/v1/refresh", "refreshToken", &["refresh"]),
        ("/api/v1/verify-email", "token", &["verify", "change"]),
        ("/api/v1/password/reset", "token", &["reset"]),
        ("/api/v1/email/confirm", "token", &["change"]),
        ("/api/v1/email/undo", "token", &["undo"]),
    ];
    for (kind, token) in &kinds {
        for (path, field, own) in places {
            if !own.contains(kind) {
                let body = json!({ field: token, "password": "nine*purple*lanterns" });
                let answer = server.client().post(path, body).await;
                assert!([400, 401].contains(&answer.status), "{kind} at {path}: {}", answer.text);
            }
        }
        if *kind != "access" {
            assert_eq!(status_of(&server, token).await, "unauthenticated", "{kind} as Bearer");
            let mut cookie = server.client();
            cookie.cookies.insert("accessToken".into(), (token.clone(), "/".into()));
            assert_eq!(cookie.get("/api/v1/me").await.code(), "unauthenticated", "{kind} as cookie");
        }
    }
    assert_eq!(client.get("/api/v1/me").await.json["user"]["email"], ANN, "nothing was changed");
}

#[tokio::test]
async fn tokens_are_not_taken_from_the_address_of_a_request() {
    let server = TestApp::start().await;
    let client = server.signed_in(ANN).await;
    let (access, refresh) = (client.bearer.unwrap(), client.refresh_token.unwrap());
    for name in ["access_token", "accessToken", "token", "authorization"] {
        let answer = server.client().get(&format!("/api/v1/me?{name}={access}")).await;
        assert_eq!(answer.code(), "unauthenticated", "{name}");
    }
    for name in ["refresh_token", "refreshToken", "token"] {
        let answer = server.client().post(&format!("/api/v1/refresh?{name}={refresh}"), json!({})).await;
        assert_eq!(answer.code(), "invalid_refresh_token", "{name}");
    }
}

#[test]
fn the_generator_of_the_system_gives_other_bytes_each_time_and_all_bits_of_them() {
    let mut seen = std::collections::BTreeSet::new();
    let mut ones = [0_u32; 256];
    for _ in 0..2_000 {
        let drawn: [u8; 32] = hallpass::random::bytes(&hallpass::random::SystemRandom);
        for (index, count) in ones.iter_mut().enumerate() {
            *count += u32::from(drawn[index / 8] >> (index % 8) & 1);
        }
        assert!(seen.insert(drawn), "the same 256 bits came twice");
    }
    // A fair bit leaves this range once in some 10^17 runs.
    assert!(ones.iter().all(|count| (800..1_200).contains(count)), "{ones:?}");
}

#[tokio::test]
async fn a_rotated_key_still_verifies_and_a_dropped_one_does_not() {
    let server = TestApp::start().await;
    let client = server.signed_in(ANN).await;
    let token = client.bearer.unwrap();
    server.rotate_keys(false).await;
    assert_eq!(status_of(&server, &token).await, "ok");
    let newer = server.sign_in(ANN).await.bearer.unwrap();
    assert_ne!(part(&newer, 0)["kid"], part(&token, 0)["kid"]);
    server.rotate_keys(true).await;
    for token in [token, newer] {
        assert_eq!(status_of(&server, &token).await, "unauthenticated");
    }
}

async fn published(server: &TestApp) -> usize {
    server.client().get("/.well-known/jwks.json").await.json["keys"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_schedule_publishes_a_key_a_day_ahead_signs_with_it_and_forgets_the_former() {
    let server = TestApp::start().await;
    let day = Duration::from_secs(86_400);
    let first = server.app.signing.current().active.as_ref().unwrap().kid().to_owned();
    server.advance(day * 89);
    keys::maintain(&server.app).await.unwrap();
    assert_eq!(published(&server).await, 2);
    assert_eq!(
        server.app.signing.current().active.as_ref().unwrap().kid(),
        first,
        "published, not yet signing"
    );
    server.advance(day);
    keys::maintain(&server.app).await.unwrap();
    assert_ne!(server.app.signing.current().active.as_ref().unwrap().kid(), first);
    assert_eq!(published(&server).await, 2, "tokens of the former key are still about");
    let sql = "select count(*) from signing_keys where retired_at is not null and sealed_private is null";
    let mut row = (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap();
    assert_eq!(row.int().unwrap(), 1, "its private part is gone");
    server.advance(Duration::from_secs(2 * 3600));
    keys::maintain(&server.app).await.unwrap();
    assert_eq!(published(&server).await, 1);
}

#[tokio::test]
async fn another_secret_key_is_refused_at_start_with_a_sentence() {
    let server = TestApp::start().await;
    let mut config = server.app.config.clone();
    config.keys.secret_key = Some(Secret::new("kJ7x-other-bytes-of-32-characters-2"));
    let random = std::sync::Arc::new(crate::support::TestRandom::default());
    let refused = start::start(config, server.clock.clone(), random, true).await;
    let Err(error) = refused else { panic!("it started") };
    assert!(error.to_string().contains("not the secret key that the database was made with"), "{error}");
}

#[tokio::test]
async fn after_a_change_over_the_former_secret_key_can_be_forgotten() {
    for algorithm in [SigningAlgorithm::EdDSA, SigningAlgorithm::HS256] {
        let server = TestApp::start_with(|config| config.keys.algorithm = algorithm).await;
        let token = server.signed_in(ANN).await.bearer.unwrap();
        let former = server.secret_key();
        let server = server
            .restart_with(|config| {
                config.keys.secret_key = Some(Secret::new("kJ7x-fresh-bytes-of-32-characters-1"));
                config.keys.previous_secret_keys = vec![Secret::new(former.trim())];
            })
            .await;
        assert_eq!(status_of(&server, &token).await, "ok", "{algorithm:?}");
        let server = server.restart_with(|config| config.keys.previous_secret_keys.clear()).await;
        assert_eq!(status_of(&server, &token).await, "ok", "{algorithm:?}: the signing key is the same");
        server.sign_in(ANN).await;
    }
}
