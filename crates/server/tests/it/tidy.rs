//! The rules of ARCHITECTURE.md, read from the files. Each rule is also tried on a planted violation, so that none is blind.
mod documents;
mod map;
mod paths;
mod rules;
pub mod source;

use map::Map;
use rules::{
    borrows_handlers, handler_begins, impure, is_sql, public_store, starts_sessions, stray_engine, stray_sql,
    too_long, unfinished,
};
use source::{Source, repository, rust_below};
use std::fs;

const LIB: &str = "
// ── platform: machinery
pub mod app;
pub mod db;
// ── ground: shared
pub mod users;
// ── features: one each
pub mod passwords;
pub mod sessions;
// ── flows: together
mod login;
// ── edge
mod router;
";

fn server() -> Vec<Source> {
    rust_below("crates/server/src")
}

fn crypto() -> Vec<Source> {
    rust_below("crates/crypto/src")
}

/// Every Rust file of the repository, tests included.
fn everything() -> Vec<Source> {
    rust_below("")
}

fn map() -> Map {
    let lib = fs::read_to_string(repository().join("crates/server/src/lib.rs")).unwrap();
    Map::read(&lib).unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")))
}

fn planted_map() -> Map {
    Map::read(LIB).unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")))
}

#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[track_caller]
fn none_in(sources: &[Source], rule: fn(&Source) -> Vec<String>) {
    none(&sources.iter().flat_map(rule).collect::<Vec<_>>());
}

/// A rule has to fire on this file, once.
#[track_caller]
fn fires(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) {
    let wrong = rule(&Source::new(path, text));
    assert_eq!(wrong.len(), 1, "{path}: {text}\n{wrong:?}");
}

/// A rule has to leave this file alone.
#[track_caller]
fn passes(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) {
    let wrong = rule(&Source::new(path, text));
    assert!(wrong.is_empty(), "{path}: {text}\n{wrong:?}");
}

#[test]
fn every_module_stands_on_the_map() {
    none(&map().strangers(&server()));
}

#[test]
fn the_map_notices_a_module_without_a_group_and_a_file_that_it_does_not_name() {
    assert!(Map::read(&format!("mod early;\n{LIB}")).is_err());
    assert!(Map::read(&LIB.replace("// ── flows: together", "// ── misc")).is_err());
    assert!(Map::read(&LIB.replace("ground", "features").replace("features: one", "ground: one")).is_err());
    assert_eq!(planted_map().strangers(&[Source::new("secrets/mod.rs", "")]).len(), 1);
    none(&planted_map().strangers(&[Source::new("main.rs", ""), Source::new("users/store.rs", "")]));
}

#[test]
fn imports_go_down_the_map_only() {
    none(&map().upward(&server()));
}

#[test]
fn an_import_up_the_map_is_noticed_in_every_spelling() {
    let upward = |path: &str, text: &str| planted_map().upward(&[Source::new(path, text)]);
    for text in [
        "use crate::login;",
        "use crate::{app::App, login::{self, Attempt}};",
        "pub use crate::login::Attempt as Try;",
        "use super::login::Attempt;",
        "use crate::{\n    app::App,\n    login,\n};",
        "fn f() { crate::login::attempt(); }",
        "mod tests { use super::super::login::attempt; }",
        "use crate::*;",
    ] {
        assert!(!upward("users/mod.rs", text).is_empty(), "{text}");
    }
    assert_eq!(
        upward("users/store.rs", "use super::super::login;"),
        ["users/store.rs:1: users (ground) may not use login (flows)"]
    );
    for text in [
        "use crate::app::App;",
        "use super::db;",
        "// use crate::login;",
        "const A: &str = \"crate::login\";",
        "use axum::router;",
    ] {
        none(&upward("users/mod.rs", text));
    }
    none(&upward("router.rs", "use crate::{login, users};"));
}

#[test]
fn modules_of_one_group_do_not_use_each_other_in_a_circle() {
    none(&map().cycles(&server()));
}

