//! The command line, as operators and scripts use it: the real binary, a real folder, a real server beside it.
mod accounts;
mod audit;
mod broken;
mod health;
pub mod process;

use crate::support::{OTHER_PASSWORD, PASSWORD};
use process::Place;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

/// Every command that an operator may type.
const COMMANDS: [&[&str]; 46] = [
    &[],
    &["serve"],
    &["migrate"],
    &["doctor"],
    &["health"],
    &["user"],
    &["user", "create"],
    &["user", "list"],
    &["user", "show"],
    &["user", "disable"],
    &["user", "enable"],
    &["user", "set-password"],
    &["user", "delete"],
    &["invite"],
    &["invite", "create"],
    &["invite", "list"],
    &["invite", "resend"],
    &["invite", "revoke"],
    &["sessions"],
    &["sessions", "list"],
    &["sessions", "revoke"],
    &["keys"],
    &["keys", "list"],
    &["keys", "rotate"],
    &["user", "roles"],
    &["role"],
    &["role", "list"],
    &["role", "set"],
    &["role", "delete"],
    &["service-key"],
    &["service-key", "create"],
    &["service-key", "list"],
    &["service-key", "revoke"],
    &["webhook"],
    &["audit", "sign-ends"],
    &["backup"],
    &["restore"],
    &["move-to-postgres"],
    &["import"],
    &["export"],
    &["openapi"],
    &["config"],
    &["completions"],
    &["docs"],
    &["config", "--json"],
    &["--json"],
];

#[test]
fn the_help_of_every_command_has_an_example() {
    let place = Place::new();
    for command in COMMANDS {
        let said = place.run(&[command, &["--help"]].concat()).succeeds();
        assert!(said.out.contains("Example"), "{command:?}: {}", said.out);
    }
    let listed = place.run(&["--help"]).out;
    for command in COMMANDS.iter().filter(|command| command.len() == 1 && !command[0].starts_with('-')) {
        assert_eq!(listed.contains(&format!("\n  {} ", command[0])), command[0] != "docs", "{command:?}");
    }
}

#[test]
fn what_is_not_understood_ends_with_2() {
    let place = Place::new();
    let wrong: [&[&str]; 5] =
        [&[], &["sing"], &["user", "create"], &["sessions", "revoke"], &["completions", "tcsh"]];
    for command in wrong {
        assert_eq!(place.run(command).code, 2, "{command:?}");
    }
}

#[test]
fn completions_know_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]).succeeds().out;
        assert!(script.contains("set-password") && script.contains("drop-former"), "{shell}");
    }
}

#[test]
fn migrating_is_done_once_and_can_be_asked_about() {
    let place = Place::new();
    place.run(&["migrate", "--check"]).fails_with("`hallpass migrate` makes it");
    assert!(!place.path("data").exists(), "asking makes nothing");
    let applied = place.run(&["migrate", "--json"]).json();
    assert!(!applied["applied"].as_array().unwrap().is_empty());
    assert_eq!(place.run(&["migrate", "--json"]).json(), json!({ "applied": [] }));
    assert_eq!(place.run(&["migrate", "--check", "--json"]).json(), json!({ "pending": [] }));
    let mode = std::fs::metadata(place.database()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "the database is for its owner only");
}

#[test]
fn a_database_whose_migrations_ran_as_something_else_is_refused_and_one_of_a_newer_version_is_not() {
    let place = Place::migrated();
    let database = rusqlite::Connection::open(place.database()).unwrap();
    let newer = "insert into refinery_schema_history select 9999, 'later', applied_on, checksum \
                 from refinery_schema_history where version = 1";
    database.execute(newer, []).unwrap();
    assert_eq!(place.run(&["migrate", "--json"]).json(), json!({ "applied": [] }));
    database.execute("update refinery_schema_history set checksum = '7' where version = 3", []).unwrap();
    place.run(&["migrate"]).fails_with("V3__sessions_by_end");
    place.run(&["serve", "--listen", "127.0.0.1:0"]).fails_with("V3__sessions_by_end");
    place.run(&["user", "list"]).fails_with("not up to date");
}

