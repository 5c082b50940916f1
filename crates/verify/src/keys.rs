//! The server's public keys: fetched, kept, fetched again when a token names an unknown one.
use crate::http_client::{Call, CallError, Server};
use hallpass_crypto::jwk::VerifyingKey;
use http::StatusCode;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Tokens with made-up key ids must not make anybody fetch more often than this in the long run.
const ONE_EVERY: Duration = Duration::from_secs(5);
/// Fetches that may follow each other at once.
const AT_ONCE: u32 = 3;

/// The keys at one time.
#[derive(Default)]
pub(crate) struct KeySet {
    by_id: HashMap<String, VerifyingKey>,
    /// Changes with every other set.
    pub(crate) epoch: u64,
}

impl KeySet {
    pub(crate) fn get(&self, kid: &str) -> Option<&VerifyingKey> {
        self.by_id.get(kid)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn is(&self, other: &HashMap<String, VerifyingKey>) -> bool {
        // A kid is the thumbprint of its key, or at least unique for ever.
        self.by_id.len() == other.len() && other.keys().all(|kid| self.by_id.contains_key(kid))
    }
}

#[derive(Default)]
pub(crate) struct Keys {
    current: RwLock<Arc<KeySet>>,
    /// Held while fetching, so that there is one fetch at a time.
    budget: Mutex<Budget>,
    /// Fetches that were begun.
    begun: AtomicU64,
}

/// How often may be fetched.
struct Budget {
    spare: u32,
    since: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self { spare: AT_ONCE, since: Instant::now() }
    }
}

impl Budget {
    fn spend(&mut self) -> bool {
        while self.spare < AT_ONCE && self.since.elapsed() >= ONE_EVERY {
            self.spare += 1;
            self.since += ONE_EVERY;
        }
        if self.spare == AT_ONCE {
            self.since = Instant::now();
        }
        let may = self.spare > 0;
        self.spare = self.spare.saturating_sub(1);
        may
    }
}

impl Keys {
    pub(crate) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fetches that were begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// Fetches the keys, unless somebody began to after the caller had counted `seen`, or it was done too often.
    pub(crate) async fn refresh(&self, server: &Server, seen: u64) -> Result<(), CallError> {
        let mut budget = self.budget.lock().await;
        if self.begun() > seen || !budget.spend() {
            return Ok(());
        }
        self.begun.fetch_add(1, Ordering::AcqRel);
        let (status, body) = server.fetch(&Call::get("/.well-known/jwks.json", &[])).await?;
        if status != StatusCode::OK {
            return Err(CallError(format!("the keys were answered with {status}")));
        }
        let by_id = parse(&body)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if !current.is(&by_id) {
            *current = Arc::new(KeySet { by_id, epoch: current.epoch + 1 });
        }
        Ok(())
    }
}

/// Reads a JWK set; keys of a kind that is not supported are left out (RFC 7517 5).
fn parse(body: &[u8]) -> Result<HashMap<String, VerifyingKey>, CallError> {
    let set: Value = serde_json::from_slice(body).map_err(|error| CallError(error.to_string()))?;
    let keys = set["keys"].as_array().ok_or_else(|| CallError("the keys are no JWK set".into()))?;
    let keys = keys.iter().filter_map(|jwk| VerifyingKey::from_jwk(jwk).ok());
    Ok(keys.map(|key| (key.kid().to_owned(), key)).collect())
}

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, Budget, ONE_EVERY, parse};

    #[test]
    fn a_few_fetches_at_once_then_one_now_and_then() {
        let mut budget = Budget::default();
        assert!((0..AT_ONCE).all(|_| budget.spend()) && !budget.spend());
        budget.since -= ONE_EVERY * 2;
        assert!(budget.spend() && budget.spend() && !budget.spend());
        budget.since -= ONE_EVERY * 100;
        assert!((0..AT_ONCE).all(|_| budget.spend()) && !budget.spend(), "no more than at the start");
    }

    #[test]
    fn keys_of_other_kinds_are_left_out_and_what_is_no_set_is_refused() {
        let set = br#"{"keys":[{"kty":"oct","k":"AA","kid":"a"},{"kty":"OKP","crv":"Ed25519","kid":"b",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        assert_eq!(parse(set).expect("a set").keys().collect::<Vec<_>>(), ["b"]);
        assert!(parse(b"{}").is_err() && parse(b"x").is_err());
    }
}
