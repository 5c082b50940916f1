//! The chain of a session's refresh tokens: what a presented token may do (RFC 9700 section 4.14.2, ASVS 10.4.5).
//!
//! - The current token rotates.
//! - Its immediate predecessor gets the *same* successor again: within the hand-over window, or later while the
//!   successor was never seen in use and the generation before had no such late retry.
//! - Every other token of the chain is reuse, and reuse ends the session.
//!
//! The last condition of a late retry is what ends a silent thief: one who rotates first and never uses what was
//! issued looks just like a lost answer, but not in two consecutive generations. `tests/rotation_model` explores
//! this rule and its alternatives exhaustively.

use crate::digest::equal;

/// The settings of rotation. A window of 0 and no late retry give the strict rule: one use per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long after a rotation the predecessor still opens its successor, in microseconds; 0 is not at all.
    pub handover_window: i64,
    /// Whether the predecessor opens it after the window too, while nothing tells against it.
    pub late_retry: bool,
}

/// Where a request came from; only ever compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The network, such as an address prefix.
    pub network: String,
    /// The browser or app, as it calls itself.
    pub agent: String,
}

impl Origin {
    /// A device changes its network or updates its browser, but hardly both between two parallel calls.
    fn is_foreign_to(&self, other: &Self) -> bool {
        self.network != other.network && self.agent != other.agent
    }
}

/// The state of one chain. Instants are microseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// How often the chain was rotated.
    pub generation: u32,
    /// The hash of the current token.
    pub current_hash: [u8; 32],
    /// The hash of its immediate predecessor; none before the first rotation.
    pub previous_hash: Option<[u8; 32]>,
    /// When the last rotation was.
    pub rotated_at: i64,
    /// Who asked for the last rotation.
    pub rotated_from: Origin,
    /// When anything issued in this generation was first seen in use.
    pub confirmed_at: Option<i64>,
    /// The last generation that was handed over by a late retry.
    pub late_retry_generation: Option<u32>,
}

/// A genuine token of the chain (its MAC was right).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// The generation that the token names.
    pub generation: u32,
    /// The hash of the token.
    pub hash: [u8; 32],
}

/// What the presented token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is current: make a successor, [`Chain::rotated`].
    Rotate,
    /// It was current a moment ago: hand the same successor over, the chain stays as it is.
    Retry,
    /// The answer of the rotation seems lost: hand the same successor over, [`Chain::late_retried`].
    LateRetry,
    /// It was used before: end the session.
    Reuse,
}

/// Judges a genuine token of a live chain.
pub fn judge(chain: &Chain, presented: &Presented, from: &Origin, now: i64, rules: &Rules) -> Verdict {
    if presented.generation == chain.generation && equal(&presented.hash, &chain.current_hash) {
        return Verdict::Rotate;
    }
    if !is_previous(chain, presented) {
        return Verdict::Reuse;
    }
    if in_window(chain, now, rules) {
        return if from.is_foreign_to(&chain.rotated_from) { Verdict::Reuse } else { Verdict::Retry };
    }
    if rules.late_retry && chain.confirmed_at.is_none() && !late_before(chain) {
        return Verdict::LateRetry;
    }
    Verdict::Reuse
}

fn is_previous(chain: &Chain, presented: &Presented) -> bool {
    presented.generation.checked_add(1) == Some(chain.generation)
        && chain.previous_hash.is_some_and(|hash| equal(&presented.hash, &hash))
}

/// A clock that stepped back since the rotation counts as inside.
fn in_window(chain: &Chain, now: i64, rules: &Rules) -> bool {
    rules.handover_window > 0 && now.saturating_sub(chain.rotated_at) <= rules.handover_window
}

/// Whether the generation before this one was handed over late; this one may be, any number of times.
fn late_before(chain: &Chain) -> bool {
    chain.late_retry_generation.is_some_and(|late| late.checked_add(1) == Some(chain.generation))
}

impl Chain {
    /// The chain after [`Verdict::Rotate`]. Nothing of the new generation has been seen yet.
    #[must_use]
    pub fn rotated(&self, successor_hash: [u8; 32], from: Origin, now: i64) -> Self {
        Self {
            generation: self.generation.saturating_add(1),
            current_hash: successor_hash,
            previous_hash: Some(self.current_hash),
            rotated_at: now,
            rotated_from: from,
            confirmed_at: None,
            late_retry_generation: self.late_retry_generation,
        }
    }

    /// The chain after [`Verdict::LateRetry`]. The window is not opened anew.
    #[must_use]
    pub fn late_retried(&self) -> Self {
        Self { late_retry_generation: Some(self.generation), ..self.clone() }
    }

