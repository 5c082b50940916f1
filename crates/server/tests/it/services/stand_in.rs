//! The verifier beside servers that do what a real one does only once in a while.
use super::follow::{PATIENCE, World, until};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::get;
use axum::{Json, Router};
use hallpass::clock::{Clock, SystemClock};
use hallpass_crypto::jwk::{Algorithm, SigningKey};
use hallpass_verify::{Verifier, VerifyError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const USER: &str = "019b76da-a800-7000-8000-000000000001";
const SESSION: &str = "019b76da-a800-7000-8000-000000000002";

struct StandIn {
    key: SigningKey,
    /// Streams that were opened.
    streams: AtomicUsize,
    /// What the feed does with the nth stream.
    behaviour: fn(usize) -> Behaviour,
}

enum Behaviour {
    /// A heartbeat, then the end.
    Beat,
    /// The cursor is too old.
    Gone,
    /// Nothing that makes sense.
    Garbage,
    /// Heartbeats of a clock that was set back by a minute.
    Past,
}

impl StandIn {
    async fn start(behaviour: fn(usize) -> Behaviour) -> (Arc<Self>, Verifier) {
        let key = SigningKey::generate(Algorithm::Es256, "").unwrap();
        let stand_in = Arc::new(Self { key, streams: AtomicUsize::new(0), behaviour });
        let routes = Router::new()
            .route("/.well-known/jwks.json", get(jwks))
            .route("/api/v1/revocations", get(feed))
            .with_state(Arc::clone(&stand_in));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let key = format!("hp_sk_{}", "A".repeat(43));
        let verifier = Verifier::builder(&issuer).audience("here").service_key(&key).build().unwrap();
        (stand_in, verifier)
    }

    fn token(&self, issuer: &Value) -> String {
        let now = SystemClock::default().now().seconds();
        let claims = json!({ "iss": issuer, "aud": ["there", "here"], "sub": USER, "sid": SESSION, "iat": now, "exp": now + 60 });
        self.key.sign("at+jwt", claims.to_string().as_bytes()).unwrap()
    }
}

async fn jwks(State(stand_in): State<Arc<StandIn>>) -> Json<Value> {
    Json(json!({ "keys": [stand_in.key.verifying_key().to_jwk()] }))
}

fn stream(body: String) -> Response<Body> {
    Response::builder().header("content-type", "text/event-stream").body(Body::from(body)).unwrap()
}

async fn feed(State(stand_in): State<Arc<StandIn>>, headers: HeaderMap) -> Response<Body> {
    let now = SystemClock::default().now();
    if headers.get("accept").is_none() {
        // Told once only: whoever drops what it knew cannot know it any more.
        let first = stand_in.streams.load(Ordering::SeqCst) == 0;
        let ended = json!({ "id": USER, "at": now.rfc3339(), "kind": "session_ended", "userId": USER, "sessionId": SESSION });
        let rows = if first { vec![ended] } else { Vec::new() };
        let page = json!({ "revocations": rows, "next": "1", "more": false, "now": now.rfc3339(), "keepSeconds": 930 });
        return Response::new(Body::from(page.to_string()));
    }
    let number = stand_in.streams.fetch_add(1, Ordering::SeqCst);
    let beat = |at: hallpass::clock::Timestamp| {
        format!("id: 2\nevent: heartbeat\ndata: {{\"now\":\"{}\",\"keepSeconds\":930}}\n\n", at.rfc3339())
    };
    match (stand_in.behaviour)(number) {
        Behaviour::Beat => stream(beat(now)),
        Behaviour::Gone => Response::builder().status(410).body(Body::empty()).unwrap(),
        Behaviour::Garbage => stream("event: session_ended\ndata: {\"at\":7}\n\n".into()),
        Behaviour::Past => {
            let past = now.minus(Duration::from_secs(60));
            stream(format!("{}{}", beat(now), beat(past).repeat(3)))
        }
    }
}

#[tokio::test]
async fn whoever_lost_its_place_drops_everything_and_begins_anew() {
    let (stand_in, verifier) =
        StandIn::start(|number| if number == 1 { Behaviour::Gone } else { Behaviour::Beat }).await;
    let issuer = format!("{verifier:?}");
    assert!(!issuer.contains("hp_sk_"), "{issuer}");
    until(&verifier, |state| state.live && state.remembered == 1).await;
    until(&verifier, |state| state.resets == 1).await;
    until(&verifier, |state| state.live && state.resets == 1).await;
    assert_eq!(verifier.state().borrow().remembered, 0);
    assert!(stand_in.streams.load(Ordering::SeqCst) >= 3);
    let foreign = stand_in.token(&json!("https://other.example"));
    assert!(matches!(verifier.verify(&foreign).await, Err(VerifyError::Invalid(_))));
}

#[tokio::test]
async fn a_feed_that_makes_no_sense_is_not_live() {
    let (stand_in, verifier) = StandIn::start(|_| Behaviour::Garbage).await;
    until(&verifier, |state| state.keys == 1 && state.connections >= 2).await;
    assert!(!verifier.state().borrow().live);
    let token = stand_in.token(&json!("https://other.example"));
    assert!(verifier.verify_now(&token).is_err());
}

#[tokio::test]
async fn heartbeats_of_a_clock_that_was_set_back_make_it_connect_anew() {
    let (_, verifier) = StandIn::start(|_| Behaviour::Past).await;
    let mut late = verifier.state();
    let broken = |state: &hallpass_verify::State| state.problem.as_deref() == Some("heartbeats come late");
    timeout(PATIENCE, late.wait_for(broken)).await.unwrap().unwrap();
    until(&verifier, |state| state.connections >= 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_a_server_is_followed_if_its_certificate_is_trusted() {
    let world = World::start();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let behind = world.address.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut outside = acceptor.accept(stream).await?;
                let mut inside = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    let stranger = world.builder("revocations").server(&url).build().unwrap();
    let verifier = world.builder("revocations").server(&url).trust(made.cert.der()).build().unwrap();
    timeout(PATIENCE, verifier.ready()).await.expect("live in time");
    assert!(verifier.verify(&world.sign_in()).await.is_ok());
    until(&stranger, |state| state.problem.as_deref().is_some_and(|text| text.contains("certificate"))).await;
    assert!(!stranger.state().borrow().live);
}
