//! What a call rests on may end while it waits for the database: then it changes nothing, and lets nobody in.
use super::{ANN, THIEF};
use crate::factors::ann_with_an_app;
use crate::support::{Answer, Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::db::Statements;
use serde_json::json;

/// Answers of a call of Ann's that waits for the database while something changes for her.
async fn overtaken<F>(
    server: &TestApp,
    ann: &Client,
    id: &str,
    sql: &'static str,
    call: impl FnOnce(Client) -> F,
) -> Answer
where
    F: Future<Output = Answer> + Send + 'static,
{
    let mut tx = server.app.db.begin().await.unwrap();
    tx.lock(&format!("factors/{id}")).await.unwrap();
    tx.execute(sql, &[server.app.now().into(), id.into()]).await.unwrap();
    let waiting = tokio::spawn(call(ann.clone()));
    // Others get their answers, and their turn in the queue of hashes: then the call is in the middle of it. If not, it
    // comes too late anyway.
    for _ in 0..50 {
        server.client().get("/api/v1/settings").await;
        server.app.hashing.run(|| ()).await.unwrap();
    }
    tx.commit().await.unwrap();
    waiting.await.unwrap()
}

async fn id(ann: &mut Client) -> String {
    ann.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned()
}

/// The answer of a call whose session is ended meanwhile, as by the link of a mail.
async fn ended<F>(server: &TestApp, ann: &mut Client, call: impl FnOnce(Client) -> F) -> Answer
where
    F: Future<Output = Answer> + Send + 'static,
{
    let id = id(ann).await;
    let sql = "update sessions set revoked_at = $1, revoked_reason = 'disowned' where user_id = $2";
    overtaken(server, ann, &id, sql, call).await
}

fn refused(answer: &Answer) {
    assert_eq!((answer.status, answer.code()), (401, "session_revoked"), "{}", answer.text);
}

#[tokio::test]
async fn no_change_of_address_is_begun() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let body = json!({ "email": THIEF });
    refused(
        &ended(&server, &mut ann, |mut ann| async move { ann.post("/api/v1/email/change", body).await })
            .await,
    );
    assert!(server.mails_to(THIEF).await.is_empty());
}

#[tokio::test]
async fn no_factor_comes_or_goes() {
    let server = TestApp::start().await;
    let (mut ann, app, _) = ann_with_an_app(&server).await;
    let answer = ended(&server, &mut ann, |mut ann| async move {
        ann.post_nothing("/api/v1/factors/recovery-codes").await
    });
    refused(&answer.await);
    ann = server.client();
    let mut attempt = server.client();
    let first = crate::factors::first_step(&mut attempt, ANN).await;
    let body = json!({ "attempt": first["attempt"], "otp": app.code(&server) });
    let done = attempt.post("/api/v1/verify", body).await;
    ann.keep_tokens(&done);
    refused(
        &ended(&server, &mut ann, |mut ann| async move { ann.delete("/api/v1/factors/totp").await }).await,
    );
}

#[tokio::test]
async fn no_app_is_begun_to_be_set_up() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    refused(
        &ended(&server, &mut ann, |mut ann| async move { ann.post_nothing("/api/v1/factors/totp").await })
            .await,
    );
}

#[tokio::test]
async fn no_password_is_changed_and_no_account_is_deleted() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    refused(
        &ended(&server, &mut ann, |mut ann| async move { ann.post("/api/v1/password/change", body).await })
            .await,
    );
    let mut ann = server.sign_in(ANN).await;
    refused(&ended(&server, &mut ann, |mut ann| async move { ann.delete("/api/v1/me").await }).await);
}

#[tokio::test]
async fn a_sign_in_under_way_is_asked_for_the_factor_that_was_set_up_meanwhile() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let id = id(&mut ann).await;
    let sql = "update users set factors = 'totp', updated_at = $1 where id = $2";
    let thief = server.client();
    let answer = overtaken(&server, &thief, &id, sql, |mut thief| async move {
        thief.post("/api/v1/login", json!({ "email": ANN, "password": PASSWORD })).await
    });
    let answer = answer.await;
    assert_eq!(answer.json["status"], "second_factor_required", "{}", answer.text);
}

#[tokio::test]
async fn a_sign_in_under_way_on_a_device_that_is_not_trusted_any_more_is_asked_for_the_second_factor() {
    let server = TestApp::start().await;
    let (mut ann, app, _) = ann_with_an_app(&server).await;
    let id = id(&mut ann).await;
    let mut device = server.client();
    let first = crate::factors::first_step(&mut device, ANN).await;
    let body = json!({ "attempt": first["attempt"], "otp": app.code(&server), "rememberDevice": true });
    assert_eq!(device.post("/api/v1/verify", body).await.status, 200);
    device.log_in(json!({ "email": ANN, "password": PASSWORD })).await;
    let sql = "update devices set trusted_until = null, last_sign_in_at = $1 where user_id = $2";
    let answer = overtaken(&server, &device, &id, sql, |mut device| async move {
        device.post("/api/v1/login", json!({ "email": ANN, "password": PASSWORD })).await
    });
    let answer = answer.await;
    assert_eq!(answer.json["status"], "second_factor_required", "{}", answer.text);
}
