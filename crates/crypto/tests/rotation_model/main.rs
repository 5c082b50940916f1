//! The rotation rule against every world of a small model, beside the alternatives and beside mutants of it.
//!
//! An owner with one device (two tabs, two networks, answers lost or late, an access token used or not, the
//! sight of it written lazily, a clock that steps) and perhaps a thief who copied a token at some moment share one
//! chain. All interleavings are explored; nothing is sampled.

mod explore;
mod moves;
mod rules;
mod world;

use crate::explore::{explore, shows};
use crate::moves::Finding;
use crate::rules::{
    CONFIRMED_IGNORED, FORKING, GRANDPARENT, LATE_EVER, LATE_HERE_TOO, LATE_NOT_NOTED, LATE_TWO_BEFORE,
    ONE_LATE_RETRY, ORIGIN_IGNORED, ORIGIN_OR, PARENT_ALWAYS, Rule, STRICT, STRICT_WITH_INSTANT,
    STRICT_WITH_LATE, THIS, WHILE_UNUSED, WINDOW_DOUBLED, WINDOW_LOST_BY_STEP, WINDOW_NOTED_LATE,
    WINDOW_ONLY, WINDOW_OPEN_ENDED, WINDOW_REVERSED,
};
use crate::world::{Env, Thief};

/// No thief. A tick is 2.5 s, so the window is the default of 10 s and a sight is written within 5 s. What two
/// parallel calls need fits exactly: two ways of 2.5 s and a clock that leaps by 5 s.
const HONEST: Env = Env {
    window: 4,
    flight: 1,
    lag: 2,
    steps: (1, 2),
    tabs: 2,
    networks: 2,
    one_loss: false,
    late_beside: false,
    overtaking: false,
    thief: None,
};
/// Fits exactly as well: two ways of 5 s.
const SLOW: Env = Env { flight: 2, steps: (1, 0), ..HONEST };
/// One lost answer in a generation.
const ONE_LOSS: Env = Env { one_loss: true, steps: (0, 0), ..SLOW };

/// A thief, two tabs; a tick is 5 s.
const TWO_TABS: Env = Env { window: 2, lag: 1, steps: (0, 0), networks: 1, ..HONEST };
/// A thief, one tab that moves between networks, a clock that steps.
const ONE_TAB: Env = Env { window: 2, lag: 1, steps: (1, 1), tabs: 1, ..HONEST };

const FOREIGN: (u8, u8) = (2, 1);
const SAME_NETWORK: (u8, u8) = (0, 1);
const SAME_BROWSER: (u8, u8) = (2, 0);
const SAME_BOTH: (u8, u8) = (0, 0);

const fn with_thief(env: Env, from: (u8, u8), hits_windows: bool) -> Env {
    Env { thief: Some(Thief { from, hits_windows }), ..env }
}

/// The thief shares nothing with the owner and may come at any time.
const APART: Env = with_thief(TWO_TABS, FOREIGN, true);
/// The thief shares network and browser, but neither side hits the window of the other's rotation.
const LATE: Env = with_thief(TWO_TABS, SAME_BOTH, false);
/// The exception: the same network, and the other's window is hit.
const HITTING: Env = with_thief(TWO_TABS, SAME_NETWORK, true);

/// What has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    NoHonestLogout,
    OneSuccessor,
    NoEndlessSharing,
    CaughtBySecondRotation,
    SpentOpensNothing,
    /// Of the strict settings only.
    OneUse,
}

fn holds(property: Property, rule: &Rule) -> bool {
    let never = |envs: &[Env], finding| !envs.iter().any(|env| shows(env, rule, finding));
    match property {
        Property::NoHonestLogout => never(&[SLOW, HONEST], Finding::Logout),
        Property::OneSuccessor => never(&[SLOW, HITTING], Finding::Fork),
        Property::NoEndlessSharing => [APART, LATE].iter().all(|env| !explore(env, rule).alternates()),
        Property::CaughtBySecondRotation => never(&[APART, LATE], Finding::SharedTwice),
        Property::SpentOpensNothing => never(&[APART, LATE], Finding::SpentOpened),
        Property::OneUse => never(&[SLOW, HITTING], Finding::TakenTwice),
    }
}

/// What becomes of an honest client whose answer was lost.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    LoggedOut,
    OutAfterTwoLostAndLate,
}

fn fate(env: &Env, rule: &Rule) -> Fate {
    let findings = explore(env, rule).findings;
    if findings.contains(&Finding::Logout) {
        Fate::LoggedOut
    } else if findings.contains(&Finding::LogoutAfterTwo) {
        Fate::OutAfterTwoLostAndLate
    } else {
        Fate::Fine
    }
}

#[test]
fn the_table_of_the_alternatives_is_as_it_was_written() {
    let table = [
        (WINDOW_ONLY, Fate::LoggedOut, false),
        (PARENT_ALWAYS, Fate::Fine, true),
        (WHILE_UNUSED, Fate::Fine, true),
        (ONE_LATE_RETRY, Fate::Fine, true),
        (THIS, Fate::OutAfterTwoLostAndLate, false),
    ];
    for (rule, expected, alternates) in table {
        assert_eq!(fate(&ONE_LOSS, &rule), expected, "{}", rule.name);
        for env in [APART, LATE] {
            assert_eq!(explore(&env, &rule).alternates(), alternates, "{}", rule.name);
        }
    }
}

