//! Devices: a secret of their own, the list, forgetting, trust.
mod known;
mod mail;
mod not_me;
mod places;
mod trust;

use crate::support::{Answer, Client, PASSWORD, TestApp};
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const PHONE: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 Version/19.0 Mobile Safari/604";

/// Signs in with cookies, as a browser does.
async fn sign_in(client: &mut Client, email: &str) -> Answer {
    client.log_in(json!({ "email": email, "password": PASSWORD })).await
}

/// The same browser for somebody who copied its device's secret: nothing else of it.
fn copy_of(browser: &Client, server: &TestApp) -> Client {
    let mut thief = server.client().at("203.0.113.66");
    thief.cookies.insert("device".into(), (browser.cookie("device").unwrap().into(), "/".into()));
    thief
}

async fn devices(client: &mut Client) -> Vec<Value> {
    let answer = client.get("/api/v1/devices").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["devices"].as_array().unwrap().clone()
}

fn ids(devices: &[Value]) -> Vec<&str> {
    devices.iter().map(|device| device["id"].as_str().unwrap()).collect()
}

/// How many mails about a new device an address got.
async fn told(server: &TestApp, email: &str) -> usize {
    let mails = server.mails_to(email).await;
    mails.iter().filter(|mail| mail["subject"].as_str().unwrap().starts_with("New sign-in")).count()
}
