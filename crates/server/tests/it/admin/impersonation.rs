//! An administrator in somebody's place.
use crate::support::operator::BOSS;
use crate::support::{Answer, Client, PASSWORD, TestApp};
use axum::http::Method;
use hallpass::openapi;
use hallpass::sessions;
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";

/// An administrator and a user, both signed in, and the user's id.
async fn people(server: &TestApp) -> (Client, Client, String) {
    let boss = server.boss().await;
    let mut ann = server.signed_in(ANN).await;
    let id = id_of(&mut ann).await;
    (boss, ann, id)
}

async fn id_of(client: &mut Client) -> String {
    client.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned()
}

async fn ask(admin: &mut Client, id: &str) -> Answer {
    let body = json!({ "reason": "Ticket 4711" });
    admin.post(&format!("/api/v1/admin/users/{id}/impersonate"), body).await
}

/// The administrator in the user's place.
async fn impersonate(server: &TestApp, admin: &mut Client, id: &str) -> Client {
    let answer = ask(admin, id).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let mut client = server.client();
    client.bearer = Some(answer.json["accessToken"].as_str().unwrap().to_owned());
    client
}

fn claims(client: &Client) -> Value {
    let token = client.bearer.as_deref().unwrap().split('.').nth(1).unwrap();
    let bytes = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn the_session_is_marked_everywhere_and_the_user_is_told() {
    let server = TestApp::start().await;
    let (mut boss, mut ann, id) = people(&server).await;
    let boss_id = id_of(&mut boss).await;
    let before = ann.get("/api/v1/me").await.json["user"]["lastLoginAt"].clone();
    server.advance(Duration::from_secs(10));
    let answer = ask(&mut boss, &id).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!((&answer.json["expiresIn"], &answer.json["refreshToken"]), (&json!(900), &Value::Null));
    assert!(answer.headers.get("set-cookie").is_none(), "the own cookies stay");
    let mut acting = server.client();
    acting.bearer = Some(answer.json["accessToken"].as_str().unwrap().to_owned());

    let claims = claims(&acting);
    assert_eq!((&claims["sub"], &claims["act"]), (&json!(id), &json!({ "sub": boss_id })));
    assert_eq!(
        (&claims["acr"], &claims["amr"], &claims["auth_time"]),
        (&json!("0"), &json!(["impersonation"]), &json!(0))
    );
    let me = acting.get("/api/v1/me").await.json;
    assert_eq!((&me["user"]["id"], &me["session"]["impersonatedBy"]), (&json!(id), &json!(boss_id)));
    assert_eq!(ann.get("/api/v1/me").await.json["session"]["impersonatedBy"], Value::Null);
    assert_eq!(me["user"]["lastLoginAt"], before, "it is no sign-in of the user's");

    let listed = ann.get("/api/v1/sessions").await.json;
    assert_eq!(listed["sessions"][0]["impersonatedBy"], boss_id.as_str(), "{listed}");
    assert_eq!(ann.get("/api/v1/devices").await.json["devices"].as_array().unwrap().len(), 1);
    let mail = server.latest_mail(ANN).await;
    assert!(mail["subject"].as_str().unwrap().starts_with("An administrator looked into"), "{mail}");
    assert!(mail["text"].as_str().unwrap().contains("Ticket 4711"));
    let event = ann.get("/api/v1/events").await.json["events"][0].clone();
    assert_eq!(event["kind"], "impersonation_started");
    assert_eq!(
        (&event["detail"]["by"], &event["detail"]["reason"]),
        (&json!(boss_id), &json!("Ticket 4711"))
    );
    assert_eq!(event["sessionId"], me["session"]["id"]);
}

#[tokio::test]
async fn the_session_opens_what_is_listed_and_nothing_else() {
    let server = TestApp::start().await;
    let (mut boss, mut ann, id) = people(&server).await;
    // Even an administrator's account gives no more.
    server.give_roles(ANN, &["admin"]).await;
    let mut acting = impersonate(&server, &mut boss, &id).await;
    let open = [
        "/api/v1/devices",
        "/api/v1/events",
        "/api/v1/factors",
        "/api/v1/factors/passkeys",
        "/api/v1/me",
        "/api/v1/sessions",
        "/api/v1/sessions/{id}",
        "/forward-auth",
    ];
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let guarded = operation["security"][0]["bearer"].is_array();
            if !guarded {
                continue;
            }
            tried += 1;
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let concrete = path.replace("{id}", &id).replace("{name}", "user");
            let body = (method != Method::GET && method != Method::DELETE)
                .then(|| json!({ "name": "Eve", "email": "eve@example.com", "password": PASSWORD }));
            // As a proxy that asks about a page.
            let mut calling = acting.clone().with_header("x-forwarded-method", "GET");
            let answer = calling.send(method.clone(), &concrete, body).await;
            if method == Method::GET && open.contains(&path.as_str()) {
                assert!([200, 404].contains(&answer.status), "{method} {path}: {}", answer.text);
            } else {
                assert_eq!((answer.status, answer.code()), (403, "impersonated"), "{method} {path}");
            }
        }
    }
    assert!(tried > 30, "{tried}");
    let head = acting.send(Method::HEAD, "/api/v1/me/export", None).await;
    assert_eq!(head.status, 403);
    // What takes no session by guard: nothing of it works with this token either.
    assert_eq!(acting.post("/api/v1/refresh", json!({})).await.status, 401);
    assert_eq!(ann.get("/api/v1/me").await.json["user"]["name"], Value::Null, "nothing has changed");
}

