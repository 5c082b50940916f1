//! A number for each session and user that changes when what was read of it is outdated. Several share a number, which
//! costs a read now and then and keeps the table small, without anything to insert, evict or clean up.
use super::{KEYS, ROLES};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Numbers kept, 4 and 8 bytes each. With a hundred changes a second an entry shares its fate with another's about once in three
/// minutes.
const SLOTS: usize = 1 << 14;

/// Numbers in all: those of what concerns everybody are shared with nobody.
const PLACES: usize = SLOTS + 2;

/// See the module's doc.
pub(super) struct Stamps {
    numbers: Box<[AtomicU32]>,
    /// Until when a change may be under way, in milliseconds of the monotonic clock.
    pending: Box<[AtomicU64]>,
}

impl Default for Stamps {
    fn default() -> Self {
        let numbers = (0..PLACES).map(|_| AtomicU32::new(0)).collect();
        Self { numbers, pending: (0..PLACES).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Stamps {
    /// The number at present. Asked before the read that it stands for.
    pub(super) fn of(&self, id: Uuid) -> u32 {
        self.slot(id).load(Ordering::Acquire)
    }

    /// Outdates what was read.
    pub(super) fn change(&self, id: Uuid) {
        self.slot(id).fetch_add(1, Ordering::AcqRel);
    }

    /// A change is under way that is over by then.
    pub(super) fn expect(&self, id: Uuid, until: Duration) {
        self.pending[place(id)].fetch_max(millis(until), Ordering::AcqRel);
    }

    /// Whether a change may be under way.
    pub(super) fn is_pending(&self, id: Uuid, now: Duration) -> bool {
        self.pending[place(id)].load(Ordering::Acquire) > millis(now)
    }

    fn slot(&self, id: Uuid) -> &AtomicU32 {
        &self.numbers[place(id)]
    }
}

/// The end of a UUIDv7 is random.
fn place(id: Uuid) -> usize {
    match id {
        ROLES => return SLOTS,
        KEYS => return SLOTS + 1,
        _ => {}
    }
    usize::try_from(id.as_u128() & (SLOTS as u128 - 1)).unwrap_or(0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
