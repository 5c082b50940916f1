//! What a user may do whose token does not tell, since it would be too long.
//!
//! An answer of the server counts for as long as the token that it was asked with: whatever takes a permission away is told by the feed and
//! makes the token outdated, which is looked at before every use of an answer. While the feed is not live no answer is kept or used. Nor is
//! one about a token that is new here: a node of the server that has not heard yet of what the token is made of may give an older answer.
use crate::builder::Stale;
use crate::caller::Caller;
use crate::error::VerifyError;
use crate::http_client::{Call, CallError};
use crate::shared::Shared;
use hallpass_crypto::digest::sha256;
use hallpass_crypto::permission::is_concrete;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than a node of the server takes to hear of what another has written.
const SETTLED: Duration = Duration::from_secs(3);
/// Permissions that the server takes in one question.
const MOST: usize = 50;

impl Shared {
    /// Whether the user has all of these permissions.
    pub(crate) async fn allows(&self, caller: &Caller, permissions: &[&str]) -> Result<bool, VerifyError> {
        let Some(token) = &caller.token else {
            return Ok(permissions.iter().all(|one| caller.has_permission(one) == Some(true)));
        };
        let token = &*token.0;
        let live = match self.check(token) {
            Ok(_) => true,
            Err(VerifyError::Unavailable) if self.settings.stale == Stale::Introspect => false,
            Err(error) => return Err(error),
        };
        let mut unknown = Vec::new();
        for permission in permissions {
            // Nobody can be asked for anything else, and nobody holds it by a token either.
            if !is_concrete(permission) {
                return Ok(false);
            }
            match self.answers.get(&key(token, permission)).filter(|_| live) {
                Some(true) => {}
                Some(false) => return Ok(false),
                None => unknown.push(*permission),
            }
        }
        let keep = live && self.verified(token)?.seen.elapsed() >= SETTLED;
        for asked in unknown.chunks(MOST) {
            let missing = self.missing(token, asked).await?;
            for permission in asked.iter().filter(|_| keep) {
                let held = !missing.iter().any(|one| one == permission);
                self.answers.put(key(token, permission), held);
            }
            if !missing.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Those of the permissions that the user does not hold, as the server says.
    async fn missing(&self, token: &str, permissions: &[&str]) -> Result<Vec<String>, VerifyError> {
        let told = self.authorize(token, permissions).await.map_err(|error| {
            tracing::warn!(%error, "the server could not be asked for permissions");
            self.publish(|state| state.problem = Some(error.to_string()));
            VerifyError::Unavailable
        })?;
        told.ok_or(VerifyError::Revoked)
    }

    /// `None` when the token is not good.
    async fn authorize(&self, token: &str, permissions: &[&str]) -> Result<Option<Vec<String>>, CallError> {
        let call = Call {
            method: Method::POST,
            path: "/api/v1/authorize",
            headers: &[(CONTENT_TYPE, "application/json")],
            body: json!({ "token": token, "permissions": permissions }).to_string(),
        };
        let (status, body) = self.server.fetch(&call).await?;
        if status != StatusCode::OK {
            let text =
                format!("authorize was answered with {status}; the service key needs the scope authorize");
            return Err(CallError(text));
        }
        let odd = || CallError("authorize was answered with something else".into());
        let told: Value = serde_json::from_slice(&body).map_err(|_| odd())?;
        let (allowed, active) = told["allowed"].as_bool().zip(told["active"].as_bool()).ok_or_else(odd)?;
        if !active {
            return Ok(None);
        }
        let missing = told["missingPermissions"].as_array().ok_or_else(odd)?;
        let missing: Vec<String> = missing.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        // Two ways to say the same: what does not agree lets nobody in.
        if allowed == missing.is_empty() { Ok(Some(missing)) } else { Err(odd()) }
    }
}

fn key(token: &str, permission: &str) -> [u8; 32] {
    sha256(format!("{token} {permission}").as_bytes())
}
