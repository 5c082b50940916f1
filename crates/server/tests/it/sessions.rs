//! The list of sessions, ending them, their limits.
use crate::support::{Client, PASSWORD, TestApp};
use hallpass::config::OnLimit;
use hallpass::db::Statements;
use hallpass::ids::UserId;
use hallpass::{sessions, users};
use serde_json::{Value, json};
use std::time::Duration;

async fn ids(client: &mut Client) -> Vec<String> {
    let answer = client.get("/api/v1/sessions").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let sessions = answer.json["sessions"].as_array().unwrap();
    sessions.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn people_see_their_sessions_newest_first_with_the_device_of_each() {
    let server = TestApp::start().await;
    let mut laptop = server.signed_in("ann@example.com").await;
    server.advance(Duration::from_secs(5));
    let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                  Version/19.0 Mobile/15E148 Safari/604.1";
    let mut phone = server.client().at("203.0.113.9").with_agent(iphone);
    let body = json!({ "email": "ann@example.com", "password": PASSWORD, "deviceName": "Ann's phone" });
    phone.log_in(body).await;
    let answer = laptop.get("/api/v1/sessions").await;
    let sessions = answer.json["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let mut keys: Vec<&String> = sessions[0].as_object().unwrap().keys().collect();
    keys.sort();
    let contract = [
        "acr",
        "amr",
        "createdAt",
        "current",
        "device",
        "deviceId",
        "deviceName",
        "expiresAt",
        "id",
        "ip",
        "lastSeenAt",
        "userAgent",
    ];
    assert_eq!(keys, contract);
    assert_eq!(sessions[0]["device"], json!({ "browser": "Safari", "os": "iOS", "kind": "mobile" }));
    assert_eq!(sessions[0]["deviceName"], "Ann's phone");
    assert_eq!(sessions[0]["ip"], "203.0.113.9");
    assert_eq!((&sessions[0]["current"], &sessions[1]["current"]), (&Value::Bool(false), &Value::Bool(true)));
    assert_eq!(sessions[1]["device"]["browser"], "Firefox");
    assert_eq!(sessions[0]["amr"], json!(["pwd"]));
}

#[tokio::test]
async fn a_client_without_a_user_agent_signs_in_like_any_other() {
    let server = TestApp::start().await;
    server.sign_up("ann@example.com").await;
    let mut client = server.client();
    client.agent = None;
    client.log_in(json!({ "email": "ann@example.com", "password": PASSWORD })).await;
    let answer = client.get("/api/v1/me").await;
    assert_eq!((answer.status, &answer.json["session"]["userAgent"]), (200, &Value::Null));
}

#[tokio::test]
async fn one_session_can_be_looked_at_and_ended_and_strangers_cannot() {
    let server = TestApp::start().await;
    let mut laptop = server.signed_in("ann@example.com").await;
    server.advance(Duration::from_secs(1));
    let mut phone = server.sign_in("ann@example.com").await;
    let mut stranger = server.signed_in("eve@example.com").await;
    let phones = ids(&mut phone).await[0].clone();
    let path = format!("/api/v1/sessions/{phones}");
    assert_eq!(laptop.get(&path).await.json["session"]["id"], phones.as_str());
    for path in [path.as_str(), "/api/v1/sessions/nonsense", "/api/v1/sessions/%ff"] {
        assert_eq!(stranger.get(path).await.code(), "not_found", "{path}");
        assert_eq!(stranger.delete(path).await.code(), "not_found", "{path}");
    }
    assert_eq!(phone.get("/api/v1/me").await.status, 200);
    assert_eq!(laptop.delete(&path).await.status, 200);
    assert_eq!(phone.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(phone.refresh().await.code(), "session_revoked");
    assert_eq!(laptop.delete(&path).await.code(), "not_found");
}

#[tokio::test]
async fn the_other_sessions_can_be_ended_at_once() {
    let server = TestApp::start().await;
    let mut laptop = server.signed_in("ann@example.com").await;
    let mut phone = server.sign_in("ann@example.com").await;
    server.sign_in("ann@example.com").await;
    let answer = laptop.delete("/api/v1/sessions").await;
    assert_eq!((answer.status, answer.json["revoked"].as_u64()), (200, Some(2)));
    assert_eq!(phone.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(ids(&mut laptop).await.len(), 1);
}

#[tokio::test]
async fn logout_all_ends_every_session_on_the_very_next_request() {
    let server = TestApp::start().await;
    let mut laptop = server.signed_in("ann@example.com").await;
    let mut phone = server.sign_in("ann@example.com").await;
    let answer = laptop.post_nothing("/api/v1/logout-all").await;
    assert_eq!((answer.status, answer.json["revoked"].as_u64()), (200, Some(2)));
    for client in [&mut laptop, &mut phone] {
        assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
        assert_eq!(client.refresh().await.code(), "session_revoked");
    }
    assert_eq!(laptop.post_nothing("/api/v1/logout-all").await.code(), "session_revoked");
}

#[tokio::test]
async fn logout_works_again_and_again_and_with_an_expired_access_token() {
    let server = TestApp::start().await;
    let mut client = server.signed_in("ann@example.com").await;
    server.advance(Duration::from_secs(3600));
    assert_eq!(client.get("/api/v1/me").await.code(), "token_expired");
    for _ in 0..3 {
        assert_eq!(client.post_nothing("/api/v1/logout").await.status, 200);
    }
    assert_eq!(client.refresh().await.code(), "session_revoked");
    assert_eq!(
        server.client().post_nothing("/api/v1/logout").await.status,
        200,
        "nobody is signed out gladly"
    );
}

#[tokio::test]
async fn a_body_client_signs_out_with_its_refresh_token_alone() {
    let server = TestApp::start().await;
    let mut client = server.signed_in("ann@example.com").await;
    let token = client.refresh_token.clone().unwrap();
    let answer = server.client().post("/api/v1/logout", json!({ "refreshToken": token })).await;
    assert_eq!(answer.status, 200);
    assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
}

#[tokio::test]
async fn a_browser_with_a_live_refresh_cookie_signs_out_after_its_access_token_has_expired() {
    let server = TestApp::start().await;
    server.sign_up("ann@example.com").await;
    let mut browser = server.client();
    let body = json!({ "email": "ann@example.com", "password": PASSWORD, "tokenDelivery": "cookies" });
    browser.post("/api/v1/login", body).await;
    server.advance(Duration::from_secs(3600));
    assert_eq!(browser.post_nothing("/api/v1/logout").await.code(), "csrf_failed");
    let csrf = browser.cookie("csrfToken").unwrap().to_owned();
    let mut browser = browser.with_header("x-csrf-token", &csrf);
    let answer = browser.post_nothing("/api/v1/logout").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.set_cookie("refreshToken").unwrap().contains("Path=/api/v1; Max-Age=0; HttpOnly"));
    let left: Vec<&String> = browser.cookies.keys().collect();
    assert_eq!(left, ["device"], "what stays carries no authority");
}

#[tokio::test]
async fn one_session_per_user_forces_the_former_device_out() {
    let server = TestApp::start_with(|config| config.sessions.max_per_user = 1).await;
    let mut former = server.signed_in("ann@example.com").await;
    let mut newer = server.sign_in("ann@example.com").await;
    assert_eq!(former.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(newer.get("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn a_full_account_can_refuse_further_sign_ins_until_a_session_ends() {
    let server = TestApp::start_with(|config| {
        config.sessions.max_per_user = 2;
        config.sessions.on_limit = OnLimit::Reject;
    })
    .await;
    let mut first = server.signed_in("ann@example.com").await;
    server.sign_in("ann@example.com").await;
    server.advance(Duration::from_secs(1));
    let body = json!({ "email": "ann@example.com", "password": PASSWORD });
    let answer = server.client().post("/api/v1/login", body.clone()).await;
    assert_eq!((answer.status, answer.code()), (409, "session_limit_reached"));
    let events = first.get("/api/v1/events").await;
    assert_eq!(events.json["events"][0]["kind"], "login_refused");
    first.post_nothing("/api/v1/logout").await;
    assert_eq!(server.client().post("/api/v1/login", body).await.status, 200);
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once_on_every_node_and_cannot_come_back() {
    let server = TestApp::start().await;
    let mut client = server.signed_in("ann@example.com").await;
    let id = client.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    let id = UserId::parse(&id).unwrap();
    let other = server.second_node().await;
    let mut tx = other.app.db.begin().await.unwrap();
    let now = other.app.now();
    assert!(users::set_disabled(&server.app, &mut tx, id, true, now).await.unwrap());
    sessions::revoke_all(&server.app, &mut tx, id, None, "disabled", now).await.unwrap();
    tx.commit().await.unwrap();
    // Other nodes hear of it in milliseconds; the limit is what is promised.
    let refused = async { while client.get("/api/v1/me").await.code() != "session_revoked" {} };
    tokio::time::timeout(hallpass::bus::LIMIT, refused).await.expect("refused within the limit");
    assert_eq!(client.refresh().await.code(), "session_revoked");
    let body = json!({ "email": "ann@example.com", "password": PASSWORD });
    assert_eq!(server.client().post("/api/v1/login", body).await.code(), "invalid_credentials");
}

#[tokio::test]
async fn a_sign_in_makes_tokens_of_its_own_whatever_the_browser_brought_along() {
    let server = TestApp::start().await;
    server.sign_up("ann@example.com").await;
    server.sign_up("eve@example.com").await;
    // Eve plants the cookies of her session in the browser in which Ann then signs in.
    let mut browser = server.client();
    let body = |email: &str| json!({ "email": email, "password": PASSWORD, "tokenDelivery": "cookies" });
    let planted = browser.log_in(body("eve@example.com")).await;
    let eves = browser.cookies.clone();
    let own = browser.log_in(body("ann@example.com")).await;
    assert_ne!(planted.json["session"]["id"], own.json["session"]["id"]);
    for cookie in ["refreshToken", "accessToken", "csrfToken"] {
        assert_ne!(browser.cookie(cookie), eves.get(cookie).map(|(value, _)| value.as_str()), "{cookie}");
    }
    let mut eve = server.client();
    eve.cookies = eves;
    assert_eq!(eve.get("/api/v1/me").await.json["user"]["email"], "eve@example.com");
    // What never was a token of ours becomes none by signing in with it.
    let mut invented = server.client();
    invented.cookies.insert("accessToken".into(), ("chosen-by-somebody".into(), "/".into()));
    invented.cookies.insert("refreshToken".into(), ("chosen-by-somebody".into(), "/api/v1".into()));
    invented.log_in(body("ann@example.com")).await;
    assert!(invented.cookies.values().all(|(value, _)| value != "chosen-by-somebody"));
}

#[tokio::test]
async fn ended_sessions_are_removed_a_week_after_their_absolute_end_and_live_ones_never() {
    let server = TestApp::start_with(|config| {
        config.sessions.refresh_ttl = Duration::from_secs(30 * 86_400);
    })
    .await;
    let count = async || {
        let sql = "select count(*) from sessions";
        let mut row = (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap();
        row.int().unwrap()
    };
    server.signed_in("ann@example.com").await;
    server.advance(Duration::from_secs(20 * 86_400));
    let mut live = server.sign_in("ann@example.com").await;
    server.advance(Duration::from_secs(16 * 86_400));
    hallpass::housekeeping::purge_once(&server.app).await.unwrap();
    assert_eq!(count().await, 2, "the first has ended six days ago");
    server.advance(Duration::from_secs(2 * 86_400));
    hallpass::housekeeping::purge_once(&server.app).await.unwrap();
    assert_eq!(count().await, 1);
    assert_eq!(live.refresh().await.status, 200);
}
