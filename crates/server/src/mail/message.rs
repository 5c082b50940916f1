//! Every mail that the server sends, and how it becomes text.
use crate::templates::Templates;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// One variant per mail, with what it tells. Durations are whole units, for people.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Message {
    /// Link and code that prove the mailbox.
    VerifyEmail {
        /// Opens the page that confirms.
        link: String,
        /// Six digits.
        code: String,
        /// Life of the link.
        link_seconds: u64,
        /// Life of the code.
        code_seconds: u64,
    },
    /// Somebody registered with, or moved to, an address that has an account.
    AccountExists {
        /// Where a forgotten password is replaced.
        reset_link: String,
    },
    /// The account is ready.
    Welcome {},
    /// Link to replace a forgotten password.
    PasswordReset {
        /// Opens the page that asks for the new password.
        link: String,
        /// Life of the link.
        seconds: u64,
    },
    /// The account has no password, or none any more: link to choose one.
    PasswordWanted {
        /// Opens the page that asks for the new password.
        link: String,
        /// Life of the link.
        seconds: u64,
    },
    /// The password is another one now.
    PasswordChanged {
        /// RFC 3339.
        at: String,
        /// Of the client.
        ip: String,
        /// Of the client, for people.
        device: String,
    },
    /// A passkey was enrolled.
    PasskeyAdded(PasskeyNotice),
    /// A passkey was removed.
    PasskeyRemoved(PasskeyNotice),
    /// The counter of a passkey did not grow.
    PasskeyCloned(PasskeyNotice),
    /// The username is another one now, or there is none any more.
    UsernameChanged {
        /// The new one.
        username: Option<String>,
        /// RFC 3339.
        at: String,
        /// Of the client.
        ip: String,
        /// Of the client, for people.
        device: String,
    },
    /// Link with which to have an account.
    Invitation {
        /// Opens the page that asks for a password.
        link: String,
        /// Life of the link.
        seconds: u64,
    },
    /// To the new address: prove that it is yours.
    EmailChangeConfirm {
        /// Opens the page that confirms.
        link: String,
        /// Life of the link.
        seconds: u64,
    },
    /// To the present address: a change was asked for.
    EmailChangeNotice {
        /// The address to be.
        new_email: String,
        /// Opens the page that takes the change back.
        undo_link: String,
        /// Life of the link.
        days: u64,
    },
    /// To the former address: an operator or administrator has put another one in its place.
    EmailChanged {
        /// The present address.
        new_email: String,
        /// RFC 3339.
        at: String,
        /// Who did it, in words.
        device: String,
    },
    /// To the former address: it is the present one again.
    EmailChangeUndone {},
    /// A session was ended because one of its refresh tokens came twice.
    RefreshTokenReused {
        /// RFC 3339.
        at: String,
        /// Of the client that came second.
        ip: String,
        /// Of that client, for people.
        device: String,
    },
    /// A sign-in on a device that the account had not been used with.
    NewDevice {
        /// RFC 3339.
        at: String,
        /// Of the client.
        ip: String,
        /// Where that is, if the server can tell.
        place: Option<String>,
        /// Of the client, in our own words: what it calls itself is its own choice.
        device: String,
        /// Opens the page that ends the sign-in.
        link: String,
        /// Life of the link.
        days: u64,
    },
    /// An administrator signed in as the user.
    Impersonated {
        /// RFC 3339.
        at: String,
        /// When it ends at the latest, RFC 3339.
        until: String,
        /// Why, in the administrator's words.
        reason: String,
    },
    /// The owner said that a sign-in was somebody else's, and it was ended.
    SignInDisowned {
        /// Where a password is set.
        reset_link: String,
    },
    /// A second factor was added or removed.
    FactorChanged {
        /// `added`, `removed` or `reset`.
        change: &'static str,
        /// `totp`, `recovery_code`, `passkey` or `all`.
        factor: &'static str,
        /// RFC 3339.
        at: String,
        /// Of the client.
        ip: String,
        /// Of the client, for people.
        device: String,
    },
    /// A recovery code stood in for a second factor.
    RecoveryCodeUsed {
        /// How many can still be used.
        left: i64,
        /// Whether it is time to make new ones.
        few: bool,
        /// RFC 3339.
        at: String,
        /// Of the client.
        ip: String,
        /// Of the client, for people.
        device: String,
    },
    /// A code that finishes a sign-in, or proves identity again.
    SignInCode {
        /// Six digits.
        code: String,
        /// Life of the code.
        seconds: u64,
        /// Of the client.
        ip: String,
        /// Of the client, for people.
        device: String,
    },
    /// Link and code that sign in without a password.
    SignInLink {
        /// Opens the page that signs in.
        link: String,
        /// Six digits.
        code: String,
        /// Life of the link.
        link_seconds: u64,
        /// Life of the code.
        code_seconds: u64,
        /// Of the client.
        ip: String,
        /// Of the client, for people.
        device: String,
    },
    /// Somebody passed the first step of a sign-in and failed at the second.
    SignInStopped {
        /// RFC 3339.
        at: String,
        /// Of the client.
        ip: String,
        /// Of the client, for people.
        device: String,
    },
    /// The account is gone.
    AccountDeleted {},
}

/// What a mail about a passkey tells.
#[derive(Clone, Debug, Serialize)]
pub struct PasskeyNotice {
    /// What its owner calls it.
    pub name: String,
    /// RFC 3339.
    pub at: String,
    /// Of the client.
    pub ip: String,
    /// Of the client, for people.
    pub device: String,
}

