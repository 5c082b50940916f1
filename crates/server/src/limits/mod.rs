//! Limits against guessing, floods of mail and clients in a loop.
//!
//! Invariants: a failure is reserved before anything is verified and given back on success, so that parallel guesses
//! cannot exceed a limit; a known device has a count of its own, so that strangers' failures never delay the owner; the
//! answer to a limited call is the same for known and unknown accounts. What each limit is, is told in
//! `docs/decisions/limits.md`.
mod counts;
mod store;

use crate::app::Inner;
use crate::clock::Timestamp;
use crate::counters::{self, Charge, Key, Refused, Rule};
use crate::db::Tx;
use crate::devices;
use crate::error::{Code, Error, Result};
use crate::gates::Place;
use crate::ids::{SessionId, UserId};
use crate::web::Client;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const QUARTER: Duration = Duration::from_secs(15 * 60);
/// Codes that are mailed to one user in a quarter of an hour.
const SIGN_IN_MAILS: u32 = 10;
const HOUR: Duration = Duration::from_secs(3600);

/// What has a budget of its own; its name is in the `RateLimit` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Wrong passwords.
    Passwords,
    /// Wrong codes.
    Codes,
    /// Mails that anybody can ask for.
    Mails,
    /// Registrations.
    Registration,
    /// Refreshes of one session.
    Refresh,
    /// Refused passkeys.
    Passkeys,
    /// Codes that are mailed to somebody who has passed the first step of a sign-in.
    SignInMails,
}

impl Budget {
    const fn name(self) -> &'static str {
        match self {
            Self::Passwords => "passwords",
            Self::Codes => "codes",
            Self::Mails => "mails",
            Self::Registration => "registration",
            Self::Refresh => "refresh",
            Self::Passkeys => "passkeys",
            Self::SignInMails => "sign_in_mails",
        }
    }

    /// The key of something within this budget, without showing what it is.
    fn key(self, app: &Inner, scope: &str, subject: &str) -> Key {
        let digest = app.secrets.identifiers.mac(format!("{}/{scope}/{subject}", self.name()).as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Key { budget: self as u8, subject: short }
    }

    fn limited(self, quota: u32, refused: Refused, now: Timestamp) -> Limited {
        let seconds = (refused.opens.micros() - now.micros()).div_euclid(1_000_000) + 1;
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let error = Error::new(Code::RateLimited).with_limit(self.name(), quota, seconds);
        Limited { error, first: refused.first }
    }
}

/// A refusal.
#[derive(Debug)]
pub struct Limited {
    /// For the client.
    pub error: Error,
    /// Whether it is the first of the present wait.
    pub first: bool,
}

impl From<Error> for Limited {
    fn from(error: Error) -> Self {
        Self { error, first: false }
    }
}

impl From<Limited> for Error {
    fn from(limited: Limited) -> Self {
        limited.error
    }
}

/// Whose secret is being guessed.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// An account.
    User(UserId),
    /// A normalised identifier that may belong to nobody.
    Identifier(&'a str),
    /// The user of a live session, in it.
    Session(SessionId),
    /// Nobody's: what cannot be guessed is bounded for the network that tries, so that no stranger delays an owner.
    Nobody,
}

/// A reserved failure. Dropped without a word it stays one: a client that hangs up gets no guess for free.
pub struct Reservation {
    /// Counts of consecutive failures: a success ends the row.
    rows: Vec<Charge>,
    /// Counts of failures in a time: a success takes back its own.
    sums: Vec<Charge>,
    _places: Vec<Place>,
    /// Failures in a row before this one.
    pub before: u32,
}

/// Reserves a failure, after those under way for the same account and network are decided.
///
/// # Errors
/// [`Limited`] with the wait; the same whether the account exists or not. Without a place to count, nothing is tried.
pub async fn reserve(
    app: &Inner,
    budget: Budget,
    subject: Subject<'_>,
    client: &Client,
) -> Result<Reservation, Limited> {
    if !app.config.limits.enabled {
        return Ok(Reservation { rows: Vec::new(), sums: Vec::new(), _places: Vec::new(), before: 0 });
    }
    let (rows, sums) = charges(app, budget, subject, client).await?;
    let all: Vec<Charge> = rows.iter().chain(&sums).copied().collect();
    let limits = &app.config.limits;
    let mut places = Vec::new();
    // Narrow gates first: a flood against one account must not take the places of its whole network.
    if let Some(row) = rows.first() {
        places.push(app.gates.enter(row.key, limits.account_failures).await);
    }
    if let Some(sum) = sums.first() {
        places.push(app.gates.enter(sum.key, limits.network_failures).await);
    }
    let now = app.now();
    let before = counts::change(app, &all, now, |entries| counters::reserve(entries, now)).await?;
    let before = before.map_err(|refused| budget.limited(limits.account_failures, refused, now))?;
    Ok(Reservation { rows, sums, _places: places, before })
}

