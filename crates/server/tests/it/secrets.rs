//! Secrets show up nowhere but where they are handed out: not in logs, answers, settings or the database.
use crate::support::{OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::config::Secret;
use hallpass::service_keys::Scope;
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};

const ANN: &str = "ann@example.com";

/// Log lines, kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A whole account life with its failures; returns every secret that was handed out and every other answer.
async fn life(server: &TestApp) -> (Vec<String>, String) {
    let mut client = server.signed_in(ANN).await;
    let mut secrets = vec![PASSWORD.to_owned(), OTHER_PASSWORD.to_owned()];
    let mut answers = String::new();
    let first = client.refresh_token.clone().unwrap();
    secrets.extend([first.clone(), client.bearer.clone().unwrap()]);
    client.refresh().await;
    secrets.extend([client.refresh_token.clone().unwrap(), client.bearer.clone().unwrap()]);
    secrets.push(server.mailed_token(ANN, "/verify-email").await);
    secrets.push(client.cookie("device").unwrap().to_owned());
    server.sign_in(ANN).await;
    secrets.push(server.mailed_token(ANN, "/not-me").await);
    secrets.push(server.mailed_code(ANN).await);
    client.post("/api/v1/email/change", json!({ "email": "new@example.com" })).await;
    secrets.push(server.mailed_token("new@example.com", "/email/confirm").await);
    secrets.push(server.mailed_token(ANN, "/email/undo").await);
    client.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    secrets.push(server.mailed_token(ANN, "/password/reset").await);
    let scopes = [Scope::Introspect, Scope::Revocations];
    let (_, key) = server.service_key("billing", &scopes, None).await;
    let mut service = server.client().with_header("authorization", &format!("Bearer {key}"));
    for token in [&client.bearer, &client.refresh_token] {
        let token = token.as_deref().unwrap();
        answers += &service.post_form("/api/v1/introspect", &[("token", token)]).await.text;
    }
    answers += &service.get("/api/v1/revocations").await.text;
    assert!(answers.contains("\"active\":true"), "{answers}");
    secrets.push(key);
    for path in
        ["/api/v1/me", "/api/v1/sessions", "/api/v1/events", "/api/v1/me/export", "/metrics", "/health/ready"]
    {
        answers += &client.get(path).await.text;
    }
    for secret in secrets.clone() {
        answers += &client
            .post("/api/v1/verify-email", json!({ "token": secret, "email": ANN, "code": secret }))
            .await
            .text;
        answers +=
            &client.get(&format!("/password/reset?token={}", &secret[..secret.len().min(9)])).await.text;
        answers +=
            &client.post("/api/v1/reauthenticate", json!({ "password": format!("{secret}x") })).await.text;
    }
    let change = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    answers += &client.post("/api/v1/password/change", change).await.text;
    // Two rotations ago by then: reuse, and not a retry that is handed its successor.
    client.refresh().await;
    answers += &client.refresh_with(&first).await.text;
    answers += &server
        .client()
        .post("/api/v1/login", json!({ "email": ANN, "password": format!("{PASSWORD}!") }))
        .await
        .text;
    (secrets, answers)
}

#[tokio::test]
async fn no_secret_is_in_the_log_in_other_answers_or_in_the_database() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: a subscriber of this thread alone may miss what other tests registered first.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let (secrets, answers) = life(&server).await;
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.lines().count() > 40 && log.contains("/api/v1/login"), "{log}");
    let stored = server.everything_stored();
    assert!(stored.contains(ANN), "this is the database");
    for secret in secrets {
        assert!(!log.contains(&secret), "the log has {secret}");
        // Six digits turn up by chance among keyed hashes; longer secrets do not.
        assert!(secret.len() == 6 || !stored.contains(&secret), "the database has {secret}");
        assert!(secret.len() == 6 || !answers.contains(&secret), "an answer has {secret}");
    }
    assert!(!answers.contains("$argon2"));
}

#[tokio::test]
async fn settings_never_show_their_secrets() {
    let mut config = hallpass::config::Config::default();
    let secret = "kJ7x-settings-bytes-of-32-characters";
    config.keys.secret_key = Some(Secret::new(secret));
    config.keys.pepper = Some(Secret::new(secret));
    config.mail.smtp_url = Some(Secret::new(format!("smtps://user:{secret}@host:465")));
    assert!(!format!("{config:?}").contains(secret));
    assert!(!serde_json::to_string(&config).unwrap().contains(secret));
}
