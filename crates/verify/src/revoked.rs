//! What was revoked lately: bounded, and order does not matter, since the feed may repeat and reorder.
use crate::times::begun;
use std::collections::HashMap;

/// Instants are milliseconds since 1970 UTC by the server's clock.
type Millis = i64;

/// Changes of what tokens are made of: of one user, or of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changes {
    /// The latest state, counted by the server: tokens made of an earlier one are outdated.
    state: Option<i64>,
    /// When the latest change was.
    latest: Option<Millis>,
    /// When the latest change was that told no state, as by an older server.
    untold: Option<Millis>,
}

impl Changes {
    fn note(&mut self, at: Millis, state: Option<i64>) {
        self.latest = self.latest.max(Some(at));
        self.state = self.state.max(state);
        if state.is_none() {
            self.untold = self.untold.max(Some(at));
        }
    }

    /// Whether a token says something outdated. What it was made of tells exactly; when it was made only as far as clocks agree, and as
    /// the node that made it had heard of the change.
    fn outdate(&self, made_of: Option<i64>, issued: Millis) -> bool {
        match made_of {
            Some(made_of) => {
                self.state.is_some_and(|state| made_of < state) || self.untold.is_some_and(|at| issued <= at)
            }
            None => self.latest.is_some_and(|at| issued <= at),
        }
    }
}

/// What ended or changed for one user. Two cuts are all that has to be known, whatever came before: whoever was excepted
/// from an earlier end and not from a later one has ended too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cuts {
    /// Every session that had begun by then has ended.
    all: Option<Millis>,
    /// Every session that had begun by then has ended, but for this one.
    latest: Option<(Millis, u128)>,
    changed: Changes,
}

impl Cuts {
    fn end_all(&mut self, at: Millis) {
        self.all = self.all.max(Some(at));
        self.latest = self.latest.filter(|(latest, _)| Some(*latest) > self.all);
    }

    fn end_others(&mut self, at: Millis, except: u128) {
        match self.latest {
            Some((latest, same)) if same == except => self.latest = Some((latest.max(at), same)),
            Some((latest, other)) => {
                self.latest = Some(if at > latest { (at, except) } else { (latest, other) });
                self.end_all(at.min(latest));
            }
            None if Some(at) > self.all => self.latest = Some((at, except)),
            None => {}
        }
    }

    fn newest(&self) -> Option<Millis> {
        self.all.max(self.changed.latest).max(self.latest.map(|(at, _)| at))
    }
}

/// What a token says of itself, as far as revocations ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub(crate) user: u128,
    pub(crate) session: u128,
    /// When it was made.
    pub(crate) issued: Millis,
    /// Of which state of the user.
    pub(crate) user_as_of: Option<i64>,
    /// Of which state of the roles.
    pub(crate) roles_as_of: Option<i64>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    Revoked,
    Outdated,
}

/// See the module's doc.
#[derive(Debug)]
pub(crate) struct Revoked {
    sessions: HashMap<u128, Millis>,
    users: HashMap<u128, Cuts>,
    roles: Changes,
    most: usize,
    /// By how much the clocks of nodes may differ.
    leeway: Millis,
    /// Until then something is missing, since there was no room for it.
    incomplete_until: Option<Millis>,
}

impl Revoked {
    pub(crate) fn new(most: usize, leeway: Millis) -> Self {
        Self {
            sessions: HashMap::new(),
            users: HashMap::new(),
            roles: Changes::default(),
            most,
            leeway,
            incomplete_until: None,
        }
    }

    pub(crate) fn session_ended(&mut self, session: u128, at: Millis, keep: Millis) {
        if self.has_room(self.sessions.contains_key(&session), at, keep) {
            let known = self.sessions.entry(session).or_insert(at);
            *known = at.max(*known);
        }
    }

    pub(crate) fn sessions_ended(&mut self, user: u128, except: Option<u128>, at: Millis, keep: Millis) {
        if let Some(cuts) = self.cuts(user, at, keep) {
            match except {
                Some(except) => cuts.end_others(at, except),
                None => cuts.end_all(at),
            }
        }
    }

    pub(crate) fn user_changed(&mut self, user: u128, as_of: Option<i64>, at: Millis, keep: Millis) {
        if let Some(cuts) = self.cuts(user, at, keep) {
            cuts.changed.note(at, as_of);
        }
    }