/// A mail as text, before it is addressed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl Message {
    /// Stable name: of the templates, and in the outbox.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::AccountExists { .. } => "account_exists",
            Self::Welcome {} => "welcome",
            Self::PasswordReset { .. } => "password_reset",
            Self::PasswordWanted { .. } => "password_wanted",
            Self::PasswordChanged { .. } => "password_changed",
            Self::PasskeyAdded(_) => "passkey_added",
            Self::PasskeyRemoved(_) => "passkey_removed",
            Self::PasskeyCloned(_) => "passkey_cloned",
            Self::UsernameChanged { .. } => "username_changed",
            Self::Invitation { .. } => "invitation",
            Self::EmailChangeConfirm { .. } => "email_change_confirm",
            Self::EmailChangeNotice { .. } => "email_change_notice",
            Self::EmailChanged { .. } => "email_changed",
            Self::EmailChangeUndone {} => "email_change_undone",
            Self::RefreshTokenReused { .. } => "refresh_token_reused",
            Self::NewDevice { .. } => "new_device",
            Self::Impersonated { .. } => "impersonated",
            Self::SignInDisowned { .. } => "sign_in_disowned",
            Self::FactorChanged { .. } => "factor_changed",
            Self::RecoveryCodeUsed { .. } => "recovery_code_used",
            Self::SignInCode { .. } => "sign_in_code",
            Self::SignInLink { .. } => "sign_in_link",
            Self::SignInStopped { .. } => "sign_in_stopped",
            Self::AccountDeleted {} => "account_deleted",
        }
    }

    /// Renders subject, text and HTML.
    ///
    /// # Errors
    /// A broken override.
    pub fn render(&self, templates: &Templates, product: &str) -> Result<Rendered, minijinja::Error> {
        let kind = self.kind();
        let mut context = json!({ "product": one_line(product), "mail": self });
        let whole = templates.render(&format!("mail/{kind}.txt"), &context)?;
        let (subject, text) = split(&whole).ok_or_else(|| no_subject(kind))?;
        context["subject"] = json!(subject);
        let html = templates.render(&format!("mail/{kind}.html"), &context)?;
        Ok(Rendered { subject, text: text.to_owned(), html })
    }

    /// One of each, to try the templates with.
    pub fn samples() -> [Self; 25] {
        let link = || "https://auth.example.com/page?token=sample".to_owned();
        let at = || "2026-01-01T00:00:00Z".to_owned();
        let (ip, device) = (|| "192.0.2.1".to_owned(), || "Firefox on Linux".to_owned());
        let passkey = || PasskeyNotice { name: "Telephone".into(), at: at(), ip: ip(), device: device() };
        [
            Self::VerifyEmail {
                link: link(),
                code: "123456".into(),
                link_seconds: 86_400,
                code_seconds: 1800,
            },
            Self::AccountExists { reset_link: link() },
            Self::Welcome {},
            Self::PasswordReset { link: link(), seconds: 1800 },
            Self::PasswordWanted { link: link(), seconds: 1800 },
            Self::PasswordChanged { at: at(), ip: ip(), device: device() },
            Self::PasskeyAdded(passkey()),
            Self::PasskeyRemoved(passkey()),
            Self::PasskeyCloned(passkey()),
            Self::UsernameChanged { username: Some("ann".into()), at: at(), ip: ip(), device: device() },
            Self::Invitation { link: link(), seconds: 604_800 },
            Self::EmailChangeConfirm { link: link(), seconds: 86_400 },
            Self::EmailChangeNotice { new_email: "new@example.com".into(), undo_link: link(), days: 7 },
            Self::EmailChanged {
                new_email: "new@example.com".into(),
                at: at(),
                device: "an administrator".into(),
            },
            Self::EmailChangeUndone {},
            Self::RefreshTokenReused { at: at(), ip: ip(), device: device() },
            Self::NewDevice {
                at: at(),
                ip: ip(),
                place: Some("Linköping, Sweden".into()),
                device: device(),
                link: link(),
                days: 7,
            },
            Self::Impersonated {
                at: at(),
                until: at(),
                reason: "Ticket 4711: the invoice is not shown".into(),
            },
            Self::SignInDisowned { reset_link: link() },
            Self::FactorChanged { change: "added", factor: "totp", at: at(), ip: ip(), device: device() },
            Self::RecoveryCodeUsed { left: 3, few: true, at: at(), ip: ip(), device: device() },
            Self::SignInCode { code: "123456".into(), seconds: 300, ip: ip(), device: device() },
            Self::SignInLink {
                link: link(),
                code: "123456".into(),
                link_seconds: 600,
                code_seconds: 300,
                ip: ip(),
                device: device(),
            },
            Self::SignInStopped { at: at(), ip: ip(), device: device() },
            Self::AccountDeleted {},
        ]
    }
}

/// Subject and text of a rendered `.txt`.
fn split(whole: &str) -> Option<(String, &str)> {
    let (first, text) = whole.split_once('\n')?;
    let subject = one_line(first.strip_prefix("Subject:")?);
    (!subject.is_empty()).then(|| (subject, text.trim_start_matches(['\r', '\n'])))
}

fn no_subject(kind: &str) -> minijinja::Error {
    let detail = format!("mail/{kind}.txt must begin with a line \"Subject: …\" and go on below it");
    minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, detail)
}

/// What goes into a header has no line breaks and no other controls, so that it cannot become two headers.
pub(super) fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}
