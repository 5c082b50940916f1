//! Places of addresses, from a MaxMind file.
use super::{ANN, PHONE, devices, sign_in};
use crate::support::{TestApp, mmdb};
use hallpass::geoip::Places;
use serde_json::json;
use std::path::PathBuf;

const KNOWN: [(&str, &str, &str); 3] = [
    ("203.0.113.9", "Sweden", "Linköping"),
    ("203.0.113.10", "Norway", ""),
    ("2001:db8::7", "Iceland", "Reykjavík\r\nBcc: x"),
];

fn written(bytes: &[u8]) -> PathBuf {
    // Lives as long as the test process.
    let file = tempfile::tempdir().unwrap().keep().join("places.mmdb");
    std::fs::write(&file, bytes).unwrap();
    file
}

async fn server() -> TestApp {
    let file = written(&mmdb::file("Test-City", &KNOWN));
    TestApp::start_with(|config| config.geoip.database = Some(file)).await
}

#[tokio::test]
async fn mail_and_lists_name_the_place_of_an_address_where_the_file_knows_it() {
    let server = server().await;
    server.signed_in(ANN).await;
    let place = json!({ "country": "Sweden", "city": "Linköping" });
    let mut phone = server.client().at("203.0.113.9").with_agent(PHONE);
    sign_in(&mut phone, ANN).await;
    let mail = server.latest_mail(ANN).await;
    for part in ["text", "html"] {
        assert!(mail[part].as_str().unwrap().contains("203.0.113.9 (Linköping, Sweden)"), "{mail}");
    }
    let sessions = phone.get("/api/v1/sessions").await.json["sessions"].clone();
    assert_eq!((&sessions[0]["place"], &sessions[1]["place"]), (&place, &json!(null)));
    let seen = devices(&mut phone).await;
    assert_eq!((&seen[0]["place"], &seen[1]["place"]), (&place, &json!(null)));
    let events = phone.get("/api/v1/events").await.json["events"].clone();
    assert_eq!(events[0]["place"], place);
    let token = server.mailed_token(ANN, "/not-me").await;
    let page = server.client().get(&format!("/not-me?token={token}")).await;
    assert!(page.text.contains("203.0.113.9 (Linköping, Sweden)"), "{}", page.text);

    let mut other = server.client().at("203.0.113.10");
    sign_in(&mut other, ANN).await;
    assert!(server.latest_mail(ANN).await["text"].as_str().unwrap().contains("203.0.113.10 (Norway)"));
    let mut sixth = server.client().at("2001:db8::7");
    sign_in(&mut sixth, ANN).await;
    assert!(server.latest_mail(ANN).await["text"].as_str().unwrap().contains("(ReykjavíkBcc: x, Iceland)"));
}

#[tokio::test]
async fn the_audit_log_names_the_place_to_administrators_too() {
    let server = server().await;
    let mut boss = server.boss().await;
    server.sign_up(ANN).await;
    sign_in(&mut server.client().at("203.0.113.9").with_agent(PHONE), ANN).await;
    let place = json!({ "country": "Sweden", "city": "Linköping" });
    let log = boss.get("/api/v1/admin/audit?kind=login_succeeded&limit=2").await.json;
    assert_eq!((&log["events"][0]["place"], &log["events"][1]["place"]), (&place, &json!(null)), "{log}");
    server.advance(std::time::Duration::from_secs(120));
    let lines = boss.get("/api/v1/admin/audit/export?kind=login_succeeded").await.text;
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["place"], place);
}

#[tokio::test]
async fn a_broken_or_unfit_file_stops_the_start_with_a_sentence() {
    let whole = mmdb::file("Test-City", &KNOWN);
    let (start, end) = (&whole[..whole.len() / 2], &whole[whole.len() / 2..]);
    let cases = [
        (Vec::new(), "is no MaxMind file"),
        (b"no database".to_vec(), "is no MaxMind file"),
        (start.to_vec(), "is no MaxMind file"),
        (end.to_vec(), ""),
        (mmdb::file("GeoLite2-ASN", &KNOWN), "of the type GeoLite2-ASN"),
    ];
    for (bytes, problem) in cases {
        let file = written(&bytes);
        let error = Places::open(Some(&file)).err().unwrap();
        assert!(error.contains(&*file.to_string_lossy()) && error.contains(problem), "{error}");
    }
    assert!(Places::open(None).unwrap().of_text("203.0.113.9").is_none());
    let whole = Places::open(Some(&written(&whole))).unwrap();
    assert_eq!(whole.examine().unwrap(), Some("Test-City"));
    assert!(whole.of_text("no address").is_none() && whole.of_text("192.0.2.1").is_none());
    assert_eq!(whole.of_text("::ffff:203.0.113.9").unwrap().to_string(), "Linköping, Sweden");
}