    pub(crate) fn roles_changed(&mut self, as_of: Option<i64>, at: Millis) {
        self.roles.note(at, as_of);
    }

    fn cuts(&mut self, user: u128, at: Millis, keep: Millis) -> Option<&mut Cuts> {
        let room = self.has_room(self.users.contains_key(&user), at, keep);
        room.then(|| self.users.entry(user).or_default())
    }

    /// Without room nothing may count as good for as long as what is missing matters.
    fn has_room(&mut self, known: bool, at: Millis, keep: Millis) -> bool {
        let room = known || self.sessions.len() + self.users.len() < self.most;
        if !room {
            self.incomplete_until = self.incomplete_until.max(Some(at + keep));
        }
        room
    }

    /// Whether everything that matters is here.
    pub(crate) const fn is_complete(&self) -> bool {
        self.incomplete_until.is_none()
    }

    /// How the token stands.
    ///
    /// A session that ended with all of its user had begun by then, which its id tells to the millisecond; `iat` would
    /// take a sign-in of the same second for one of the ended. A token made later than the end, beyond what clocks
    /// may differ, is no token of an ended session: those get none.
    pub(crate) fn standing(&self, token: Subject) -> Standing {
        if self.sessions.contains_key(&token.session) {
            return Standing::Revoked;
        }
        let issued = token.issued;
        let outdated = self.roles.outdate(token.roles_as_of, issued);
        let otherwise = if outdated { Standing::Outdated } else { Standing::Good };
        let Some(cuts) = self.users.get(&token.user) else {
            return otherwise;
        };
        let ended = |at: Millis| begun(token.session) <= at && issued <= at.saturating_add(self.leeway);
        let all = cuts.all.is_some_and(ended);
        let others = cuts.latest.is_some_and(|(at, except)| except != token.session && ended(at));
        if all || others {
            return Standing::Revoked;
        }
        if cuts.changed.outdate(token.user_as_of, issued) { Standing::Outdated } else { otherwise }
    }

