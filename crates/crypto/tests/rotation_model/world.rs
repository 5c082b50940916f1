//! One chain, its owner and perhaps a thief, as a finite world. The chain is kept relative to its current
//! generation and its last rotation, so that a run without end is a cycle; every judgement is made by the real
//! code (or a mutant of it) on a real [`Chain`].

use crate::rules::Rule;
use hallpass_crypto::rotation::{Chain, Origin, Presented, Rules, Verdict};

/// The clock of the model, in microseconds.
const TICK: i64 = 2_500_000;
/// Where the relative generations are anchored when a real chain is built.
pub const ANCHOR: u32 = 1000;
/// Generations back from which tokens are no longer told apart: older than the grandparent.
const OLD: u8 = 3;

/// What the world allows.
#[derive(Clone, Copy, Debug)]
pub struct Env {
    /// The hand-over window, in ticks.
    pub window: i8,
    /// The longest way of a request, and of an answer, in ticks.
    pub flight: u8,
    /// The longest time until a confirmation is written, in ticks.
    pub lag: u8,
    /// How often the clock may step back, and forward, by one tick.
    pub steps: (u8, u8),
    /// Tabs of the owner, and networks that the owner moves between.
    pub tabs: usize,
    pub networks: u8,
    /// At most one answer is lost in each generation.
    pub one_loss: bool,
    /// A retry may be sent beside another one although it may arrive after the window.
    pub late_beside: bool,
    /// A tab may use the successor while another still has a request with the predecessor on its way.
    pub overtaking: bool,
    /// The thief, if there is one.
    pub thief: Option<Thief>,
}

/// Where the thief is, and whom the window protects.
#[derive(Clone, Copy, Debug)]
pub struct Thief {
    /// The thief's network and browser; the owner's networks are 0 and 1, the browser is 0.
    pub from: (u8, u8),
    /// Each side may hit the window of the other's rotation.
    pub hits_windows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Owner,
    Thief,
}

/// A request of the owner, and its answer once it was judged. Tokens are named by generations back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    pub token: u8,
    pub network: u8,
    pub ticks: u8,
    pub answer: Option<u8>,
}

/// What the owner missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lost {
    /// An answer in this generation.
    pub answer: bool,
    /// Every answer in this generation until the window was over, so that the owner retried late.
    pub late: bool,
    /// The same in the generation before.
    pub late_before: bool,
}

/// The whole state. Tokens are named by generations back here too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    // The chain.
    /// Ticks since the last rotation, by the server's clock.
    pub age: i8,
    /// There was no rotation yet.
    pub first: bool,
    pub rotated_by: (Side, u8),
    pub confirmed: bool,
    /// The last late retry.
    pub late_back: Option<u8>,
    /// A sight on its way to the row: of which generation, since when.
    pub sight: Option<(u8, u8)>,
    // The holders.
    pub owner: u8,
    pub tabs: [Option<Request>; 2],
    pub thief: Option<u8>,
    // What the model remembers in order to judge the run.
    pub steps: (u8, u8),
    pub lost: Lost,
    /// Whether owner and thief were handed the successor of this generation.
    pub got: (bool, bool),
    /// In how many generations both were.
    pub shared: u8,
}

impl World {
    /// A session that just began.
    pub fn new(env: &Env) -> Self {
        Self {
            age: env.window + 1,
            first: true,
            rotated_by: (Side::Owner, 0),
            confirmed: false,
            late_back: None,
            sight: None,
            owner: 0,
            tabs: [None; 2],
            thief: None,
            steps: env.steps,
            lost: Lost::default(),
            got: (false, false),
            shared: 0,
        }
    }

    /// Asks the rule, and lets the real chain take the step.
    pub fn judged(&self, token: u8, from: &Origin, env: &Env, rule: &Rule) -> (Verdict, Chain) {
        let chain = Chain { rotated_from: self.rotated_from(env), ..self.chain() };
        let generation = ANCHOR - u32::from(token);
        let presented = Presented { generation, hash: hash(generation) };
        let window = if rule.strict { 0 } else { i64::from(env.window) * TICK };
        let rules = Rules { handover_window: window, late_retry: !rule.strict };
        let verdict = (rule.judge)(&chain, &presented, from, self.now(), &rules);
        let chain = match verdict {
            Verdict::Rotate => chain.rotated(hash(ANCHOR + 1), from.clone(), self.now()),
            Verdict::LateRetry => chain.late_retried(),
            Verdict::Retry | Verdict::Reuse => chain,
        };
        (verdict, chain)
    }

    pub fn now(&self) -> i64 {
        i64::from(self.age) * TICK
    }

    /// The real chain of this world, rotated at instant 0.
    pub fn chain(&self) -> Chain {
        Chain {
            generation: ANCHOR,
            current_hash: hash(ANCHOR),
            previous_hash: (!self.first).then(|| hash(ANCHOR - 1)),
            rotated_at: 0,
            rotated_from: owner_origin(self.rotated_by.1),
            confirmed_at: self.confirmed.then_some(0),
            late_retry_generation: self.late_back.map(|back| ANCHOR - u32::from(back)),
        }
    }

    fn rotated_from(&self, env: &Env) -> Origin {
        match (self.rotated_by, env.thief) {
            ((Side::Thief, _), Some(thief)) => origin(thief.from),
            ((_, network), _) => owner_origin(network),
        }
    }

    /// This world with that chain, anchored anew.
    pub fn with(&self, chain: &Chain) -> Self {
        let rotated = chain.generation > ANCHOR;
        let mut next = *self;
        next.first = chain.previous_hash.is_none();
        next.confirmed = chain.confirmed_at.is_some();
        next.late_back = chain
            .late_retry_generation
            .and_then(|late| u8::try_from(chain.generation - late).ok().filter(|back| *back < OLD));
        if rotated {
            let older = |back: u8| (back + 1).min(OLD);
            next.age = 0;
            next.owner = older(self.owner);
            next.thief = self.thief.map(older);
            next.sight = self.sight.map(|(back, ticks)| (older(back), ticks));
            for request in next.tabs.iter_mut().flatten() {
                request.token = older(request.token);
                request.answer = request.answer.map(older);
            }
            next.lost = Lost { late_before: self.lost.late, ..Lost::default() };
            next.got = (false, false);
        }
        next
    }

    pub fn with_tab(&self, tab: usize, request: Option<Request>) -> Self {
        let mut next = *self;
        next.tabs[tab] = request;
        next
    }

    /// The same world with busy tabs first. Tabs are alike: no mirror image is explored twice.
    pub fn sorted(mut self) -> Self {
        self.tabs.sort_unstable_by(|one, other| other.cmp(one));
        self
    }
}

fn hash(generation: u32) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&generation.to_be_bytes());
    hash
}

pub fn owner_origin(network: u8) -> Origin {
    origin((network, 0))
}

pub fn origin((network, agent): (u8, u8)) -> Origin {
    Origin { network: format!("network {network}"), agent: format!("agent {agent}") }
}
