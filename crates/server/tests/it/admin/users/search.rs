//! Finding people's accounts.
use crate::support::operator::BOSS;
use crate::support::{Client, PASSWORD, TestApp};
use hallpass::db::Statements;
use hallpass::housekeeping;
use serde_json::{Value, json};

/// Addresses that a query finds, page by page.
async fn found_by(boss: &mut Client, query: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = boss.get(&format!("/api/v1/admin/users?{query}&limit={limit}{after}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.text);
        let users = page.json["users"].as_array().unwrap();
        assert!(users.len() <= limit);
        found.extend(users.iter().map(|user| user["email"].as_str().unwrap().to_owned()));
        match &page.json["next"] {
            Value::String(next) => after = format!("&after={next}"),
            _ => return found,
        }
    }
}

async fn add(boss: &mut Client, email: &str, username: Option<&str>, name: Option<&str>) {
    let body = json!({ "email": email, "username": username, "name": name, "emailVerified": true });
    let made = boss.post("/api/v1/admin/users", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test]
async fn people_are_found_by_beginnings_of_address_domain_username_and_words_of_the_name() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    add(&mut boss, "Ann.Ash@one.example", Some("Sparrow"), Some("Ann  Müller-Lüdenscheidt")).await;
    add(&mut boss, "ben@two.example", Some("ben"), Some("BEN O'Brien")).await;
    add(&mut boss, "zoë@x.example".replace('ë', "e").as_str(), None, Some("Ｚoe\u{301} Straße")).await;
    add(&mut boss, "dot@bücher.example", None, None).await;
    let (ann, ben, zoe, dot) =
        ("Ann.Ash@one.example", "ben@two.example", "zoe@x.example", "dot@xn--bcher-kva.example");
    for (query, expected) in [
        ("q=ann.ash@o", vec![ann]),
        ("q=ANN", vec![ann]),
        ("q=ash", vec![]),
        ("q=one.ex", vec![ann]),
        ("q=spar", vec![ann]),
        ("q=m%C3%BCll", vec![ann]),
        ("q=l%C3%BCden", vec![ann]),
        ("q=mu%CC%88ller-l", vec![ann]),
        ("q=o%27b", vec![ben]),
        ("q=brien", vec![ben]),
        ("q=brien+ben", vec![ben]),
        ("q=ben+two.example", vec![ben]),
        ("q=ben+ann", vec![]),
        ("q=zo%C3%A9", vec![zoe]),
        ("q=xn--bcher", vec![dot]),
        ("q=%25", vec![]),
        ("q=_", vec![]),
        ("q=%F0%9F%98%80", vec![]),
        ("q=+&verified=false", vec![]),
    ] {
        let found: Vec<String> = found_by(&mut boss, query, 1).await;
        let found: Vec<&str> = found.iter().map(String::as_str).filter(|email| *email != BOSS).collect();
        assert_eq!(found, expected, "{query}");
    }
    let everybody = found_by(&mut boss, "", 2).await;
    assert_eq!(everybody, [BOSS, ann, ben, zoe, dot], "in the order of creation");
}

#[tokio::test]
async fn filters_hold_together_and_every_page_size_finds_everybody_once() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.define_role("editor", &["articles:read"]).await;
    let mut expected = Vec::new();
    for number in 0..12 {
        let email = format!("sam{number:02}@same.example");
        // Found by address, domain, username and name at once, and yet once.
        add(&mut boss, &email, Some(&format!("same{number}")), Some("Sam Same Sammy")).await;
        if number % 2 == 0 {
            server.give_roles(&email, &["editor"]).await;
        }
        let path = super::of(&server, &email).await;
        if number % 3 == 0 {
            assert_eq!(boss.post_nothing(&format!("{path}/disable")).await.status, 200);
        }
        if number % 6 == 0 {
            expected.push(email);
        }
    }
    for limit in [1, 2, 3, 5, 12, 100] {
        for query in ["q=sam", "q=same.example", "q=sammy", "", "verified=true&q=sa"] {
            let mut found = found_by(&mut boss, query, limit).await;
            found.retain(|email| email != BOSS);
            let all = found.len();
            found.sort();
            found.dedup();
            assert_eq!((all, found.len()), (12, 12), "{query} by {limit}");
        }
        for query in [
            "role=editor&status=disabled",
            "q=same+sam&role=editor&status=disabled",
            "status=disabled&role=editor&verified=true&q=sam",
        ] {
            assert_eq!(found_by(&mut boss, query, limit).await, expected, "{query} by {limit}");
        }
        assert_eq!(found_by(&mut boss, "role=user&status=active", limit).await.len(), 9);
        assert_eq!(found_by(&mut boss, "role=nobody", limit).await.len(), 0);
        assert_eq!(found_by(&mut boss, "verified=false", limit).await.len(), 0);
        assert_eq!(found_by(&mut boss, "role=admin", limit).await, [BOSS]);
    }
}

