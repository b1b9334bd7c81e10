//! How often somebody may try: budgets of attempts, each of which is taken before anything is done for it.
//!
//! Signing in takes from three of them ([why](../../../docs/decisions/0011-signing-in.md)): what this source may try on
//! this profile, what it may try on all profiles, and what all sources together may try on this profile from which
//! nobody has signed in to it. So guesses are few wherever they come from, and an owner's own places are nobody else's
//! to use up. A profile that there is not has the same budgets. Signing in gives back what it took.
//!
//! A budget fills up steadily, and one that is full says nothing that need be kept: the table may forget it.

use serde::{Deserialize, Serialize};

use crate::books::{Draft, Halt, Key};
use crate::ids::{ProfileId, SourceId};
use crate::{Millis, Refusal, Timestamp};

/// What attempts are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Signing in to one profile from one source.
    Pair { profile: ProfileId, source: SourceId },
    /// Signing in from one source, to whatever profile.
    Source(SourceId),
    /// Signing in to one profile from wherever nobody has signed in to it.
    Strangers(ProfileId),
    /// Signing up from one source.
    SignUps(SourceId),
}

/// So many at once, and then one more each time.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    most: i64,
    each: Millis,
}

impl Budget {
    const fn allowance(&self) -> Allowance {
        match self {
            Self::Pair { .. } => Allowance { most: 10, each: Millis::minutes(6) },
            Self::Source(_) => Allowance { most: 100, each: Millis::seconds(36) },
            Self::Strangers(_) => Allowance { most: 20, each: Millis::minutes(15) },
            Self::SignUps(_) => Allowance { most: 20, each: Millis::minutes(3) },
        }
    }
}

/// For how long a source is known to a profile after somebody signed in from it.
const KNOWN_FOR: Millis = Millis::hours(90 * 24);

/// How much of a budget is used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    pub budget: Budget,
    /// When it will be full again, if nothing more is taken.
    pub full_at: Timestamp,
    /// Of a pair: somebody signed in, and so the source is no stranger's until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_until: Option<Timestamp>,
}

impl Attempts {
    const fn none(budget: Budget, now: Timestamp) -> Self {
        Self { budget, full_at: now, known_until: None }
    }

    /// From then on it says nothing.
    pub fn forget_at(&self) -> Timestamp {
        self.full_at.max(self.known_until.unwrap_or(self.full_at))
    }

    fn is_known(&self, now: Timestamp) -> bool {
        self.known_until.is_some_and(|until| now < until)
    }

    /// One attempt less, or how long it is until there is one.
    fn taken(self, now: Timestamp) -> Result<Self, Millis> {
        let Allowance { most, each } = self.budget.allowance();
        let empty = now.after(Millis(each.0 * most));
        let after = self.full_at.max(now).after(each);
        if after > empty {
            Err(Millis(after.as_millis() - empty.as_millis()))
        } else {
            Ok(Self { full_at: after, ..self })
        }
    }

    fn given_back(self) -> Self {
        let Allowance { each, .. } = self.budget.allowance();
        Self { full_at: self.full_at.before(each), ..self }
    }
}

/// What an attempt to sign in has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningIn {
    pub profile: ProfileId,
    pub source: SourceId,
    by_a_stranger: bool,
}

/// What [`sign_in`] looks at, and the profile.
pub fn needed_to_sign_in(profile: ProfileId, source: SourceId) -> [Key; 4] {
    let pair = Key::Attempts(Budget::Pair { profile, source });
    let (all, strangers) = (Key::Attempts(Budget::Source(source)), Key::Attempts(Budget::Strangers(profile)));
    [pair, all, strangers, Key::Profile(profile)]
}

/// Takes an attempt to sign in, from all that it counts against or from none.
pub fn sign_in(draft: &mut Draft<'_>, profile: ProfileId, source: SourceId, now: Timestamp) -> Result<SigningIn, Halt> {
    let pair = found(draft, Budget::Pair { profile, source }, now)?;
    let by_a_stranger = !pair.is_known(now);
    let mut budgets = vec![pair, found(draft, Budget::Source(source), now)?];
    if by_a_stranger {
        budgets.push(found(draft, Budget::Strangers(profile), now)?);
    }
    take(draft, budgets, now)?;
    Ok(SigningIn { profile, source, by_a_stranger })
}

/// Takes an attempt to sign up.
pub fn sign_up(draft: &mut Draft<'_>, source: SourceId, now: Timestamp) -> Result<(), Halt> {
    let budget = found(draft, Budget::SignUps(source), now)?;
    take(draft, vec![budget], now)
}

