//! Log set-up and Prometheus metrics. One registry per [`Metrics`], so that several servers live in one test process.
use crate::config::{LogFormat, Telemetry};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use tracing_subscriber::EnvFilter;

/// Labels of a counted request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// HTTP method.
    pub method: String,
    /// Route template, never the raw path.
    pub route: String,
    /// HTTP status.
    pub status: u16,
}

/// A single label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// What came of it.
    pub outcome: &'static str,
}

/// What the server counts.
pub struct Metrics {
    registry: Registry,
    /// Requests by method, route and status.
    pub requests: Family<RequestLabels, Counter>,
    /// Seconds from the request's arrival to its answer.
    pub request_seconds: Histogram,
    /// Sign-ins by outcome.
    pub logins: Family<Outcome, Counter>,
    /// Refreshes by outcome: rotated, retried, reused, refused.
    pub refreshes: Family<Outcome, Counter>,
    /// Calls with a service key by outcome: ok, refused.
    pub service_calls: Family<Outcome, Counter>,
    /// Mails by outcome: sent, retried, given_up.
    pub mails: Family<Outcome, Counter>,
    /// Calls of hooks by outcome: allowed, refused, failed.
    pub hooks: Family<Outcome, Counter>,
    /// Attempts at webhooks by outcome: delivered, retried, dead.
    pub webhooks: Family<Outcome, Counter>,
    /// Webhooks that wait for delivery, up to the limit of each endpoint.
    pub webhooks_waiting: Gauge,
    /// Counts that the database kept because Redis did not answer.
    pub limits_fallbacks: Counter,
    /// Rows that Redis was asked for, by outcome: hit, miss.
    pub shared_rows: Family<Outcome, Counter>,
    /// 1 while announcements of other nodes arrive.
    pub announcements: Gauge,
    /// Password hashes that wait or run.
    pub hash_queue: Gauge,
    /// Mails that wait for delivery.
    pub outbox: Gauge,
    /// Whether the last attempt at delivery worked.
    pub mail_up: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let mut metrics = Self {
            registry: Registry::with_prefix("hallpass"),
            requests: Family::default(),
            request_seconds: Histogram::new(buckets),
            logins: Family::default(),
            refreshes: Family::default(),
            service_calls: Family::default(),
            mails: Family::default(),
            hooks: Family::default(),
            webhooks: Family::default(),
            webhooks_waiting: Gauge::default(),
            limits_fallbacks: Counter::default(),
            shared_rows: Family::default(),
            announcements: Gauge::default(),
            hash_queue: Gauge::default(),
            outbox: Gauge::default(),
            mail_up: Gauge::default(),
        };
        metrics.mail_up.set(1.0);
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("service_calls", "Calls with a service key by outcome", self.service_calls.clone());
        registry.register("http_requests", "Requests by method, route and status", self.requests.clone());
        registry.register("http_request_seconds", "Seconds to the answer", self.request_seconds.clone());
        registry.register("logins", "Sign-ins by outcome", self.logins.clone());
        registry.register("refreshes", "Refreshes by outcome", self.refreshes.clone());
        registry.register("mails", "Mails by outcome", self.mails.clone());
        registry.register("hooks", "Calls of hooks by outcome", self.hooks.clone());
        registry.register("webhooks", "Attempts at webhooks by outcome", self.webhooks.clone());
        let text = "Webhooks that wait for delivery, up to the limit of each endpoint";
        registry.register("webhooks_waiting", text, self.webhooks_waiting.clone());
        let text = "Counts that the database kept because Redis did not answer";
        registry.register("limits_fallbacks", text, self.limits_fallbacks.clone());
        let text = "Rows that Redis was asked for, by outcome";
        registry.register("shared_rows", text, self.shared_rows.clone());
        let text = "1 while announcements of other nodes arrive, 0 while every check asks the database";
        registry.register("announcements", text, self.announcements.clone());
        registry.register("hash_queue", "Password hashes that wait or run", self.hash_queue.clone());
        registry.register("outbox", "Mails that wait for delivery", self.outbox.clone());
        registry.register("mail_up", "1 when the last delivery worked", self.mail_up.clone());
    }

    /// OpenMetrics text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing into a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        out
    }
}

/// Calls errors what strangers send, and quotes it; the audit log has the reason. A filter that names it wins.
const QUIET: &str = "webauthn_rs_core=off";

/// Sends log lines to standard error. Called once, by the binary.
pub fn start_logging(settings: &Telemetry) {
    let filter = format!("{QUIET},{}", settings.log_level);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},info")));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let result = match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.try_init(),
    };
    if let Err(error) = result {
        tracing::debug!(%error, "logging was set up before");
    }
}
