//! Invitations: by mail, with roles, expiring, single use.
mod authority;

use crate::cli::process::Place;
use crate::support::{Answer, PASSWORD, TestApp};
use hallpass::audit::{self, Filter};
use hallpass::error::Result;
use hallpass::ids::RowId;
use hallpass::invitations::{self, Actor, Invitation, Invite};
use hallpass::mail;
use hallpass::names::Email;
use hallpass::roles::Authority;
use hallpass::web::Client as Caller;
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";
const ACCEPT: &str = "/api/v1/invitations/accept";
const DAY: Duration = Duration::from_secs(86_400);

async fn create(server: &TestApp, actor: Actor<'_>, wish: &Invite) -> Result<Invitation> {
    let mut tx = server.app.db.begin().await?;
    let made = invitations::create(&server.app, &mut tx, actor, wish).await?;
    mail::commit(&server.app, tx).await?;
    Ok(made)
}

async fn invite_with(
    server: &TestApp,
    email: &str,
    roles: &[&str],
    life: Option<Duration>,
) -> Result<Invitation> {
    let client = Caller::local();
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let wish = Invite { email: Email::parse(email).unwrap(), name: Some("Ann".into()), roles, life };
    create(server, Actor { client: &client, by: Authority::Operator }, &wish).await
}

async fn invite(server: &TestApp, email: &str) -> Invitation {
    invite_with(server, email, &[], None).await.unwrap()
}

/// Invites somebody, for other tests.
pub async fn invited(server: &TestApp, email: &str) {
    invite(server, email).await;
}

async fn resend(server: &TestApp, id: RowId) -> Result<Invitation> {
    let client = Caller::local();
    resend_as(server, Actor { client: &client, by: Authority::Operator }, id).await
}

async fn resend_as(server: &TestApp, actor: Actor<'_>, id: RowId) -> Result<Invitation> {
    let mut tx = server.app.db.begin().await?;
    let renewed = invitations::resend(&server.app, &mut tx, actor, id, None).await?;
    mail::commit(&server.app, tx).await?;
    Ok(renewed)
}

async fn revoke(server: &TestApp, id: RowId) -> Result<bool> {
    let client = Caller::local();
    let actor = Actor { client: &client, by: Authority::Operator };
    let mut tx = server.app.db.begin().await?;
    let revoked = invitations::revoke(&server.app, &mut tx, actor, id).await?;
    tx.commit().await?;
    Ok(revoked)
}

async fn token(server: &TestApp, email: &str) -> String {
    server.mailed_token(email, "/invitation").await
}

async fn accept(server: &TestApp, token: &str) -> Answer {
    server.client().post(ACCEPT, json!({ "token": token, "password": PASSWORD })).await
}

async fn state(server: &TestApp, id: RowId) -> &'static str {
    let all = invitations::list(&server.app.db, None, 1000).await.unwrap();
    all.iter().find(|one| one.id == id).unwrap().view(server.app.now()).state
}

#[track_caller]
fn is_dead(answer: &Answer) {
    assert_eq!((answer.status, answer.code()), (400, "invalid_token"), "{}", answer.text);
}

#[tokio::test]
async fn the_invited_person_chooses_a_password_and_has_the_roles_and_a_proven_address() {
    let server = TestApp::start().await;
    let made = invite_with(&server, ANN, &["admin"], None).await.unwrap();
    let answer = accept(&server, &token(&server, ANN).await).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let user = &answer.json["user"];
    assert_eq!(
        (&user["email"], &user["emailVerified"], &user["name"], &user["roles"]),
        (&json!(ANN), &json!(true), &json!("Ann"), &json!(["admin", "user"]))
    );
    assert!(
        answer.json["accessToken"].is_null() && answer.headers.get("set-cookie").is_none(),
        "nobody is signed in"
    );
    let exported = server.sign_in(ANN).await.get("/api/v1/me/export").await.json;
    assert_eq!(exported["invitations"][0]["id"], json!(made.id), "{exported}");
    assert_eq!(state(&server, made.id).await, "accepted");
    let stored = server.everything_stored();
    assert!(!stored.contains("hp_in_"), "the link is stored nowhere in clear");
}

