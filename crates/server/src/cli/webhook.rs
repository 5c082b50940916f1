//! `hallpass webhook`.
use super::{Common, Failure, Outcome, confirm, explain, out};
use crate::clock::Timestamp;
use crate::error::{Code, Error};
use crate::ids::RowId;
use crate::roles::Authority;
use crate::web::Client;
use crate::webhooks::{self, EndpointView, NewEndpoint, OVERLAP_MAX, State};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::json;
use std::time::Duration;

/// Whose word counts here: whoever owns the machine.
const OPERATOR: Authority<'static> = Authority::Operator;

/// Sets up other systems that are told what happens.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  hallpass webhook create --url https://app.example.com/hooks --event 'user.*'\n  \
                  hallpass webhook list\n  hallpass webhook ping 01990000-0000-7000-8000-000000000000\n\n\
                  What is told, and how to check it: docs/webhooks.md."
)]
pub(super) struct WebhookCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Sets an endpoint up and prints its secret, once.
    #[command(
        after_help = "Examples:\n  hallpass webhook create --url https://app.example.com/hooks --event 'user.*,session.created'\n  \
                      hallpass webhook create --url http://127.0.0.1:4000/hooks --event '*' --name local --json"
    )]
    Create {
        /// Where it is told.
        #[arg(long)]
        url: String,
        /// What it is told: names such as `user.created`, or `user.*`, `session.*`, `*`.
        #[arg(long = "event", required = true, value_delimiter = ',')]
        events: Vec<String>,
        /// What to call it; the host of the address if it is not given.
        #[arg(long)]
        name: Option<String>,
    },
    /// Endpoints, oldest first.
    #[command(after_help = "Example:\n  hallpass webhook list --json")]
    List,
    /// One endpoint.
    #[command(after_help = "Example:\n  hallpass webhook show 01990000-0000-7000-8000-000000000000")]
    Show {
        /// Id, as `list` shows it.
        id: String,
    },
    /// Makes another secret and prints it, once; for a while the former one signs as well.
    #[command(
        after_help = "Example:\n  hallpass webhook rotate-secret 01990000-0000-7000-8000-000000000000 --overlap 24h"
    )]
    RotateSecret {
        /// Id, as `list` shows it.
        id: String,
        /// For how long the former secret signs as well, at most 7d.
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = overlap)]
        overlap: Duration,
    },
    /// Tells an endpoint nothing any more.
    #[command(after_help = "Example:\n  hallpass webhook disable 01990000-0000-7000-8000-000000000000")]
    Disable {
        /// Id, as `list` shows it.
        id: String,
    },
    /// Tells an endpoint again, first what waits.
    #[command(after_help = "Example:\n  hallpass webhook enable 01990000-0000-7000-8000-000000000000")]
    Enable {
        /// Id, as `list` shows it.
        id: String,
    },
    /// Removes an endpoint and all that waits for it.
    #[command(after_help = "Example:\n  hallpass webhook delete 01990000-0000-7000-8000-000000000000 --yes")]
    Delete {
        /// Id, as `list` shows it.
        id: String,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
    /// What an endpoint was told, newest first.
    #[command(
        after_help = "Example:\n  hallpass webhook deliveries 01990000-0000-7000-8000-000000000000 --state dead"
    )]
    Deliveries {
        /// Id of the endpoint.
        id: String,
        /// Those that wait, were delivered, or were given up (dead).
        #[arg(long, value_parser = PossibleValuesParser::new(State::ALL.map(State::name)))]
        state: Option<String>,
        /// Older than this delivery.
        #[arg(long, value_name = "DELIVERY")]
        before: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
    /// Tells one delivery once more, or all that was given up for an endpoint.
    #[command(
        after_help = "Examples:\n  hallpass webhook replay --delivery 01990000-0000-7000-8000-000000000000\n  \
                      hallpass webhook replay --dead 01990000-0000-7000-8000-000000000000 --last 3d"
    )]
    Replay(Replay),
    /// Sends `webhook.ping` at once and says what came of it.
    #[command(after_help = "Example:\n  hallpass webhook ping 01990000-0000-7000-8000-000000000000")]
    Ping {
        /// Id, as `list` shows it.
        id: String,
    },
}

#[derive(Args)]
struct Replay {
    /// Id of one delivery.
    #[arg(long, value_name = "DELIVERY", required_unless_present = "dead", conflicts_with_all = ["dead", "last"])]
    delivery: Option<String>,
    /// Id of an endpoint.
    #[arg(long, value_name = "ENDPOINT")]
    dead: Option<String>,
    /// Only what was given up within this time, such as 3d.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    last: Option<Duration>,
}

fn overlap(text: &str) -> Result<Duration, String> {
    let overlap = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if overlap > OVERLAP_MAX { Err("choose at most 7d".into()) } else { Ok(overlap) }
}

