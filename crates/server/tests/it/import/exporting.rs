//! Everything out of one server and into another.
use super::{BCRYPT, Here, PLAIN, code, opens, second_step, sign_in};
use crate::support::PASSWORD;
use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

const PASSPHRASE: &str = "four quiet walnut harbours\n";
const ANN: &str = "ann@example.com";

fn export(here: &Here, name: &str) -> Value {
    here.write("passphrase.txt", PASSPHRASE);
    here.run(&["export", "--out", name, "--passphrase-file", "passphrase.txt", "--json"]).json()
}

#[test]
fn everybody_signs_in_with_password_and_app_and_recovery_code_on_the_new_server() {
    let old = Here::new();
    old.add_user(ANN);
    old.write_lines("users.jsonl", &[
        json!({ "email": "bob@example.com", "emailVerified": true, "username": "bob", "passwordHash": BCRYPT, "roles": ["admin"] }),
        json!({ "email": "carl@example.com", "disabled": true }),
    ]);
    old.import(&["users.jsonl", "--allow-roles", "admin"]);
    let server = old.serve();
    let token = server.sign_in(ANN, PASSWORD);
    let (_, setup) = server.send("POST", "/api/v1/factors/totp", &token, &Value::Null);
    let secret = BASE32_NOPAD.decode(setup["secret"].as_str().unwrap().as_bytes()).unwrap();
    let (status, confirmed) =
        server.send("POST", "/api/v1/factors/totp/confirm", &token, &json!({ "otp": code(&secret) }));
    assert_eq!(status, 200, "{confirmed}");
    let codes: Vec<&str> =
        confirmed["recoveryCodes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    let (_, answer) = sign_in(&server, ANN, PASSWORD);
    assert_eq!(second_step(&server, &answer, codes[0]).0, 200);
    drop(server);
    assert_eq!(export(&old, "users.age")["accounts"], 3);
    let sealed = std::fs::read(old.path("users.age")).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    assert!(!String::from_utf8_lossy(&sealed).contains("example.com"));

    let new = Here::new();
    std::fs::write(new.path("users.age"), &sealed).unwrap();
    new.write("passphrase.txt", PASSPHRASE);
    let sums = new.import(&["users.age", "--passphrase-file", "passphrase.txt", "--allow-roles", "admin"]);
    assert_eq!((&sums["imported"], &sums["refused"]), (&json!(3), &json!(0)));
    for sql in [
        "select id from users order by id",
        "select password_hash from users order by id",
        "select roles from users order by id",
        "select factors from users order by id",
        "select username from users order by id",
    ] {
        assert_eq!(old.texts(sql), new.texts(sql), "{sql}");
    }
    let show = |here: &Here| here.run(&["user", "show", ANN, "--json"]).json()["user"].clone();
    assert_eq!(show(&old), show(&new));
    let server = new.serve();
    opens(&server, "bob@example.com", PLAIN);
    assert_eq!(sign_in(&server, "carl@example.com", PLAIN).0, 401);
    let (_, answer) = sign_in(&server, ANN, PASSWORD);
    // The step that was used over there is used here too, and so is the code.
    assert_eq!(second_step(&server, &answer, codes[0]).0, 401);
    assert_eq!(second_step(&server, &answer, codes[1]).0, 200);
}

#[test]
fn a_wrong_passphrase_or_a_cut_file_imports_nothing() {
    let old = Here::new();
    let records: Vec<Value> = (0..1500)
        .map(|number| json!({ "email": format!("user{number}@example.com"), "passwordHash": BCRYPT }))
        .collect();
    old.write_lines("users.jsonl", &records);
    old.import(&["users.jsonl"]);
    export(&old, "users.age");
    let sealed = std::fs::read(old.path("users.age")).unwrap();
    assert!(sealed.len() > 3 * 65_536);
    let new = Here::new();
    new.write("passphrase.txt", PASSPHRASE);
    new.write("wrong.txt", "four quiet walnut harbour\n");
    std::fs::write(new.path("users.age"), &sealed).unwrap();
    new.run(&["import", "users.age"]).fails_with("--passphrase-file");
    new.run(&["import", "users.age", "--passphrase-file", "wrong.txt"]).fails_with("passphrase is wrong");
    let mut changed = sealed.clone();
    changed[sealed.len() / 2] ^= 1;
    let header = sealed.iter().position(|byte| *byte == b'-').unwrap() + 150;
    for (name, bytes) in [
        ("end", &sealed[..sealed.len() - 1]),
        ("chunk", &sealed[..sealed.len() - (sealed.len() - 200) % 65_552 - 1]),
        ("half", &sealed[..sealed.len() / 2]),
        ("changed", &changed[..]),
        ("longer", &[&sealed[..], b"x"].concat()),
    ] {
        std::fs::write(new.path(name), bytes).unwrap();
        new.run(&["import", name, "--passphrase-file", "passphrase.txt"]).fails_with("changed or is cut off");
    }
    std::fs::write(new.path("head"), &sealed[..header]).unwrap();
    assert_eq!(new.run(&["import", "head", "--passphrase-file", "passphrase.txt"]).code, 1);
    assert!(new.addresses().is_empty());
    let sums = new.import(&["users.age", "--passphrase-file", "passphrase.txt", "--batch", "100"]);
    assert_eq!(sums["imported"], 1500);
    let again = new.import(&["users.age", "--passphrase-file", "passphrase.txt", "--again"]);
    assert_eq!((&again["imported"], &again["refused"]), (&json!(0), &json!(1500)));
}

#[test]
fn an_export_is_private_overwrites_nothing_and_leaves_a_trace() {
    use std::os::unix::fs::PermissionsExt;
    let here = Here::new();
    here.add_user(ANN);
    here.write("short.txt", "too short\n");
    here.run(&["export", "--out", "x.age", "--passphrase-file", "short.txt"]).fails_with("at least 15");
    assert!(!here.path("x.age").exists());
    export(&here, "users.age");
    let mode = std::fs::metadata(here.path("users.age")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(here.path("users.age")).unwrap();
    here.run(&["export", "--out", "users.age", "--passphrase-file", "passphrase.txt"])
        .fails_with("users.age");
    assert!(std::fs::read(here.path("users.age")).unwrap() == before);
    assert_eq!(here.texts("select kind from audit_events where kind = 'users_exported'").len(), 1);
}

#[test]
fn hashes_with_a_pepper_are_refused_where_it_is_missing() {
    let peppered = |pepper: &str| Here::new().with("HALLPASS_KEYS__PEPPER", pepper);
    let old = peppered("a pepper of thirty-two characters");
    old.add_user(ANN);
    export(&old, "users.age");
    let sealed = std::fs::read(old.path("users.age")).unwrap();
    let receive = |new: &Here, more: &[&str]| {
        std::fs::write(new.path("users.age"), &sealed).unwrap();
        new.write("passphrase.txt", PASSPHRASE);
        new.import(&[&["users.age", "--passphrase-file", "passphrase.txt"], more].concat())
    };
    let without = Here::new();
    assert_eq!(receive(&without, &[])["reasons"], json!({ "unknown_pepper": 1 }));
    let same = peppered("a pepper of thirty-two characters");
    assert_eq!(receive(&same, &[])["imported"], 1);
    opens(&same.serve(), ANN, PASSWORD);
}

#[test]
fn an_address_that_was_not_proven_is_not_proven_on_the_new_server() {
    let old = Here::new();
    old.write_lines(
        "users.jsonl",
        &[json!({ "email": ANN }), json!({ "email": "bob@example.com", "emailVerified": true })],
    );
    old.import(&["users.jsonl"]);
    export(&old, "users.age");
    let new = Here::new();
    std::fs::copy(old.path("users.age"), new.path("users.age")).unwrap();
    // An editor's mark stands before the passphrase.
    new.write("passphrase.txt", &format!("\u{feff}{PASSPHRASE}"));
    let sums = new.import(&["users.age", "--passphrase-file", "passphrase.txt", "--emails-verified"]);
    assert_eq!((&sums["imported"], &sums["records"]), (&json!(2), &json!(2)), "the first line is no record");
    let proven = "select email_normalised from users where email_verified_at is not null";
    assert_eq!(new.texts(proven), ["bob@example.com"]);
    new.write_lines(
        "contradictions.jsonl",
        &[
            json!({ "email": "x@example.com", "emailVerified": false, "emailVerifiedAt": "2024-05-06T07:08:09Z" }),
            json!({ "email": "y@example.com", "disabled": false, "disabledAt": "2024-05-06T07:08:09Z" }),
        ],
    );
    let sums = new.import(&["contradictions.jsonl", "--emails-verified"]);
    assert_eq!(sums["reasons"], json!({ "bad_field": 2 }));
}