#[tokio::test]
async fn name_and_username_may_be_chosen_and_a_taken_username_leaves_the_link_good() {
    let server = TestApp::start().await;
    server.sign_up_as(json!({ "email": "bob@example.com", "password": PASSWORD, "username": "bob" })).await;
    invite(&server, ANN).await;
    let token = token(&server, ANN).await;
    let mut client = server.client();
    let body = |username: &str, password: &str| json!({ "token": token, "password": password, "name": "Anna", "username": username });
    let refused = client.post(ACCEPT, body("BOB", PASSWORD)).await;
    assert_eq!((refused.status, refused.code()), (409, "username_taken"));
    let weak = client.post(ACCEPT, body("anna", "annanna1")).await;
    assert_eq!((weak.status, weak.code()), (422, "validation_failed"), "{}", weak.text);
    let done = client.post(ACCEPT, body("anna", PASSWORD)).await;
    assert_eq!((done.status, &done.json["user"]["name"]), (201, &json!("Anna")), "{}", done.text);
    assert_eq!(done.json["user"]["username"], "anna");
}

#[tokio::test]
async fn a_link_serves_once_even_when_many_use_it_at_the_same_time() {
    let server = TestApp::start().await;
    invite(&server, ANN).await;
    let token = token(&server, ANN).await;
    let node = server.second_node().await;
    let calls = (0..8).map(|number| {
        let mut client = if number % 2 == 0 { server.client() } else { node.client() };
        let body = json!({ "token": token, "password": PASSWORD, "name": format!("Ann {number}") });
        async move { client.post(ACCEPT, body).await }
    });
    let answers = futures_util::future::join_all(calls).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1, "{:?}", answers.iter().map(|answer| answer.text.clone()).collect::<Vec<_>>());
    assert!(answers.iter().all(|answer| [201, 400, 409].contains(&answer.status)));
    is_dead(&accept(&server, &token).await);
    let events = audit::list(&server.app.db, &Filter::default(), None, 1000).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.kind == "invitation_accepted").count(), 1);
}

#[tokio::test]
async fn an_expired_a_revoked_and_a_resent_invitation_open_nothing_by_the_former_link() {
    let server = TestApp::start().await;
    let made = invite(&server, ANN).await;
    let first = token(&server, ANN).await;
    server.advance(7 * DAY);
    is_dead(&accept(&server, &first).await);
    assert_eq!(state(&server, made.id).await, "expired");
    resend(&server, made.id).await.unwrap();
    let second = token(&server, ANN).await;
    is_dead(&accept(&server, &first).await);
    assert!(revoke(&server, made.id).await.unwrap());
    assert!(!revoke(&server, made.id).await.unwrap(), "it was revoked already");
    is_dead(&accept(&server, &second).await);
    assert_eq!(resend(&server, made.id).await.unwrap_err().code.name(), "invitation_over");
    // The address is free to be invited again.
    let again = invite_with(&server, ANN, &[], Some(Duration::from_secs(60))).await.unwrap();
    let third = token(&server, ANN).await;
    server.advance(Duration::from_secs(59));
    assert_eq!(accept(&server, &third).await.status, 201);
    assert_eq!(revoke(&server, again.id).await.unwrap_err().code.name(), "invitation_over");
    assert_eq!(resend(&server, again.id).await.unwrap_err().code.name(), "email_taken");
    let nobody = RowId::parse("01900000-0000-7000-8000-000000000000").unwrap();
    assert_eq!(revoke(&server, nobody).await.unwrap_err().code.name(), "not_found");
    assert_eq!(resend(&server, nobody).await.unwrap_err().code.name(), "not_found");
}

#[tokio::test]
async fn an_address_has_one_live_invitation_also_when_several_invite_at_the_same_time() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let tries = (0..6).map(|_| invite_with(&server, ANN, &[], None));
    let done = futures_util::future::join_all(tries).await;
    assert_eq!(done.iter().filter(|made| made.is_ok()).count(), 1);
    let refused = done.iter().filter_map(|made| made.as_ref().err());
    assert!(refused.into_iter().all(|error| error.code.name() == "invitation_exists"));
    // One that has expired does not come back beside a newer one.
    let first = done.into_iter().find_map(Result::ok).unwrap();
    server.advance(8 * DAY);
    invite(&server, ANN).await;
    assert_eq!(resend(&server, first.id).await.unwrap_err().code.name(), "invitation_exists");
}

