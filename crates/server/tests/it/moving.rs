//! From the embedded database to PostgreSQL: the real binary, a real file, a server of the test's own.
mod odd;
mod refused;

use crate::cli::process::{Place, Said, Server};
use crate::crash::Worker;
use crate::support::PASSWORD;
use crate::support::database::SECRET_KEY;
use crate::support::postgres::Postgres;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

const MOVE: &[&str] = &["move-to-postgres", "--json"];
/// The server still runs: stop it and go on.
const GO_ON: i32 = 3;

/// An embedded database that is to be moved to this server.
fn place_to(postgres: &Postgres) -> Place {
    let place = Place::new()
        .set("HALLPASS_SECRET_KEY", SECRET_KEY)
        .set("HALLPASS_LIMITS__ENABLED", "false")
        .set("HALLPASS_PUBLIC_URL", "http://localhost:3000")
        .set("HALLPASS_MOVE_TO", &postgres.url());
    place.run(&["migrate"]).succeeds();
    place
}

fn sqlite(place: &Place) -> Connection {
    let connection = Connection::open(place.database()).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    connection
}

/// Users and sessions in numbers.
fn seed(place: &Place, users: u32, sessions: u32) {
    let sql = format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < {users})
         insert into users (id, email, email_normalised, roles, created_at, updated_at)
         select printf('01990000-0000-7000-8000-%012d', i), i || '@seed.example', i || '@seed.example', 'user', 1, 1 from n;
         with recursive n(i) as (select 1 union all select i + 1 from n where i < {sessions})
         insert into sessions (id, user_id, client_id, generation, current_hash, rotated_at, rotated_network, rotated_agent,
         delivery, amr, auth_time, ip, user_agent, created_at, last_seen_at, expires_at, absolute_expires_at)
         select printf('01990000-0000-7000-9000-%012d', i), printf('01990000-0000-7000-8000-%012d', 1 + i % {users}), 'seed', 0,
         randomblob(32), 1, '127.0.0.1', 'seed', 'body', 'pwd', 1, '127.0.0.1', 'seed', 1, 1, 9000000000000000,
         9000000000000000 from n;"
    );
    sqlite(place).execute_batch(&sql).unwrap();
}

/// Every table with its number of rows, on both sides, without the marks of the move and the one event that tells of it.
fn assert_same_counts(place: &Place, postgres: &Postgres) {
    let connection = sqlite(place);
    let sql = "select name from sqlite_schema where type = 'table' and name not like 'sqlite%' and name not like 'refinery%'";
    let mut statement = connection.prepare(sql).unwrap();
    let names: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(|name| name.unwrap()).collect();
    assert!(names.len() > 8);
    for name in names {
        let marks = match name.as_str() {
            "meta" => "where name = 'secret_key'",
            "audit_events" => "where kind <> 'database_moved'",
            _ => "",
        };
        let sql = format!("select count(*) from {name} {marks}");
        let here: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(postgres.sql(&sql), here.to_string(), "{name}");
    }
}

/// Keeps the ends of the audit log elsewhere; returns where.
fn note_the_log(place: &Place) -> String {
    let anchor = place.run(&["audit", "verify", "--json"]).succeeds();
    let file = place.path("anchor.json");
    std::fs::write(&file, &anchor.out).unwrap();
    file.to_str().unwrap().to_owned()
}

/// What the target's audit log says of the move.
fn tells_of_the_move(postgres: &Postgres) -> String {
    postgres
        .sql("select actor, chain, count(*) from audit_events where kind = 'database_moved' group by 1, 2")
}

/// The report of a run with this exit code.
fn report(said: &Said, code: i32) -> Value {
    assert_eq!(said.code, code, "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

/// Lets the workers work for as long as something lasts.
fn work_while<T>(server: &Server, workers: &mut [Worker], happening: impl FnOnce() -> T) -> T {
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (address, enough) = (server.address.as_str(), &enough);
        for worker in workers {
            scope.spawn(move || while !enough.load(Ordering::Relaxed) && worker.work(address).is_some() {});
        }
        // A failure has to end the workers too.
        let happened = catch_unwind(AssertUnwindSafe(happening));
        enough.store(true, Ordering::Relaxed);
        happened.unwrap_or_else(|failure| resume_unwind(failure))
    })
}

