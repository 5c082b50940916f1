//! `hallpass sessions`.
use super::{Common, Failure, Outcome, explain, find_user, out};
use crate::admin::Actor;
use crate::admin::users as others;
use crate::ids::SessionId;
use crate::sessions::{self, Session, SessionView};
use crate::web::Client;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

/// Shows and ends sign-ins.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  hallpass sessions list ann@example.com\n  hallpass sessions revoke --user ann@example.com"
)]
pub(super) struct SessionsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Live sessions of a user, oldest first.
    #[command(after_help = "Example:\n  hallpass sessions list ann@example.com")]
    List {
        /// Id, address or username.
        user: String,
    },
    /// Ends one session, or all of a user, at once.
    #[command(
        group = ArgGroup::new("which").required(true).args(["session", "user"]),
        after_help = "Examples:\n  hallpass sessions revoke 01990000-0000-7000-8000-000000000000\n  \
                      hallpass sessions revoke --user ann@example.com"
    )]
    Revoke {
        /// The session's id, as `sessions list` shows it.
        session: Option<String>,
        /// All sessions of this user: id, address or username.
        #[arg(long)]
        user: Option<String>,
    },
}

impl SessionsCommand {
    pub(super) fn run(self, common: &Common) -> Outcome {
        match self.action {
            Action::List { user } => list(common, &user),
            Action::Revoke { user: Some(user), .. } => revoke_all(common, &user),
            Action::Revoke { session, .. } => revoke(common, &session.unwrap_or_default()),
        }
    }
}

fn list(common: &Common, named: &str) -> Outcome {
    common.with_app(async |app, out| {
        let user = find_user(&app, named).await?;
        let sessions = sessions::live(&app.db, user.id, app.now()).await?;
        let views: Vec<SessionView> = sessions.iter().map(Session::view).collect();
        out.show(&json!({ "sessions": views }), || {
            if views.is_empty() {
                return format!("{} has no live session.", user.email);
            }
            let rows: Vec<_> = views.iter().map(row).collect();
            out::table(["ID", "DEVICE", "ADDRESS", "BEGAN", "LAST SEEN", "EXPIRES"], &rows)
        })
    })
}

fn row(view: &SessionView) -> [String; 6] {
    let device = view.device_name.clone();
    let device =
        device.unwrap_or_else(|| sessions::device::describe(view.user_agent.as_deref().unwrap_or_default()));
    let (id, ip) = (view.id.clone(), view.ip.clone());
    [id, device, ip, view.created_at.clone(), view.last_seen_at.clone(), view.expires_at.clone()]
}

fn revoke(common: &Common, id: &str) -> Outcome {
    let session = SessionId::parse(id).ok_or_else(|| {
        Failure(format!("\"{id}\" is not the id of a session; `hallpass sessions list <user>` shows the ids"))
    })?;
    common.with_app(async |app, out| {
        let gone = || Failure(format!("there is no live session {session}; it may have ended already"));
        let found =
            sessions::find_live(&app.db, session, app.now()).await.map_err(|error| explain(&error))?;
        let user = found.ok_or_else(gone)?.user_id;
        let client = Client::local();
        let ended = others::end_session(&app, &Actor::operator(&client), user, session).await;
        if !ended.map_err(|error| explain(&error))? {
            return Err(gone());
        }
        out.show(&json!({ "revoked": 1 }), || "The session has ended.".into())
    })
}

fn revoke_all(common: &Common, named: &str) -> Outcome {
    common.with_app(async |app, out| {
        let user = find_user(&app, named).await?;
        let client = Client::local();
        let revoked = others::end_sessions(&app, &Actor::operator(&client), user.id).await;
        let revoked = revoked.map_err(|error| explain(&error))?;
        out.show(&json!({ "revoked": revoked }), || {
            format!("Ended all sessions of {}: {revoked}.", user.email)
        })
    })
}
