//! From what a file says to an account that may be created.
use super::given::{Given, GivenPassword};
use super::problem::{Part, Problem, Reason};
use crate::clock::Timestamp;
use crate::factors::{Carried, CarriedTotp};
use crate::hashing::Hashing;
use crate::ids::UserId;
use crate::names::{Email, USERNAME_RULE, Username, has_control_characters};
use crate::passkeys::Passkey;
use crate::roles;
use crate::users::Factor;
use hallpass_crypto::password::PasswordError;
use hallpass_crypto::password::legacy::{FastHash, Legacy};
use hallpass_crypto::totp::Secret;

type Result<T> = std::result::Result<T, Problem>;

/// Longest display name in characters.
const NAME_MAX: usize = 100;
/// Most passkeys of a record.
const PASSKEYS_MAX: usize = 20;
/// Seconds of a time step (RFC 6238 4.1).
const STEP_SECONDS: i64 = 30;

/// What an operator allows.
pub struct Rules {
    /// Parts that a record may lose.
    pub may_drop: Vec<Part>,
    /// Roles that may be given, beside `user`.
    pub allow_roles: Vec<String>,
    /// Whether an address of which the source does not say so counts as proven.
    pub emails_verified: bool,
}

/// A hash on its way.
pub enum Hash {
    /// To be stored.
    Stored(String),
    /// To be wrapped first.
    Fast(FastHash),
}

/// An account that may be created, if nobody is in the way.
pub struct Draft {
    /// What the source calls it.
    pub source_id: Option<String>,
    /// Its id there, if it can be one here.
    pub id: Option<UserId>,
    /// Whether it cannot have another.
    pub keep_id: bool,
    /// Address.
    pub email: Email,
    /// When the mailbox was proven.
    pub email_verified_at: Option<Timestamp>,
    /// Public name.
    pub username: Option<Username>,
    /// Display name.
    pub name: Option<String>,
    /// Password.
    pub password: Option<Hash>,
    /// When it was chosen.
    pub password_changed_at: Option<Timestamp>,
    /// Roles beyond `user`.
    pub roles: Vec<String>,
    /// Since when it is closed.
    pub disabled_at: Option<Timestamp>,
    /// When it came into being.
    pub created_at: Timestamp,
    /// The latest sign-in.
    pub last_login_at: Option<Timestamp>,
    /// Authenticator app and recovery codes.
    pub factors: Carried,
    /// Passkeys.
    pub passkeys: Vec<Passkey>,
    /// Whether it may lose the username when that belongs to somebody.
    pub may_lose_username: bool,
    /// What it has lost.
    pub dropped: Vec<Problem>,
}

impl Draft {
    /// The kinds of its factors.
    pub fn factor_kinds(&self) -> Vec<Factor> {
        let present = [
            (Factor::Passkey, !self.passkeys.is_empty()),
            (Factor::RecoveryCode, !self.factors.recovery_codes.is_empty()),
            (Factor::Totp, self.factors.totp.is_some()),
        ];
        present.into_iter().filter(|(_, present)| *present).map(|(factor, _)| factor).collect()
    }
}

/// Drops what may be dropped.
struct Leniency<'a> {
    rules: &'a Rules,
    dropped: Vec<Problem>,
}

impl Leniency<'_> {
    /// The value, or nothing when it may be lost.
    fn part<T>(&mut self, read: Result<T>) -> Result<Option<T>> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(problem) if problem.part().is_some_and(|part| self.rules.may_drop.contains(&part)) => {
                self.dropped.push(problem);
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    fn optional<T>(&mut self, read: Option<Result<T>>) -> Result<Option<T>> {
        Ok(read.map(|read| self.part(read)).transpose()?.flatten())
    }
}