/// The last run, with the server stopped: all is there, and the embedded database is not used any more.
fn finish(place: &Place, postgres: &Postgres) {
    let moved = report(&place.run(MOVE), 0);
    assert_eq!(moved["state"], "moved");
    assert!(moved["tables"].as_array().unwrap().iter().all(|table| table["hash"].is_string()), "{moved}");
    assert_same_counts(place, postgres);
    assert_eq!(report(&place.run(MOVE), 0)["state"], "moved", "once more does no harm");
    assert_eq!(tells_of_the_move(postgres), "operator|main|1", "told once");
    place.run(&["serve", "--listen", "127.0.0.1:0"]).fails_with("was moved to 127.0.0.1:");
    place.run(&["user", "list"]).fails_with("--undo-mark");
    place.run(&["doctor"]).fails_with("was moved to");
}

#[test]
fn a_server_is_moved_while_it_works_and_nobody_has_to_sign_in_again() {
    let postgres = Postgres::start();
    let place = place_to(&postgres);
    let server = place.serve();
    for number in 0..3 {
        place.add_user(&Worker::email(number));
    }
    for email in ["gone@example.com", "later@example.com"] {
        place.add_user(email);
    }
    let anchor = note_the_log(&place);
    let key =
        place.run(&["service-key", "create", "--name", "billing", "--scope", "revocations", "--json"]).json();
    let pending = json!({ "email": "new@example.com", "password": PASSWORD });
    assert_eq!(server.send("POST", "/api/v1/register", "", &pending).0, 202);
    let mut workers: Vec<Worker> = (0..3).map(|number| Worker::new(&server, number)).collect();
    let gone = server.sign_in("gone@example.com", PASSWORD);
    let later = server.sign_in("later@example.com", PASSWORD);
    seed(&place, 500, 20_000);
    let first = work_while(&server, &mut workers, || {
        std::thread::scope(|scope| {
            let moving = scope.spawn(|| place.run(MOVE));
            place.run(&["user", "delete", "gone@example.com", "--yes"]).succeeds();
            moving.join().unwrap()
        })
    });
    assert_eq!(report(&first, GO_ON)["state"], "copied");
    assert!(postgres.sql("select count(*) from sessions").parse::<u32>().unwrap() >= 20_000);
    // What was copied is gone, or changed, before the rest is.
    place.run(&["user", "delete", "later@example.com", "--yes"]).succeeds();
    place.run(&["sessions", "revoke", "--user", "1@seed.example", "--yes"]);
    for worker in &mut workers {
        for _ in 0..14 {
            worker.work(&server.address).unwrap();
        }
    }
    assert_eq!(place.run(MOVE).code, GO_ON, "as often as one likes");
    server.stop();
    finish(&place, &postgres);

    let place = place.set("HALLPASS_DATABASE_URL", &postgres.url());
    let server = place.serve();
    for worker in &mut workers {
        worker.check(&server);
    }
    for (token, email) in [(gone, "gone@example.com"), (later, "later@example.com")] {
        assert_eq!(server.me(&token), 401);
        let body = json!({ "email": email, "password": PASSWORD });
        assert_eq!(server.send("POST", "/api/v1/login", "", &body).0, 401);
    }
    let (status, feed) =
        server.send("GET", "/api/v1/revocations", key["key"].as_str().unwrap(), &Value::Null);
    assert_eq!(status, 200, "{feed}");
    let (_, mails) = server.send("GET", "/dev/mailbox.json?to=new@example.com", "", &Value::Null);
    assert_eq!(mails["messages"].as_array().unwrap().len(), 1, "sealed mails can be opened: {mails}");
    server.sign_in(&Worker::email(0), PASSWORD);
    let verify = ["audit", "verify", "--anchor", &anchor];
    assert!(
        place.run(&verify).succeeds().out.contains("whole"),
        "what was noted before the move holds after it"
    );
    server.stop();
    place.run(MOVE).fails_with("PostgreSQL already");
}

/// Starts a move and kills it when the target has answered a question so many times with `true`; tells with what code it
/// ended, unless it was killed.
fn kill_when(place: &Place, postgres: &Postgres, question: &str, times: u32) -> Option<i32> {
    let mut child = place.command(MOVE).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut answers = 0;
    while answers < times {
        if let Some(ended) = child.try_wait().unwrap() {
            return ended.code();
        }
        answers += u32::from(postgres.sql(question) == "t");
    }
    child.kill().unwrap();
    child.wait().unwrap().code()
}

