//! Roles, defined by administrators.
use crate::support::{Answer, Client, PASSWORD, TestApp};
use axum::http::Method;
use serde_json::{Value, json};

async fn put(client: &Client, name: &str, tag: &str, permissions: Value) -> Answer {
    let header = if tag == "new" { ("if-none-match", "*") } else { ("if-match", tag) };
    let mut client = client.clone().with_header(header.0, header.1);
    let body = json!({ "permissions": permissions });
    client.send(Method::PUT, &format!("/api/v1/admin/roles/{name}"), Some(body)).await
}

#[tokio::test]
async fn a_role_is_defined_changed_and_deleted() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let made = put(&boss, "editor", "new", json!(["articles:write", "articles:read", "articles:read"])).await;
    assert_eq!(made.status, 200, "{}", made.text);
    assert_eq!(made.json["role"]["permissions"], json!(["articles:read", "articles:write"]));
    let again = put(&boss, "editor", "new", json!([])).await;
    assert_eq!((again.status, again.code()), (409, "role_exists"));
    let read = boss.get("/api/v1/admin/roles/editor").await;
    assert_eq!(read.header("etag"), made.header("etag"));
    let changed = put(&boss, "editor", read.header("etag"), json!(["articles:*"])).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let late = put(&boss, "editor", read.header("etag"), json!(["articles:delete"])).await;
    assert_eq!((late.status, late.code()), (412, "outdated"), "somebody else's change is not lost");
    let blind =
        boss.send(Method::PUT, "/api/v1/admin/roles/editor", Some(json!({ "permissions": [] }))).await;
    assert_eq!((blind.status, blind.code()), (428, "precondition_required"));
    let listed = boss.get("/api/v1/admin/roles").await.json;
    let nothing = put(&boss, "nobody", "*", json!([])).await;
    assert_eq!((nothing.status, nothing.code()), (412, "outdated"), "there is nothing to change");
    let names: Vec<&str> =
        listed["roles"].as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["admin", "editor", "user"]);
    server.sign_up("ann@example.com").await;
    server.give_roles("ann@example.com", &["editor"]).await;
    let mut deleting = boss.clone().with_header("if-match", changed.header("etag"));
    let used = deleting.delete("/api/v1/admin/roles/editor").await;
    assert_eq!((used.status, used.code()), (409, "role_in_use"));
    server.give_roles("ann@example.com", &[]).await;
    assert_eq!(deleting.delete("/api/v1/admin/roles/editor").await.status, 200);
    assert_eq!(boss.get("/api/v1/admin/roles/editor").await.status, 404);
}

#[tokio::test]
async fn the_role_admin_stays_what_it_is_and_what_everybody_may_can_be_said() {
    let server = TestApp::start().await;
    let boss = server.boss().await;
    for name in ["admin"] {
        let answer = put(&boss, name, "*", json!([])).await;
        assert_eq!((answer.status, answer.code()), (403, "forbidden"));
    }
    for name in ["admin", "user"] {
        let mut deleting = boss.clone().with_header("if-match", "*");
        let answer = deleting.delete(&format!("/api/v1/admin/roles/{name}")).await;
        assert_eq!((answer.status, answer.code()), (403, "forbidden"));
    }
    let mut ann = server.signed_in("ann@example.com").await;
    let first = boss.clone().get("/api/v1/admin/roles/user").await;
    assert_eq!(put(&boss, "user", first.header("etag"), json!(["articles:read"])).await.status, 200);
    assert_eq!(ann.get("/api/v1/me").await.json["user"]["permissions"], json!(["articles:read"]));
    let late = put(&boss, "user", first.header("etag"), json!([])).await;
    assert_eq!(late.code(), "outdated", "also for what was never changed before");
}

#[tokio::test]
async fn nobody_gives_in_a_role_what_they_do_not_hold() {
    let server = TestApp::start().await;
    server.define_role("boss", &["hallpass:users:delete"]).await;
    server.define_role("author", &["articles:write"]).await;
    let lesser = server.signed_in_holding("lesser@example.com", &["hallpass:roles:*", "articles:*"]).await;
    assert_eq!(put(&lesser, "reader", "new", json!(["articles:read"])).await.status, 200);
    let wanted = ["*:*", "hallpass:*", "*:write", "articles:*:*", "hallpass:users:read", "invoices:read"];
    for more in wanted {
        let expected = if more == "articles:*:*" { 200 } else { 403 };
        let answer = put(&lesser, "reader", "*", json!(["articles:read", more])).await;
        assert_eq!(answer.status, expected, "{more}: {}", answer.text);
    }
    // Nor is a role made harmless that holds more: it is somebody else's.
    let answer = put(&lesser, "boss", "*", json!([])).await;
    assert_eq!((answer.status, answer.code()), (403, "forbidden"));
    assert_eq!(put(&lesser, "author", "*", json!(["articles:read"])).await.status, 200);
    let own = put(&lesser, "for-lesser", "*", json!(["hallpass:roles:*", "articles:*", "hallpass:*"])).await;
    assert_eq!(own.status, 403, "not in the own role either");
    let mut deleting = lesser.clone().with_header("if-match", "*");
    assert_eq!(deleting.delete("/api/v1/admin/roles/boss").await.status, 403);
}

#[tokio::test]
async fn bad_roles_are_refused_with_every_problem() {
    let server = TestApp::start().await;
    let boss = server.boss().await;
    let many: Vec<String> = (0..101).map(|number| format!("a:{number}")).collect();
    let long = format!("a:{}", "b".repeat(100));
    for (name, permissions, problems) in [
        ("Editor", json!([]), &["name: invalid_value"][..]),
        ("9", json!(["read"]), &["name: invalid_value", "permissions: invalid_value"]),
        ("editor", json!(["Articles:read"]), &["permissions: invalid_value"]),
        ("editor", json!(["articles:re*"]), &["permissions: invalid_value"]),
        ("editor", json!(["articles:read articles:write"]), &["permissions: invalid_value"]),
        ("editor", json!([7]), &["permissions: wrong_type"]),
        ("editor", json!("articles:read"), &["permissions: wrong_type"]),
        ("editor", Value::Null, &["permissions: required"]),
        ("editor", json!(many), &["permissions: too_many"]),
        ("editor", json!([long]), &["permissions: too_long"]),
    ] {
        let answer = put(&boss, name, "new", permissions.clone()).await;
        assert_eq!(
            (answer.status, answer.problems()),
            (422, problems.iter().map(ToString::to_string).collect()),
            "{name} {permissions}"
        );
    }
    let body = json!({ "permissions": null, "description": 7 });
    let mut client = boss.clone().with_header("if-none-match", "*");
    let answer = client.send(Method::PUT, "/api/v1/admin/roles/editor", Some(body)).await;
    assert_eq!(
        answer.problems(),
        ["description: wrong_type", "permissions: required"],
        "each of them is told"
    );
    for tag in ["7", "\"zz\"", "\"ffffffffffffffffff\"", "W/\"1\"", ""] {
        assert_eq!(put(&boss, "user", tag, json!([])).await.status, 412, "{tag}");
    }
}

#[tokio::test]
async fn changing_roles_takes_a_fresh_proof_of_identity() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.advance(std::time::Duration::from_secs(14 * 60));
    let answer = put(&boss, "editor", "new", json!([])).await;
    assert_eq!((answer.status, answer.code()), (403, "reauthentication_required"));
    assert_eq!(boss.get("/api/v1/admin/roles").await.status, 200);
    assert_eq!(boss.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await.status, 200);
    assert_eq!(put(&boss, "editor", "new", json!([])).await.status, 200);
}