/// Checks what a record gives.
///
/// # Errors
/// The first problem that the rules do not forgive.
pub fn check(mut given: Given, allowed: &Rules, hashing: &Hashing, now: Timestamp) -> Result<Draft> {
    let mut lenient = Leniency { rules: allowed, dropped: Vec::new() };
    let email = email(given.email.as_deref())?;
    let username = present(given.username.take()).map(|text| text.and_then(|text| username(&text)));
    let username = lenient.optional(username)?;
    let name = lenient.optional(present(given.name.take()).map(|text| text.and_then(name)))?;
    let password = lenient.optional(given.password.take().and_then(|given| password(given, hashing)))?;
    let roles = given_roles(std::mem::take(&mut given.roles), &mut lenient)?;
    let past = |at: Option<Timestamp>| at.map(|at| Timestamp(at.micros().clamp(0, now.micros())));
    let proven = match (given.email_verified, given.email_verified_at) {
        (Some(false), Some(_)) => {
            return Err(Problem::new(Reason::BadField, "the address is said to be proven, and not to be"));
        }
        (None, Some(_)) => true,
        (said, _) => said.unwrap_or(allowed.emails_verified),
    };
    let email_verified_at = proven.then(|| past(given.email_verified_at).unwrap_or(now));
    let (id, keep_id) = id(&given)?;
    lenient.part(nothing_lost(&given))?;
    let factors = lenient.part(factors(&mut given, proven, now))?;
    let (factors, passkeys) = factors.unwrap_or_default();
    Ok(Draft {
        source_id: given.source_id,
        id,
        keep_id,
        email,
        email_verified_at,
        username,
        name,
        password_changed_at: password.as_ref().map(|_| past(given.password_changed_at).unwrap_or(now)),
        password,
        roles,
        disabled_at: (given.disabled || given.disabled_at.is_some())
            .then(|| past(given.disabled_at).unwrap_or(now)),
        created_at: past(given.created_at).unwrap_or(now),
        last_login_at: past(given.last_login_at),
        factors,
        passkeys,
        may_lose_username: allowed.may_drop.contains(&Part::Username),
        dropped: lenient.dropped,
    })
}

fn present(text: Option<Result<String>>) -> Option<Result<String>> {
    text.map(|text| text.map(|text| text.trim().to_owned()))
        .filter(|text| text.as_ref().map_or(true, |text| !text.is_empty()))
}

fn email(text: Option<&str>) -> Result<Email> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Problem::new(Reason::MissingEmail, "the record has no address"))?;
    Email::parse(text).ok_or_else(|| Problem::new(Reason::InvalidEmail, "no mail can be sent to the address"))
}

fn username(text: &str) -> Result<Username> {
    Username::parse(text).ok_or_else(|| Problem::new(Reason::InvalidUsername, USERNAME_RULE))
}

fn name(text: String) -> Result<String> {
    if text.chars().count() > NAME_MAX || has_control_characters(&text) {
        let rule = format!("use at most {NAME_MAX} characters on one line");
        return Err(Problem::new(Reason::InvalidName, rule));
    }
    Ok(text)
}

fn password(given: GivenPassword, hashing: &Hashing) -> Option<Result<Hash>> {
    let read = match given {
        // Behind an exclamation mark Django writes something that no password has.
        GivenPassword::Text(text) if text.is_empty() || text.starts_with('!') => return None,
        GivenPassword::Text(text) => hashing.read_legacy(&text),
        GivenPassword::Read(read) => read,
        GivenPassword::Lost(why) => return Some(Err(Problem::new(Reason::UnsupportedHash, why))),
    };
    Some(match read {
        Ok(Legacy::Stored(form)) => Ok(Hash::Stored(form)),
        Ok(Legacy::Fast(fast)) => Ok(Hash::Fast(fast)),
        Err(error) => Err(Problem::new(
            match error {
                PasswordError::Unsupported => Reason::UnsupportedHash,
                PasswordError::BadParams => Reason::CostlyHash,
                PasswordError::TooWeak => Reason::WeakHash,
                PasswordError::UnknownPepper => Reason::UnknownPepper,
                _ => Reason::BadHash,
            },
            error.to_string(),
        )),
    })
}

