//! The verifier beside a real server.
use crate::cli::process::{Place, Server};
use crate::support::{Authenticator, PASSWORD};
use axum::body::Body;
use axum::extract::FromRef;
use axum::http::{Request, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hallpass_crypto::jwk::{Algorithm, SigningKey};
use hallpass_verify::{BuildError, Builder, Caller, Denied, Stale, State, Verifier, VerifyError};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tower::ServiceExt;

const ISSUER: &str = "http://localhost:3000";
pub const ANN: &str = "ann@example.com";
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server that comes back under the same address.
pub struct World {
    pub place: Place,
    pub address: String,
    server: Option<Server>,
}

impl World {
    pub fn start() -> Self {
        // Whatever port the system chooses, tokens name the same issuer.
        let place = Place::migrated().set("HALLPASS_PUBLIC_URL", ISSUER);
        place.add_user(ANN);
        let server = place.serve();
        Self { address: server.address.clone(), server: Some(server), place }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    fn restart(&mut self) {
        let arguments = ["serve", "--listen", self.address.as_str(), "--json"];
        self.server = Some(Server::start(self.place.command(&arguments)));
    }

    fn key(&self, scopes: &str) -> String {
        let made =
            self.place.run(&["service-key", "create", "--name", "x", "--scope", scopes, "--json"]).json();
        made["key"].as_str().unwrap().to_owned()
    }

    pub fn builder(&self, scopes: &str) -> Builder {
        Verifier::builder(ISSUER).server(&format!("http://{}", self.address)).service_key(&self.key(scopes))
    }

    /// A verifier that follows.
    async fn follower(&self) -> Verifier {
        let verifier = self.builder("revocations").build().unwrap();
        timeout(PATIENCE, verifier.ready()).await.expect("live in time");
        verifier
    }

    pub fn metrics(&self) -> String {
        let mut stream = std::net::TcpStream::connect(&self.address).unwrap();
        std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.0\r\nhost: x\r\n\r\n").unwrap();
        std::io::read_to_string(stream).unwrap()
    }

    pub fn sign_in(&self) -> String {
        self.server().sign_in(ANN, PASSWORD)
    }

    pub fn log_out(&self, token: &str) {
        assert_eq!(self.server().send("POST", "/api/v1/logout", token, &json!({})).0, 200);
    }
}

pub async fn until(verifier: &Verifier, condition: impl FnMut(&State) -> bool) {
    let mut state = verifier.state();
    timeout(PATIENCE, state.wait_for(condition)).await.expect("in time").unwrap();
}

/// Waits until the token is refused so; returns how long it took.
pub async fn refused(verifier: &Verifier, token: &str, why: VerifyError) -> Duration {
    let (began, mut state) = (Instant::now(), verifier.state());
    while verifier.verify_now(token).err().as_ref() != Some(&why) {
        timeout(PATIENCE, state.changed()).await.expect("in time").unwrap();
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_taken_locally_and_refused_within_a_second_of_the_logout() {
    let world = World::start();
    let verifier = world.follower().await;
    let (first, second) = (world.sign_in(), world.sign_in());
    let caller = verifier.verify(&first).await.unwrap();
    let (_, me) = world.server().send("GET", "/api/v1/me", &first, &Value::Null);
    assert_eq!(
        (&*caller.sub, &*caller.sid),
        (me["user"]["id"].as_str().unwrap(), me["session"]["id"].as_str().unwrap())
    );
    assert!(caller.has_role("user") && caller.require_role("admin") == Err(VerifyError::Forbidden));
    assert_eq!(caller.claims["email"], ANN);
    world.log_out(&first);
    let took = refused(&verifier, &first, VerifyError::Revoked).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(verifier.verify_now(&second).is_ok(), "the other session goes on");

    world.place.run(&["user", "disable", ANN]).succeeds();
    let took = refused(&verifier, &second, VerifyError::Revoked).await;
    assert!(took < Duration::from_secs(1), "{took:?}: written by another process");
    world.place.run(&["user", "enable", ANN]).succeeds();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_change_of_the_user_a_refreshed_token_is_needed_and_good_at_once() {
    let world = World::start();
    let verifier = world.follower().await;
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    let (_, mut tokens) = world.server().send("POST", "/api/v1/login", "", &body);
    for round in 0..5 {
        let access = tokens["accessToken"].as_str().unwrap().to_owned();
        assert!(verifier.verify(&access).await.is_ok());
        let name = json!({ "name": format!("Ann {round}") });
        assert_eq!(world.server().send("PATCH", "/api/v1/me", &access, &name).0, 200);
        let refresh = json!({ "refreshToken": tokens["refreshToken"] });
        tokens = world.server().send("POST", "/api/v1/refresh", "", &refresh).1;
        let took = refused(&verifier, &access, VerifyError::Outdated).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        let fresh = tokens["accessToken"].as_str().unwrap();
        assert!(verifier.verify(fresh).await.is_ok(), "made in the same second");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_sign_in_right_after_everything_was_ended_is_good_and_nobody_was_asked() {
    let world = World::start();
    let verifier = world.follower().await;
    for _ in 0..5 {
        let old = world.sign_in();
        let (status, _) = world.server().send("POST", "/api/v1/logout-all", &old, &json!({}));
        assert_eq!(status, 200);
        let new = world.sign_in();
        refused(&verifier, &old, VerifyError::Revoked).await;
        assert!(verifier.verify(&new).await.is_ok(), "in the same second");
    }
    let metrics = world.metrics();
    assert!(metrics.contains("/api/v1/revocations") && !metrics.contains("/api/v1/introspect"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_server_nothing_is_taken_and_what_happened_meanwhile_is_not_missed() {
    let mut world = World::start();
    let verifier = world.follower().await;
    let asking = world.builder("revocations,introspect").when_stale(Stale::Introspect).build().unwrap();
    timeout(PATIENCE, asking.ready()).await.unwrap();
    let (ended, lives) = (world.sign_in(), world.sign_in());
    for token in [&ended, &lives] {
        assert!(verifier.verify(token).await.is_ok() && asking.verify(token).await.is_ok());
    }
    let listed = world.place.run(&["sessions", "list", ANN, "--json"]).json();
    world.kill();
    until(&verifier, |state| !state.live).await;
    until(&asking, |state| !state.live).await;
    assert_eq!(verifier.verify(&lives).await.unwrap_err(), VerifyError::Unavailable);
    assert_eq!(asking.verify(&lives).await.unwrap_err(), VerifyError::Unavailable, "nobody answers");

    let first = listed["sessions"][0]["id"].as_str().unwrap();
    world.place.run(&["sessions", "revoke", first]).succeeds();
    world.restart();
    until(&verifier, |state| state.live && state.connections > 1).await;
    assert_eq!(verifier.verify_now(&ended).unwrap_err(), VerifyError::Revoked);
    assert!(verifier.verify_now(&lives).is_ok());
    assert_eq!(verifier.state().borrow().resets, 0, "it went on from where it was");

    // One that begins now hears of it too.
    assert_eq!(world.follower().await.verify_now(&ended).unwrap_err(), VerifyError::Revoked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_feed_is_not_live_each_token_is_asked_about() {
    let world = World::start();
    // The key may not follow, so the feed is never live.
    let verifier = world.builder("introspect").when_stale(Stale::Introspect).build().unwrap();
    until(&verifier, |state| state.keys > 0 && state.problem.is_some()).await;
    let token = world.sign_in();
    let caller = verifier.verify(&token).await.unwrap();
    assert!(caller.has_role("user") && !verifier.state().borrow().live);
    assert_eq!(verifier.verify_now(&token).unwrap_err(), VerifyError::Unavailable);
    world.log_out(&token);
    assert_eq!(verifier.verify(&token).await.unwrap_err(), VerifyError::Revoked);

    let closed = world.builder("introspect").build().unwrap();
    until(&closed, |state| state.keys > 0).await;
    assert_eq!(closed.verify(&world.sign_in()).await.unwrap_err(), VerifyError::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_signing_keys_are_picked_up() {
    let mut world = World::start();
    let verifier = world.follower().await;
    let before = world.sign_in();
    world.kill();
    world.place.run(&["keys", "rotate"]).succeeds();
    world.restart();
    until(&verifier, |state| state.live && state.connections > 1).await;
    let after = world.sign_in();
    assert_ne!(before.split('.').next(), after.split('.').next(), "another key signed it");
    assert!(verifier.verify(&after).await.is_ok());
    assert!(verifier.verify(&before).await.is_ok(), "the former key still verifies");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_others_and_for_others_are_refused() {
    let world = World::start();
    let verifier = world.follower().await;
    let token = world.sign_in();
    assert!(verifier.verify(&token).await.is_ok());
    let elsewhere = world.builder("revocations").audience("https://other.example").build().unwrap();
    timeout(PATIENCE, elsewhere.ready()).await.unwrap();
    assert_eq!(elsewhere.verify(&token).await.unwrap_err().to_string(), "the token has the wrong audience");
    let server = format!("http://{}", world.address);
    let other =
        Verifier::builder("https://auth.example").server(&server).service_key(&world.key("revocations"));
    let other = other.audience(ISSUER).build().unwrap();
    timeout(PATIENCE, other.ready()).await.unwrap();
    assert_eq!(other.verify(&token).await.unwrap_err().to_string(), "the token has the wrong issuer");

    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let encode = |value: &Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let decoded = data_encoding::BASE64URL_NOPAD.decode(header.as_bytes()).unwrap();
    let mut named: Value = serde_json::from_slice(&decoded).unwrap();
    named["alg"] = "none".into();
    let none = encode(&named);
    named["alg"] = "HS256".into();
    let symmetric = encode(&named);
    named["alg"] = "EdDSA".into();
    named["typ"] = "JWT".into();
    let untyped = encode(&named);
    let claims = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
    let stranger = SigningKey::generate(Algorithm::EdDsa, "").unwrap();
    let forged = stranger.sign("at+jwt", &claims).unwrap();
    let long = format!("{token}{}", "A".repeat(10_000));
    let wrong = [
        String::new(),
        "x".into(),
        "..".into(),
        format!("{none}.{payload}."),
        format!("{symmetric}.{payload}.{signature}"),
        format!("{untyped}.{payload}.{signature}"),
        format!("{header}.{payload}.{}", signature.chars().rev().collect::<String>()),
        forged,
        long,
        world.key("introspect"),
    ];
    for wrong in wrong {
        let error = verifier.verify(&wrong).await.unwrap_err();
        assert!(matches!(error, VerifyError::Invalid(_)), "{wrong}: {error}");
        assert_eq!(error.challenge().unwrap(), "Bearer error=\"invalid_token\"");
    }
}

#[derive(Clone)]
struct Shared {
    verifier: Verifier,
}

impl FromRef<Shared> for Verifier {
    fn from_ref(shared: &Shared) -> Self {
        shared.verifier.clone()
    }
}

async fn answer(routes: &Router, path: &str, authorization: Option<&str>) -> Response<Body> {
    let mut request = Request::get(path);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_are_guarded_by_the_extractor_and_by_the_layer() {
    let mut world = World::start();
    let verifier = world.follower().await;
    let admins = async |caller: Caller| caller.require_role("admin").map_err(Denied);
    let layered = Router::new()
        .route("/layered", get(async |Extension(caller): Extension<Caller>| caller.sub.to_string()))
        .layer(verifier.layer());
    let routes = Router::<Shared>::new()
        .route("/extracted", get(async |caller: Caller| caller.sub.to_string()))
        .route("/admins", get(admins))
        .with_state(Shared { verifier: verifier.clone() })
        .merge(layered);
    let token = world.sign_in();
    let bearer = format!("Bearer {token}");
    for path in ["/extracted", "/layered"] {
        assert_eq!(answer(&routes, path, Some(&bearer)).await.status(), 200, "{path}");
        let stranger = answer(&routes, path, None).await;
        assert_eq!(
            (stranger.status().as_u16(), &stranger.headers()["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
        let wrong = answer(&routes, path, Some("Bearer x.y.z")).await;
        assert_eq!(wrong.status(), 401);
        assert_eq!(wrong.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
        assert_eq!(answer(&routes, path, Some("Basic eDp5")).await.status(), 401);
    }
    let forbidden = answer(&routes, "/admins", Some(&bearer)).await;
    assert_eq!(forbidden.status(), 403);
    assert_eq!(forbidden.headers()["content-type"], "application/problem+json");
    world.kill();
    until(&verifier, |state| !state.live).await;
    for path in ["/extracted", "/layered"] {
        let stale = answer(&routes, path, Some(&bearer)).await;
        assert_eq!(
            (stale.status().as_u16(), &stale.headers()["retry-after"]),
            (503, &"1".parse().unwrap()),
            "{path}"
        );
        assert!(!stale.headers().contains_key("www-authenticate"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_asks_for_a_second_factor_or_a_fresh_proof_by_the_challenge_of_rfc_9470() {
    let world = World::start();
    let verifier = world.follower().await;
    let token = world.sign_in();
    let caller = verifier.verify(&token).await.unwrap();
    assert!(caller.require_proof_within(Duration::from_secs(600)).is_ok());
    let transfers = async |caller: Caller| {
        caller.require_second_factor()?;
        caller.require_proof_within(Duration::from_secs(600)).map_err(Denied)
    };
    let ancient = async |caller: Caller| caller.require_proof_within(Duration::ZERO).map_err(Denied);
    let routes = Router::<Shared>::new()
        .route("/transfers", get(transfers))
        .route("/ancient", get(ancient))
        .with_state(Shared { verifier: verifier.clone() });
    let refused = answer(&routes, "/transfers", Some(&format!("Bearer {token}"))).await;
    assert_eq!(refused.status(), 401);
    let challenge = "Bearer error=\"insufficient_user_authentication\", acr_values=\"aal2\"";
    assert_eq!(refused.headers()["www-authenticate"], challenge);

    let setup = world.server().send("POST", "/api/v1/factors/totp", &token, &Value::Null).1;
    let issued = caller.claims["iat"].as_i64().unwrap();
    let code = Authenticator::of(&setup).code_at(issued);
    let confirmed =
        world.server().send("POST", "/api/v1/factors/totp/confirm", &token, &json!({ "otp": code }));
    assert_eq!(confirmed.0, 200, "{}", confirmed.1);
    let stronger = format!("Bearer {}", confirmed.1["accessToken"].as_str().unwrap());
    assert_eq!(answer(&routes, "/transfers", Some(&stronger)).await.status(), 200);
    tokio::time::timeout(PATIENCE, async {
        while answer(&routes, "/ancient", Some(&stronger)).await.status() == 200 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a second passes");
    let refused = answer(&routes, "/ancient", Some(&stronger)).await;
    let challenge = "Bearer error=\"insufficient_user_authentication\", max_age=0";
    assert_eq!(refused.headers()["www-authenticate"], challenge);
}

#[tokio::test]
async fn a_verifier_is_not_built_with_settings_that_cannot_work() {
    let key = &format!("hp_sk_{}", "A".repeat(43));
    let problem = |builder: Builder| builder.build().unwrap_err();
    assert_eq!(problem(Verifier::builder(ISSUER)), BuildError::NoServiceKey);
    assert_eq!(problem(Verifier::builder(ISSUER).service_key("hp_sk_x")), BuildError::NoServiceKey);
    for url in ["", "x", "ftp://auth.example", "/path", "http://"] {
        assert_eq!(problem(Verifier::builder(url).service_key(key)), BuildError::BadUrl(url.into()));
    }
    let plain = "http://auth.example";
    assert_eq!(problem(Verifier::builder(plain).service_key(key)), BuildError::PlainHttp(plain.into()));
    assert!(Verifier::builder(plain).service_key(key).allow_plain_http().build().is_ok());
    let bad = Verifier::builder("https://auth.example").service_key(key).trust(b"x");
    assert!(matches!(problem(bad), BuildError::BadCertificate(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_loaded_again_when_a_heartbeat_names_others_so_that_a_leaked_one_is_refused() {
    let world = World::start();
    let (verifier, token) = (world.follower().await, world.sign_in());
    world.place.run(&["keys", "rotate"]).succeeds();
    until(&verifier, |state| state.keys == 2).await;
    let loaded = Instant::now();
    assert!(verifier.verify_now(&token).is_ok());
    world.place.run(&["keys", "rotate", "--drop-former"]).succeeds();
    until(&verifier, |state| state.keys == 1).await;
    assert!(verifier.verify_now(&token).is_err());
    assert!(loaded.elapsed() < Duration::from_secs(9), "sooner than they are loaded anyway");
}
