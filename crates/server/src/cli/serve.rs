//! `hallpass serve`.
use super::{Common, Failure, Outcome, lock, machine, out, runtime};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::config::Config;
use crate::web::Client;
use crate::{admin, secret_key, server, start, telemetry};
use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Runs the server. Embedded databases are migrated first.
#[derive(Args)]
#[command(after_help = "Examples:\n  hallpass serve\n  PORT=8080 hallpass serve\n  \
                        hallpass serve --listen 0.0.0.0:3000 --public-url https://auth.example.com")]
pub(super) struct Serve {
    /// Address and port.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The https address that people use.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Bring the schema up to date first, also when the database is not embedded.
    #[arg(long)]
    migrate: bool,
}

impl Serve {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let named = [("server.listen", self.listen), ("server.public_url", self.public_url)];
        let flags = named.into_iter().filter_map(|(path, value)| Some((path.to_owned(), value?))).collect();
        let (config, said) = common.settings_with(flags)?;
        telemetry::start_logging(&config.telemetry);
        for sentence in said {
            tracing::warn!("{sentence}");
        }
        runtime()?.block_on(serve(config, self.migrate, common))
    }
}

async fn serve(mut config: Config, migrate: bool, common: &Common) -> Outcome {
    let listen = config.server.listen.clone();
    let listener = TcpListener::bind(&listen).await.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process uses the port; stop it or choose another with HALLPASS_LISTEN or PORT"
            }
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need a privilege; choose a higher one and put a proxy in front"
            }
            _ => "choose another with HALLPASS_LISTEN",
        };
        Failure(format!("cannot listen on {listen}: {error}; {advice}"))
    })?;
    // With port 0 the system has chosen.
    config.server.listen = listener.local_addr()?.to_string();
    start::refuse_insecure(&config)?;
    // Any number of nodes work on a database server.
    let embedded = config.embedded();
    if embedded {
        secret_key::make_data_dir(&config)?;
    }
    let lock = if embedded { lock::take(&config)? } else { None };
    if embedded && lock.is_none() {
        let folder = config.server.data_dir.display();
        return Err(Failure(format!(
            "another Hallpass server is running on the data in {folder}; stop it, or give this one a folder of its \
             own with --data-dir"
        )));
    }
    // Before anybody hears that the server runs: whoever then stops it stops it in good order.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (clock, random) = machine();
    let app = start::start(config, clock, random, embedded || migrate).await?;
    // Beside the start, since its commit would be a fifth of it.
    tokio::spawn(note(app.clone(), Kind::ServerStarted));
    let first = admin::first_administrator_link(&app).await?;
    banner(&app, common, first)?;
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(server::serve(app.clone(), listener, stopped));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: finishing what is in flight");
    stop.send(true)?;
    serving.await?;
    note(app, Kind::ServerStopped).await;
    Ok(())
}

/// Writes into the audit log that the server began or ended; a gap between the two tells of a crash.
async fn note(app: App, kind: Kind) {
    let client = Client::system();
    let detail = json!({ "version": env!("CARGO_PKG_VERSION"), "secretKey": app.secrets.fingerprint });
    if let Err(error) = audit::record_alone(&app, Event::new(kind, &client).detail(detail)).await {
        tracing::warn!(%error, kind = kind.name(), "the event could not be written");
    }
}

/// Addresses to open, on standard output.
fn banner(app: &App, common: &Common, first_administrator: Option<String>) -> Outcome {
    let url = &app.public_url;
    let mailbox = app.config.dev_mailbox();
    let value = json!({
        "url": url, "listen": app.config.server.listen, "development": app.config.development(),
        "firstAdministrator": first_administrator,
    });
    if common.json {
        // On one line: a script reads the first line and goes on.
        return out::print(&value.to_string());
    }
    let mut lines = vec![
        format!("Hallpass {} at {url}", env!("CARGO_PKG_VERSION")),
        format!("  API reference  {url}/docs"),
        format!("  Health         {url}/health/ready"),
    ];
    if let Some(link) = first_administrator {
        lines.push(format!("  Administrator  {link}\n                 (nobody is one yet: this makes the first, once, within 24 hours)"));
    }
    if mailbox {
        lines.push(format!("  Mailbox        {url}/dev/mailbox   (mails land here; nothing is sent)"));
        lines
            .push("  Development mode: set HALLPASS_PUBLIC_URL and HALLPASS_SMTP_URL for production.".into());
    }
    out::print(&lines.join("\n"))
}
