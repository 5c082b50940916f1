//! `hallpass user create`, and where passwords come from.
use super::super::out::Out;
use super::super::{Common, Failure, Outcome, explain};
use super::{describe, hand_over, with_link};
use crate::admin::Actor;
use crate::admin::users::{self as others, NewAccount};
use crate::app::App;
use crate::hashing::Password;
use crate::names::{Email, USERNAME_RULE, Username, has_control_characters};
use crate::passwords::{self, Context};
use crate::web::Client;
use clap::Args;
use serde_json::json;
use std::io::BufRead;
use zeroize::Zeroizing;

/// Longest line that is read as a password.
const PASSWORD_MAX_BYTES: u64 = 1024;
/// Longest display name in characters.
const NAME_MAX: usize = 100;

/// Where a new password comes from.
#[derive(Args)]
pub(super) struct PasswordSource {
    /// Read the password from the first line of standard input.
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,
    /// The password itself. Others on this machine can see it in the list of processes; prefer --password-stdin.
    #[arg(long)]
    password: Option<String>,
}

impl PasswordSource {
    /// The password; `None` asks for a link.
    pub(super) fn read(&self, out: Out) -> Result<Option<Password>, Failure> {
        if let Some(password) = &self.password {
            out.remark("warning: --password shows in the list of processes and in the shell's history; use --password-stdin");
            return Ok(Some(Zeroizing::new(password.clone())));
        }
        if !self.password_stdin {
            return Ok(None);
        }
        let mut line = Zeroizing::new(Vec::with_capacity(2048));
        let mut input = std::io::Read::take(std::io::stdin().lock(), PASSWORD_MAX_BYTES + 3);
        input.read_until(b'\n', &mut line)?;
        let text =
            std::str::from_utf8(&line).map_err(|_| Failure("the password is not UTF-8 text".into()))?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        match text.len() as u64 {
            0 => Err(Failure("there is no password on standard input; write it there as one line".into())),
            1..=PASSWORD_MAX_BYTES => Ok(Some(Zeroizing::new(text.to_owned()))),
            _ => Err(Failure(format!("the password may have at most {PASSWORD_MAX_BYTES} bytes"))),
        }
    }
}

/// Makes an account. Without a password it prints a one-time link to choose one.
#[derive(Args)]
#[command(after_help = "Examples:\n  hallpass user create --email ann@example.com --role admin\n  \
                  hallpass user create --email bob@example.com --username bob --password-stdin < password.txt")]
pub(super) struct Create {
    /// E-mail address.
    #[arg(long)]
    email: String,
    #[command(flatten)]
    password: PasswordSource,
    /// Public name for signing in.
    #[arg(long)]
    username: Option<String>,
    /// Display name.
    #[arg(long)]
    name: Option<String>,
    /// Role; may be given several times. Everybody has `user`.
    #[arg(long)]
    role: Vec<String>,
    /// The address was not checked: the owner has to prove it.
    #[arg(long)]
    unverified: bool,
}

impl Create {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let password = self.password.read(common.out())?;
        common.with_app(async |app, out| {
            let account = self.account(&app, password).await?;
            let client = Client::local();
            let made = others::create(&app, &Actor::operator(&client), &account).await;
            let (user, link) = made.map_err(|error| explain(&error))?;
            let view = super::view(&app, &user).await?;
            let value = with_link(json!({ "user": view }), link.as_ref());
            out.show(&value, || match &link {
                Some(link) => format!("{}{}", describe(&view), hand_over(link)),
                None => describe(&view),
            })
        })
    }

    /// What to make, or every problem with it.
    async fn account(self, app: &App, password: Option<Password>) -> Result<NewAccount, Failure> {
        let mut problems = Vec::new();
        let email = Email::parse(&self.email);
        if email.is_none() {
            problems.push(format!(
                "--email: \"{}\" is not an e-mail address such as name@example.com",
                self.email
            ));
        }
        let username = self.username.as_deref().and_then(Username::parse);
        if self.username.is_some() && username.is_none() {
            problems.push(format!("--username: {USERNAME_RULE}"));
        }
        let name = self.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        if name.is_some_and(|name| name.chars().count() > NAME_MAX || has_control_characters(name)) {
            problems.push(format!("--name: use at most {NAME_MAX} characters on one line"));
        }
        if let Some(password) = &password {
            let context = Context { email: &self.email, username: self.username.as_deref(), name };
            if let Err(error) = passwords::check_rules(app, "password", password, &context).await {
                if error.fields.is_empty() {
                    return Err(Failure(error.to_string()));
                }
                problems.extend(error.fields.iter().map(|one| format!("password: {}", one.message)));
            }
        }
        match email {
            Some(email) if problems.is_empty() => Ok(NewAccount {
                email,
                username,
                name: name.map(str::to_owned),
                password,
                roles: self.role,
                verified: !self.unverified,
            }),
            _ => Err(Failure(problems.join("\n"))),
        }
    }
}
