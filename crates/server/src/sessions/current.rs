//! The caller of a route that needs a live session.
use super::access::{self, Named};
use super::{SEEN_EVERY, Session, impersonation, store};
use crate::app::{App, Inner};
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::cookies::Cookie;
use crate::db::{Currency, Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::presence::Seen;
use crate::roles::{self, Grants};
use crate::statistics::day_of;
use crate::users::{self, User};
use crate::web::Client;
use crate::web::client::bearer;
use crate::web::csrf;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use hallpass_crypto::digest::sha256;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// How the caller proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer`: no other site's page can send it.
    Bearer,
    /// The access cookie: unsafe methods need a CSRF token.
    Cookie,
}

/// A live session and its user. As an extractor it is what guards a route.
#[derive(Clone, Debug)]
pub struct Current {
    /// Who.
    pub user: Arc<User>,
    /// In which session.
    pub session: Arc<Session>,
    /// What the user's roles hold at this moment.
    pub grants: Arc<Grants>,
    /// Proven how.
    pub credential: Credential,
}

impl Current {
    /// The same as a transaction sees it. A session may be ended while a call of it waits for the database; what changes
    /// credentials asks here, once it holds `users::lock_factors`, and asks again for what it asked of the former.
    ///
    /// # Errors
    /// [`Code::SessionRevoked`].
    pub async fn anew(&self, app: &Inner, tx: &mut Tx, now: Timestamp) -> Result<Self> {
        self.reread(app, tx, now).await
    }

    /// The same as the database has it now: for what takes long.
    ///
    /// # Errors
    /// [`Code::SessionRevoked`].
    pub async fn reread(&self, app: &Inner, db: &mut impl Statements, now: Timestamp) -> Result<Self> {
        let session = super::find(&mut *db, self.user.id, self.session.id, now).await?;
        let user = users::find(&mut *db, self.user.id).await?.filter(|user| user.disabled_at.is_none());
        match (user, session) {
            (Some(user), Some(session)) => {
                let grants = roles::grants_in(app, &mut *db, &user.roles).await?;
                if !impersonation::impersonation_holds(app, db, &session, &grants, now).await? {
                    return Err(Error::new(Code::SessionRevoked));
                }
                let (user, session, grants) = (user.into(), session.into(), grants.into());
                Ok(Self { user, session, grants, credential: self.credential })
            }
            _ => Err(Error::new(Code::SessionRevoked)),
        }
    }
}

impl FromRequestParts<App> for Current {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let now = app.now();
        let (token, credential) = credential(app, &parts.headers)?;
        let (checked, current) = check(app, token, credential, now).await?;
        if current.session.impersonator.is_some() {
            impersonation::guard(app, parts, &current.session, &current.grants, now).await?;
        }
        if credential == Credential::Cookie {
            let session = current.session.id.to_string();
            if let Err(error) = csrf::check_token(app, &parts.method, &parts.headers, &session) {
                return Err(forged(app, parts, &current, error).await);
            }
        }
        note(app, &checked, now);
        Ok(current)
    }
}

/// The same for a route that changes nothing although its method is unsafe: it counts as reading, so a cookie is enough, from own and
/// allowed pages.
pub struct Reader(pub Current);

impl FromRequestParts<App> for Reader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        csrf::check_origin(app, &parts.headers)?;
        let method = std::mem::replace(&mut parts.method, Method::GET);
        let current = Current::from_request_parts(parts, app).await;
        parts.method = method;
        current.map(Self)
    }
}

/// Notes a call by cookie that some other site's page may have caused. Only the browser of a live session can.
async fn forged(app: &App, parts: &mut Parts, current: &Current, error: Error) -> Error {
    let client = match Client::from_request_parts(parts, app).await {
        Ok(client) => client,
        Err(other) => return other,
    };
    let event = Event::new(Kind::CsrfFailed, &client).user(current.user.id).session(current.session.id);
    // The route and not the path, which the caller chooses up to the limit of a head.
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let event = event.detail(json!({ "method": parts.method.as_str(), "route": route }));
    match audit::record_alone(app, event).await {
        Ok(()) => error,
        Err(unavailable) => unavailable,
    }
}

