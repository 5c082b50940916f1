//! Whose rights an invitation can give.
use super::{ANN, Caller, accept, create, invite_with, resend_as, revoke, token};
use crate::support::TestApp;
use hallpass::ids::UserId;
use hallpass::invitations::{Actor, Invite};
use hallpass::names::Email;
use hallpass::roles::{self, Authority, Definition, Expected};
use serde_json::json;

#[tokio::test]
async fn an_administrator_invites_to_nothing_that_they_do_not_hold_and_a_role_that_is_gone_is_left_out() {
    let server = TestApp::start().await;
    let client = Caller::local();
    let define = async |name: &str, permissions: &[&str]| {
        let mut tx = server.app.db.begin().await.unwrap();
        let permissions = permissions.iter().map(|one| (*one).to_owned()).collect();
        let definition = Definition { name: name.to_owned(), description: None, permissions };
        let app = &server.app;
        roles::define(app, &mut tx, Authority::Operator, &client, definition, Expected::Anything)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    define("reader", &["books:read"]).await;
    define("writer", &["books:read", "books:write"]).await;
    let grants = roles::grants(&server.app, &server.app.db, &["reader".to_owned()]).await.unwrap();
    let inviter = UserId::parse("01900000-0000-7000-8000-000000000001").unwrap();
    let actor = Actor { client: &client, by: Authority::Holder(inviter, &grants) };
    let wish = |roles: &[&str]| Invite {
        email: Email::parse(ANN).unwrap(),
        name: None,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        life: None,
    };
    for roles in [&["writer"] as &[&str], &["reader", "admin"]] {
        let refused = create(&server, actor, &wish(roles)).await.unwrap_err();
        assert_eq!(refused.code.name(), "forbidden");
    }
    assert!(server.mails_to(ANN).await.is_empty());
    let made = create(&server, actor, &wish(&["reader"])).await.unwrap();
    assert_eq!(made.view(server.app.now()).invited_by, Some(inviter.to_string()));
    // Nor by sending again what somebody else has made.
    revoke(&server, made.id).await.unwrap();
    let others = invite_with(&server, ANN, &["reader", "writer"], None).await.unwrap();
    let refused = resend_as(&server, actor, others.id).await.unwrap_err();
    assert_eq!(refused.code.name(), "forbidden");
    let mut tx = server.app.db.begin().await.unwrap();
    roles::delete(&server.app, &mut tx, Authority::Operator, &client, "writer", Expected::Anything)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let done = accept(&server, &token(&server, ANN).await).await;
    assert_eq!(done.json["user"]["roles"], json!(["reader", "user"]), "{}", done.text);
    assert_eq!(done.json["user"]["permissions"], json!(["books:read"]));
}
