//! `hallpass audit`.
use super::{Common, Failure, Outcome, confirm, find_user, out};
use crate::app::App;
use crate::audit::{self, Anchor, AuditEvent, Event, Filter, Kind, Report, StoredEvent};
use crate::clock::Timestamp;
use crate::ids::RowId;
use crate::web::Client;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Events read at a time by an export.
const PAGE: usize = 1000;
/// Longer than the commit of an event takes after its id was made. What is younger may still be joined by an event with
/// an earlier id.
const SETTLED: Duration = Duration::from_secs(60);

/// Shows, checks and takes out the audit log.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  hallpass audit list --user ann@example.com\n  hallpass audit verify\n  \
                        hallpass audit export > audit.jsonl"
)]
pub(super) struct AuditCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// The latest events, oldest first.
    #[command(after_help = "Examples:\n  hallpass audit list --limit 200\n  \
                            hallpass audit list --kind login_failed --since 2026-01-01T00:00:00Z")]
    List {
        #[command(flatten)]
        which: Which,
        /// Most events shown.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Checks that no event was changed, removed, put in or moved; exit code 1 when one was.
    #[command(
        after_help = "Examples:\n  hallpass audit verify\n  hallpass audit verify --json > anchor.json   # keep it elsewhere\n  \
                            hallpass audit verify --anchor anchor.json  # also notices a log that was put back"
    )]
    Verify {
        /// Output of an earlier `audit verify --json`; may come several times.
        #[arg(long, value_name = "FILE")]
        anchor: Vec<PathBuf>,
    },
    /// Signs the ends of chains that are under no known key, once you know why they are not: the secret key was lost, or somebody
    /// wrote into the log. An event tells which.
    #[command(after_help = "Examples:\n  hallpass audit verify\n  hallpass audit sign-ends --yes")]
    SignEnds {
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Writes events as JSON Lines, oldest first.
    #[command(
        after_help = "Examples:\n  hallpass audit export > audit.jsonl\n  hallpass audit export --after 01990000-0000-7000-8000-000000000000 --out new.jsonl"
    )]
    Export {
        #[command(flatten)]
        which: Which,
        /// Only events after the one with this id, which the export before has named.
        #[arg(long, value_name = "ID", value_parser = id)]
        after: Option<RowId>,
        /// A new file instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Filters.
#[derive(Args)]
struct Which {
    /// About this user: id, address or username.
    #[arg(long)]
    user: Option<String>,
    /// Of this kind, for example login_failed.
    #[arg(long)]
    kind: Option<String>,
    /// Not before this instant, RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this instant, RFC 3339.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Which {
    async fn filter(&self, app: &App) -> Result<Filter, Failure> {
        let user = match &self.user {
            Some(named) => Some(find_user(app, named).await?.id),
            None => None,
        };
        let kind = match &self.kind {
            Some(name) => Some(kind(name)?),
            None => None,
        };
        let (since, until) = (instant(self.since.as_deref())?, instant(self.until.as_deref())?);
        Ok(Filter { user, kind, failed: None, since, until })
    }
}

fn id(text: &str) -> Result<RowId, &'static str> {
    RowId::parse(text).ok_or("this is not the id of an event")
}

fn kind(name: &str) -> Result<Kind, Failure> {
    let known = Kind::ALL.iter().copied();
    known.clone().find(|kind| kind.name() == name).ok_or_else(|| {
        let names: Vec<&str> = known.map(Kind::name).collect();
        Failure(format!("there is no kind \"{name}\"; the kinds are {}", names.join(", ")))
    })
}

fn instant(text: Option<&str>) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let at = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| Failure(format!("\"{text}\" is not an instant such as 2026-01-31T12:00:00Z")))?;
    Ok(Some(Timestamp(i64::try_from(at.unix_timestamp_nanos() / 1000)?)))
}

impl AuditCommand {
    pub(super) fn run(self, common: &Common) -> Outcome {
        match self.action {
            Action::List { which, limit } => list(common, &which, limit),
            Action::Verify { anchor } => verify(common, &anchor),
            Action::SignEnds { yes } => sign_ends(common, yes),
            Action::Export { which, after, out } => export(common, &which, after, out.as_deref()),
        }
    }
}