#[test]
fn a_command_in_the_wrong_folder_makes_no_empty_database() {
    let place = Place::new();
    for command in [&["user", "list"][..], &["keys", "rotate"], &["backup", "copy.db"]] {
        place.run(command).fails_with("--data-dir");
    }
    assert!(!place.path("data").exists());
    let elsewhere = Place::migrated();
    let folder = elsewhere.path("data");
    place.run(&["user", "list", "--data-dir", folder.to_str().unwrap()]).succeeds();
}

#[test]
fn users_are_listed_page_by_page() {
    let place = Place::migrated();
    for number in 1..=3 {
        place
            .run(&["user", "create", "--email", &format!("user{number}@example.com"), "--unverified"])
            .succeeds();
    }
    let first = place.run(&["user", "list", "--limit", "2", "--json"]).json();
    assert_eq!(first["users"].as_array().unwrap().len(), 2);
    assert_eq!(first["users"][0]["emailVerified"], json!(false));
    let rest = place.run(&["user", "list", "--after", first["next"].as_str().unwrap(), "--json"]).json();
    assert_eq!((&rest["users"][0]["email"], &rest["next"]), (&json!("user3@example.com"), &Value::Null));
    assert!(place.run(&["user", "list", "--limit", "1"]).out.contains("More: hallpass user list --after"));
    place.run(&["user", "list", "--after", "7"]).fails_with("--after");
}

#[test]
fn every_problem_of_a_new_account_is_told() {
    let place = Place::migrated();
    let create =
        ["user", "create", "--email", "nobody", "--username", "!", "--name", "a\nb", "--password", "short"];
    let said = place.run(&create);
    for words in ["--email", "--username", "--name", "password: Use at least 8", "list of processes"] {
        said.fails_with(words);
    }
    place
        .run(&["user", "create", "--email", "a@example.com", "--password-stdin"])
        .fails_with("on standard input");
    place.run(&["user", "create", "--email", "a@example.com", "--username", "taken"]).succeeds();
    place.run(&["user", "create", "--email", "A@example.com"]).fails_with("has an account");
    place.run(&["user", "create", "--email", "b@example.com", "--username", "Taken"]).fails_with("username");
    place.run_with(&["user", "set-password", "taken", "--password-stdin"], "short").fails_with("at least 8");
    assert_eq!(place.users(), ["a@example.com"]);
}

#[test]
fn commands_count_at_once_on_a_running_server() {
    let place = Place::migrated();
    place.add_user("ann@example.com");
    let server = place.serve();
    let (one, two) =
        (server.sign_in("ann@example.com", PASSWORD), server.sign_in("ann@example.com", PASSWORD));
    let listed = place.run(&["sessions", "list", "ann@example.com", "--json"]).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);
    let first = listed["sessions"][0]["id"].as_str().unwrap();
    assert!(place.run(&["sessions", "list", "ann@example.com"]).out.contains(first));
    place.run(&["sessions", "revoke", first]).succeeds();
    assert_eq!((server.me(&one), server.me(&two)), (401, 200));
    place.run(&["sessions", "revoke", first]).fails_with("no live session");
    place.run(&["sessions", "revoke", "first"]).fails_with("not the id of a session");
    let all = place.run(&["sessions", "revoke", "--user", "ann@example.com", "--json"]).json();
    assert_eq!((&all["revoked"], server.me(&two)), (&json!(1), 401));

    let three = server.sign_in("ann@example.com", PASSWORD);
    assert_eq!(
        place.run(&["user", "disable", "ann@example.com", "--json"]).json()["sessionsEnded"],
        json!(1)
    );
    assert_eq!(server.me(&three), 401);
    place.run(&["user", "enable", "ann@example.com"]).succeeds();
    let four = server.sign_in("ann@example.com", PASSWORD);
    place
        .run_with(&["user", "set-password", "ann@example.com", "--password-stdin"], OTHER_PASSWORD)
        .succeeds();
    assert_eq!(server.me(&four), 401);
    let five = server.sign_in("ann@example.com", OTHER_PASSWORD);
    place.run(&["user", "delete", "ann@example.com", "--yes"]).succeeds();
    assert_eq!((server.me(&five), server.stop()), (401, Some(0)));
}

