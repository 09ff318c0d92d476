//! The runs of a plan, in order.

use crate::{Order, Plan, Users};
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

/// One run that a plan asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunSpec {
    /// Concurrent users.
    pub users: Users,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// The arm's place among the plan's; absent where nothing is compared. See [`Plan::arm`].
    pub arm: Option<usize>,
    /// The phase's place among the plan's; absent where the plan has none. See [`Plan::phase`].
    pub phase: Option<usize>,
}

impl RunSpec {
    /// Whether both are phases of one run of one arm, on one start of the server.
    pub fn is_beside(self, other: Self) -> bool {
        Self {
            phase: None,
            ..self
        } == Self {
            phase: None,
            ..other
        }
    }
}

impl Plan {
    /// The runs in the order in which they are to be made: repeat by repeat, so that a session that
    /// is cut short has measured every level about as often.
    pub fn schedule(&self) -> Vec<RunSpec> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        (1..=self.repeats.get())
            .flat_map(|repeat| {
                let mut levels = self.users.levels().to_vec();
                match self.order {
                    Order::Ascending => {}
                    Order::Shuffled => levels.shuffle(&mut random),
                    Order::Abba if repeat.is_multiple_of(2) => levels.reverse(),
                    Order::Abba => {}
                }
                let arms = self.arms_of(repeat);
                levels.into_iter().flat_map(move |users| {
                    let arms = arms.clone().into_iter();
                    arms.flat_map(move |arm| self.phases_of(users, repeat, arm))
                })
            })
            .collect()
    }

    /// The phases of one run of one arm, in order.
    fn phases_of(&self, users: Users, repeat: u32, arm: Option<usize>) -> Vec<RunSpec> {
        let spec = |phase| RunSpec {
            users,
            repeat,
            arm,
            phase,
        };
        match self.phases.len() {
            0 => vec![spec(None)],
            count => (0..count).map(Some).map(spec).collect(),
        }
    }

    /// The arms of one level in one repeat, side by side, so that what drifts slowly is the same
    /// for all of them; and counterbalanced, so that their order is too.
    fn arms_of(&self, repeat: u32) -> Vec<Option<usize>> {
        if self.arms.is_empty() {
            return vec![None];
        }
        let mut arms: Vec<_> = (0..self.arms.len()).map(Some).collect();
        if self.order != Order::Ascending && repeat.is_multiple_of(2) {
            arms.reverse();
        }
        arms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builtin, Overrides};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn plan(order: Order, repeats: &str, seed: u64) -> Plan {
        let plan = Builtin::find("h2").unwrap().plan().unwrap();
        let plan = plan.with(Overrides {
            users: Some("1,2,4".parse().unwrap()),
            repeats: Some(repeats.parse().unwrap()),
            seed: Some(seed),
            ..Overrides::default()
        });
        Plan { order, ..plan }
    }

    fn users(plan: &Plan) -> Vec<u32> {
        plan.schedule().iter().map(|run| run.users.get()).collect()
    }

    #[test]
    fn arms_stand_side_by_side_and_are_counterbalanced() {
        let plan = Builtin::find("h6").unwrap().plan().unwrap();
        let plan = plan.with(Overrides {
            users: Some("2,4".parse().unwrap()),
            repeats: Some("2".parse().unwrap()),
            ..Overrides::default()
        });
        let arms: Vec<_> = plan.schedule().iter().filter_map(|run| run.arm).collect();
        assert_eq!(arms, [0, 1, 2, 0, 1, 2, 2, 1, 0, 2, 1, 0]);
        assert_eq!(plan.arm(plan.schedule()[2]).unwrap().name.as_str(), "storm");
    }

    #[test]
    fn the_phases_of_an_arm_follow_one_another() {
        let plan = Builtin::find("tiers").unwrap().plan().unwrap();
        let specs = plan.schedule();
        let first: Vec<_> = specs[..4].iter().map(|run| (run.arm, run.phase)).collect();
        let (none, cpu) = (Some(0), Some(1));
        assert_eq!(
            first,
            [
                (none, Some(0)),
                (none, Some(1)),
                (none, Some(2)),
                (cpu, Some(0))
            ]
        );
        assert!(specs[0].is_beside(specs[2]) && !specs[0].is_beside(specs[3]));
        let anew: Vec<_> = specs[..4].iter().map(|&it| plan.starts_anew(it)).collect();
        assert_eq!(anew, [true, false, false, true]);
        assert_eq!(specs.len(), 4 * 3 * 3);
    }

    #[test]
    fn ascending_and_abba_are_as_they_say() {
        assert_eq!(users(&plan(Order::Ascending, "2", 1)), [1, 2, 4, 1, 2, 4]);
        assert_eq!(users(&plan(Order::Abba, "2", 1)), [1, 2, 4, 4, 2, 1]);
    }

    #[test]
    fn a_shuffle_depends_on_the_seed_and_differs_between_repeats() {
        assert_eq!(
            users(&plan(Order::Shuffled, "9", 7)),
            users(&plan(Order::Shuffled, "9", 7))
        );
        assert_ne!(
            users(&plan(Order::Shuffled, "9", 7)),
            users(&plan(Order::Shuffled, "9", 8))
        );
        let runs = users(&plan(Order::Shuffled, "9", 7));
        assert!(runs.chunks(3).any(|repeat| repeat != &runs[..3]));
    }

    proptest! {
        #[test]
        fn every_level_is_run_once_in_every_repeat(seed in any::<u64>(), repeats in 1..5u32) {
            let plan = plan(Order::Shuffled, &repeats.to_string(), seed);
            let runs = plan.schedule();
            prop_assert_eq!(runs.len(), 3 * repeats as usize);
            prop_assert_eq!(runs.iter().collect::<HashSet<_>>().len(), runs.len());
            prop_assert!(runs.windows(2).all(|pair| pair[0].repeat <= pair[1].repeat));
        }
    }
}