    /// The chain after something issued in `generation` was seen in use. Only the first sight of the current
    /// generation changes anything: an access token may outlive its generation.
    #[must_use]
    pub fn confirmed(&self, generation: u32, now: i64) -> Self {
        let first = generation == self.generation && self.confirmed_at.is_none();
        Self { confirmed_at: if first { Some(now) } else { self.confirmed_at }, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { handover_window: 10, late_retry: true };
    const STRICT: Rules = Rules { handover_window: 0, late_retry: false };

    fn origin(network: &str, agent: &str) -> Origin {
        Origin { network: network.to_owned(), agent: agent.to_owned() }
    }

    /// Generation 5, rotated at 1000 from home with a phone; nothing of it seen.
    fn chain() -> Chain {
        Chain {
            generation: 5,
            current_hash: [5; 32],
            previous_hash: Some([4; 32]),
            rotated_at: 1000,
            rotated_from: origin("home", "phone"),
            confirmed_at: None,
            late_retry_generation: None,
        }
    }

    /// The token of a generation, presented from home with the phone.
    fn verdict(chain: &Chain, generation: u8, now: i64, rules: &Rules) -> Verdict {
        let presented = Presented { generation: generation.into(), hash: [generation; 32] };
        judge(chain, &presented, &origin("home", "phone"), now, rules)
    }

    #[test]
    fn the_current_token_rotates_whenever_it_comes() {
        for now in [i64::MIN, 999, 1000, 1010, 1011, i64::MAX] {
            assert_eq!(verdict(&chain(), 5, now, &RULES), Verdict::Rotate);
            assert_eq!(verdict(&chain().confirmed(5, 1001), 5, now, &STRICT), Verdict::Rotate);
        }
    }

    #[test]
    fn the_window_includes_its_last_instant_and_a_clock_that_stepped_back() {
        let seen = chain().confirmed(5, 1001);
        for now in [i64::MIN, 0, 999, 1000, 1010] {
            assert_eq!(verdict(&seen, 4, now, &RULES), Verdict::Retry, "at {now}");
        }
        assert_eq!(verdict(&seen, 4, 1011, &RULES), Verdict::Reuse);
        assert_eq!(verdict(&chain(), 4, 1011, &RULES), Verdict::LateRetry);
    }

    #[test]
    fn in_the_window_network_and_agent_may_not_both_differ() {
        let presented = Presented { generation: 4, hash: [4; 32] };
        let from = |network, agent| judge(&chain(), &presented, &origin(network, agent), 1005, &RULES);
        assert_eq!(from("train", "phone"), Verdict::Retry);
        assert_eq!(from("home", "tablet"), Verdict::Retry);
        assert_eq!(from("train", "tablet"), Verdict::Reuse);
        let late = judge(&chain(), &presented, &origin("train", "tablet"), 1011, &RULES);
        assert_eq!(late, Verdict::LateRetry);
    }

    #[test]
    fn late_retries_repeat_within_a_generation_but_not_in_the_next() {
        let late = chain().late_retried();
        assert_eq!(verdict(&late, 4, 9000, &RULES), Verdict::LateRetry);
        let next = late.rotated([6; 32], origin("home", "phone"), 9500);
        assert_eq!(verdict(&next, 5, 9501, &RULES), Verdict::Retry);
        assert_eq!(verdict(&next, 5, 9511, &RULES), Verdict::Reuse);
        let after = next.rotated([7; 32], origin("home", "phone"), 9600);
        assert_eq!(verdict(&after, 6, 9999, &RULES), Verdict::LateRetry);
    }

    #[test]
    fn only_the_first_sight_of_the_current_generation_confirms() {
        assert_eq!(chain().confirmed(4, 1001), chain());
        assert_eq!(chain().confirmed(6, 1001), chain());
        let seen = chain().confirmed(5, 1001);
        assert_eq!(seen.confirmed_at, Some(1001));
        assert_eq!(seen.confirmed(5, 1002), seen);
        assert_eq!(seen.rotated([6; 32], origin("home", "phone"), 1003).confirmed_at, None);
    }

    #[test]
    fn anything_older_is_reuse_even_at_once() {
        for generation in [0, 3] {
            assert_eq!(verdict(&chain(), generation, 1000, &RULES), Verdict::Reuse);
        }
        let first = Chain { generation: 0, current_hash: [0; 32], previous_hash: None, ..chain() };
        assert_eq!(verdict(&first, 9, 1000, &RULES), Verdict::Reuse);
    }

    #[test]
    fn the_hash_decides_and_the_generation_must_agree_with_it() {
        let from = origin("home", "phone");
        for (generation, hash) in [(5, 4), (4, 5), (5, 9), (4, 9), (3, 4), (6, 5), (u32::MAX, 4)] {
            let presented = Presented { generation, hash: [hash; 32] };
            assert_eq!(judge(&chain(), &presented, &from, 1000, &RULES), Verdict::Reuse);
        }
    }

    #[test]
    fn the_strict_rule_takes_every_token_once() {
        for now in [0, 1000, 1001, 9000] {
            assert_eq!(verdict(&chain(), 4, now, &STRICT), Verdict::Reuse);
        }
        let no_window = Rules { late_retry: true, ..STRICT };
        assert_eq!(verdict(&chain(), 4, 1000, &no_window), Verdict::LateRetry);
        let no_late_retry = Rules { late_retry: false, ..RULES };
        assert_eq!(verdict(&chain(), 4, 1011, &no_late_retry), Verdict::Reuse);
    }

    #[test]
    fn extreme_instants_do_not_overflow() {
        let old = Chain { rotated_at: i64::MIN, ..chain() };
        assert_eq!(verdict(&old, 4, i64::MAX, &RULES), Verdict::LateRetry);
        let future = Chain { rotated_at: i64::MAX, ..chain() };
        assert_eq!(verdict(&future, 4, i64::MIN, &RULES), Verdict::Retry);
    }
}