#[test]
fn a_printed_link_chooses_the_password() {
    let place = Place::migrated();
    let made = place.run(&["user", "create", "--email", "ann@example.com", "--json"]).json();
    let server = place.serve();
    let choose = |link: &Value, password: &str| {
        let token = link.as_str().unwrap().split_once("/password/reset?token=").unwrap().1;
        server.send("POST", "/api/v1/password/reset", "", &json!({ "token": token, "password": password })).0
    };
    assert_eq!(choose(&made["link"], PASSWORD), 200);
    assert_eq!(choose(&made["link"], PASSWORD), 400, "a link is good once");
    let token = server.sign_in("ann@example.com", PASSWORD);
    let changed = place.run(&["user", "set-password", "ann@example.com", "--json"]).json();
    assert_eq!((server.me(&token), &changed["sessionsEnded"]), (401, &json!(1)));
    let body = json!({ "email": "ann@example.com", "password": PASSWORD });
    assert_eq!(server.send("POST", "/api/v1/login", "", &body).0, 401, "the former password is dead");
    assert_eq!(choose(&changed["link"], OTHER_PASSWORD), 200);
    server.sign_in("ann@example.com", OTHER_PASSWORD);
}

#[test]
fn signing_keys_are_listed_and_rotated() {
    let place = Place::migrated();
    assert_eq!(place.run(&["keys", "list", "--json"]).json(), json!({ "keys": [] }));
    let first = place.run(&["keys", "rotate", "--json"]).json();
    let second = place.run(&["keys", "rotate", "--json"]).json();
    let states = |said: Value| -> Vec<(String, String)> {
        let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
        let keys = said["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| (text(key, "kid"), text(key, "state"))).collect()
    };
    let name = |said: &Value| said["kid"].as_str().unwrap().to_owned();
    let listed = states(place.run(&["keys", "list", "--json"]).json());
    assert_eq!(listed, [(name(&second), "signing".into()), (name(&first), "retired".into())]);
    let third = place.run(&["keys", "rotate", "--drop-former", "--json"]).json();
    assert_eq!(states(place.run(&["keys", "list", "--json"]).json()), [(name(&third), "signing".into())]);
    assert!(place.run(&["keys", "list"]).out.contains("EdDSA"));
}

#[test]
fn a_backup_of_a_running_server_brings_its_state_back() {
    let place = Place::migrated();
    place.add_user("before@example.com");
    let server = place.serve();
    let said = place.run(&["backup", "copy.db"]).succeeds();
    assert!(said.out.contains("secret.key"), "{said:?}");
    assert_eq!(std::fs::metadata(place.path("copy.db")).unwrap().permissions().mode() & 0o777, 0o600);
    place.run(&["backup", "copy.db"]).fails_with("exists already");
    place.run(&["backup", "no/copy.db"]).fails_with("no folder");
    place.add_user("after@example.com");
    place.run(&["restore", "copy.db", "--yes"]).fails_with("stop it first");
    place.run(&["user", "disable", "before@example.com"]).succeeds();
    assert_eq!(server.stop(), Some(0));

    place.run(&["restore", "copy.db"]).fails_with("add --yes");
    assert_eq!(place.users(), ["before@example.com", "after@example.com"]);
    let said = place.run(&["restore", "copy.db", "--yes", "--json"]).json();
    assert_eq!(place.users(), ["before@example.com"]);
    let former = place.path(said["former"].as_str().unwrap());
    let url = format!("sqlite:{}", former.display());
    let former = place.command(&["user", "list"]).env("HALLPASS_DATABASE_URL", url).output().unwrap();
    assert!(String::from_utf8(former.stdout).unwrap().contains("after@example.com"));
    place.serve().sign_in("before@example.com", PASSWORD);
}

#[test]
fn the_doctor_finds_a_fresh_folder_and_a_running_server_well() {
    let place = Place::new();
    let said = place.run(&["doctor", "--json"]).json();
    assert_eq!(said["ok"], json!(true), "{said}");
    assert!(!place.path("data").exists(), "looking makes nothing");
    let server = place.serve();
    let said = place.run(&["doctor"]).succeeds().out;
    for words in
        ["running on this database", "whole and up to date", "one hash takes", " free", "before production"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_doctor_lists_everything_that_production_refuses() {
    let place = Place::new()
        .set("HALLPASS_SERVER__MODE", "production")
        .set("HALLPASS_PUBLIC_URL", "http://a.example");
    let said = place.run(&["doctor"]);
    said.fails_with("server.public_url: must be https");
    said.fails_with("mail.smtp_url: is needed");
    place.run(&["serve", "--listen", "127.0.0.1:0"]).fails_with("server.public_url: must be https");
    // What only reads, or mends, works all the same.
    place.run(&["migrate"]).succeeds();
    place.run(&["user", "list"]).succeeds();
    place.run(&["config"]).succeeds();
}

#[test]
fn the_doctor_calls_the_mail_server_when_asked() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let place = Place::new().set("HALLPASS_SMTP_URL", &url).set("HALLPASS_SERVER__MODE", "development");
    assert!(place.run(&["doctor", "--mail"]).succeeds().out.contains("answers"));
    drop(listener);
    place.run(&["doctor", "--mail"]).fails_with("cannot be reached");
    assert!(place.run(&["doctor"]).succeeds().out.contains("--mail calls it"));
}

#[test]
fn settings_are_shown_without_secrets() {
    let secret = "q8Zt3Wm1Xv7Lr5Kd9Yb2Hn4Js6Pf0GcA";
    let place = Place::new()
        .set("HALLPASS_SECRET_KEY", secret)
        .set("HALLPASS_SMTP_URL", "smtps://me:letmein@mail.example");
    for command in [&["config"][..], &["config", "--json"]] {
        let text = place.run(command).succeeds().out;
        assert!(!text.contains(secret) && !text.contains("letmein"), "{text}");
        assert!(text.contains("refresh_ttl") && text.contains("sqlite:data/hallpass.db"), "{text}");
    }
    let place = place
        .set(
            "HALLPASS_DATABASE_URL",
            "postgres://me:letmein@db.example/auth?sslmode=disable&password=letmein",
        )
        .set("HALLPASS_DATABASE__DIRECT_URL", "postgres://me:letmein@db.example/auth")
        .set("HALLPASS_REDIS_URL", "redis://me:letmein@cache.example");
    for command in [&["config"][..], &["config", "--json"]] {
        let text = place.run(command).succeeds().out;
        assert!(!text.contains("letmein") && text.contains("db.example:5432/auth"), "{text}");
    }
    let json = place.run(&["config", "--json"]).json();
    assert_eq!(json["sessions"]["audience"], json["server"]["public_url"]);
    let toml = place.run(&["config"]).out;
    std::fs::write(place.path("again.toml"), &toml).unwrap();
    assert_eq!(
        place.run(&["--config", "again.toml", "config"]).succeeds().out,
        toml,
        "its output is a settings file"
    );
    let server = Place::new()
        .set("HALLPASS_SECRET_KEY", secret)
        .set("HALLPASS_DATABASE_URL", "postgres://me:letmein@db.example/hallpass");
    for command in [&["config"][..], &["config", "--json"]] {
        let text = server.run(command).succeeds().out;
        assert!(text.contains("url") && !text.contains("letmein"), "{text}");
    }
    let broken =
        Place::new().set("HALLPASS_SESSIONS__ACCESS_TTL", "soon").set("HALLPASS_SERVER__COLOUR", "red");
    broken.run(&["config"]).fails_with("the settings need correction");
    broken.run(&["doctor"]).fails_with("fail  settings");
}

#[test]
fn generated_references_are_written_and_compared() {
    let place = Place::new();
    place.run(&["docs", "--out", "tree", "--check"]).fails_with("docs/errors.md");
    place.run(&["docs", "--out", "tree"]).succeeds();
    place.run(&["docs", "--out", "tree", "--check"]).succeeds();
    let printed: Value = place.run(&["openapi"]).json();
    let written = std::fs::read_to_string(place.path("tree/crates/server/openapi.json")).unwrap();
    assert_eq!(printed, serde_json::from_str::<Value>(&written).unwrap());
    std::fs::write(place.path("tree/docs/errors.md"), "# Errors\n").unwrap();
    place.run(&["docs", "--out", "tree", "--check"]).fails_with("docs/errors.md");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = Place::migrated();
    for command in [&["openapi"][..], &["completions", "bash"], &["user", "list"], &["--help"]] {
        let mut child = place.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && err.is_empty(), "{command:?}: {err}");
    }
}

#[test]
fn scripts_get_failures_as_json_too() {
    let place = Place::migrated();
    let said = place.run(&["user", "show", "nobody", "--json"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    let error: Value = serde_json::from_str(&said.err).unwrap();
    assert!(error["error"].as_str().unwrap().contains("nobody"));
}