#[tokio::test]
async fn an_account_that_exists_keeps_its_rights_whatever_it_is_invited_to() {
    let server = TestApp::start().await;
    let made = invite_with(&server, ANN, &["admin"], None).await.unwrap();
    let invited = token(&server, ANN).await;
    let mut client = server.signed_in(ANN).await;
    let answer = accept(&server, &invited).await;
    assert_eq!((answer.status, answer.code()), (409, "email_taken"), "{}", answer.text);
    assert_eq!(client.get("/api/v1/me").await.json["user"]["roles"], json!(["user"]));
    assert_eq!(state(&server, made.id).await, "pending");
    assert_eq!(invite_with(&server, ANN, &["admin"], None).await.unwrap_err().code.name(), "email_taken");
    // With the account its invitations go, so that an old link does not give its rights to the next one.
    client.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    assert_eq!(client.delete("/api/v1/me").await.status, 200);
    is_dead(&accept(&server, &invited).await);
}

#[tokio::test]
async fn what_somebody_else_began_to_register_does_not_touch_the_invited_account() {
    let server = TestApp::start().await;
    let mut stranger = server.client();
    let body = json!({ "email": ANN, "password": "a-strangers-own-choice" });
    assert_eq!(stranger.post("/api/v1/register", body).await.status, 202);
    let planted = server.mailed_token(ANN, "/verify-email").await;
    invite(&server, ANN).await;
    assert_eq!(accept(&server, &token(&server, ANN).await).await.status, 201);
    is_dead(&stranger.post("/api/v1/verify-email", json!({ "token": planted })).await);
    server.sign_in(ANN).await;
}

#[tokio::test]
async fn the_token_of_another_kind_opens_no_invitation_and_an_invitation_opens_nothing_else() {
    let server = TestApp::start().await;
    server.sign_up("bob@example.com").await;
    server.client().post("/api/v1/password/forgot", json!({ "email": "bob@example.com" })).await;
    let reset = server.mailed_token("bob@example.com", "/password/reset").await;
    is_dead(&accept(&server, &reset).await);
    is_dead(&accept(&server, &reset.replace("hp_pr_", "hp_in_")).await);
    is_dead(&accept(&server, "hp_in_").await);
    invite(&server, ANN).await;
    let invited = token(&server, ANN).await;
    let mut client = server.client();
    let hashes = server.app.hashing.computed();
    for path in ["/api/v1/password/reset", "/api/v1/verify-email", "/api/v1/email/confirm", "/api/v1/not-me"]
    {
        is_dead(&client.post(path, json!({ "token": invited, "password": PASSWORD })).await);
    }
    is_dead(&accept(&server, &invited.replace("hp_in_", "hp_vl_")).await);
    assert_eq!(server.app.hashing.computed(), hashes, "no hash is spent on a token that opens nothing");
}

#[tokio::test]
async fn opening_the_page_changes_nothing_and_its_form_makes_the_account() {
    let server = TestApp::start().await;
    let made = invite(&server, ANN).await;
    let token = token(&server, ANN).await;
    let mut browser = server.client();
    for _ in 0..3 {
        let page = browser.get(&format!("/invitation?token={token}")).await;
        assert!(
            page.status == 200 && page.text.contains(ANN) && page.text.contains("password"),
            "{}",
            page.text
        );
    }
    assert_eq!(state(&server, made.id).await, "pending");
    let weak = browser.post_form("/invitation", &[("token", &token), ("password", "short")]).await;
    assert!(weak.status == 422 && weak.text.contains("at least 8"), "{}", weak.text);
    let fields = [("token", token.as_str()), ("password", PASSWORD)];
    let mut foreign = server.client().with_header("origin", "https://evil.example");
    assert_eq!(foreign.post_form("/invitation", &fields).await.status, 403);
    let done = browser.post_form("/invitation", &fields).await;
    assert!(done.status == 201 && done.text.contains("ready"), "{}", done.text);
    server.sign_in(ANN).await;
    assert_eq!(browser.get(&format!("/invitation?token={token}")).await.status, 400);
    assert_eq!(browser.get("/invitation").await.status, 400);
}

#[tokio::test]
async fn the_second_factor_that_a_role_needs_is_asked_for_at_the_first_sign_in() {
    let server = TestApp::start_with(|config| config.factors.required_roles = vec!["admin".into()]).await;
    invite_with(&server, ANN, &["admin"], None).await.unwrap();
    assert_eq!(accept(&server, &token(&server, ANN).await).await.status, 201);
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    let answer = server.client().post("/api/v1/login", body).await;
    assert!(answer.json["accessToken"].is_null(), "{}", answer.text);
    assert_eq!(answer.json["status"], "second_factor_required", "{}", answer.text);
}