impl WebhookCommand {
    pub(super) fn run(self, common: &Common) -> Outcome {
        match self.action {
            Action::Create { url, events, name } => create(common, &url, &events, name.as_deref()),
            Action::List => list(common),
            Action::Show { id } => show(common, &id),
            Action::RotateSecret { id, overlap } => rotate_secret(common, &id, overlap),
            Action::Disable { id } => switch(common, &id, true),
            Action::Enable { id } => switch(common, &id, false),
            Action::Delete { id, yes } => delete(common, &id, yes),
            Action::Deliveries { id, state, before, limit } => {
                deliveries(common, &id, state.as_deref(), before.as_deref(), limit)
            }
            Action::Replay(replay) => replay.run(common),
            Action::Ping { id } => ping(common, &id),
        }
    }
}

/// Reads an id; `what` names it in the sentence.
fn id_of(text: &str, what: &str) -> Result<RowId, Failure> {
    RowId::parse(text).ok_or_else(|| {
        Failure(format!(
            "\"{text}\" is not the id of {what}; `hallpass webhook list` and `… deliveries` show ids"
        ))
    })
}

fn endpoint_id(text: &str) -> Result<RowId, Failure> {
    id_of(text, "an endpoint")
}

fn explained(id: RowId) -> impl Fn(Error) -> Failure {
    move |error| match error.code {
        Code::NotFound => Failure(format!("there is no {id}")),
        _ => explain(&error),
    }
}

fn create(common: &Common, url: &str, events: &[String], name: Option<&str>) -> Outcome {
    common.with_app(async |app, out| {
        let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let name = name.map(str::to_owned).or(host).unwrap_or_else(|| "webhook".into());
        let new = NewEndpoint { name: &name, url, types: events };
        let mut tx = app.db.begin().await?;
        let made = webhooks::create(&app, &mut tx, OPERATOR, &Client::local(), &new).await;
        let (endpoint, secret) = made.map_err(|error| explain(&error))?;
        webhooks::commit(&app, tx).await?;
        let view = endpoint.view(app.now());
        out.remark("This is the only time that the secret is shown. Servers that run tell the endpoint within 2 seconds.");
        out.show(&json!({ "webhook": view, "secret": *secret }), || {
            let secret = ("secret", secret.to_string());
            out::pairs([
                ("id", view.id.clone()),
                ("name", view.name.clone()),
                ("url", view.url.clone()),
                ("events", view.types.join(", ")),
                secret,
            ])
        })
    })
}

fn list(common: &Common) -> Outcome {
    common.with_app(async |app, out| {
        let now = app.now();
        let endpoints = webhooks::list(&app.db).await?;
        let views: Vec<EndpointView> = endpoints.iter().map(|endpoint| endpoint.view(now)).collect();
        out.show(&json!({ "webhooks": views }), || {
            if views.is_empty() {
                return "There is no webhook; `hallpass webhook create` makes one.".into();
            }
            let rows: Vec<_> = views.iter().map(row).collect();
            out::table(["ID", "NAME", "URL", "EVENTS", "STATUS"], &rows)
        })
    })
}

fn row(view: &EndpointView) -> [String; 5] {
    [view.id.clone(), view.name.clone(), view.url.clone(), view.types.join(","), status(view)]
}

/// With what an operator has to look at.
fn status(view: &EndpointView) -> String {
    match (&view.disabled_reason, &view.full_since, &view.failing_since) {
        (Some(reason), _, _) => format!("disabled ({reason})"),
        (None, Some(since), _) => format!("full since {since}: events are left out"),
        (None, None, Some(since)) => format!("failing since {since}"),
        (None, None, None) => view.status.into(),
    }
}

fn show(common: &Common, text: &str) -> Outcome {
    let id = endpoint_id(text)?;
    common.with_app(async |app, out| {
        let endpoint = webhooks::find(&app.db, id).await.map_err(explained(id))?;
        let view = endpoint.view(app.now());
        out.show(&json!({ "webhook": view }), || {
            out::pairs([
                ("id", view.id.clone()),
                ("name", view.name.clone()),
                ("url", view.url.clone()),
                ("events", view.types.join(", ")),
                ("status", status(&view)),
                ("created", view.created_at.clone()),
                ("former secret until", view.former_secret_until.clone().unwrap_or_else(|| "-".into())),
            ])
        })
    })
}

