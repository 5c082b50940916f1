//! The numbered files under `migrations/`: one text for every engine.
use refinery::{Migration, Runner};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Version, name and checksum of each, from `build.rs`.
#[expect(clippy::unreadable_literal, reason = "written by a program")]
const EMBEDDED: &[(i32, &str, u64)] = &include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// What applies them: all pending ones in one transaction. Those of a newer version that ran before are left alone, so
/// that two versions may work on one database. To make it takes a quarter of a start, and memory that stays.
pub(super) fn runner() -> Runner {
    embedded::migrations::runner().set_grouped(true).set_abort_missing(false)
}

/// What reads which ones ran.
pub(super) fn history() -> Runner {
    Runner::new(&[])
}

/// Names of those that did not run, or ran as something else.
pub(super) fn missing(applied: &[Migration]) -> Vec<String> {
    missing_where(|version, name, checksum| {
        applied.iter().any(|one| (one.version(), one.name(), one.checksum()) == (version, name, checksum))
    })
}

/// Names of those of whose version, name and checksum `ran` says no.
pub(super) fn missing_where(ran: impl Fn(i32, &str, u64) -> bool) -> Vec<String> {
    let missing = EMBEDDED.iter().filter(|(version, name, checksum)| !ran(*version, name, *checksum));
    missing.map(|(version, name, _)| format!("V{version}__{name}")).collect()
}
