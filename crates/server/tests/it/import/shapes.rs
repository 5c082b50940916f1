//! What programs write beside the documented shapes of their files: read, refused, or given up by name, and never lost silently.
use super::{BCRYPT, Here, PLAIN, code, opens, refused, second_step, sign_in};
use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const LOST: &str = "factor_not_carried";
const UNREAD: &str = "unsupported_hash";
const CLOSED: &str = "disabled";

/// The reasons of a report in the order of addresses, with those of which there are none.
fn reasons(here: &Here, report: &str) -> Vec<String> {
    let lines = here.lines(report);
    refused(&lines).into_iter().map(|(line, reason)| format!("{line} {reason}")).collect()
}

fn user(here: &Here, email: &str) -> Value {
    here.run(&["user", "show", email, "--json"]).json()["user"].clone()
}

fn with(mut record: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is no object") };
    record.as_object_mut().unwrap().extend(more);
    record
}

#[test]
fn each_credential_of_keycloak_is_read_or_lost_by_name() {
    let here = Here::new();
    let quoted = |value: Value| Value::String(value.to_string());
    let old = json!({ "type": "password", "hashedSaltedValue": "SwB5AbdlSJq+rUnZJvch0GWkKcE=", "salt": "c2FsdA==", "hashIterations": 4096,
        "counter": 0, "algorithm": "pbkdf2", "digits": 0, "period": 0, "createdDate": 1_717_495_200_000_u64, "config": {} });
    let secret = "dPvUqFzHs0ALY1YdGw7e";
    let totp = |digits: u8| {
        json!({ "type": "totp", "hashedSaltedValue": secret, "hashIterations": 0, "counter": 0, "algorithm": "HmacSHA1",
            "digits": digits, "period": 30 })
    };
    let data = json!({ "attestationStatement": "x".repeat(6000) });
    let key =
        |kind: &str| json!({ "type": kind, "secretData": "{}", "credentialData": quoted(data.clone()) });
    let history = json!({ "type": "password-history", "secretData": "{}", "credentialData": "{}" });
    let record = |name: &str, credentials: Value| json!({ "username": name, "enabled": true, "emailVerified": true, "email": format!("{name}@example.com"), "credentials": credentials });
    let users = [
        record("ann", json!([old, history])),
        record("bob", json!([old, totp(6)])),
        record("eight", json!([old, totp(8)])),
        record("passkey", json!([old, key("webauthn-passwordless")])),
        record("key", json!([totp(6), key("webauthn")])),
        record("plain", json!([{ "type": "password", "value": "plain" }])),
        record("cut", json!([{ "type": "password", "secretData": "{", "credentialData": "{}" }])),
        record("half", json!([{ "type": "otp", "secretData": quoted(json!({ "value": secret })) }])),
        record("odd", json!([{ "type": "face" }])),
        with(
            record("given", json!([old])),
            json!({ "requiredActions": ["VERIFY_EMAIL", "UPDATE_PASSWORD"] }),
        ),
        record("passing", json!([with(old.clone(), json!({ "temporary": true }))])),
        with(record("named", json!([])), json!({ "firstName": { "a": 1 } })),
    ];
    let lines: Vec<String> = users.iter().map(Value::to_string).collect();
    here.write("realm.json", &format!("{{\"realm\":\"shop\",\"users\":[{}]}}", lines.join(",\n")));
    here.import(&["realm.json", "--format", "keycloak", "--report", "report.jsonl"]);
    let expected = [
        (3, LOST),
        (4, LOST),
        (5, LOST),
        (6, UNREAD),
        (7, "bad_hash"),
        (8, LOST),
        (9, LOST),
        (10, UNREAD),
        (11, UNREAD),
        (12, "invalid_name"),
    ];
    assert_eq!(reasons(&here, "report.jsonl"), expected.map(|(line, reason)| format!("{line} {reason}")));
    let all = ["realm.json", "--format", "keycloak", "--again", "--may-drop", "password,factors,name"];
    assert_eq!(here.import(&all)["importedWithout"], 10);
    let key = user(&here, "key@example.com");
    assert_eq!(key["factors"], json!(["totp"]), "the app stays when the key is lost");
    let server = here.serve();
    opens(&server, "ann@example.com", "password");
    let (_, answer) = sign_in(&server, "bob@example.com", "password");
    assert_eq!(second_step(&server, &answer, &code(secret.as_bytes())).0, 200);
    for name in ["plain", "given", "passing", "cut"] {
        assert_eq!(sign_in(&server, &format!("{name}@example.com"), "password").0, 401, "{name}");
    }
}