    /// Forgets what concerns no token that is alive.
    pub(crate) fn forget_before(&mut self, before: Millis, now: Millis) {
        self.sessions.retain(|_, at| *at >= before);
        self.users.retain(|_, cuts| cuts.newest() >= Some(before));
        if self.roles.latest < Some(before) {
            self.roles = Changes::default();
        }
        self.incomplete_until = self.incomplete_until.filter(|until| *until > now);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.most, self.leeway);
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len() + self.users.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Revoked, Standing, Subject};

    const KEEP: i64 = 930_000;

    /// A session that began at so many milliseconds.
    fn session(begun: u128) -> u128 {
        begun << 80 | 7
    }

    fn token(begun: u128, issued: i64) -> Subject {
        Subject { user: 1, session: session(begun), issued, user_as_of: None, roles_as_of: None }
    }

    #[test]
    fn an_ended_session_is_ended_whenever_its_token_was_made() {
        let mut revoked = Revoked::new(10, 30_000);
        revoked.session_ended(session(5), 1000, KEEP);
        assert_eq!(revoked.standing(token(5, 9_999_000)), Standing::Revoked);
        assert_eq!(revoked.standing(token(6, 0)), Standing::Good);
    }

    #[test]
    fn all_sessions_that_had_begun_end_and_a_sign_in_a_millisecond_later_does_not() {
        let mut revoked = Revoked::new(10, 30_000);
        revoked.sessions_ended(1, None, 10_500, KEEP);
        assert_eq!(revoked.standing(token(10_500, 10_500)), Standing::Revoked);
        assert_eq!(revoked.standing(token(10_501, 10_501)), Standing::Good);
        assert_eq!(revoked.standing(Subject { user: 2, ..token(1, 10_000) }), Standing::Good);
        // Made by a node whose clock is ahead.
        assert_eq!(revoked.standing(token(10_000, 40_500)), Standing::Revoked);
        assert_eq!(revoked.standing(token(10_000, 40_501)), Standing::Good);
    }

    #[test]
    fn the_excepted_session_goes_on_until_another_end_does_not_except_it() {
        let ends = [(10_000, Some(session(1))), (20_000, Some(session(2))), (15_000, None)];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut revoked = Revoked::new(10, 30_000);
            for index in order {
                let (at, except) = ends[index];
                revoked.sessions_ended(1, except, at, KEEP);
                revoked.sessions_ended(1, except, at, KEEP);
            }
            assert_eq!(revoked.standing(token(1, 5000)), Standing::Revoked, "{order:?}");
            assert_eq!(revoked.standing(token(16_000, 16_000)), Standing::Revoked, "{order:?}");
            assert_eq!(revoked.standing(token(20_001, 20_001)), Standing::Good, "{order:?}");
        }
        let mut revoked = Revoked::new(10, 30_000);
        revoked.sessions_ended(1, Some(session(1)), 10_000, KEEP);
        revoked.sessions_ended(1, Some(session(1)), 12_000, KEEP);
        assert_eq!(revoked.standing(token(1, 5000)), Standing::Good);
        assert_eq!(revoked.standing(token(2, 5000)), Standing::Revoked);
    }

    #[test]
    fn tokens_made_before_a_change_are_outdated() {
        let mut revoked = Revoked::new(10, 30_000);
        revoked.user_changed(1, None, 10_500, KEEP);
        assert_eq!(revoked.standing(token(1, 10_500)), Standing::Outdated);
        assert_eq!(revoked.standing(token(1, 10_501)), Standing::Good);
    }

    #[test]
    fn tokens_of_everybody_made_before_a_change_of_roles_are_outdated_and_ended_ones_stay_ended() {
        let mut revoked = Revoked::new(10, 30_000);
        revoked.roles_changed(None, 10_500);
        revoked.roles_changed(None, 10_400);
        revoked.user_changed(1, None, 9_000, KEEP);
        assert_eq!(revoked.standing(token(1, 10_500)), Standing::Outdated);
        assert_eq!(revoked.standing(Subject { user: 2, ..token(1, 10_500) }), Standing::Outdated);
        assert_eq!(revoked.standing(token(1, 10_501)), Standing::Good);
        revoked.session_ended(session(1), 10_000, KEEP);
        assert_eq!(revoked.standing(token(1, 10_501)), Standing::Revoked);
        revoked.forget_before(10_501, 10_501);
        assert_eq!(revoked.standing(Subject { user: 2, ..token(2, 10_000) }), Standing::Good);
    }

    #[test]
    fn what_a_token_was_made_of_tells_whatever_clocks_showed_when_it_was_made() {
        let mut revoked = Revoked::new(10, 30_000);
        revoked.user_changed(1, Some(70), 10_500, KEEP);
        revoked.user_changed(1, Some(60), 10_600, KEEP);
        revoked.roles_changed(Some(700), 10_500);
        let made_of = |user, roles, issued| Subject {
            user_as_of: Some(user),
            roles_as_of: Some(roles),
            ..token(1, issued)
        };
        // Made by a node whose clock is ahead, which had not heard of it; and by one whose clock is behind, which had.
        for (user, roles, expected) in
            [(69, 700, Standing::Outdated), (70, 699, Standing::Outdated), (70, 700, Standing::Good)]
        {
            assert_eq!(revoked.standing(made_of(user, roles, 40_000)), expected);
            assert_eq!(revoked.standing(made_of(user, roles, 0)), expected);
        }
        assert_eq!(revoked.standing(token(1, 10_600)), Standing::Outdated, "it does not say");
        assert_eq!(revoked.standing(token(1, 10_601)), Standing::Good);
        // By an older server.
        revoked.user_changed(1, None, 20_000, KEEP);
        assert_eq!(revoked.standing(made_of(70, 700, 20_000)), Standing::Outdated);
        assert_eq!(revoked.standing(made_of(70, 700, 20_001)), Standing::Good);
        revoked.forget_before(20_001, 20_001);
        assert_eq!(revoked.standing(made_of(0, 0, 0)), Standing::Good);
    }

    #[test]
    fn what_does_not_fit_makes_it_incomplete_until_it_does_not_matter() {
        let mut revoked = Revoked::new(2, 0);
        revoked.session_ended(1, 1000, KEEP);
        revoked.sessions_ended(1, None, 1000, KEEP);
        revoked.session_ended(1, 1500, KEEP);
        assert!(revoked.is_complete());
        revoked.session_ended(2, 2000, KEEP);
        assert!(!revoked.is_complete() && revoked.len() == 2);
        revoked.forget_before(1200, 2000 + KEEP - 1);
        assert!(!revoked.is_complete() && revoked.len() == 1);
        revoked.forget_before(1501, 2000 + KEEP);
        assert!(revoked.is_complete() && revoked.len() == 0);
    }
}
