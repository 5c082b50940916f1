//! Where nothing may be changed, and what is said then.
use super::{GO_ON, MOVE, place_to, report, seed, sqlite};
use crate::cli::process::Place;
use crate::support::database::SECRET_KEY;
use crate::support::postgres::Postgres;

/// The content of the target.
fn dump(postgres: &Postgres) -> String {
    postgres.sql("select string_agg(name || '=' || value, ',' order by name) from meta")
        + &postgres.sql("select count(*) from users")
}

#[test]
fn a_target_that_holds_something_else_is_left_as_it_is() {
    let postgres = Postgres::start();
    let place = place_to(&postgres);
    place.add_user("ann@example.com");
    // A server was started there once.
    let other =
        Place::new().set("HALLPASS_SECRET_KEY", SECRET_KEY).set("HALLPASS_DATABASE_URL", &postgres.url());
    other.run(&["migrate"]).succeeds();
    other.add_user("bob@example.com");
    let before = dump(&postgres);
    place.run(MOVE).fails_with("is not empty");
    assert_eq!(dump(&postgres), before);
    assert_eq!(other.users(), ["bob@example.com"]);
    assert_eq!(place.users(), ["ann@example.com"], "the source goes on");
}

#[test]
fn the_unfinished_and_the_finished_move_of_another_database_are_left_as_they_are() {
    let postgres = Postgres::start();
    let (one, other) = (place_to(&postgres), place_to(&postgres));
    seed(&one, 5, 10);
    let server = one.serve();
    assert_eq!(one.run(MOVE).code, GO_ON);
    let before = dump(&postgres);
    other.run(MOVE).fails_with("another Hallpass");
    assert_eq!(dump(&postgres), before);
    server.stop();
    assert_eq!(one.run(MOVE).code, 0);
    let before = dump(&postgres);
    other.run(MOVE).fails_with("another Hallpass");
    assert_eq!(dump(&postgres), before);
}

#[test]
fn a_move_that_was_undone_does_not_overwrite_what_has_happened_in_the_target() {
    let postgres = Postgres::start();
    let place = place_to(&postgres);
    place.add_user("ann@example.com");
    assert_eq!(place.run(MOVE).code, 0);
    // The file itself refuses, whoever writes.
    let refused = sqlite(&place).execute("update users set name = 'x'", []).unwrap_err();
    assert!(refused.to_string().contains("moved to PostgreSQL"), "{refused}");
    let other = Postgres::start();
    let elsewhere = place.command(MOVE).env("HALLPASS_MOVE_TO", other.url()).output().unwrap();
    crate::cli::process::Said::from(elsewhere).fails_with("was moved to");
    place.run(&["move-to-postgres", "--undo-mark"]).fails_with("--yes");
    place.run(&["move-to-postgres", "--undo-mark", "--yes"]).succeeds();
    place.add_user("bob@example.com");
    place.run(MOVE).fails_with("before, and a server may have worked there");
    assert_eq!(postgres.sql("select count(*) from users"), "1");
    // Elsewhere it may go.
    let elsewhere = place.command(MOVE).env("HALLPASS_MOVE_TO", other.url()).output().unwrap();
    assert_eq!(report(&elsewhere.into(), 0)["state"], "moved");
    assert_eq!(other.sql("select count(*) from users"), "2");
}

#[test]
fn what_cannot_be_reached_or_may_not_be_written_is_said_without_the_password() {
    let postgres = Postgres::start();
    let place = place_to(&postgres);
    let to = |url: &str| place.command(MOVE).env("HALLPASS_MOVE_TO", url).output().unwrap();
    let said = |url: &str, words: &str| {
        let said = crate::cli::process::Said::from(to(url));
        said.fails_with(words);
        assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");
    };
    said("postgres://hallpass:s3cret@127.0.0.1:1/hallpass", "cannot connect to 127.0.0.1:1/hallpass");
    said(&postgres.url().replace("/hallpass", "/nowhere"), "does not exist");
    said("sqlite:there.db", "must be postgres://");
    said("postgres://hallpass:s3cret@127.0.0.1/hallpass?sslmode=prefer", "sslmode");
    postgres.sql("create role reader login; revoke create on schema public from public");
    postgres.sql("create database latin encoding 'LATIN1' template template0 locale 'C'");
    said(&postgres.url().replace("hallpass@", "reader@"), "permission denied");
    said(
        &postgres.url().replace("/hallpass", "/latin").replace("//latin@", "//hallpass@"),
        "not encoded in UTF8",
    );
    assert_eq!(
        postgres.sql("select count(*) from pg_tables where schemaname in ('hallpass', 'public', 'reader')"),
        "0"
    );
    let bare = Place::migrated();
    bare.run(&["move-to-postgres"]).fails_with("set HALLPASS_MOVE_TO");
    Place::new().set("HALLPASS_MOVE_TO", &postgres.url()).run(MOVE).fails_with("there is no database");
}