#[tokio::test]
async fn what_changes_is_found_by_what_it_is_now() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let mut ann = server.signed_in("ann@example.com").await;
    ann.patch("/api/v1/me", json!({ "name": "Ann Ash", "username": "ash" })).await;
    assert_eq!(found_by(&mut boss, "q=ash", 9).await, ["ann@example.com"]);
    ann.patch("/api/v1/me", json!({ "name": "Ann Oak", "username": null })).await;
    assert_eq!(found_by(&mut boss, "q=ash", 9).await, [""; 0]);
    assert_eq!(found_by(&mut boss, "q=oak", 9).await, ["ann@example.com"]);
    ann.post("/api/v1/email/change", json!({ "email": "new@example.com" })).await;
    let token = server.mailed_token("new@example.com", "/email/confirm").await;
    assert_eq!(server.client().post("/api/v1/email/confirm", json!({ "token": token })).await.status, 200);
    assert_eq!(found_by(&mut boss, "q=ann@", 9).await, [""; 0]);
    assert_eq!(found_by(&mut boss, "q=new@", 9).await, ["new@example.com"]);
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    assert!(!terms(&server).await.iter().any(|term| term.contains("new") || term.contains("oak")));
}

async fn terms(server: &TestApp) -> Vec<String> {
    let rows = (&server.app.db).query("select term from user_terms", &[]).await.unwrap();
    rows.into_iter().map(|mut row| String::from_utf8(row.bytes().unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn those_whom_an_older_version_of_the_server_made_or_changed_are_found_after_housekeeping() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.sign_up_as(json!({ "email": "ann@example.com", "password": PASSWORD, "name": "Ann Ash" })).await;
    let before = terms(&server).await;
    let mut db = &server.app.db;
    db.execute("delete from user_terms", &[]).await.unwrap();
    db.execute("update users set searched_as = ''", &[]).await.unwrap();
    assert_eq!(found_by(&mut boss, "q=ash", 9).await, [""; 0]);
    let tag = |answer: &crate::support::Answer| answer.header("etag").to_owned();
    let path = super::of(&server, "ann@example.com").await;
    let read = tag(&boss.get(&path).await);
    housekeeping::index_users(&server.app).await.unwrap();
    let mut after = terms(&server).await;
    after.sort();
    let mut before = before;
    before.sort();
    assert_eq!(after, before);
    db.execute("update users set name = 'Ann Oak' where name = 'Ann Ash'", &[]).await.unwrap();
    assert_eq!(found_by(&mut boss, "q=ash", 9).await, [""; 0], "what is no more finds nobody");
    housekeeping::index_users(&server.app).await.unwrap();
    assert_eq!(found_by(&mut boss, "q=oak", 9).await, ["ann@example.com"]);
    assert_eq!(tag(&boss.get(&path).await), read, "that is no change of the account");
}

#[tokio::test]
async fn a_page_is_short_when_few_among_very_many_pass_and_the_next_goes_on() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let now = server.app.now().micros();
    let mut tx = server.app.db.begin().await.unwrap();
    for number in 0..5_000_i64 {
        let id = format!("01900000-0000-7000-8000-{number:012}");
        let email = format!("u{number}@many.example");
        let sql = "insert into users (id, email, email_normalised, email_verified_at, roles, created_at, updated_at, searched_as)
             values ($1, $2, $2, $3, 'user', $3, $3, $4)";
        let searched = format!("{email}  ");
        tx.execute(sql, &[(&id).into(), (&email).into(), now.into(), (&searched).into()]).await.unwrap();
        let sql = "insert into user_terms (term, user_id) values ($1, $2), ($3, $2)";
        let params = [email.as_bytes().into(), (&id).into(), b"many.example".as_slice().into()];
        tx.execute(sql, &params).await.unwrap();
    }
    tx.commit().await.unwrap();
    let page = boss.get("/api/v1/admin/users?q=many&status=active&role=editor").await.json;
    assert_eq!(page, json!({ "users": [], "next": null }), "few have the role, so that they are walked");
    let page = boss.get("/api/v1/admin/users?q=u4999@&verified=true").await.json;
    assert_eq!((page["users"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null));
    let page = boss.get("/api/v1/admin/users?q=many+u4999").await.json;
    assert_eq!(page["users"].as_array().unwrap().len(), 1, "the longest word is walked: {page}");
    let page = boss.get("/api/v1/admin/users?q=many.example+u4999").await.json;
    assert_eq!(page["users"], json!([]), "2000 were looked at");
    assert!(page["next"].is_string());
    assert_eq!(found_by(&mut boss, "q=many.example+u4999", 50).await, ["u4999@many.example"]);
    assert_eq!(found_by(&mut boss, "q=u&verified=true", 100).await.len(), 5_000);
}