#[tokio::test]
async fn mails_of_invitations_count_against_the_limit_of_an_address() {
    let server = TestApp::start().await;
    let made = invite(&server, ANN).await;
    resend(&server, made.id).await.unwrap();
    resend(&server, made.id).await.unwrap();
    let live = token(&server, ANN).await;
    let refused = resend(&server, made.id).await.unwrap_err();
    assert_eq!((refused.code.name(), refused.retry_after), ("rate_limited", Some(900)));
    // The refused one has not killed the link that was mailed.
    assert_eq!(accept(&server, &live).await.status, 201);
}

#[tokio::test]
async fn roles_that_do_not_exist_and_lives_out_of_bounds_are_refused() {
    let server = TestApp::start().await;
    for (roles, life, code) in [
        (&["king"] as &[&str], None, "validation_failed"),
        (&["admin admin"], None, "validation_failed"),
        (&[], Some(Duration::from_secs(59)), "validation_failed"),
        (&[], Some(91 * DAY), "validation_failed"),
    ] {
        assert_eq!(invite_with(&server, ANN, roles, life).await.unwrap_err().code.name(), code);
    }
    assert!(server.mails_to(ANN).await.is_empty());
}

#[tokio::test]
async fn every_step_is_in_the_audit_log_and_the_address_is_not() {
    let server = TestApp::start().await;
    let made = invite_with(&server, ANN, &["admin"], None).await.unwrap();
    resend(&server, made.id).await.unwrap();
    revoke(&server, made.id).await.unwrap();
    invite(&server, ANN).await;
    accept(&server, &token(&server, ANN).await).await;
    let events = audit::list(&server.app.db, &Filter::default(), None, 1000).await.unwrap();
    let told: Vec<&audit::StoredEvent> =
        events.iter().filter(|event| event.kind.starts_with("invitation_")).collect();
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "invitation_created",
            "invitation_resent",
            "invitation_revoked",
            "invitation_created",
            "invitation_accepted"
        ]
    );
    let detail: Value = serde_json::from_str(told[0].detail.as_deref().unwrap()).unwrap();
    assert_eq!(detail, json!({ "invitation": made.id, "roles": ["admin"], "by": "operator" }));
    assert!(told[4].user.is_some());
    assert!(events.iter().all(|event| !event.detail.as_deref().unwrap_or_default().contains(ANN)));
    assert_eq!(audit::verify(&server.app, &[]).await.unwrap().findings, Vec::<String>::new());
}

#[test]
fn operators_invite_list_resend_and_revoke_on_the_command_line() {
    let place = Place::migrated();
    place.run(&["invite", "list"]).succeeds();
    let made = place
        .run(&["invite", "create", "--email", ANN, "--role", "admin", "--expires", "3d", "--json"])
        .json();
    let id = made["invitation"]["id"].as_str().unwrap();
    assert_eq!(
        (&made["invitation"]["state"], &made["invitation"]["roles"]),
        (&json!("pending"), &json!(["admin"]))
    );
    assert!(!made.to_string().contains("hp_in_"), "only the mail has the link");
    place.run(&["invite", "create", "--email", ANN]).fails_with("an invitation already");
    place.run(&["invite", "create", "--email", "nonsense"]).fails_with("is not an e-mail address");
    place
        .run(&["invite", "create", "--email", "b@example.com", "--expires", "100d"])
        .fails_with("from 1m to 90d");
    assert!(place.run(&["invite", "resend", id]).succeeds().out.contains(ANN));
    assert!(place.run(&["invite", "revoke", id]).succeeds().out.contains("opens nothing"));
    assert!(place.run(&["invite", "revoke", id]).succeeds().out.contains("already"));
    place.run(&["invite", "resend", id]).fails_with("accepted or revoked");
    place
        .run(&["invite", "revoke", "01900000-0000-7000-8000-000000000000"])
        .fails_with("there is no invitation");
    place.run(&["invite", "revoke", "x"]).fails_with("is not the id of an invitation");
    let listed = place.run(&["invite", "list", "--json"]).json();
    assert_eq!(listed["invitations"][0]["state"], "revoked");
}
