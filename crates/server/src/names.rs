//! E-mail addresses and usernames: parsed once at the edge, with the normalised twin that makes them unique.

/// An e-mail address as typed and as compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// As typed, without surrounding space: where mail goes.
    pub typed: String,
    /// Lower case, domain in ASCII (IDNA): what is unique and looked up.
    pub normalised: String,
}

/// Longest address (RFC 5321 4.5.3.1.3, less the angle brackets).
pub const EMAIL_MAX: usize = 254;
const LOCAL_MAX: usize = 64;

impl Email {
    /// Parses `local@domain` with an unquoted ASCII local part; `None` when mail could not be sent to it.
    pub fn parse(text: &str) -> Option<Self> {
        let typed = text.trim();
        let (local, domain) = typed.rsplit_once('@')?;
        if typed.len() > EMAIL_MAX || !is_local(local) {
            return None;
        }
        let url::Host::Domain(domain) = url::Host::parse(domain).ok()? else { return None };
        if domain.starts_with('.') || domain.ends_with('.') || domain.len() > 253 {
            return None;
        }
        // The length of what mail is sent to: a domain grows when it is written in ASCII.
        if local.len() + 1 + domain.len() > EMAIL_MAX {
            return None;
        }
        lettre::Address::new(local, domain.as_str()).ok()?;
        Some(Self {
            typed: format!("{local}@{domain}"),
            normalised: format!("{}@{domain}", local.to_lowercase()),
        })
    }

    /// The part before the `@`, as a word that no password may consist of.
    pub fn local(&self) -> &str {
        self.typed.split('@').next().unwrap_or_default()
    }
}

/// An RFC 5321 dot-string.
fn is_local(local: &str) -> bool {
    let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    local.len() <= LOCAL_MAX && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext))
}

/// A username as typed and as compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    /// As typed.
    pub typed: String,
    /// Lower case: what is unique and looked up.
    pub normalised: String,
}

/// What a username may be, as a sentence.
pub const USERNAME_RULE: &str =
    "Use 3 to 32 letters, digits, dots, dashes or underscores, beginning with a letter or digit.";

impl Username {
    /// Parses; ASCII only, so that no two names look alike, and never an `@`, so that none looks like an address.
    pub fn parse(text: &str) -> Option<Self> {
        let typed = text.trim();
        let valid = (3..=32).contains(&typed.len())
            && typed.starts_with(|c: char| c.is_ascii_alphanumeric())
            && typed.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        valid.then(|| Self { typed: typed.to_owned(), normalised: typed.to_ascii_lowercase() })
    }
}

/// Whether a text has characters that no single line for people needs: controls and direction overrides.
pub fn has_control_characters(text: &str) -> bool {
    text.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    })
}
