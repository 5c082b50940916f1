//! Why a record, or a part of it, does not come along.
use serde::Serialize;

/// The closed list of reasons; stable, since scripts compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No JSON object.
    MalformedJson,
    /// Longer than a record may be.
    TooLong,
    /// A member that the format does not have.
    UnknownField,
    /// A member of another type or form.
    BadField,
    /// No address.
    MissingEmail,
    /// An address to which no mail can be sent.
    InvalidEmail,
    /// A username that is none here.
    InvalidUsername,
    /// A display name that is none here.
    InvalidName,
    /// The source has deleted it.
    Deleted,
    /// A hash of an unknown kind.
    UnsupportedHash,
    /// A hash that is broken.
    BadHash,
    /// A hash that would take too long to verify.
    CostlyHash,
    /// A hash that would be too quick to guess through.
    WeakHash,
    /// A hash that was made with a pepper which is not in the settings.
    UnknownPepper,
    /// A role that was not allowed.
    RoleNotAllowed,
    /// A second factor that has no place here, or whose address is not proven.
    FactorNotCarried,
    /// The address has an account.
    EmailTaken,
    /// The username belongs to somebody.
    UsernameTaken,
    /// The id belongs to another account.
    IdTaken,
    /// A passkey is enrolled already.
    PasskeyTaken,
}

/// One thing that is wrong with a record. Its text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// For scripts.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

impl Problem {
    /// A problem.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The part of an account that could be left out instead.
    pub fn part(&self) -> Option<Part> {
        match self.reason {
            Reason::InvalidUsername | Reason::UsernameTaken => Some(Part::Username),
            Reason::InvalidName => Some(Part::Name),
            Reason::UnsupportedHash
            | Reason::BadHash
            | Reason::CostlyHash
            | Reason::WeakHash
            | Reason::UnknownPepper => Some(Part::Password),
            Reason::RoleNotAllowed => Some(Part::Roles),
            Reason::FactorNotCarried => Some(Part::Factors),
            _ => None,
        }
    }
}

/// What an operator may let a record lose rather than have it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The username.
    Username,
    /// The display name.
    Name,
    /// The password: the owner has to choose a new one.
    Password,
    /// Roles that were not allowed.
    Roles,
    /// Second factors that cannot be carried: the account is then protected by less than before.
    Factors,
}
