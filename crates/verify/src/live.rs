//! Whether the feed is live, by a clock that nobody sets.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Until when what was received suffices. A heartbeat that waited somewhere on its way proves less than a fresh one.
pub(crate) struct Live {
    began: Instant,
    window: Duration,
    /// Microseconds since `began`; 0 for never.
    until: AtomicU64,
}

/// The heartbeats of one connection.
#[derive(Default)]
pub(crate) struct Beats {
    /// How far this clock is ahead of the server's by the fastest heartbeat so far.
    least: Option<i64>,
    late: u32,
}

/// Heartbeats in a row that proved nothing before a new connection is made: the server's clock was set back.
const LATE: u32 = 3;

impl Live {
    pub(crate) fn new(window: Duration) -> Self {
        Self { began: Instant::now(), window, until: AtomicU64::new(0) }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.elapsed() < self.until.load(Ordering::Acquire)
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Notes a heartbeat that the server sent at `server_millis` of its clock, on a connection that was asked for at
    /// `asked`. Returns whether the connection is of use.
    pub(crate) fn beat(&self, beats: &mut Beats, server_millis: i64, asked: Instant) -> bool {
        let now = i64::try_from(self.elapsed()).unwrap_or(i64::MAX);
        let ahead = now.saturating_sub(server_millis.saturating_mul(1000));
        // What the first one took on its way nobody knows, but no longer than the connection.
        if beats.least.is_none() && asked.elapsed() > self.window {
            return false;
        }
        let least = beats.least.map_or(ahead, |least| least.min(ahead));
        beats.least = Some(least);
        let window = i64::try_from(self.window.as_micros()).unwrap_or(i64::MAX);
        let until = now.saturating_sub(ahead - least).saturating_add(window);
        if until <= now {
            beats.late += 1;
            return beats.late < LATE;
        }
        beats.late = 0;
        self.until.fetch_max(u64::try_from(until).unwrap_or(0), Ordering::AcqRel);
        true
    }

    /// What was received does not count any more.
    pub(crate) fn forget(&self) {
        self.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::{Beats, Live};
    use std::time::{Duration, Instant};

    #[test]
    fn a_heartbeat_that_waited_proves_nothing() {
        let live = Live::new(Duration::from_secs(2));
        let (mut beats, asked) = (Beats::default(), Instant::now());
        assert!(!live.is_live());
        assert!(live.beat(&mut beats, 10_000, asked) && live.is_live());
        live.forget();
        assert!(!live.is_live());
        // Sent 3 s before the first one, received now.
        assert!(live.beat(&mut beats, 7_000, asked) && !live.is_live());
        assert!(live.beat(&mut beats, 7_000, asked));
        assert!(!live.beat(&mut beats, 7_000, asked), "the third in a row: connect anew");
        assert!(live.beat(&mut beats, 10_000, asked) && live.is_live());
    }
}
