//! Failures counted on this node, by key. The rules are the business of `limits`.
use crate::clock::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Failures under one key.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// How many.
    pub failures: u32,
    /// Since when they are counted.
    pub since: Timestamp,
    /// The latest.
    pub latest: Timestamp,
}

/// All buckets.
#[derive(Default)]
pub struct Counters(Mutex<HashMap<String, Bucket>>);

impl Counters {
    /// The buckets, for the time of one decision.
    pub fn lock(&self) -> MutexGuard<'_, HashMap<String, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
