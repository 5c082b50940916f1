//! `hallpass keys`.
use super::{Common, Outcome, out};
use crate::keys;
use crate::roles::Authority;
use crate::web::Client;
use clap::{Args, Subcommand};
use serde_json::json;

/// Shows and changes the keys that sign access tokens.
#[derive(Args)]
#[command(after_help = "Examples:\n  hallpass keys list\n  hallpass keys rotate")]
pub(super) struct KeysCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Keys, newest first.
    #[command(after_help = "Example:\n  hallpass keys list --json")]
    List,
    /// Makes a new key that signs at once. Running servers take it up within a second.
    #[command(
        after_help = "Examples:\n  hallpass keys rotate                 # former keys verify until their tokens expire\n  \
                      hallpass keys rotate --drop-former   # a key has leaked: its tokens are void"
    )]
    Rotate {
        /// Remove the former keys, so that no access token signed before is taken any more; clients refresh.
        #[arg(long)]
        drop_former: bool,
    },
}

impl KeysCommand {
    pub(super) fn run(self, common: &Common) -> Outcome {
        match self.action {
            Action::List => list(common),
            Action::Rotate { drop_former } => rotate(common, drop_former),
        }
    }
}

fn list(common: &Common) -> Outcome {
    common.with_app(async |app, out| {
        let keys = keys::list(&app).await?;
        out.show(&json!({ "keys": keys }), || {
            if keys.is_empty() {
                return "There is no key yet; the first start of the server makes one.".into();
            }
            let row = |key: &keys::SigningKeyView| {
                let (algorithm, state) = (key.algorithm.to_owned(), key.state.to_owned());
                [
                    key.kid.clone(),
                    algorithm,
                    state,
                    key.signs_from.clone(),
                    key.retired_at.clone().unwrap_or_default(),
                ]
            };
            let rows: Vec<_> = keys.iter().map(row).collect();
            out::table(["ID", "ALGORITHM", "STATE", "SIGNS FROM", "RETIRED"], &rows)
        })
    })
}

fn rotate(common: &Common, drop_former: bool) -> Outcome {
    common.with_app(async |app, out| {
        let mut tx = app.db.begin().await?;
        let kid = keys::rotate(&app, &mut tx, Authority::Operator, &Client::local(), drop_former).await?;
        tx.commit().await?;
        keys::maintain(&app).await?;
        out.show(&json!({ "kid": kid, "formerDropped": drop_former }), || {
            let former = if drop_former {
                "The former keys are gone; clients refresh their access tokens."
            } else {
                "Former keys verify until the tokens that they signed have expired."
            };
            format!("New signing key {kid}. Running servers take it up within a second.\n{former}")
        })
    })
}
