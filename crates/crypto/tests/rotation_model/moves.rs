//! What can happen in a world: time passes, a tab of the owner asks, an answer arrives or is lost, the thief asks.

use crate::rules::Rule;
use crate::world::{ANCHOR, Env, Lost, Request, Side, Thief, World, origin, owner_origin};
use hallpass_crypto::rotation::Verdict;

/// What a move can show, besides the next world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finding {
    /// An honest owner was logged out.
    Logout,
    /// The same after the answers of two consecutive rotations were lost and both were retried late.
    LogoutAfterTwo,
    /// A token got another successor than before, or one that is not its own.
    Fork,
    /// Owner and thief both held the successors of two rotations.
    SharedTwice,
    /// A token whose successor had been seen in use opened it after the window.
    SpentOpened,
    /// A session was ended while it was shared: a thief was caught.
    Caught,
    /// A token was taken twice (no fault, unless the rule is the strict one).
    TakenTwice,
}

/// One move: where it leads (nowhere if the run ends), which side got a newer token, what it showed.
pub struct Move {
    pub next: Option<World>,
    pub gain: Option<Side>,
    pub finding: Option<Finding>,
}

impl From<World> for Move {
    fn from(next: World) -> Self {
        Self { next: Some(next), gain: None, finding: None }
    }
}

impl World {
    /// Every move that is possible now.
    pub fn moves(&self, env: &Env, rule: &Rule, out: &mut Vec<Move>) {
        self.time_moves(env, out);
        for tab in 0..env.tabs {
            self.tab_moves(tab, env, rule, out);
        }
        if self.owner == 0 {
            self.use_access(out);
        }
        let Some(thief) = env.thief else { return };
        match self.thief {
            None => {
                // A copy of what the owner keeps, or of an answer on its way.
                let answers = self.tabs.iter().flatten().filter_map(|request| request.answer);
                let copies = answers.chain([self.owner]);
                out.extend(copies.map(|token| Self { thief: Some(token), ..*self }.into()));
            }
            Some(token) => {
                self.thief_refreshes(token, thief, env, rule, out);
                if token == 0 {
                    self.use_access(out);
                }
            }
        }
    }

    fn time_moves(&self, env: &Env, out: &mut Vec<Move>) {
        // Ages from here on are alike: past the window even if the clock steps back as often as it may.
        let oldest = env.window + 1 + env.steps.0.cast_signed();
        let in_time = |request: &Option<Request>| request.is_none_or(|r| r.ticks < env.flight);
        if self.tabs.iter().all(in_time) && self.sight.is_none_or(|(_, ticks)| ticks < env.lag) {
            let mut next = Self { age: (self.age + 1).min(oldest), ..*self };
            next.tabs.iter_mut().flatten().for_each(|request| request.ticks += 1);
            next.sight = self.sight.map(|(back, ticks)| (back, ticks + 1));
            out.push(next.into());
        }
        if self.steps.0 > 0 {
            let steps = (self.steps.0 - 1, self.steps.1);
            out.push(Self { age: self.age - 1, steps, ..*self }.into());
        }
        if self.steps.1 > 0 {
            let steps = (self.steps.0, self.steps.1 - 1);
            out.push(Self { age: (self.age + 1).min(oldest), steps, ..*self }.into());
        }
        if let Some((back, _)) = self.sight {
            let chain = self.chain().confirmed(ANCHOR - u32::from(back), self.now());
            out.push(Self { sight: None, ..self.with(&chain) }.into());
        }
    }

    /// Somebody uses an access token of the current generation. The row learns of it later.
    fn use_access(&self, out: &mut Vec<Move>) {
        if !self.confirmed && self.sight.is_none() {
            out.push(Self { sight: Some((0, 0)), ..*self }.into());
        }
    }

    fn tab_moves(&self, tab: usize, env: &Env, rule: &Rule, out: &mut Vec<Move>) {
        match self.tabs[tab] {
            None => self.send(tab, env, out),
            Some(Request { answer: None, .. }) => {
                out.push(self.with_tab(tab, None).into());
                self.arrive(tab, env, rule, out);
            }
            Some(Request { answer: Some(token), .. }) => {
                let idle = self.with_tab(tab, None);
                let gain = (token < self.owner).then_some(Side::Owner);
                out.push(Move { next: Some(Self { owner: token, ..idle }), gain, finding: None });
                if !(env.one_loss && self.lost.answer) {
                    let lost = Lost { answer: true, ..self.lost };
                    out.push(Self { lost, ..idle }.into());
                }
            }
        }
    }

