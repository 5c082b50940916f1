//! Users who may do more than a token can tell, in services that check locally.
use super::follow::{ANN, PATIENCE, World, refused, until};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use axum::routing::get;
use hallpass_verify::{Caller, Denied, Stale, Verifier, VerifyError};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tower::ServiceExt;

/// Beyond what a token holds.
const MANY: usize = 60;

fn permission(number: usize) -> String {
    format!("warehouse:inventory-of-the-northern-region:{number}:read")
}

/// Gives Ann a role with many permissions.
fn promote(world: &World) {
    let all = (0..MANY).map(permission).collect::<Vec<_>>().join(",");
    world.place.run(&["role", "set", "storekeeper", "--permission", &all]).succeeds();
    world.place.run(&["user", "roles", ANN, "--add", "storekeeper"]).succeeds();
}

async fn following(world: &World, scopes: &str) -> Verifier {
    let verifier = world.builder(scopes).build().unwrap();
    timeout(PATIENCE, verifier.ready()).await.expect("live in time");
    verifier
}

/// How often services have asked.
fn asked(world: &World) -> u64 {
    let metrics = world.metrics();
    let lines = metrics
        .lines()
        .filter(|line| line.contains("http_requests_total") && line.contains("\"/api/v1/authorize\""));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_asked_for_what_the_token_does_not_tell_once_while_nothing_changes() {
    let mut world = World::start();
    promote(&world);
    let token = world.sign_in();
    let verifier = following(&world, "revocations,authorize").await;
    let caller = verifier.verify(&token).await.unwrap();
    assert_eq!(
        (caller.permissions.clone(), caller.claims["permissions_omitted"].clone()),
        (None, json!(true))
    );
    assert!(!format!("{caller:?}").contains(&token), "no log shows the token");
    let held: Vec<String> = (0..MANY).map(permission).collect();
    let held: Vec<&str> = held.iter().map(String::as_str).collect();
    assert_eq!(verifier.allows(&caller, &held).await, Ok(true), "in as many questions as it takes");
    assert_eq!(asked(&world), 2);
    assert_eq!(verifier.allows(&caller, &[held[0], held[59]]).await, Ok(true));
    assert_eq!(verifier.allows(&caller, &[held[0], "orders:read"]).await, Ok(false));
    assert_eq!(verifier.allows(&caller, &["orders:read"]).await, Ok(false));
    assert_eq!(verifier.require_permissions(&caller, &["orders:read"]).await, Err(VerifyError::Forbidden));
    assert_eq!(verifier.require_permissions(&caller, &[]).await, Ok(()));
    for odd in ["warehouse:*", "*:*", "", "Orders:read", "orders:read,orders:write"] {
        assert_eq!(verifier.allows(&caller, &[odd]).await, Ok(false), "{odd}");
    }
    // Once the token is no longer new what was answered is known.
    let began = Instant::now();
    let known = loop {
        let before = asked(&world);
        assert_eq!(verifier.allows(&caller, &[held[0], "orders:read"]).await, Ok(false));
        if asked(&world) == before {
            break before;
        }
        assert!(began.elapsed() < PATIENCE, "answers are kept");
    };
    assert!(began.elapsed() > Duration::from_secs(1), "not those about a new token");
    assert_eq!(verifier.allows(&caller, &[held[0]]).await, Ok(true));
    assert_eq!(verifier.require_permissions(&caller, &["orders:read"]).await, Err(VerifyError::Forbidden));
    assert_eq!(asked(&world), known);

    // A session whose token tells is asked about by nobody.
    world.place.run(&["user", "roles", ANN, "--remove", "storekeeper"]).succeeds();
    refused(&verifier, &token, VerifyError::Outdated).await;
    assert_eq!(
        verifier.allows(&caller, &held).await,
        Err(VerifyError::Outdated),
        "what is known counts no more"
    );
    let poorer = verifier.verify(&world.sign_in()).await.unwrap();
    assert_eq!(verifier.allows(&poorer, &[held[0]]).await, Ok(false));
    assert_eq!(asked(&world), known);

    // Without the server nothing is known.
    promote(&world);
    let token = world.sign_in();
    until(&verifier, |state| state.live).await;
    let caller = verifier.verify(&token).await.unwrap();
    assert_eq!(verifier.allows(&caller, &[held[0]]).await, Ok(true));
    world.kill();
    until(&verifier, |state| !state.live).await;
    assert_eq!(verifier.allows(&caller, &[held[0]]).await, Err(VerifyError::Unavailable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_role_loses_is_lost_within_a_second_and_a_session_that_ended_may_do_nothing() {
    let world = World::start();
    promote(&world);
    let verifier = following(&world, "revocations,authorize").await;
    let token = world.sign_in();
    let caller = verifier.verify(&token).await.unwrap();
    assert_eq!(verifier.allows(&caller, &[&permission(7)]).await, Ok(true));
    let fewer = (0..MANY).filter(|number| *number != 7).map(permission).collect::<Vec<_>>().join(",");
    world.place.run(&["role", "set", "storekeeper", "--permission", &fewer]).succeeds();
    refused(&verifier, &token, VerifyError::Outdated).await;
    assert_eq!(verifier.allows(&caller, &[&permission(7)]).await, Err(VerifyError::Outdated));
    let token = world.sign_in();
    let caller = verifier.verify(&token).await.unwrap();
    assert_eq!(verifier.allows(&caller, &[&permission(7)]).await, Ok(false));
    assert_eq!(verifier.allows(&caller, &[&permission(8)]).await, Ok(true));
    world.log_out(&token);
    refused(&verifier, &token, VerifyError::Revoked).await;
    assert_eq!(verifier.allows(&caller, &[&permission(8)]).await, Err(VerifyError::Revoked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_scope_or_the_feed_nobody_is_let_in_by_what_is_not_known() {
    let world = World::start();
    promote(&world);
    let token = world.sign_in();
    let verifier = following(&world, "revocations").await;
    let caller = verifier.verify(&token).await.unwrap();
    assert_eq!(verifier.allows(&caller, &[&permission(1)]).await, Err(VerifyError::Unavailable));
    let problem = verifier.state().borrow().problem.clone().unwrap_or_default();
    assert!(problem.contains("scope authorize"), "{problem}");
    // The key may not follow: each question is asked, and what introspection tells is told.
    let asking = world.builder("introspect,authorize").when_stale(Stale::Introspect).build().unwrap();
    until(&asking, |state| state.keys > 0 && state.problem.is_some()).await;
    for _ in 0..2 {
        assert_eq!(asking.allows(&caller, &[&permission(1)]).await, Ok(true));
    }
    assert_eq!(asked(&world), 3);
    let told = asking.verify(&token).await.unwrap();
    assert_eq!(asking.allows(&told, &[&permission(1)]).await, Ok(true));
    assert_eq!(asked(&world), 3, "introspection told all of them");
    world.log_out(&token);
    assert_eq!(asking.allows(&caller, &[&permission(1)]).await, Err(VerifyError::Revoked));
}

async fn orders(State(verifier): State<Verifier>, caller: Caller) -> Result<&'static str, Denied> {
    verifier.require_permissions(&caller, &[&permission(3)]).await?;
    Ok("orders")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_are_guarded_by_permissions_that_no_token_tells() {
    let world = World::start();
    let verifier = following(&world, "revocations,authorize").await;
    let poor = world.sign_in();
    promote(&world);
    refused(&verifier, &poor, VerifyError::Outdated).await;
    let rich = world.sign_in();
    let guarded = |needed: &[&str]| {
        Router::new().route("/", get(|| async { "in" })).layer(verifier.layer().requiring(needed))
    };
    let within = Router::new().route("/", get(orders)).with_state(verifier.clone());
    let call = async |routes: Router, token: &str| -> Response<Body> {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    assert_eq!(call(guarded(&[&permission(3), &permission(4)]), &rich).await.status(), 200);
    assert_eq!(call(within.clone(), &rich).await.status(), 200);
    let answer = call(guarded(&[&permission(3), "orders:read"]), &rich).await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()),
        (403, &b"Bearer error=\"insufficient_scope\""[..])
    );
    assert_eq!(call(guarded(&[]), &rich).await.status(), 200);
    assert_eq!(call(guarded(&[&permission(3)]), "nonsense").await.status(), 401);
    world.place.run(&["user", "roles", ANN, "--remove", "storekeeper"]).succeeds();
    refused(&verifier, &rich, VerifyError::Outdated).await;
    let plain = world.sign_in();
    assert_eq!(call(guarded(&[&permission(3)]), &plain).await.status(), 403);
    assert_eq!(call(within, &plain).await.status(), 403);
}
