//! The signing keys in memory, parsed once. `keys/` fills them from the database and rotates them.
use hallpass_crypto::jwk::{SigningKey, VerifyingKey};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// The key that signs and all keys that verify.
#[derive(Default)]
pub struct KeySet {
    /// Signs new tokens; `None` only before `keys::maintain`.
    pub active: Option<SigningKey>,
    /// Verify tokens, by key id.
    pub verifying: HashMap<String, VerifyingKey>,
    /// Number of the set, different for each that was put in place.
    pub epoch: u64,
    /// Public keys as served at `/.well-known/jwks.json`, in order of creation.
    pub jwks: Vec<serde_json::Value>,
}

/// The current [`KeySet`], replaced whole when keys rotate.
#[derive(Default)]
pub struct Signing {
    current: RwLock<Arc<KeySet>>,
    turn: Mutex<Option<Looked>>,
}

/// A look for keys on behalf of a token.
pub struct Looked {
    /// When, by the monotonic clock.
    pub at: Duration,
    /// Whether the database answered.
    pub answered: bool,
}

impl Signing {
    /// The current keys.
    pub fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the turn to read keys and put them in place, so that what was read before never replaces what was read after.
    /// Holds when somebody last looked on behalf of a token.
    pub async fn turn(&self) -> MutexGuard<'_, Option<Looked>> {
        self.turn.lock().await
    }

    /// Puts new keys in place.
    pub fn replace(&self, mut keys: KeySet) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        keys.epoch = current.epoch + 1;
        *current = Arc::new(keys);
    }
}