#[test]
fn no_honest_client_is_logged_out_unless_two_consecutive_rotations_are_lost_and_late() {
    for env in [HONEST, SLOW] {
        assert_eq!(fate(&env, &THIS), Fate::OutAfterTwoLostAndLate);
    }
}

#[test]
fn a_token_never_gets_two_successors() {
    for env in [SLOW, APART, LATE, HITTING] {
        assert!(!shows(&env, &THIS, Finding::Fork), "{env:?}");
    }
}

#[test]
fn a_thief_who_shares_nothing_with_the_owner_is_caught_by_the_second_rotation() {
    no_sharing(&[APART, with_thief(ONE_TAB, FOREIGN, true)]);
}

#[test]
fn a_thief_in_the_owners_network_who_comes_late_is_caught_by_the_second_rotation() {
    no_sharing(&[LATE, with_thief(ONE_TAB, SAME_BOTH, false)]);
}

fn no_sharing(envs: &[Env]) {
    for env in envs {
        let explored = explore(env, &THIS);
        assert!(!explored.alternates(), "{env:?}");
        assert!(explored.findings.contains(&Finding::Caught), "{env:?}");
        for fault in [Finding::SharedTwice, Finding::SpentOpened, Finding::Fork] {
            assert!(!explored.findings.contains(&fault), "{fault:?} in {env:?}");
        }
    }
}

#[test]
fn only_hitting_the_others_window_from_its_network_or_browser_shares_without_end() {
    for from in [SAME_NETWORK, SAME_BROWSER, SAME_BOTH] {
        let explored = explore(&with_thief(TWO_TABS, from, true), &THIS);
        assert!(explored.alternates(), "{from:?}");
        assert!(explored.findings.contains(&Finding::SharedTwice), "{from:?}");
        assert!(!explored.findings.contains(&Finding::SpentOpened), "{from:?}");
    }
}

#[test]
fn the_strict_rule_takes_no_token_twice() {
    assert!(holds(Property::OneUse, &STRICT));
    assert!(holds(Property::NoEndlessSharing, &STRICT));
    assert!(!holds(Property::OneUse, &THIS));
    assert_eq!(fate(&ONE_LOSS, &STRICT), Fate::LoggedOut);
}

#[test]
fn every_alternative_and_every_mutant_breaks_the_property_that_it_was_made_to_break() {
    use Property::{
        CaughtBySecondRotation, NoEndlessSharing, NoHonestLogout, OneSuccessor, OneUse, SpentOpensNothing,
    };
    let mutants = [
        (WINDOW_ONLY, NoHonestLogout),
        (PARENT_ALWAYS, SpentOpensNothing),
        (PARENT_ALWAYS, NoEndlessSharing),
        (WHILE_UNUSED, NoEndlessSharing),
        (WHILE_UNUSED, CaughtBySecondRotation),
        (ONE_LATE_RETRY, NoEndlessSharing),
        (ONE_LATE_RETRY, CaughtBySecondRotation),
        // The answer of its one late retry may be lost as well.
        (ONE_LATE_RETRY, NoHonestLogout),
        (LATE_TWO_BEFORE, NoEndlessSharing),
        (LATE_HERE_TOO, NoHonestLogout),
        (LATE_EVER, NoHonestLogout),
        (LATE_NOT_NOTED, NoEndlessSharing),
        (WINDOW_NOTED_LATE, NoHonestLogout),
        (CONFIRMED_IGNORED, SpentOpensNothing),
        (WINDOW_OPEN_ENDED, NoHonestLogout),
        (WINDOW_REVERSED, SpentOpensNothing),
        (WINDOW_DOUBLED, SpentOpensNothing),
        (WINDOW_LOST_BY_STEP, NoHonestLogout),
        (ORIGIN_IGNORED, NoEndlessSharing),
        (ORIGIN_OR, NoHonestLogout),
        (GRANDPARENT, OneSuccessor),
        (FORKING, OneSuccessor),
        (STRICT_WITH_INSTANT, OneUse),
        (STRICT_WITH_LATE, OneUse),
    ];
    for (mutant, property) in mutants {
        assert!(!holds(property, &mutant), "{} keeps {property:?}", mutant.name);
    }
}

// What the rule asks of clients. Each of these limits is real; where one falls, its test says so.

#[test]
fn a_second_late_retry_beside_the_first_is_out_once_the_first_was_seen_in_use() {
    assert!(shows(&Env { late_beside: true, ..SLOW }, &THIS, Finding::Logout));
}

#[test]
fn a_request_that_two_rotations_overtake_is_out() {
    assert!(shows(&Env { overtaking: true, ..SLOW }, &THIS, Finding::Logout));
}

#[test]
fn a_clock_that_leaps_over_the_window_between_parallel_calls_is_out() {
    assert!(shows(&Env { steps: (0, 4), ..HONEST }, &THIS, Finding::Logout));
}
