//! A number for each session and user that changes when what was read of it is outdated. Several share a number, which
//! costs a read now and then and keeps the table small, without anything to insert, evict or clean up.
use std::sync::atomic::{AtomicU32, Ordering};
use uuid::Uuid;

/// Numbers kept, 4 bytes each. With a hundred changes a second an entry shares its fate with another's about once in three
/// minutes.
const SLOTS: usize = 1 << 14;

/// See the module's doc.
pub(super) struct Stamps(Box<[AtomicU32]>);

impl Default for Stamps {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| AtomicU32::new(0)).collect())
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

    fn slot(&self, id: Uuid) -> &AtomicU32 {
        // The end of a UUIDv7 is random.
        let number = usize::try_from(id.as_u128() & (SLOTS as u128 - 1)).unwrap_or(0);
        &self.0[number]
    }
}
