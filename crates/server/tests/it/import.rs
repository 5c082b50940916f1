//! Taking users over from elsewhere, and taking all of them out: the real binary, then a sign-in over HTTP.
mod converters;
mod exporting;
mod hostile;
mod resuming;
mod shapes;

use crate::cli::process::{Place, Server};
use crate::support::database::{self, Database, SECRET_KEY};
use hallpass::clock::{Clock, SystemClock};
use hallpass::db::{Db, Options, Statements};
use hallpass_crypto::totp::Secret;
use serde_json::{Value, json};
use std::ops::Deref;

/// A folder with a migrated database of its own, on the backend of this run.
pub struct Here {
    place: Place,
    url: String,
    // Dropped last.
    _database: Option<Database>,
}

impl Deref for Here {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

impl Here {
    pub fn new() -> Self {
        let place = Place::new();
        match Database::migrated() {
            None => {
                place.run(&["migrate"]).succeeds();
                Self { url: format!("sqlite:{}", place.database().display()), place, _database: None }
            }
            Some(database) => {
                let url = database.url();
                let place = place.set("HALLPASS_DATABASE_URL", &url).set("HALLPASS_SECRET_KEY", SECRET_KEY);
                let place = place.set("HALLPASS_PUBLIC_URL", "http://localhost:3000");
                Self { place, url, _database: Some(database) }
            }
        }
    }

    /// With one more setting.
    pub fn with(self, name: &str, value: &str) -> Self {
        Self { place: self.place.set(name, value), ..self }
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes records as lines.
    pub fn write_lines(&self, name: &str, records: &[Value]) {
        let lines: Vec<String> = records.iter().map(Value::to_string).collect();
        self.write(name, &(lines.join("\n") + "\n"));
    }

    /// The lines of a file.
    pub fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs an import and returns its sums; 4 is as good as 0.
    pub fn import(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[&["import", "--json"], arguments].concat());
        assert!([0, 4].contains(&said.code), "{said:?}");
        let sums: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(said.code == 4, sums["refused"].as_i64().unwrap_or(0) > 0, "{said:?}");
        sums
    }

    /// Runs one statement and returns the first column of each row as text.
    pub fn texts(&self, sql: &'static str) -> Vec<String> {
        let url = self.url.clone();
        database::beside(async move {
            let db = Db::open(&url, &Options::default()).unwrap();
            let rows = (&db).query(sql, &[]).await.unwrap();
            rows.into_iter().map(|mut row| row.maybe_text().unwrap().unwrap_or_default()).collect()
        })
    }

    /// Changes rows by one statement.
    pub fn change(&self, sql: &'static str) {
        let url = self.url.clone();
        database::beside(async move {
            Db::open(&url, &Options::default()).unwrap().write(sql, &[]).await.unwrap();
        });
    }

    /// Stored hashes in the order of addresses.
    pub fn hashes(&self) -> Vec<String> {
        self.texts("select password_hash from users order by email_normalised")
    }

