//! What operators do to a server: beside the API, on any node.
use super::{Client, TestApp, TestNode};
use hallpass::app::App;
use hallpass::config::{Config, Mode, Secret};
use hallpass::ids::RowId;
use hallpass::keys;
use hallpass::roles::{self, Authority};
use hallpass::service_keys::{self, NewKey, Scope, ServiceKey};
use std::time::Duration;

/// Who has all rights of an administrator in the tests.
pub const BOSS: &str = "boss@example.com";

/// Defines a role on a node.
pub async fn define_role(app: &App, name: &str, permissions: &[&str]) {
    let permissions = permissions.iter().map(ToString::to_string).collect();
    let definition = roles::Definition { name: name.to_owned(), description: None, permissions };
    let client = hallpass::web::Client::local();
    let mut tx = app.db.begin().await.unwrap();
    let (by, expected) = (Authority::Operator, roles::Expected::Anything);
    roles::define(app, &mut tx, by, &client, definition, expected).await.unwrap();
    tx.commit().await.unwrap();
}

/// Replaces the signing key on a node, which takes the new one up at its next [`keys::maintain`]; returns the new key's id.
pub async fn rotate_keys(app: &App, drop_former: bool) -> String {
    let client = hallpass::web::Client::local();
    let mut tx = app.db.begin().await.unwrap();
    let kid = keys::rotate(app, &mut tx, Authority::Operator, &client, drop_former).await.unwrap();
    tx.commit().await.unwrap();
    kid
}

impl TestApp {
    /// A node on the same database, in production.
    pub async fn in_production(&self) -> TestNode {
        let production = |config: &mut Config| {
            config.server.mode = Mode::Production;
            config.server.public_url = Some("https://auth.example.com".into());
            config.mail.smtp_url = Some(Secret::new("smtps://127.0.0.1:9"));
        };
        self.node_with(self.clock.clone(), production).await
    }

    /// Gives somebody these roles and no others, as an operator does.
    pub async fn give_roles(&self, email: &str, names: &[&str]) {
        let app = &self.app;
        let mut tx = app.db.begin().await.unwrap();
        let email = hallpass::names::Email::parse(email).unwrap();
        let user = hallpass::users::find_by_email(&mut tx, &email).await.unwrap().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let given = roles::check_given(&mut tx, Authority::Operator, &names).await.unwrap();
        hallpass::users::set_roles(app, &mut tx, &user, &given, app.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Defines a role, as an operator does.
    pub async fn define_role(&self, name: &str, permissions: &[&str]) {
        define_role(&self.app, name, permissions).await;
    }

    /// Makes a service key, as an operator does.
    pub async fn service_key(
        &self,
        name: &str,
        scopes: &[Scope],
        life: Option<Duration>,
    ) -> (ServiceKey, String) {
        let (client, new) = (hallpass::web::Client::local(), NewKey { name, scopes, life });
        let mut tx = self.app.db.begin().await.unwrap();
        let by = Authority::Operator;
        let made = service_keys::create(&self.app, &mut tx, by, &client, &new).await.unwrap();
        tx.commit().await.unwrap();
        made
    }

    /// Ends a service key, as an operator does; returns whether it was live or expired before.
    pub async fn revoke_service_key(&self, id: RowId) -> bool {
        let client = hallpass::web::Client::local();
        let mut tx = self.app.db.begin().await.unwrap();
        let by = Authority::Operator;
        let done = service_keys::revoke(&self.app, &mut tx, by, &client, id).await.unwrap();
        tx.commit().await.unwrap();
        done
    }

    /// Replaces the signing key, as an operator does.
    pub async fn rotate_keys(&self, drop_former: bool) {
        rotate_keys(&self.app, drop_former).await;
        keys::maintain(&self.app).await.unwrap();
    }

    /// Somebody new who holds just these permissions, signed in.
    pub async fn signed_in_holding(&self, email: &str, permissions: &[&str]) -> Client {
        let client = self.signed_in(email).await;
        let role = format!("for-{}", email.split('@').next().unwrap());
        self.define_role(&role, permissions).await;
        self.give_roles(email, &[&role]).await;
        client
    }

    /// The administrator, new and signed in.
    pub async fn boss(&self) -> Client {
        let boss = self.signed_in(BOSS).await;
        self.give_roles(BOSS, &["admin"]).await;
        boss
    }
}
