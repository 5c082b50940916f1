//! Who is known where, and for how long.
use super::{ANN, BOB, PHONE, copy_of, devices, ids, sign_in, told};
use crate::support::{OTHER_PASSWORD, PASSWORD, TestApp};
use futures_util::future::join_all;
use hallpass::housekeeping;
use serde_json::json;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn people_see_their_devices_the_latest_first_and_which_one_asks() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut laptop = server.client();
    sign_in(&mut laptop, ANN).await;
    server.advance(Duration::from_secs(60));
    let mut phone = server.client().at("203.0.113.9").with_agent(PHONE);
    let body = json!({ "email": ANN, "password": PASSWORD, "deviceName": "Ann's phone" });
    let signed_in = phone.log_in(body).await;

    let seen = devices(&mut phone).await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!((&seen[0]["current"], &seen[1]["current"]), (&json!(true), &json!(false)));
    assert_eq!(seen[0]["device"], json!({ "browser": "Safari", "os": "iOS", "kind": "mobile" }));
    assert_eq!((&seen[0]["name"], &seen[0]["ip"]), (&json!("Ann's phone"), &json!("203.0.113.9")));
    assert_eq!(seen[0]["firstSeenAt"], seen[0]["lastSignInAt"]);
    assert_eq!((&seen[0]["trustedUntil"], &seen[0]["place"]), (&json!(null), &json!(null)));
    assert_eq!(signed_in.json["session"]["deviceId"], seen[0]["id"]);

    server.advance(Duration::from_secs(60));
    sign_in(&mut laptop.clone().at("198.51.100.7"), ANN).await;
    let again = devices(&mut phone).await;
    assert_eq!(ids(&again), [ids(&seen)[1], ids(&seen)[0]], "the same two devices");
    assert_eq!((&again[0]["ip"], &again[0]["name"]), (&json!("198.51.100.7"), &json!(null)));
    assert_ne!(again[0]["firstSeenAt"], again[0]["lastSignInAt"]);
    let export = phone.get("/api/v1/me/export").await;
    assert_eq!(export.json["devices"], json!(again));
}

#[tokio::test]
async fn clients_without_cookies_get_the_secret_in_the_body_and_send_it_as_a_header() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    let mut app = server.client();
    let first = app.log_in(body.clone()).await;
    let token = first.json["deviceToken"].as_str().unwrap().to_owned();
    assert!(token.starts_with("hp_dv_") && app.cookie("device") == Some(&token));
    let mut later = server.client().with_header("x-device-token", &token);
    let second = later.log_in(body).await;
    assert_eq!(second.json["deviceToken"], json!(token));
    assert_eq!(second.json["session"]["deviceId"], first.json["session"]["deviceId"]);
    assert_eq!(told(&server, ANN).await, 0);
    for delivery in ["cookie", "cookies"] {
        let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": delivery });
        let answer = server.client().post("/api/v1/login", body).await;
        assert!(answer.json.get("deviceToken").is_none() && !answer.text.contains("hp_dv_"), "{delivery}");
    }
    let refreshed = later.refresh().await;
    assert!(refreshed.json.get("deviceToken").is_none() && refreshed.set_cookie("device").is_none());
}

#[tokio::test]
async fn a_forgotten_device_is_unknown_from_then_on_and_its_sessions_end() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let (mut laptop, mut phone) = (server.client(), server.client().with_agent(PHONE));
    sign_in(&mut laptop, ANN).await;
    sign_in(&mut phone, ANN).await;
    let mut second = phone.clone();
    sign_in(&mut second, ANN).await;
    assert_eq!(told(&server, ANN).await, 1, "the second device, once");
    let seen = devices(&mut laptop).await;
    let path = format!("/api/v1/devices/{}", ids(&seen)[0]);
    let forgotten = laptop.delete(&path).await;
    assert_eq!((forgotten.status, &forgotten.json["revoked"]), (200, &json!(2)), "{}", forgotten.text);
    for session in [&mut phone, &mut second] {
        assert_eq!(session.get("/api/v1/me").await.code(), "session_revoked");
    }
    assert_eq!(laptop.get("/api/v1/me").await.status, 200);
    assert_eq!(laptop.delete(&path).await.status, 404, "it is gone");
    sign_in(&mut phone, ANN).await;
    assert_eq!(told(&server, ANN).await, 2, "a new device again");
    assert_ne!(ids(&devices(&mut laptop).await)[0], ids(&seen)[0]);

    // The own one: like signing out.
    let own = laptop.get("/api/v1/me").await.json["session"]["deviceId"].as_str().unwrap().to_owned();
    let answer = laptop.delete(&format!("/api/v1/devices/{own}")).await;
    assert!(answer.set_cookie("refreshToken").unwrap().contains("Max-Age=0"), "{:?}", answer.headers);
    assert_eq!(laptop.get("/api/v1/me").await.code(), "session_revoked");
}

