//! What nodes tell each other: that what was read of a session or a user is outdated.
//!
//! Invariants: whoever changes a fact announces it before anybody is answered; a node relies on what it has read before
//! only while a heartbeat of its own came back on the channel that carries the announcements, so that everything announced
//! before that heartbeat was sent has arrived; when it did not come back within [`LIMIT`], the database is asked on every
//! check. So no node relies for longer than [`LIMIT`] on what has changed. `docs/decisions/revocation.md` has the reasons.
mod silence;
mod stamps;

use crate::clock::{Clock, Timestamp};
use crate::ids::{SessionId, UserId};
use silence::Silence;
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

/// Stands for the definitions of roles, where others are named by their id (UUIDv8, RFC 9562 5.8).
pub const ROLES: Uuid = Uuid::from_u128(0x726f6c65_7300_8000_8000_000000000000);

/// Stands for the signing keys, likewise.
pub const KEYS: Uuid = Uuid::from_u128(0x6b657973_0000_8000_8000_000000000000);

/// What is outdated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// What was read of a session.
    Session(SessionId),
    /// What was read of a user and of the user's sessions.
    User(UserId),
    /// What roles hold, and with it everything that was read of anybody.
    Roles,
    /// Which keys sign and verify tokens.
    Keys,
}

impl Notice {
    fn subject(self) -> Uuid {
        match self {
            Self::Session(id) => id.0,
            Self::User(id) => id.0,
            Self::Roles => ROLES,
            Self::Keys => KEYS,
        }
    }

