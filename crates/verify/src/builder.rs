//! Settings of a verifier.
use crate::error::BuildError;
use crate::http_client::Server;
use crate::shared::Shared;
use crate::{Verifier, follow};
use hallpass_crypto::secret::{Kind, Opaque};
use std::sync::Arc;
use std::time::Duration;

/// What to do with tokens while the feed of revocations is not live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stale {
    /// Refuse them all: nobody gets in whose session may have ended.
    #[default]
    FailClosed,
    /// Ask the server about each; refuse what it does not answer. The key needs the scope `introspect`.
    Introspect,
}

/// Settings of a [`Verifier`]; made by [`Verifier::builder`].
#[derive(Clone)]
pub struct Builder {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) stale: Stale,
    pub(crate) leeway: Duration,
    pub(crate) window: Duration,
    pub(crate) cached: usize,
    pub(crate) remembered: usize,
    server: Option<String>,
    key: String,
    plain: bool,
    roots: Vec<Vec<u8>>,
    patience: Duration,
}

impl Builder {
    pub(crate) fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: issuer.to_owned(),
            stale: Stale::default(),
            leeway: Duration::from_secs(30),
            window: Duration::from_secs(2),
            cached: 10_000,
            remembered: 200_000,
            server: None,
            key: String::new(),
            plain: false,
            roots: Vec::new(),
            patience: Duration::from_secs(5),
        }
    }

    /// Whom tokens have to be made for: `sessions.audience` of the server. By default the issuer, as there.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        audience.clone_into(&mut self.audience);
        self
    }

    /// The service key, with the scope `revocations` at least; with `introspect` for [`Stale::Introspect`], with `authorize` for users with
    /// more permissions than a token holds.
    #[must_use]
    pub fn service_key(mut self, key: &str) -> Self {
        key.trim().clone_into(&mut self.key);
        self
    }

    /// Where the server is reached, if not under the name of the issuer.
    #[must_use]
    pub fn server(mut self, url: &str) -> Self {
        self.server = Some(url.to_owned());
        self
    }

    /// What to do while the feed is not live; by default [`Stale::FailClosed`].
    #[must_use]
    pub const fn when_stale(mut self, stale: Stale) -> Self {
        self.stale = stale;
        self
    }

    /// By how much clocks may differ; by default 30 s, as on the server.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How long a heartbeat counts; by default 2 s. They come every second.
    #[must_use]
    pub const fn live_for(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How long a call to the server may take; by default 5 s.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Verified tokens that are kept; by default 10,000, at about 1 KiB each. 0 verifies each signature anew, and asks for permissions that
    /// a token does not tell each time.
    #[must_use]
    pub const fn cache(mut self, tokens: usize) -> Self {
        self.cached = tokens;
        self
    }

    /// Revocations that are remembered; by default 200,000. With more than that in the life of an access token the
    /// feed counts as not live.
    #[must_use]
    pub const fn remember(mut self, revocations: usize) -> Self {
        self.remembered = revocations;
        self
    }

    /// Trusts this certificate authority (DER) instead of those of the web; may be called again.
    #[must_use]
    pub fn trust(mut self, certificate: &[u8]) -> Self {
        self.roots.push(certificate.to_vec());
        self
    }

    /// Takes plain http also beyond this machine: the service key then travels in clear.
    #[must_use]
    pub const fn allow_plain_http(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Begins to follow the feed. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn build(self) -> Result<Verifier, BuildError> {
        // A key that was cut or mixed up is told now and not by a server that refuses it.
        if Opaque::parse(Kind::ServiceKey, &self.key).is_none() {
            return Err(BuildError::NoServiceKey);
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let url = self.server.as_deref().unwrap_or(&self.issuer);
        let server = Server::new(url, &self.key, self.plain, self.roots.clone(), self.patience)?;
        let shared = Arc::new(Shared::new(server, &self));
        let follower = runtime.spawn(follow::run(Arc::clone(&shared)));
        Ok(Verifier::new(shared, follower))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
