//! What the open streams of this process share: one reader of the database for all, a bounded number of places, and the
//! word that the server ends. It knows nothing of what it carries.
use crate::clock::Timestamp;
use crate::ids::RowId;
use axum::body::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// Streams of one key.
pub const STREAMS_PER_KEY: usize = 16;
/// Streams of this process.
pub const STREAMS: usize = 256;
/// Messages that a stream may fall behind before it reads the database again.
const BACKLOG: usize = 1024;

/// What the one reader says to all streams, in order.
#[derive(Clone, Debug)]
pub enum Message {
    /// Something new; ready to be sent.
    Entry {
        /// Its place in the order.
        at: Timestamp,
        /// Its place in the order.
        id: RowId,
        /// What goes out.
        bytes: Bytes,
    },
    /// Everything that was committed by the instant of this beat was said before.
    Beat {
        /// When the database was read.
        now: Timestamp,
        /// What goes out.
        bytes: Bytes,
    },
}

#[derive(Default)]
struct State {
    by_key: HashMap<RowId, usize>,
    total: usize,
    /// Dead as soon as the reader is, however it ended.
    sender: Option<broadcast::WeakSender<Message>>,
}

/// See the module's doc.
pub struct Feed {
    state: Mutex<State>,
    closed: watch::Sender<bool>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { state: Mutex::default(), closed: watch::channel(false).0 }
    }
}

/// What a stream hears.
pub struct Subscription {
    /// The messages.
    pub messages: broadcast::Receiver<Message>,
    /// To be run by the reader that this subscription has to start, if it is the first.
    pub reader: Option<broadcast::Sender<Message>>,
}

impl Feed {
    /// Ends every stream, now and later: the server stops.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Turns true when the server stops.
    pub fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Takes a place for a stream of a key; `None` when there are as many as there may be.
    pub fn enter(feed: &Arc<Self>, key: RowId) -> Option<Place> {
        let mut state = feed.lock();
        let own = state.by_key.get(&key).copied().unwrap_or(0);
        if own >= STREAMS_PER_KEY || state.total >= STREAMS {
            return None;
        }
        state.by_key.insert(key, own + 1);
        state.total += 1;
        drop(state);
        Some(Place { feed: Arc::clone(feed), key })
    }

    /// Hears what the one reader says; the first to listen gets the task to start it.
    pub fn subscribe(&self) -> Subscription {
        let mut state = self.lock();
        if let Some(sender) = state.sender.as_ref().and_then(broadcast::WeakSender::upgrade) {
            return Subscription { messages: sender.subscribe(), reader: None };
        }
        let (sender, messages) = broadcast::channel(BACKLOG);
        state.sender = Some(sender.downgrade());
        Subscription { messages, reader: Some(sender) }
    }

    /// Whether the reader has nobody left to read for; then the next one to listen starts another.
    pub fn retire(&self, reader: &broadcast::Sender<Message>) -> bool {
        let mut state = self.lock();
        let idle = reader.receiver_count() == 0;
        if idle {
            state.sender = None;
        }
        idle
    }

    /// Streams that are open.
    pub fn open(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one stream, given back when dropped.
pub struct Place {
    feed: Arc<Feed>,
    key: RowId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.feed.lock();
        state.total = state.total.saturating_sub(1);
        if let Some(own) = state.by_key.get_mut(&self.key) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                state.by_key.remove(&self.key);
            }
        }
    }
}
