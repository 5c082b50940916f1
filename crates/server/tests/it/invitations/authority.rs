//! Whose rights an invitation can give.
use super::{ANN, Caller, accept, create, invite_with, resend, resend_as, revoke, token};
use crate::support::operator::BOSS;
use crate::support::{Answer, Client, TestApp};
use hallpass::invitations::{Actor, Invite};
use hallpass::names::Email;
use hallpass::roles::{self, Authority};
use hallpass::users;
use serde_json::{Value, json};

const MALLORY: &str = "mallory@example.com";

fn wish(roles: &[&str]) -> Invite {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Invite { email: Email::parse(ANN).unwrap(), name: None, roles, life: None }
}

/// Somebody who may invite, with a role of their own beside.
async fn mallory(server: &TestApp) -> Client {
    server.define_role("helper", &["hallpass:invitations:*", "hallpass:users:*"]).await;
    server.define_role("reader", &["books:read"]).await;
    let mallory = server.signed_in(MALLORY).await;
    server.give_roles(MALLORY, &["helper", "reader"]).await;
    mallory
}

async fn invited(by: &mut Client, roles: Value) -> String {
    let made = by.post("/api/v1/admin/invitations", json!({ "email": ANN, "roles": roles })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json["invitation"]["id"].as_str().unwrap().to_owned()
}

async fn accepted(server: &TestApp) -> Answer {
    let done = accept(server, &token(server, ANN).await).await;
    assert_eq!(done.status, 201, "{}", done.text);
    done
}

async fn delete_role(by: &Client, name: &str) -> Answer {
    by.clone().with_header("if-match", "*").delete(&format!("/api/v1/admin/roles/{name}")).await
}

#[tokio::test]
async fn an_administrator_invites_to_nothing_that_they_do_not_hold() {
    let server = TestApp::start().await;
    let client = Caller::local();
    mallory(&server).await;
    server.define_role("writer", &["books:read", "books:write"]).await;
    let user = users::find_login(&server.app.db, MALLORY).await.unwrap().unwrap().user;
    let grants = roles::grants(&server.app, &server.app.db, &user.roles).await.unwrap();
    let actor = Actor { client: &client, by: Authority::Holder(user.id, &grants) };
    for roles in [&["writer"] as &[&str], &["reader", "admin"]] {
        let refused = create(&server, actor, &wish(roles)).await.unwrap_err();
        assert_eq!(refused.code.name(), "forbidden");
    }
    assert!(server.mails_to(ANN).await.is_empty());
    let made = create(&server, actor, &wish(&["reader"])).await.unwrap();
    assert_eq!(made.view(server.app.now()).invited_by, Some(user.id.to_string()));
    // Nor by sending again what somebody else has made.
    revoke(&server, made.id).await.unwrap();
    let others = invite_with(&server, ANN, &["reader", "writer"], None).await.unwrap();
    let refused = resend_as(&server, actor, others.id).await.unwrap_err();
    assert_eq!(refused.code.name(), "forbidden");
    let done = accepted(&server).await;
    assert_eq!(done.json["user"]["roles"], json!(["reader", "user", "writer"]), "operators give everything");
}

#[tokio::test]
async fn whoever_lost_rights_gives_none_of_them_by_an_invitation_from_before() {
    for what in ["demoted", "may not give", "raised", "closed", "gone"] {
        let server = TestApp::start().await;
        let mut boss = server.boss().await;
        let mut mallory = mallory(&server).await;
        let me = mallory.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
        invited(&mut mallory, json!(["helper", "reader"])).await;
        let given = match what {
            "demoted" => {
                server.give_roles(MALLORY, &["helper"]).await;
                json!(["helper", "user"])
            }
            "may not give" => {
                server.give_roles(MALLORY, &["reader"]).await;
                json!(["user"])
            }
            "raised" => {
                // What the role holds more by now is hers too.
                server.define_role("reader", &["books:*"]).await;
                json!(["helper", "reader", "user"])
            }
            "closed" => {
                assert_eq!(boss.post_nothing(&format!("/api/v1/admin/users/{me}/disable")).await.status, 200);
                json!(["user"])
            }
            _ => {
                assert_eq!(boss.delete(&format!("/api/v1/admin/users/{me}")).await.status, 200);
                json!(["user"])
            }
        };
        let done = accepted(&server).await;
        assert_eq!(done.json["user"]["roles"], given, "{what}");
        let log = boss.get("/api/v1/admin/audit?kind=invitation_accepted").await.json;
        let detail = &log["events"][0]["detail"];
        let dropped = detail["dropped"].as_array().map_or(0, Vec::len);
        assert_eq!(dropped, 3 - given.as_array().unwrap().len(), "{what}: {detail}");
    }
}

#[tokio::test]
async fn whoever_sends_it_again_answers_for_it() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let mut mallory = mallory(&server).await;
    let id = invited(&mut mallory, json!(["helper", "reader"])).await;
    server.give_roles(MALLORY, &[]).await;
    let again = boss.post_nothing(&format!("/api/v1/admin/invitations/{id}/resend")).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(again.json["invitation"]["invitedBy"], boss.get("/api/v1/me").await.json["user"]["id"]);
    let listed = boss.get("/api/v1/admin/invitations").await.json;
    assert_eq!(listed["invitations"][0]["invitedBy"], again.json["invitation"]["invitedBy"]);
    assert_eq!(accepted(&server).await.json["user"]["roles"], json!(["helper", "reader", "user"]));
}

#[tokio::test]
async fn a_role_that_a_live_invitation_names_comes_to_mean_nothing_else() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.define_role("reader", &["books:read"]).await;
    server.define_role("re.der", &[]).await;
    server.define_role("re_der", &[]).await;
    let id = invited(&mut boss, json!(["re.der", "reader"])).await;
    let used = delete_role(&boss, "reader").await;
    assert_eq!((used.status, used.code()), (409, "role_in_use"));
    assert_eq!(delete_role(&boss, "re_der").await.status, 200, "another name");
    // Once it is over, the role can go; sent again it gives nothing that is not asked about then.
    let ended = server.app.config.registration.invitation_ttl;
    server.advance(ended);
    let mut boss = server.sign_in(BOSS).await;
    assert_eq!(delete_role(&boss, "reader").await.status, 200);
    let again = boss.post_nothing(&format!("/api/v1/admin/invitations/{id}/resend")).await;
    assert_eq!((again.status, again.problems()), (422, vec!["roles: unknown_role".to_owned()]));
    server.define_role("reader", &["books:*"]).await;
    let mut lesser = server.signed_in_holding(MALLORY, &["hallpass:invitations:*", "hallpass:users:*"]).await;
    let again = lesser.post_nothing(&format!("/api/v1/admin/invitations/{id}/resend")).await;
    assert_eq!((again.status, again.code()), (403, "forbidden"));
    // A revoked one holds nothing back either.
    let other = invite_with(&server, "ben@example.com", &["reader"], None).await.unwrap();
    resend(&server, other.id).await.unwrap();
    assert_eq!(delete_role(&boss, "reader").await.code(), "role_in_use");
    revoke(&server, other.id).await.unwrap();
    assert_eq!(delete_role(&boss, "reader").await.status, 200);
}
