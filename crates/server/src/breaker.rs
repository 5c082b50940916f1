//! Keeps a server that does not answer from being asked again and again by everybody: a bounded number of calls at a time, and after
//! failures in a row none at all for a while, but for one that tries whether it is back.
use crate::clock::Clock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Leave to make a call. Dropped before somebody said what came of it, since the caller has gone, the next one may try.
pub struct Leave<'b> {
    breaker: &'b Breaker,
    noted: bool,
    _place: SemaphorePermit<'b>,
}

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
    pub async fn enter(&self, clock: &dyn Clock) -> Option<Leave<'_>> {
        // First the place: whoever tries whether it is back must not go away waiting for one.
        let place = self.places.acquire().await.ok()?;
        self.may_try(clock.monotonic()).then(|| Leave { breaker: self, noted: false, _place: place })
    }

    fn may_try(&self, now: Duration) -> bool {
        let mut state = self.state();
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave<'_> {
    /// Notes what came of the call.
    pub fn note(mut self, clock: &dyn Clock, worked: bool) {
        self.noted = true;
        let mut state = self.breaker.state();
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

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if !self.noted {
            self.breaker.state().closed_until = Duration::ZERO;
        }
    }
}
