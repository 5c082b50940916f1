//! A whole server in process: real router, real database, moved clock, seeded randomness.
pub mod authenticator;
pub mod browser;
pub mod client;
pub mod database;
pub mod mmdb;
pub mod named;
pub mod operator;
pub mod postgres;
pub mod receiver;
pub mod security_key;
pub mod served;
pub mod smtp;
pub mod world;

pub use authenticator::Authenticator;
pub use client::{Answer, Client};
pub use security_key::SecurityKey;
pub use world::{TestClock, TestRandom};

use database::Database;
use hallpass::app::App;
use hallpass::config::Config;
use hallpass::db::{Db, Options};
use hallpass::{router, start};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// A password that every rule accepts.
pub const PASSWORD: &str = "plenty-of-walnut-trees";
/// Another one.
pub const OTHER_PASSWORD: &str = "seven+quiet+harbours";

/// A running server.
pub struct TestApp {
    pub app: App,
    pub clock: Arc<TestClock>,
    router: axum::Router,
    folder: tempfile::TempDir,
    // Dropped first: then nobody listens any more.
    listening: watch::Sender<bool>,
    // Dropped last.
    database: Option<Database>,
}

/// Settings as a developer has them, in a folder of their own.
pub fn config_in(folder: &std::path::Path) -> Config {
    let mut config = Config::default();
    folder.clone_into(&mut config.server.data_dir);
    config.passwords.hash_threads = 1;
    config
}

