//! Checks the access tokens of a Hallpass server inside other services: in microseconds, without a call, and yet a session
//! that ended is refused within a second.
//!
//! A [`Verifier`] fetches the server's public keys, follows its feed of revocations, and checks tokens against both. While
//! the feed is not live it refuses ([`Stale::FailClosed`]) or asks about each token ([`Stale::Introspect`]).
mod allows;
mod builder;
mod cache;
mod caller;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod follow;
mod http_client;
mod keys;
#[cfg(feature = "tower")]
mod layer;
mod live;
mod revoked;
mod shared;
mod sse;
mod times;

pub use builder::{Builder, Stale};
pub use caller::Caller;
pub use error::{BuildError, VerifyError};
#[cfg(feature = "axum")]
pub use extract::Denied;
pub use hallpass_crypto::jwt::{Claims, JwtError};
#[cfg(feature = "tower")]
pub use layer::{Guard, VerifierLayer};
pub use shared::State;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use shared::Shared;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Checks access tokens. Cheap to clone; following ends with the last clone.
#[derive(Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
    _follower: Arc<Follower>,
}

struct Follower(JoinHandle<()>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Verifier {
    /// Settings for the tokens of an issuer, which is the public URL of the server.
    pub fn builder(issuer: &str) -> Builder {
        Builder::new(issuer)
    }

    pub(crate) fn new(shared: Arc<Shared>, follower: JoinHandle<()>) -> Self {
        Self { shared, _follower: Arc::new(Follower(follower)) }
    }

    /// Checks a token: locally while the feed is live. A token that names an unknown key makes the keys be fetched anew.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub async fn verify(&self, token: &str) -> Result<Caller, VerifyError> {
        self.shared.check_asking(token).await
    }

    /// Checks a token with what is known at this moment, without any call.
    ///
    /// # Errors
    /// Why it is not accepted; [`VerifyError::Unavailable`] while the feed is not live.
    pub fn verify_now(&self, token: &str) -> Result<Caller, VerifyError> {
        self.shared.check(token)
    }

    /// Checks the token of `Authorization: Bearer`.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub async fn verify_headers(&self, headers: &HeaderMap) -> Result<Caller, VerifyError> {
        self.verify(bearer(headers).ok_or(VerifyError::Missing)?).await
    }

    /// Whether a caller has all of these permissions, such as `orders:read`. Most tokens tell. Of one whose user has too many for a token
    /// the server is asked (scope `authorize`); its answer counts for as long as the token does, and no longer than the feed is live; in the
    /// first seconds of a token each question is asked.
    ///
    /// # Errors
    /// Where the server has to be asked: [`VerifyError::Unavailable`] when it does not answer or the feed is not live (with
    /// [`Stale::Introspect`] it is asked then, each time), and what [`Self::verify`] says of a token that is good no longer.
    pub async fn allows(&self, caller: &Caller, permissions: &[&str]) -> Result<bool, VerifyError> {
        self.shared.allows(caller, permissions).await
    }

    /// Lets only callers with all of these permissions go on.
    ///
    /// # Errors
    /// [`VerifyError::Forbidden`], and those of [`Self::allows`].
    pub async fn require_permissions(
        &self,
        caller: &Caller,
        permissions: &[&str],
    ) -> Result<(), VerifyError> {
        if self.allows(caller, permissions).await? { Ok(()) } else { Err(VerifyError::Forbidden) }
    }

    /// How the verifier is doing, now and whenever it changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Ends when tokens are checked locally for the first time: for a service that wants to be ready before it listens.
    pub async fn ready(&self) {
        // The sender lives as long as this.
        let _ = self.state().wait_for(|state| state.live).await;
    }

    /// A tower layer that lets only callers with a good token through, and puts a [`Caller`] among the extensions.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> VerifierLayer {
        VerifierLayer::new(self.clone())
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("state", &*self.shared.state.borrow()).finish_non_exhaustive()
    }
}

/// The one bearer token of a request (RFC 6750 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