/// The access token that came; the header wins over the cookie.
pub(super) fn credential<'h>(app: &Inner, headers: &'h HeaderMap) -> Result<(&'h str, Credential)> {
    if let Some(token) = bearer(headers)? {
        return Ok((token, Credential::Bearer));
    }
    let cookie = app.cookies.read(headers, Cookie::Access)?;
    cookie.map(|token| (token, Credential::Cookie)).ok_or_else(|| Error::new(Code::Unauthenticated))
}

/// A token that was checked, and what the database said then.
struct Checked {
    /// The keys that it was verified with.
    keys: u64,
    named: Named,
    /// What held when user and session were read.
    currency: Option<Currency>,
    user: Arc<User>,
    session: Arc<Session>,
    grants: Arc<Grants>,
    /// When this node last noted the use of the session, in microseconds since the epoch.
    noted_at: AtomicI64,
}

/// Verifies a token and asks the database whether its session lives: this is what makes a revocation count on the very
/// next request. A signature that was verified with the present keys need not be verified again; what the database said
/// holds for as long as nobody, in whatever process, has written to it since.
async fn check(
    app: &App,
    token: &str,
    credential: Credential,
    now: Timestamp,
) -> Result<(Arc<Checked>, Current)> {
    let keys = app.signing.current().epoch;
    let name = sha256(token.as_bytes());
    let known = app.recall.get::<Checked>(&name).filter(|known| known.keys == keys);
    let named = match &known {
        Some(known) => {
            known.named.still_holds(app, now)?;
            known.named
        }
        None => access::verify(app, token, now).await?,
    };
    // Before anything is read, so that what is written meanwhile makes the entry outdated, never the answer.
    let currency = app.db.currency(named.user, Some(named.session));
    let holds = |known: &Arc<Checked>| {
        currency.is_some() && known.currency == currency && known.session.expires_at > now
    };
    let checked = match known.filter(holds) {
        Some(known) => known,
        None => {
            let (user, session) = read(app, named, now).await?;
            let grants = roles::grants(app, &app.db, &user.roles).await?.into();
            let noted_at = AtomicI64::new(i64::MIN);
            let session = Arc::new(session);
            let checked = Arc::new(Checked { keys, named, currency, user, session, grants, noted_at });
            app.recall.put(name, Arc::clone(&checked));
            checked
        }
    };
    let (user, session) = (Arc::clone(&checked.user), Arc::clone(&checked.session));
    let grants = Arc::clone(&checked.grants);
    if session.expires_at <= now {
        return Err(Error::new(Code::SessionExpired));
    }
    Ok((checked, Current { user, session, grants, credential }))
}

/// The session that a token names and its user, provided that neither was ended.
async fn read(app: &App, named: Named, now: Timestamp) -> Result<(Arc<User>, Session)> {
    let revoked = || Error::new(Code::SessionRevoked);
    // Two point reads and no join: SQLite 3.54 plans a join anew for every bound value, which costs 80 microseconds. At once,
    // since both may have to be asked for over the network.
    let (session, user) =
        tokio::join!(store::find_known(app, named, now), users::find_known(app, named.user, now));
    let (session, user) = (session?.ok_or_else(revoked)?, user?.ok_or_else(revoked)?);
    if user.id != session.user_id || session.revoked_at.is_some() || user.disabled_at.is_some() {
        return Err(revoked());
    }
    Ok((user, session))
}

/// Notes that a token of this generation has arrived, and the use of the session, both written later in batches.
fn note(app: &Inner, checked: &Checked, now: Timestamp) {
    let (named, session) = (checked.named, &checked.session);
    let noted_at = Timestamp(checked.noted_at.load(Ordering::Relaxed));
    let noted = noted_at.micros() != i64::MIN;
    let confirms = named.generation == session.generation && session.confirmed_at.is_none() && !noted;
    if confirms || session.last_seen_at.max(noted_at).plus(SEEN_EVERY) <= now {
        checked.noted_at.store(now.micros(), Ordering::Relaxed);
        app.presence.note(session.id, Seen { generation: named.generation, at: now });
        // A refresh has moved the last use, so the first use after it counts too. Who acts as somebody is not them.
        let first = confirms || day_of(session.last_seen_at) < day_of(now);
        if first && session.impersonator.is_none() {
            app.presence.note_active(session.user_id, now);
        }
    }
}
