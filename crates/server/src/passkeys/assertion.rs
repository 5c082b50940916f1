//! Proofs by passkey: at sign-in, in a sign-in attempt, in a session.
use super::ceremony::{self, Once, Returned};
use super::relying_party::{Refusal, RelyingParty, descriptor};
use super::store::Used;
use super::{Challenge, Passkey, decoys, flag, methods, store, user_handle};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::ids::{RowId, SessionId, UserId};
use crate::mail::{self, Message};
use crate::users;
use crate::web::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rs_core::proto::AuthenticationState;
use webauthn_rs_core::proto::PublicKeyCredential;

/// What a proof is for; it serves nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Signing in by passkey alone: the user has to be verified, which makes two factors.
    SignIn,
    /// The second factor of a sign-in attempt.
    Attempt(RowId),
    /// A fresh proof in a session.
    Session(SessionId),
}

/// Whose passkeys may give the proof.
#[derive(Clone, Copy, Debug)]
pub enum Whom<'a> {
    /// Anybody's: the authenticator says who it is (discoverable credentials, also in autofill).
    Anyone,
    /// Those of whoever has this address or username, if anybody has.
    Identifier(&'a str),
    /// Those of a user who is known already.
    User(UserId),
}

/// A proof that holds.
#[derive(Clone, Debug)]
pub struct Asserted {
    /// Who.
    pub user: UserId,
    /// By which passkey.
    pub passkey: RowId,
    /// Whether by PIN, fingerprint or the like too.
    pub user_verified: bool,
    /// Whether the passkey can be on several devices.
    pub backup_eligible: bool,
}

impl Asserted {
    /// The methods that it stands for (RFC 8176).
    pub fn methods(&self) -> Vec<&'static str> {
        methods(self.backup_eligible, self.user_verified)
    }
}

/// A proof that was looked at, to be accepted in a transaction.
pub struct Checked {
    bound: Bound,
    verdict: Verdict,
}