#[test]
fn an_array_of_realms_is_told_from_users() {
    let here = Here::new();
    let realm = json!({ "realm": "shop", "users": [{ "username": "x", "email": "x@example.com" }] });
    here.write("all.json", &json!([realm]).to_string());
    let said = here.run(&["import", "all.json", "--format", "keycloak"]);
    assert!(said.code == 4 && said.out.contains("a realm and no user"), "{said:?}");
}

/// `passport-local-mongoose` with `correct horse`.
fn passport() -> (String, String) {
    // hashlib.pbkdf2_hmac('sha256', b'correct horse', salt.encode(), 25000, 512), of which the rest is not read.
    let first = "3f1952475803e7122a411495b9f5fe4b626120438585597079699f9fdd781e72";
    let salt = "3facf0a0c67b876549d36fd59b2c918586fc5234617c3a0b584085f011324f6e";
    (format!("{first}{}", "ab".repeat(480)), salt.to_owned())
}

#[test]
fn a_salt_beside_a_hash_is_never_passed_over() {
    let here = Here::new();
    let record = |name: &str, more: Value| {
        with(json!({ "email": format!("{name}@example.com"), "verified": true }), more)
    };
    let (hash, salt) = passport();
    here.write_lines(
        "users.jsonl",
        &[
            record("a", json!({ "password": ABC, "salt": "ab12" })),
            record("b", json!({ "password": ABC, "salt": "" })),
            record("c", json!({ "password": BCRYPT, "salt": "$2a$05$CCCCCCCCCCCCCCCCCCCCC." })),
            record("d", json!({ "hash": hash, "salt": salt })),
            record("e", json!({ "hash": &hash[..64], "salt": salt })),
            record("f", json!({ "hash": hash, "salt": &salt[..32] })),
            record("g", json!({ "password": { "hash": BCRYPT } })),
            record("h", json!({ "hash": BCRYPT })),
            record(
                "i",
                json!({ "password": format!("pbkdf2:sha256:25000${salt}${}", &hash[..64]), "salt": salt }),
            ),
        ],
    );
    here.import(&["users.jsonl", "--format", "mongo", "--report", "report.jsonl"]);
    assert_eq!(reasons(&here, "report.jsonl"), [1, 4, 5, 6, 7].map(|line| format!("{line} {UNREAD}")));
    let server = here.serve();
    opens(&server, "b@example.com", "abc");
    opens(&server, "c@example.com", PLAIN);
    opens(&server, "h@example.com", PLAIN);
    opens(&server, "i@example.com", "correct horse");
    let sums = here.import(&["users.jsonl", "--format", "mongo", "--again", "--may-drop", "password"]);
    assert_eq!((&sums["imported"], &sums["importedWithout"]), (&json!(5), &json!(5)));
}

#[test]
fn ids_and_instants_of_mongodb_are_read_in_all_their_forms() {
    let here = Here::new();
    let uuid = "6f1c9a52-6d3b-4b7e-9a63-0d7a3f5c1e0a";
    let ids = [
        (json!("text"), "text"),
        (json!(7), "7"),
        (json!(7.0), "7"),
        (json!({ "$numberLong": "9007199254740993" }), "9007199254740993"),
        (json!({ "$numberInt": "8" }), "8"),
        (json!({ "$numberDouble": "9.0" }), "9"),
        (json!({ "$uuid": uuid }), uuid),
        (json!({ "$binary": { "base64": "bxyaUm07S36aYw16P1weCg==", "subType": "04" } }), uuid),
        (json!({ "$binary": { "base64": "AAEC", "subType": "00" } }), "AAEC"),
        (json!({ "$binary": "AAEC", "$type": "00" }), "AAEC"),
        (json!({ "a": 1 }), "{\"a\":1}"),
    ];
    let instants = [
        json!(1_779_696_815_227_i64),
        json!("1779696815227"),
        json!(1_779_696_815_227.0),
        json!({ "$numberLong": "1779696815227" }),
        json!({ "$numberDouble": "1779696815227.0" }),
        json!({ "$date": "2026-05-25T08:13:35.227Z" }),
        json!({ "$date": { "$numberLong": "1779696815227" } }),
        json!({ "$date": 1_779_696_815_227_i64 }),
        json!("2026-05-25 08:13:35.227+00"),
        json!("2026-05-25 10:13:35.227+0200"),
        json!("2026-05-25 03:13:35.227-05:00"),
    ];
    let record = |(number, ((id, _), at)): (usize, (&(Value, &str), &Value))| json!({ "_id": id, "email": format!("user{number:02}@example.com"), "createdAt": at, "lastLogin": "" });
    let mut records: Vec<Value> = ids.iter().zip(&instants).enumerate().map(record).collect();
    let text = records.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    // As the driver writes a double.
    here.write("users.jsonl", &text.replace("1779696815227.0,", "1.779696815227E+12,"));
    assert_eq!(here.import(&["users.jsonl", "--format", "mongo", "--ids", "ids.jsonl"])["imported"], 11);
    let listed: Vec<Value> =
        here.lines("ids.jsonl").into_iter().map(|line| line["sourceId"].clone()).collect();
    assert_eq!(listed, ids.map(|(_, id)| json!(id)));
    let created = here.texts("select created_at || '' from users");
    assert!(created.iter().all(|at| at == "1779696815227000"), "{created:?}");
    for (number, at) in
        ["yesterday", "2026-05-25 08:13:35", "2026-05-25 08:13:35+0\u{e9}"].into_iter().enumerate()
    {
        records[number] = json!({ "email": format!("late{number}@example.com"), "createdAt": at });
    }
    here.write_lines("late.jsonl", &records[..3]);
    assert_eq!(here.import(&["late.jsonl", "--format", "mongo"])["reasons"], json!({ "bad_field": 3 }));
}