/// Something changes between two runs, also of what was copied.
fn change(place: &Place, round: u32) {
    let (deleted, renamed) = (10 + round, 40 + round);
    let changed = sqlite(place).execute_batch(&format!(
        "pragma foreign_keys = on; delete from users where id like '%{deleted:012}';
         update users set name = 'run {round}' where id like '%{renamed:012}'"
    ));
    // Killed between the two marks, the file refuses.
    assert!(changed.is_ok() || place.run(&["user", "list"]).err.contains("was moved to"), "{changed:?}");
}

#[test]
fn killed_at_any_moment_it_goes_on_and_an_unfinished_copy_is_not_started_on() {
    let postgres = Postgres::start();
    let place = place_to(&postgres);
    place.add_user("ann@example.com");
    seed(&place, 2_000, 40_000);
    let on_target = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        Said::from(command.env("HALLPASS_DATABASE_URL", postgres.url()).output().unwrap())
    };
    let moments = [
        "select to_regclass('refinery_schema_history') is not null",
        "select to_regclass('meta') is not null",
        "select case when to_regclass('meta') is null then false else (select count(*) > 0 from meta) end",
        "select count(*) > 0 from users",
        "select count(*) > 0 from sessions",
        "select count(*) > 20000 from sessions",
    ];
    for (round, moment) in (0..).zip(moments) {
        assert_eq!(kill_when(&place, &postgres, moment, 1), None, "it ended before: {moment}");
        if round > 3 {
            on_target(&["serve", "--listen", "127.0.0.1:0"]).fails_with("not finished");
            on_target(&["user", "list"]).fails_with("not finished");
        }
        change(&place, round);
    }
    // Then anywhere, each time a little later, until it comes through.
    let (mut round, mut patience) = (10, 2);
    while kill_when(&place, &postgres, "select true", patience).is_none() {
        change(&place, round);
        round += 1;
        patience += 1 + patience / 2;
    }
    let moved = report(&place.run(MOVE), 0);
    assert_eq!(moved["state"], "moved");
    assert_same_counts(&place, &postgres);
    let renamed = "select count(*) from users where name like 'run %'";
    let here: i64 = sqlite(&place).query_row(renamed, [], |row| row.get(0)).unwrap();
    assert!(here > 6 && postgres.sql(renamed) == here.to_string(), "{here}");
    // As if it had been killed between the two marks: neither side is started on, and the next run ends it.
    assert_eq!(tells_of_the_move(&postgres), "operator|main|1");
    postgres.sql("update meta set name = 'moving_from' where name = 'moved_from'");
    on_target(&["user", "list"]).fails_with("not finished");
    place.run(&["user", "list"]).fails_with("was moved to");
    assert_eq!(report(&place.run(MOVE), 0)["state"], "moved");
    assert_eq!(tells_of_the_move(&postgres), "operator|main|1", "of the run that ended it");
    assert!(on_target(&["audit", "verify"]).succeeds().out.contains("whole"));
    assert!(on_target(&["user", "show", "ann@example.com"]).succeeds().out.contains("ann@example.com"));
}

#[test]
fn what_was_unique_and_changed_hands_between_two_runs_is_moved() {
    let postgres = Postgres::start();
    let place = place_to(&postgres);
    seed(&place, 20, 200);
    let server = place.serve();
    assert_eq!(place.run(MOVE).code, GO_ON);
    sqlite(&place)
        .execute_batch(
            "update users set email_normalised = 'x' where id like '%000001';
             update users set email_normalised = '1@seed.example' where id like '%000002';
             update users set email_normalised = '2@seed.example' where id like '%000001';
             update sessions set revoked_at = 5 where user_id like '%000003'",
        )
        .unwrap();
    server.stop();
    let moved = report(&place.run(MOVE), 0);
    let table = |name: &str| {
        moved["tables"].as_array().unwrap().iter().find(|one| one["table"] == name).unwrap().clone()
    };
    assert_eq!(table("users")["removed"], 2, "{moved}");
    assert_eq!(
        table("sessions")["added"],
        30,
        "those that changed, and those that went with their users: {moved}"
    );
    assert_same_counts(&place, &postgres);
    assert_eq!(postgres.sql("select count(*) from sessions where revoked_at = 5"), "10");
}
