//! Keeps a server that does not answer from being asked again and again by everybody: a bounded number of calls at a time, and after
//! failures in a row none at all for a while, but for one that tries whether it is back.
use crate::clock::Clock;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Calls at the same time.
const PLACES: usize = 32;
/// Failures in a row after which nobody asks any more.
const FAILURES: u32 = 5;
/// For how long.
const PAUSE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct State {
    failures: u32,
    /// Monotonic time.
    closed_until: Duration,
}

/// See the module's doc.
pub struct Breaker {
    places: Semaphore,
    state: Mutex<State>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { places: Semaphore::new(PLACES), state: Mutex::default() }
    }
}

impl Breaker {
    /// Leave to make a call, for as long as it is held; waits for a place. Nothing while nobody shall call.
    pub async fn enter(&self, clock: &dyn Clock) -> Option<SemaphorePermit<'_>> {
        if !self.may_try(clock.monotonic()) {
            return None;
        }
        self.places.acquire().await.ok()
    }

    fn may_try(&self, now: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures < FAILURES {
            return true;
        }
        if now < state.closed_until {
            return false;
        }
        // This one tries; the others wait for what comes of it.
        state.closed_until = now + PAUSE;
        true
    }

    /// Notes what came of a call.
    pub fn note(&self, clock: &dyn Clock, worked: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if worked {
            *state = State::default();
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.closed_until = clock.monotonic() + PAUSE;
        }
    }
}