#[test]
fn a_circle_within_a_group_is_noticed() {
    let there = Source::new("sessions/mod.rs", "use crate::passwords;");
    let and_back = Source::new("passwords/reset.rs", "fn f() {}\nuse crate::sessions::revoke_all;");
    none(
        &planted_map()
            .cycles(&[Source::new("sessions/mod.rs", "use crate::passwords;\nuse crate::sessions::a;")]),
    );
    let circle = planted_map().cycles(&[there, and_back]);
    assert_eq!(
        circle,
        ["passwords uses sessions (passwords/reset.rs:2), sessions uses passwords (sessions/mod.rs:1)"]
    );
    let two = ["use crate::db;", "use crate::web;", "use crate::app;\nuse crate::web;", "use crate::db;"];
    let map =
        Map::read(&LIB.replace("pub mod db;", "pub mod db;\npub mod web;")).unwrap_or_else(|_| planted_map());
    let paths = ["app.rs", "db/mod.rs", "db/sqlite.rs", "web.rs"];
    let sources: Vec<Source> = paths.iter().zip(two).map(|(path, text)| Source::new(path, text)).collect();
    assert_eq!(map.cycles(&sources).len(), 2);
}

#[test]
fn stores_are_private() {
    let sources = server();
    assert!(
        sources.iter().any(|source| source.name() == "store.rs"),
        "no store found: the rule would check nothing"
    );
    none_in(&sources, public_store);
}

#[test]
fn a_public_store_is_noticed() {
    fires(public_store, "users/mod.rs", "pub mod store;");
    fires(public_store, "users/mod.rs", "pub(crate) mod store;");
    passes(public_store, "users/mod.rs", "mod store;\n// pub mod store;");
}

#[test]
fn sql_stands_only_in_stores_and_in_the_database_adapter() {
    let sources = server();
    let known =
        sources.iter().filter(|source| source.name() == "store.rs").flat_map(|source| &source.strings);
    assert!(
        known.filter(|(_, text)| is_sql(text)).count() > 10,
        "no SQL recognised in the stores: the rule is blind"
    );
    none_in(&sources, stray_sql);
}

#[test]
fn stray_sql_is_noticed() {
    for text in
        ["SELECT 1", "select id from users", "Insert into users values ($1)", "update users\n  set name = $1"]
    {
        fires(stray_sql, "users/mod.rs", &format!("let sql = \"{text}\";"));
    }
    fires(stray_sql, "users/mod.rs", "let sql = r#\"\n delete from users\"#;");
    fires(stray_sql, "users/mod.rs", "let sql = \"with a as (select 1) select * from a\";");
    fires(stray_sql, "app.rs", "let sql = \"delete from \\\n    users\";");
    for text in ["DELETE", "Update your client.", "with care", "selected", "delete the account"] {
        passes(stray_sql, "users/mod.rs", &format!("let text = \"{text}\"; // select id from users"));
    }
    passes(stray_sql, "users/store.rs", "let sql = \"select 1\";");
    passes(stray_sql, "db/sqlite.rs", "let sql = \"select 1\";");
}

#[test]
fn only_the_database_adapter_names_an_engine() {
    let sources = server();
    let adapter = sources.iter().filter(|source| source.path.starts_with("db/"));
    assert!(
        adapter.flat_map(|source| source::lines_with(&source.code, "rusqlite")).count() > 0,
        "the rule is blind"
    );
    none_in(&sources, stray_engine);
}

#[test]
fn a_stray_engine_is_noticed() {
    fires(stray_engine, "users/store.rs", "use rusqlite::params;");
    fires(stray_engine, "app.rs", "fn f(e: tokio_postgres::Error) {}");
    fires(stray_engine, "cli/migrate.rs", "refinery::embed_migrations!();");
    passes(stray_engine, "db/sqlite.rs", "use rusqlite::params;");
    passes(stray_engine, "app.rs", "//! Not rusqlite.\nlet name = \"rusqlite\";");
}

#[test]
fn files_are_short_or_say_why_not() {
    none_in(&everything(), too_long);
}

#[test]
fn a_long_file_is_noticed() {
    fires(too_long, "a.rs", &"//\n".repeat(401));
    fires(too_long, "a.rs", &format!("// long file:\n{}", "//\n".repeat(400)));
    passes(too_long, "a.rs", &"//\n".repeat(400));
    passes(too_long, "a.rs", &format!("// long file: one table, read as one\n{}", "//\n".repeat(400)));
}

