//! Files that are broken, or made to do harm.
use super::{BCRYPT, Here, PLAIN, opens, refused, sign_in};
use hallpass::clock::{Clock, SystemClock};
use hallpass::import::{Format, Records};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Lines, each with the reason why it is refused, if it is.
fn hostile_lines(secret: &str) -> Vec<(String, &'static str)> {
    let huge = format!("{{\"email\":\"huge@example.com\",\"name\":\"{}\"}}", "x".repeat(2 << 20));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let email = |email: &str| json!({ "email": email }).to_string();
    let mut lines = vec![
        (email("first@example.com"), ""),
        ("{\"email\":\"cut@exam".into(), "malformed_json"),
        (format!("{{\"passwordHash\":\"{secret}\" x}}"), "malformed_json"),
        ("[]".into(), "malformed_json"),
        ("null".into(), "malformed_json"),
        (huge, "too_long"),
        (deep, "malformed_json"),
        ("\u{fffd}".into(), "malformed_json"),
        (json!({ "email": { "$gt": "" } }).to_string(), "bad_field"),
        (json!({ "email": "typo@example.com", "pasword_hash": secret }).to_string(), "unknown_field"),
        (json!({ "email": "typed@example.com", "emailVerified": secret }).to_string(), "bad_field"),
        (json!({ "email": "when@example.com", "createdAt": "yesterday" }).to_string(), "bad_field"),
        (json!({ "name": "Nobody" }).to_string(), "missing_email"),
        (email("no address"), "invalid_email"),
        (email("two@@example.com"), "invalid_email"),
        (email("line\nbreak@example.com"), "invalid_email"),
    ];
    lines.extend(hostile_values(secret));
    lines
}

