//! Following the feed: pages first, then the stream; after a break from where it was.
use crate::http_client::Call;
use crate::live::Beats;
use crate::shared::Shared;
use crate::sse::{Event, Parser};
use crate::times::{id, millis};
use http::StatusCode;
use http::header::{ACCEPT, HeaderName};
use http_body_util::BodyExt;
use hyper::body::Bytes;
use serde::Deserialize;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{interval, timeout};

const FEED: &str = "/api/v1/revocations";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Pauses between attempts: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// How often the state is looked at, and the keys are fetched anew.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const KEYS_EVERY: Duration = Duration::from_secs(10);

/// Why following stopped.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// The place in the feed is lost.
    #[error("the cursor is too old")]
    TooOld,
    #[error("{0}")]
    Other(String),
}

fn other(error: impl std::fmt::Display) -> Broken {
    Broken::Other(error.to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Revocation {
    at: String,
    kind: String,
    user_id: Option<String>,
    session_id: Option<String>,
    except_session_id: Option<String>,
    as_of: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    revocations: Vec<Revocation>,
    next: String,
    more: bool,
    keep_seconds: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heartbeat {
    now: String,
    keep_seconds: i64,
    /// Ids of the server's keys; an older server does not tell them.
    keys: Option<Vec<String>>,
}

struct Follower {
    shared: Arc<Shared>,
    cursor: Option<String>,
    /// How long a revocation matters, in milliseconds.
    keep: i64,
    /// The server's keys by the latest heartbeat that told them.
    keys: Option<Vec<String>>,
    /// Whether the present attempt got as far as a heartbeat.
    well: bool,
}

/// Follows for as long as the verifier lives.
pub(crate) async fn run(shared: Arc<Shared>) {
    let follower =
        Follower { shared: Arc::clone(&shared), cursor: None, keep: 3_600_000, keys: None, well: false };
    tokio::join!(follower.run(), look(&shared), fetch_keys(&shared));
}

/// Notices that time has passed without a heartbeat.
async fn look(shared: &Shared) {
    let mut ticks = interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        shared.publish(|_| {});
    }
}

/// A key that was withdrawn is gone as soon as a heartbeat says so; within this time when none does.
async fn fetch_keys(shared: &Shared) {
    loop {
        let fetched = shared.keys.refresh(&shared.server, shared.keys.begun()).await;
        let pause = match &fetched {
            Ok(()) => KEYS_EVERY,
            Err(error) => {
                tracing::warn!(%error, "the keys of the server could not be fetched");
                LAST_PAUSE / 2
            }
        };
        shared.publish(|_| {});
        let _ = timeout(pause, shared.keys_changed.notified()).await;
    }
}

impl Follower {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            self.well = false;
            let Err(broken) = self.follow().await;
            tracing::info!(%broken, "the feed of revocations broke off");
            if let Broken::TooOld = broken {
                self.cursor = None;
                self.shared.reset();
            }
            self.shared.publish(|state| state.problem = Some(broken.to_string()));
            if self.well {
                pause = FIRST_PAUSE;
            }
            // Between half of it and the whole: not all services come back at the same moment.
            wait(pause.mul_f64(0.5 + jitter() / 2.0)).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Broken> {
        let cursor = match self.cursor.take() {
            Some(cursor) => cursor,
            None => self.page_through().await?,
        };
        self.cursor = Some(cursor.clone());
        let asked = Instant::now();
        let headers = [(ACCEPT, "text/event-stream"), (LAST_EVENT_ID, cursor.as_str())];
        let response = self.shared.server.open(&Call::get(FEED, &headers)).await.map_err(other)?;
        check(response.status())?;
        self.shared.publish(|state| state.connections += 1);
        let (mut body, mut parser, mut beats) = (response.into_body(), Parser::default(), Beats::default());
        // A connection on which nothing comes is as good as none.
        let silence = self.shared.settings.window + Duration::from_secs(1);
        loop {
            let frame = timeout(silence, body.frame()).await.map_err(|_| other("nothing comes any more"))?;
            let frame = frame.ok_or_else(|| other("the server ended the stream"))?.map_err(other)?;
            let piece = frame.into_data().unwrap_or_else(|_| Bytes::new());
            let events = parser.push(&piece).map_err(|_| other("an event is too long"))?;
            for event in events {
                self.take(event, &mut beats, asked)?;
            }
        }
    }

    /// Everything that can matter, before the first stream.
    async fn page_through(&mut self) -> Result<String, Broken> {
        let mut path = FEED.to_owned();
        loop {
            let (status, body) = self.shared.server.fetch(&Call::get(&path, &[])).await.map_err(other)?;
            check(status)?;
            let page: Page = serde_json::from_slice(&body).map_err(other)?;
            self.keep = page.keep_seconds.saturating_mul(1000);
            for revocation in &page.revocations {
                self.apply(revocation)?;
            }
            self.shared.publish(|state| state.heard += page.revocations.len() as u64);
            if !page.more {
                return Ok(page.next);
            }
            path = format!("{FEED}?after={}", page.next);
        }
    }

    fn take(&mut self, event: Event, beats: &mut Beats, asked: Instant) -> Result<(), Broken> {
        if event.name == "heartbeat" {
            let beat: Heartbeat = serde_json::from_str(&event.data).map_err(other)?;
            let now = millis(&beat.now).ok_or_else(|| other("a heartbeat without time"))?;
            self.keep = beat.keep_seconds.saturating_mul(1000);
            self.forget_old(now);
            self.note_keys(beat.keys);
            if !self.shared.live.beat(beats, now, asked) {
                return Err(other("heartbeats come late"));
            }
            self.well = true;
            self.shared.publish(|state| state.problem = None);
        } else {
            self.apply(&serde_json::from_str(&event.data).map_err(other)?)?;
            self.shared.publish(|state| state.heard += 1);
        }
        // Only what was applied is behind us.
        self.cursor = event.id.or_else(|| self.cursor.take());
        Ok(())
    }

    fn apply(&self, revocation: &Revocation) -> Result<(), Broken> {
        let unreadable = || other("a revocation cannot be read");
        let at = millis(&revocation.at).ok_or_else(unreadable)?;
        let user = revocation.user_id.as_deref().and_then(id);
        let session = |text: &Option<String>| text.as_deref().and_then(id);
        let mut revoked = self.shared.revoked.write().unwrap_or_else(PoisonError::into_inner);
        match revocation.kind.as_str() {
            "session_ended" => {
                let session = session(&revocation.session_id).ok_or_else(unreadable)?;
                revoked.session_ended(session, at, self.keep);
            }
            "sessions_ended" => {
                let except = session(&revocation.except_session_id);
                revoked.sessions_ended(user.ok_or_else(unreadable)?, except, at, self.keep);
            }
            "user_changed" => {
                revoked.user_changed(user.ok_or_else(unreadable)?, revocation.as_of, at, self.keep);
            }
            "roles_changed" => revoked.roles_changed(revocation.as_of, at),
            // Of a later version of the server.
            _ => {}
        }
        Ok(())
    }

    /// Has the keys fetched when the server has others than before.
    fn note_keys(&mut self, told: Option<Vec<String>>) {
        if told.is_some() && told != self.keys {
            // The first ones are fetched anyway.
            if self.keys.is_some() {
                self.shared.keys_changed.notify_one();
            }
            self.keys = told;
        }
    }

    fn forget_old(&self, now: i64) {
        let leeway = i64::try_from(self.shared.settings.leeway.as_millis()).unwrap_or(i64::MAX);
        let mut revoked = self.shared.revoked.write().unwrap_or_else(PoisonError::into_inner);
        revoked.forget_before(now.saturating_sub(self.keep).saturating_sub(leeway), now);
    }
}

fn check(status: StatusCode) -> Result<(), Broken> {
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::GONE => Err(Broken::TooOld),
        StatusCode::UNAUTHORIZED => Err(other("the service key is not accepted")),
        StatusCode::FORBIDDEN => Err(other("the service key lacks the scope revocations")),
        status => Err(Broken::Other(format!("the feed was answered with {status}"))),
    }
}

async fn wait(pause: Duration) {
    // Not a condition that somebody could signal.
    let _ = timeout(pause, std::future::pending::<()>()).await;
}

/// From 0 to 1, different in each process.
fn jitter() -> f64 {
    let number = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(number).unwrap_or(0)) / f64::from(u32::MAX)
}
