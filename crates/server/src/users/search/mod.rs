//! Finding users among a million: every call reads a bounded number of rows, whatever is asked for.
mod store;

use super::terms::{behind, words};
use super::{User, store as rows_of_users};
use crate::app::Inner;
use crate::db::{Statements, Tx};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::roles::USER;
use data_encoding::HEXLOWER;

/// Rows that one call looks at: a few milliseconds on every engine.
const LOOKED_AT: usize = 2_000;
/// Users whose terms are written in one transaction.
const INDEXED_AT_ONCE: i64 = 200;

/// Who is looked for; everything that is said has to hold.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Words, each of which the address, its domain, the username or a word of the name begins with.
    pub query: String,
    /// Whether the account is closed.
    pub disabled: Option<bool>,
    /// Whether the mailbox was proven.
    pub verified: Option<bool>,
    /// Who has this role.
    pub role: Option<String>,
}

/// Some of those who were found.
pub struct Found {
    /// In the order of what they were found by, else of creation.
    pub users: Vec<User>,
    /// Where to go on. There may be more even if fewer were found than asked for.
    pub next: Option<String>,
}

/// The rows that are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    Terms,
    Role,
    Disabled,
    Unverified,
    Everybody,
}

impl Walk {
    const fn letter(self) -> &'static str {
        match self {
            Self::Terms => "t",
            Self::Role => "r",
            Self::Disabled => "d",
            Self::Unverified => "u",
            Self::Everybody => "e",
        }
    }
}

/// Behind which row to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    walk: Walk,
    term: Vec<u8>,
    id: String,
}

impl Place {
    fn write(&self) -> String {
        format!("{}{}.{}", self.walk.letter(), HEXLOWER.encode(&self.term), self.id)
    }

    /// Reads what [`Self::write`] wrote for one of these walks.
    fn read(text: &str, walks: &[Walk]) -> Option<Self> {
        let (start, id) = text.split_once('.')?;
        let walk = walks.iter().find(|walk| start.starts_with(walk.letter())).copied()?;
        let term = HEXLOWER.decode(start.get(1..)?.as_bytes()).ok()?;
        let id = UserId::parse(id)?.to_string();
        (walk == Walk::Terms || term.is_empty()).then_some(Self { walk, term, id })
    }
}

/// One page of at most `limit` users, behind what [`Found::next`] said.
///
/// # Errors
/// [`crate::error::Code::ValidationFailed`] for a place that this search did not name.
pub async fn search(app: &Inner, search: &Search, after: Option<&str>, limit: usize) -> Result<Found> {
    let words = words(&search.query);
    let walks = walks(search, &words);
    let mut place = match after {
        Some(text) => {
            let place = Place::read(text, &walks);
            place.ok_or_else(|| Error::field("after", "invalid_value", "Send `next` of the page before."))?
        }
        None => {
            let term = words.first().map(|word| word.clone().into_bytes()).unwrap_or_default();
            let walk = best(app, search, &walks).await?;
            let term = if walk == Walk::Terms { term } else { Vec::new() };
            Place { walk, term, id: String::new() }
        }
    };
    let mut users = Vec::new();
    let (mut looked_at, mut step) = (0, limit + 1);
    while looked_at < LOOKED_AT {
        step = step.min(LOOKED_AT - looked_at);
        let rows = rows(&app.db, search, &words, &place, step).await?;
        looked_at += rows.len();
        let ended = rows.len() < step;
        for (term, user) in rows {
            let wanted = fits(search, &words, term.as_deref(), &user);
            if wanted && users.len() == limit {
                return Ok(Found { users, next: Some(place.write()) });
            }
            place = Place { walk: place.walk, term: term.unwrap_or_default(), id: user.id.to_string() };
            users.extend(wanted.then_some(user));
        }
        if ended {
            return Ok(Found { users, next: None });
        }
        step *= 4;
    }
    Ok(Found { users, next: Some(place.write()) })
}

