//! PostgreSQL as others use it: behind a pooler, by TLS, beside the application's own tables, by the former version.
use super::hears;
use crate::support::database::{self as backend, Database};
use crate::support::postgres::Postgres;
use crate::support::{TestApp, TestClock, TestRandom};
use hallpass::config::Secret;
use hallpass::db::{Db, Options, Statements};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

const ANN: &str = "ann@example.com";

/// The same database through the pooler.
fn pooled(config: &hallpass::config::Config) -> Secret {
    let bouncer = std::env::var("TEST_PGBOUNCER").unwrap();
    let direct = config.database.url.as_ref().unwrap().expose().to_owned();
    Secret::new(format!("{bouncer}/{}", direct.rsplit('/').next().unwrap()))
}

async fn a_life(server: &TestApp) {
    let mut client = server.signed_in(ANN).await;
    assert_eq!(client.patch("/api/v1/me", json!({ "name": "Ann" })).await.status, 200);
    assert_eq!(client.refresh().await.status, 200);
    assert_eq!(client.get("/api/v1/me").await.json["user"]["name"], "Ann");
    let other = server.sign_in(ANN).await;
    assert_eq!(client.delete("/api/v1/sessions").await.status, 200);
    assert_eq!(other.clone().get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(client.post_nothing("/api/v1/logout").await.status, 200);
    assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_in_transaction_mode_everything_works() {
    backend::needed();
    let server = TestApp::start_with(|config| {
        let direct = config.database.url.clone();
        config.database.url = Some(pooled(config));
        config.database.direct_url = direct;
        config.database.prepared_statements = false;
    })
    .await;
    a_life(&server).await;
    let calls: Vec<_> = (0..60)
        .map(|number| {
            let mut client = server.client().at(&format!("10.0.0.{number}"));
            let body = json!({ "email": ANN, "password": crate::support::PASSWORD, "tokenDelivery": "body" });
            tokio::spawn(async move {
                client.log_in(body).await;
                client.refresh().await.status
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    hears(&server.app.db).await;
}

#[tokio::test]
async fn behind_a_pooler_that_carries_no_announcements_every_check_asks_the_database() {
    backend::needed();
    let server = TestApp::start_with(|config| {
        config.database.url = Some(pooled(config));
        config.database.prepared_statements = false;
        config.redis.url = None;
    })
    .await;
    a_life(&server).await;
    let mut client = server.sign_in(ANN).await;
    client.get("/api/v1/me").await;
    let before = server.app.db.statements();
    client.get("/api/v1/me").await;
    assert!(server.app.db.statements() > before);
    let ready = server.client().get("/health/ready").await;
    assert!(ready.json["announcements"].as_str().unwrap().contains("every check asks the database"));
}

/// The message of an attempt to use a database.
async fn attempt(url: &str) -> Result<(), String> {
    let db = Db::open(url, &Options::default()).map_err(|error| error.to_string())?;
    db.pending_migrations().await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_connection_is_encrypted_and_the_servers_name_is_checked() {
    let (postgres, authority) = Postgres::start_with_tls("localhost");
    let authority = authority.display();
    let port = postgres.port;
    let url = |host: &str, rest: &str| format!("postgres://hallpass@{host}:{port}/hallpass{rest}");
    let trusted = url("localhost", &format!("?sslmode=verify-full&sslrootcert={authority}"));
    assert_eq!(attempt(&trusted).await, Ok(()));
    let db = Db::open(&trusted, &Options::default()).unwrap();
    db.migrate().await.unwrap();
    let sql = "select count(*) from pg_stat_ssl where pid = pg_backend_pid() and ssl";
    assert_eq!((&mut &db).query_opt(sql, &[]).await.unwrap().unwrap().int().unwrap(), 1);
    let unknown = attempt(&url("localhost", "?sslmode=require")).await.unwrap_err();
    assert!(unknown.contains("UnknownIssuer"), "{unknown}");
    let other = attempt(&url("127.0.0.1", &format!("?sslmode=verify-full&sslrootcert={authority}"))).await;
    assert!(other.unwrap_err().contains("not valid for name"));
    assert_eq!(attempt(&url("localhost", "?sslmode=disable")).await, Ok(()));
    for (mode, words) in [("prefer", "use verify-full"), ("nonsense", "must be verify-full or disable")] {
        let refused = attempt(&url("localhost", &format!("?sslmode={mode}"))).await.unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
}

#[tokio::test]
async fn the_applications_tables_join_with_typed_views_and_refer_to_users() {
    backend::needed();
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let id = client.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    let url = server.app.config.database.url.as_ref().unwrap().expose().to_owned();
    let (shop, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let sql = "create table public.orders (id bigint primary key, user_id text references hallpass.users (id) on delete cascade);
               insert into public.orders select 1, id from hallpass.users";
    shop.batch_execute(sql).await.unwrap();
    let sql = "select o.id, u.id::text, u.email, u.created_at <= now(), s.expires_at > u.created_at, u.roles = array['user']
               from public.orders o join hallpass.users_view u on u.id = o.user_id::uuid
               join hallpass.sessions_view s on s.user_id = u.id
               join hallpass.audit_events_view e on e.user_id = u.id and e.kind = 'login_succeeded'";
    let row = shop.query_one(sql, &[]).await.unwrap();
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, String>(1), row.get::<_, String>(2)),
        (1, id, ANN.to_owned())
    );
    assert!(row.get::<_, bool>(3) && row.get::<_, bool>(4) && row.get::<_, bool>(5));
    let columns =
        "select string_agg(column_name, ' ') from information_schema.columns where table_name like '%_view'";
    let columns: String = shop.query_one(columns, &[]).await.unwrap().get(0);
    for secret in ["hash", "handover", "mac", "salt", "payload"] {
        assert!(!columns.contains(secret), "{secret} in {columns}");
    }
    let sql = "create table public.debts (user_id text references hallpass.users (id));
               insert into public.debts select id from hallpass.users";
    shop.batch_execute(sql).await.unwrap();
    let refused = client.delete("/api/v1/me").await;
    assert_eq!((refused.status, refused.code()), (409, "account_in_use"), "{}", refused.text);
    shop.batch_execute("delete from public.debts").await.unwrap();
    let answer = client.delete("/api/v1/me").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let left: i64 = shop.query_one("select count(*) from public.orders", &[]).await.unwrap().get(0);
    assert_eq!(left, 0, "the application chose what happens to its rows");
}

#[tokio::test]
async fn the_former_versions_statements_run_on_the_present_schema() {
    let server = TestApp::start().await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/nodes/former.sql");
    let text = std::fs::read_to_string(file).unwrap();
    let statements: Vec<&str> = text.split(";\n").map(str::trim).filter(|sql| !sql.is_empty()).collect();
    assert!(statements.len() > 60, "{}", statements.len());
    for sql in statements {
        // A parameter that is only compared with null has no type there; the former version gave it one.
        match server.app.db.prepare(sql).await {
            Err(error) if !error.message.contains("could not determine data type") => {
                panic!("{error}: {sql}")
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_node_waits_for_the_migration_to_be_run_and_says_how() {
    backend::needed();
    let database = Database::empty().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = crate::support::config_in(folder.path());
    backend::use_in(&mut config, &database);
    let (clock, random) = (Arc::new(TestClock::default()), Arc::new(TestRandom::default()));
    let refused = hallpass::start::start(config, clock, random, false).await.err().unwrap().to_string();
    assert!(refused.contains("run `hallpass migrate` first"), "{refused}");
}
