//! The command line on PostgreSQL.
use super::super::cli::process::Place;
use crate::support::PASSWORD;
use crate::support::database::{Database, SECRET_KEY, needed};

const ANN: &str = "ann@example.com";

fn place_on(url: &str) -> Place {
    Place::new().set("HALLPASS_DATABASE_URL", url).set("HALLPASS_SECRET_KEY", SECRET_KEY)
}

#[test]
fn a_database_server_needs_a_secret_key_that_all_nodes_share() {
    needed();
    let database = Database::empty().unwrap();
    let place = Place::new().set("HALLPASS_DATABASE_URL", &database.url());
    place.run(&["serve", "--listen", "127.0.0.1:0"]).fails_with("openssl rand -base64 32");
    assert!(!place.path("data").exists(), "no folder is made for it");
}

#[test]
fn the_schema_is_brought_up_to_date_by_a_command_or_a_flag_and_never_by_itself() {
    needed();
    let database = Database::empty().unwrap();
    let place = place_on(&database.url());
    place.run(&["migrate", "--check"]).fails_with("V1__accounts");
    place.run(&["serve", "--listen", "127.0.0.1:0"]).fails_with("run `hallpass migrate` first");
    place.run(&["user", "list"]).fails_with("run `hallpass migrate` first");
    assert!(place.run(&["migrate"]).succeeds().out.contains("V1__accounts"));
    assert!(place.run(&["migrate"]).succeeds().out.contains("up to date"));
    place.run(&["migrate", "--check"]).succeeds();
}

#[test]
fn operators_work_beside_any_number_of_servers() {
    needed();
    let database = Database::migrated().unwrap();
    let place = place_on(&database.url()).set("HALLPASS_PUBLIC_URL", "http://localhost:3000");
    place.add_user(ANN);
    let nodes = [place.serve(), place.serve()];
    let token = nodes[0].sign_in(ANN, PASSWORD);
    assert_eq!((nodes[0].me(&token), nodes[1].me(&token)), (200, 200));
    place.run(&["sessions", "revoke", "--user", ANN]).succeeds();
    let refused = std::time::Instant::now();
    while nodes[0].me(&token) == 200 || nodes[1].me(&token) == 200 {
        assert!(refused.elapsed() < hallpass::bus::LIMIT, "a command counts on every node within the limit");
    }
    assert!(place.run(&["audit", "verify"]).succeeds().out.contains("whole"));
    for command in ["backup", "restore"] {
        place.run(&[command, "copy.db"]).fails_with("pg_dump");
    }
    assert!(!place.path("data").exists(), "nothing is kept beside the database");
}

#[test]
fn the_doctor_looks_at_the_server_the_schema_the_channel_and_the_clock() {
    needed();
    let database = Database::empty().unwrap();
    let place = place_on(&database.url());
    let told = place.run(&["doctor"]).succeeds().out;
    assert!(
        told.contains("pending: V1__accounts") && told.contains("announcements between nodes arrive"),
        "{told}"
    );
    place.run(&["migrate"]).succeeds();
    // The first command that uses the database notes the key.
    place.add_user(ANN);
    let told = place.run(&["doctor"]).succeeds().out;
    assert!(told.contains("PostgreSQL ") && told.contains("schema hallpass, up to date"), "{told}");
    // The tests' server does not wait for the disk.
    assert!(told.contains("fsync or synchronous_commit is off"), "{told}");
    let other =
        place_on(&database.url()).set("HALLPASS_SECRET_KEY", "another-secret-key-of-32-characters-at-least");
    other.run(&["serve", "--listen", "127.0.0.1:0"]).fails_with("not the secret key");
    let away = place_on("postgres://hallpass:letmein@127.0.0.1:1/auth");
    let told = away.run(&["doctor"]);
    told.fails_with("127.0.0.1:1/auth cannot be used");
    assert!(!told.out.contains("letmein"), "{told:?}");
    let https = place_on(&database.url()).set("HALLPASS_PUBLIC_URL", "https://auth.example.com");
    assert!(https.run(&["doctor"]).out.contains("server.trusted_proxies"));
    let redis = place_on(&database.url()).set("HALLPASS_REDIS_URL", "redis://127.0.0.1:1");
    redis.run(&["doctor"]).fails_with("redis       does not answer");
}

#[test]
fn mistakes_in_urls_stop_the_start_with_what_to_do() {
    let cases = [
        ("HALLPASS_DATABASE_URL", "postgres://db/auth?sslmode=prefer", "use verify-full"),
        ("HALLPASS_DATABASE_URL", "postgres://db/auth?nonsense=1", "database.url: "),
        ("HALLPASS_DATABASE_URL", "mysql://db/auth", "must be sqlite:<path> or postgres://"),
        ("HALLPASS_DATABASE__POOL_SIZE", "0", "database.pool_size: must be between 1 and 1000"),
        ("HALLPASS_DATABASE__TIMEOUT", "0", "database.timeout: must be between 100ms and 1m"),
        ("HALLPASS_REDIS_URL", "http://cache", "redis.url: must begin with redis:// or rediss://"),
    ];
    for (name, value, words) in cases {
        place_on("postgres://127.0.0.1:1/auth")
            .set(name, value)
            .run(&["serve", "--listen", "127.0.0.1:0"])
            .fails_with(words);
    }
}