fn given_roles(given: Vec<Result<String>>, lenient: &mut Leniency<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for role in given {
        let read = role.and_then(|role| {
            let valid = roles::is_name(&role);
            if role == roles::USER || valid && lenient.rules.allow_roles.contains(&role) {
                return Ok(role);
            }
            let shown = if valid { format!("the role {role}") } else { "a role".to_owned() };
            let text = format!("{shown} is not among those of --allow-roles");
            Err(Problem::new(Reason::RoleNotAllowed, text))
        });
        names.extend(lenient.part(read)?.filter(|role| role != roles::USER));
    }
    names.sort_unstable();
    names.dedup();
    if names.len() >= roles::MAX_PER_USER {
        let text = format!("an account has at most {} roles", roles::MAX_PER_USER);
        return Err(Problem::new(Reason::BadField, text));
    }
    Ok(names)
}

/// The id to keep. What is bound to it cannot go to another one.
fn id(given: &Given) -> Result<(Option<UserId>, bool)> {
    let sound = |id: &UserId| (1..=8).contains(&id.0.get_version_num());
    let id = given.id.as_deref().and_then(UserId::parse).filter(sound);
    if given.keep_id && given.id.is_some() && id.is_none() {
        return Err(Problem::new(Reason::BadField, "id must be a UUID in lower case"));
    }
    let bound = !given.recovery_codes.is_empty() || !given.passkeys.is_empty();
    if bound && id.is_none() {
        let text = "recovery codes and passkeys are bound to the id, which is missing";
        return Err(Problem::new(Reason::BadField, text));
    }
    Ok((id, given.keep_id || bound))
}

/// Apart from those that are carried: they stay when this is given up.
fn nothing_lost(given: &Given) -> Result<()> {
    let Some(kind) = given.lost_factor else { return Ok(()) };
    let text = format!("the account has a second factor that has no place here: {kind}");
    Err(Problem::new(Reason::FactorNotCarried, text))
}

fn factors(given: &mut Given, proven: bool, now: Timestamp) -> Result<(Carried, Vec<Passkey>)> {
    let refused = |text: String| Problem::new(Reason::FactorNotCarried, text);
    let present = given.totp.is_some() || !given.recovery_codes.is_empty() || !given.passkeys.is_empty();
    if present && !proven {
        // Whoever registered a stranger's address would keep its owner out with it.
        return Err(refused("a second factor counts only beside an address that is proven".into()));
    }
    if !given.recovery_codes.is_empty() && given.totp.is_none() && given.passkeys.is_empty() {
        return Err(refused("recovery codes do not stand alone".into()));
    }
    if given.passkeys.len() > PASSKEYS_MAX {
        return Err(Problem::new(Reason::BadField, "passkeys has too many"));
    }
    let totp = given.totp.take().map(|totp| {
        let secret = Secret::from_bytes(&totp.secret)
            .ok_or_else(|| refused("the authenticator secret is too short or too long".into()))?;
        // A code of the present step may still be typed here, those before it not.
        let present = now.seconds().div_euclid(STEP_SECONDS);
        let last_step = totp.last_step.map_or(present - 1, |step| step.clamp(0, present));
        let created_at = totp.created_at.unwrap_or(now).min(now).max(Timestamp(0));
        let last_used_at = totp.last_used_at.map(|at| at.min(now).max(Timestamp(0)));
        Ok(CarriedTotp { secret, created_at, last_step, last_used_at })
    });
    let passkeys = given.passkeys.drain(..).map(|passkey| {
        passkey.read(now).ok_or_else(|| Problem::new(Reason::BadField, "passkeys has one that is broken"))
    });
    let passkeys = passkeys.collect::<Result<Vec<Passkey>>>()?;
    let recovery_codes = std::mem::take(&mut given.recovery_codes);
    Ok((Carried { totp: totp.transpose()?, recovery_codes }, passkeys))
}