/// Well-formed records whose values will not do.
fn hostile_values(secret: &str) -> Vec<(String, &'static str)> {
    let email = |email: &str| json!({ "email": email }).to_string();
    let costly = |hash: &str| json!({ "email": "costly@example.com", "passwordHash": hash }).to_string();
    vec![
        (email("FIRST@EXAMPLE.COM"), "email_taken"),
        (email(" first@example.com "), "email_taken"),
        (email("OLD@example.com"), "email_taken"),
        (email("x@b\u{fc}cher.example"), ""),
        (email("x@bu\u{308}cher.example"), "email_taken"),
        (email("X@XN--BCHER-KVA.example"), "email_taken"),
        (costly("$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), "costly_hash"),
        (costly("$scrypt$ln=30,r=8,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA"), "costly_hash"),
        (costly("$pbkdf2-sha256$i=4000000000$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA"), "costly_hash"),
        (costly("$argon2id$v=19$m=4000000,t=9,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA"), "costly_hash"),
        (costly("$scrypt$ln=1,r=4096,p=1000$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA"), "costly_hash"),
        (costly("$argon2id$v=19$m=262145,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA"), "costly_hash"),
        (costly("scrypt:1:65536:1$salt$00112233445566778899aabbccddeeff"), "costly_hash"),
        (costly("$pbkdf2-sha256$i=999$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA"), "weak_hash"),
        (costly("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA"), "weak_hash"),
        (costly(secret), "unsupported_hash"),
        (costly("$2b$broken"), "bad_hash"),
        (json!({ "email": "u@example.com", "username": "a b" }).to_string(), "invalid_username"),
        (json!({ "email": "n@example.com", "name": "a\u{202e}b" }).to_string(), "invalid_name"),
        (
            json!({ "email": "t@example.com", "totp": { "secret": "JBSWY3DPEHPK3PXP" } }).to_string(),
            "factor_not_carried",
        ),
        (json!({ "email": "i@example.com", "id": "1; drop table users" }).to_string(), "bad_field"),
        (
            json!({ "email": "z@example.com", "id": "00000000-0000-0000-0000-000000000000" }).to_string(),
            "bad_field",
        ),
        (
            json!({ "email": "r@example.com", "emailVerified": true, "recoveryCodes": ["AAAA"] }).to_string(),
            "bad_field",
        ),
        (
            json!({ "email": "last@example.com", "emailVerified": true, "passwordHash": BCRYPT }).to_string(),
            "",
        ),
    ]
}

#[test]
fn a_hostile_file_is_refused_by_the_line_and_loses_nothing() {
    let here = Here::new();
    here.add_user("old@example.com");
    let secret = "5f4dcc3b5aa765d61d8327deb882cf99";
    let lines = hostile_lines(secret);
    let mut bytes: Vec<u8> = lines.iter().flat_map(|(line, _)| format!("{line}\r\n").into_bytes()).collect();
    bytes.extend(b"\n\n\xff\xfe{}");
    std::fs::write(here.path("users.jsonl"), bytes).unwrap();
    let sums = here.import(&["users.jsonl", "--report", "report.jsonl", "--batch", "7"]);
    let mut expected: Vec<(u64, &str)> = (1..)
        .zip(&lines)
        .filter(|(_, (_, reason))| !reason.is_empty())
        .map(|(line, (_, reason))| (line, *reason))
        .collect();
    expected.push((lines.len() as u64 + 3, "malformed_json"));
    let report = here.lines("report.jsonl");
    assert_eq!(refused(&report), expected);
    assert_eq!(sums["imported"], 3);
    assert_eq!(
        here.addresses(),
        ["first@example.com", "last@example.com", "old@example.com", "x@xn--bcher-kva.example"]
    );
    let told = std::fs::read_to_string(here.path("report.jsonl")).unwrap();
    assert!(!told.contains(secret) && !told.contains("JBSWY3DP") && !told.contains("$2b$"), "{told}");
    let server = here.serve();
    opens(&server, "old@example.com", crate::support::PASSWORD);
    opens(&server, "last@example.com", PLAIN);
}

#[test]
fn what_may_be_lost_is_lost_by_name_only() {
    let here = Here::new();
    let users = [
        json!({ "email": "a@example.com", "username": "same" }),
        json!({ "email": "b@example.com", "username": "SAME" }),
        json!({ "email": "c@example.com", "username": "not a name", "name": "x".repeat(200), "passwordHash": "???" }),
        json!({ "email": "d@example.com", "totp": { "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" } }),
    ];
    here.write_lines("users.jsonl", &users);
    here.import(&["users.jsonl", "--may-drop", "username"]);
    assert_eq!(here.addresses(), ["a@example.com", "b@example.com"]);
    let all = "username,name,password,factors";
    let sums = here.import(&["users.jsonl", "--again", "--may-drop", all, "--report", "report.jsonl"]);
    assert_eq!((&sums["imported"], &sums["importedWithout"]), (&json!(2), &json!(2)));
    let report = here.lines("report.jsonl");
    let lost: Vec<_> = report.iter().filter(|line| line["outcome"] == "imported_without").collect();
    let reasons: Vec<&Value> = lost.iter().map(|line| &line["reason"]).collect();
    assert_eq!(reasons, ["invalid_username", "invalid_name", "unsupported_hash", "factor_not_carried"]);
    assert_eq!(here.addresses().len(), 4);
    assert_eq!(here.texts("select username from users order by email_normalised"), ["same", "", "", ""]);
    assert!(here.texts("select factors from users").iter().all(String::is_empty));
}

#[test]
fn an_id_is_kept_and_never_taken_from_somebody() {
    let here = Here::new();
    let id = "0198c0de-0000-7000-8000-00000000abcd";
    here.write_lines(
        "users.jsonl",
        &[
            json!({ "email": "a@example.com", "id": id }),
            json!({ "email": "b@example.com", "id": id }),
            json!({ "email": "c@example.com", "id": "0198C0DE-0000-7000-8000-00000000ABCE" }),
        ],
    );
    here.import(&["users.jsonl", "--report", "report.jsonl"]);
    assert_eq!(refused(&here.lines("report.jsonl")), [(2, "id_taken"), (3, "bad_field")]);
    assert_eq!(here.texts("select id from users"), [id]);
    // Where ids are those of another system, another one does.
    here.write(
        "rows.jsonl",
        &json!({ "id": id, "email": "d@example.com", "encrypted_password": BCRYPT, "factors": null })
            .to_string(),
    );
    here.import(&["rows.jsonl", "--format", "supabase", "--ids", "ids.jsonl"]);
    let ids = here.lines("ids.jsonl");
    assert!(ids[0]["sourceId"] == id && ids[0]["id"] != id, "{ids:?}");
}

#[test]
fn instants_of_factors_lie_between_1970_and_now() {
    let here = Here::new();
    let key = r#"{"type_":"ES256","key":{"EC_EC2":{"curve":"SECP256R1","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}}}"#;
    let passkey = |id: &str, at: i64| {
        json!({
            "credentialId": id, "publicKey": key, "signCount": 0, "flags": 0, "transports": "", "name": id,
            "createdAt": at, "lastUsedAt": at, "suspectAt": at,
        })
    };
    let known = 1_700_000_000_000_000;
    let passkeys = [passkey("aaaa", i64::MIN), passkey("bbbb", known), passkey("cccc", i64::MAX)];
    here.write_lines(
        "users.jsonl",
        &[json!({
            "email": "a@example.com", "id": "0198c0de-0000-7000-8000-00000000abcd", "emailVerified": true,
            "totp": { "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "createdAt": "1900-01-01T00:00:00Z" },
            "passkeys": passkeys,
        })],
    );
    let begun = SystemClock::default().now().micros();
    assert_eq!(here.import(&["users.jsonl"])["imported"], 1);
    let now = begun..=SystemClock::default().now().micros();
    for sql in [
        "select created_at || '' from passkeys order by name",
        "select last_used_at || '' from passkeys order by name",
        "select suspect_at || '' from passkeys order by name",
    ] {
        let stored: Vec<i64> = here.texts(sql).iter().map(|at| at.parse().unwrap()).collect();
        assert!(stored[..2] == [0, known] && now.contains(&stored[2]), "{sql}: {stored:?}");
    }
    assert_eq!(here.texts("select created_at || '' from totp_secrets"), ["0"]);
}

#[test]
fn files_that_are_not_what_was_said_are_refused_before_anything_is_stored() {
    let here = Here::new();
    let one = json!({ "id": "x", "email": "a@example.com" }).to_string();
    let users = format!("{{\"realm\":\"r\",\"users\":[{one},{{\"email\":\"b@");
    here.write("cut.json", &users);
    here.run(&["import", "cut.json", "--format", "keycloak"]).fails_with("cut off");
    here.write("cut.json", &format!("{{\"users\":[{one}}}"));
    here.run(&["import", "cut.json", "--format", "keycloak"]).fails_with("cut off");
    here.write("none.json", "{\"realm\":\"r\",\"roles\":{\"users\":[1]}}");
    here.run(&["import", "none.json", "--format", "keycloak"]).fails_with("no \"users\"");
    here.write("text", "hello");
    here.run(&["import", "text", "--format", "keycloak"]).fails_with("no JSON document");
    here.run(&["import", "missing.jsonl"]).fails_with("cannot read missing.jsonl");
    here.run(&["import", "."]).fails_with("is no file");
    here.write("empty.jsonl", "\n \n");
    assert_eq!(here.import(&["empty.jsonl"])["records"], 0);
    assert!(here.addresses().is_empty());
}

#[test]
fn what_stands_behind_an_array_is_read_or_refused_and_never_passed_over() {
    let here = Here::new();
    let user = |name: &str| json!({ "email": format!("{name}@example.com") }).to_string();
    let cut_into = |text: String, format: Format| -> Result<Vec<(u64, String)>, String> {
        let mut records =
            Records::new(text.as_bytes(), format.layout()).map_err(|error| error.to_string())?;
        let mut read = Vec::new();
        while let Some(record) = records.read().map_err(|error| error.to_string())? {
            read.push((record.line, String::from_utf8(record.bytes.unwrap()).unwrap()));
        }
        Ok(read)
    };
    let (lines, document) = (Format::Hallpass, Format::Keycloak);
    let (ann, bob) = (user("ann"), user("bob"));
    let both = vec![(1, ann.clone()), (2, bob.clone())];
    for first in ["[]", "[1,2]", "[\"a\"]"] {
        let expected = vec![(1, first.to_owned()), (2, ann.clone()), (3, bob.clone())];
        assert_eq!(cut_into(format!("{first}\n{ann}\n{bob}\n"), lines), Ok(expected), "{first}");
    }
    assert_eq!(cut_into(" [ ]\n\n".into(), lines), Ok(vec![]));
    assert_eq!(cut_into("[]".into(), document), Ok(vec![]));
    assert_eq!(cut_into(format!("[{ann}]\n[{bob}]\n"), lines), Ok(both.clone()));
    for behind in [bob.clone(), "]".into(), ",".into(), "x".into()] {
        let told = cut_into(format!("[{ann}]\n{behind}\n"), lines).unwrap_err();
        assert!(told.contains("on line 2 something stands behind"), "{told}");
    }
    let realm =
        |user: &str| format!("{{\"realm\":\"r\",\"users\":[{user}],\"clients\":[{{\"users\":[1]}}]}}");
    assert_eq!(cut_into(format!("{}\n{}", realm(&ann), realm(&bob)), document), Ok(both.clone()));
    // The member stands there twice.
    assert_eq!(cut_into(format!("{{\"users\":[{ann}],\n\"users\":[{bob}]}}"), document), Ok(both));
    let whole = realm(&ann);
    let end = whole.find("],").unwrap() + 1;
    for cut in end..whole.len() {
        let told = cut_into(whole[..cut].to_owned(), document).unwrap_err();
        assert!(told.contains("cut off"), "{cut}: {told}");
    }
    assert!(cut_into(format!("{whole}{{\"realm\":\"r\"}}"), document).unwrap_err().contains("no \"users\""));
    assert!(cut_into(format!("{whole}x"), document).unwrap_err().contains("something stands behind"));
    assert!(cut_into("{\"users\":{\"a\":1}}".into(), document).unwrap_err().contains("no array"));
    here.write("two.json", &format!("[{ann}]\n{bob}"));
    here.run(&["import", "two.json"]).fails_with("something stands behind");
    assert!(here.addresses().is_empty());
    here.write("users.jsonl", &format!("[]\n{ann}\n{bob}\n"));
    let sums = here.import(&["users.jsonl"]);
    assert_eq!((&sums["imported"], &sums["refused"]), (&json!(2), &json!(1)));
}

#[test]
fn files_of_another_kind_are_named_before_anything_is_stored() {
    let here = Here::new();
    let kinds: [(&[u8], &str); 4] = [
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04", "ZIP"),
        (b"\xff\xfe{\0}\0", "UTF-16"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "age --decrypt"),
    ];
    for (bytes, words) in kinds {
        std::fs::write(here.path("users.jsonl"), bytes).unwrap();
        here.run(&["import", "users.jsonl"]).fails_with(words);
    }
    assert!(here.texts("select digest from imports").is_empty());
}

#[test]
fn an_array_is_read_as_lines_are() {
    let here = Here::new();
    let users =
        ["a", "b", "c"].map(|name| json!({ "email": format!("{name}@example.com"), "name": "x],[\\\"{" }));
    here.write("users.json", &format!(" {}", serde_json::to_string_pretty(&users).unwrap()));
    assert_eq!(here.import(&["users.json"])["imported"], 3);
}

#[test]
fn an_imported_hash_tells_nobody_that_the_account_exists_by_its_answer() {
    let here = Here::new();
    here.write_lines(
        "users.jsonl",
        &[json!({ "email": "a@example.com", "passwordHash": BCRYPT, "emailVerified": true })],
    );
    here.import(&["users.jsonl"]);
    let server = here.serve();
    let strip = |(status, mut body): (u16, Value)| {
        body.as_object_mut().unwrap().remove("requestId");
        (status, body)
    };
    let known = strip(sign_in(&server, "a@example.com", "wrong password"));
    assert_eq!(known, strip(sign_in(&server, "b@example.com", "wrong password")));
    // A password beyond what bcrypt takes in is a wrong one, not an error.
    assert_eq!(strip(sign_in(&server, "a@example.com", &"long".repeat(40))), known);
}

proptest! {
    #[test]
    fn any_bytes_are_cut_into_records_that_end(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "[\\[{]?(\"users\"|\"a\"|[\\[\\]{}:,\"\\\\ \n1]){0,40}".prop_map(String::into_bytes),
        ]
    ) {
        for format in [Format::Hallpass, Format::Keycloak] {
            let Ok(mut records) = Records::new(&bytes[..], format.layout()) else { continue };
            let mut read = 0;
            while let Ok(Some(record)) = records.read() {
                read += 1;
                prop_assert!(read <= bytes.len(), "it goes on for ever");
                prop_assert!(record.bytes.is_some_and(|record| record.len() <= bytes.len()));
            }
        }
    }
}