    /// Addresses, in order.
    pub fn addresses(&self) -> Vec<String> {
        self.texts("select email_normalised from users order by email_normalised")
    }
}

/// Status of a sign-in by password, and the answer.
pub fn sign_in(server: &Server, email: &str, password: &str) -> (u16, Value) {
    let body = json!({ "email": email, "password": password, "tokenDelivery": "body" });
    server.send("POST", "/api/v1/login", "", &body)
}

/// Asserts that a password opens an account, and another one does not.
#[track_caller]
pub fn opens(server: &Server, email: &str, password: &str) {
    assert_eq!(sign_in(server, email, &format!("{password}?")).0, 401, "{email}");
    let (status, answer) = sign_in(server, email, password);
    assert_eq!((status, answer["user"]["email"].as_str()), (200, Some(email)), "{answer}");
}

/// Answers the second step of a sign-in with a code of an authenticator app.
pub fn second_step(server: &Server, answer: &Value, typed: &str) -> (u16, Value) {
    assert_eq!(answer["status"], "second_factor_required", "{answer}");
    let body = json!({ "attempt": answer["attempt"], "otp": typed, "tokenDelivery": "body" });
    server.send("POST", "/api/v1/verify", "", &body)
}

/// The code that an app shows now.
pub fn code(secret: &[u8]) -> String {
    Secret::from_bytes(secret).unwrap().code(SystemClock::default().now().seconds().div_euclid(30))
}

/// What was refused, as line and reason.
pub fn refused(report: &[Value]) -> Vec<(u64, &str)> {
    let refused = report.iter().filter(|line| line["outcome"] == "refused");
    refused.map(|line| (line["line"].as_u64().unwrap(), line["reason"].as_str().unwrap())).collect()
}

/// The password of the examples.
pub const PLAIN: &str = "U*U";
/// bcrypt's published hash of it.
pub const BCRYPT: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/// A hash form, and the password that it was made of.
fn forms() -> Vec<(Value, &'static str)> {
    let text = |text: &str| json!(text);
    let abc256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let abc512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    vec![
        (
            text("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
            "password",
        ),
        (
            text("$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"),
            "password",
        ),
        (text(BCRYPT), PLAIN),
        (text(&BCRYPT.replace("$2a$", "$2b$")), PLAIN),
        (text(&BCRYPT.replace("$2a$", "$2y$")), PLAIN),
        (
            text(
                "scrypt:16384:8:1$SodiumChloride$7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
            ),
            "pleaseletmein",
        ),
        (text("pbkdf2_sha256$12000$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s="), "l\u{e8}tmein"),
        (text("AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggHIVY0sdEUfdyeM+E1LtH1uJg=="), "my password"),
        (
            text("AQAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw=="),
            "my password",
        ),
        (text("$pbkdf2$4096$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE"), "password"),
        (text(abc256), "abc"),
        (text(&abc512.to_uppercase()), "abc"),
        (json!({ "algorithm": "sha256", "hash": abc256, "salt": "a", "saltPosition": "before" }), "bc"),
        (
            json!({ "algorithm": "sha512", "hash": abc512, "salt": "63", "saltEncoding": "hex", "saltPosition": "after" }),
            "ab",
        ),
    ]
}

fn address(number: usize) -> String {
    format!("user{number:02}@example.com")
}

#[test]
fn every_form_of_hash_signs_in_and_is_ours_afterwards() {
    let here = Here::new();
    let forms = forms();
    let record = |(number, (hash, _)): (usize, &(Value, &str))| json!({ "email": address(number), "emailVerified": true, "passwordHash": hash });
    let records: Vec<Value> = forms.iter().enumerate().map(record).collect();
    here.write_lines("users.jsonl", &records);
    let sums = here.import(&["users.jsonl"]);
    assert_eq!((sums["imported"].as_u64(), sums["refused"].as_u64()), (Some(forms.len() as u64), Some(0)));
    for stored in here.hashes() {
        assert!(!stored.contains("ba7816bf") && !stored.contains("ddaf35a1"), "no bare digest: {stored}");
    }
    let before = here.hashes();
    let server = here.serve();
    for (number, (_, password)) in forms.iter().enumerate() {
        opens(&server, &address(number), password);
    }
    let after = here.hashes();
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        assert!(after.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && before != after, "{number}: {after}");
    }
    // And again, by the new ones.
    for (number, (_, password)) in forms.iter().enumerate() {
        opens(&server, &address(number), password);
    }
    assert_eq!(here.hashes(), after, "once is enough");
}

#[test]
fn everything_about_an_account_comes_along() {
    let here = Here::new();
    let id = "0198c0de-0000-7000-8000-00000000abcd";
    here.write_lines("users.jsonl", &[
        json!({
            "id": id, "externalId": "legacy-7", "email": "Ann@Example.com", "emailVerifiedAt": "2024-05-06T07:08:09Z",
            "username": "Annie", "name": "Ann B", "passwordHash": BCRYPT, "passwordChangedAt": "2024-01-01T00:00:00+02:00",
            "roles": ["editor", "user"], "createdAt": "2023-01-02T03:04:05.678Z", "lastLoginAt": "2025-01-01T00:00:00Z",
            "totp": { "secret": "jbsw y3dp ehpk 3pxp JBSWY3DPEHPK3PXP" },
        }),
        json!({ "email": "bob@example.com", "disabled": true, "passwordHash": BCRYPT }),
        json!({ "email": "carl@example.com", "passwordHash": null, "roles": [] }),
    ]);
    here.run(&["role", "set", "editor", "--permission", "articles:write"]).succeeds();
    here.import(&["users.jsonl", "--allow-roles", "editor", "--ids", "ids.jsonl"]);
    assert_eq!(here.texts("select role from user_roles"), ["editor"]);
    assert_eq!(here.lines("ids.jsonl"), [json!({ "sourceId": "legacy-7", "id": id })]);
    let ann = here.run(&["user", "show", "annie", "--json"]).json()["user"].clone();
    assert_eq!(ann["id"], id);
    assert_eq!(ann["email"], "Ann@example.com");
    assert_eq!((&ann["emailVerified"], &ann["name"]), (&json!(true), &json!("Ann B")));
    assert_eq!(ann["roles"], json!(["editor", "user"]));
    assert_eq!(
        (&ann["createdAt"], &ann["lastLoginAt"]),
        (&json!("2023-01-02T03:04:05.678Z"), &json!("2025-01-01T00:00:00.000Z"))
    );
    assert_eq!(ann["factors"], json!(["password", "totp"]));
    let server = here.serve();
    let (status, answer) = sign_in(&server, "ann@example.com", PLAIN);
    assert_eq!(status, 200, "{answer}");
    let secret = data_encoding::BASE32_NOPAD.decode(b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").unwrap();
    let typed = code(&secret);
    let (status, proven) = second_step(&server, &answer, &typed);
    assert_eq!((status, &proven["user"]["id"]), (200, &json!(id)), "{proven}");
    let (_, answer) = sign_in(&server, "ann@example.com", PLAIN);
    assert_eq!(second_step(&server, &answer, &typed).0, 401, "a code serves once");
    assert_eq!(sign_in(&server, "bob@example.com", PLAIN).0, 401, "closed there, closed here");
    assert_eq!(sign_in(&server, "carl@example.com", "").0, 422);
    assert_eq!(
        here.run(&["user", "show", "carl@example.com", "--json"]).json()["user"]["emailVerified"],
        false
    );
}

#[test]
fn a_rehearsal_writes_nothing_and_says_what_would_happen() {
    let here = Here::new();
    here.add_user("taken@example.com");
    let ann = json!({ "email": "ann@example.com", "username": "ann" });
    let others = ["taken@EXAMPLE.com", "ANN@example.com", "nobody"].map(|email| json!({ "email": email }));
    let also_ann = json!({ "email": "other@example.com", "username": "ANN" });
    here.write_lines("users.jsonl", &[&[ann], &others[..], &[also_ann]].concat());
    let before = here.addresses();
    // Small parts, so that what is twice is in different ones.
    let rehearsed = here.import(&["users.jsonl", "--dry-run", "--batch", "1", "--report", "rehearsed.jsonl"]);
    assert_eq!((&rehearsed["state"], &rehearsed["imported"]), (&json!("rehearsed"), &json!(1)));
    let said = here.run(&["import", "users.jsonl", "--dry-run"]);
    assert!(said.out.contains("Would import 1 account, refused 4 records ("), "{said:?}");
    assert_eq!(here.addresses(), before);
    assert!(here.texts("select digest from imports").is_empty());
    let events = here.texts("select kind from audit_events where kind = 'users_imported'");
    assert!(events.is_empty(), "{events:?}");
    here.import(&["users.jsonl", "--report", "refused.jsonl"]);
    assert_eq!(refused(&here.lines("rehearsed.jsonl")), refused(&here.lines("refused.jsonl")));
    assert_eq!(here.addresses(), ["ann@example.com", "taken@example.com"]);
}

#[test]
fn a_file_makes_no_administrator_by_itself() {
    let here = Here::new();
    let with = |email: &str, roles: Value| json!({ "email": email, "roles": roles });
    here.write_lines(
        "users.jsonl",
        &[
            with("a@example.com", json!(["admin"])),
            with("b@example.com", json!(["editor"])),
            with("c@example.com", json!(["user"])),
            with("d@example.com", json!(["user admin"])),
            with("e@example.com", json!(["admin\nx"])),
        ],
    );
    let undefined = here.import(&["users.jsonl", "--allow-roles", "editor", "--dry-run"]);
    assert_eq!(undefined["reasons"], json!({ "role_not_allowed": 4 }), "a role has to be defined");
    here.run(&["role", "set", "editor", "--permission", "articles:write"]).succeeds();
    here.import(&["users.jsonl", "--allow-roles", "editor,user admin", "--report", "report.jsonl"]);
    let no = "role_not_allowed";
    assert_eq!(refused(&here.lines("report.jsonl")), [(1, no), (4, no), (5, no)]);
    let roles = || here.texts("select roles from users order by email_normalised");
    assert_eq!(roles(), ["editor user", "user"]);
    here.import(&["users.jsonl", "--again", "--may-drop", "roles"]);
    assert_eq!(roles(), ["user", "editor user", "user", "user", "user"]);
    assert_eq!(here.texts("select role from user_roles"), ["editor"]);
    here.write_lines("boss.jsonl", &[with("boss@example.com", json!(["admin"]))]);
    here.import(&["boss.jsonl", "--allow-roles", "admin"]);
    assert_eq!(
        here.run(&["user", "show", "boss@example.com", "--json"]).json()["user"]["roles"],
        json!(["admin", "user"])
    );
}

#[test]
fn the_audit_log_has_one_event_for_each_part_and_stays_whole() {
    let here = Here::new();
    let records: Vec<Value> = (0..25).map(|number| json!({ "email": address(number) })).collect();
    here.write_lines("users.jsonl", &records);
    here.import(&["users.jsonl", "--batch", "10"]);
    let details = here.texts("select detail from audit_events where kind = 'users_imported' order by id");
    let details: Vec<Value> = details.iter().map(|detail| serde_json::from_str(detail).unwrap()).collect();
    let counted: Vec<_> = details.iter().map(|detail| detail["imported"].as_i64().unwrap()).collect();
    assert_eq!(counted, [10, 10, 5]);
    assert!(here.run(&["audit", "verify"]).succeeds().out.contains("whole"));
}
