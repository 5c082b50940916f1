//! Breadth-first exploration of every reachable world, and the search for runs without end.

use crate::moves::{Finding, Move};
use crate::rules::Rule;
use crate::world::{Env, Side, World};
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// Everything reachable under one rule in one environment.
pub struct Explored {
    /// What was found on the way.
    pub findings: BTreeSet<Finding>,
    /// Moves from each world.
    edges: Vec<Vec<(usize, Option<Side>)>>,
}

/// Explores until nothing new is found.
pub fn explore(env: &Env, rule: &Rule) -> Explored {
    explore_until(env, rule, |_| false)
}

/// Whether a run may show this.
pub fn shows(env: &Env, rule: &Rule, finding: Finding) -> bool {
    explore_until(env, rule, |found| found == finding).findings.contains(&finding)
}

fn explore_until(env: &Env, rule: &Rule, enough: impl Fn(Finding) -> bool) -> Explored {
    let start = World::new(env);
    let mut numbers = HashMap::<World, usize, BuildHasherDefault<Mix>>::from_iter([(start, 0)]);
    let mut worlds = vec![start];
    let mut explored = Explored { findings: BTreeSet::new(), edges: Vec::new() };
    let mut moves: Vec<Move> = Vec::new();
    while let Some(world) = worlds.get(explored.edges.len()).copied() {
        world.moves(env, rule, &mut moves);
        let mut edges = Vec::with_capacity(moves.len());
        for step in moves.drain(..) {
            explored.findings.extend(step.finding);
            if step.finding.is_some_and(&enough) {
                return explored;
            }
            let Some(next) = step.next.map(World::sorted) else {
                continue;
            };
            let number = *numbers.entry(next).or_insert_with(|| {
                worlds.push(next);
                worlds.len() - 1
            });
            edges.push((number, step.gain));
        }
        explored.edges.push(edges);
    }
    explored
}

impl Explored {
    /// Whether some run without end hands newer tokens to the owner and to the thief again and again: whether
    /// one strongly connected component holds a gain of either.
    pub fn alternates(&self) -> bool {
        let component = self.components();
        let mut gains: HashMap<usize, (bool, bool)> = HashMap::new();
        for (world, edges) in self.edges.iter().enumerate() {
            for &(next, gain) in edges.iter().filter(|(next, _)| component[*next] == component[world]) {
                let of = gains.entry(component[next]).or_default();
                of.0 |= gain == Some(Side::Owner);
                of.1 |= gain == Some(Side::Thief);
            }
        }
        gains.values().any(|gains| *gains == (true, true))
    }

    /// Strongly connected components, by Kosaraju's two passes without recursion.
    fn components(&self) -> Vec<usize> {
        let count = self.edges.len();
        let mut back = vec![Vec::new(); count];
        for (world, edges) in self.edges.iter().enumerate() {
            for &(next, _) in edges {
                back[next].push(world);
            }
        }
        let mut component = vec![usize::MAX; count];
        for root in self.finished().into_iter().rev() {
            let mut stack = vec![root];
            while let Some(world) = stack.pop() {
                if component[world] == usize::MAX {
                    component[world] = root;
                    stack.extend(&back[world]);
                }
            }
        }
        component
    }

    /// The worlds in the order in which a depth-first search leaves them.
    fn finished(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.edges.len());
        let mut entered = vec![false; self.edges.len()];
        // Every world was reached from the first one.
        let mut stack = vec![(0, 0)];
        entered[0] = true;
        while let Some((world, edge)) = stack.pop() {
            let Some(&(next, _)) = self.edges[world].get(edge) else {
                order.push(world);
                continue;
            };
            stack.push((world, edge + 1));
            if !entered[next] {
                entered[next] = true;
                stack.push((next, 0));
            }
        }
        order
    }
}

/// A plain multiplicative hash: the default one takes half of the time in a debug build.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_i8(&mut self, value: i8) {
        self.write_u64(value.cast_unsigned().into());
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}
