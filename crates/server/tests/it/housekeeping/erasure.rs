//! Deleted accounts: what is personal goes everywhere, and the audit log stays verifiable.
use super::{ANN, BOB, DAY, all, count, purge, report, tamper};
use crate::cli::process::Place;
use crate::support::{Client, PASSWORD, TestApp};
use hallpass::audit::StoredEvent;
use serde_json::json;
use std::time::Duration;

const ADDRESS: &str = "203.0.113.77";
const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Telltale/7.7) Gecko";
const NAME: &str = "Annabelle Recognisable";
const USERNAME: &str = "annabelle77";
const FORMER: &str = "former@example.com";

/// What must not be found after the deletion.
const TRACES: [&str; 6] = [ANN, ADDRESS, "Telltale/7.7", NAME, USERNAME, FORMER];

fn client(server: &TestApp) -> Client {
    server.client().at(ADDRESS).with_agent(AGENT)
}

async fn fresh(client: &mut Client) {
    assert_eq!(client.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await.status, 200);
}

/// Somebody who has left traces in every table that there is.
async fn a_life(server: &TestApp) -> Client {
    let mut ann = client(server);
    // Before there is an account: about an address that belongs to nobody.
    ann.post("/api/v1/login", json!({ "email": FORMER, "password": PASSWORD })).await;
    let body = json!({ "email": FORMER, "password": PASSWORD, "name": NAME, "username": USERNAME });
    assert_eq!(ann.post("/api/v1/register", body).await.status, 202);
    let token = server.mailed_token(FORMER, "/verify-email").await;
    assert_eq!(ann.post("/api/v1/verify-email", json!({ "token": token })).await.status, 200);
    ann.log_in(json!({ "email": FORMER, "password": PASSWORD, "tokenDelivery": "body", "deviceName": "Annabelle's" })).await;
    ann.post("/api/v1/login", json!({ "email": ANN, "password": PASSWORD })).await;
    ann.post("/api/v1/login/email", json!({ "email": ANN })).await;
    assert_eq!(ann.post("/api/v1/email/change", json!({ "email": ANN })).await.status, 202);
    let token = server.mailed_token(ANN, "/email/confirm").await;
    assert_eq!(ann.post("/api/v1/email/confirm", json!({ "token": token })).await.status, 200);
    ann.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    ann.post("/api/v1/register", json!({ "email": ANN, "password": PASSWORD, "name": NAME })).await;
    ann.post("/api/v1/factors/totp", json!({})).await;
    ann.patch("/api/v1/me", json!({ "name": NAME })).await;
    ann.post("/api/v1/reauthenticate", json!({ "password": "wrong+wrong+wrong" })).await;
    fresh(&mut ann).await;
    ann
}

/// Where a trace is found: every text and every byte of every table, from the schema.
fn traces(server: &TestApp) -> Vec<&'static str> {
    let stored = server.every_row();
    assert!(stored.contains("audit_anchored") || stored.contains("user_created"), "this is the database");
    TRACES.into_iter().filter(|trace| stored.contains(trace)).collect()
}

/// Nothing personal is left, and the log verifies.
async fn leaves_no_trace(server: &TestApp) {
    assert_eq!(traces(server), Vec::<&str>::new());
    assert_eq!(report(server).await.findings, Vec::<String>::new());
}

#[tokio::test]
async fn after_a_deletion_nothing_personal_is_left_in_any_table_and_the_log_verifies() {
    let server = TestApp::start_with(|config| config.login.passwordless = true).await;
    server.signed_in(BOB).await;
    let mut ann = a_life(&server).await;
    assert_eq!(traces(&server), TRACES, "they are there before");
    let others = count(&server, "select count(*) from audit_events where ip is not null").await;
    assert!(others > 10);
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    // Only the mails that were to be delivered have the address still, and the one that tells of it.
    let left = traces(&server);
    assert!(left.iter().all(|trace| [ANN, FORMER].contains(trace)), "{left:?}");
    let checked = report(&server).await;
    assert_eq!(checked.findings, Vec::<String>::new());
    assert!(checked.erased > 10, "{checked:?}");
    assert!(all(&server).await.iter().any(|event| event.kind == "user_deleted" && event.ip.is_none()));
    server.advance(DAY * 8);
    purge(&server).await;
    assert_eq!(traces(&server), Vec::<&str>::new());
    assert_eq!(count(&server, "select count(*) from erasures").await, 0);
    assert_eq!(report(&server).await.findings, Vec::<String>::new());
    let kept = |event: &&StoredEvent| event.kind == "user_deleted" && event.erased_by.is_none();
    assert_eq!(all(&server).await.iter().filter(kept).count(), 1, "who deleted it stays known");
    let bobs = all(&server).await.into_iter().filter(|event| event.ip.is_some()).count();
    assert!(bobs > 3, "the other person's events are untouched");
}