    fn send(&self, tab: usize, env: &Env, out: &mut Vec<Move>) {
        if let Some(other) = self.tabs[1 - tab] {
            // A refresh follows the last one by the life of an access token: nothing is on its way that long.
            let overtakes = other.token != self.owner;
            // A retry that may meet the end of the window goes alone.
            let arrival = self.age + env.flight.cast_signed() + self.steps.1.cast_signed();
            let late_beside = self.owner != 0 && arrival > env.window;
            if (overtakes && !env.overtaking) || (late_beside && !env.late_beside) {
                return;
            }
        }
        for network in 0..env.networks {
            let request = Request { token: self.owner, network, ticks: 0, answer: None };
            out.push(self.with_tab(tab, Some(request)).into());
        }
    }

    fn arrive(&self, tab: usize, env: &Env, rule: &Rule, out: &mut Vec<Move>) {
        let Some(request) = self.tabs[tab] else { return };
        if !self.may_hit(Side::Owner, request.token, env) {
            return;
        }
        let (verdict, chain) = self.judged(request.token, &owner_origin(request.network), env, rule);
        let lost_and_late = request.token == 1 && self.age > env.window;
        let finding = match verdict {
            Verdict::Reuse if self.thief.is_some() => Some(Finding::Caught),
            Verdict::Reuse if lost_and_late && self.lost.late_before => Some(Finding::LogoutAfterTwo),
            Verdict::Reuse => Some(Finding::Logout),
            _ => self.fault(verdict, request.token, env),
        };
        let lost = Lost { late: self.lost.late || lost_and_late, ..self.lost };
        let mut next = Self { lost, ..*self }.with(&chain);
        next.rotated_by =
            if verdict == Verdict::Rotate { (Side::Owner, request.network) } else { self.rotated_by };
        if let Some(request) = &mut next.tabs[tab] {
            request.answer = Some(0);
            request.ticks = 0;
        }
        out.push(next.handed(Side::Owner, finding, None));
    }

    fn thief_refreshes(&self, token: u8, thief: Thief, env: &Env, rule: &Rule, out: &mut Vec<Move>) {
        if !self.may_hit(Side::Thief, token, env) {
            return;
        }
        let (verdict, chain) = self.judged(token, &origin(thief.from), env, rule);
        let finding = match verdict {
            Verdict::Reuse => Some(Finding::Caught),
            _ => self.fault(verdict, token, env),
        };
        let mut next = self.with(&chain);
        if verdict == Verdict::Rotate {
            next.rotated_by = (Side::Thief, thief.from.0);
            // The thief's answer may be lost too.
            out.push(next.into());
        }
        next.thief = Some(0);
        out.push(next.handed(Side::Thief, finding, Some(Side::Thief)));
    }

    /// Ends the run after reuse or a fork; notes who has the successor of this generation otherwise.
    fn handed(mut self, to: Side, finding: Option<Finding>, gain: Option<Side>) -> Move {
        if finding.is_some_and(Finding::ends_the_run) {
            return Move { next: None, gain: None, finding };
        }
        let both_before = self.got == (true, true);
        match to {
            Side::Owner => self.got.0 = true,
            Side::Thief => self.got.1 = true,
        }
        let mut move_ = Move { next: None, gain, finding };
        if self.got == (true, true) && !both_before {
            self.shared = (self.shared + 1).min(2);
            // Whatever else is wrong with such a run showed in an earlier move already.
            if self.shared == 2 {
                move_.finding = Some(Finding::SharedTwice);
            }
        }
        move_.next = Some(self);
        move_
    }

    /// What is wrong with handing a successor over, in terms of this world rather than of the rule.
    fn fault(&self, verdict: Verdict, token: u8, env: &Env) -> Option<Finding> {
        // The current token has no successor yet, its parent has one, and no other successor is at hand.
        let forks = match verdict {
            Verdict::Rotate => token != 0,
            _ => token != 1,
        };
        let spent = token == 1 && self.confirmed && self.age > env.window;
        match verdict {
            _ if forks => Some(Finding::Fork),
            _ if spent => Some(Finding::SpentOpened),
            Verdict::Retry | Verdict::LateRetry => Some(Finding::TakenTwice),
            _ => None,
        }
    }

    /// Whether this request is part of the world: the window of the other side's rotation may be out of reach.
    fn may_hit(&self, side: Side, token: u8, env: &Env) -> bool {
        let others = self.rotated_by.0 != side && token != 0 && self.age <= env.window;
        !others || env.thief.is_none_or(|thief| thief.hits_windows)
    }
}

impl Finding {
    /// Reuse ends the session; after a fork the relative generations mean nothing.
    fn ends_the_run(self) -> bool {
        matches!(self, Self::Logout | Self::LogoutAfterTwo | Self::Caught | Self::Fork)
    }
}