#[test]
fn members_of_another_shape_are_read_or_given_up_alone() {
    let here = Here::new();
    let record = |name: &str, more: Value| with(json!({ "email": format!("{name}@example.com") }), more);
    here.write_lines(
        "users.jsonl",
        &[
            record("a", json!({ "roles": { "User": 2001 } })),
            record("b", json!({ "roles": [{ "$oid": "665f1f77bcf86cd799439011" }] })),
            record("c", json!({ "roles": "User", "role": ["user"], "isVerified": 1 })),
            record("d", json!({ "roles": "editor" })),
            record("e", json!({ "name": { "first": "A", "last": "B" }, "isVerified": 0 })),
            record("f", json!({ "emailVerified": { "$date": "2024-05-06T07:08:09Z" }, "lastLogin": "" })),
            record("g", json!({ "emailVerified": null, "username": 12345 })),
            record("h", json!({ "verified": true, "isEmailVerified": false })),
            record("i", json!({ "blocked": ["665f1f77bcf86cd799439011"], "verified": "true" })),
            record("j", json!({ "isVerified": "perhaps" })),
            record("k", json!({ "isVerified": 2 })),
        ],
    );
    here.import(&["users.jsonl", "--format", "mongo", "--emails-verified", "--report", "report.jsonl"]);
    let role = "role_not_allowed";
    let expected =
        [(1, role), (2, role), (4, role), (5, "invalid_name"), (10, "bad_field"), (11, "bad_field")];
    assert_eq!(reasons(&here, "report.jsonl"), expected.map(|(line, reason)| format!("{line} {reason}")));
    here.import(&[
        "users.jsonl",
        "--format",
        "mongo",
        "--emails-verified",
        "--again",
        "--may-drop",
        "roles,name",
    ]);
    let proven =
        here.texts("select email_normalised from users where email_verified_at is not null order by 1");
    assert_eq!(proven, ["a", "b", "c", "d", "f", "i"].map(|name| format!("{name}@example.com")));
    assert_eq!(
        here.texts("select email_verified_at || '' from users where email_normalised = 'f@example.com'"),
        ["1714979289000000"]
    );
    assert_eq!(user(&here, "g@example.com")["username"], "12345");
    assert_eq!(user(&here, "i@example.com")["status"], "active");
}

#[test]
fn whoever_was_deleted_stays_so_and_whoever_was_banned_is_closed() {
    let here = Here::new();
    let states = [
        (json!({ "deleted": true }), "deleted"),
        (json!({ "isDeleted": 1 }), "deleted"),
        (json!({ "deletedAt": { "$date": "2024-05-06T07:08:09Z" } }), "deleted"),
        (json!({ "deletedAt": "once" }), "deleted"),
        (json!({ "status": "Deleted" }), "deleted"),
        (json!({ "banned": true }), CLOSED),
        (json!({ "isBanned": true }), CLOSED),
        (json!({ "suspended": { "$date": "2024-05-06T07:08:09Z" } }), CLOSED),
        (json!({ "status": "banned" }), CLOSED),
        (json!({ "status": "inactive" }), CLOSED),
        (json!({ "status": 0 }), CLOSED),
        (json!({ "active": 0 }), CLOSED),
        (json!({ "isActive": true, "active": false }), CLOSED),
        (
            json!({ "deleted": false, "deletedAt": null, "banned": false, "status": "active", "isActive": true }),
            "active",
        ),
        (json!({ "deletedAt": "", "status": "online" }), "active"),
    ];
    let record = |(number, (state, _)): (usize, &(Value, &str))| {
        with(json!({ "email": format!("user{number:02}@example.com") }), state.clone())
    };
    let records: Vec<Value> = states.iter().enumerate().map(record).collect();
    here.write_lines("users.jsonl", &records);
    here.import(&["users.jsonl", "--format", "mongo", "--report", "report.jsonl"]);
    assert_eq!(reasons(&here, "report.jsonl"), [1, 2, 3, 4, 5].map(|line| format!("{line} deleted")));
    for (number, (state, expected)) in states.iter().enumerate().skip(5) {
        assert_eq!(user(&here, &format!("user{number:02}@example.com"))["status"], *expected, "{state}");
    }
}

