//! What nodes tell each other: that what was read of a session or a user is outdated.
//!
//! Invariants: whoever changes a fact announces it before anybody is answered; a node relies on what it has read before
//! only while a heartbeat of its own came back on the channel that carries the announcements, so that everything announced
//! before that heartbeat was sent has arrived; when it did not come back within [`LIMIT`], the database is asked on every
//! check. So no node relies for longer than [`LIMIT`] on what has changed. `docs/decisions/revocation.md` has the reasons.
mod stamps;

use crate::clock::Clock;
use crate::ids::{SessionId, UserId};
use stamps::Stamps;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Time between two heartbeats.
pub const BEAT: Duration = Duration::from_millis(200);
/// How long a heartbeat proves that the channel is live, counted from when it was sent. The longest time for which a
/// revocation may not count on another node.
pub const LIMIT: Duration = Duration::from_secs(1);

/// What is outdated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// What was read of a session.
    Session(SessionId),
    /// What was read of a user and of the user's sessions.
    User(UserId),
}

impl Notice {
    fn subject(self) -> Uuid {
        match self {
            Self::Session(id) => id.0,
            Self::User(id) => id.0,
        }
    }

    /// Notices as text, as they travel: a letter and an id each.
    pub fn write(notices: &[Self]) -> String {
        let one = |notice: &Self| match notice {
            Self::Session(id) => format!("s{id}"),
            Self::User(id) => format!("u{id}"),
        };
        notices.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// Notices from their text; `None` for whatever another version may write that this one does not know.
    pub fn read(text: &str) -> Option<Vec<Self>> {
        let one = |part: &str| match part.split_at_checked(1)? {
            ("s", id) => SessionId::parse(id).map(Self::Session),
            ("u", id) => UserId::parse(id).map(Self::User),
            _ => None,
        };
        text.split(',').map(one).collect()
    }
}

/// What has to be unchanged for an earlier read to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    epoch: u64,
    session: u32,
    user: u32,
}

/// The last heartbeats: the number and the time of the latest sent, and when the latest that came back was sent.
#[derive(Default)]
struct Heart {
    number: u64,
    sent: Vec<(u64, Duration)>,
    proven: Option<Duration>,
}

/// One node's end of the channel.
pub struct Bus {
    stamps: Stamps,
    /// Changes when announcements may have been missed.
    epoch: AtomicU64,
    heart: Mutex<Heart>,
    clock: Arc<dyn Clock>,
    /// Counts announcements heard, for those who wait for some.
    heard: watch::Sender<u64>,
}

impl Bus {
    /// A bus that nothing was proven of.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            stamps: Stamps::default(),
            epoch: AtomicU64::new(0),
            heart: Mutex::default(),
            clock,
            heard: watch::channel(0).0,
        })
    }

    /// What has to be unchanged for a read that begins now to hold later; `None` while the channel is not proven live.
    pub fn proof(&self, user: UserId, session: Option<SessionId>) -> Option<Proof> {
        let session = session.map_or(0, |session| self.stamps.of(session.0));
        let proof =
            Proof { epoch: self.epoch.load(Ordering::Acquire), session, user: self.stamps.of(user.0) };
        self.is_live().then_some(proof)
    }

    /// Whether everything announced up to [`LIMIT`] ago has arrived for sure.
    pub fn is_live(&self) -> bool {
        let now = self.clock.monotonic();
        self.heart().proven.is_some_and(|sent| now.saturating_sub(sent) <= LIMIT)
    }

    /// Takes note of what was announced, here or elsewhere.
    pub fn hear(&self, notices: &[Notice]) {
        for notice in notices {
            self.stamps.change(notice.subject());
        }
        self.heard.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Hears that something was announced.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.heard.subscribe()
    }

    /// Takes note of announcements as they travel. What cannot be read might be about anything.
    pub fn hear_text(&self, text: &str) {
        match Notice::read(text) {
            Some(notices) => self.hear(&notices),
            None => self.missed(),
        }
    }

    /// Nothing that was read before holds any more.
    pub fn missed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.heard.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The channel broke: announcements may be missed until it is proven anew.
    pub fn lost(&self) {
        let mut heart = self.heart();
        heart.proven = None;
        heart.sent.clear();
        drop(heart);
        self.missed();
    }

    /// Notes the sending of a heartbeat; returns its number. Called before it is sent.
    pub fn beat(&self) -> u64 {
        let now = self.clock.monotonic();
        let mut heart = self.heart();
        heart.number += 1;
        let number = heart.number;
        heart.sent.retain(|(_, sent)| now.saturating_sub(*sent) <= LIMIT);
        heart.sent.push((number, now));
        number
    }

    /// A heartbeat came back, and so did everything that was announced before it was sent.
    pub fn came_back(&self, number: u64) {
        let mut heart = self.heart();
        let sent = heart.sent.iter().find(|(known, _)| *known == number).map(|(_, sent)| *sent);
        heart.proven = heart.proven.max(sent);
    }

    fn heart(&self) -> MutexGuard<'_, Heart> {
        self.heart.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
