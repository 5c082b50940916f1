//! Refresh, rotation, the list of sessions.
