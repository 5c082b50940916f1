//! Defects of the replaced systems that no other test looks for; `docs/defects.md` has the whole list.
use crate::support::{PASSWORD, TestApp};
use axum::http::Method;
use hallpass::db::Statements;
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";

#[tokio::test]
async fn operators_of_queries_in_bodies_and_cookies_reach_nothing() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    for operator in [json!({ "$gt": "" }), json!({ "$ne": null }), json!({ "$regex": "^a" }), json!([ANN])] {
        for body in [
            json!({ "email": operator, "password": PASSWORD }),
            json!({ "email": ANN, "password": operator }),
            json!({ "identifier": operator, "password": operator }),
        ] {
            let answer = server.client().post("/api/v1/login", body.clone()).await;
            assert_eq!((answer.status, answer.code()), (422, "validation_failed"), "{body}");
        }
    }
    for value in ["j:{\"$ne\":null}", "j%3A%7B%22%24ne%22%3Anull%7D", "{\"$gt\":\"\"}", "' or '1'='1"] {
        for name in ["refreshToken", "accessToken"] {
            let mut client = server.client();
            client.cookies.insert(name.into(), (value.into(), "/".into()));
            assert_eq!(
                client.post_nothing("/api/v1/refresh").await.code(),
                "invalid_refresh_token",
                "{value}"
            );
            assert_eq!(client.get("/api/v1/me").await.code(), "unauthenticated", "{value}");
        }
    }
}

#[tokio::test]
async fn neither_an_ended_session_nor_a_refresh_token_signs_out_everywhere() {
    let server = TestApp::start().await;
    let mut live = server.signed_in(ANN).await;
    let mut ended = server.sign_in(ANN).await;
    let mut refresher = server.sign_in(ANN).await;
    ended.post_nothing("/api/v1/logout").await;
    assert_eq!(ended.post_nothing("/api/v1/logout-all").await.code(), "session_revoked");
    refresher.bearer = refresher.refresh_token.clone();
    assert_eq!(refresher.post_nothing("/api/v1/logout-all").await.code(), "unauthenticated");
    refresher.bearer = None;
    let token = refresher.refresh_token.clone().unwrap();
    for cookie in ["accessToken", "refreshToken"] {
        refresher.cookies.insert(cookie.into(), (token.clone(), "/".into()));
        assert_eq!(refresher.post_nothing("/api/v1/logout-all").await.code(), "unauthenticated", "{cookie}");
    }
    assert_eq!(live.get("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn answers_to_bad_input_show_nothing_of_the_inside() {
    let server = TestApp::start().await;
    let bodies: [&[u8]; 6] = [b"", b"{", b"[]", b"{\"email\":1}", b"\xff\xfe", b"null"];
    for path in ["/api/v1/login", "/api/v1/register", "/api/v1/refresh", "/api/v1/password/reset"] {
        for body in bodies {
            let headers = [("content-type", "application/json")];
            let answer = server.client().raw(Method::POST, path, &headers, body.to_vec()).await;
            assert!((400..500).contains(&answer.status), "{path}: {}", answer.text);
            for inside in ["src/", ".rs", "panicked", "sqlite", "serde", "stack", "select "] {
                assert!(!answer.text.to_lowercase().contains(inside), "{path}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn signing_out_with_any_text_stores_nothing() {
    let server = TestApp::start().await;
    let count = async || {
        let sql = "select count(*) from audit_events";
        (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap().int().unwrap()
    };
    let before = count().await;
    for text in ["x", "hp_rt_AAAA", "a.b.c", &"x".repeat(5000)] {
        let answer = server.client().post("/api/v1/logout", json!({ "refreshToken": text })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut client = server.client();
        client.bearer = Some(text.to_owned());
        assert_eq!(client.post_nothing("/api/v1/logout").await.status, 200);
    }
    assert_eq!(count().await, before);
}

#[tokio::test]
async fn no_session_is_without_its_user() {
    let server = TestApp::start().await;
    server.signed_in(ANN).await;
    let mut tx = server.app.db.begin().await.unwrap();
    assert!(tx.execute("update sessions set user_id = null", &[]).await.is_err());
    assert!(tx.execute("update sessions set user_id = 'nobody'", &[]).await.is_err());
    drop(tx);
    let mut client = server.sign_in(ANN).await;
    assert_eq!(client.get("/api/v1/me").await.json["user"]["email"], Value::from(ANN));
}
