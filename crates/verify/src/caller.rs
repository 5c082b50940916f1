//! Who calls.
use crate::error::VerifyError;
use crate::revoked::Subject;
use crate::shared::now;
use crate::times::{begun, id};
use hallpass_crypto::jwt::{Claims, JwtError};
use hallpass_crypto::permission::covers;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Who calls, as the verified token says. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Caller {
    /// The user's id.
    pub sub: Arc<str>,
    /// The session's id.
    pub sid: Arc<str>,
    /// Names of the user's roles.
    pub roles: Arc<[String]>,
    /// Permissions that the roles hold, possibly with wildcards; `None` when they are too many for a token. Ask
    /// [`Verifier::allows`](crate::Verifier::allows), which knows what to do then.
    pub permissions: Option<Arc<[String]>>,
    /// The administrator who acts as the user, if somebody does (RFC 8693 4.1): let them look and change nothing.
    pub actor: Option<Arc<str>>,
    /// Everything that the token says.
    pub claims: Arc<Claims>,
    /// With what the server is asked where the token does not tell.
    pub(crate) token: Option<Token>,
}

/// A token, which no log may show.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) Arc<str>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Caller {
    /// Reads the claims of a verified token; a token without user or session is none of ours.
    pub(crate) fn read(claims: Claims) -> Result<(Self, Subject, i64), VerifyError> {
        let text = |name: &'static str| {
            claims.get(name).and_then(Value::as_str).ok_or(VerifyError::Invalid(JwtError::MissingClaim(name)))
        };
        let time = |name: &'static str| {
            claims.get(name).and_then(Value::as_i64).ok_or(VerifyError::Invalid(JwtError::MissingClaim(name)))
        };
        let number = |text: &str| id(text).ok_or(VerifyError::Invalid(JwtError::Malformed));
        let (sub, sid) = (text("sub")?, text("sid")?);
        let subject = Subject {
            user: number(sub)?,
            session: number(sid)?,
            issued: issued(time("iat")?, text("jti").ok()),
            user_as_of: claims.get("uat").and_then(Value::as_i64),
            roles_as_of: claims.get("rat").and_then(Value::as_i64),
        };
        let expires = time("exp")?;
        let caller = Self {
            sub: sub.into(),
            sid: sid.into(),
            roles: names(claims.get("roles")),
            permissions: claims.get("permissions").map(|value| names(Some(value))),
            actor: claims.get("act").and_then(|act| act.get("sub")).and_then(Value::as_str).map(Into::into),
            claims: Arc::default(),
            token: None,
        };
        Ok((Self { claims: Arc::new(claims), ..caller }, subject, expires))
    }

    /// The same caller with the token, if it leaves something to be asked.
    pub(crate) fn with_token(self, token: &str) -> Self {
        let token = self.permissions.is_none().then(|| Token(token.into()));
        Self { token, ..self }
    }

    /// The same caller with the roles and permissions that the server has just told.
    pub(crate) fn with_grants(mut self, told: &Value) -> Self {
        if told.get("roles").is_some() {
            self.roles = names(told.get("roles"));
        }
        if told.get("permissions").is_some() {
            self.permissions = Some(names(told.get("permissions")));
            self.token = None;
        }
        self
    }

    /// Whether the token says that the user has a permission such as `orders:read`. `None` when it does not tell, since its user has
    /// too many: [`Verifier::allows`](crate::Verifier::allows) asks the server then.
    pub fn has_permission(&self, permission: &str) -> Option<bool> {
        self.permissions.as_ref().map(|held| held.iter().any(|one| covers(one, permission)))
    }

    /// Whether the user has a role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|known| known == role)
    }

    /// Lets only users with a role go on.
    ///
    /// # Errors
    /// [`VerifyError::Forbidden`].
    pub fn require_role(&self, role: &str) -> Result<(), VerifyError> {
        if self.has_role(role) { Ok(()) } else { Err(VerifyError::Forbidden) }
    }

    /// Lets only users go on who proved identity by a second factor in this session.
    ///
    /// # Errors
    /// [`VerifyError::NotProven`].
    pub fn require_second_factor(&self) -> Result<(), VerifyError> {
        if self.claims.get("acr").and_then(Value::as_str) == Some(TWO_FACTORS) {
            return Ok(());
        }
        Err(VerifyError::NotProven { acr: Some(TWO_FACTORS), max_age: None })
    }

    /// Lets only users go on who proved identity within this time.
    ///
    /// # Errors
    /// [`VerifyError::NotProven`].
    pub fn require_proof_within(&self, time: Duration) -> Result<(), VerifyError> {
        let seconds = time.as_secs();
        let proven_at = self.claims.get("auth_time").and_then(Value::as_i64).unwrap_or(i64::MIN);
        let age = now().saturating_sub(proven_at);
        if i64::try_from(seconds).is_ok_and(|seconds| age <= seconds) {
            return Ok(());
        }
        Err(VerifyError::NotProven { acr: None, max_age: Some(seconds) })
    }
}

/// `acr` of a session in which two factors were proven.
const TWO_FACTORS: &str = "aal2";

/// When a token was made, in milliseconds: its id (UUIDv7) tells within the second of `iat`. An id from a clock that was set
/// back tells nothing; then the token counts as made at the beginning of the second.
fn issued(seconds: i64, jti: Option<&str>) -> i64 {
    let from = seconds.saturating_mul(1000);
    let told = jti.and_then(id).map(begun);
    told.filter(|told| (from..from.saturating_add(1000)).contains(told)).unwrap_or(from)
}

fn names(value: Option<&Value>) -> Arc<[String]> {
    let names = value.and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}
