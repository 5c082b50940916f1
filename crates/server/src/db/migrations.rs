//! The numbered files under `migrations/`: one text for every engine.
mod embedded {
    refinery::embed_migrations!("migrations");
}

/// What applies them: all pending ones in one transaction. Those of a newer version that ran before are left alone, so
/// that two versions may work on one database.
pub(super) fn runner() -> refinery::Runner {
    embedded::migrations::runner().set_grouped(true).set_abort_missing(false)
}
