//! Roles and permissions: in tokens, in sessions that exist, for services and proxies that ask, and who stays administrator.
mod asked;
mod forward_auth;

use crate::support::{Client, TestApp};
use data_encoding::BASE64URL_NOPAD;
use hallpass::bus::LIMIT;
use hallpass::error::Code;
use hallpass::roles::{self, Authority};
use hallpass::users;
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";
const BEN: &str = "ben@example.com";

async fn permissions(client: &mut Client) -> Value {
    client.get("/api/v1/me").await.json["user"]["permissions"].clone()
}

fn claims(token: &str) -> Value {
    let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// Asserts what is held where the change was made, and elsewhere as soon as it was heard there.
async fn held(here: &mut Client, elsewhere: &mut Client, expected: Value) {
    assert_eq!(permissions(here).await, expected);
    let heard = async { while permissions(elsewhere).await != expected {} };
    tokio::time::timeout(LIMIT, heard).await.expect("it is heard within the limit");
}

#[tokio::test]
async fn a_change_of_roles_and_of_a_role_counts_on_the_next_call_on_every_node() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let node = server.second_node().await;
    let mut elsewhere = node.client();
    elsewhere.bearer.clone_from(&ann.bearer);
    held(&mut ann, &mut elsewhere, json!([])).await;
    server.define_role("editor", &["articles:read"]).await;
    server.give_roles(ANN, &["editor"]).await;
    held(&mut ann, &mut elsewhere, json!(["articles:read"])).await;
    // What another one covers is left out.
    server.define_role("editor", &["articles:*", "articles:read", "comments:delete"]).await;
    held(&mut ann, &mut elsewhere, json!(["articles:*", "comments:delete"])).await;
    server.give_roles(ANN, &[]).await;
    held(&mut ann, &mut elsewhere, json!([])).await;
}

#[tokio::test]
async fn tokens_name_roles_and_permissions_until_there_are_too_many_for_a_cookie() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in_holding(ANN, &["articles:read", "articles:write"]).await;
    assert_eq!(ann.refresh().await.status, 200);
    let told = claims(ann.bearer.as_ref().unwrap());
    assert_eq!(told["roles"], json!(["for-ann", "user"]));
    assert_eq!(told["permissions"], json!(["articles:read", "articles:write"]));
    assert!(told.get("permissions_omitted").is_none());
    let many: Vec<String> = (0..100).map(|number| format!("articles-of-the-house:{number}")).collect();
    server.define_role("for-ann", &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(ann.refresh().await.status, 200);
    let told = claims(ann.bearer.as_ref().unwrap());
    assert_eq!((&told["permissions_omitted"], told.get("permissions")), (&json!(true), None));
    assert!(ann.bearer.as_ref().unwrap().len() < 3000, "it has to fit into a cookie");
    assert_eq!(permissions(&mut ann).await.as_array().unwrap().len(), 100, "the session tells all of them");
}

#[tokio::test]
async fn of_two_administrators_who_remove_each_other_at_once_one_stays() {
    let server = TestApp::start().await;
    for email in [ANN, BEN] {
        server.sign_up(email).await;
        server.give_roles(email, &["admin"]).await;
    }
    let demote = async |email: &str| {
        let mut tx = server.app.db.begin().await.unwrap();
        let email = hallpass::names::Email::parse(email).unwrap();
        let user = users::find_by_email(&mut tx, &email).await.unwrap().unwrap();
        let given = roles::check_given(&mut tx, Authority::Operator, &[]).await.unwrap();
        let done = users::set_roles(&server.app, &mut tx, &user, &given, server.app.now()).await;
        match done {
            Ok(_) => tx.commit().await.map_err(|error| error.to_string()),
            Err(error) => Err(format!("{:?}", error.code)),
        }
    };
    let results = tokio::join!(demote(ANN), demote(BEN));
    let refused = Err(format!("{:?}", Code::LastAdministrator));
    assert!([(Ok(()), refused.clone()), (refused, Ok(()))].contains(&results), "{results:?}");
}

#[tokio::test]
async fn the_last_administrator_cannot_leave() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    server.give_roles(ANN, &["admin"]).await;
    let answer = ann.delete("/api/v1/me").await;
    assert_eq!((answer.status, answer.code()), (409, "last_administrator"));
    assert_eq!(ann.get("/api/v1/me").await.status, 200, "nothing was changed");
    server.sign_up(BEN).await;
    server.give_roles(BEN, &["admin"]).await;
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn a_closed_account_administers_nothing_and_does_not_count() {
    let server = TestApp::start().await;
    for email in [ANN, BEN] {
        server.sign_up(email).await;
        server.give_roles(email, &["admin"]).await;
    }
    let switch = async |email: &str, disabled| {
        let mut tx = server.app.db.begin().await.unwrap();
        let email = hallpass::names::Email::parse(email).unwrap();
        let user = users::find_by_email(&mut tx, &email).await.unwrap().unwrap();
        let done = users::set_disabled(&server.app, &mut tx, user.id, disabled, server.app.now()).await;
        done.map(|_| ())?;
        tx.commit().await?;
        Ok::<_, hallpass::error::Error>(())
    };
    switch(ANN, true).await.unwrap();
    assert_eq!(switch(BEN, true).await.unwrap_err().code, Code::LastAdministrator);
    switch(ANN, false).await.unwrap();
    switch(BEN, true).await.unwrap();
}
