//! The version with one chain, beside the present one: written down here anew, from its statements and its format.
use super::{ANN, all, report};
use crate::support::{Client, PASSWORD, TestApp};
use hallpass::app::App;
use hallpass::db::Statements;
use hallpass_crypto::digest::sha256;
use serde_json::json;

/// Fields with their lengths, as both versions hash them.
fn framed(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend(field.map_or(u64::MAX, |field| field.len() as u64).to_be_bytes());
        bytes.extend(field.unwrap_or_default());
    }
    bytes
}

/// Writes an event about somebody as the former version did: whomever it is about, into the chain `main`.
async fn record(app: &App, user: &str) {
    let (now, id) = (app.now(), app.new_id(app.now()).to_string());
    let mut tx = app.db.begin().await.unwrap();
    let next = "update audit_chains set seq = seq + 1 where chain = $1 returning seq, head";
    let mut row = tx.query_opt(next, &["main".into()]).await.unwrap().unwrap();
    let (seq, head) = (row.int().unwrap(), row.maybe_bytes().unwrap());
    let personal = sha256(&framed(&[Some(&[7; 16]), None, Some(b"10.0.0.1"), None, None, None]));
    let (at, number) = (now.micros().to_be_bytes(), seq.to_be_bytes());
    let hash = sha256(&framed(&[
        Some(b"hallpass/audit/v1"),
        head.as_deref(),
        Some(b"main"),
        Some(&number),
        Some(id.as_bytes()),
        Some(&at),
        Some(b"login_succeeded"),
        Some(b"success"),
        Some(b"person"),
        Some(user.as_bytes()),
        None,
        Some(&personal),
    ]));
    let insert = "insert into audit_events (id, at, kind, result, user_id, ip, chain, seq, actor, personal_salt, personal_hash,
         hash) values ($1, $2, 'login_succeeded', 'success', $3, '10.0.0.1', 'main', $4, 'person', $5, $6, $7)";
    let values = [
        (&id).into(),
        now.into(),
        user.into(),
        seq.into(),
        [7_u8; 16].as_slice().into(),
        personal.as_slice().into(),
        hash.as_slice().into(),
    ];
    tx.execute(insert, &values).await.unwrap();
    let mac = app.secrets.audit.mac(&framed(&[Some(b"main"), Some(&number), Some(&hash)]));
    let end = "update audit_chains set head = $1, mac = $2 where chain = $3";
    tx.execute(end, &[hash.as_slice().into(), mac.as_slice().into(), "main".into()]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_side_by_side_write_a_log_that_verifies() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let user = client.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    let other = server.second_node().await;
    let former: Vec<_> = (0..20)
        .map(|_| {
            let (app, user) = (other.app.clone(), user.clone());
            tokio::spawn(async move { record(&app, &user).await })
        })
        .collect();
    let present: Vec<_> = (0..20)
        .map(|number| {
            let mut client: Client = server.client().at(&format!("10.0.{number}.1"));
            let body = json!({ "email": ANN, "password": PASSWORD });
            tokio::spawn(async move { assert_eq!(client.post("/api/v1/login", body).await.status, 200) })
        })
        .collect();
    for call in former.into_iter().chain(present) {
        call.await.unwrap();
    }
    let checked = report(&server).await;
    assert_eq!(checked.findings, Vec::<String>::new());
    let logins: Vec<_> =
        all(&server).await.into_iter().filter(|event| event.kind == "login_succeeded").collect();
    assert_eq!(logins.iter().filter(|event| event.chain == "main").count(), 20);
    assert_eq!(logins.len(), 41, "all are listed");
    let own = client.get("/api/v1/events?limit=100").await;
    let own = own.json["events"].as_array().unwrap().clone();
    assert_eq!(own.iter().filter(|event| event["kind"] == "login_succeeded").count(), 41, "{own:?}");
}
