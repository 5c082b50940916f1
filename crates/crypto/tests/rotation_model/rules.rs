//! The rule, the alternatives that were weighed against it, and mutants of it.

use hallpass_crypto::rotation::{self, Chain, Origin, Presented, Rules, Verdict};

/// A rule for what a token may do.
#[derive(Clone, Copy)]
pub struct Rule {
    pub name: &'static str,
    pub judge: fn(&Chain, &Presented, &Origin, i64, &Rules) -> Verdict,
    /// Under the strict settings: no window, no late retry.
    pub strict: bool,
}

const fn rule(name: &'static str, judge: fn(&Chain, &Presented, &Origin, i64, &Rules) -> Verdict) -> Rule {
    Rule { name, judge, strict: false }
}

/// The real one.
pub const THIS: Rule = rule("this rule", rotation::judge);

// The alternatives.
pub const WINDOW_ONLY: Rule = rule("window only", |chain, presented, from, now, rules| {
    outline(chain, presented, from, now, rules, |_| false)
});
pub const PARENT_ALWAYS: Rule = rule("parent always allowed", |chain, presented, from, now, rules| {
    outline(chain, presented, from, now, rules, |_| true)
});
pub const WHILE_UNUSED: Rule =
    rule("allowed while the successor is unused", |chain, presented, from, now, rules| {
        outline(chain, presented, from, now, rules, |chain| chain.confirmed_at.is_none())
    });
pub const ONE_LATE_RETRY: Rule =
    rule("one late retry per generation", |chain, presented, from, now, rules| {
        outline(chain, presented, from, now, rules, |chain| {
            chain.confirmed_at.is_none() && chain.late_retry_generation != Some(chain.generation)
        })
    });

// Mutants of the late retry.
pub const LATE_TWO_BEFORE: Rule =
    rule("late retry two generations ago counts", |chain, presented, from, now, rules| {
        outline(chain, presented, from, now, rules, |chain| {
            chain.confirmed_at.is_none() && chain.late_retry_generation != Some(chain.generation - 2)
        })
    });
pub const LATE_HERE_TOO: Rule =
    rule("late retry in this generation counts too", |chain, presented, from, now, rules| {
        outline(chain, presented, from, now, rules, |chain| {
            chain.confirmed_at.is_none()
                && chain.late_retry_generation.is_none_or(|late| late + 1 < chain.generation)
        })
    });
pub const LATE_EVER: Rule = rule("any earlier late retry counts", |chain, presented, from, now, rules| {
    outline(chain, presented, from, now, rules, |chain| {
        let earlier = chain.late_retry_generation.is_some_and(|late| late < chain.generation);
        chain.confirmed_at.is_none() && !earlier
    })
});
pub const CONFIRMED_IGNORED: Rule = rule("confirmed ignored", |chain, presented, from, now, rules| {
    outline(chain, presented, from, now, rules, not_late_before)
});
pub const LATE_NOT_NOTED: Rule = rule("late retry not noted", |chain, presented, from, now, rules| {
    match rotation::judge(chain, presented, from, now, rules) {
        Verdict::LateRetry => Verdict::Retry,
        verdict => verdict,
    }
});
pub const WINDOW_NOTED_LATE: Rule =
    rule("retry in the window noted as late", |chain, presented, from, now, rules| {
        match rotation::judge(chain, presented, from, now, rules) {
            Verdict::Retry => Verdict::LateRetry,
            verdict => verdict,
        }
    });

// Mutants of the window.
pub const WINDOW_OPEN_ENDED: Rule =
    rule("last instant of the window left out", |chain, presented, from, now, rules| {
        rotation::judge(chain, presented, from, now.saturating_add(1), rules)
    });
pub const WINDOW_REVERSED: Rule =
    rule("window compared the wrong way round", |chain, presented, from, now, rules| {
        let mirrored = chain.rotated_at - (now - chain.rotated_at);
        rotation::judge(chain, presented, from, mirrored, rules)
    });
pub const WINDOW_DOUBLED: Rule = rule("window twice as long", |chain, presented, from, now, rules| {
    let rules = Rules { handover_window: rules.handover_window * 2, ..*rules };
    rotation::judge(chain, presented, from, now, &rules)
});
pub const WINDOW_LOST_BY_STEP: Rule =
    rule("clock that stepped back is outside", |chain, presented, from, now, rules| {
        let now = if now < chain.rotated_at { i64::MAX } else { now };
        rotation::judge(chain, presented, from, now, rules)
    });
pub const ORIGIN_IGNORED: Rule = rule("origin ignored", |chain, presented, _, now, rules| {
    rotation::judge(chain, presented, &chain.rotated_from, now, rules)
});
pub const ORIGIN_OR: Rule = rule("network or agent differs", |chain, presented, from, now, rules| {
    match rotation::judge(chain, presented, from, now, rules) {
        Verdict::Retry if *from != chain.rotated_from => Verdict::Reuse,
        verdict => verdict,
    }
});

// Mutants of the chain.
pub const GRANDPARENT: Rule =
    rule("grandparent allowed in the window", |chain, presented, from, now, rules| {
        let grandparent = presented.generation + 2 == chain.generation;
        if grandparent && now - chain.rotated_at <= rules.handover_window {
            return Verdict::Retry;
        }
        rotation::judge(chain, presented, from, now, rules)
    });
pub const FORKING: Rule = rule("retry makes a new successor", |chain, presented, from, now, rules| {
    match rotation::judge(chain, presented, from, now, rules) {
        Verdict::Retry | Verdict::LateRetry => Verdict::Rotate,
        verdict => verdict,
    }
});

// The strict settings, and two ways to get them wrong.
pub const STRICT: Rule = Rule { name: "strict", judge: rotation::judge, strict: true };
pub const STRICT_WITH_INSTANT: Rule = Rule {
    name: "window of 0 holds for an instant",
    judge: |chain, presented, from, now, rules| {
        let rules = Rules { handover_window: rules.handover_window.max(1), ..*rules };
        rotation::judge(chain, presented, from, now, &rules)
    },
    strict: true,
};
pub const STRICT_WITH_LATE: Rule = Rule {
    name: "late retry cannot be switched off",
    judge: |chain, presented, from, now, rules| {
        let rules = Rules { late_retry: true, ..*rules };
        rotation::judge(chain, presented, from, now, &rules)
    },
    strict: true,
};

/// The frame that the alternatives share: all is as in the real rule, but for what is allowed after the window.
fn outline(
    chain: &Chain,
    presented: &Presented,
    from: &Origin,
    now: i64,
    rules: &Rules,
    late: fn(&Chain) -> bool,
) -> Verdict {
    let previous = chain.previous_hash == Some(presented.hash);
    let in_window = rules.handover_window > 0 && now - chain.rotated_at <= rules.handover_window;
    if previous && !in_window {
        return if rules.late_retry && late(chain) { Verdict::LateRetry } else { Verdict::Reuse };
    }
    rotation::judge(chain, presented, from, now, rules)
}

fn not_late_before(chain: &Chain) -> bool {
    chain.late_retry_generation != Some(chain.generation - 1)
}
