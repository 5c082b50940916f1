//! Delivers: claims rows, tells the endpoints, writes down what came of it.
//!
//! A claim is a compare-and-set of the time of the next attempt, so several nodes do not tell a thing twice. A node that dies
//! in between lets its claim run out, and the row is tried again: better twice than never. Each endpoint has its own few
//! places, so that one that hangs holds up itself alone.
use super::send::{Outcome, attempt};
use super::store::{self, Tried};
use super::{Delivery, Endpoint, refresh};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::RowId;
use crate::telemetry;
use crate::web::Client;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Endpoints, and what is due, are looked for at least this often.
const EVERY: Duration = Duration::from_secs(2);
/// Attempts that one endpoint gets at the same time from one node.
const PLACES: usize = 4;
/// How long a claim outlives the longest attempt: time for the database.
const CLAIM_SLACK: Duration = Duration::from_secs(60);
/// How long attempts under way are waited for when the server stops; what is cut off is told again.
const LAST_WAIT: Duration = Duration::from_secs(3);
/// The wait after each failure, as Standard Webhooks recommends; after the one behind the last a delivery is given up.
const WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];

/// What one run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Taken by the endpoint.
    pub delivered: u64,
    /// To be tried again.
    pub retried: u64,
    /// Given up.
    pub dead: u64,
}

/// What came of one attempt.
#[derive(Clone, Copy, Debug)]
enum Settled {
    Delivered,
    Retried,
    Dead,
}

type Done = (RowId, Result<Settled>);

struct Worker {
    app: App,
    endpoints: Vec<Arc<Endpoint>>,
    places: HashMap<RowId, Arc<Semaphore>>,
    tasks: JoinSet<Done>,
}

/// Delivers when woken, and every two seconds what is due, until told to stop.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut worker = Worker::new(app);
    let wake = Arc::clone(&worker.app.webhooks_wake);
    loop {
        let result = tokio::select! {
            Some(done) = worker.tasks.join_next(), if !worker.tasks.is_empty() => match done {
                Ok((endpoint, _)) => worker.fill(Some(endpoint)).await,
                Err(_) => Ok(()),
            },
            () = wake.notified() => worker.fill(None).await,
            _ = ticks.tick() => worker.look().await,
            () = told_to(&mut stop) => break,
        };
        if let Err(error) = result {
            tracing::warn!(%error, "webhooks could not be worked on, it will be tried again");
        }
    }
    let _ = timeout(LAST_WAIT, async { while worker.tasks.join_next().await.is_some() {} }).await;
}

