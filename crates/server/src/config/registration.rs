//! How accounts come into being, and who may have one.
use super::{Config, ConfigError, values::duration};
use crate::names::Email;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// How accounts come into being.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationMode {
    /// No user exists before the mailbox is proven.
    #[default]
    Pending,
    /// The user exists and is signed in at once, unverified; a known address is told, which is the weaker choice.
    Immediate,
}

/// Who may register. Operators and administrators make accounts in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everybody.
    #[default]
    Open,
    /// Whoever was invited.
    InviteOnly,
    /// Whoever was invited, and whoever has an address in `registration.domains`.
    Domains,
    /// Nobody, not even whoever was invited before.
    Closed,
}

impl Access {
    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::InviteOnly => "invite_only",
            Self::Domains => "domains",
            Self::Closed => "closed",
        }
    }
}

/// How accounts come into being.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// `pending` or `immediate`.
    pub mode: RegistrationMode,
    /// Who may register: `open`, `invite_only`, `domains` or `closed`. Operators and administrators make accounts in any case.
    pub access: Access,
    /// Domains whose addresses may register with `access = "domains"`, such as `example.com`; `*.example.com` stands for its subdomains.
    pub domains: Vec<String>,
    /// Life of an invitation, if whoever invites names none.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub invitation_ttl: Duration,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            mode: RegistrationMode::default(),
            access: Access::default(),
            domains: Vec::new(),
            invitation_ttl: Duration::from_secs(7 * 86_400),
        }
    }
}

impl Registration {
    /// The longest life that an invitation may have.
    pub const LONGEST_INVITATION: Duration = Duration::from_secs(90 * 86_400);

    /// Whether an address belongs to one of `domains`.
    pub fn lists(&self, email: &Email) -> bool {
        let domain = email.normalised.rsplit_once('@').map_or("", |(_, domain)| domain);
        self.domains.iter().filter_map(|text| Domain::parse(text)).any(|listed| listed.covers(domain))
    }
}

/// One of `registration.domains`.
struct Domain {
    /// Lower case, ASCII (IDNA).
    name: String,
    /// Its subdomains, and not itself.
    below: bool,
}

impl Domain {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        // As an address with this domain would be: nothing is listed that no address can have.
        let address = Email::parse(&format!("a@{name}"))?.normalised;
        let (_, name) = address.split_once('@')?;
        Some(Self { name: name.to_owned(), below })
    }

    fn covers(&self, domain: &str) -> bool {
        if !self.below {
            return domain == self.name;
        }
        domain.strip_suffix(self.name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

/// Mistakes of this section.
pub(super) fn check(config: &Config, problems: &mut Vec<ConfigError>) {
    let registration = &config.registration;
    for text in &registration.domains {
        if Domain::parse(text).is_none() {
            let text = format!("\"{text}\" is not a domain such as example.com or *.example.com");
            problems.push(ConfigError::new("registration.domains", text));
        }
    }
    match (registration.access, registration.domains.is_empty()) {
        (Access::Domains, true) => problems.push(ConfigError::new(
            "registration.domains",
            "must name a domain when registration.access is \"domains\"",
        )),
        (Access::Open | Access::InviteOnly | Access::Closed, false) => problems.push(ConfigError::new(
            "registration.domains",
            "has a meaning with registration.access = \"domains\" only; remove it",
        )),
        _ => {}
    }
    let life = registration.invitation_ttl;
    if life < Duration::from_secs(60) || life > Registration::LONGEST_INVITATION {
        problems.push(ConfigError::new("registration.invitation_ttl", "must be between 1m and 90d"));
    }
}
