//! Files of other systems, made by hand in their documented shapes.
use super::{BCRYPT, Here, PLAIN, code, opens, refused, second_step, sign_in};
use serde_json::{Value, json};

#[test]
fn mongoexport_of_the_replaced_systems() {
    let here = Here::new();
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    here.write_lines("users.jsonl", &[
        // An Express program that stores SHA-256 without salt, and asks nobody to prove an address.
        json!({ "_id": { "$oid": "665f1f77bcf86cd799439011" }, "username": "ann", "email": "ann@example.com", "password": abc, "__v": 0,
            "createdAt": { "$date": "2024-06-04T10:00:00.123Z" } }),
        // Programs with bcrypt, roles and a flag.
        json!({ "_id": { "$oid": "665f1f77bcf86cd799439012" }, "name": "Bob", "email": "bob@example.com", "password": BCRYPT,
            "role": "User", "isVerified": true, "createdAt": { "$date": { "$numberLong": "1717495200000" } } }),
        json!({ "_id": { "$oid": "665f1f77bcf86cd799439013" }, "email": "boss@example.com", "password": BCRYPT, "role": "admin" }),
        json!({ "_id": 7, "email": "carl@example.com", "password": BCRYPT, "verified": false, "isActive": false }),
        json!({ "_id": { "$oid": "665f1f77bcf86cd799439014" }, "email": "dora@example.com", "password": BCRYPT, "twoFactorEnabled": true,
            "twoFactorSecret": "secret" }),
    ]);
    here.import(&[
        "users.jsonl",
        "--format",
        "mongo",
        "--ids",
        "ids.jsonl",
        "--report",
        "report.jsonl",
        "--emails-verified",
    ]);
    assert_eq!(refused(&here.lines("report.jsonl")), [(3, "role_not_allowed"), (5, "factor_not_carried")]);
    let ids = here.lines("ids.jsonl");
    assert_eq!(ids[0]["sourceId"], "665f1f77bcf86cd799439011");
    let user = |email: &str| here.run(&["user", "show", email, "--json"]).json()["user"].clone();
    let ann = user("ann@example.com");
    assert_eq!(
        (&ann["id"], &ann["createdAt"], &ann["emailVerified"]),
        (&ids[0]["id"], &json!("2024-06-04T10:00:00.123Z"), &json!(true))
    );
    assert_eq!(user("bob@example.com")["createdAt"], "2024-06-04T10:00:00.000Z");
    let carl = user("carl@example.com");
    assert_eq!((&carl["emailVerified"], &carl["status"]), (&json!(false), &json!("disabled")));
    let server = here.serve();
    opens(&server, "ann@example.com", "abc");
    opens(&server, "bob@example.com", PLAIN);
}

