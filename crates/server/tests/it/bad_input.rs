//! What clients should not send: a clear 4xx that lists every problem, and nothing written.
use crate::support::{Answer, Client, PASSWORD, TestApp};
use axum::http::Method;
use hallpass::db::Statements;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// Every call that takes a body, and whether it needs a session.
const CALLS: [(&str, &str, bool); 13] = [
    ("POST", "/api/v1/register", false),
    ("POST", "/api/v1/verify-email", false),
    ("POST", "/api/v1/verify-email/resend", false),
    ("POST", "/api/v1/login", false),
    ("POST", "/api/v1/refresh", false),
    ("POST", "/api/v1/logout", false),
    ("POST", "/api/v1/password/forgot", false),
    ("POST", "/api/v1/password/reset", false),
    ("POST", "/api/v1/password/change", true),
    ("POST", "/api/v1/email/change", true),
    ("POST", "/api/v1/email/confirm", false),
    ("POST", "/api/v1/reauthenticate", true),
    ("PATCH", "/api/v1/me", true),
];

/// Rows of every table that a client's call can write.
async fn rows(server: &TestApp) -> Vec<i64> {
    let counts = [
        "select count(*) from users",
        "select count(*) from pending_registrations",
        "select count(*) from sessions where revoked_at is null",
        "select count(*) from one_time_secrets",
        "select count(*) from outbox",
    ];
    let mut rows = Vec::new();
    for sql in counts {
        rows.push((&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap().int().unwrap());
    }
    rows
}

async fn send(
    client: &mut Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    client.raw(Method::from_bytes(method.as_bytes()).unwrap(), path, headers, body.to_vec()).await
}

/// Body, headers, and the status and code that answer them.
type Case<'c> = (&'c [u8], &'c [(&'c str, &'c str)], u16, &'c str);

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[tokio::test]
async fn bodies_that_are_not_one_json_object_are_refused_by_every_call_and_write_nothing() {
    let server = TestApp::start().await;
    let signed_in = server.signed_in("ann@example.com").await;
    let before = rows(&server).await;
    let deep = "[".repeat(5000);
    let huge = format!("{{\"email\":\"{}\"}}", "x".repeat(70_000));
    let cases: [Case<'_>; 9] = [
        (b"{", &JSON, 400, "malformed_json"),
        (b"[]", &JSON, 400, "malformed_json"),
        (b"\"text\"", &JSON, 400, "malformed_json"),
        (b"{\"email\":\"a\",\"email\":\"b\"}", &JSON, 400, "malformed_json"),
        (b"{\"email\":\"\xff\"}", &JSON, 400, "malformed_json"),
        (deep.as_bytes(), &JSON, 400, "malformed_json"),
        (b"email=a", &[("content-type", "application/x-www-form-urlencoded")], 415, "unsupported_media_type"),
        (b"{}", &[], 415, "unsupported_media_type"),
        (huge.as_bytes(), &JSON, 413, "payload_too_large"),
    ];
    for (method, path, needs_session) in CALLS {
        for (body, headers, status, code) in cases {
            let mut client = if needs_session { signed_in.clone() } else { server.client() };
            let answer = send(&mut client, method, path, headers, body).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert_eq!(
                (answer.status, answer.code()),
                (status, code),
                "{method} {path} {shown}: {}",
                answer.text
            );
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
    assert_eq!(rows(&server).await, before);
}

#[tokio::test]
async fn every_problem_of_a_body_is_listed_at_once() {
    let server = TestApp::start().await;
    let operators = json!({ "$gt": "" });
    let cases = [
        ("/api/v1/register", json!({}), vec!["email: required", "password: required"]),
        (
            "/api/v1/register",
            json!({ "email": operators, "password": ["x"], "name": 7, "username": true, "tokenDelivery": {} }),
            vec![
                "email: wrong_type",
                "name: wrong_type",
                "password: wrong_type",
                "tokenDelivery: wrong_type",
                "username: wrong_type",
            ],
        ),
        (
            "/api/v1/register",
            json!({ "email": "no-at", "password": PASSWORD, "name": "a\nb", "username": "a b" }),
            vec!["email: invalid_email", "name: control_characters", "username: invalid_username"],
        ),
        (
            "/api/v1/register",
            json!({ "email": format!("{}@x.io", "a".repeat(300)), "password": "p".repeat(1025), "name": "n".repeat(101) }),
            vec!["email: too_long", "name: too_long", "password: too_long"],
        ),
        (
            "/api/v1/login",
            json!({ "email": operators, "password": operators }),
            vec!["email: wrong_type", "password: wrong_type"],
        ),
        (
            "/api/v1/login",
            json!({ "identifier": null, "password": null }),
            vec!["email: required", "password: required"],
        ),
        ("/api/v1/verify-email", json!({}), vec!["token: required"]),
        ("/api/v1/verify-email", json!({ "code": "123456" }), vec!["email: required"]),
        ("/api/v1/password/reset", json!({ "token": 5 }), vec!["password: required", "token: wrong_type"]),
        ("/api/v1/refresh", json!({ "refreshToken": { "$ne": null } }), vec!["refreshToken: wrong_type"]),
    ];
    for (path, body, problems) in cases {
        let answer = server.client().post(path, body.clone()).await;
        assert_eq!((answer.status, answer.code()), (422, "validation_failed"), "{path} {body}");
        assert_eq!(answer.problems(), problems, "{path} {body}");
        let says = answer.json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .all(|error| error["message"].as_str().unwrap().len() > 8);
        assert!(says, "{}", answer.text);
    }
}

#[tokio::test]
async fn addresses_that_no_mail_can_reach_are_refused() {
    let server = TestApp::start().await;
    let odd = [
        "",
        "a",
        "a@",
        "@b.c",
        "a b@c.d",
        "a@@b.c",
        ".a@b.c",
        "a.@b.c",
        "a..b@c.d",
        "\"a b\"@c.d",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "a@b..c",
        "a@-",
        "a@b.c\r\nBcc: x@y.z",
        "ä@b.c",
    ];
    for email in odd {
        let answer = server.client().post("/api/v1/password/forgot", json!({ "email": email })).await;
        assert_eq!(answer.status, 422, "{email:?}: {}", answer.text);
    }
    for email in
        ["a@b", "a+tag@sub.example.com", "o'hara@example.com", " ann@example.com ", "x@bücher.example"]
    {
        let answer = server.client().post("/api/v1/password/forgot", json!({ "email": email })).await;
        assert_eq!(answer.status, 202, "{email:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_media_types_may_have_parameters() {
    let server = TestApp::start().await;
    let body = json!({ "email": "a@example.com", "password": PASSWORD, "isAdmin": true, "roles": ["admin"] })
        .to_string();
    let headers = [("content-type", "Application/JSON; charset=utf-8")];
    let answer = send(&mut server.client(), "POST", "/api/v1/register", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

#[tokio::test]
async fn repeated_headers_and_cookies_are_refused_and_foreign_cookies_ignored() {
    let server = TestApp::start().await;
    let mut client = server.signed_in("ann@example.com").await;
    let bearer = client.bearer.take().unwrap();
    let authorization = format!("Bearer {bearer}");
    let twice = [("authorization", authorization.as_str()), ("authorization", "Bearer x")];
    assert_eq!(send(&mut client, "GET", "/api/v1/me", &twice, b"").await.code(), "bad_request");
    let types = [("content-type", "application/json"), ("content-type", "text/plain")];
    assert_eq!(send(&mut client, "POST", "/api/v1/login", &types, b"{}").await.code(), "bad_request");
    let cookies = format!("accessToken={bearer}; accessToken=x");
    assert_eq!(
        send(&mut client, "GET", "/api/v1/me", &[("cookie", &cookies)], b"").await.code(),
        "bad_request"
    );
    let two = [("cookie", "refreshToken=a"), ("cookie", "refreshToken=b")];
    assert_eq!(send(&mut client, "POST", "/api/v1/refresh", &two, b"").await.code(), "bad_request");
    let foreign = format!("theme=\"d;a=rk\"; =; ; x; accessToken={bearer}; j={{\"$ne\":null}}");
    assert_eq!(send(&mut client, "GET", "/api/v1/me", &[("cookie", &foreign)], b"").await.status, 200);
    for cookie in [
        "accessToken=j:{\"$ne\":null}",
        "accessToken=",
        "accessToken=a.b.c",
        "accessToken=..",
        "accessToken=%00",
    ] {
        let answer = send(&mut client, "GET", "/api/v1/me", &[("cookie", cookie)], b"").await;
        assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{cookie}");
    }
    let operator = [("cookie", "refreshToken=j:{\"$ne\":null}")];
    let answer = send(&mut client, "POST", "/api/v1/refresh", &operator, b"").await;
    assert_eq!((answer.status, answer.code()), (401, "invalid_refresh_token"));
    for odd in ["Bearer", "Bearer  ", "Basic YTpi", "bearer\tx", "Bearer a b"] {
        let answer = send(&mut client, "GET", "/api/v1/me", &[("authorization", odd)], b"").await;
        assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{odd:?}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problem_documents() {
    let server = TestApp::start().await;
    for (method, path, status, code) in
        [("GET", "/api/v1/nothing", 404, "not_found"), ("PUT", "/api/v1/login", 405, "method_not_allowed")]
    {
        let answer = send(&mut server.client(), method, path, &[], b"").await;
        assert_eq!((answer.status, answer.code()), (status, code));
        let mut keys: Vec<&String> = answer.json.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["code", "detail", "requestId", "status", "title", "type"]);
        assert_eq!(answer.json["status"], status);
    }
}

#[tokio::test]
async fn what_a_status_promises_is_in_its_headers() {
    let server = TestApp::start().await;
    let mut client = server.signed_in("ann@example.com").await;
    let stranger = server.client().get("/api/v1/me").await;
    assert_eq!((stranger.status, stranger.header("www-authenticate")), (401, "Bearer"));
    let wrong = json!({ "email": "ann@example.com", "password": "not-the-password" });
    let refused = server.client().post("/api/v1/login", wrong.clone()).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"));
    client.post_nothing("/api/v1/logout").await;
    let ended = client.get("/api/v1/me").await;
    assert_eq!((ended.status, ended.header("www-authenticate")), (401, "Bearer error=\"invalid_token\""));
    let method = server.client().get("/api/v1/login").await;
    assert_eq!((method.status, method.header("allow")), (405, "POST"));
    for _ in 0..4 {
        server.client().post("/api/v1/login", wrong.clone()).await;
    }
    let limited = server.client().post("/api/v1/login", wrong).await;
    assert_eq!((limited.status, limited.header("retry-after").is_empty()), (429, false));
}

/// JSON of every shape, with the names of real fields.
fn any_json() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        Just("email".to_owned()),
        Just("password".to_owned()),
        Just("token".to_owned()),
        Just("code".to_owned()),
        Just("refreshToken".to_owned()),
        Just("username".to_owned()),
        Just("name".to_owned()),
        Just("tokenDelivery".to_owned()),
        ".{0,8}"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(json!("a@b.c")),
        Just(json!("123456"))
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_json_whatever_makes_a_call_fail_on_our_side() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let signed_in = server.signed_in("ann@example.com").await;
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let mut runner =
            TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
        let checked = runner.run(&(any_json(), 0..CALLS.len()), |(body, index)| {
            let (method, path, needs_session) = CALLS[index];
            let mut client = if needs_session { signed_in.clone() } else { server.client() };
            let answer =
                runtime.block_on(send(&mut client, method, path, &JSON, body.to_string().as_bytes()));
            prop_assert!(answer.status < 500, "{} {}: {}", path, body, answer.text);
            Ok(())
        });
        checked.unwrap();
    });
}

#[tokio::test]
async fn refusals_say_what_the_protocol_asks_for() {
    let server = TestApp::start().await;
    let mut client = server.signed_in("ann@example.com").await;
    let stranger = server.client().get("/api/v1/me").await;
    assert_eq!((stranger.status, stranger.header("www-authenticate")), (401, "Bearer"));
    client.post_nothing("/api/v1/logout").await;
    let ended = client.get("/api/v1/me").await;
    assert_eq!((ended.status, ended.header("www-authenticate")), (401, "Bearer error=\"invalid_token\""));
    let wrong = json!({ "email": "ann@example.com", "password": "wrong-wrong-wrong" });
    assert_eq!(
        server.client().post("/api/v1/login", wrong.clone()).await.header("www-authenticate"),
        "Bearer"
    );
    let method = server.client().get("/api/v1/login").await;
    assert_eq!((method.status, method.header("allow")), (405, "POST"));
    let mut last = server.client().post("/api/v1/login", wrong.clone()).await;
    while last.status == 401 {
        last = server.client().post("/api/v1/login", wrong.clone()).await;
    }
    assert_eq!((last.status, last.header("retry-after")), (429, "2"));
}
