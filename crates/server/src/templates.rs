//! Mail and page templates: built in, each replaceable by a file of the same relative name, compiled at start.
//!
//! The language is Jinja's (minijinja), without blocks and includes: an `.html` template is the inside of the
//! `layout.html` of its folder, which prints it as `{{ content }}`. `.html` is escaped, `.txt` is not.
//! The first line of a mail's `.txt` is `Subject: …`. Mails see `product`, `subject` and `mail.*`, pages `product` and
//! `page.*`. Filters beside the usual ones: `3|count("hour")` gives `3 hours`, `10800|lasting` as well, `mail.at|moment` a date for people.
use minijinja::value::{Serde, Value as Jinja};
use minijinja::{Environment, Error, UndefinedBehavior, context};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Embeds files of the `templates` folder under their relative names.
macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../templates/", $name)))),+]
    };
}

/// Every template: its name and its built-in text.
const BUILT_IN: &[(&str, &str)] = embedded![
    "mail/layout.html",
    "mail/account_deleted.html",
    "mail/account_deleted.txt",
    "mail/account_exists.html",
    "mail/account_exists.txt",
    "mail/email_change_confirm.html",
    "mail/email_change_confirm.txt",
    "mail/email_change_notice.html",
    "mail/email_change_notice.txt",
    "mail/email_change_undone.html",
    "mail/email_change_undone.txt",
    "mail/email_changed.html",
    "mail/email_changed.txt",
    "mail/invitation.html",
    "mail/invitation.txt",
    "mail/impersonated.html",
    "mail/impersonated.txt",
    "mail/new_device.html",
    "mail/new_device.txt",
    "mail/passkey_added.html",
    "mail/passkey_added.txt",
    "mail/passkey_cloned.html",
    "mail/passkey_cloned.txt",
    "mail/passkey_removed.html",
    "mail/passkey_removed.txt",
    "mail/factor_changed.html",
    "mail/factor_changed.txt",
    "mail/password_changed.html",
    "mail/password_changed.txt",
    "mail/password_reset.html",
    "mail/password_reset.txt",
    "mail/password_wanted.html",
    "mail/password_wanted.txt",
    "mail/recovery_code_used.html",
    "mail/recovery_code_used.txt",
    "mail/refresh_token_reused.html",
    "mail/refresh_token_reused.txt",
    "mail/sign_in_disowned.html",
    "mail/sign_in_disowned.txt",
    "mail/sign_in_code.html",
    "mail/sign_in_code.txt",
    "mail/sign_in_link.html",
    "mail/sign_in_link.txt",
    "mail/sign_in_stopped.html",
    "mail/sign_in_stopped.txt",
    "mail/username_changed.html",
    "mail/username_changed.txt",
    "mail/verify_email.html",
    "mail/verify_email.txt",
    "mail/welcome.html",
    "mail/welcome.txt",
    "pages/layout.html",
    "pages/action.html",
    "pages/mailbox.html",
    "pages/message.html",
];

/// Instructions that one rendering may take; the largest built-in page, a full dev mailbox, needs a tenth.
const FUEL: u64 = 1_000_000;

/// The compiled templates.
pub struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// Compiles every template, with the files of the `overrides` folder in place of those of the same name.
    ///
    /// # Errors
    /// A sentence for the operator that names the broken or unreadable file.
    pub fn load(overrides: Option<&Path>) -> Result<Self, String> {
        let mut environment = Environment::new();
        // A name that a template misspells is a mistake to show, not a gap to mail.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("count", count);
        environment.add_filter("lasting", lasting);
        environment.add_filter("moment", moment);
        for (name, text) in BUILT_IN {
            let replaced = match overrides {
                Some(folder) => replacement(&folder.join(name))?,
                None => None,
            };
            let result = match replaced {
                Some(text) => environment.add_template_owned(*name, text),
                None => environment.add_template(name, text),
            };
            result.map_err(|error| sentence(overrides, name, &error))?;
        }
        Ok(Self { environment })
    }

    /// Renders a template, `.html` inside the layout of its folder.
    ///
    /// # Errors
    /// An unknown template, or one that an override broke in a way that shows only now.
    pub fn render(&self, name: &str, context: &Value) -> Result<String, Error> {
        let context = Jinja::from(Serde(context));
        let inside = self.environment.get_template(name)?.render(context.clone())?;
        let Some((folder, _)) = name.strip_suffix(".html").and_then(|name| name.rsplit_once('/')) else {
            return Ok(inside);
        };
        // Safe: the inside was escaped while it was rendered.
        let context = context! { content => Jinja::from_safe_string(inside), ..context };
        self.environment.get_template(&format!("{folder}/layout.html"))?.render(context)
    }

    /// Names of all templates, for documentation and for checks of an override folder.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }
}

/// The text of an override, if there is one.
fn replacement(file: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("the template {} cannot be read: {error}", file.display())),
    }
}

fn sentence(overrides: Option<&Path>, name: &str, error: &Error) -> String {
    let file = overrides.map_or_else(|| Path::new(name).to_owned(), |folder| folder.join(name));
    let line = error.line().map_or_else(String::new, |line| format!(", line {line}"));
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("the template {}{line} is broken: {what}", file.display())
}

/// `1 hour`, `3 hours`; nothing rounds up to `less than one hour`.
fn count(number: u64, unit: &str) -> String {
    match number {
        0 => format!("less than one {unit}"),
        1 => format!("1 {unit}"),
        _ => format!("{number} {unit}s"),
    }
}

/// `5 minutes`, `24 hours`: seconds for people, who are never told more than there is.
pub fn lasting(seconds: u64) -> String {
    match seconds {
        0..60 => count(seconds, "second"),
        7200.. => count(seconds / 3600, "hour"),
        _ => count(seconds / 60, "minute"),
    }
}

/// `1 January 2026 at 09:05 UTC` from RFC 3339; what is none stays as it is.
fn moment(at: &str) -> String {
    let form = format_description!("[day padding:none] [month repr:long] [year] at [hour]:[minute] UTC");
    OffsetDateTime::parse(at, &Rfc3339)
        .ok()
        .and_then(|at| at.to_offset(time::UtcOffset::UTC).format(form).ok())
        .unwrap_or_else(|| at.to_owned())
}
