//! Whether the log is what was written: every link of every chain, their ends, and what was noted of them, in the chain
//! `main` and elsewhere. Needs as much memory for a long log as for a short one.
use super::anchor::{Anchor, Comparison};
use super::chain::{self, MAIN, hash, personal_hash};
use super::erase::names;
use super::{Kind, StoredEvent, is_signed, store};
use crate::app::App;
use crate::error::Result;
use hallpass_crypto::digest::equal;
use serde::Serialize;
use std::collections::BTreeMap;
use store::End;

/// Events read at a time.
const PAGE: i64 = 1000;
/// Findings listed; a chain that is broken everywhere need not be told in full.
const MOST_FINDINGS: usize = 100;

/// What a check found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Events whose links were checked.
    pub events: i64,
    /// Events that are older than the chains and not covered by them.
    pub before_chain: i64,
    /// The present ends, to be kept elsewhere; none as long as there is no event.
    pub anchor: Option<Anchor>,
    /// The same without the chain `main`, to be noted there.
    #[serde(skip)]
    pub(super) noted: Option<Anchor>,
    /// Events of which what was personal was erased, with an event that says so.
    pub erased: i64,
    /// Events that were removed because of their age, with an event that says so.
    pub removed: i64,
    /// Anchors that name events removed since: of these only the lengths of the chains could be compared.
    pub anchors_too_old: usize,
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

/// Times that a check begins anew because old events were removed while it ran.
const TRIES: usize = 5;

/// Reads the whole log and checks it.
///
/// # Errors
/// The database's. What is wrong with the log is in the report.
pub async fn verify(app: &App, anchors: &[Anchor]) -> Result<Report> {
    let mut tries = 0;
    loop {
        let (report, cuts) = check(app, anchors).await?;
        tries += 1;
        // Without findings it is right whatever happened meanwhile.
        if report.findings.is_empty()
            || tries == TRIES
            || Anchor::of_cuts(&store::ends(&mut &app.db).await?) == cuts
        {
            return Ok(report);
        }
    }
}

async fn check(app: &App, anchors: &[Anchor]) -> Result<(Report, Option<Anchor>)> {
    // The ends first: events that are written meanwhile come after them.
    let ends = store::ends(&mut &app.db).await?;
    let mut report =
        Report { anchor: Anchor::of(&ends), noted: Anchor::of_the_others(&ends), ..Report::default() };
    let mut compared = Comparison::default();
    for anchor in anchors {
        for finding in compared.holds(&mut &app.db, &ends, anchor).await? {
            report.find(finding);
        }
    }
    report.anchors_too_old = compared.too_old;
    let cuts = Anchor::of_cuts(&ends);
    for chain in chain::all() {
        let Some(end) = ends.get(chain) else {
            report.find(format!("the end of the chain {chain} was removed"));
            continue;
        };
        let (cut, head) = end.cut.clone().unzip();
        let cut = cut.unwrap_or_default();
        report.removed += cut;
        let compared = Comparison::default();
        let walk = Walk { chain, ends: &ends, next: cut + 1, head, compared, pruned: None, erasure: None };
        let pruned = walk.run(app, end, &mut report).await?;
        if chain == MAIN && pruned != cuts {
            report.find(
                "the beginnings of chains were removed, and not as the last event says that tells of it"
                    .into(),
            );
        }
        check_end(app, chain, end, &mut report);
    }
    for chain in ends.keys().filter(|name| chain::all().all(|chain| chain != *name)) {
        report.find(format!("the chain {chain} was put in"));
    }
    check_strays(app, &mut report).await?;
    Ok((report, cuts))
}

/// Goes through one chain from its beginning.
struct Walk<'e> {
    chain: &'static str,
    ends: &'e BTreeMap<String, End>,
    next: i64,
    head: Option<Vec<u8>>,
    compared: Comparison,
    /// What the last event about a removal says, in the chain `main`.
    pruned: Option<Anchor>,
    /// The last event about an erasure that was looked up: its number, and the event.
    erasure: Option<(i64, Option<StoredEvent>)>,
}

