//! Accounts that come to be worth more than those could give who may know what opens them.
use super::{ANN, log_in, of, patch, put_roles};
use crate::passkeys;
use crate::support::{Answer, Client, OTHER_PASSWORD, PASSWORD, SecurityKey, TestApp};
use hallpass::admin::{Actor, users as others};
use hallpass::db::Statements;
use hallpass::web::Client as Caller;
use serde_json::{Value, json};

const MALLORY: &str = "mallory@example.com";
/// Where the account would have gone.
const MOVED: &str = "moved@example.com";

/// Somebody who may make accounts and give the one role that they have.
async fn mallory(server: &TestApp) -> Client {
    server.define_role("editor", &[]).await;
    server.signed_in_holding(MALLORY, &["hallpass:users:*"]).await
}

async fn make(by: &mut Client, body: Value) -> Answer {
    let made = by.post("/api/v1/admin/users", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made
}

async fn choose(server: &TestApp, token: &str, password: &str) -> Answer {
    server.client().post("/api/v1/password/reset", json!({ "token": token, "password": password })).await
}

/// What opened the account before opens nothing; what its mailbox got does.
async fn begins_anew(server: &TestApp, former: &mut Client) {
    assert_eq!(former.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(log_in(server, ANN, PASSWORD).await.status, 401);
    let token = server.mailed_token(ANN, "/password/reset").await;
    assert_eq!(choose(server, &token, OTHER_PASSWORD).await.status, 200);
    let owner = log_in(server, ANN, OTHER_PASSWORD).await;
    assert!(owner.json["accessToken"].is_string(), "no factor of anybody's is asked for: {}", owner.text);
}

/// What somebody who is inside leaves there in order to come back.
struct Planted {
    key: SecurityKey,
    confirm: String,
    undo: String,
}

/// Sets an app and a passkey up, and begins to move the account to another mailbox.
async fn plant(server: &TestApp, inside: &mut Client) -> Planted {
    let mut key = SecurityKey::of(server);
    passkeys::enrol(inside, &mut key).await;
    inside.set_up_totp(server).await;
    let asked = inside.post("/api/v1/email/change", json!({ "email": MOVED })).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let confirm = server.mailed_token(MOVED, "/email/confirm").await;
    Planted { key, confirm, undo: server.mailed_token(ANN, "/email/undo").await }
}

impl Planted {
    async fn is_gone(&mut self, server: &TestApp) {
        let refused = passkeys::sign_in(server, &mut self.key).await;
        assert_eq!(refused.status, 401, "{}", refused.text);
        for (way, token) in [("confirm", &self.confirm), ("undo", &self.undo)] {
            let path = format!("/api/v1/email/{way}");
            let dead = server.client().post(&path, json!({ "token": token })).await;
            assert_eq!((dead.status, dead.code()), (400, "invalid_token"), "{way}");
        }
        for sql in ["select count(*) from totp_secrets", "select count(*) from recovery_codes"] {
            let mut row = (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap();
            assert_eq!(row.int().unwrap(), 0, "{sql}");
        }
    }
}

#[tokio::test]
async fn whoever_chose_the_password_does_not_rise_with_the_account() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let mut mallory = mallory(&server).await;
    make(&mut mallory, json!({ "email": ANN, "password": PASSWORD, "emailVerified": true })).await;
    let path = of(&server, ANN).await;
    let mut inside = server.sign_in(ANN).await;
    // What they could give themselves changes nothing.
    assert_eq!(put_roles(&mallory, &path, "*", json!(["for-mallory"])).await.status, 200);
    assert_eq!(put_roles(&boss, &path, "*", json!([])).await.status, 200);
    assert_eq!(inside.get("/api/v1/me").await.status, 200);
    // A new password may be theirs as well.
    let change = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    assert_eq!(inside.post("/api/v1/password/change", change).await.status, 200);
    let mut planted = plant(&server, &mut inside).await;
    let before = boss.get(&path).await;
    assert_eq!(before.json["user"]["factors"], json!(["password", "passkey", "recovery_code", "totp"]));
    let given = put_roles(&boss, &path, "*", json!(["editor"])).await;
    assert_eq!(
        (given.status, &given.json["user"]["roles"]),
        (200, &json!(["editor", "user"])),
        "{}",
        given.text
    );
    assert_eq!(given.json["user"]["factors"], json!([]));
    assert_eq!(log_in(&server, ANN, OTHER_PASSWORD).await.status, 401);
    begins_anew(&server, &mut inside).await;
    planted.is_gone(&server).await;
    let events = boss.get(&format!("{path}/events?limit=50")).await.json;
    let kinds: Vec<&Value> =
        events["events"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert!(kinds.contains(&&json!("factors_reset")), "{events}");
    // From then on it is its owner's.
    let body = json!({ "email": ANN, "password": OTHER_PASSWORD, "tokenDelivery": "body" });
    let mut owner = server.client();
    owner.log_in(body).await;
    assert_eq!(put_roles(&boss, &path, "*", json!(["admin"])).await.status, 200);
    assert_eq!(owner.get("/api/v1/me").await.json["user"]["roles"], json!(["admin", "user"]));
}

#[tokio::test]
async fn whoever_answered_for_the_address_does_not_rise_with_the_account_either() {
    for how in ["verified", "moved", "answered for", "gone"] {
        let server = TestApp::start().await;
        let [boss, mallory] = [server.boss().await, mallory(&server).await].map(|client| client.bearer);
        let immediate = hallpass::config::RegistrationMode::Immediate;
        let server = server.restart_with(|config| config.registration.mode = immediate).await;
        let [boss, mut mallory] = [boss, mallory].map(|bearer| {
            let mut client = server.client();
            client.bearer = bearer;
            client
        });
        let body =
            json!({ "email": if how == "moved" { "x@example.com" } else { ANN }, "password": PASSWORD });
        let registered = server.client().post("/api/v1/register", body.clone()).await;
        assert!(registered.status < 300, "{}", registered.text);
        let path = of(&server, body["email"].as_str().unwrap()).await;
        let done = match how {
            "verified" | "gone" => mallory.post_nothing(&format!("{path}/verify-email")).await,
            _ => patch(&mallory, &path, "*", json!({ "email": ANN, "emailVerified": true })).await,
        };
        assert_eq!(done.status, 200, "{how}: {}", done.text);
        let mut inside = server.sign_in(ANN).await;
        let role = if how == "gone" {
            let gone = boss.clone().delete(&of(&server, MALLORY).await).await;
            assert_eq!(gone.status, 200, "{}", gone.text);
            "for-mallory"
        } else {
            "admin"
        };
        assert_eq!(put_roles(&boss, &path, "*", json!([role])).await.status, 200);
        begins_anew(&server, &mut inside).await;
    }
}

#[tokio::test]
async fn a_link_that_an_administrator_was_shown_dies_when_an_operator_gives_more() {
    let server = TestApp::start().await;
    server.boss().await;
    let mut mallory = mallory(&server).await;
    let made = make(&mut mallory, json!({ "email": ANN })).await;
    let token = |link: &str| link.split("token=").nth(1).unwrap().to_owned();
    let shown = token(made.json["link"].as_str().unwrap());
    let id = hallpass::users::find_login(&server.app.db, ANN).await.unwrap().unwrap().user.id;
    let (client, admin) = (Caller::local(), ["admin".to_owned()]);
    let done = others::change_roles(&server.app, &Actor::operator(&client), id, &admin, &[]).await.unwrap();
    assert!(done.changed && done.anew);
    let link = done.link.expect("an operator hands it over");
    assert_eq!(choose(&server, &shown, PASSWORD).await.code(), "invalid_token");
    assert!(server.mails_to(ANN).await.is_empty());
    assert_eq!(choose(&server, &token(&link.url), OTHER_PASSWORD).await.status, 200);
    assert_eq!(log_in(&server, ANN, OTHER_PASSWORD).await.status, 200);
    assert_eq!(log_in(&server, ANN, PASSWORD).await.status, 401);
    let again =
        others::change_roles(&server.app, &Actor::operator(&client), id, &["editor".to_owned()], &[]).await;
    assert!(!again.unwrap().anew, "it is the owner's from then on");
}
