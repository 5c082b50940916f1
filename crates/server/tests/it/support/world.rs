//! Time that tests move, randomness that repeats.
use hallpass::clock::{Clock, Timestamp};
use hallpass::random::Random;
use hallpass_crypto::digest::sha256;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock that stands until it is moved.
pub struct TestClock {
    now: AtomicI64,
    /// How long lasting things last longer than they do, in microseconds.
    longer: AtomicI64,
    begun: Instant,
}

impl Default for TestClock {
    /// 2026-01-01T00:00:00Z.
    fn default() -> Self {
        let now = AtomicI64::new(1_767_225_600_000_000);
        Self { now, longer: AtomicI64::default(), begun: Instant::now() }
    }
}

impl TestClock {
    /// A clock that is as far from another as is said.
    pub fn ahead_of(other: &Self, by: Duration) -> Self {
        let clock = Self::default();
        clock.now.store(other.now.load(Ordering::SeqCst), Ordering::SeqCst);
        clock.advance(by);
        clock
    }

    /// Shows what the machine's clock shows.
    pub fn set_right(&self) {
        let now = hallpass::clock::SystemClock::default().now();
        self.now.store(now.micros(), Ordering::SeqCst);
    }

    pub fn advance(&self, duration: Duration) {
        self.now.fetch_add(i64::try_from(duration.as_micros()).unwrap(), Ordering::SeqCst);
    }

    pub fn step_back(&self, duration: Duration) {
        self.now.fetch_sub(i64::try_from(duration.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// Lets time pass, for instants and for whatever lasts.
    pub fn pass(&self, duration: Duration) {
        self.advance(duration);
        self.last_longer(duration);
    }

    /// Lets whatever lasts have lasted longer, such as a heartbeat's age.
    pub fn last_longer(&self, duration: Duration) {
        self.longer.fetch_add(i64::try_from(duration.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.begun.elapsed() + Duration::from_micros(self.longer.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// SHA-256 of a counter, begun differently by each server so that two nodes never make the same secrets.
pub struct TestRandom(AtomicU64);

impl Default for TestRandom {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(AtomicU64::new(NEXT.fetch_add(1, Ordering::SeqCst) << 32))
    }
}

impl Random for TestRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let block = sha256(&self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}
