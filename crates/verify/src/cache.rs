//! Tokens whose signature was verified before. What may have changed since is checked each time: keys, time, revocations.
use crate::caller::Caller;
use crate::revoked::Subject;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

type Digest = [u8; 32];

/// A verified token.
pub(crate) struct Verified {
    pub(crate) caller: Caller,
    pub(crate) subject: Subject,
    /// `exp`, in seconds.
    pub(crate) expires: i64,
    /// When this process first saw it.
    pub(crate) seen: Instant,
    /// The set of keys that it was verified with.
    pub(crate) epoch: u64,
}

struct Halves<T> {
    young: HashMap<Digest, T>,
    old: HashMap<Digest, T>,
}

impl<T> Default for Halves<T> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

/// Keeps what was used last, in two halves: when the young one is full it becomes the old one.
pub(crate) struct Cache<T> {
    halves: RwLock<Halves<T>>,
    half: usize,
}

impl<T: Clone> Cache<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self { halves: RwLock::default(), half: most / 2 }
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<T> {
        let halves = self.halves.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = halves.young.get(digest) {
            return Some(found.clone());
        }
        let found = halves.old.get(digest)?.clone();
        drop(halves);
        self.put(*digest, found.clone());
        Some(found)
    }

    pub(crate) fn put(&self, digest: Digest, found: T) {
        if self.half == 0 {
            return;
        }
        let mut halves = self.halves.write().unwrap_or_else(PoisonError::into_inner);
        if halves.young.len() >= self.half {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(digest, found);
    }

    pub(crate) fn clear(&self) {
        *self.halves.write().unwrap_or_else(PoisonError::into_inner) = Halves::default();
    }
}