enum Verdict {
    Genuine(Box<Genuine>),
    Cloned(Box<Passkey>, Once),
    Refused(&'static str, Option<Box<Passkey>>),
}

struct Genuine {
    passkey: Passkey,
    once: Once,
    user_verified: bool,
    sign_count: u32,
    flags: i64,
}

/// What is sealed into a ceremony.
#[derive(Serialize, Deserialize)]
struct State {
    /// Whose passkey it has to be; the nil id is nobody's. Absent for anybody's.
    whom: Option<Uuid>,
    library: AuthenticationState,
}

impl Bound {
    fn context(self) -> String {
        match self {
            Self::SignIn => "sign-in".into(),
            Self::Attempt(id) => format!("attempt/{id}"),
            Self::Session(id) => format!("session/{id}"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Attempt(_) => "attempt",
            Self::Session(_) => "session",
        }
    }
}

/// What a page needs to ask for a proof. Writes nothing.
pub async fn begin_assertion(app: &App, bound: Bound, whom: Whom<'_>) -> Result<Challenge> {
    let now = app.now();
    let (mut options, library) = RelyingParty::of(app).request(bound == Bound::SignIn)?;
    let (whom, allowed) = match whom {
        Whom::Anyone => (None, Vec::new()),
        Whom::Identifier(identifier) => {
            let login = users::find_login(&app.db, identifier).await?;
            let user = login.map_or(UserId(Uuid::nil()), |login| login.user.id);
            let passkeys = super::of_user(&app.db, user).await?;
            (Some(user.0), decoys::descriptors(app, identifier, &passkeys))
        }
        Whom::User(user) => {
            let passkeys = super::of_user(&app.db, user).await?;
            (Some(user.0), passkeys.iter().map(descriptor).collect())
        }
    };
    options["allowCredentials"] = allowed.into();
    let state = State { whom, library };
    Ok(Challenge { ceremony: ceremony::begin(app, &bound.context(), state, now)?, options })
}

/// Looks at a proof, before any transaction: verifying takes a while. `user` is who is known already, if somebody is.
pub async fn check_assertion(
    app: &App,
    bound: Bound,
    user: Option<UserId>,
    ceremony: &str,
    answer: Value,
) -> Result<Checked> {
    let verdict = judge(app, bound, user, ceremony, answer).await?;
    Ok(Checked { bound, verdict })
}

async fn judge(
    app: &App,
    bound: Bound,
    user: Option<UserId>,
    ceremony: &str,
    answer: Value,
) -> Result<Verdict> {
    let now = app.now();
    let returned = ceremony::come_back::<State>(app, &bound.context(), ceremony, now);
    let Some(Returned { state, once }) = returned else {
        return Ok(Verdict::Refused("ceremony", None));
    };
    let Ok(answer) = serde_json::from_value::<PublicKeyCredential>(answer) else {
        return Ok(Verdict::Refused("malformed", None));
    };
    let relying_party = RelyingParty::of(app);
    let Some(passkey) = store::by_credential(&mut &app.db, &answer.raw_id).await? else {
        relying_party.pretend(&state.library, &answer, nobody(now));
        return Ok(Verdict::Refused("unknown_credential", None));
    };
    let refused = |reason| Ok(Verdict::Refused(reason, Some(Box::new(passkey.clone()))));
    let said = match relying_party.check(&state.library, &answer, &passkey) {
        Ok(said) => said,
        Err(Refusal::Counter) => return Ok(Verdict::Cloned(Box::new(passkey), once)),
        Err(Refusal::Wrong(reason)) => return refused(reason),
    };
    // Only now: whose passkey it is shows in the time it takes otherwise (7.2 steps 5 and 6).
    let expected = [user.map(|user| user.0), state.whom];
    if expected.iter().flatten().any(|user| *user != passkey.user.0) {
        return refused("other_user");
    }
    let handle = answer.response.user_handle.as_deref();
    if handle.is_some_and(|handle| handle != user_handle(passkey.user)) {
        return refused("user_handle");
    }
    if state.whom.is_none() && handle.is_none() {
        return refused("no_user_handle");
    }
    let attempt = matches!(bound, Bound::Attempt(_));
    // A key that verified nobody when it was enrolled becomes two factors only beside another one (7.2 step 23).
    let initialised = passkey.has(flag::UV) || attempt;
    if bound == Bound::SignIn && !initialised {
        return refused("not_enrolled_with_verification");
    }
    // Somebody may hold a copy: then it is worth something beside another factor only.
    if passkey.suspect_at.is_some() && !attempt {
        return refused("suspect");
    }
    let user_verified = said.user_verified && initialised;
    let flags = said.flags | if user_verified { flag::UV } else { 0 };
    let sign_count = said.sign_count;
    Ok(Verdict::Genuine(Box::new(Genuine { passkey, once, user_verified, sign_count, flags })))
}

fn nobody(now: Timestamp) -> Passkey {
    Passkey {
        id: RowId(Uuid::nil()),
        user: UserId(Uuid::nil()),
        credential_id: Vec::new(),
        public_key: String::new(),
        sign_count: 0,
        flags: 0,
        transports: String::new(),
        name: String::new(),
        created_at: now,
        last_used_at: None,
        suspect_at: None,
    }
}

/// Accepts a proof: uses the ceremony up, moves the counter, notes the use. `None` for whatever is wrong; then the event is in
/// the transaction, which the caller commits in both cases.
pub async fn accept(
    app: &App,
    tx: &mut Tx,
    client: &Client,
    checked: Checked,
    now: Timestamp,
) -> Result<Option<Asserted>> {
    let bound = checked.bound;
    let (passkey, reason) = match checked.verdict {
        Verdict::Genuine(genuine) => match take(tx, &genuine, bound, now).await? {
            Taken::Yes => return Ok(Some(genuine.asserted())),
            Taken::Cloned => return cloned(app, tx, client, bound, &genuine.passkey, now).await,
            Taken::No(reason) => (Some(Box::new(genuine.passkey)), reason),
        },
        Verdict::Cloned(passkey, once) if once.spend(tx).await? => {
            return cloned(app, tx, client, bound, &passkey, now).await;
        }
        // An answer that was sent twice says nothing about copies.
        Verdict::Cloned(passkey, _) => (Some(passkey), "replayed"),
        Verdict::Refused(reason, passkey) => (passkey, reason),
    };
    let event = event(Kind::PasskeyRefused, client, bound, passkey.as_deref());
    let id = passkey.map(|passkey| passkey.id);
    let event = event.detail(json!({ "for": bound.name(), "reason": reason, "passkey": id }));
    audit::record(app, tx, event, now);
    Ok(None)
}

enum Taken {
    Yes,
    Cloned,
    No(&'static str),
}

async fn take(tx: &mut Tx, genuine: &Genuine, bound: Bound, now: Timestamp) -> Result<Taken> {
    if !genuine.once.spend(tx).await? {
        return Ok(Taken::No("replayed"));
    }
    let used = store::note_use(tx, genuine.passkey.id, genuine.sign_count, genuine.flags, now).await?;
    Ok(match used {
        // The owner may have disowned whoever enrolled it since it was looked at.
        Used::Now { suspect: true } if !matches!(bound, Bound::Attempt(_)) => Taken::No("suspect"),
        Used::Now { .. } => Taken::Yes,
        Used::Counted => Taken::Cloned,
        Used::Gone => Taken::No("removed"),
    })
}

impl Genuine {
    fn asserted(&self) -> Asserted {
        Asserted {
            user: self.passkey.user,
            passkey: self.passkey.id,
            user_verified: self.user_verified,
            backup_eligible: self.passkey.has(flag::BE),
        }
    }
}

/// Marks a passkey whose counter did not grow, and tells its owner once.
async fn cloned(
    app: &App,
    tx: &mut Tx,
    client: &Client,
    bound: Bound,
    passkey: &Passkey,
    now: Timestamp,
) -> Result<Option<Asserted>> {
    let first = store::suspect(tx, passkey.id, now).await?;
    let event = event(Kind::PasskeyCloned, client, bound, Some(passkey));
    let event = event.detail(json!({ "for": bound.name(), "passkey": passkey.id, "name": passkey.name }));
    audit::record(app, tx, event, now);
    if let (true, Some(user)) = (first, users::find_in(tx, passkey.user).await?) {
        let message = Message::PasskeyCloned(passkey.notice(client, now));
        mail::enqueue(app, tx, &user.email, &message, now).await?;
    }
    Ok(None)
}

fn event<'a>(kind: Kind, client: &'a Client, bound: Bound, passkey: Option<&Passkey>) -> Event<'a> {
    let mut event = Event::new(kind, client);
    if let Some(passkey) = passkey {
        event = event.user(passkey.user);
    }
    if let Bound::Session(id) = bound {
        event = event.session(id);
    }
    event
}
