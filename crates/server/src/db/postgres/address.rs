//! The URL of a PostgreSQL database: what libpq's form says, and how far the connection to it is protected.
use crate::db::{DbError, Kind};
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode};

/// How long a connection may take to be made.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Keepalive probes begin after so long without traffic, so that a vanished server is noticed.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What was sent and not acknowledged for so long breaks the connection, so that a server that vanished is let go.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// A parsed `postgres://` URL.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: tokio_postgres::Config,
    /// Certificates to trust instead of the well-known authorities.
    pub(super) root_certificates: Option<PathBuf>,
}

/// Whether a URL names a PostgreSQL database.
pub(in crate::db) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn refused(problem: impl std::fmt::Display) -> DbError {
    DbError::new(Kind::Open, problem.to_string())
}

impl Address {
    /// Takes a URL apart. TLS is what `sslmode` says; without it, plain on this machine and verified TLS to any other.
    ///
    /// # Errors
    /// [`Kind::Open`] with a sentence that shows no password.
    pub(super) fn parse(text: &str) -> Result<Self, DbError> {
        // Not by a parser of web addresses: several hosts may be named, as libpq allows.
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut root_certificates): (Option<String>, Option<PathBuf>) = (None, None);
        let mut rest = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => root_certificates = Some(PathBuf::from(value.into_owned())),
                _ => drop(rest.append_pair(&name, &value)),
            }
        }
        let plain = format!("{place}?{}", rest.finish());
        let mut config: tokio_postgres::Config =
            plain.parse().map_err(|problem: tokio_postgres::Error| {
                refused(
                    std::error::Error::source(&problem)
                        .map_or_else(|| problem.to_string(), ToString::to_string),
                )
            })?;
        config.ssl_mode(ssl_mode(mode.as_deref(), &config)?);
        config.application_name("hallpass");
        config.connect_timeout(CONNECT_PATIENCE);
        config.keepalives_idle(KEEPALIVE);
        config.tcp_user_timeout(UNACKNOWLEDGED);
        Ok(Self { config, root_certificates })
    }

    /// Host, port and database, for messages; no password.
    pub(super) fn shown(&self) -> String {
        let host = self.config.get_hosts().first().map_or_else(String::new, |host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        format!("{host}:{port}/{}", self.config.get_dbname().unwrap_or_default())
    }
}

fn ssl_mode(asked: Option<&str>, config: &tokio_postgres::Config) -> Result<SslMode, DbError> {
    let local = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        Host::Unix(_) => true,
    });
    match asked {
        Some("disable") => Ok(SslMode::Disable),
        None if local => Ok(SslMode::Disable),
        // A certificate that nobody checks protects from nobody who can stand in between, so these are one.
        Some("require" | "verify-ca" | "verify-full") | None => Ok(SslMode::Require),
        Some("allow" | "prefer") => Err(refused(
            "sslmode allow and prefer give way to whoever stands in between; use verify-full, or disable on a network of your own",
        )),
        Some(_) => Err(refused("sslmode must be verify-full or disable")),
    }
}