impl Walk<'_> {
    async fn run(mut self, app: &App, end: &End, report: &mut Report) -> Result<Option<Anchor>> {
        let chain = self.chain;
        loop {
            let mut page = store::links(&mut &app.db, chain, self.next - 1, PAGE).await?;
            page.retain(|event| event.seq <= end.seq);
            if page.is_empty() {
                break;
            }
            for event in &page {
                self.step(event, report);
                self.check_personal(app, event, report).await?;
                if chain == MAIN {
                    if event.kind == Kind::AuditPruned.name() {
                        self.pruned = Anchor::of_cut_in(event.detail.as_deref());
                    }
                    self.compare(app, event, report).await?;
                }
            }
        }
        if self.next <= end.seq {
            report.find(format!("events {} to {} of the chain {chain} were removed", self.next, end.seq));
        } else if self.head.as_deref().map_or(end.head.is_some(), |last| !is(last, end.head.as_deref())) {
            let seq = end.seq;
            report.find(format!(
                "the last event, {chain}/{seq}, is not the one that the end of its chain names"
            ));
        }
        Ok(self.pruned)
    }

    fn step(&mut self, event: &StoredEvent, report: &mut Report) {
        let (chain, seq) = (self.chain, event.seq);
        let gap = seq != self.next;
        if gap {
            report.find(format!("events {} to {} of the chain {chain} were removed", self.next, seq - 1));
        }
        report.events += 1;
        // After a gap nothing tells what the former hash was.
        if !gap && event.hash.as_deref() != Some(&hash(self.head.as_deref(), event)) {
            report.find(format!("event {chain}/{seq} ({}) was changed, moved or put in", event.id));
        }
        self.head.clone_from(&event.hash);
        self.next = seq + 1;
    }

    /// What is personal is what was written, or was erased as a later event says.
    async fn check_personal(&mut self, app: &App, event: &StoredEvent, report: &mut Report) -> Result<()> {
        let (chain, seq) = (self.chain, event.seq);
        let Some(by) = event.erased_by else {
            if event.personal_hash.as_deref() != Some(&personal_hash(event)) {
                let what = "address, program or details were changed";
                report.find(format!("event {chain}/{seq} ({}): {what}", event.id));
            }
            return Ok(());
        };
        if self.erasure.as_ref().is_none_or(|(known, _)| *known != by) {
            let told = store::links(&mut &app.db, chain, by - 1, 1).await?.pop();
            let told = told.filter(|told| told.seq == by && told.kind == Kind::PersonalDataErased.name());
            self.erasure = Some((by, told));
        }
        let told = self.erasure.as_ref().and_then(|(_, told)| told.as_ref());
        // About the same user: or else an event could be given to a deleted account for as long as its erasure takes.
        let rightly = by > seq
            && told.is_some_and(|told| names(told.detail.as_deref(), seq) && told.user == event.user)
            && event.is_blank();
        if rightly {
            report.erased += 1;
        } else {
            let what = "address, program and details were removed, and no erasure tells of it";
            report.find(format!("event {chain}/{seq} ({}): {what}", event.id));
        }
        Ok(())
    }

    /// What an event noted of the other chains holds.
    async fn compare(&mut self, app: &App, event: &StoredEvent, report: &mut Report) -> Result<()> {
        if ![Kind::AuditAnchored.name(), Kind::AuditVerified.name()].contains(&event.kind.as_str()) {
            return Ok(());
        }
        let Some(anchor) = Anchor::in_detail(event.detail.as_deref()) else { return Ok(()) };
        for finding in self.compared.holds(&mut &app.db, self.ends, &anchor).await? {
            report.find(format!("noted in event {MAIN}/{}: {finding}", event.seq));
        }
        Ok(())
    }
}

fn is(last: &[u8], head: Option<&[u8]>) -> bool {
    head.is_some_and(|head| equal(last, head))
}

/// The end is under our key.
fn check_end(app: &App, chain: &str, end: &End, report: &mut Report) {
    if end.head.is_some() && !is_signed(app, chain, end) {
        report.find(format!(
            "the end of the chain {chain} is not under this server's secret key: somebody else wrote it, or the former key is \
             missing in keys.previous_secret_keys; once that is understood, `hallpass audit sign-ends`"
        ));
    }
}

/// Rows that no chain leads to.
async fn check_strays(app: &App, report: &mut Report) -> Result<()> {
    let strays = store::strays(&mut &app.db).await?;
    report.before_chain = strays.expected;
    if strays.unchained != strays.expected {
        let text =
            format!("{} events belong to no chain, {} are expected", strays.unchained, strays.expected);
        report.find(text);
    }
    if strays.after > 0 {
        report.find(format!("{} events after the end of their chain were put in", strays.after));
    }
    Ok(())
}
