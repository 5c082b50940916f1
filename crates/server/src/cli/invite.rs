//! `hallpass invite`.
use super::{Common, Failure, Outcome, explain, out};
use crate::error::{Code, Error};
use crate::ids::RowId;
use crate::invitations::{self, Actor, Invitation, InvitationView, Invite};
use crate::mail;
use crate::names::{Email, has_control_characters};
use crate::roles::Authority;
use crate::web::Client;
use clap::{Args, Subcommand};
use serde_json::json;
use std::time::Duration;

/// Longest display name in characters.
const NAME_MAX: usize = 100;

/// Invites people by mail, shows invitations and takes them back.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  hallpass invite create --email ann@example.com --role admin --expires 3d\n  \
                  hallpass invite list\n  hallpass invite revoke 01990000-0000-7000-8000-000000000000"
)]
pub(super) struct InviteCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Mails somebody a link with which to have an account.
    #[command(after_help = "Examples:\n  hallpass invite create --email ann@example.com\n  \
                      hallpass invite create --email bob@example.com --name Bob --role admin --expires 3d")]
    Create {
        /// E-mail address.
        #[arg(long)]
        email: String,
        /// Display name; whoever accepts may choose another.
        #[arg(long)]
        name: Option<String>,
        /// Role; may be given several times. Everybody has `user`.
        #[arg(long)]
        role: Vec<String>,
        /// Life of the link, from 1m to 90d; without it `registration.invitation_ttl`.
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// Invitations of every state, oldest first, without their links.
    #[command(after_help = "Examples:\n  hallpass invite list\n  hallpass invite list --limit 1000 --json")]
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        /// Those after this id, which is the last one of the former page.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Mails a new link, which lives from now on; the former one opens nothing any more.
    #[command(after_help = "Example:\n  hallpass invite resend 01990000-0000-7000-8000-000000000000")]
    Resend {
        /// The invitation's id, as `invite list` shows it.
        id: String,
        /// Life of the link, from 1m to 90d; without it `registration.invitation_ttl`.
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// Takes an invitation back, at once.
    #[command(after_help = "Example:\n  hallpass invite revoke 01990000-0000-7000-8000-000000000000")]
    Revoke {
        /// The invitation's id, as `invite list` shows it.
        id: String,
    },
}

impl InviteCommand {
    pub(super) fn run(self, common: &Common) -> Outcome {
        match self.action {
            Action::Create { email, name, role, expires } => {
                create(common, &whom(&email, name, role, expires)?)
            }
            Action::List { limit, after } => list(common, limit, after.as_deref()),
            Action::Resend { id, expires } => resend(common, &id, expires),
            Action::Revoke { id } => revoke(common, &id),
        }
    }
}

fn whom(
    email: &str,
    name: Option<String>,
    roles: Vec<String>,
    life: Option<Duration>,
) -> Result<Invite, Failure> {
    let problem =
        || Failure(format!("--email: \"{email}\" is not an e-mail address such as name@example.com"));
    let email = Email::parse(email).ok_or_else(problem)?;
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.chars().count() > NAME_MAX || has_control_characters(name)) {
        return Err(Failure(format!("--name: use at most {NAME_MAX} characters on one line")));
    }
    Ok(Invite { email, name, roles, life })
}

fn create(common: &Common, invite: &Invite) -> Outcome {
    common.with_app(async |app, out| {
        let client = Client::local();
        let actor = Actor { client: &client, by: Authority::Operator };
        let mut tx = app.db.begin().await?;
        let made = invitations::create(&app, &mut tx, actor, invite).await;
        let made = made.map_err(|error| explain(&error))?;
        mail::commit(&app, tx).await?;
        sent(out, &made, &made.view(app.now()))
    })
}

fn sent(out: out::Out, invitation: &Invitation, view: &InvitationView) -> Outcome {
    out.show(&json!({ "invitation": view }), || {
        format!(
            "{}A mail to {} has the link.",
            out::pairs([
                ("id", view.id.clone()),
                ("email", view.email.clone()),
                ("roles", view.roles.join(", ")),
                ("expires", view.expires_at.clone()),
            ]),
            invitation.email
        )
    })
}

fn id(text: &str) -> Result<RowId, Failure> {
    RowId::parse(text).ok_or_else(|| {
        Failure(format!("\"{text}\" is not the id of an invitation; `hallpass invite list` shows the ids"))
    })
}

fn list(common: &Common, limit: u16, after: Option<&str>) -> Outcome {
    let cursor = after.map(id).transpose()?;
    common.with_app(async |app, out| {
        let now = app.now();
        // One more than asked for tells whether there is a next page.
        let mut found = invitations::list(&app.db, cursor, i64::from(limit) + 1).await?;
        let more = found.len() > usize::from(limit);
        found.truncate(usize::from(limit));
        let views: Vec<InvitationView> = found.iter().map(|one| one.view(now)).collect();
        let next = views.last().filter(|_| more).map(|view| view.id.clone());
        out.show(&json!({ "invitations": views, "next": next }), || {
            if views.is_empty() {
                return "There is no invitation; `hallpass invite create` makes one.".into();
            }
            let rows: Vec<_> = views.iter().map(row).collect();
            let table = out::table(["ID", "EMAIL", "ROLES", "STATE", "BY", "SENT", "EXPIRES"], &rows);
            match &next {
                Some(id) => format!("{table}More: hallpass invite list --after {id}"),
                None => table,
            }
        })
    })
}

fn row(view: &InvitationView) -> [String; 7] {
    let by = view.invited_by.clone().unwrap_or_else(|| "operator".into());
    let (sent, expires) = (view.sent_at.clone(), view.expires_at.clone());
    [view.id.clone(), view.email.clone(), view.roles.join(","), view.state.into(), by, sent, expires]
}

fn explained(id: RowId) -> impl Fn(Error) -> Failure {
    move |error| match error.code {
        Code::NotFound => Failure(format!("there is no invitation {id}")),
        _ => explain(&error),
    }
}

fn resend(common: &Common, text: &str, life: Option<Duration>) -> Outcome {
    let id = id(text)?;
    common.with_app(async |app, out| {
        let client = Client::local();
        let actor = Actor { client: &client, by: Authority::Operator };
        let mut tx = app.db.begin().await?;
        let renewed = invitations::resend(&app, &mut tx, actor, id, life).await;
        let renewed = renewed.map_err(explained(id))?;
        mail::commit(&app, tx).await?;
        sent(out, &renewed, &renewed.view(app.now()))
    })
}

fn revoke(common: &Common, text: &str) -> Outcome {
    let id = id(text)?;
    common.with_app(async |app, out| {
        let client = Client::local();
        let actor = Actor { client: &client, by: Authority::Operator };
        let mut tx = app.db.begin().await?;
        let changed = invitations::revoke(&app, &mut tx, actor, id).await.map_err(explained(id))?;
        tx.commit().await?;
        out.show(&json!({ "revoked": changed }), || {
            let text = if changed {
                "The link opens nothing any more."
            } else {
                "The invitation was revoked already."
            };
            text.into()
        })
    })
}
