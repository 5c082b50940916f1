//! Invitations in the hands of administrators.
use crate::support::{Answer, Client, PASSWORD, TestApp};
use serde_json::{Value, json};
use std::time::Duration;

const INVITATIONS: &str = "/api/v1/admin/invitations";
const ANN: &str = "ann@example.com";

async fn accept(server: &TestApp) -> Answer {
    let token = server.mailed_token(ANN, "/invitation").await;
    let body = json!({ "token": token, "password": PASSWORD });
    server.client().post("/api/v1/invitations/accept", body).await
}

async fn invited(boss: &mut Client, body: Value) -> Value {
    let made = boss.post(INVITATIONS, body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json["invitation"].clone()
}

#[tokio::test]
async fn somebody_is_invited_with_roles_and_the_log_tells_by_whom() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.define_role("reader", &["books:read"]).await;
    let body = json!({ "email": ANN, "name": "Ann", "roles": ["reader"], "expiresIn": 3600 });
    let made = invited(&mut boss, body).await;
    let me = boss.get("/api/v1/me").await.json["user"]["id"].clone();
    assert_eq!(
        (&made["state"], &made["roles"], &made["invitedBy"]),
        (&json!("pending"), &json!(["reader"]), &me)
    );
    assert!(made.get("link").is_none() && made.get("token").is_none(), "only the mail has the link");
    let accepted = accept(&server).await;
    assert_eq!((accepted.status, &accepted.json["user"]["roles"]), (201, &json!(["reader", "user"])));
    let listed = boss.get(&format!("{INVITATIONS}?email=ANN@example.com")).await;
    assert_eq!(listed.json["invitations"][0]["state"], "accepted", "{}", listed.text);
    let log = boss.get("/api/v1/admin/audit?kind=invitation_created").await.json;
    assert_eq!(log["events"][0]["detail"]["by"], me, "{log}");
}

#[tokio::test]
async fn an_invitation_is_sent_again_or_taken_back_and_then_over() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let made = invited(&mut boss, json!({ "email": ANN, "expiresIn": 60 })).await;
    let path = format!("{INVITATIONS}/{}", made["id"].as_str().unwrap());
    let first = server.mailed_token(ANN, "/invitation").await;
    let again = boss.post(INVITATIONS, json!({ "email": ANN })).await;
    assert_eq!((again.status, again.code()), (409, "invitation_exists"));
    server.advance(Duration::from_secs(61));
    let sent = boss.post(&format!("{path}/resend"), json!({ "expiresIn": 7200 })).await;
    assert_eq!((sent.status, &sent.json["invitation"]["state"]), (200, &json!("pending")), "{}", sent.text);
    let second = server.mailed_token(ANN, "/invitation").await;
    assert_ne!(first, second);
    for _ in 0..2 {
        let revoked = boss.delete(&path).await;
        assert_eq!((revoked.status, &revoked.json["invitation"]["state"]), (200, &json!("revoked")));
    }
    for token in [first, second] {
        let body = json!({ "token": token, "password": PASSWORD });
        assert_eq!(server.client().post("/api/v1/invitations/accept", body).await.code(), "invalid_token");
    }
    let over = boss.post_nothing(&format!("{path}/resend")).await;
    assert_eq!((over.status, over.code()), (409, "invitation_over"));
    invited(&mut boss, json!({ "email": ANN })).await;
    assert_eq!(accept(&server).await.status, 201);
    let taken = boss.post(INVITATIONS, json!({ "email": ANN })).await;
    assert_eq!((taken.status, taken.code()), (409, "email_taken"));
}

#[tokio::test]
async fn a_lesser_administrator_gives_no_rights_by_an_invitation() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.define_role("writer", &["books:write"]).await;
    let may = ["hallpass:invitations:read", "hallpass:invitations:write"];
    let mut lesser = server.signed_in_holding("lesser@example.com", &may).await;
    let roles = [&may[..], &["hallpass:users:roles"]].concat();
    let mut giver = server.signed_in_holding("giver@example.com", &roles).await;
    let with = |role: &str| json!({ "email": ANN, "roles": [role] });
    for (client, role) in [(&lesser, "writer"), (&giver, "writer"), (&giver, "admin")] {
        let refused = client.clone().post(INVITATIONS, with(role)).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{}", refused.text);
    }
    assert!(server.mails_to(ANN).await.is_empty());
    // Sending again what somebody greater has made would mail rights as well.
    let made = invited(&mut boss, with("writer")).await;
    let path = format!("{INVITATIONS}/{}", made["id"].as_str().unwrap());
    for client in [&mut lesser, &mut giver] {
        let refused = client.post_nothing(&format!("{path}/resend")).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{}", refused.text);
    }
    assert_eq!(lesser.delete(&path).await.status, 200);
    invited(&mut lesser, json!({ "email": ANN })).await;
    assert_eq!(accept(&server).await.json["user"]["roles"], json!(["user"]));
}

#[tokio::test]
async fn invitations_are_listed_in_pages_and_bad_ones_refused() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    for number in 0..3 {
        invited(&mut boss, json!({ "email": format!("ann{number}@example.com") })).await;
    }
    let first = boss.get(&format!("{INVITATIONS}?limit=2")).await.json;
    let next = first["next"].as_str().unwrap();
    let second = boss.get(&format!("{INVITATIONS}?limit=2&after={next}")).await.json;
    let addresses: Vec<&str> = [&first, &second]
        .iter()
        .flat_map(|page| page["invitations"].as_array().unwrap())
        .map(|one| one["email"].as_str().unwrap())
        .collect();
    assert_eq!(addresses, ["ann0@example.com", "ann1@example.com", "ann2@example.com"]);
    assert_eq!(second["next"], json!(null));
    for query in ["email=nobody", "after=7", "limit=0", "limit=201"] {
        assert_eq!(boss.get(&format!("{INVITATIONS}?{query}")).await.status, 422, "{query}");
    }
    for (body, problems) in [
        (json!({}), &["email: required"][..]),
        (json!({ "email": "nobody" }), &["email: invalid_email"]),
        (json!({ "email": ANN, "roles": ["nothing"] }), &["roles: unknown_role"]),
        (
            json!({ "email": ANN, "roles": "admin", "expiresIn": 59 }),
            &["expiresIn: invalid_value", "roles: wrong_type"],
        ),
        (json!({ "email": ANN, "expiresIn": 90 * 86_400 + 1 }), &["expiresIn: invalid_value"]),
    ] {
        let answer = boss.post(INVITATIONS, body.clone()).await;
        let expected: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!((answer.status, answer.problems()), (422, expected), "{body}");
    }
    server.advance(Duration::from_secs(700));
    boss.refresh().await;
    let stale = boss.post(INVITATIONS, json!({ "email": ANN })).await;
    assert_eq!((stale.status, stale.code()), (403, "reauthentication_required"));
}