/// Gives back what an attempt took that was right, and knows its source from now on.
pub fn signed_in(draft: &mut Draft<'_>, taken: SigningIn, now: Timestamp) -> Result<(), Halt> {
    let SigningIn { profile, source, by_a_stranger } = taken;
    let pair = found(draft, Budget::Pair { profile, source }, now)?.given_back();
    draft.put(Attempts { known_until: Some(now.after(KNOWN_FOR)), ..pair })?;
    for budget in [Budget::Source(source), Budget::Strangers(profile)] {
        if by_a_stranger || !matches!(budget, Budget::Strangers(_)) {
            let attempts = found(draft, budget, now)?;
            draft.put(attempts.given_back())?;
        }
    }
    Ok(())
}

fn found(draft: &mut Draft<'_>, budget: Budget, now: Timestamp) -> Result<Attempts, Halt> {
    Ok(draft.get::<Attempts>(Key::Attempts(budget))?.unwrap_or(Attempts::none(budget, now)))
}

fn take(draft: &mut Draft<'_>, budgets: Vec<Attempts>, now: Timestamp) -> Result<(), Halt> {
    let mut wait = Millis(0);
    let mut all = Vec::with_capacity(budgets.len());
    for budget in budgets {
        match budget.taken(now) {
            Ok(taken) => all.push(taken),
            Err(longer) => wait = wait.max(longer),
        }
    }
    if wait > Millis(0) {
        return Err(Refusal::TooManyAttempts { wait }.into());
    }
    all.into_iter().try_for_each(|attempts| draft.put(attempts))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::books::{Books, Change, Found, Item};

    const START: Timestamp = Timestamp::from_millis(1_795_240_383_007);

    /// What is kept, and the time.
    struct World {
        kept: BTreeMap<Key, Attempts>,
        now: Timestamp,
    }

    impl World {
        fn new() -> Self {
            Self { kept: BTreeMap::new(), now: START }
        }

        fn decide<T>(&mut self, decide: impl Fn(&mut Draft<'_>, Timestamp) -> Result<T, Halt>) -> Result<T, Millis> {
            let mut books = Books::default();
            for (key, attempts) in &self.kept {
                books.lay(*key, Some(Found { item: Item::Attempts(attempts.clone()), version: 1 }));
            }
            let mut decided = books.decide(|draft| decide(draft, self.now));
            while let Err(Halt::Needs(keys)) = decided {
                keys.into_iter().for_each(|key| books.lay(key, None));
                decided = books.decide(|draft| decide(draft, self.now));
            }
            match decided {
                Ok(done) => {
                    for change in books.changes() {
                        let Change::Put { key, item: Item::Attempts(attempts), .. } = change else {
                            panic!("{change:?}: whatever was looked at is written")
                        };
                        self.kept.insert(key, attempts.clone());
                    }
                    Ok(done)
                }
                Err(Halt::Refused(Refusal::TooManyAttempts { wait })) => Err(wait),
                Err(other) => panic!("{other:?}"),
            }
        }

        /// Whether the table forgot or not makes no difference.
        fn pass(&mut self, length: Millis, forget: bool) {
            self.now = self.now.after(length);
            if forget {
                let now = self.now;
                self.kept.retain(|_, attempts| attempts.forget_at() > now);
            }
        }

        fn tries(&mut self, who: &str, from: u8) -> Result<SigningIn, Millis> {
            self.decide(|draft, now| sign_in(draft, profile(who), source(from), now))
        }

        fn signs_in(&mut self, who: &str, from: u8) -> bool {
            let Ok(taken) = self.tries(who, from) else { return false };
            self.decide(|draft, now| signed_in(draft, taken, now)).unwrap();
            true
        }

        fn how_many(&mut self, mut each: impl FnMut(&mut Self) -> bool) -> u32 {
            (0..1_000).take_while(|_| each(self)).fold(0, |all, _| all + 1)
        }
    }

    fn profile(who: &str) -> ProfileId {
        ProfileId::of_email(&format!("{who}@example.com")).unwrap()
    }

    fn source(number: u8) -> SourceId {
        SourceId::of([192, 0, 2, number].into())
    }

    #[test]
    fn one_source_may_try_ten_times_on_a_profile_and_then_each_six_minutes() {
        for forget in [false, true] {
            let mut world = World::new();
            assert_eq!(world.how_many(|world| world.tries("alice", 1).is_ok()), 10);
            assert_eq!(world.tries("alice", 1), Err(Millis::minutes(6)));
            world.pass(Millis(Millis::minutes(6).0 - 1), forget);
            assert_eq!(world.tries("alice", 1), Err(Millis(1)));
            world.pass(Millis(1), forget);
            assert!(world.tries("alice", 1).is_ok() && world.tries("alice", 1).is_err());
            world.pass(Millis::hours(24), forget);
            assert_eq!(world.how_many(|world| world.tries("alice", 1).is_ok()), 10, "it is full and no more than full");
        }
    }

    #[test]
    fn one_source_may_try_a_hundred_times_on_all_profiles() {
        let mut world = World::new();
        let mut number = 0;
        let tried = world.how_many(|world| {
            number += 1;
            world
                .decide(|draft, now| {
                    let budget = found(draft, Budget::Source(source(1)), now)?;
                    take(draft, vec![budget], now)
                })
                .is_ok()
        });
        assert_eq!((tried, number), (100, 101));
        assert_eq!(world.tries("alice", 1), Err(Millis::seconds(36)));
        assert!(world.tries("alice", 2).is_ok());
    }

    #[test]
    fn strangers_everywhere_may_try_twenty_times_on_a_profile_and_do_not_lock_its_owner_out() {
        let mut world = World::new();
        assert!(world.signs_in("alice", 200), "her own place");
        let mut from = 0;
        let tried = world.how_many(|world| {
            from = from % 100 + 1;
            world.tries("alice", from).is_ok()
        });
        assert_eq!(tried, 20);
        assert_eq!(world.tries("alice", 101), Err(Millis::minutes(15)), "nobody new");
        assert!(world.tries("bob", 101).is_ok(), "it is about this profile");
        assert_eq!(world.how_many(|world| world.signs_in("alice", 200)), 1_000, "and her place is her own");
        assert_eq!(world.how_many(|world| world.tries("alice", 200).is_ok()), 10);
    }

    #[test]
    fn a_place_is_known_for_ninety_days_from_the_last_time() {
        let mut world = World::new();
        assert!(world.signs_in("alice", 1));
        world.pass(Millis::hours(89 * 24), true);
        assert!(world.signs_in("alice", 1));
        world.pass(Millis(KNOWN_FOR.0 - 1), true);
        assert!(!world.tries("alice", 1).unwrap().by_a_stranger);
        world.pass(Millis(1), true);
        assert!(world.tries("alice", 1).unwrap().by_a_stranger);
        assert!(world.signs_in("alice", 2));
        assert!(world.tries("bob", 2).unwrap().by_a_stranger, "known to one profile is not known to another");
    }

    #[test]
    fn signing_in_gives_back_what_it_took_and_nothing_else() {
        let mut world = World::new();
        assert_eq!(world.how_many(|world| world.signs_in("alice", 1)), 1_000);
        for _ in 0..4 {
            world.tries("bob", 1).unwrap();
        }
        // Signing in to a profile of one's own does not help with another's.
        assert_eq!(world.how_many(|world| world.signs_in("alice", 1)), 1_000);
        assert_eq!(world.how_many(|world| world.tries("bob", 1).is_ok()), 6);
    }

    #[test]
    fn parallel_attempts_all_count_before_the_first_is_answered() {
        let mut world = World::new();
        let taken: Vec<_> = (0..10).map(|_| world.tries("alice", 1).unwrap()).collect();
        assert!(world.tries("alice", 1).is_err());
        world.decide(|draft, now| signed_in(draft, taken[0], now)).unwrap();
        assert_eq!(world.how_many(|world| world.tries("alice", 1).is_ok()), 1);
    }

    #[test]
    fn a_refusal_takes_nothing_and_says_the_longest_wait() {
        let mut world = World::new();
        let mut from = 0;
        world.how_many(|world| {
            from += 1;
            world.tries("alice", from).is_ok()
        });
        let before = world.kept.clone();
        assert_eq!(world.tries("alice", 250), Err(Millis::minutes(15)));
        assert_eq!(world.kept, before);
    }

    #[test]
    fn clocks_that_differ_take_no_more_than_they_differ_by() {
        let mut world = World::new();
        world.tries("alice", 1).unwrap();
        world.now = START.before(Millis::seconds(2));
        assert_eq!(world.how_many(|world| world.tries("alice", 1).is_ok()), 8);
        assert_eq!(world.tries("alice", 1), Err(Millis::seconds(2)));
    }

    #[test]
    fn sign_ups_have_a_budget_of_their_own() {
        let mut world = World::new();
        let tried = world.how_many(|world| world.decide(|draft, now| sign_up(draft, source(1), now)).is_ok());
        assert_eq!(tried, 20);
        assert!(world.tries("alice", 1).is_ok());
        assert_eq!(world.decide(|draft, now| sign_up(draft, source(1), now)), Err(Millis::minutes(3)));
        assert!(world.decide(|draft, now| sign_up(draft, source(2), now)).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_an_address_in_disguise_is_itself() {
        let of = |text: &str| SourceId::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
