//! `hallpass user`.
mod create;

use super::{Common, Failure, Outcome, confirm, explain, find_user, out};
use crate::account;
use crate::admin::Actor;
use crate::admin::users::{self as others, Link, NewPassword, Reset};
use crate::app::App;
use crate::ids::RowId;
use crate::roles;
use crate::users::{self, User, UserView};
use crate::web::Client;
use clap::{Args, Subcommand};
use create::{Create, PasswordSource};
use serde_json::{Value, json};

/// Makes, shows, closes and removes accounts.
#[derive(Args)]
#[command(after_help = "Examples:\n  hallpass user create --email ann@example.com --role admin\n  \
                  hallpass user show ann@example.com\n  hallpass user disable ann@example.com")]
pub(super) struct UserCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Create(Create),
    /// Accounts, oldest first.
    #[command(after_help = "Examples:\n  hallpass user list\n  hallpass user list --limit 1000 --json")]
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        /// Those after this id, which is the last one of the former page.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// One account.
    #[command(after_help = "Example:\n  hallpass user show ann@example.com --json")]
    Show(Named),
    /// Closes an account and ends its sessions, at once.
    #[command(after_help = "Example:\n  hallpass user disable ann@example.com")]
    Disable(Named),
    /// Opens an account again.
    #[command(after_help = "Example:\n  hallpass user enable ann@example.com")]
    Enable(Named),
    /// Replaces the password, or takes it away and prints a one-time link to choose one. All sessions end.
    #[command(after_help = "Examples:\n  hallpass user set-password ann@example.com\n  \
                      hallpass user set-password ann@example.com --password-stdin < password.txt")]
    SetPassword {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Gives roles and takes them. Counts at once, in sessions that exist too.
    #[command(after_help = "Examples:\n  hallpass user roles ann@example.com --add editor,support\n  \
                      hallpass user roles ann@example.com --remove admin")]
    Roles {
        #[command(flatten)]
        named: Named,
        /// Roles to give, separated by commas.
        #[arg(long, value_delimiter = ',', value_name = "ROLE")]
        add: Vec<String>,
        /// Roles to take, separated by commas.
        #[arg(long, value_delimiter = ',', value_name = "ROLE")]
        remove: Vec<String>,
    },
    /// What proves the owner's identity: password, authenticator app, recovery codes.
    #[command(after_help = "Example:\n  hallpass user factors ann@example.com")]
    Factors(Named),
    /// Removes every second factor of somebody who lost them, ends all sessions and tells the owner by mail. Make sure who asks.
    #[command(after_help = "Example:\n  hallpass user reset-factors ann@example.com --yes")]
    ResetFactors {
        #[command(flatten)]
        named: Named,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Removes an account and everything of it but its audit trail.
    #[command(after_help = "Example:\n  hallpass user delete ann@example.com --yes")]
    Delete {
        #[command(flatten)]
        named: Named,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Which account.
#[derive(Args)]
struct Named {
    /// Id, address or username.
    user: String,
}

impl UserCommand {
    pub(super) fn run(self, common: &Common) -> Outcome {
        match self.action {
            Action::Create(create) => create.run(common),
            Action::List { limit, after } => list(common, limit, after.as_deref()),
            Action::Show(named) => show(common, &named.user),
            Action::Disable(named) => switch(common, &named.user, true),
            Action::Enable(named) => switch(common, &named.user, false),
            Action::SetPassword { named, password } => set_password(common, &named.user, &password),
            Action::Roles { named, add, remove } => set_roles(common, &named.user, &add, &remove),
            Action::Factors(named) => factors(common, &named.user),
            Action::ResetFactors { named, yes } => reset_factors(common, &named.user, yes),
            Action::Delete { named, yes } => delete(common, &named.user, yes),
        }
    }
}

fn list(common: &Common, limit: u16, after: Option<&str>) -> Outcome {
    let cursor = after.map(|text| {
        RowId::parse(text).ok_or_else(|| {
            Failure(format!("--after: \"{text}\" is not an id; take the last one of `hallpass user list`"))
        })
    });
    let cursor = cursor.transpose()?;
    common.with_app(async |app, out| {
        // One more than asked for tells whether there is a next page.
        let catalogue = roles::catalogue(&app, &app.db).await?;
        let mut users = users::list(&app.db, cursor, i64::from(limit) + 1).await?;
        let more = users.len() > usize::from(limit);
        users.truncate(usize::from(limit));
        let views: Vec<UserView> =
            users.iter().map(|user| user.view(&catalogue.grants(&user.roles))).collect();
        let next = views.last().filter(|_| more).map(|view| view.id.clone());
        out.show(&json!({ "users": views, "next": next }), || {
            if views.is_empty() {
                return "There is no user.".into();
            }
            let rows: Vec<_> = views.iter().map(row).collect();
            let table = out::table(["ID", "EMAIL", "USERNAME", "ROLES", "STATUS", "CREATED"], &rows);
            match &next {
                Some(id) => format!("{table}More: hallpass user list --after {id}"),
                None => table,
            }
        })
    })
}

/// The account with what its roles hold.
async fn view(app: &App, user: &User) -> Result<UserView, Failure> {
    Ok(user.view(&roles::grants(app, &app.db, &user.roles).await?))
}

fn row(view: &UserView) -> [String; 6] {
    let email = if view.email_verified { view.email.clone() } else { format!("{} (unverified)", view.email) };
    let username = view.username.clone().unwrap_or_default();
    [view.id.clone(), email, username, view.roles.join(","), view.status.into(), view.created_at.clone()]
}

fn show(common: &Common, named: &str) -> Outcome {
    common.with_app(async |app, out| {
        let user = find_user(&app, named).await?;
        let sessions = crate::sessions::live(&app.db, user.id, app.now()).await?.len();
        let view = view(&app, &user).await?;
        out.show(&json!({ "user": view, "sessions": sessions }), || {
            describe(&view) + &out::pairs([("live sessions", sessions.to_string())])
        })
    })
}

fn describe(view: &UserView) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    out::pairs([
        ("id", view.id.clone()),
        ("email", view.email.clone()),
        ("verified", if view.email_verified { "yes".into() } else { "no".into() }),
        ("username", or_none(&view.username)),
        ("name", or_none(&view.name)),
        ("roles", view.roles.join(", ")),
        (
            "permissions",
            if view.permissions.is_empty() { "none".into() } else { view.permissions.join(", ") },
        ),
        ("status", view.status.into()),
        ("password", if view.factors.contains(&"password") { "set".into() } else { "none".into() }),
        ("created", view.created_at.clone()),
        ("last sign-in", or_none(&view.last_login_at)),
    ])
}

fn switch(common: &Common, named: &str, disabled: bool) -> Outcome {
    common.with_app(async |app, out| {
        let user = find_user(&app, named).await?;
        let client = Client::local();
        let done = others::set_disabled(&app, &Actor::operator(&client), user.id, disabled).await;
        let done = done.map_err(|error| explain(&error))?;
        let value = json!({ "user": view(&app, &done.user).await?, "changed": done.changed, "sessionsEnded": done.ended });
        out.show(&value, || {
            let email = &done.user.email;
            match (disabled, done.changed) {
                (true, true) => format!("Disabled {email}; sessions ended: {}.", done.ended),
                (true, false) => format!("{email} was disabled already."),
                (false, true) => format!("Enabled {email}."),
                (false, false) => format!("{email} was enabled already."),
            }
        })
    })
}

fn set_password(common: &Common, named: &str, source: &PasswordSource) -> Outcome {
    let password = source.read(common.out())?;
    common.with_app(async |app, out| {
        let user = find_user(&app, named).await?;
        if let Some(password) = &password {
            let context = crate::passwords::Context::of(&user);
            let checked = crate::passwords::check_rules(&app, "password", password, &context).await;
            checked.map_err(|error| explain(&error))?;
        } else if user.disabled_at.is_some() {
            let text =
                "a link does not work while the account is disabled; enable it first, or give a password";
            return Err(Failure(text.into()));
        }
        let client = Client::local();
        let new = password.clone().map_or(NewPassword::Link, NewPassword::Chosen);
        let done = others::set_password(&app, &Actor::operator(&client), user.id, new).await;
        let Reset { ended, link, .. } = done.map_err(|error| explain(&error))?;
        let value =
            with_link(json!({ "user": view(&app, &user).await?, "sessionsEnded": ended }), link.as_ref());
        out.show(&value, || match &link {
            None => format!("The password of {} is set; sessions ended: {ended}.", user.email),
            Some(link) => {
                format!("{} has no password now; sessions ended: {ended}.\n{}", user.email, hand_over(link))
            }
        })
    })
}

fn set_roles(common: &Common, named: &str, add: &[String], remove: &[String]) -> Outcome {
    common.with_app(async |app, out| {
        let user = find_user(&app, named).await?;
        let client = Client::local();
        let done = others::change_roles(&app, &Actor::operator(&client), user.id, add, remove).await;
        let done = done.map_err(|error| explain(&error))?;
        let value = json!({ "user": view(&app, &done.user).await?, "changed": done.changed, "beganAnew": done.anew });
        out.show(&with_link(value, done.link.as_ref()), || {
            let mut text = format!("Roles of {}: {}.", done.user.email, done.user.roles.join(", "));
            if done.anew {
                text += "\nAn administrator with fewer rights made this account or answered for its address: its password, factors and \
                         sessions are gone.";
            }
            match &done.link {
                Some(link) => format!("{text}\n{}", hand_over(link)),
                None => text,
            }
        })
    })
}

/// The link among the facts for scripts, if there is one.
fn with_link(mut value: Value, link: Option<&Link>) -> Value {
    if let Some(link) = link {
        value["link"] = link.url.clone().into();
        value["linkExpiresAt"] = link.expires_at.rfc3339().into();
    }
    value
}

/// The link with what to know about it.
fn hand_over(link: &Link) -> String {
    format!(
        "Link to choose a password, good once and until {}:\n  {}\nWhoever opens it owns the account, and the address \
         counts as verified: send it to the owner only.",
        link.expires_at.rfc3339(),
        link.url
    )
}

fn factors(common: &Common, named: &str) -> Outcome {
    common.with_app(async |app, out| {
        let user = find_user(&app, named).await?;
        let view = account::overview(&app, &user).await?;
        out.show(&json!({ "user": user.id, "factors": view }), || {
            let app = view.totp.as_ref().map(|totp| format!("set up {}", totp.created_at));
            let codes = view.recovery_codes.as_ref().map(|codes| format!("{} left", codes.left));
            let passkeys: Vec<&str> = view.passkeys.iter().map(|passkey| passkey.name.as_str()).collect();
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".into());
            out::pairs([
                ("password", if view.password { "set".into() } else { "none".into() }),
                ("authenticator app", or_none(app)),
                ("recovery codes", or_none(codes)),
                ("passkeys", or_none((!passkeys.is_empty()).then(|| passkeys.join(", ")))),
                ("required", if view.required { "yes".into() } else { "no".into() }),
            ])
        })
    })
}

fn reset_factors(common: &Common, named: &str, yes: bool) -> Outcome {
    common.with_app(async |app, out| {
        let user = find_user(&app, named).await?;
        confirm(yes, &format!("From then on the password alone opens the account of {}.", user.email))?;
        let client = Client::local();
        let done = others::reset_factors(&app, &Actor::operator(&client), user.id).await;
        let ended = done.map_err(|error| explain(&error))?;
        let value = json!({ "user": user.id, "sessionsEnded": ended });
        out.show(&value, || {
            format!("Removed every second factor of {}; sessions ended: {ended}.", user.email)
        })
    })
}

fn delete(common: &Common, named: &str, yes: bool) -> Outcome {
    common.with_app(async |app, out| {
        let user = find_user(&app, named).await?;
        confirm(yes, &format!("This removes the account of {} for good.", user.email))?;
        let client = Client::local();
        let done = others::delete(&app, &Actor::operator(&client), user.id).await;
        done.map_err(|error| explain(&error))?;
        let value = json!({ "deleted": user.id, "email": user.email });
        out.show(&value, || format!("Deleted {}.", user.email))
    })
}
