//! `hallpass doctor`.
use super::{Common, Failure, Outcome, probes, runtime, servers};
use crate::config::{Config, Mode, check_production};
use clap::Args;
use serde::Serialize;
use serde_json::json;

/// Checks settings, folder, keys, database, Redis, disk, mail, proxy, clock and speed; says what to do.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  hallpass doctor\n  hallpass doctor --mail   # also calls the SMTP server\n  \
                        hallpass doctor --json"
)]
pub(super) struct Doctor {
    /// Call the SMTP server too.
    #[arg(long)]
    mail: bool,
}

/// How a check went.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Fine.
    Ok,
    /// Works, but look at it.
    Warn,
    /// Has to be mended.
    Fail,
}

/// One line of the report.
#[derive(Serialize)]
pub(super) struct Finding {
    verdict: Verdict,
    check: &'static str,
    detail: String,
}

/// The report as it grows.
#[derive(Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn add(&mut self, verdict: Verdict, check: &'static str, detail: impl Into<String>) {
        self.0.push(Finding { verdict, check, detail: detail.into() });
    }

    pub(super) fn ok(&mut self, check: &'static str, detail: impl Into<String>) {
        self.add(Verdict::Ok, check, detail);
    }

    pub(super) fn warn(&mut self, check: &'static str, detail: impl Into<String>) {
        self.add(Verdict::Warn, check, detail);
    }

    pub(super) fn fail(&mut self, check: &'static str, detail: impl Into<String>) {
        self.add(Verdict::Fail, check, detail);
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|finding| finding.verdict == verdict).count()
    }

    fn text(&self) -> String {
        let line = |finding: &Finding| {
            let verdict = match finding.verdict {
                Verdict::Ok => "ok",
                Verdict::Warn => "warn",
                Verdict::Fail => "fail",
            };
            format!("{verdict:4}  {:10}  {}\n", finding.check, finding.detail)
        };
        let lines: String = self.0.iter().map(line).collect();
        format!("{lines}{} failed, {} to look at", self.count(Verdict::Fail), self.count(Verdict::Warn))
    }
}

impl Doctor {
    pub(super) fn run(&self, common: &Common) -> Outcome {
        let mut report = Report::default();
        match common.load(Vec::new()) {
            Ok((config, said)) => {
                report.ok("settings", "valid; `hallpass config` prints them");
                for sentence in said {
                    report.warn("settings", sentence);
                }
                self.examine(&config, &mut report)?;
            }
            Err(problems) => {
                for problem in problems {
                    report.fail("settings", problem.to_string());
                }
            }
        }
        let failed = report.count(Verdict::Fail);
        common.out().show(&json!({ "ok": failed == 0, "checks": report.0 }), || report.text())?;
        if failed == 0 { Ok(()) } else { Err(Failure::said()) }
    }

    fn examine(&self, config: &Config, report: &mut Report) -> Outcome {
        readiness(config, report);
        if config.embedded() {
            probes::folder(config, report);
        }
        probes::secret_key(config, report);
        if config.embedded() {
            probes::running(config, report);
            probes::disk(config, report);
        }
        probes::clock(config, report);
        servers::proxy(config, report);
        probes::places(config, report);
        runtime()?.block_on(async {
            if config.embedded() {
                probes::database(config, report).await;
            } else {
                servers::postgres(config, report).await;
            }
            servers::redis(config, report).await;
            probes::hashing(config, report).await;
            probes::mail(config, self.mail, report).await;
        });
        Ok(())
    }
}

/// What production refuses; in development the same list as advice.
fn readiness(config: &Config, report: &mut Report) {
    if !config.development() {
        let refused = check_production(config);
        if refused.is_empty() {
            report.ok("production", "ready");
        }
        for problem in refused {
            report.fail("production", problem.to_string());
        }
        return;
    }
    report.ok("production", "this is development mode; nothing insecure is refused");
    let mut production = config.clone();
    production.server.mode = Mode::Production;
    let mut problems = check_production(&production);
    problems.extend(production.validate().err().unwrap_or_default());
    for problem in problems {
        report.warn("production", format!("before production: {problem}"));
    }
}