impl TestApp {
    /// A server with default settings.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A server with changed settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let database = Database::migrated();
        let mut config = config_in(folder.path());
        match &database {
            Some(database) => database::use_in(&mut config, database),
            None => drop(std::fs::copy(template(), folder.path().join("hallpass.db")).unwrap()),
        }
        change(&mut config);
        Self::open(folder, database, config, Arc::new(TestClock::default())).await
    }

    async fn open(
        folder: tempfile::TempDir,
        database: Option<Database>,
        config: Config,
        clock: Arc<TestClock>,
    ) -> Self {
        config.validate().expect("the test's settings are valid");
        let random = Arc::new(TestRandom::default());
        let app = start::start(config, clock.clone(), random, true).await.expect("the server starts");
        let router = router::router(&app);
        Self { listening: listen(&app), app, clock, router, folder, database }
    }

    /// The same data folder under a new process, possibly with other settings.
    pub async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.app.config.clone();
        change(&mut config);
        let Self { clock, folder, app, router, database, listening } = self;
        drop((app, router, listening));
        Self::open(folder, database, config, clock).await
    }

    /// Another node on the same database and clock.
    pub async fn second_node(&self) -> TestNode {
        self.node_with(self.clock.clone(), |_| {}).await
    }

    /// Another node on the same database.
    pub async fn node_with(&self, clock: Arc<TestClock>, change: impl FnOnce(&mut Config)) -> TestNode {
        let random = Arc::new(TestRandom::default());
        let mut config = self.app.config.clone();
        change(&mut config);
        let app = start::start(config, clock, random, true).await.unwrap();
        TestNode { router: router::router(&app), _listening: listen(&app), app }
    }

    /// The folder of the database.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// What another process would find if everything died at this moment.
    pub fn as_a_crash_would_leave_it(&self) -> Db {
        if let Some(database) = &self.database {
            return Db::open(&database.url(), &Options::default()).unwrap();
        }
        // Lives as long as the test process.
        let copy = tempfile::tempdir().unwrap().keep();
        for entry in std::fs::read_dir(self.folder()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
        Db::open(&format!("sqlite:{}", copy.join("hallpass.db").display()), &Options::default()).unwrap()
    }

    /// The secret key, from the settings or from its file.
    pub fn secret_key(&self) -> String {
        match &self.app.config.keys.secret_key {
            Some(secret) => secret.expose().to_owned(),
            None => std::fs::read_to_string(self.folder().join("secret.key")).unwrap(),
        }
    }

    /// Everything that is in the database, byte for byte, as somebody who stole it would search it.
    pub fn everything_stored(&self) -> String {
        let mut stored = Vec::new();
        match &self.database {
            Some(database) => stored = database.dump(),
            None => {
                for entry in std::fs::read_dir(self.folder()).unwrap() {
                    stored.extend(std::fs::read(entry.unwrap().path()).unwrap());
                }
            }
        }
        String::from_utf8_lossy(&stored).into_owned()
    }

    /// Every value of every row of every table, as text.
    pub fn every_row(&self) -> String {
        let Some(database) = &self.database else {
            let db = rusqlite::Connection::open(self.folder().join("hallpass.db")).unwrap();
            let mut names = db.prepare("select name from sqlite_master where type = 'table'").unwrap();
            let names: Vec<String> =
                names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            return names.iter().map(|name| rows_of(&db, name)).collect();
        };
        String::from_utf8_lossy(&database.dump()).into_owned()
    }

    /// A client with its own cookies.
    pub fn client(&self) -> Client {
        Client::new(self.router.clone())
    }

    /// Moves time.
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// Mails to an address, newest first, as the dev mailbox shows them.
    pub async fn mails_to(&self, address: &str) -> Vec<Value> {
        let answer = self.client().get(&format!("/dev/mailbox.json?to={address}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["messages"].as_array().unwrap().clone()
    }

    /// The newest mail to an address.
    pub async fn latest_mail(&self, address: &str) -> Value {
        self.mails_to(address).await.into_iter().next().unwrap_or_else(|| panic!("no mail to {address}"))
    }

    /// The token of the first link with this path in the newest mail to an address that has one.
    pub async fn mailed_token(&self, address: &str, path: &str) -> String {
        let mails = self.mails_to(address).await;
        let links = mails.iter().flat_map(|mail| mail["links"].as_array().unwrap().clone());
        let mut links = links.filter_map(|link| link.as_str().map(str::to_owned));
        let link =
            links.find(|link| link.contains(path)).unwrap_or_else(|| panic!("no {path} link to {address}"));
        link.split("token=").nth(1).unwrap().to_owned()
    }

    /// The code of the newest mail to an address that has one.
    pub async fn mailed_code(&self, address: &str) -> String {
        let mails = self.mails_to(address).await;
        let code = mails.iter().find_map(|mail| mail["codes"][0].as_str());
        code.expect("a code in a mail").to_owned()
    }

    /// Registers and verifies an account.
    pub async fn sign_up(&self, email: &str) -> Client {
        self.sign_up_as(json!({ "email": email, "password": PASSWORD })).await
    }

    /// Registers and verifies an account with a chosen body.
    pub async fn sign_up_as(&self, body: Value) -> Client {
        let mut client = self.client();
        let answer = client.post("/api/v1/register", body.clone()).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let email = body["email"].as_str().unwrap();
        let token = self.mailed_token(email, "/verify-email").await;
        let answer = client.post("/api/v1/verify-email", json!({ "token": token })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        client
    }

    /// Registers, verifies and signs in, tokens in the body; the client sends its access token as Bearer.
    pub async fn signed_in(&self, email: &str) -> Client {
        self.sign_up(email).await;
        self.sign_in(email).await
    }

    /// Signs in on a new device, tokens in the body.
    pub async fn sign_in(&self, email: &str) -> Client {
        let mut client = self.client();
        client.log_in(json!({ "email": email, "password": PASSWORD, "tokenDelivery": "body" })).await;
        client
    }
}

/// Every value of a table.
fn rows_of(db: &rusqlite::Connection, table: &str) -> String {
    let mut statement = db.prepare(&format!("select * from \"{table}\"")).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut found = String::new();
    while let Some(row) = rows.next().unwrap() {
        for column in 0..columns {
            let bytes = match row.get_ref(column).unwrap() {
                rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
                    bytes.to_vec()
                }
                _ => Vec::new(),
            };
            found += &String::from_utf8_lossy(&bytes);
            found.push('\n');
        }
    }
    found
}

/// A second process.
pub struct TestNode {
    pub app: App,
    router: axum::Router,
    _listening: watch::Sender<bool>,
}

/// Hears what other nodes announce until the sender is dropped.
fn listen(app: &App) -> watch::Sender<bool> {
    let (sender, stop) = watch::channel(false);
    let db = app.db.clone();
    tokio::spawn(async move { db.listen(stop).await });
    sender
}

impl TestNode {
    /// A client of this node.
    pub fn client(&self) -> Client {
        Client::new(self.router.clone())
    }
}

/// A migrated database, made once, copied for each test.
fn template() -> PathBuf {
    static TEMPLATE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = TEMPLATE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("live.db");
        let url = format!("sqlite:{}", live.display());
        let db = Db::open(&url, &Options::default()).unwrap();
        database::beside({
            let db = db.clone();
            async move { db.migrate().await.unwrap() }
        });
        db.backup(&folder.path().join("template.db"), &mut |_, _| {}).unwrap();
        folder
    });
    folder.path().join("template.db")
}
