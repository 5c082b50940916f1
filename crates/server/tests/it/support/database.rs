//! Which backend this run of the tests is about: embedded SQLite, or the PostgreSQL server (and the Redis) that
//! `scripts/with-servers` started and named in the environment. Each test has a database of its own, copied from a
//! migrated template.
use hallpass::config::{Config, Secret};
use hallpass::db::{Db, Options};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_postgres::NoTls;

/// The secret key of every server on PostgreSQL: nodes share it.
pub const SECRET_KEY: &str = "a-secret-key-for-tests-that-nodes-share-0123456789";

/// The PostgreSQL server of this run, without a database: `postgres://hallpass@127.0.0.1:5432`.
pub fn postgres() -> Option<String> {
    std::env::var("TEST_POSTGRES").ok()
}

/// The same, for tests of what only several nodes do.
pub fn needed() -> String {
    postgres().expect("this needs PostgreSQL: scripts/with-servers cargo test, or make test")
}

/// A database on the server of this run; removed when dropped.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// A copy of the migrated template, or `None` when this run is about SQLite.
    pub fn migrated() -> Option<Self> {
        static TEMPLATE: OnceLock<String> = OnceLock::new();
        let server = postgres()?;
        let template = TEMPLATE.get_or_init(|| {
            let database = Self::empty().unwrap();
            let url = database.url();
            let migrate = async move { Db::open(&url, &Options::default()).unwrap().migrate().await };
            beside(migrate).expect("the template can be migrated");
            let name = database.name.clone();
            // Lives as long as the server.
            std::mem::forget(database);
            name
        });
        Some(Self::create(server, &format!("template {template}")))
    }

    /// A database without tables, or `None` when this run is about SQLite.
    pub fn empty() -> Option<Self> {
        Some(Self::create(postgres()?, ""))
    }

    fn create(server: String, options: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        admin(&server, &format!("create database {name} {options}"));
        Self { server, name }
    }

    /// The content of all tables, with bytes as they are.
    pub fn dump(&self) -> Vec<u8> {
        let output =
            std::process::Command::new("pg_dump").args(["--data-only", &self.url()]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        // Of every dump another one: a random word that keeps what stands in the rows from being taken for commands.
        let same = text
            .lines()
            .filter(|line| !["\\restrict ", "\\unrestrict "].iter().any(|one| line.starts_with(one)));
        let text = same.collect::<Vec<_>>().join("\n");
        let hex = text.split("\\\\x").skip(1).map(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_hexdigit).collect();
            data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
        });
        let mut bytes: Vec<u8> = hex.flatten().collect();
        bytes.extend(text.as_bytes());
        bytes
    }

    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        admin(&self.server, &format!("drop database {} with (force)", self.name));
    }
}

/// The Redis of this run, if it is about PostgreSQL with Redis.
pub fn redis() -> Option<String> {
    std::env::var("TEST_REDIS").ok()
}

/// Sets what a server on PostgreSQL needs.
pub fn use_in(config: &mut Config, database: &Database) {
    config.database.url = Some(Secret::new(database.url()));
    config.redis.url = redis().map(|url| Secret::new(&url));
    config.redis.prefix.clone_from(&database.name);
    // A second, on a machine that does other things too.
    config.redis.timeout = Duration::from_secs(1);
    config.database.pool_size = 8;
    config.keys.secret_key = Some(Secret::new(SECRET_KEY));
}

fn admin(server: &str, sql: &str) {
    let (url, sql) = (format!("{server}/postgres"), sql.to_owned());
    beside(async move {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("the server answers");
        tokio::spawn(connection);
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    });
}

/// Runs something to its end on a thread of its own, whatever runtime the caller is in.
pub fn beside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    std::thread::spawn(run).join().unwrap()
}