#[test]
fn two_factors_of_a_program_are_told_by_flag_or_secret() {
    let here = Here::new();
    here.write_lines("users.jsonl", &[
        json!({ "email": "a@example.com", "twoFactorEnabled": 1 }),
        json!({ "email": "b@example.com", "totpSecret": "JBSWY3DPEHPK3PXP" }),
        json!({ "email": "c@example.com", "twoFactorEnabled": false, "twoFactorSecret": "JBSWY3DPEHPK3PXP" }),
        json!({ "email": "d@example.com", "twoFactorSecret": "" }),
        json!({ "email": "e@example.com", "twoFactor": { "enabled": true, "secret": "JBSWY3DPEHPK3PXP" } }),
        json!({ "email": "f@example.com", "twoFactor": { "enabled": false, "secret": "JBSWY3DPEHPK3PXP" } }),
        json!({ "email": "g@example.com", "mfa": { "secret": "JBSWY3DPEHPK3PXP" } }),
    ]);
    here.import(&["users.jsonl", "--format", "mongo", "--report", "report.jsonl"]);
    assert_eq!(reasons(&here, "report.jsonl"), [1, 2, 5, 7].map(|line| format!("{line} {LOST}")));
}

#[test]
fn auth0_hashes_of_other_systems_are_read_or_refused() {
    let here = Here::new();
    let record = |name: &str, custom: Value| json!({ "user_id": name, "email": format!("{name}@example.com"), "email_verified": true, "custom_password_hash": custom });
    let digest = |encoding: &str, value: &str| json!({ "value": value, "encoding": encoding });
    let base64 = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=";
    here.write_lines("users.jsonl", &[
        record("a", json!({ "algorithm": "bcrypt", "hash": { "value": BCRYPT } })),
        record("b", json!({ "algorithm": "sha256", "hash": digest("hex", ABC) })),
        record("c", json!({ "algorithm": "sha256", "hash": digest("base64", base64), "salt": { "value": "61", "encoding": "hex", "position": "prefix" } })),
        record("d", json!({ "algorithm": "sha256", "hash": digest("hex", ABC), "salt": { "value": "c", "position": "suffix" } })),
        record("e", json!({ "algorithm": "pbkdf2", "hash": { "value": "$pbkdf2-sha1$i=4096,l=20$c2FsdA$SwB5AbdlSJq+rUnZJvch0GWkKcE", "encoding": "utf8" } })),
        record("f", json!({ "algorithm": "argon2", "hash": { "value": "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc" } })),
        record("g", json!({ "algorithm": "md5", "hash": digest("hex", "5f4dcc3b5aa765d61d8327deb882cf99") })),
        record("h", json!({ "algorithm": "sha256", "hash": digest("hex", ABC), "salt": { "value": "c" } })),
        record("i", json!({ "algorithm": "bcrypt", "hash": { "value": ABC } })),
        record("j", json!({ "algorithm": "sha256", "hash": digest("hex", ABC), "password": { "encoding": "utf16le" } })),
        record("k", json!({})),
    ]);
    here.import(&["users.jsonl", "--format", "auth0", "--report", "report.jsonl"]);
    assert_eq!(reasons(&here, "report.jsonl"), [7, 8, 9, 10, 11].map(|line| format!("{line} {UNREAD}")));
    let server = here.serve();
    for (name, password) in
        [("a", PLAIN), ("b", "abc"), ("c", "bc"), ("d", "ab"), ("e", "password"), ("f", "password")]
    {
        opens(&server, &format!("{name}@example.com"), password);
    }
}

const SIGNER: &str =
    "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==";
const FIREBASE: &str =
    "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";

