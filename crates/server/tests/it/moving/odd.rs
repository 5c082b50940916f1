//! Rows that no request can make, but a file can hold.
use super::{MOVE, assert_same_counts, place_to, report, seed, sqlite};
use crate::support::postgres::Postgres;

#[test]
fn empty_huge_and_foreign_values_arrive_as_they_are() {
    let postgres = Postgres::start();
    let place = place_to(&postgres);
    seed(&place, 4, 8);
    sqlite(&place)
        .execute_batch(
            "update users set name = '', username = null where id like '%1';
             update users set name = 'Zoë 漢字 🦀 \u{301}' || char(9, 10, 92) || 'N', roles = '' where id like '%2';
             update users set name = printf('%.*c', 3000000, 'x'), last_login_at = -9223372036854775808 where id like '%3';
             update users set created_at = 9223372036854775807 where id like '%4';
             update sessions set previous_hash = x'', handover = zeroblob(2000000), device_name = 'ÿ' where id like '%5';
             insert into outbox (id, recipient, kind, payload, attempts, created_at, next_attempt_at)
             values ('Z', 'a', 'k', x'00ff00', 0, 0, 0), ('a', 'a', 'k', null, 0, 0, 0), ('é', 'a', 'k', x'', 0, 0, 0),
             ('-', 'a', 'k', x'', 0, 0, 0), ('', 'a', 'k', x'', 0, 0, 0);
             insert into limit_counts (key, count, since, latest, refused) values (x'', 1, 1, 1, 1), (x'00', 1, 1, 1, 1),
             (x'ff', 1, 1, 1, 1), (x'7f80', 1, 1, 1, 1)",
        )
        .unwrap();
    let moved = report(&place.run(MOVE), 0);
    assert_eq!(moved["state"], "moved", "{moved}");
    assert_same_counts(&place, &postgres);
    assert_eq!(postgres.sql("select length(name) from users where id like '%3'"), "3000000");
    assert_eq!(postgres.sql("select octet_length(previous_hash) from sessions where id like '%5'"), "0");
    assert_eq!(postgres.sql("select count(*) from users where username is null and name = ''"), "1");
}

#[test]
fn what_postgresql_cannot_hold_is_named_by_table_and_row_and_moved_once_it_is_corrected() {
    let postgres = Postgres::start();
    let place = place_to(&postgres);
    seed(&place, 3, 0);
    let set = |sql: &str| sqlite(&place).execute_batch(sql).unwrap();
    for (sql, words) in [
        ("update users set name = 'a' || char(0) || 'b' where id like '%2'", "name has the character NUL"),
        ("update users set name = cast(x'fffe' as text) where id like '%2'", "name is not UTF-8"),
        ("update users set name = x'01' where id like '%2'", "name holds a value of another type"),
        (
            "update users set name = null, last_login_at = 1.5 where id like '%2'",
            "last_login_at holds a value of another type",
        ),
    ] {
        set(sql);
        let said = place.run(MOVE);
        said.fails_with(words);
        said.fails_with("users, row 01990000-0000-7000-8000-000000000002: ");
        place.run(&["user", "list", "--limit", "0"]);
    }
    set("update users set last_login_at = null where id like '%2'");
    assert_eq!(report(&place.run(MOVE), 0)["state"], "moved");
    assert_same_counts(&place, &postgres);
}

#[test]
fn a_table_of_a_later_migration_is_moved_without_being_known_and_one_without_a_key_is_refused() {
    let postgres = Postgres::start();
    let place = place_to(&postgres);
    seed(&place, 3, 3);
    let both = "create table b_children (place bigint not null, user_id text not null references a_later (id) on delete cascade,
                note bytea, primary key (user_id, place)); ";
    let later = "create table a_later (id text primary key, z bigint not null); ";
    postgres.sql("create schema hallpass");
    let migrate = place.command(&["migrate"]).env("HALLPASS_DATABASE_URL", postgres.url()).output().unwrap();
    assert!(migrate.status.success());
    sqlite(&place)
        .execute_batch(&format!(
            "{later}{both} insert into a_later values ('x', 1), ('y', 2);
        insert into b_children values (-5, 'y', x'01'), (3, 'x', null), (-5, 'x', x'')"
        ))
        .unwrap();
    place.run(MOVE).fails_with("other columns");
    postgres.sql(&format!("{later}{both}"));
    sqlite(&place).execute_batch("create table nameless (a text)").unwrap();
    place.run(MOVE).fails_with("nameless has no primary key");
    sqlite(&place).execute_batch("drop table nameless").unwrap();
    assert_eq!(report(&place.run(MOVE), 0)["state"], "moved");
    assert_same_counts(&place, &postgres);
}
