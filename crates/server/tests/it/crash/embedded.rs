//! What can happen to a database that is a file: another process that holds it, a full disk.
mod full_disk;

use crate::support::TestApp;
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn while_another_process_holds_the_database_reads_go_on_and_writes_wait_or_say_when_to_retry() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let other = server.second_node().await;
    let held = other.app.db.begin().await.unwrap();
    assert_eq!(client.get("/api/v1/me").await.status, 200, "reads do not wait");
    let refused = client.patch("/api/v1/me", json!({ "name": "Ann" })).await;
    assert_eq!((refused.status, refused.code()), (503, "unavailable"));
    assert!(!refused.header("retry-after").is_empty());
    let mut waiting = client.clone();
    let call = tokio::spawn(async move { waiting.refresh().await.status });
    assert_eq!(client.get("/api/v1/me").await.json["user"]["name"], Value::Null, "nothing was written");
    drop(held);
    assert_eq!(call.await.unwrap(), 200, "whoever still waits is served");
    assert_eq!(client.patch("/api/v1/me", json!({ "name": "Ann" })).await.status, 200);
}
