//! Followers of nodes whose clocks differ, within what is allowed.
use super::follow::PATIENCE;
use crate::support::{Client, PASSWORD, TestApp, TestClock, TestNode, operator};
use hallpass::ids::UserId;
use hallpass::service_keys::Scope;
use hallpass::sessions::{self, access};
use hallpass::{roles, server as http, users};
use hallpass_verify::{Verifier, VerifyError};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

const ANN: &str = "ann@example.com";
const SKEW: Duration = Duration::from_secs(20);

/// Two nodes, the second one's clock ahead, and a follower of the first.
struct World {
    behind: TestApp,
    ahead: TestNode,
    verifier: Verifier,
    ann: Client,
    _stop: watch::Sender<bool>,
}

impl World {
    async fn start() -> Self {
        let behind = TestApp::start().await;
        // A follower takes its own time from the machine.
        behind.clock.set_right();
        let ahead = behind.node_with(Arc::new(TestClock::ahead_of(&behind.clock, SKEW)), |_| {}).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(http::serve(behind.app.clone(), listener, stopped));
        let (_, key) = behind.service_key("shop", &[Scope::Revocations], None).await;
        let builder = Verifier::builder(&behind.app.public_url).server(&address).service_key(&key);
        // The server's clock stands.
        let verifier = builder.live_for(Duration::from_secs(600)).build().unwrap();
        timeout(PATIENCE, verifier.ready()).await.expect("live in time");
        let ann = behind.signed_in(ANN).await;
        Self { behind, ahead, verifier, ann, _stop: stop }
    }

    async fn sign_in(&self, ahead: bool) -> Client {
        let mut client = if ahead { self.ahead.client() } else { self.behind.client() };
        client.log_in(json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" })).await;
        client
    }

    /// A client as it is, on the one or the other node.
    fn on(&self, ahead: bool, client: &Client) -> Client {
        let mut other = if ahead { self.ahead.client() } else { self.behind.client() };
        (other.bearer, other.refresh_token) = (client.bearer.clone(), client.refresh_token.clone());
        other
    }

    fn verify(&self, client: &Client) -> Result<(), VerifyError> {
        self.verifier.verify_now(client.bearer.as_ref().unwrap()).map(drop)
    }

    async fn refused(&self, client: &Client, why: VerifyError) {
        let mut state = self.verifier.state();
        while self.verify(client) != Err(why.clone()) {
            let heard = timeout(PATIENCE, state.changed()).await;
            heard.unwrap_or_else(|_| panic!("{why:?}, not {:?}", self.verify(client))).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_change_on_one_node_tokens_of_before_are_outdated_and_those_of_after_are_good() {
    let world = World::start().await;
    for changes_ahead in [true, false] {
        for what in ["user", "roles"] {
            // Each signed by the node whose clock makes it look as if it were made on the other side of the change.
            let before = world.sign_in(!changes_ahead).await;
            assert_eq!(world.verify(&before), Ok(()));
            let node = if changes_ahead { &world.ahead.app } else { &world.behind.app };
            if what == "user" {
                let name = json!({ "name": format!("Ann {changes_ahead}") });
                let changed = world.on(changes_ahead, &world.ann).patch("/api/v1/me", name).await;
                assert_eq!(changed.status, 200, "{}", changed.text);
            } else {
                operator::define_role(node, "clerk", &[&format!("orders:{changes_ahead}")]).await;
            }
            world.refused(&before, VerifyError::Outdated).await;
            for refreshes_ahead in [true, false] {
                let mut after = world.on(refreshes_ahead, &before);
                // Unless it has not heard of the change yet.
                while world.verify(&after) != Ok(()) {
                    let refreshed = after.refresh().await;
                    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_a_node_makes_of_what_it_read_before_a_change_is_outdated() {
    let mut world = World::start().await;
    let me = world.ann.get("/api/v1/me").await.json;
    let id = UserId::parse(me["user"]["id"].as_str().unwrap()).unwrap();
    let app = &world.behind.app;
    let session = sessions::live(&app.db, id, app.now()).await.unwrap().remove(0);
    let user = users::find(&app.db, id).await.unwrap().unwrap();
    let grants = roles::grants(app, &app.db, &user.roles).await.unwrap();
    world.behind.define_role("clerk", &["orders:read"]).await;
    world.behind.give_roles(ANN, &["clerk"]).await;
    world.refused(&world.ann, VerifyError::Outdated).await;
    let late = app.now().plus(Duration::from_secs(1));
    let present = users::find(&app.db, id).await.unwrap().unwrap();
    let newer = roles::grants(app, &app.db, &present.roles).await.unwrap();
    let mut made = world.behind.client();
    let mut of = |user: &users::User, grants: &roles::Grants| {
        made.bearer = Some(access::issue(app, &session, user, grants, late).unwrap());
        made.clone()
    };
    world.refused(&of(&user, &newer), VerifyError::Outdated).await;
    world.refused(&of(&present, &grants), VerifyError::Outdated).await;
    assert_eq!(world.verify(&of(&present, &newer)), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_after_all_sessions_were_ended_is_good_whichever_clock_is_ahead() {
    let world = World::start().await;
    for (ends_ahead, signs_in_ahead) in [(true, false), (false, true), (true, true), (false, false)] {
        let old = world.sign_in(!ends_ahead).await;
        let ended = world.on(ends_ahead, &old).post_nothing("/api/v1/logout-all").await;
        assert_eq!(ended.status, 200, "{}", ended.text);
        let mut new = world.sign_in(signs_in_ahead).await;
        world.refused(&old, VerifyError::Revoked).await;
        assert_eq!(world.verify(&new), Ok(()));
        // And it ends like any other.
        assert_eq!(world.on(!signs_in_ahead, &new).post_nothing("/api/v1/logout-all").await.status, 200);
        world.refused(&new, VerifyError::Revoked).await;
        assert_eq!(new.refresh().await.status, 401);
    }
}
