//! `hallpass role`.
use super::{Common, Failure, Outcome, confirm, explain, out};
use crate::error::Code;
use crate::roles::{self, Authority, Definition, Expected, Role, RoleView};
use crate::web::Client;
use clap::{Args, Subcommand};
use serde_json::json;

/// Defines roles: which permissions each holds. `hallpass user roles` gives them to people.
#[derive(Args)]
#[command(after_help = "Examples:\n  hallpass role set editor --permission articles:*,comments:delete\n  \
                  hallpass role list\n  hallpass user roles ann@example.com --add editor")]
pub(super) struct RoleCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Roles and what they hold.
    #[command(after_help = "Example:\n  hallpass role list --json")]
    List,
    /// Defines a role, or says anew what it holds. Counts at once for everybody who has it.
    #[command(
        after_help = "Examples:\n  hallpass role set editor --permission articles:read,articles:write\n  \
                      hallpass role set support --permission 'hallpass:users:*' --description \"First line\""
    )]
    Set {
        /// Its name, such as editor.
        name: String,
        /// All permissions that it holds, separated by commas: resource:action, where * stands for a whole segment.
        #[arg(long, value_delimiter = ',')]
        permission: Vec<String>,
        /// For people.
        #[arg(long)]
        description: Option<String>,
    },
    /// Removes a role that nobody has.
    #[command(after_help = "Example:\n  hallpass role delete editor --yes")]
    Delete {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

impl RoleCommand {
    pub(super) fn run(self, common: &Common) -> Outcome {
        match self.action {
            Action::List => list(common),
            Action::Set { name, permission, description } => set(common, &name, permission, description),
            Action::Delete { name, yes } => delete(common, &name, yes),
        }
    }
}

fn list(common: &Common) -> Outcome {
    common.with_app(async |app, out| {
        let roles = roles::list(&app.db).await?;
        let views: Vec<RoleView> = roles.iter().map(Role::view).collect();
        out.show(&json!({ "roles": views }), || {
            let rows: Vec<_> = views.iter().map(row).collect();
            out::table(["NAME", "PERMISSIONS", "DESCRIPTION"], &rows)
        })
    })
}

fn row(view: &RoleView) -> [String; 3] {
    let about = view.description.clone().unwrap_or_else(|| "-".into());
    let permissions = if view.permissions.is_empty() { "-".into() } else { view.permissions.join(",") };
    [view.name.clone(), permissions, about]
}

fn set(common: &Common, name: &str, permissions: Vec<String>, description: Option<String>) -> Outcome {
    common.with_app(async |app, out| {
        let description = match description {
            Some(text) => Some(text).filter(|text| !text.is_empty()),
            None => roles::find(&app.db, name).await?.and_then(|role| role.description),
        };
        let definition = Definition { name: name.to_owned(), description, permissions };
        let (by, client) = (Authority::Operator, Client::local());
        let mut tx = app.db.begin().await?;
        let done = roles::define(&app, &mut tx, by, &client, definition, Expected::Anything).await;
        let view = done.map_err(|error| explain(&error))?.view();
        tx.commit().await?;
        out.show(&json!({ "role": view }), || {
            let held =
                if view.permissions.is_empty() { "nothing".into() } else { view.permissions.join(", ") };
            format!("The role {} holds {held}.", view.name)
        })
    })
}

fn delete(common: &Common, name: &str, yes: bool) -> Outcome {
    common.with_app(async |app, out| {
        confirm(yes, &format!("This removes the role {name}."))?;
        let (by, client) = (Authority::Operator, Client::local());
        let mut tx = app.db.begin().await?;
        let done = roles::delete(&app, &mut tx, by, &client, name, Expected::Anything).await;
        done.map_err(|error| match error.code {
            Code::NotFound => Failure(format!("there is no role {name}; `hallpass role list` shows them")),
            _ => explain(&error),
        })?;
        tx.commit().await?;
        out.show(&json!({ "deleted": name }), || format!("Deleted the role {name}."))
    })
}
