//! Who may have an account: `registration.access`, asked on every way to one.
use crate::support::{Answer, Client, PASSWORD, TestApp};
use hallpass::app::App;
use hallpass::config::{Access, Config, RegistrationMode};
use hallpass::invitations::{self, Actor, Invite};
use hallpass::names::Email;
use hallpass::web::Client as Caller;
use serde_json::json;

const ANN: &str = "ann@example.com";

fn domains(list: &[&str]) -> impl FnOnce(&mut Config) {
    let list = list.iter().map(|domain| (*domain).to_owned()).collect();
    move |config| {
        config.registration.access = Access::Domains;
        config.registration.domains = list;
    }
}

async fn register(client: &mut Client, email: &str) -> Answer {
    client.post("/api/v1/register", json!({ "email": email, "password": PASSWORD })).await
}

#[track_caller]
fn is_closed(answer: &Answer) {
    assert_eq!((answer.status, answer.code()), (403, "registration_closed"), "{}", answer.text);
}

/// Invites somebody, as an operator does.
async fn invite(app: &App, email: &str) -> hallpass::error::Result<String> {
    let client = Caller::local();
    let wish = Invite { email: Email::parse(email).unwrap(), name: None, roles: Vec::new(), life: None };
    let actor = Actor { client: &client, by: hallpass::roles::Authority::Operator };
    let mut tx = app.db.begin().await?;
    let made = invitations::create(app, &mut tx, actor, &wish).await?;
    hallpass::mail::commit(app, tx).await?;
    Ok(made.id.to_string())
}

async fn accept(server: &TestApp, email: &str) -> Answer {
    let token = server.mailed_token(email, "/invitation").await;
    let body = json!({ "token": token, "password": PASSWORD });
    server.client().post("/api/v1/invitations/accept", body).await
}

#[tokio::test]
async fn the_setting_is_told_without_the_list_of_domains() {
    let server = TestApp::start_with(domains(&["partner.example"])).await;
    let answer = server.client().get("/api/v1/settings").await;
    assert_eq!(answer.json["registrationAccess"], "domains");
    assert!(!answer.text.contains("partner"), "{}", answer.text);
    for (access, name) in [(Access::InviteOnly, "invite_only"), (Access::Closed, "closed")] {
        let server = TestApp::start_with(|config| config.registration.access = access).await;
        assert_eq!(server.client().get("/api/v1/settings").await.json["registrationAccess"], name);
    }
}

#[tokio::test]
async fn only_addresses_of_the_listed_domains_register() {
    let server = TestApp::start_with(domains(&["example.com", "*.Example.org", "bücher.example"])).await;
    let mut client = server.client();
    for email in [
        ANN,
        "a@EXAMPLE.com",
        "a@x.example.org",
        "a@b.x.example.org",
        "a@bücher.example",
        "a@xn--bcher-kva.example",
    ] {
        assert_eq!(register(&mut client, email).await.status, 202, "{email}");
    }
    for email in [
        "a@x.example.com",
        "a@example.org",
        "a@badexample.com",
        "a@xexample.org",
        "a@example.com.evil.example",
        "example.com@evil.example",
        "a@example.co",
    ] {
        is_closed(&register(&mut client, email).await);
        assert!(server.mails_to(email).await.is_empty(), "{email}");
    }
}

#[tokio::test]
async fn every_way_to_an_account_obeys_the_setting() {
    for access in [Access::InviteOnly, Access::Closed] {
        for mode in [RegistrationMode::Pending, RegistrationMode::Immediate] {
            let server = TestApp::start_with(|config| {
                config.registration.access = access;
                config.registration.mode = mode;
                config.login.passwordless = true;
            })
            .await;
            let mut client = server.client();
            is_closed(&register(&mut client, ANN).await);
            // Signing in by the mailbox makes no account in any case.
            assert_eq!(client.post("/api/v1/login/email", json!({ "email": ANN })).await.status, 202);
            assert!(server.mails_to(ANN).await.is_empty());
            let invited = invite(&server.app, ANN).await;
            if access == Access::Closed {
                assert_eq!(invited.unwrap_err().code.name(), "registration_closed");
            } else {
                invited.unwrap();
                assert_eq!(accept(&server, ANN).await.status, 201);
                server.sign_in(ANN).await;
            }
        }
    }
}