async fn told_to(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could tell.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Tries everything that is due now, and waits for what comes of it.
///
/// # Errors
/// The database's. A failed delivery is none, it is in the report.
pub async fn run_once(app: &App) -> Result<Report> {
    let mut worker = Worker::new(app.clone());
    let mut report = Report::default();
    worker.look().await?;
    while let Some(done) = worker.tasks.join_next().await {
        let Ok((endpoint, settled)) = done else { continue };
        match settled? {
            Settled::Delivered => report.delivered += 1,
            Settled::Retried => report.retried += 1,
            Settled::Dead => report.dead += 1,
        }
        worker.fill(Some(endpoint)).await?;
    }
    Ok(report)
}

impl Worker {
    fn new(app: App) -> Self {
        Self { app, endpoints: Vec::new(), places: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Learns which endpoints there are, and starts what is due.
    async fn look(&mut self) -> Result<()> {
        self.endpoints = refresh(&self.app).await?.into_iter().map(Arc::new).collect();
        let known: Vec<RowId> = self.endpoints.iter().map(|endpoint| endpoint.id).collect();
        self.places.retain(|id, _| known.contains(id));
        self.fill(None).await
    }

    /// Starts what is due for one endpoint, or for all, as far as there are places.
    async fn fill(&mut self, only: Option<RowId>) -> Result<()> {
        let now = self.app.now();
        let of_interest = self.endpoints.iter().filter(|one| only.is_none_or(|id| id == one.id));
        for endpoint in of_interest {
            let places = self.places.entry(endpoint.id).or_insert_with(|| Arc::new(Semaphore::new(PLACES)));
            let free = i64::try_from(places.available_permits()).unwrap_or(0);
            if free == 0 {
                continue;
            }
            for delivery in store::due(&mut &self.app.db, endpoint.id, now, free).await? {
                let claimed_until = now.plus(self.app.config.webhooks.timeout).plus(CLAIM_SLACK);
                if !store::claim(&mut &self.app.db, &delivery, claimed_until).await? {
                    continue;
                }
                let Ok(place) = Arc::clone(places).try_acquire_owned() else { break };
                let (app, endpoint) = (self.app.clone(), Arc::clone(endpoint));
                self.tasks.spawn(async move {
                    let settled = one(&app, &endpoint, &delivery, claimed_until).await;
                    drop(place);
                    if let Err(error) = &settled {
                        tracing::warn!(%error, delivery = %delivery.id, "a webhook could not be settled, it will be told again");
                    }
                    (endpoint.id, settled)
                });
            }
        }
        Ok(())
    }
}

/// One attempt, and what is written of it.
async fn one(
    app: &App,
    endpoint: &Endpoint,
    delivery: &Delivery,
    claimed_until: Timestamp,
) -> Result<Settled> {
    let outcome = attempt(app, endpoint, delivery).await?;
    let now = app.now();
    let tried = Tried { id: delivery.id, claimed_until, now, status: None, error: "" };
    let settled = match &outcome {
        Outcome::Taken(status) => {
            let mut tx = app.db.begin().await?;
            store::works(&mut tx, endpoint.id).await?;
            let tried = Tried { status: Some(i64::from(*status)), ..tried };
            store::delivered(&mut tx, &tried).await?;
            tx.commit().await?;
            Settled::Delivered
        }
        Outcome::Gone => {
            let tried = Tried { status: Some(410), error: "answered 410: gone", ..tried };
            gone(app, endpoint, &tried).await?;
            Settled::Dead
        }
        Outcome::Failed { status, error, wait } => {
            let tried = Tried { status: status.map(i64::from), error, ..tried };
            failed(app, endpoint, delivery, &tried, *wait).await?
        }
    };
    let outcome = match settled {
        Settled::Delivered => "delivered",
        Settled::Retried => "retried",
        Settled::Dead => "dead",
    };
    app.metrics.webhooks.get_or_create(&telemetry::Outcome { outcome }).inc();
    Ok(settled)
}

/// The endpoint wants nothing any more (Standard Webhooks: 410).
async fn gone(app: &App, endpoint: &Endpoint, tried: &Tried<'_>) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let disabled = store::disable(&mut tx, endpoint.id, "gone", tried.now).await?;
    store::give_up(&mut tx, tried).await?;
    if disabled {
        note_disabled(app, &mut tx, endpoint, "gone", tried.now);
    }
    tx.commit().await?;
    Ok(())
}

/// Puts a delivery back, or gives it up; after days of nothing but failures the endpoint is disabled.
async fn failed(
    app: &App,
    endpoint: &Endpoint,
    delivery: &Delivery,
    tried: &Tried<'_>,
    asked: Option<Duration>,
) -> Result<Settled> {
    let now = tried.now;
    let wait = usize::try_from(delivery.attempts).ok().and_then(|attempts| WAITS.get(attempts));
    let mut tx = app.db.begin().await?;
    // The endpoint first: whoever deletes it takes it first, too.
    store::failed(&mut tx, endpoint.id, now).await?;
    let since = now.minus(app.config.webhooks.disable_after);
    if store::disable_failing(&mut tx, endpoint.id, since, now).await? {
        note_disabled(app, &mut tx, endpoint, "failing", now);
    }
    let settled = match wait {
        Some(wait) => {
            let wait = spread(*wait, u16::from_be_bytes(app.random_bytes())).max(asked.unwrap_or_default());
            store::retry(&mut tx, tried, now.plus(wait)).await?;
            Settled::Retried
        }
        None => {
            store::give_up(&mut tx, tried).await?;
            Settled::Dead
        }
    };
    tx.commit().await?;
    tracing::warn!(
        delivery = %delivery.id, endpoint = %endpoint.id, reason = tried.error, attempts = delivery.attempts + 1,
        given_up = wait.is_none(), "a webhook was not taken"
    );
    Ok(settled)
}

fn note_disabled(
    app: &App,
    tx: &mut crate::db::Tx,
    endpoint: &Endpoint,
    reason: &'static str,
    now: Timestamp,
) {
    let client = Client::system();
    let detail = json!({ "endpoint": endpoint.id, "name": endpoint.name, "reason": reason });
    audit::record(app, tx, Event::new(Kind::WebhookDisabled, &client).detail(detail), now);
    tracing::error!(endpoint = %endpoint.id, reason, "a webhook was disabled");
}

/// More by up to a tenth, so that deliveries do not come back in step.
fn spread(wait: Duration, random: u16) -> Duration {
    wait + wait * u32::from(random) / u32::from(u16::MAX) / 10
}