fn list(common: &Common, which: &Which, limit: u32) -> Outcome {
    common.with_app(async |app, out| {
        let filter = which.filter(&app).await?;
        let events = audit::latest(&app.db, &filter, usize::try_from(limit)?).await?;
        let values: Vec<AuditEvent> =
            events.iter().map(|event| AuditEvent::new(event, &app.places)).collect();
        out.show(&json!({ "events": values }), || {
            if events.is_empty() {
                return "There is no such event.".into();
            }
            let rows: Vec<_> = events.iter().map(row).collect();
            out::table(["EVENT", "AT", "KIND", "ACTOR", "USER", "ADDRESS", "DETAIL"], &rows)
        })
    })
}

fn row(event: &StoredEvent) -> [String; 7] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        format!("{}/{}", event.chain, event.seq),
        event.at.rfc3339(),
        event.kind.clone(),
        text(&event.actor),
        text(&event.user),
        text(&event.ip),
        text(&event.detail),
    ]
}

fn verify(common: &Common, files: &[PathBuf]) -> Outcome {
    let anchors = files.iter().map(|file| anchor(file)).collect::<Result<Vec<_>, _>>()?;
    common.with_app(async |app, out| {
        let report = audit::verify(&app, &anchors).await?;
        out.show(&report, || sentences(&report))?;
        audit::record_check(&app, &report).await?;
        if report.findings.is_empty() { Ok(()) } else { Err(Failure::said()) }
    })
}

fn sign_ends(common: &Common, yes: bool) -> Outcome {
    confirm(yes, "From now on nobody can tell what was written into these chains before.")?;
    common.with_app(async |app, out| {
        let chains = audit::sign_foreign_ends(&app).await?;
        out.show(&json!({ "signed": chains }), || match chains.as_slice() {
            [] => "Every end is under the secret key.".into(),
            chains => format!("Signed: {}.", chains.join(", ")),
        })
    })
}

fn anchor(file: &Path) -> Result<Anchor, Failure> {
    let problem = |error: &dyn std::fmt::Display| {
        Failure(format!("{} is no output of `hallpass audit verify --json`: {error}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| problem(&error))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| problem(&error))?;
    Anchor::read(&value["anchor"]).map_err(|error| problem(&error))
}

fn sentences(report: &Report) -> String {
    let mut lines = Vec::new();
    if report.before_chain > 0 {
        let count = report.before_chain;
        lines.push(format!("{count} events are older than the chains and not covered by them."));
    }
    if report.removed > 0 {
        lines.push(format!("{} events were removed because of their age.", report.removed));
    }
    if report.erased > 0 {
        lines.push(format!(
            "{} events are about deleted accounts; what was personal in them was erased.",
            report.erased
        ));
    }
    if report.anchors_too_old > 0 {
        let count = report.anchors_too_old;
        lines.push(format!("{count} anchors name events that were removed since: only how far the chains were could be compared."));
    }
    if report.findings.is_empty() {
        lines.push(format!("The audit log is whole: {} events checked.", report.events));
    } else {
        lines.push(format!("The audit log is NOT whole; {} events checked:", report.events));
        lines.extend(report.findings.iter().map(|finding| format!("  {finding}")));
    }
    if let Some(anchor) = &report.anchor {
        lines.push(format!("It ends here: {anchor}"));
    }
    lines.join("\n")
}

fn export(common: &Common, which: &Which, after: Option<RowId>, file: Option<&Path>) -> Outcome {
    common.with_app(async |app, out| {
        let filter = which.filter(&app).await?;
        let mut target = target(file)?;
        let settled = app.now().minus(SETTLED);
        let (mut last, mut next, mut count) = (after, after, 0_usize);
        loop {
            let page = audit::list(&app.db, &filter, last, PAGE).await?;
            if page.is_empty() {
                break;
            }
            count += page.len();
            for event in &page {
                writeln!(target, "{}", serde_json::to_string(&AuditEvent::new(event, &app.places))?)?;
                last = Some(event.id);
                next = last.filter(|id| !id.made_after(settled)).or(next);
            }
        }
        target.flush()?;
        let client = Client::local();
        let detail = json!({ "events": count, "until": last });
        audit::record_alone(&app, Event::new(Kind::AuditExported, &client).detail(detail)).await?;
        let next = next.map(|id| format!("; the next export goes on with --after {id}")).unwrap_or_default();
        out.remark(&format!("{count} events{next}"));
        Ok(())
    })
}

/// Standard output, or a file that only its owner can read and that did not exist before.
fn target(file: Option<&Path>) -> Result<Box<dyn Write>, Failure> {
    let Some(file) = file else { return Ok(Box::new(std::io::stdout().lock())) };
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let made = made.map_err(|error| Failure(format!("cannot make {}: {error}", file.display())))?;
    Ok(Box::new(std::io::BufWriter::new(made)))
}