#[tokio::test]
async fn an_operators_deletion_erases_as_well_and_the_command_says_how_many() {
    let place = Place::migrated();
    place.add_user(ANN);
    place.run(&["user", "delete", ANN, "--yes"]).succeeds();
    let said = place.run(&["audit", "verify", "--json"]).json();
    assert_eq!((said["findings"].as_array().unwrap().len(), said["erased"].as_i64().unwrap() > 0), (0, true));
    assert!(place.run(&["audit", "verify"]).succeeds().out.contains("about deleted accounts"));
}

#[tokio::test]
async fn traces_stay_as_long_as_the_setting_says_and_go_then() {
    let server = TestApp::start_with(|config| config.retention.deleted_accounts = DAY * 30).await;
    let mut ann = a_life(&server).await;
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    server.advance(DAY * 29);
    purge(&server).await;
    assert!(traces(&server).contains(&ADDRESS));
    assert!(all(&server).await.iter().any(|event| event.kind == "user_deleted" && event.ip.is_some()));
    server.advance(DAY * 2);
    purge(&server).await;
    leaves_no_trace(&server).await;
}

#[tokio::test]
async fn a_long_history_is_erased_in_batches() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut ann = client(&server);
    server.sign_up(ANN).await;
    ann.log_in(json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" })).await;
    for number in 0..1_100 {
        ann.patch("/api/v1/me", json!({ "name": format!("{NAME} {number}") })).await;
    }
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    let left = count(&server, "select count(*) from audit_events where ip = '203.0.113.77'").await;
    assert!((600..700).contains(&left), "{left}: the first batch went with the account");
    assert_eq!(report(&server).await.findings, Vec::<String>::new());
    server.advance(Duration::from_secs(601));
    purge(&server).await;
    assert_eq!(count(&server, "select count(*) from audit_events where ip = '203.0.113.77'").await, 0);
    let checked = report(&server).await;
    assert_eq!((checked.findings.len(), checked.erased > 1_100), (0, true), "{checked:?}");
}

#[tokio::test]
async fn events_of_a_former_secret_keys_time_are_erased_too() {
    let server = TestApp::start().await;
    client(&server).post("/api/v1/login", json!({ "email": ANN, "password": PASSWORD })).await;
    let former = server.secret_key();
    let server = server
        .restart_with(|config| {
            config.keys.previous_secret_keys = vec![hallpass::config::Secret::new(former.trim())];
            config.keys.secret_key =
                Some(hallpass::config::Secret::new("another-root-secret-of-enough-bytes-77"));
        })
        .await;
    let mut ann = server.signed_in(ANN).await;
    assert_eq!(count(&server, "select count(*) from audit_events where ip = '203.0.113.77'").await, 1);
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    assert_eq!(count(&server, "select count(*) from audit_events where ip = '203.0.113.77'").await, 0);
    assert_eq!(report(&server).await.findings, Vec::<String>::new());
}