/// What could be walked, that with the fewest rows perhaps first.
fn walks(search: &Search, words: &[String]) -> Vec<Walk> {
    let role = search.role.as_ref().filter(|role| *role != USER);
    let found = [
        role.map(|_| Walk::Role),
        (search.disabled == Some(true)).then_some(Walk::Disabled),
        (search.verified == Some(false)).then_some(Walk::Unverified),
        (!words.is_empty()).then_some(Walk::Terms),
    ];
    let found: Vec<Walk> = found.into_iter().flatten().collect();
    if found.is_empty() { vec![Walk::Everybody] } else { found }
}

/// The first that is walked to its end by one call; else that by words, which are the most particular.
async fn best(app: &Inner, search: &Search, walks: &[Walk]) -> Result<Walk> {
    let last = walks.last().copied().unwrap_or(Walk::Everybody);
    if walks.len() == 1 {
        return Ok(last);
    }
    let most = i64::try_from(LOOKED_AT).unwrap_or(i64::MAX);
    for walk in walks {
        let mut db = &app.db;
        let size = match walk {
            Walk::Role => {
                store::count_role(&mut db, search.role.as_deref().unwrap_or_default(), most).await?
            }
            Walk::Disabled => store::count_disabled(&mut db, most).await?,
            Walk::Unverified => store::count_unverified(&mut db, most).await?,
            Walk::Terms | Walk::Everybody => most,
        };
        if size < most {
            return Ok(*walk);
        }
    }
    Ok(last)
}

async fn rows(
    mut db: impl Statements,
    search: &Search,
    words: &[String],
    place: &Place,
    limit: usize,
) -> Result<Vec<(Option<Vec<u8>>, User)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let users = match place.walk {
        Walk::Terms => {
            let end = words.first().map(|word| behind(word)).unwrap_or_default();
            return Ok(store::walk_terms(&mut db, &place.term, &place.id, &end, limit).await?);
        }
        Walk::Role => {
            let role = search.role.as_deref().unwrap_or_default();
            store::walk_role(&mut db, role, &place.id, limit).await?
        }
        Walk::Disabled => store::walk_disabled(&mut db, &place.id, limit).await?,
        Walk::Unverified => store::walk_unverified(&mut db, &place.id, limit).await?,
        Walk::Everybody => rows_of_users::list(&mut db, &place.id, limit).await?,
    };
    Ok(users.into_iter().map(|user| (None, user)).collect())
}

/// Whether a user is looked for; of several terms that would find one, the first does.
fn fits(search: &Search, words: &[String], by: Option<&[u8]>, user: &User) -> bool {
    let passes = search.disabled.is_none_or(|disabled| user.disabled_at.is_some() == disabled)
        && search.verified.is_none_or(|verified| user.email_verified_at.is_some() == verified)
        && search.role.as_ref().is_none_or(|role| user.roles.contains(role));
    // Last, since it costs the most.
    passes && (words.is_empty() || found_by(words, by, &user.terms()))
}

fn found_by(words: &[String], by: Option<&[u8]>, terms: &[String]) -> bool {
    let first = |word: &String| terms.iter().find(|term| term.starts_with(word.as_str()));
    let once = by.is_none_or(|by| words.first().and_then(first).is_some_and(|first| first.as_bytes() == by));
    once && words.iter().all(|word| first(word).is_some())
}

/// Writes the terms of some users whom something else than this module made or changed; returns how many.
pub async fn index(tx: &mut Tx) -> Result<u64> {
    // One node at a time: the others would only wait for each row.
    tx.lock("user_terms").await?;
    let outdated = store::outdated_terms(tx, INDEXED_AT_ONCE).await?;
    for id in &outdated {
        note_terms(tx, *id).await?;
    }
    Ok(outdated.len() as u64)
}

/// Writes the terms of a new user. In the transaction that makes it.
pub(super) async fn note_new(tx: &mut Tx, user: &User) -> Result<()> {
    Ok(store::put_terms(tx, user.id, &user.terms()).await?)
}

/// Writes the terms of a user anew if what they are made from has changed. In the transaction of the change, after it.
pub(super) async fn note_terms(tx: &mut Tx, id: UserId) -> Result<()> {
    // The row stays locked, so that the terms of two changes do not mix.
    if store::take_terms(tx, id).await?
        && let Some(user) = rows_of_users::find(tx, id).await?
    {
        store::put_terms(tx, id, &user.terms()).await?;
    }
    Ok(())
}
