//! Creates the accounts of a part of an import, in one transaction.
use super::draft::{Draft, Hash};
use super::problem::{Problem, Reason};
use super::{Entry, Fate};
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::factors::{self, Carried};
use crate::ids::UserId;
use crate::passkeys::{self, Passkey};
use crate::roles;
use crate::users::{self, Admission, Factor, Newcomer};
use std::collections::{HashMap, HashSet};

/// An entry that may still become an account.
struct Candidate<'a> {
    at: usize,
    draft: &'a Draft,
    id: UserId,
    kinds: Vec<Factor>,
    /// Set when its username belongs to somebody and may be lost.
    without_username: bool,
}

impl<'a> Candidate<'a> {
    fn newcomer(&self) -> Newcomer<'_> {
        let draft = self.draft;
        let hash = draft.password.as_ref().and_then(|password| match password {
            Hash::Stored(form) => Some(form.as_str()),
            // Only a rehearsal comes here unwrapped, and stores nothing.
            Hash::Fast(_) => None,
        });
        Newcomer {
            id: self.id,
            email: &draft.email,
            email_verified_at: draft.email_verified_at,
            username: draft.username.as_ref().filter(|_| !self.without_username),
            name: draft.name.as_deref(),
            password_hash: hash,
            password_changed_at: draft.password_changed_at,
            roles: &draft.roles,
            factors: &self.kinds,
            disabled_at: draft.disabled_at,
            created_at: draft.created_at,
            last_login_at: draft.last_login_at,
        }
    }

    /// What follows from what became of it: its fate, or another try with what was in the way changed.
    fn judge(mut self, admission: Admission, fresh: impl FnOnce() -> UserId) -> Judged<'a> {
        let reject = |reason, text: &str| Judged::Rejected(Problem::new(reason, text));
        match admission {
            Admission::Created => Judged::Created(self),
            Admission::EmailTaken => {
                reject(Reason::EmailTaken, "the address has an account, here or earlier in the file")
            }
            Admission::UsernameTaken if self.draft.may_lose_username => {
                self.without_username = true;
                Judged::Again(self)
            }
            Admission::UsernameTaken => {
                reject(Reason::UsernameTaken, "the username belongs to somebody, here or earlier in the file")
            }
            Admission::IdTaken if self.draft.keep_id => {
                reject(Reason::IdTaken, "the id belongs to another account")
            }
            Admission::IdTaken => {
                self.id = fresh();
                Judged::Again(self)
            }
        }
    }

    fn fate(&self) -> Fate {
        let lost = Problem::new(Reason::UsernameTaken, "the username belongs to somebody");
        let lost = self.without_username.then_some(lost);
        let dropped = self.draft.dropped.iter().cloned().chain(lost).collect();
        Fate::Imported { id: self.id, dropped }
    }
}

enum Judged<'a> {
    Created(Candidate<'a>),
    Again(Candidate<'a>),
    Rejected(Problem),
}

/// Creates what can be created, and says of each entry what became of it.
///
/// # Errors
/// The database's.
pub(super) async fn place(app: &Inner, tx: &mut Tx, entries: &[Entry], now: Timestamp) -> Result<Vec<Fate>> {
    users::lock_import(tx).await?;
    roles::lock(tx).await?;
    let (mut fates, mut candidates) = sort(app, tx, entries, now).await?;
    let mut created = Vec::new();
    // As it is; without the username or with another id; and with both changed.
    for _ in 0..3 {
        let admissions = {
            let newcomers: Vec<Newcomer<'_>> = candidates.iter().map(Candidate::newcomer).collect();
            users::import(tx, &newcomers, now).await?
        };
        let mut again = Vec::new();
        for (candidate, admission) in candidates.into_iter().zip(admissions) {
            let at = candidate.at;
            match candidate.judge(admission, || UserId(app.new_id(now))) {
                Judged::Again(candidate) => again.push(candidate),
                Judged::Rejected(problem) => set(&mut fates, at, Fate::Rejected(problem)),
                Judged::Created(candidate) => {
                    set(&mut fates, at, candidate.fate());
                    created.push(candidate);
                }
            }
        }
        candidates = again;
    }
    equip(app, tx, &created, now).await?;
    Ok(fates)
}

fn set(fates: &mut [Fate], at: usize, fate: Fate) {
    if let Some(place) = fates.get_mut(at) {
        *place = fate;
    }
}

/// Those that may become accounts, and the fates of all; theirs follow.
async fn sort<'a>(
    app: &Inner,
    tx: &mut Tx,
    entries: &'a [Entry],
    now: Timestamp,
) -> Result<(Vec<Fate>, Vec<Candidate<'a>>)> {
    let (mut fates, mut candidates) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    let (mut enrolled, mut defined) = (HashSet::new(), HashMap::new());
    for (at, entry) in entries.iter().enumerate() {
        let problem = match &entry.read {
            Ok(draft) => {
                if let Some(role) = undefined(tx, &draft.roles, &mut defined).await? {
                    let text = format!("there is no role {role}; define it first");
                    Problem::new(Reason::RoleNotAllowed, text)
                } else {
                    if !any_taken(tx, &draft.passkeys, &mut enrolled).await? {
                        let id = draft.id.unwrap_or_else(|| UserId(app.new_id(now)));
                        let kinds = draft.factor_kinds();
                        candidates.push(Candidate { at, draft, id, kinds, without_username: false });
                    }
                    Problem::new(Reason::PasskeyTaken, "a passkey of the account is enrolled already")
                }
            }
            Err(problem) => problem.clone(),
        };
        fates.push(Fate::Rejected(problem));
    }
    Ok((fates, candidates))
}

/// The first role that nobody has defined. `defined` remembers the answers.
async fn undefined<'a>(
    tx: &mut Tx,
    names: &'a [String],
    defined: &mut HashMap<&'a str, bool>,
) -> Result<Option<&'a str>> {
    for name in names {
        let known = match defined.get(name.as_str()) {
            Some(known) => *known,
            None => roles::find(&mut *tx, name).await?.is_some(),
        };
        defined.insert(name, known);
        if !known {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

async fn any_taken<'a>(
    tx: &mut Tx,
    passkeys: &'a [Passkey],
    enrolled: &mut HashSet<&'a [u8]>,
) -> Result<bool> {
    for passkey in passkeys {
        if !enrolled.insert(&passkey.credential_id) || passkeys::taken(tx, &passkey.credential_id).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Stores the second factors of accounts that were created.
async fn equip(app: &Inner, tx: &mut Tx, created: &[Candidate<'_>], now: Timestamp) -> Result<()> {
    let factors: Vec<(UserId, &Carried)> = created.iter().map(|one| (one.id, &one.draft.factors)).collect();
    factors::import(app, tx, &factors, now).await?;
    let passkeys: Vec<(UserId, &Passkey)> =
        created.iter().flat_map(|one| one.draft.passkeys.iter().map(|passkey| (one.id, passkey))).collect();
    passkeys::import(app, tx, &passkeys, now).await
}
