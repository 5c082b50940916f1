//! A connection beside the pool, for work that a pool's patience would cut short.
use super::address::Address;
use super::tls::Tls;
use super::{Result, failed};
use crate::db::DbError;
use tokio_postgres::Client;

/// A connection and its place in words.
pub(in crate::db) struct Connected {
    pub(in crate::db) client: Client,
    pub(in crate::db) shown: String,
}

/// Connects to the database that a URL names.
///
/// # Errors
/// A sentence that says where to, and shows no password.
pub(in crate::db) async fn connect(url: &str) -> Result<Connected> {
    let address = Address::parse(url)?;
    let shown = address.shown();
    let client = open(&address).await.map_err(|DbError { kind, message }| {
        DbError::new(kind, format!("cannot connect to {shown}: {message}"))
    })?;
    Ok(Connected { client, shown })
}

/// Connects to an address.
pub(super) async fn open(address: &Address) -> Result<Client> {
    let connecting = address.config.connect(Tls::new(address)?);
    let (client, connection) = connecting.await.map_err(|error| failed(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke off");
        }
    });
    Ok(client)
}
