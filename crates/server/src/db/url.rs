//! What a database URL names.
use super::{DbError, Kind, Result, postgres};
use std::path::PathBuf;

/// Whether the database is a file beside this process and not a server.
pub fn is_embedded(url: &str) -> bool {
    !postgres::is_postgres(url)
}

/// Checks a URL without opening anything.
///
/// # Errors
/// [`Kind::Open`] with a sentence for the operator.
pub fn check_url(url: &str) -> Result<()> {
    if postgres::is_postgres(url) { postgres::check_url(url) } else { sqlite_path(url).map(drop) }
}

/// A URL for people to see: without user, password and options.
pub fn shown(url: &str) -> String {
    if is_embedded(url) { url.to_owned() } else { format!("postgres://{}", postgres::shown(url)) }
}

/// The file that `sqlite:<path>` or `sqlite://<path>` names.
pub fn sqlite_path(url: &str) -> Result<PathBuf> {
    let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err(DbError::new(
            Kind::Open,
            "database.url must be sqlite:<path> or postgres://<user>:<password>@<host>/<database>",
        )),
    }
}