#[test]
fn nothing_is_unfinished_and_no_test_is_skipped() {
    none_in(&everything(), unfinished);
}

#[test]
fn unfinished_code_and_skipped_tests_are_noticed() {
    for text in [
        concat!("fn f() { todo", "!() }"),
        concat!("fn f() { unimplemented", "!(\"later\") }"),
        concat!("let a = dbg", "!(b);"),
        concat!("#[", "ignore]"),
        concat!("#[", "ignore = \"slow\"]"),
        "#[cfg_attr(unix, ignore)]",
    ] {
        fires(unfinished, "a.rs", text);
    }
    passes(unfinished, "a.rs", concat!("// todo", "!()\nlet a = \"dbg", "!()\"; let ignore = 1;"));
}

#[test]
fn only_login_starts_sessions() {
    let sources = server();
    let (login, rest): (Vec<_>, Vec<_>) = sources.into_iter().partition(|source| source.module() == "login");
    // The same file under another name breaks the rule: so login does start sessions, and the rule sees how.
    let elsewhere = login.iter().map(|source| Source::new("passwords/mod.rs", &source.text));
    assert!(
        elsewhere.flat_map(|source| starts_sessions(&source)).count() > 0,
        "login starts none: the rule is blind"
    );
    none_in(&rest, starts_sessions);
}

#[test]
fn a_session_started_elsewhere_is_noticed() {
    for text in [
        "use crate::sessions;\nfn f() { sessions::start(app, tx); }",
        "fn f() { crate::sessions::start(app, tx); }",
        "use crate::sessions as s;\nfn f() { s::start(app, tx); }",
        "use crate::sessions::{Start, start};",
        "use crate::sessions::impersonate;",
        "use crate::sessions::start as begin;",
        "use crate::sessions::*;",
    ] {
        fires(starts_sessions, "passwords/mod.rs", text);
    }
    fires(starts_sessions, "sessions/routes.rs", "fn f() { super::start(app, tx); }");
    fires(starts_sessions, "sessions/mod.rs", "pub async fn start(app: &App) {}\nfn f() { start(app); }");
    passes(
        starts_sessions,
        "sessions/mod.rs",
        "pub async fn start(app: &App) {}\nfn f() { Writer::start(a); b.start(); }",
    );
    passes(
        starts_sessions,
        "passwords/mod.rs",
        "use crate::sessions::{self, Start};\nfn f() { sessions::starting(); start::start(); }",
    );
    passes(starts_sessions, "login/mod.rs", "use crate::sessions;\nfn f() { sessions::start(app, tx); }");
}

#[test]
fn handlers_open_no_transaction() {
    none_in(&server(), handler_begins);
}

#[test]
fn a_handler_that_opens_a_transaction_is_noticed() {
    fires(handler_begins, "users/routes.rs", "let mut tx = app.db.begin().await?;");
    passes(handler_begins, "users/routes.rs", "// begin()\nlet a = may_begin(b);");
    passes(handler_begins, "users/mod.rs", "let mut tx = app.db.begin().await?;");
}

#[test]
fn handlers_do_not_borrow_from_the_handlers_of_another_feature() {
    none_in(&server(), borrows_handlers);
}

#[test]
fn a_borrowed_handler_is_noticed() {
    fires(borrows_handlers, "users/routes.rs", "use crate::login::routes::Body;");
    fires(borrows_handlers, "users/pages.rs", "use crate::{app::App, login::{Attempt, pages::form}};");
    fires(borrows_handlers, "users/routes.rs", "fn f() -> crate::login::routes::Body {}");
    passes(borrows_handlers, "users/pages.rs", "use super::routes::Body;\nuse crate::users::routes::Other;");
    passes(borrows_handlers, "router.rs", "use crate::login::routes::router;");
}

#[test]
fn the_crypto_crate_is_pure() {
    none_in(&crypto(), impure);
}

#[test]
fn an_impure_line_is_noticed() {
    for text in [
        "async fn f() {}",
        "use std::fs;",
        "let now = SystemTime::now();",
        "use hallpass::app;",
        "use std::net::IpAddr;",
    ] {
        fires(impure, "secret.rs", text);
    }
    passes(impure, "secret.rs", "//! No async.\nuse std::fmt;\nlet hallpass_key = \"tokio\";");
}
