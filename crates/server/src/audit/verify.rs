//! Whether the log is what was written: every link of the chain, its end, and what was noted of it elsewhere.
use super::chain::{hash, head_message, personal_hash};
use super::{CHAIN, Filter, StoredEvent, store};
use crate::app::App;
use crate::error::Result;
use data_encoding::HEXLOWER;
use hallpass_crypto::digest::equal;
use serde::{Deserialize, Serialize};

/// Events read at a time.
const PAGE: i64 = 1000;
/// Findings listed; a chain that is broken everywhere need not be told in full.
const MOST_FINDINGS: usize = 100;

/// The end of the chain at some time. Kept elsewhere, it shows later whether the log was put back to an older state,
/// which the database alone cannot show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Number of the last event then.
    pub seq: i64,
    /// Its hash, hexadecimal.
    pub head: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Events whose links were checked.
    pub events: i64,
    /// Events that are older than the chain and not covered by it.
    pub before_chain: i64,
    /// The present end, to be kept elsewhere; none as long as there is no event.
    pub anchor: Option<Anchor>,
    /// What is wrong, empty when nothing is.
    pub findings: Vec<String>,
}

impl Report {
    fn find(&mut self, finding: String) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        }
    }
}

/// Reads the whole log and checks it.
///
/// # Errors
/// The database's. What is wrong with the log is in the report.
pub async fn verify(app: &App, anchors: &[Anchor]) -> Result<Report> {
    // The end first: events that are written meanwhile come after it.
    let end = store::end(&mut &app.db, CHAIN).await?;
    let mut report = Report::default();
    let mut walk = Walk { next: 1, head: None };
    loop {
        let mut page = store::list(&mut &app.db, CHAIN, &Filter::default(), walk.next - 1, PAGE).await?;
        page.retain(|event| event.seq <= end.seq);
        if page.is_empty() {
            break;
        }
        for event in &page {
            walk.step(event, anchors, &mut report);
        }
    }
    if walk.next <= end.seq {
        report.find(format!("events {} to {} were removed", walk.next, end.seq));
    } else {
        check_last(&end, &walk, &mut report);
    }
    check_end(app, &end, &mut report);
    check_strays(app, &mut report).await?;
    for anchor in anchors.iter().filter(|anchor| anchor.seq > end.seq) {
        report.find(format!("the log ends at event {}, but had reached {} before", end.seq, anchor.seq));
    }
    Ok(report)
}

struct Walk {
    next: i64,
    head: Option<Vec<u8>>,
}

impl Walk {
    fn step(&mut self, event: &StoredEvent, anchors: &[Anchor], report: &mut Report) {
        let seq = event.seq;
        let gap = seq != self.next;
        if gap {
            report.find(format!("events {} to {} were removed", self.next, seq - 1));
        }
        report.events += 1;
        if event.personal_hash.as_deref() != Some(&personal_hash(event)) {
            report.find(format!("event {seq} ({}): address, program or details were changed", event.id));
        }
        // After a gap nothing tells what the former hash was.
        if !gap && event.hash.as_deref() != Some(&hash(self.head.as_deref(), event)) {
            report.find(format!("event {seq} ({}) was changed, moved or put in", event.id));
        }
        let noted = anchors.iter().find(|anchor| anchor.seq == seq);
        let now = event.hash.as_deref().map(|hash| HEXLOWER.encode(hash)).unwrap_or_default();
        if noted.is_some_and(|anchor| anchor.head != now) {
            report.find(format!("event {seq} ({}) is not the one that was noted before", event.id));
        }
        self.head.clone_from(&event.hash);
        self.next = seq + 1;
    }
}

/// The last event is the one that the end names.
fn check_last(end: &store::End, walk: &Walk, report: &mut Report) {
    let same = match (&walk.head, &end.head) {
        (Some(last), Some(head)) => equal(last, head),
        (None, None) => true,
        _ => false,
    };
    if !same {
        report.find(format!("the last event, {}, is not the one that the end of the chain names", end.seq));
    }
}

/// The end is under our key.
fn check_end(app: &App, end: &store::End, report: &mut Report) {
    let Some(head) = &end.head else {
        return;
    };
    let message = head_message(CHAIN, end.seq, head);
    if !end.mac.as_ref().is_some_and(|mac| app.secrets.audit.verify_mac(&message, mac)) {
        let text = "the end of the chain is not under this server's secret key: somebody else wrote it, or the former \
                    key is missing in keys.previous_secret_keys";
        report.find(text.into());
    }
    report.anchor = Some(Anchor { seq: end.seq, head: HEXLOWER.encode(head) });
}

/// Rows that no chain leads to.
async fn check_strays(app: &App, report: &mut Report) -> Result<()> {
    let strays = store::strays(&mut &app.db, CHAIN).await?;
    report.before_chain = strays.expected;
    if strays.unchained != strays.expected {
        let text =
            format!("{} events belong to no chain, {} are expected", strays.unchained, strays.expected);
        report.find(text);
    }
    if strays.after > 0 {
        report.find(format!("{} events after the end of the chain were put in", strays.after));
    }
    Ok(())
}