/// The counts that a failure goes to.
async fn charges(
    app: &Inner,
    budget: Budget,
    subject: Subject<'_>,
    client: &Client,
) -> Result<(Vec<Charge>, Vec<Charge>)> {
    let limits = &app.config.limits;
    let growing = |key, free| Charge { key, rule: Rule::Growing { free, longest: limits.longest_wait } };
    let alone = |scope, name: &str| {
        (vec![growing(budget.key(app, scope, name), limits.account_failures)], Vec::new())
    };
    // Asked for an account that does not exist as well, so that the work does not tell.
    let device = match subject {
        Subject::Session(_) | Subject::Nobody => None,
        Subject::User(id) => devices::recognise(app, &app.db, client, Some(id)).await?,
        Subject::Identifier(_) => devices::recognise(app, &app.db, client, None).await?,
    };
    let name = match subject {
        Subject::Nobody => return Ok((Vec::new(), vec![of_network(app, budget, client)])),
        // Who is in already has a count of its own as well.
        Subject::Session(id) => return Ok(alone("session", &id.to_string())),
        Subject::User(id) => match device {
            Some(device) => return Ok(alone("device", &format!("{id}/{}", device.id))),
            None => id.to_string(),
        },
        Subject::Identifier(text) => text.to_owned(),
    };
    let [both, anywhere] = account_keys(app, budget, &name, &client.network());
    let rows =
        vec![growing(both, limits.account_failures), growing(anywhere, limits.account_failures_anywhere)];
    Ok((rows, vec![of_network(app, budget, client)]))
}

/// The count of failures of a network.
fn of_network(app: &Inner, budget: Budget, client: &Client) -> Charge {
    let limits = &app.config.limits;
    let rule = Rule::Window { most: limits.network_failures, span: limits.network_window };
    Charge { key: budget.key(app, "network", &client.network()), rule }
}

/// The keys of an account: from one network, and from anywhere.
fn account_keys(app: &Inner, budget: Budget, account: &str, network: &str) -> [Key; 2] {
    let both = budget.key(app, "account+network", &format!("{account}/{network}"));
    [both, budget.key(app, "account", account)]
}

impl Reservation {
    /// It was no failure.
    pub async fn succeeded(self, app: &Inner) {
        counts::settle(app, &self.rows, counters::forget).await;
        counts::settle(app, &self.sums, counters::give_back).await;
    }

    /// Nothing was verified, for example because the queue was full.
    pub async fn cancelled(self, app: &Inner) {
        counts::settle(app, &self.rows, counters::give_back).await;
        counts::settle(app, &self.sums, counters::give_back).await;
    }
}

/// A new password was set through the mailbox: what strangers did to the account no longer counts.
pub async fn forgive(app: &Inner, user: UserId, client: &Client) {
    let rule = Rule::Growing { free: 0, longest: Duration::ZERO };
    let keys = account_keys(app, Budget::Passwords, &user.to_string(), &client.network());
    counts::settle(app, &keys.map(|key| Charge { key, rule }), counters::forget).await;
}

/// Counts a registration from a network.
///
/// # Errors
/// [`Code::RateLimited`].
pub async fn spend_registration(app: &Inner, client: &Client) -> Result<()> {
    let most = app.config.limits.registrations_per_network;
    spend(app, Budget::Registration, most, HOUR, &client.network()).await
}

/// Counts a mail that somebody in a network asks for.
///
/// # Errors
/// [`Code::RateLimited`]; the same whether the address is known or not.
pub async fn spend_mail(app: &Inner, client: &Client) -> Result<()> {
    spend(app, Budget::Mails, app.config.limits.mails_per_network, HOUR, &client.network()).await
}

/// Counts a code that is mailed to a user who has proven something already. Not counted with the mails that anybody can ask for, so
/// that strangers who ask for them keep no owner out.
///
/// # Errors
/// [`Code::RateLimited`].
pub async fn spend_sign_in_mail(app: &Inner, user: UserId) -> Result<()> {
    spend(app, Budget::SignInMails, SIGN_IN_MAILS, QUARTER, &user.to_string()).await
}

/// Counts a refresh of a session, whose token is genuine: a client in a loop costs a transaction each time. On each node
/// by itself, since to ask others would cost more than the refresh.
///
/// # Errors
/// [`Code::RateLimited`].
pub fn spend_refresh(app: &Inner, session: [u8; 16], now: Timestamp) -> Result<()> {
    if !app.config.limits.enabled {
        return Ok(());
    }
    let most = app.config.limits.refreshes_per_session;
    let key = Key { budget: Budget::Refresh as u8, subject: session };
    let charge = Charge { key, rule: Rule::Window { most, span: MINUTE } };
    let before = app.counters.change(&[charge], now, |entries| counters::reserve(entries, now));
    before.map_err(|refused| Budget::Refresh.limited(most, refused, now))?;
    Ok(())
}

async fn spend(app: &Inner, budget: Budget, most: u32, span: Duration, network: &str) -> Result<()> {
    if !app.config.limits.enabled {
        return Ok(());
    }
    let now = app.now();
    let charge = Charge { key: budget.key(app, "network", network), rule: Rule::Window { most, span } };
    let before = counts::change(app, &[charge], now, |entries| counters::reserve(entries, now)).await?;
    before.map_err(|refused| budget.limited(most, refused, now))?;
    Ok(())
}

/// Removes counts that no longer count, a batch at a time; returns how many.
pub async fn purge(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    Ok(store::purge(tx, now.minus(counters::FORGET_AFTER)).await?)
}
