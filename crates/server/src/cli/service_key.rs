//! `hallpass service-key`.
use super::{Common, Failure, Outcome, explain, out};
use crate::error::Code;
use crate::ids::RowId;
use crate::roles::Authority;
use crate::service_keys::{self, MOST_LIFE, NewKey, Scope, ServiceKeyView};
use crate::web::Client;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::json;
use std::time::Duration;

/// Makes, shows and ends the keys with which other services call.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  hallpass service-key create --name billing --scope revocations,introspect\n  \
                  hallpass service-key list\n  hallpass service-key revoke 01990000-0000-7000-8000-000000000000"
)]
pub(super) struct ServiceKeyCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Makes a key and prints it, once.
    #[command(
        after_help = "Examples:\n  hallpass service-key create --name billing --scope revocations,introspect --expires 90d\n  \
                      hallpass service-key create --name gateway --scope introspect --json"
    )]
    Create {
        /// What to call it; usually the service that gets it.
        #[arg(long)]
        name: String,
        /// What it allows: `revocations` to follow what was revoked, `introspect` to ask about one
        /// token, `authorize` to ask whether a token allows something.
        #[arg(long, required = true, value_delimiter = ',', value_parser = scopes())]
        scope: Vec<String>,
        /// End of its life, such as 90d; without it the key is good until it is revoked.
        #[arg(long, value_name = "DURATION", value_parser = life)]
        expires: Option<Duration>,
    },
    /// Keys, oldest first, without their secrets.
    #[command(after_help = "Example:\n  hallpass service-key list --json")]
    List,
    /// Ends a key, at once.
    #[command(after_help = "Example:\n  hallpass service-key revoke 01990000-0000-7000-8000-000000000000")]
    Revoke {
        /// The key's id, as `service-key list` shows it.
        id: String,
    },
}

fn scopes() -> PossibleValuesParser {
    PossibleValuesParser::new(Scope::ALL.map(Scope::name))
}

fn life(text: &str) -> Result<Duration, String> {
    let life = humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 90d or 12h"))?;
    let fits = life >= Duration::from_secs(1) && life <= MOST_LIFE;
    fits.then_some(life).ok_or_else(|| "choose from 1s to 3650d".into())
}

impl ServiceKeyCommand {
    pub(super) fn run(self, common: &Common) -> Outcome {
        match self.action {
            Action::Create { name, scope, expires } => create(common, &name, &scope, expires),
            Action::List => list(common),
            Action::Revoke { id } => revoke(common, &id),
        }
    }
}

fn create(common: &Common, name: &str, scopes: &[String], life: Option<Duration>) -> Outcome {
    let scopes: Vec<Scope> = scopes.iter().filter_map(|name| Scope::from_name(name)).collect();
    common.with_app(async |app, out| {
        let new = NewKey { name, scopes: &scopes, life };
        let mut tx = app.db.begin().await?;
        let made = service_keys::create(&app, &mut tx, Authority::Operator, &Client::local(), &new).await;
        let (key, secret) = made.map_err(|error| explain(&error))?;
        tx.commit().await?;
        let view = key.view(app.now());
        out.remark(
            "This is the only time that the key is shown; keep it where the service keeps its secrets.",
        );
        out.show(&json!({ "serviceKey": view, "key": secret }), || {
            let end = view.expires_at.clone().unwrap_or_else(|| "never".into());
            out::pairs([
                ("id", view.id.clone()),
                ("name", view.name.clone()),
                ("scopes", view.scopes.join(", ")),
                ("expires", end),
                ("key", secret.clone()),
            ])
        })
    })
}

fn list(common: &Common) -> Outcome {
    common.with_app(async |app, out| {
        let now = app.now();
        let keys = service_keys::list(&app.db).await?;
        let views: Vec<ServiceKeyView> = keys.iter().map(|key| key.view(now)).collect();
        out.show(&json!({ "serviceKeys": views }), || {
            if views.is_empty() {
                return "There is no service key; `hallpass service-key create` makes one.".into();
            }
            let rows: Vec<_> = views.iter().map(row).collect();
            out::table(["ID", "NAME", "SCOPES", "STATE", "CREATED", "EXPIRES", "LAST USED"], &rows)
        })
    })
}

fn row(view: &ServiceKeyView) -> [String; 7] {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let (expires, used) = (or_none(&view.expires_at), or_none(&view.last_used_at));
    let scopes = view.scopes.join(",");
    [view.id.clone(), view.name.clone(), scopes, view.state.into(), view.created_at.clone(), expires, used]
}

fn revoke(common: &Common, text: &str) -> Outcome {
    let id = RowId::parse(text).ok_or_else(|| {
        Failure(format!(
            "\"{text}\" is not the id of a service key; `hallpass service-key list` shows the ids"
        ))
    })?;
    common.with_app(async |app, out| {
        let mut tx = app.db.begin().await?;
        let done = service_keys::revoke(&app, &mut tx, Authority::Operator, &Client::local(), id).await;
        let changed = done.map_err(|error| match error.code {
            Code::NotFound => Failure(format!("there is no service key {id}")),
            _ => explain(&error),
        })?;
        tx.commit().await?;
        out.show(&json!({ "revoked": changed }), || {
            if changed {
                "The key opens nothing any more.".into()
            } else {
                "The key was revoked already.".into()
            }
        })
    })
}