#[test]
fn supabase_rows_as_postgresql_and_a_former_firebase_write_them() {
    let here = Here::new();
    let hash = format!("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk={SIGNER}$42xEC+ixf3L2lw==${FIREBASE}");
    here.write_lines("users.jsonl", &[
        json!({ "id": "6f1c9a52-6d3b-4b7e-9a63-0d7a3f5c1e0a", "email": "ann@example.com", "encrypted_password": hash,
            "email_confirmed_at": "2024-06-04 10:00:00.123456+00", "created_at": "2024-06-04 10:00:00+05:30", "factors": null }),
        json!({ "email": "bob@example.com", "email_confirmed_at": "2024-06-04 10:00:00+00", "raw_user_meta_data": { "name": ["B"] }, "factors": [] }),
        // The last letter of the secret has more than whole bytes.
        json!({ "email": "carl@example.com", "email_confirmed_at": "2024-06-04 10:00:00+00", "encrypted_password": BCRYPT,
            "factors": [{ "factor_type": "totp", "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEH" }] }),
        json!({ "email": "dora@example.com", "email_confirmed_at": "2024-06-04 10:00:00+00", "encrypted_password": BCRYPT,
            "factors": [{ "factor_type": "totp", "secret": "JBSWY3DPEHPK3PX1" }] }),
        // Nobody has asked for the factors.
        json!({ "email": "emil@example.com", "email_confirmed_at": null }),
    ]);
    here.import(&["users.jsonl", "--format", "supabase", "--report", "report.jsonl"]);
    assert_eq!(
        reasons(&here, "report.jsonl"),
        ["2 invalid_name".to_owned(), format!("4 {LOST}"), format!("5 {LOST}")]
    );
    let sums = here.import(&["users.jsonl", "--format", "supabase", "--again", "--may-drop", "name,factors"]);
    assert_eq!((&sums["imported"], &sums["importedWithout"]), (&json!(3), &json!(3)));
    assert_eq!(
        here.texts("select email_verified_at || '' from users where email_normalised = 'ann@example.com'"),
        ["1717495200123456"]
    );
    let server = here.serve();
    opens(&server, "ann@example.com", "user1password");
    let (_, answer) = sign_in(&server, "carl@example.com", PLAIN);
    let secret = BASE32_NOPAD.decode(b"JBSWY3DPEHPK3PXPJBSWY3DPEE").unwrap();
    assert_eq!(second_step(&server, &answer, &code(&secret)).0, 200);
    here.write("users.csv", "instance_id,id,aud,role,email\n,1,authenticated,authenticated,x@example.com\n");
    here.run(&["import", "users.csv", "--format", "supabase"]).fails_with("it is CSV");
}

#[test]
fn passwords_of_firebase_are_not_lost_for_want_of_its_parameters() {
    let here = Here::new();
    let record = |name: &str, hash: &str| json!({ "localId": name, "email": format!("{name}@example.com"), "emailVerified": true, "passwordHash": hash, "salt": "42xEC+ixf3L2lw==" });
    here.write(
        "users.json",
        &json!({ "users": [record("ann", FIREBASE), record("bob", "UkVEQUNURUQ=")] }).to_string(),
    );
    let import = ["import", "users.json", "--format", "firebase"];
    here.run(&import).fails_with("--hash-config");
    assert!(here.texts("select digest from imports").is_empty());
    let api = |algorithm: &str| json!({ "algorithm": algorithm, "signerKey": SIGNER, "saltSeparator": "Bw==", "rounds": 8, "memoryCost": 14 });
    here.write("other.json", &api("HMAC_SHA256").to_string());
    here.run(&[&import[..], &["--hash-config", "other.json"]].concat())
        .fails_with("no password hash parameters");
    here.write("api.json", &serde_json::to_string_pretty(&api("SCRYPT")).unwrap());
    let parameters =
        ["users.json", "--format", "firebase", "--hash-config", "api.json", "--report", "report.jsonl"];
    here.import(&parameters);
    let report = here.lines("report.jsonl");
    assert_eq!(refused(&report), [(1, UNREAD)]);
    assert!(report[0]["message"].as_str().unwrap().contains("getHashConfig"), "{report:?}");
    opens(&here.serve(), "ann@example.com", "user1password");
    here.write("users.csv", "ann,ann@example.com,true,hash,salt,,,,,,,,,,,,,,,,,,,\n");
    here.run(&["import", "users.csv", "--format", "firebase", "--may-drop", "password"])
        .fails_with("it is CSV");
}

#[test]
fn an_unusable_password_of_django_is_none() {
    let here = Here::new();
    here.write_lines(
        "users.jsonl",
        &[json!({ "email": "a@example.com", "passwordHash": "!Yx2vVtjBfZqTLxAvXwrN" })],
    );
    assert_eq!(here.import(&["users.jsonl"])["imported"], 1);
    assert_eq!(here.hashes(), [""]);
}