#[tokio::test]
async fn whoever_blanks_the_event_of_somebody_who_is_there_is_found() {
    let cases = [
        "update audit_events set ip = null, user_agent = null, request_id = null, detail = null, personal_salt = null
            where id = $1",
        // As if the erasure of somebody else were about it.
        "update audit_events set ip = null, user_agent = null, request_id = null, detail = null, personal_salt = null,
            identifier_hash = null, erased_by = (select max(seq) from audit_events e where e.kind = 'personal_data_erased')
            where id = $1",
        "update audit_events set ip = null, user_agent = null, request_id = null, detail = null, personal_salt = null,
            identifier_hash = null, erased_by = seq where id = $1",
        "update audit_events set ip = null, user_agent = null, request_id = null, detail = null, personal_salt = null,
            identifier_hash = null, erased_by = 100000 where id = $1",
        "update audit_events set erased_by = 100000 where id = $1",
    ];
    for case in cases {
        let server = TestApp::start().await;
        let mut ann = server.signed_in(ANN).await;
        let mut bob = server.signed_in(BOB).await;
        fresh(&mut ann).await;
        assert_eq!(ann.delete("/api/v1/me").await.status, 200);
        let id = bob.get("/api/v1/events").await.json["events"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(report(&server).await.findings, Vec::<String>::new());
        tamper(&server, case, &[(&id).into()]).await;
        let found = report(&server).await.findings;
        assert!(found.iter().any(|one| one.contains(&id)), "{case}: {found:?}");
    }
}

#[tokio::test]
async fn an_erased_event_is_still_a_link_and_cannot_be_filled_anew() {
    for case in [
        "update audit_events set ip = '10.9.9.9' where erased_by is not null",
        "update audit_events set kind = 'logged_out' where erased_by is not null",
        "update audit_events set erased_by = null where erased_by is not null",
        "update audit_events set detail = '{}' where kind = 'personal_data_erased'",
        "update audit_events set erased_by = seq + 1, ip = null, user_agent = null, request_id = null, detail = null,
            personal_salt = null where kind = 'personal_data_erased'",
    ] {
        let server = TestApp::start().await;
        let mut ann = server.signed_in(ANN).await;
        fresh(&mut ann).await;
        assert_eq!(ann.delete("/api/v1/me").await.status, 200);
        tamper(&server, case, &[]).await;
        assert!(!report(&server).await.findings.is_empty(), "{case}");
    }
}

const PERSONAL: &str = "select count(*) from audit_events where ip is not null";

async fn id_of(client: &mut Client) -> String {
    client.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_erasure_that_somebody_else_wrote_erases_nothing() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut bob = server.signed_in(BOB).await;
    let (ann_id, bob_id) = (id_of(&mut ann).await, id_of(&mut bob).await);
    fresh(&mut ann).await;
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    let before = count(&server, PERSONAL).await;
    assert!(before > 2);
    // Anew, and of a rightful one.
    let write = "insert into erasures (user_id, identifiers, due_at, mac) values ($1, 'x', 0, $2)";
    tamper(&server, write, &[(&bob_id).into(), [7_u8; 32].as_slice().into()]).await;
    purge(&server).await;
    assert_eq!(count(&server, "select count(*) from erasures").await, 1, "the rightful one still waits");
    let change = "update erasures set user_id = $1 where user_id = $2";
    tamper(&server, change, &[(&bob_id).into(), (&ann_id).into()]).await;
    server.advance(Duration::from_secs(601));
    purge(&server).await;
    assert_eq!(count(&server, "select count(*) from erasures").await, 0);
    assert_eq!(count(&server, PERSONAL).await, before);
    assert_eq!(report(&server).await.findings, Vec::<String>::new());
}

#[tokio::test]
async fn a_forged_erasure_does_not_stand_in_the_way_of_the_rightful_one() {
    let server = TestApp::start_with(|config| config.retention.deleted_accounts = DAY * 30).await;
    let mut ann = a_life(&server).await;
    let id = id_of(&mut ann).await;
    let write = "insert into erasures (user_id, identifiers, due_at, mac) values ($1, 'x', $2, $3)";
    tamper(&server, write, &[(&id).into(), i64::MAX.into(), [7_u8; 32].as_slice().into()]).await;
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    server.advance(DAY * 31);
    purge(&server).await;
    assert_eq!(traces(&server), Vec::<&str>::new());
}

#[tokio::test]
async fn somebody_who_is_there_again_under_the_same_id_keeps_the_log() {
    let server = TestApp::start_with(|config| config.retention.deleted_accounts = DAY * 30).await;
    server.signed_in(BOB).await;
    let mut ann = a_life(&server).await;
    let id = id_of(&mut ann).await;
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    let before = count(&server, PERSONAL).await;
    // As an import does.
    let restore = "insert into users (id, email, email_normalised, roles, created_at, updated_at)
        select $1, 'ann', 'ann', roles, created_at, updated_at from users";
    tamper(&server, restore, &[(&id).into()]).await;
    server.advance(DAY * 31);
    purge(&server).await;
    assert_eq!(count(&server, PERSONAL).await, before);
    assert_eq!(count(&server, "select count(*) from erasures").await, 0);
}

#[tokio::test]
async fn events_that_are_given_to_a_deleted_account_are_not_erased_or_the_check_finds_it() {
    // Whose identifier was changed: not erased.
    let server = TestApp::start().await;
    for email in ["eve@example.com", ANN] {
        server
            .client()
            .at(ADDRESS)
            .post("/api/v1/login", json!({ "email": email, "password": PASSWORD }))
            .await;
    }
    let mut ann = server.signed_in(ANN).await;
    // One of the two is about the address of the account, so both are then.
    let hashes = (all(&server).await.into_iter()).filter(|event| event.kind == "login_failed");
    let hashes: Vec<String> = hashes.filter_map(|event| event.identifier_hash).collect();
    assert_eq!(hashes.len(), 2);
    let change = "update audit_events set identifier_hash = $1 where identifier_hash = $2";
    tamper(&server, change, &[(&hashes[1]).into(), (&hashes[0]).into()]).await;
    fresh(&mut ann).await;
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    server.advance(Duration::from_secs(601));
    purge(&server).await;
    assert_eq!(count(&server, "select count(*) from audit_events where ip = '203.0.113.77'").await, 1);
    assert!(report(&server).await.findings.iter().any(|one| one.contains("were changed")));
    // Whose user was changed, for as long as it takes: the erasure is not about that user.
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut bob = server.signed_in(BOB).await;
    let (ann_id, bob_id) = (id_of(&mut ann).await, id_of(&mut bob).await);
    let event = bob.get("/api/v1/events").await.json["events"][0]["id"].as_str().unwrap().to_owned();
    fresh(&mut ann).await;
    let give = "update audit_events set user_id = $1 where id = $2";
    tamper(&server, give, &[(&ann_id).into(), (&event).into()]).await;
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    tamper(&server, give, &[(&bob_id).into(), (&event).into()]).await;
    let found = report(&server).await.findings;
    assert!(found.iter().any(|one| one.contains(&event)), "{found:?}");
}

#[tokio::test]
async fn an_erasure_that_waits_outlives_a_change_of_the_secret_key() {
    let server = TestApp::start_with(|config| config.retention.deleted_accounts = DAY * 30).await;
    let mut ann = a_life(&server).await;
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    let former = server.secret_key();
    let server = server
        .restart_with(|config| {
            config.keys.previous_secret_keys = vec![hallpass::config::Secret::new(former.trim())];
            config.keys.secret_key =
                Some(hallpass::config::Secret::new("another-root-secret-of-enough-bytes-77"));
        })
        .await;
    // Signed anew by the start: the former key may leave.
    let server = server.restart_with(|config| config.keys.previous_secret_keys = Vec::new()).await;
    server.advance(DAY * 31);
    purge(&server).await;
    leaves_no_trace(&server).await;
}

#[tokio::test]
async fn a_wrong_code_for_an_address_that_was_nobodys_is_erased_too() {
    let server = TestApp::start_with(|config| config.login.passwordless = true).await;
    let mut early = client(&server);
    early.post("/api/v1/login/email", json!({ "email": ANN, "tokenDelivery": "body" })).await;
    assert_eq!(early.post("/api/v1/verify", json!({ "otp": "000000" })).await.code(), "invalid_code");
    assert!(all(&server).await.iter().any(|event| event.kind == "second_factor_failed"));
    let mut ann = server.signed_in(ANN).await;
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    assert_eq!(count(&server, "select count(*) from audit_events where ip = '203.0.113.77'").await, 0);
}

#[tokio::test]
async fn an_invitation_goes_with_the_account_that_came_of_it_though_the_address_is_another_by_then() {
    let server = TestApp::start().await;
    crate::invitations::invited(&server, FORMER).await;
    let accept = json!({ "token": server.mailed_token(FORMER, "/invitation").await, "password": PASSWORD });
    assert_eq!(client(&server).post("/api/v1/invitations/accept", accept).await.status, 201);
    crate::invitations::invited(&server, BOB).await;
    let mut ann = client(&server);
    ann.log_in(json!({ "email": FORMER, "password": PASSWORD, "tokenDelivery": "body" })).await;
    assert_eq!(ann.post("/api/v1/email/change", json!({ "email": ANN })).await.status, 202);
    let token = server.mailed_token(ANN, "/email/confirm").await;
    assert_eq!(ann.post("/api/v1/email/confirm", json!({ "token": token })).await.status, 200);
    fresh(&mut ann).await;
    let exported = ann.get("/api/v1/me/export").await.json;
    let invitations = exported["invitations"].as_array().unwrap();
    assert!(invitations.len() == 1 && invitations[0]["email"] == FORMER, "{exported}");
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    let left = hallpass::invitations::list(&server.app.db, None, 1000).await.unwrap();
    assert_eq!(left.iter().map(|one| one.email.as_str()).collect::<Vec<_>>(), [BOB], "another's stays");
    server.advance(DAY * 8);
    purge(&server).await;
    assert_eq!(traces(&server), Vec::<&str>::new());
}