fn rotate_secret(common: &Common, text: &str, overlap: Duration) -> Outcome {
    let id = endpoint_id(text)?;
    common.with_app(async |app, out| {
        let mut tx = app.db.begin().await?;
        let rotated = webhooks::rotate_secret(&app, &mut tx, OPERATOR, &Client::local(), id, overlap).await;
        let secret = rotated.map_err(explained(id))?;
        webhooks::commit(&app, tx).await?;
        let until = app.now().plus(overlap).rfc3339();
        out.remark("This is the only time that the secret is shown.");
        out.show(&json!({ "secret": *secret, "formerSecretUntil": until }), || {
            out::pairs([("secret", secret.to_string()), ("former secret until", until.clone())])
        })
    })
}

fn switch(common: &Common, text: &str, disabled: bool) -> Outcome {
    let id = endpoint_id(text)?;
    common.with_app(async |app, out| {
        let mut tx = app.db.begin().await?;
        let switched = webhooks::set_disabled(&app, &mut tx, OPERATOR, &Client::local(), id, disabled).await;
        let changed = switched.map_err(explained(id))?;
        webhooks::commit(&app, tx).await?;
        out.show(&json!({ "changed": changed }), || {
            let state = if disabled { "disabled" } else { "enabled" };
            if changed {
                format!("The endpoint is {state}.")
            } else {
                format!("The endpoint was {state} already.")
            }
        })
    })
}

fn delete(common: &Common, text: &str, yes: bool) -> Outcome {
    let id = endpoint_id(text)?;
    confirm(yes, "This removes the endpoint with everything that waits for it.")?;
    common.with_app(async |app, out| {
        let mut tx = app.db.begin().await?;
        let deleted = webhooks::delete(&app, &mut tx, OPERATOR, &Client::local(), id).await;
        deleted.map_err(explained(id))?;
        webhooks::commit(&app, tx).await?;
        out.show(&json!({ "deleted": true }), || "The endpoint is gone.".into())
    })
}

fn deliveries(common: &Common, text: &str, state: Option<&str>, before: Option<&str>, limit: i64) -> Outcome {
    let id = endpoint_id(text)?;
    let before = before.map(|text| id_of(text, "a delivery")).transpose()?;
    let state = state.and_then(|name| State::ALL.into_iter().find(|state| state.name() == name));
    common.with_app(async |app, out| {
        let found = webhooks::deliveries(&app, id, state, before, limit).await.map_err(explained(id))?;
        let views: Vec<_> = found.iter().map(webhooks::Delivery::view).collect();
        out.show(&json!({ "deliveries": views }), || {
            if views.is_empty() {
                return "There is none.".into();
            }
            let rows: Vec<_> = views
                .iter()
                .map(|view| {
                    let next = view.next_attempt_at.clone().unwrap_or_else(|| "-".into());
                    let last = view.last_error.clone().unwrap_or_else(|| "-".into());
                    let attempts = view.attempts.to_string();
                    [view.id.clone(), view.r#type.clone(), view.state.into(), attempts, next, last]
                })
                .collect();
            out::table(["ID", "EVENT", "STATE", "ATTEMPTS", "NEXT ATTEMPT", "LAST ERROR"], &rows)
        })
    })
}

impl Replay {
    fn run(self, common: &Common) -> Outcome {
        let delivery = self.delivery.as_deref().map(|text| id_of(text, "a delivery")).transpose()?;
        let endpoint = self.dead.as_deref().map(endpoint_id).transpose()?;
        common.with_app(async |app, out| {
            let client = Client::local();
            let mut tx = app.db.begin().await?;
            let replayed = match (delivery, endpoint) {
                (Some(id), _) => {
                    let due = webhooks::replay(&app, &mut tx, OPERATOR, &client, None, id).await;
                    u64::from(due.map_err(explained(id))?)
                }
                (None, Some(id)) => {
                    let since = self.last.map_or(Timestamp(0), |last| app.now().minus(last));
                    let many = webhooks::replay_dead(&app, &mut tx, OPERATOR, &client, id, since).await;
                    many.map_err(explained(id))?
                }
                (None, None) => 0,
            };
            tx.commit().await?;
            out.show(&json!({ "replayed": replayed }), || match replayed {
                0 => "Nothing was replayed.".into(),
                1 => "One delivery is told once more, by the next server that runs.".into(),
                many => format!("{many} deliveries are told once more, by the next server that runs."),
            })
        })
    }
}

fn ping(common: &Common, text: &str) -> Outcome {
    let id = endpoint_id(text)?;
    common.with_app(async |app, out| {
        let pinged = webhooks::ping(&app, id).await.map_err(explained(id))?;
        let value = json!({ "taken": pinged.taken, "status": pinged.status, "error": pinged.error });
        out.show(&value, || match (&pinged.error, pinged.status) {
            (Some(error), _) => format!("The endpoint did not take the ping: {error}."),
            (None, Some(status)) => format!("The endpoint took the ping ({status})."),
            (None, None) => "The endpoint took the ping.".into(),
        })?;
        if pinged.taken { Ok(()) } else { Err(Failure::said()) }
    })
}
