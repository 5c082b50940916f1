//! What checking and following share.
use crate::builder::{Builder, Stale};
use crate::cache::{Cache, Verified};
use crate::caller::Caller;
use crate::error::VerifyError;
use crate::http_client::{Call, CallError, Server};
use crate::keys::Keys;
use crate::live::Live;
use crate::revoked::{Revoked, Standing};
use hallpass_crypto::digest::sha256;
use hallpass_crypto::jwt::{self, Expectation, JwtError};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::{Notify, watch};

/// `typ` of an access token (RFC 9068 2.1).
const TYPE: &str = "at+jwt";

/// Answers about permissions that are kept for each token that is.
const ANSWERS: usize = 4;

/// How the verifier is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Whether tokens are checked locally: the feed is live, and the keys are known.
    pub live: bool,
    /// Public keys of the server.
    pub keys: usize,
    /// Revocations that are remembered.
    pub remembered: usize,
    /// Revocations that were heard of since the start, those that were repeated included.
    pub heard: u64,
    /// Connections to the feed that were made since the start.
    pub connections: u64,
    /// How often everything had to be dropped, since the place in the feed was lost.
    pub resets: u64,
    /// What failed last, until something works again.
    pub problem: Option<String>,
}

pub(crate) struct Shared {
    pub(crate) server: Server,
    pub(crate) keys: Keys,
    /// The server has other keys than before.
    pub(crate) keys_changed: Notify,
    pub(crate) live: Live,
    pub(crate) revoked: RwLock<Revoked>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) settings: Builder,
    cache: Cache<Arc<Verified>>,
    pub(crate) answers: Cache<bool>,
    leeway: i64,
}

impl Shared {
    pub(crate) fn new(server: Server, settings: &Builder) -> Self {
        let leeway = i64::try_from(settings.leeway.as_secs()).unwrap_or(i64::MAX);
        Self {
            server,
            keys: Keys::default(),
            keys_changed: Notify::new(),
            live: Live::new(settings.window),
            revoked: RwLock::new(Revoked::new(settings.remembered, leeway.saturating_mul(1000))),
            state: watch::channel(State::default()).0,
            settings: settings.clone(),
            cache: Cache::new(settings.cached),
            answers: Cache::new(settings.cached.saturating_mul(ANSWERS)),
            leeway,
        }
    }

    /// Tells who watches what has changed.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut State)) {
        let keys = self.keys.current().len();
        let (live, remembered) = {
            let revoked = self.revoked.read().unwrap_or_else(PoisonError::into_inner);
            (self.live.is_live() && revoked.is_complete(), revoked.len())
        };
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            (state.live, state.keys, state.remembered) = (live && keys > 0, keys, remembered);
            *state != before
        });
    }

    /// Forgets everything: the place in the feed is lost.
    pub(crate) fn reset(&self) {
        {
            let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
            self.live.forget();
            revoked.clear();
        }
        self.cache.clear();
        self.answers.clear();
        self.publish(|state| state.resets += 1);
    }

    /// Checks a token with what is known, without any call.
    pub(crate) fn check(&self, token: &str) -> Result<Caller, VerifyError> {
        let verified = self.verified(token)?;
        // Under one lock: what was not yet applied, or just dropped, must not meet a heartbeat of before or after.
        let (standing, live) = {
            let revoked = self.revoked.read().unwrap_or_else(PoisonError::into_inner);
            (revoked.standing(verified.subject), self.live.is_live() && revoked.is_complete())
        };
        match standing {
            Standing::Revoked => Err(VerifyError::Revoked),
            _ if !live => Err(VerifyError::Unavailable),
            Standing::Outdated => Err(VerifyError::Outdated),
            Standing::Good => Ok(verified.caller.clone()),
        }
    }

    /// Signature and times.
    pub(crate) fn verified(&self, token: &str) -> Result<Arc<Verified>, VerifyError> {
        let now = now();
        let keys = self.keys.current();
        let digest = sha256(token.as_bytes());
        if let Some(known) = self.cache.get(&digest).filter(|known| known.epoch == keys.epoch) {
            let over = now.saturating_sub(self.leeway) >= known.expires;
            return if over { Err(VerifyError::Expired) } else { Ok(known) };
        }
        let expected = Expectation {
            typ: TYPE,
            issuer: &self.settings.issuer,
            audience: &self.settings.audience,
            now,
            leeway: self.leeway,
        };
        let claims = jwt::verify_with(token, |kid| keys.get(kid), &expected)?;
        let (caller, subject, expires) = Caller::read(claims)?;
        let (caller, seen) = (caller.with_token(token), Instant::now());
        let verified = Arc::new(Verified { caller, subject, expires, seen, epoch: keys.epoch });
        self.cache.put(digest, Arc::clone(&verified));
        Ok(verified)
    }

    /// Checks a token, with calls where they are needed and allowed.
    pub(crate) async fn check_asking(&self, token: &str) -> Result<Caller, VerifyError> {
        let seen = self.keys.begun();
        let mut result = self.check(token);
        if result.as_ref().is_err_and(|error| *error == VerifyError::Invalid(JwtError::UnknownKey)) {
            if let Err(error) = self.keys.refresh(&self.server, seen).await {
                tracing::warn!(%error, "the keys of the server could not be fetched");
                self.publish(|state| state.problem = Some(error.to_string()));
                // Nobody can say that the key is wrong without having seen the keys.
                return Err(VerifyError::Unavailable);
            }
            self.publish(|_| {});
            result = self.check(token);
            if self.keys.current().len() == 0 {
                return Err(VerifyError::Unavailable);
            }
        }
        match result {
            Err(VerifyError::Unavailable) if self.settings.stale == Stale::Introspect => {
                let verified = self.verified(token)?;
                let told = self.ask(token).await.map_err(|error| {
                    tracing::warn!(%error, "a token could not be introspected");
                    VerifyError::Unavailable
                })?;
                match told {
                    Some(told) => Ok(verified.caller.clone().with_grants(&told)),
                    None => Err(VerifyError::Revoked),
                }
            }
            other => other,
        }
    }

    /// What the server says of a token; `None` when it is not good.
    async fn ask(&self, token: &str) -> Result<Option<Value>, CallError> {
        // Three parts of base64url: nothing in it has to be encoded.
        let call = Call {
            method: Method::POST,
            path: "/api/v1/introspect",
            headers: &[(CONTENT_TYPE, "application/x-www-form-urlencoded")],
            body: format!("token={token}&token_type_hint=access_token"),
        };
        let (status, body) = self.server.fetch(&call).await?;
        if status != StatusCode::OK {
            return Err(CallError(format!("introspection was answered with {status}")));
        }
        let told: Value = serde_json::from_slice(&body).map_err(|error| CallError(error.to_string()))?;
        match told["active"].as_bool() {
            Some(true) => Ok(Some(told)),
            Some(false) => Ok(None),
            None => Err(CallError("introspection was answered with something else".into())),
        }
    }
}

/// Seconds since 1970 UTC.
#[expect(clippy::disallowed_methods, reason = "a token's times are those of the machine's clock")]
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