#[tokio::test]
async fn what_was_begun_before_the_setting_changed_is_not_finished_after_it() {
    let server = TestApp::start().await;
    let mut client = server.client();
    assert_eq!(register(&mut client, ANN).await.status, 202);
    invite(&server.app, "bob@example.com").await.unwrap();
    let token = server.mailed_token(ANN, "/verify-email").await;
    let code = server.mailed_code(ANN).await;
    let server = server.restart_with(|config| config.registration.access = Access::Closed).await;
    let mut client = server.client();
    is_closed(&client.post("/api/v1/verify-email", json!({ "token": token })).await);
    is_closed(&client.post("/api/v1/verify-email", json!({ "email": ANN, "code": code })).await);
    assert_eq!(client.post_form("/verify-email", &[("token", &token)]).await.status, 403);
    is_closed(&accept(&server, "bob@example.com").await);
    // Nothing was used up by that.
    let server = server.restart_with(|config| config.registration.access = Access::Open).await;
    assert_eq!(server.client().post("/api/v1/verify-email", json!({ "token": token })).await.status, 200);
    assert_eq!(accept(&server, "bob@example.com").await.status, 201);
}

#[tokio::test]
async fn the_refusal_depends_on_the_address_alone_and_not_on_who_has_an_account() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    server.sign_up(ANN).await;
    server.sign_up_as(json!({ "email": "bob@example.com", "password": PASSWORD, "username": "bob" })).await;
    let server = server.restart_with(domains(&["other.example"])).await;
    let mut answers = Vec::new();
    for (email, username) in [(ANN, "new"), ("nobody@example.com", "new"), ("nobody@example.com", "bob")] {
        let (statements, hashes) = (server.app.db.statements(), server.app.hashing.computed());
        let body = json!({ "email": email, "password": "short", "username": username });
        let answer = server.client().post("/api/v1/register", body).await;
        is_closed(&answer);
        assert_eq!((server.app.db.statements(), server.app.hashing.computed()), (statements, hashes));
        answers.push(answer.json["detail"].clone());
    }
    assert!(answers.iter().all(|detail| *detail == answers[0] && detail.is_string()), "{answers:?}");
}

#[tokio::test]
async fn whoever_has_an_account_keeps_it_when_registration_closes() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let server = server.restart_with(|config| config.registration.access = Access::Closed).await;
    let mut client = server.sign_in(ANN).await;
    assert_eq!(client.get("/api/v1/me").await.status, 200);
    assert_eq!(client.post("/api/v1/password/forgot", json!({ "email": ANN })).await.status, 202);
    let body = json!({ "token": server.mailed_token(ANN, "/password/reset").await, "password": "seven+quiet+harbours" });
    assert_eq!(client.post("/api/v1/password/reset", body).await.status, 200);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let problem = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.validate().err().map(|problems| problems[0].to_string()).unwrap_or_default()
    };
    let listed = |access: Access, list: &[&str]| {
        problem(&|config: &mut Config| {
            config.registration.access = access;
            config.registration.domains = list.iter().map(|one| (*one).to_owned()).collect();
        })
    };
    assert!(listed(Access::Domains, &[]).contains("must name a domain"));
    assert!(listed(Access::Open, &["example.com"]).contains("has a meaning with"));
    for bad in
        ["", "@example.com", "*", "*.", "a b.com", "*.*.com", "192.0.2.1", "x@example.com", "example.com."]
    {
        assert!(listed(Access::Domains, &[bad]).contains("is not a domain"), "{bad}");
    }
    assert_eq!(listed(Access::Domains, &["example.com", "*.example.com"]), "");
    let life = |seconds| {
        problem(&|config| config.registration.invitation_ttl = std::time::Duration::from_secs(seconds))
    };
    assert!(life(59).contains("invitation_ttl") && life(91 * 86_400).contains("invitation_ttl"));
}
