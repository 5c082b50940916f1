//! How far the chains are at some time, in one short line. Kept elsewhere, it shows later whether the log was put back to an
//! older state, which the database alone cannot show; kept in the chain `main`, whether another chain was.
use super::chain::{MAIN, framed};
use super::store::{self, End};
use crate::db::{DbError, Statements};
use data_encoding::HEXLOWER;
use hallpass_crypto::digest::sha256;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Numbers of the last events of all chains that have any, and one digest of these numbers and of those events' hashes. Later
/// events change neither, so an anchor holds for ever.
///
/// As text: `00:12,1f:3,main:40 ` and the digest, hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    ends: BTreeMap<String, i64>,
    digest: String,
}

impl Anchor {
    /// The ends of all chains; none as long as there is no event.
    pub(super) fn of(ends: &BTreeMap<String, End>) -> Option<Self> {
        Self::of_those(ends.iter())
    }

    /// The ends of all chains but `main`.
    pub(super) fn of_the_others(ends: &BTreeMap<String, End>) -> Option<Self> {
        Self::of_those(ends.iter().filter(|(chain, _)| *chain != MAIN))
    }

    /// The last removed link of every chain of which any was.
    pub(super) fn of_cuts(ends: &BTreeMap<String, End>) -> Option<Self> {
        let cuts = ends.iter().filter_map(|(chain, end)| Some((chain.clone(), end.cut.clone()?)));
        Self::of_heads(&cuts.map(|(chain, (seq, head))| (chain, (seq, Some(head)))).collect())
    }

    /// Whether it names links of which the chain does not have even the hash any more.
    pub(super) fn is_before_cut(&self, ends: &BTreeMap<String, End>) -> bool {
        self.ends.iter().any(|(chain, seq)| {
            ends.get(chain).and_then(|end| end.cut.as_ref()).is_some_and(|(cut, _)| seq < cut)
        })
    }

    fn of_those<'e>(ends: impl Iterator<Item = (&'e String, &'e End)>) -> Option<Self> {
        let heads = ends.filter(|(_, end)| end.seq > 0);
        let heads = heads.map(|(chain, end)| (chain.clone(), (end.seq, end.head.clone())));
        Self::of_heads(&heads.collect())
    }

    fn of_heads(heads: &BTreeMap<String, (i64, Option<Vec<u8>>)>) -> Option<Self> {
        let ends = heads.iter().map(|(chain, (seq, _))| (chain.clone(), *seq)).collect();
        (!heads.is_empty()).then(|| Self { ends, digest: digest(heads) })
    }

    /// From its text, or from what the first versions printed: number and hash of the end of the chain `main`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(value: &Value) -> Result<Self, &'static str> {
        if let (Some(seq), Some(head)) = (value["seq"].as_i64(), value["head"].as_str()) {
            let head = HEXLOWER.decode(head.as_bytes()).map_err(|_| "its hash is not hexadecimal")?;
            let heads = BTreeMap::from([(MAIN.to_owned(), (seq, Some(head)))]);
            return Self::of_heads(&heads).ok_or("it names no chain");
        }
        let text = value.as_str().ok_or("it has no anchor")?;
        Self::parse(text).ok_or("its anchor is damaged")
    }

    fn parse(text: &str) -> Option<Self> {
        let (ends, digest) = text.split_once(' ')?;
        let end = |part: &str| {
            let (chain, seq) = part.split_once(':')?;
            Some((chain.to_owned(), seq.parse().ok()?))
        };
        let ends = ends.split(',').map(end).collect::<Option<BTreeMap<_, _>>>()?;
        let well_formed = digest.len() == 64 && HEXLOWER.decode(digest.as_bytes()).is_ok();
        well_formed.then(|| Self { ends, digest: digest.to_owned() })
    }

    /// What an event says that notes it.
    pub(super) fn detail(&self) -> Value {
        serde_json::json!({ "anchor": self.to_string() })
    }

    /// What such an event has noted.
    pub(super) fn in_detail(detail: Option<&str>) -> Option<Self> {
        let detail: Value = serde_json::from_str(detail?).ok()?;
        Self::parse(detail["anchor"].as_str()?)
    }

    /// What the event of a removal says was the last removed link of each chain.
    pub(super) fn of_cut_in(detail: Option<&str>) -> Option<Self> {
        let detail: Value = serde_json::from_str(detail?).ok()?;
        Self::parse(detail["cut"].as_str()?)
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends: Vec<String> = self.ends.iter().map(|(chain, seq)| format!("{chain}:{seq}")).collect();
        write!(f, "{} {}", ends.join(","), self.digest)
    }
}

impl Serialize for Anchor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn digest(heads: &BTreeMap<String, (i64, Option<Vec<u8>>)>) -> String {
    let mut bytes = framed(&[Some(b"hallpass/audit/anchor/v1")]);
    for (chain, (seq, head)) in heads {
        bytes.extend(framed(&[Some(chain.as_bytes()), Some(&seq.to_be_bytes()), head.as_deref()]));
    }
    HEXLOWER.encode(&sha256(&bytes))
}

/// Compares anchors with the log, one after the other. Remembers the links that the last one named, since the next may name
/// the same.
#[derive(Default)]
pub(super) struct Comparison {
    read: BTreeMap<String, (i64, Option<Vec<u8>>)>,
    /// How many named links that were removed since, so that only the numbers of the ends could be compared.
    pub(super) too_old: usize,
}

impl Comparison {
    /// What the log has lost since, or whether it is another; empty when it holds.
    pub(super) async fn holds(
        &mut self,
        db: &mut impl Statements,
        ends: &BTreeMap<String, End>,
        anchor: &Anchor,
    ) -> Result<Vec<String>, DbError> {
        let short = anchor.ends.iter().filter_map(|(chain, reached)| {
            let seq = ends.get(chain).map_or(0, |end| end.seq);
            (seq < *reached)
                .then(|| format!("the chain {chain} ends at event {seq}, but had reached {reached} before"))
        });
        let short: Vec<String> = short.collect();
        if !short.is_empty() {
            return Ok(short);
        }
        if anchor.is_before_cut(ends) {
            self.too_old += 1;
            return Ok(Vec::new());
        }
        let mut heads = BTreeMap::new();
        for (chain, seq) in &anchor.ends {
            let head = match self.read.get(chain).filter(|(known, _)| known == seq) {
                Some((_, head)) => head.clone(),
                None => {
                    match ends.get(chain).and_then(|end| end.cut.as_ref()).filter(|(cut, _)| cut == seq) {
                        Some((_, head)) => Some(head.clone()),
                        None => store::hash_of(db, chain, *seq).await?,
                    }
                }
            };
            heads.insert(chain.clone(), (*seq, head));
        }
        let same = digest(&heads) == anchor.digest;
        self.read = heads;
        Ok(if same { Vec::new() } else { vec!["the log is not the one that was noted before".into()] })
    }
}