#[test]
fn keycloak_realm_exports() {
    let here = Here::new();
    let quoted = |value: Value| Value::String(value.to_string());
    let password = |algorithm: &str, iterations: u32, salt: &str, value: &str| {
        json!({ "id": "c", "type": "password", "createdDate": 1_717_495_200_000_u64,
            "secretData": quoted(json!({ "value": value, "salt": salt, "additionalParameters": {} })),
            "credentialData": quoted(json!({ "hashIterations": iterations, "algorithm": algorithm, "additionalParameters": {} })) })
    };
    let otp = |value: &str, more: Value| {
        let mut data =
            json!({ "subType": "totp", "digits": 6, "counter": 0, "period": 30, "algorithm": "HmacSHA1" });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "id": "o", "type": "otp", "userLabel": "phone", "secretData": quoted(json!({ "value": value })), "credentialData": quoted(data) })
    };
    let sha1 = password("pbkdf2", 4096, "c2FsdA==", "SwB5AbdlSJq+rUnZJvch0GWkKcE=");
    let argon2 = json!({ "type": "password",
        "secretData": quoted(json!({ "value": "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc=", "salt": "c29tZXNhbHQ=" })),
        "credentialData": quoted(json!({ "hashIterations": 2, "algorithm": "argon2", "additionalParameters":
            { "hashLength": ["32"], "memory": ["65536"], "type": ["id"], "version": ["1.3"], "parallelism": ["1"] } })) });
    let user = |name: &str, credentials: Value| {
        json!({ "id": "6f1c9a52-6d3b-4b7e-9a63-0d7a3f5c1e0a".replace('0', &name.len().to_string()), "createdTimestamp": 1_717_495_200_000_u64,
            "username": name, "enabled": true, "totp": false, "emailVerified": true, "firstName": "First", "lastName": "Last",
            "email": format!("{name}@example.com"), "credentials": credentials, "requiredActions": [],
            "realmRoles": ["default-roles-shop", "offline_access"], "groups": [] })
    };
    let secret = "dPvUqFzHs0ALY1YdGw7e";
    let realm = json!({ "id": "shop", "realm": "shop", "roles": { "realm": [{ "name": "users" }] }, "clients": [{ "users": [1, 2] }],
        "users": [
            user("ann", json!([sha1])),
            user("bobby", json!([argon2, otp(secret, json!({}))])),
            user("hotp", json!([otp(secret, json!({ "subType": "hotp" }))])),
            user("eight-digits", json!([otp(secret, json!({ "digits": 8 }))])),
            user("key", json!([{ "type": "webauthn", "secretData": "{}", "credentialData": "{}" }])),
            json!({ "id": "s", "username": "service-account-shop", "enabled": true, "serviceAccountClientId": "shop" }),
            user("broken", json!([{ "type": "password", "secretData": "{", "credentialData": "{}" }])),
            user("odd", json!([password("sha999", 1, "c2FsdA==", "SwB5AbdlSJq+rUnZJvch0GWkKcE=")])),
        ],
        "scopeMappings": [] });
    here.write("realm.json", &serde_json::to_string_pretty(&realm).unwrap());
    here.import(&["realm.json", "--format", "keycloak", "--report", "report.jsonl"]);
    let report = here.lines("report.jsonl");
    let reasons: Vec<&str> = refused(&report).into_iter().map(|(_, reason)| reason).collect();
    let lost = "factor_not_carried";
    assert_eq!(reasons, [lost, lost, lost, "missing_email", "bad_hash", "unsupported_hash"]);
    let bobby = here.run(&["user", "show", "bobby", "--json"]).json()["user"].clone();
    assert_eq!((&bobby["name"], &bobby["roles"]), (&json!("First Last"), &json!(["user"])));
    assert_eq!(
        (&bobby["id"], &bobby["createdAt"]),
        (&json!("6f1c9a52-6d3b-4b7e-9a63-5d7a3f5c1e5a"), &json!("2024-06-04T10:00:00.000Z"))
    );
    let server = here.serve();
    opens(&server, "ann@example.com", "password");
    let (_, answer) = sign_in(&server, "bobby@example.com", "password");
    assert_eq!(second_step(&server, &answer, &code(secret.as_bytes())).0, 200);
}