#[tokio::test]
async fn forgetting_all_others_leaves_this_device_and_this_session() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(server.sign_in(ANN).await);
    }
    let mut laptop = server.client();
    sign_in(&mut laptop, ANN).await;
    let answer = laptop.delete("/api/v1/devices").await;
    assert_eq!((&answer.json["forgotten"], &answer.json["revoked"]), (&json!(3), &json!(3)));
    for mut other in others {
        assert_eq!(other.get("/api/v1/me").await.code(), "session_revoked");
    }
    let left = devices(&mut laptop).await;
    assert_eq!((left.len(), &left[0]["current"]), (1, &json!(true)));
    let events = laptop.get("/api/v1/events").await.json["events"].as_array().unwrap().clone();
    assert_eq!(events[0]["kind"], "devices_forgotten");
    assert_eq!(events[0]["detail"], json!({ "forgotten": 3, "revoked": 3 }));
}

#[tokio::test]
async fn nobody_sees_or_forgets_somebody_elses_device() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut bob = server.signed_in(BOB).await;
    let anns = devices(&mut ann).await;
    assert_eq!(bob.delete(&format!("/api/v1/devices/{}", ids(&anns)[0])).await.status, 404);
    assert_eq!(bob.delete("/api/v1/devices").await.json["forgotten"], 0);
    assert_eq!(devices(&mut ann).await, anns);
    assert_eq!(ann.get("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn a_secret_that_somebody_planted_in_a_browser_is_not_the_owners() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    server.sign_up("mallory@example.com").await;
    let mut mallory = server.client();
    sign_in(&mut mallory, "mallory@example.com").await;
    let planted = mallory.cookie("device").unwrap().to_owned();

    let mut browser = copy_of(&mallory, &server);
    sign_in(&mut browser, ANN).await;
    assert_ne!(browser.cookie("device"), Some(planted.as_str()), "a first sign-in gives a new secret");
    // With the planted one, Mallory is a stranger to Ann's account: told, and counted with strangers.
    for _ in 0..5 {
        let mut stranger = mallory.clone().at("203.0.113.7");
        let body = json!({ "email": ANN, "password": OTHER_PASSWORD });
        assert_eq!(stranger.post("/api/v1/login", body).await.status, 401);
    }
    let body = json!({ "email": ANN, "password": PASSWORD });
    assert_eq!(mallory.clone().at("203.0.113.7").post("/api/v1/login", body.clone()).await.status, 429);
    assert_eq!(browser.clone().at("203.0.113.7").post("/api/v1/login", body.clone()).await.status, 200);
    assert_eq!(told(&server, ANN).await, 0);
    assert_eq!(mallory.clone().post("/api/v1/login", body).await.status, 200);
    assert_eq!(told(&server, ANN).await, 1);
}

#[tokio::test]
async fn people_who_share_a_browser_stay_known_when_others_join_up_to_six_of_them() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut browser = server.client();
    let email = |number: usize| format!("user{number}@example.com");
    for number in 0..7 {
        server.sign_up(&email(number)).await;
        // So that each has signed in before, elsewhere, and is told from then on.
        server.sign_in(&email(number)).await;
        server.advance(Duration::from_secs(1));
        sign_in(&mut browser, &email(number)).await;
        assert_eq!(told(&server, &email(number)).await, 1);
    }
    for number in 1..7 {
        sign_in(&mut browser, &email(number)).await;
        assert_eq!(told(&server, &email(number)).await, 1, "user {number} is known");
    }
    sign_in(&mut browser, &email(0)).await;
    assert_eq!(told(&server, &email(0)).await, 2, "the one who signed in longest ago made room");
}

#[tokio::test]
async fn nobody_chooses_a_device_and_a_cookie_of_another_form_breaks_nothing() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let former = format!("hp_dv_{}", "A".repeat(64));
    let chosen = format!("hp_dv_{}", "A".repeat(43));
    for value in [&former, &chosen, "", "x", "hp_rt_AAAA"] {
        let mut client = server.client();
        client.cookies.insert("device".into(), (value.to_owned(), "/".into()));
        sign_in(&mut client, ANN).await;
        let given = client.cookie("device").unwrap();
        assert!(given != value && given.len() == 6 + 43, "{value:?}");
    }
    let mut twice = server.client().with_header("x-device-token", &chosen).with_header("x-device-token", "b");
    sign_in(&mut twice, ANN).await;
}

#[tokio::test]
async fn the_secret_of_one_person_says_nothing_about_another_and_the_database_has_only_its_hash() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    server.sign_in(ANN).await;
    let mut bob = server.signed_in(BOB).await;
    let mut anns = copy_of(&bob, &server);
    sign_in(&mut anns, ANN).await;
    assert_eq!(told(&server, ANN).await, 1, "Bob's device is a new one for Ann");
    assert_eq!(devices(&mut bob).await.len(), 1);
    for secret in [bob.cookie("device").unwrap(), anns.cookie("device").unwrap()] {
        assert!(!server.everything_stored().contains(&secret[6..]), "{secret}");
    }
}