#[tokio::test]
async fn services_see_who_acts() {
    let server = TestApp::start().await;
    let (mut boss, _, id) = people(&server).await;
    let boss_id = id_of(&mut boss).await;
    let acting = impersonate(&server, &mut boss, &id).await;
    let scopes = [hallpass::service_keys::Scope::Introspect, hallpass::service_keys::Scope::Authorize];
    let (_, key) = server.service_key("shop", &scopes, None).await;
    let mut service = server.client();
    service.bearer = Some(key);
    let token = acting.bearer.clone().unwrap();
    let told = service.post_form("/api/v1/introspect", &[("token", &token)]).await.json;
    assert_eq!(
        (&told["active"], &told["act"]["sub"], &told["acr"]),
        (&json!(true), &json!(boss_id), &json!("0"))
    );
    let told = service.post("/api/v1/authorize", json!({ "token": token, "roles": ["user"] })).await.json;
    assert_eq!((&told["active"], &told["act"]["sub"]), (&json!(true), &json!(boss_id)));
    let answer = acting.clone().with_header("x-forwarded-method", "GET").get("/forward-auth").await;
    assert_eq!(
        (answer.header("x-auth-user"), answer.header("x-auth-actor")),
        (id.as_str(), boss_id.as_str())
    );
    assert_eq!(boss.get("/forward-auth").await.header("x-auth-actor"), "");
    // The right goes, and with it the token, before anybody sweeps.
    server.sign_up("other@example.com").await;
    server.give_roles("other@example.com", &["admin"]).await;
    server.give_roles(BOSS, &[]).await;
    let told = service.post_form("/api/v1/introspect", &[("token", &token)]).await.json;
    assert_eq!(told, json!({ "active": false }));
    assert_eq!(
        service.post("/api/v1/authorize", json!({ "token": token, "roles": ["user"] })).await.json["active"],
        false
    );
}

