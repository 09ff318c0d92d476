//! The plans that come with the program.

use crate::{Plan, PlanError};

/// A built-in plan.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Its TOML, comments and all: what `spillpoint plan show` prints.
    pub toml: &'static str,
}

macro_rules! builtin {
    ($($name:literal),+) => {
        &[$(Builtin { name: $name, toml: include_str!(concat!("../plans/", $name, ".toml")) }),+]
    };
}

/// All built-in plans.
pub const BUILTIN: &[Builtin] = builtin!["h0", "h1", "h2", "h4", "h5", "h6", "tiers"];

impl Builtin {
    /// The plan of this name.
    pub fn find(name: &str) -> Option<Self> {
        BUILTIN.iter().copied().find(|plan| plan.name == name)
    }

    /// The plan, parsed.
    pub fn plan(self) -> Result<Plan, PlanError> {
        Plan::parse(self.toml)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prepare;

    #[test]
    fn the_preparation_that_h2_shows_is_one() {
        let toml = Builtin::find("h2").unwrap().toml;
        let at = toml.find("# [prepare]").unwrap();
        let (before, from) = toml.split_at(at);
        let (shown, after) = from.split_once("\n\n").unwrap();
        let shown = shown.replace("\n# ", "\n");
        let meant = shown.trim_start_matches("# ");
        let plan = Plan::parse(&format!("{before}{meant}\n\n{after}")).unwrap();
        assert_ne!(plan.prepare, Prepare::default());
        assert_eq!(plan.prepare.stop_timers.len(), 4);
        assert!(plan.prepare.required && plan.prepare.precondition.is_some());
    }

    #[test]
    fn every_built_in_plan_is_valid_and_so_is_its_quick_variant() {
        for builtin in BUILTIN {
            let plan = builtin.plan().unwrap();
            assert_eq!(plan.name.as_str(), builtin.name);
            plan.quick().unwrap();
        }
    }
}
