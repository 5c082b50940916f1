//! How many attempts under one key are verified at a time. Whoever comes when all places are taken waits for the outcome
//! of those before; so parallel sign-ins that are all right all succeed, although each counts as a failure until it is
//! known to be none.
use crate::counters::Key;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Map = Mutex<HashMap<Key, Arc<Semaphore>>>;

/// All gates of this node; one exists as long as somebody is in it or waits.
#[derive(Default)]
pub struct Gates(Arc<Map>);

/// A place; given back when dropped.
pub struct Place {
    // Dropped before the entry, which then sees whether it was the last.
    _permit: Option<OwnedSemaphorePermit>,
    _entry: Entry,
}

struct Entry {
    key: Key,
    gate: Option<Arc<Semaphore>>,
    map: Arc<Map>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        self.gate = None;
        if map.get(&self.key).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            map.remove(&self.key);
        }
    }
}

impl Gates {
    /// Waits for one of `width` places under a key.
    pub async fn enter(&self, key: Key, width: u32) -> Place {
        let gate = {
            let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(map.entry(key).or_insert_with(|| Arc::new(Semaphore::new(width as usize))))
        };
        let entry = Entry { key, gate: Some(Arc::clone(&gate)), map: Arc::clone(&self.0) };
        // Nobody closes a gate; should it happen, the count behind it still holds.
        let permit = gate.acquire_owned().await.ok();
        Place { _permit: permit, _entry: entry }
    }

    /// Gates in use.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nobody is in a gate.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