/// Everything that ends it: a name, and what is done.
#[tokio::test]
async fn it_ends_with_the_administrators_session() {
    for path in ["/api/v1/logout", "/api/v1/logout-all"] {
        let server = TestApp::start().await;
        let (mut boss, mut ann, id) = people(&server).await;
        let mut acting = impersonate(&server, &mut boss, &id).await;
        boss.post_nothing(path).await;
        let answer = acting.get("/api/v1/me").await;
        assert_eq!((answer.status, answer.code()), (401, "session_revoked"), "{path}");
        assert_eq!(ann.get("/api/v1/sessions").await.json["sessions"].as_array().unwrap().len(), 1, "{path}");
    }
    // Other sessions of the administrator do not matter.
    let server = TestApp::start().await;
    let (mut boss, _, id) = people(&server).await;
    let mut other = server.sign_in(BOSS).await;
    let mut acting = impersonate(&server, &mut boss, &id).await;
    other.post_nothing("/api/v1/logout").await;
    assert_eq!(acting.get("/api/v1/me").await.status, 200);
    assert_eq!(boss.delete("/api/v1/sessions").await.status, 200);
    assert_eq!(acting.get("/api/v1/me").await.status, 200, "those but the own one ended");
    boss.delete("/api/v1/devices").await;
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "another correct horse battery" });
    assert_eq!(boss.post("/api/v1/password/change", change).await.status, 200);
    assert_eq!(acting.get("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn it_ends_with_the_right_to_it() {
    let server = TestApp::start().await;
    let (_, mut ann, id) = people(&server).await;
    let held = ["hallpass:users:impersonate", "orders:*"];
    let mut helper = server.signed_in_holding("helper@example.com", &held).await;
    let mut acting = impersonate(&server, &mut helper, &id).await;
    assert_eq!(acting.get("/api/v1/me").await.status, 200);
    // The user rises above the administrator.
    server.define_role("boss", &["orders:write", "invoices:write"]).await;
    server.give_roles(ANN, &["boss"]).await;
    assert_eq!(acting.get("/api/v1/me").await.code(), "session_revoked");
    server.give_roles(ANN, &[]).await;
    assert_eq!(acting.get("/api/v1/me").await.status, 200, "nothing swept it yet");
    // The permission goes from the role, then comes back; the sweep was in between.
    server.define_role("for-helper", &["orders:*"]).await;
    assert_eq!(acting.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(ask(&mut helper, &id).await.code(), "forbidden");
    sessions::end_lapsed(&server.app).await.unwrap();
    server.define_role("for-helper", &held).await;
    assert_eq!(acting.get("/api/v1/me").await.code(), "session_revoked", "it does not come back");
    let event = ann.get("/api/v1/events").await.json["events"][0].clone();
    assert_eq!(
        (&event["kind"], &event["detail"]["reason"]),
        (&json!("sessions_revoked"), &json!("impersonator_lapsed"))
    );
}

#[tokio::test]
async fn the_user_can_end_it_and_it_ends_by_itself() {
    let server = TestApp::start().await;
    let (mut boss, mut ann, id) = people(&server).await;
    let mut acting = impersonate(&server, &mut boss, &id).await;
    let session = acting.get("/api/v1/me").await.json["session"]["id"].clone();
    let path = format!("/api/v1/sessions/{}", session.as_str().unwrap());
    assert_eq!(ann.delete(&path).await.status, 200);
    assert_eq!(acting.get("/api/v1/me").await.code(), "session_revoked");

    let mut acting = impersonate(&server, &mut boss, &id).await;
    assert_eq!(acting.post_nothing("/api/v1/logout").await.status, 200);
    assert_eq!(acting.get("/api/v1/me").await.code(), "session_revoked");

    let mut acting = impersonate(&server, &mut boss, &id).await;
    server.advance(Duration::from_secs(899));
    assert_eq!(acting.get("/api/v1/me").await.status, 200);
    // Within the leeway of the token's own end.
    server.advance(Duration::from_secs(2));
    assert_eq!(acting.get("/api/v1/me").await.status, 401);
}

#[tokio::test]
async fn nobody_takes_the_place_of_who_may_do_more_of_themselves_or_of_nobody() {
    let server = TestApp::start().await;
    let (mut boss, _, id) = people(&server).await;
    let boss_id = id_of(&mut boss).await;
    let mut helper = server.signed_in_holding("helper@example.com", &["hallpass:users:impersonate"]).await;
    let above = ask(&mut helper, &boss_id).await;
    assert_eq!((above.status, above.code()), (403, "forbidden"));
    let own = ask(&mut boss, &boss_id).await;
    assert_eq!((own.status, own.code()), (403, "forbidden"));
    assert_eq!(ask(&mut boss, "01900000-0000-7000-8000-000000000000").await.status, 404);
    assert_eq!(ask(&mut boss, "ann").await.status, 404);
    let path = format!("/api/v1/admin/users/{id}/impersonate");
    for (body, problem) in [
        (json!({}), "reason: required"),
        (json!({ "reason": "  " }), "reason: required"),
        (json!({ "reason": "x".repeat(201) }), "reason: too_long"),
        (json!({ "reason": "a\nSubject: b" }), "reason: control_characters"),
    ] {
        let answer = boss.post(&path, body).await;
        assert_eq!((answer.status, answer.problems()), (422, vec![problem.to_owned()]));
    }
    server.advance(Duration::from_secs(14 * 60));
    assert_eq!(ask(&mut boss, &id).await.code(), "reauthentication_required");
    assert_eq!(
        server
            .mails_to(ANN)
            .await
            .iter()
            .filter(|mail| mail["subject"].as_str().unwrap().contains("looked into"))
            .count(),
        0
    );
}

#[tokio::test]
async fn it_takes_no_place_among_the_users_sessions_and_can_be_switched_off() {
    let server = TestApp::start_with(|config| config.sessions.max_per_user = 2).await;
    let (mut boss, mut first, id) = people(&server).await;
    let mut acting = impersonate(&server, &mut boss, &id).await;
    let mut second = server.sign_in(ANN).await;
    for client in [&mut first, &mut second, &mut acting] {
        assert_eq!(client.get("/api/v1/me").await.status, 200);
    }
    let server = server.restart_with(|config| config.sessions.impersonation_ttl = Duration::ZERO).await;
    let mut boss = server.sign_in(BOSS).await;
    let answer = ask(&mut boss, &id).await;
    assert_eq!((answer.status, answer.code()), (403, "forbidden"));
}

#[tokio::test]
async fn services_that_follow_hear_of_its_end() {
    let server = TestApp::start().await;
    let (mut boss, _, id) = people(&server).await;
    let mut acting = impersonate(&server, &mut boss, &id).await;
    let session = acting.get("/api/v1/me").await.json["session"]["id"].clone();
    let (_, key) = server.service_key("shop", &[hallpass::service_keys::Scope::Revocations], None).await;
    boss.post_nothing("/api/v1/logout").await;
    let mut service = server.client();
    service.bearer = Some(key);
    let told = service.get("/api/v1/revocations").await.json;
    let ended = told["revocations"].as_array().unwrap().iter().any(|row| row["sessionId"] == session);
    assert!(ended, "{told}");
}