    /// Notices as text, as they travel: a letter and an id each.
    pub fn write(notices: &[Self]) -> String {
        let one = |notice: &Self| match notice {
            Self::Session(id) => format!("s{id}"),
            Self::User(id) => format!("u{id}"),
            Self::Roles => "r".into(),
            Self::Keys => "k".into(),
        };
        notices.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// Notices from their text; `None` for whatever another version may write that this one does not know.
    pub fn read(text: &str) -> Option<Vec<Self>> {
        let one = |part: &str| match part.split_at_checked(1)? {
            ("s", id) => SessionId::parse(id).map(Self::Session),
            ("u", id) => UserId::parse(id).map(Self::User),
            ("r", "") => Some(Self::Roles),
            ("k", "") => Some(Self::Keys),
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
    roles: u32,
}

/// What carries announcements. A node may have several; one that is live is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The database itself, with the commit.
    Database,
    /// Redis, before the commit.
    Redis,
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
    silence: Mutex<Silence>,
    /// Changes when announcements may have been missed.
    epoch: AtomicU64,
    hearts: Mutex<[Heart; 2]>,
    clock: Arc<dyn Clock>,
    /// For so long after an announcement that comes before its commit nothing is relied on that is read of its subject.
    until_committed: Duration,
    /// Counts announcements heard, for those who wait for some.
    heard: watch::Sender<u64>,
}

impl Bus {
    /// A bus that nothing was proven of; a commit takes no longer than `until_committed` after it was announced.
    pub fn new(clock: Arc<dyn Clock>, until_committed: Duration) -> Arc<Self> {
        Arc::new(Self {
            stamps: Stamps::default(),
            silence: Mutex::new(Silence::new(clock.now(), clock.monotonic())),
            epoch: AtomicU64::new(0),
            hearts: Mutex::default(),
            clock,
            until_committed,
            heard: watch::channel(0).0,
        })
    }

    /// The time by which heartbeats are counted.
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// What has to be unchanged for a read that begins now to hold later; `None` while no channel is proven live, or while
    /// something announced about them may not be committed yet.
    pub fn proof(&self, user: UserId, session: Option<SessionId>) -> Option<Proof> {
        let now = self.clock.monotonic();
        let subjects = [Some(user.0), session.map(|session| session.0), Some(ROLES)];
        let pending = subjects.into_iter().flatten().any(|id| self.stamps.is_pending(id, now));
        let session = session.map_or(0, |session| self.stamps.of(session.0));
        let (user, roles) = (self.stamps.of(user.0), self.stamps.of(ROLES));
        let proof = Proof { epoch: self.epoch.load(Ordering::Acquire), session, user, roles };
        (!pending && self.is_live()).then_some(proof)
    }

    /// Changes when something was announced about what concerns everybody ([`KEYS`]), or may have been.
    pub fn stamp(&self, subject: Uuid) -> (u64, u32) {
        (self.epoch.load(Ordering::Acquire), self.stamps.of(subject))
    }

    /// Whether something that was announced about it may not be committed yet.
    pub fn is_pending(&self, subject: Uuid) -> bool {
        self.stamps.is_pending(subject, self.clock.monotonic())
    }

    /// Whether everything announced up to [`LIMIT`] ago has arrived for sure.
    pub fn is_live(&self) -> bool {
        let now = self.clock.monotonic();
        self.hearts().iter().any(|heart| heart.proven.is_some_and(|sent| now.saturating_sub(sent) <= LIMIT))
    }

    /// The present instant, if what anybody read of them within `age` before it holds: everything that was announced since has
    /// arrived, and nothing of it was about them. The contract is that of [`Bus::proof`], looking back.
    pub fn silent_at(&self, user: UserId, session: Option<SessionId>, age: Duration) -> Option<Timestamp> {
        let clock = self.clock.now();
        let now = self.clock.monotonic();
        // What was announced before its commit was not yet to be read.
        let length = age + self.until_committed;
        let mut silence = self.silence();
        silence.watch(clock, now);
        let subjects = [Some(user.0), session.map(|session| session.0)];
        let silent = subjects.into_iter().flatten().all(|id| silence.lasts(id, now, length));
        (silent && self.is_live()).then_some(clock)
    }

    /// Takes note of what is about to be committed elsewhere.
    pub fn hear_before_commit(&self, text: &str) {
        match Notice::read(text) {
            Some(notices) => self.expect(&notices),
            None => self.missed(),
        }
    }

    /// Takes note of what may be committed soon, here or elsewhere.
    pub fn expect(&self, notices: &[Notice]) {
        let until = self.clock.monotonic() + self.until_committed;
        for notice in notices {
            self.stamps.expect(notice.subject(), until);
        }
        self.hear(notices);
    }

    /// Takes note of what was announced, here or elsewhere.
    pub fn hear(&self, notices: &[Notice]) {
        let now = self.clock.monotonic();
        for notice in notices {
            // In this order: whoever sees the new number also sees that something was heard, and takes nothing that was read before.
            self.silence().end(notice.subject(), now);
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

    /// Something may have been announced that did not arrive.
    pub fn missed(&self) {
        self.silence().end_all(self.clock.monotonic());
        self.renew();
    }

    /// Nothing that was read before holds any more.
    pub fn renew(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.heard.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A channel broke: announcements may be missed until it is proven anew.
    pub fn lost(&self, channel: Channel) {
        let mut hearts = self.hearts();
        let heart = &mut hearts[channel as usize];
        heart.proven = None;
        heart.sent.clear();
        drop(hearts);
        self.missed();
    }

    /// Notes the sending of a heartbeat; returns its number. Called before it is sent.
    pub fn beat(&self, channel: Channel) -> u64 {
        let now = self.clock.monotonic();
        let mut hearts = self.hearts();
        let heart = &mut hearts[channel as usize];
        heart.number += 1;
        let number = heart.number;
        heart.sent.retain(|(_, sent)| now.saturating_sub(*sent) <= LIMIT);
        heart.sent.push((number, now));
        number
    }

    /// A heartbeat came back, and so did everything that was announced on its channel before it was sent.
    pub fn came_back(&self, channel: Channel, number: u64) {
        let mut hearts = self.hearts();
        let heart = &mut hearts[channel as usize];
        let sent = heart.sent.iter().find(|(known, _)| *known == number).map(|(_, sent)| *sent);
        heart.proven = heart.proven.max(sent);
    }

    fn silence(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hearts(&self) -> MutexGuard<'_, [Heart; 2]> {
        self.hearts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
