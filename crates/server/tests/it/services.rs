//! Other services: their keys, introspection, the feed of revocations, and the verifier that follows it.
mod feed;
mod follow;
mod introspect;
mod keys;
mod permissions;
mod skew;
mod stand_in;

use crate::support::{Client, TestApp};
use hallpass::service_keys::Scope;
use std::time::Duration;

/// A service with a key of its own.
async fn service(server: &TestApp, scopes: &[Scope]) -> Client {
    let mut client = server.client();
    client.bearer = Some(key(server, scopes, None).await.1);
    client
}

/// Id and secret of a new key.
async fn key(server: &TestApp, scopes: &[Scope], life: Option<Duration>) -> (hallpass::ids::RowId, String) {
    let (key, secret) = server.service_key("billing", scopes, life).await;
    (key.id, secret)
}