#[tokio::test]
async fn made_up_secrets_cost_one_look_and_leave_nothing_behind() {
    let server = TestApp::start_with(|config| config.limits.longest_wait = DAY).await;
    let mut ann = server.signed_in(ANN).await;
    let body = json!({ "email": ANN, "password": OTHER_PASSWORD });
    let mut costs = std::collections::BTreeMap::<u64, u32>::new();
    for number in 0..10_000_u32 {
        // Of the right form: the last character of 32 bytes has two bits that are zero.
        let made_up = format!("hp_dv_{}{number:05}A", "A".repeat(37));
        let mut client = server.client().with_header("x-device-token", &made_up);
        let before = server.app.db.statements();
        let answer = client.post("/api/v1/login", body.clone()).await;
        assert!([401, 429].contains(&answer.status));
        if number > 20 {
            *costs.entry(server.app.db.statements() - before).or_default() += 1;
        }
    }
    let with = *costs.keys().max().unwrap();
    let before = server.app.db.statements();
    server.client().post("/api/v1/login", body).await;
    let without = server.app.db.statements() - before;
    assert!(with <= without + 1, "{costs:?}, without {without}");
    assert_eq!(devices(&mut ann).await.len(), 1);
}

#[tokio::test]
async fn a_person_has_at_most_fifty_devices_and_the_oldest_makes_room() {
    let server = TestApp::start_with(|config| {
        config.limits.enabled = false;
        config.notices.new_device = false;
    })
    .await;
    server.sign_up(ANN).await;
    let mut first = server.client();
    sign_in(&mut first, ANN).await;
    let mut all = Vec::new();
    for _ in 0..50 {
        server.advance(Duration::from_secs(1));
        let mut client = server.client();
        let answer = sign_in(&mut client, ANN).await;
        all.push(answer.json["session"]["deviceId"].as_str().unwrap().to_owned());
    }
    all.reverse();
    let seen = devices(&mut first).await;
    assert_eq!(ids(&seen), all);
    assert_eq!(first.get("/api/v1/me").await.status, 200, "its session lives");
}

#[tokio::test]
async fn a_device_that_was_not_used_for_400_days_is_removed() {
    let server = TestApp::start().await;
    server.signed_in(ANN).await;
    server.advance(DAY * 200);
    let mut kept = server.client();
    sign_in(&mut kept, ANN).await;
    assert_eq!(devices(&mut kept).await.len(), 2);
    server.advance(DAY * 201);
    housekeeping::purge_once(&server.app).await.unwrap();
    sign_in(&mut kept, ANN).await;
    assert_eq!(devices(&mut kept).await.len(), 1);
    assert_eq!(told(&server, ANN).await, 0, "the kept one is known, and older mails are removed");
}

#[tokio::test]
async fn parallel_sign_ins_on_one_new_device_all_succeed_and_leave_it_known() {
    let server = TestApp::start().await;
    for email in [ANN, BOB] {
        server.sign_up(email).await;
    }
    let mut browser = server.client();
    sign_in(&mut browser, BOB).await;
    let attempts = (0..8).map(|_| {
        let mut tab = browser.clone();
        async move {
            let body = json!({ "email": ANN, "password": PASSWORD });
            assert_eq!(tab.post("/api/v1/login", body).await.status, 200);
            tab
        }
    });
    let tabs = join_all(attempts).await;
    let before = told(&server, ANN).await;
    for mut tab in tabs {
        sign_in(&mut tab, ANN).await;
    }
    assert_eq!(told(&server, ANN).await, before, "each tab holds a secret that is known");
}

#[tokio::test]
async fn however_sign_ins_and_forgetting_meet_a_forgotten_device_has_no_live_session() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    server.sign_up(ANN).await;
    let mut laptop = server.client();
    sign_in(&mut laptop, ANN).await;
    let mut phone = server.client();
    for _ in 0..6 {
        let signed_in = sign_in(&mut phone, ANN).await;
        let device = signed_in.json["session"]["deviceId"].as_str().unwrap().to_owned();
        let forget = async {
            // Takes a turn among the passwords that are being verified, and so comes between the sign-ins.
            let wrong = json!({ "email": ANN, "password": OTHER_PASSWORD });
            assert_eq!(server.client().post("/api/v1/login", wrong).await.status, 401);
            let path = format!("/api/v1/devices/{device}");
            assert_eq!(laptop.clone().delete(&path).await.status, 200);
        };
        let body = json!({ "email": ANN, "password": PASSWORD });
        let tries = |_| {
            let (mut tab, body) = (phone.clone(), body.clone());
            async move {
                let answer = tab.post("/api/v1/login", body).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                tab.keep_tokens(&answer);
                (tab, answer.json["session"]["deviceId"].as_str().unwrap().to_owned())
            }
        };
        let (before, after) = (join_all((0..3).map(tries)), join_all((0..3).map(tries)));
        let (mut tabs, (), later) = tokio::join!(before, forget, after);
        tabs.extend(later);
        let known = devices(&mut laptop).await;
        for (mut tab, began_on) in tabs {
            let lives = tab.get("/api/v1/me").await.status == 200;
            assert_eq!(lives, ids(&known).contains(&began_on.as_str()));
        }
    }
}