#[test]
fn supabase_rows() {
    let here = Here::new();
    let row = |name: &str, more: Value| {
        let mut row = json!({ "instance_id": "00000000-0000-0000-0000-000000000000", "aud": "authenticated", "role": "authenticated",
            "email": format!("{name}@example.com"), "encrypted_password": BCRYPT, "email_confirmed_at": "2024-06-04T10:00:00.123456+00:00",
            "raw_user_meta_data": { "full_name": "Full Name" }, "created_at": "2024-06-04T09:00:00+00:00", "last_sign_in_at": null,
            "banned_until": null, "deleted_at": null, "is_anonymous": false, "phone": null, "factors": null });
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let totp = |secret: &str| json!({ "factor_type": "totp", "status": "verified", "secret": secret });
    let open = json!({ "factor_type": "totp", "status": "unverified", "secret": "x" });
    here.write_lines("users.jsonl", &[
        row("ann", json!({ "id": "6f1c9a52-6d3b-4b7e-9a63-0d7a3f5c1e0a", "factors": [open, totp("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")] })),
        row("bob", json!({ "email_confirmed_at": null, "factors": null })),
        row("carl", json!({ "banned_until": "2999-01-01T00:00:00+00:00" })),
        row("gone", json!({ "deleted_at": "2024-01-01T00:00:00+00:00" })),
        row("anonymous", json!({ "email": "", "is_anonymous": true, "encrypted_password": "" })),
        row("phone", json!({ "factors": [{ "factor_type": "phone", "status": "verified", "phone": "1" }] })),
        row("social", json!({ "encrypted_password": "" })),
    ]);
    here.import(&["users.jsonl", "--format", "supabase", "--report", "report.jsonl"]);
    let report = here.lines("report.jsonl");
    assert_eq!(refused(&report), [(4, "deleted"), (5, "missing_email"), (6, "factor_not_carried")]);
    assert_eq!(
        here.texts("select id from users where email_normalised = 'ann@example.com'"),
        ["6f1c9a52-6d3b-4b7e-9a63-0d7a3f5c1e0a"]
    );
    let server = here.serve();
    let (_, answer) = sign_in(&server, "ann@example.com", PLAIN);
    let secret = data_encoding::BASE32_NOPAD.decode(b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").unwrap();
    assert_eq!(second_step(&server, &answer, &code(&secret)).0, 200);
    assert_eq!(sign_in(&server, "carl@example.com", PLAIN).0, 401);
    let verified =
        |email: &str| here.run(&["user", "show", email, "--json"]).json()["user"]["emailVerified"].clone();
    assert_eq!((verified("bob@example.com"), verified("social@example.com")), (json!(false), json!(true)));
}

#[test]
fn auth0_files() {
    let here = Here::new();
    here.write_lines("users.jsonl", &[
        json!({ "_id": { "$oid": "60425dc43519d90068f82973" }, "email_verified": true, "email": "ann@example.com",
            "passwordHash": BCRYPT, "password_set_date": { "$date": "2021-03-05T16:34:12.900Z" }, "tenant": "shop",
            "connection": "Username-Password-Authentication", "_tmp_is_unique": true }),
        json!({ "user_id": "auth0|60425dc43519d90068f82974", "email": "bob@example.com", "name": "bob@example.com", "email_verified": false,
            "created_at": "2021-03-05T16:34:12.900Z", "blocked": true }),
        json!({ "user_id": "auth0|3", "email": "carl@example.com", "email_verified": true, "passwordHash": BCRYPT,
            "mfa_factors": [{ "totp": { "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" } }] }),
        json!({ "user_id": "auth0|4", "email": "dora@example.com", "email_verified": true, "multifactor": ["guardian"] }),
    ]);
    here.import(&["users.jsonl", "--format", "auth0", "--ids", "ids.jsonl", "--report", "report.jsonl"]);
    assert_eq!(refused(&here.lines("report.jsonl")), [(4, "factor_not_carried")]);
    let sources: Vec<Value> =
        here.lines("ids.jsonl").into_iter().map(|line| line["sourceId"].clone()).collect();
    assert_eq!(sources, ["auth0|60425dc43519d90068f82973", "auth0|60425dc43519d90068f82974", "auth0|3"]);
    let server = here.serve();
    opens(&server, "ann@example.com", PLAIN);
    assert_eq!(sign_in(&server, "carl@example.com", PLAIN).1["status"], "second_factor_required");
}

#[test]
fn firebase_exports_with_the_hash_parameters_of_the_console() {
    let here = Here::new();
    // The example of github.com/firebase/scrypt.
    here.write(
        "parameters.txt",
        "hash_config {\n  algorithm: SCRYPT,\n  base64_signer_key: jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==,\n  \
         base64_salt_separator: Bw==,\n  rounds: 8,\n  mem_cost: 14,\n}\n",
    );
    let hash = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
    let users = json!({ "users": [
        { "localId": "kYi4EvWQlQTKSfnJ3dRSP6IH3ed2", "email": "user1@test.com", "emailVerified": true, "passwordHash": hash,
            "salt": "42xEC+ixf3L2lw==", "displayName": "Test User 1", "lastSignedInAt": "1508893925000", "createdAt": "1508893925000",
            "providerUserInfo": [] },
        { "localId": "web", "email": "user2@test.com", "passwordHash": hash.replace('/', "_").replace('+', "-"), "salt": "42xEC-ixf3L2lw==" },
        { "localId": "phone", "phoneNumber": "+1", "providerUserInfo": [] },
        { "localId": "mfa", "email": "user4@test.com", "emailVerified": true, "mfaInfo": [{ "phoneInfo": "+1" }] },
        { "localId": "social", "email": "user5@test.com", "emailVerified": true, "disabled": true },
    ] });
    here.write("users.json", &users.to_string());
    let sums = here.import(&["users.json", "--format", "firebase", "--dry-run", "--may-drop", "password"]);
    assert_eq!(sums["importedWithout"], 2, "the parameters are needed");
    here.import(&[
        "users.json",
        "--format",
        "firebase",
        "--hash-config",
        "parameters.txt",
        "--report",
        "report.jsonl",
    ]);
    let report = here.lines("report.jsonl");
    let reasons: Vec<&str> = refused(&report).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["missing_email", "factor_not_carried"]);
    assert!(here.hashes().iter().all(|hash| !hash.contains("jxspr8Ki")), "the signer key is stored nowhere");
    let server = here.serve();
    opens(&server, "user1@test.com", "user1password");
    opens(&server, "user2@test.com", "user1password");
    here.write("none.txt", "algorithm: SCRYPT");
    here.run(&["import", "users.json", "--format", "firebase", "--hash-config", "none.txt"])
        .fails_with("no password hash parameters");
}
