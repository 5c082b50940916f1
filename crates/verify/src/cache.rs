//! Tokens whose signature was verified before. What may have changed since is checked each time: keys, time, revocations.
use crate::caller::Caller;
use crate::revoked::Subject;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

type Digest = [u8; 32];

/// A verified token.
pub(crate) struct Verified {
    pub(crate) caller: Caller,
    pub(crate) subject: Subject,
    /// `exp`, in seconds.
    pub(crate) expires: i64,
    /// The set of keys that it was verified with.
    pub(crate) epoch: u64,
}

#[derive(Default)]
struct Halves {
    young: HashMap<Digest, Arc<Verified>>,
    old: HashMap<Digest, Arc<Verified>>,
}

/// Keeps the tokens that were used last, in two halves: when the young one is full it becomes the old one.
pub(crate) struct Cache {
    halves: RwLock<Halves>,
    half: usize,
}

impl Cache {
    pub(crate) fn new(most: usize) -> Self {
        Self { halves: RwLock::default(), half: most / 2 }
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<Verified>> {
        let halves = self.halves.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = halves.young.get(digest) {
            return Some(Arc::clone(found));
        }
        let found = Arc::clone(halves.old.get(digest)?);
        drop(halves);
        self.put(*digest, Arc::clone(&found));
        Some(found)
    }

    pub(crate) fn put(&self, digest: Digest, verified: Arc<Verified>) {
        if self.half == 0 {
            return;
        }
        let mut halves = self.halves.write().unwrap_or_else(PoisonError::into_inner);
        if halves.young.len() >= self.half {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(digest, verified);
    }

    pub(crate) fn clear(&self) {
        *self.halves.write().unwrap_or_else(PoisonError::into_inner) = Halves::default();
    }
}
