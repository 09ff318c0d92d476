//! Options of `spillpoint load` that hold more than one value: `gamma:0.5`, `30s:2,30s:4`.

use load::{AdapterPolicy, RatePlan};
use plan::Span;
use std::{num::NonZeroU32, str::FromStr};

/// `2.5`, or steps: `30s:2,30s:4`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rate(pub(crate) RatePlan);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no rate: write 2.5, or steps like 30s:2,30s:4");
        let plan = match text.parse::<f64>() {
            Ok(per_s) => RatePlan::constant(per_s),
            Err(_) => {
                let step = |step: &str| {
                    let (span, rate) = step.split_once(':')?;
                    Some((span.parse::<Span>().ok()?.0, rate.parse().ok()?))
                };
                let steps: Option<Vec<_>> = text.split(',').map(step).collect();
                RatePlan::steps(&steps.ok_or_else(wrong)?)
            }
        };
        plan.map(Self).map_err(|error| error.to_string())
    }
}

/// `constant`, `poisson`, or `gamma:BURSTINESS`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spacing(pub(crate) load::Spacing);

impl FromStr for Spacing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let gamma = |burstiness: &str| {
            let burstiness = burstiness
                .parse()
                .ok()
                .filter(|it: &f64| it.is_finite() && *it > 0.0)?;
            Some(load::Spacing::Gamma { burstiness })
        };
        let spacing = match text {
            "constant" => Some(load::Spacing::Constant),
            "poisson" => Some(load::Spacing::Poisson),
            _ => text.strip_prefix("gamma:").and_then(gamma),
        };
        let wrong = || format!("{text:?} is no spacing: write constant, poisson or gamma:0.5");
        spacing.map(Self).ok_or_else(wrong)
    }
}

/// `unique`, `shared:TOKENS`, or `groups:COUNT:TOKENS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reuse(pub(crate) load::Reuse);

impl FromStr for Reuse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split(':').collect();
        let reuse = match words[..] {
            ["unique"] => Some(load::Reuse::Unique),
            ["shared", tokens] => tokens
                .parse()
                .ok()
                .map(|tokens| load::Reuse::Shared { tokens }),
            ["groups", groups, tokens] => {
                let groups = groups.parse::<NonZeroU32>().ok();
                groups
                    .zip(tokens.parse().ok())
                    .map(|(groups, tokens)| load::Reuse::Groups { groups, tokens })
            }
            _ => None,
        };
        let wrong = || format!("{text:?} is no reuse: write unique, shared:512 or groups:4:512");
        reuse.map(Self).ok_or_else(wrong)
    }
}

/// `round-robin`, `uniform`, `zipf:ALPHA`, `sticky` or `storm`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LoraPolicy(pub(crate) AdapterPolicy);

impl FromStr for LoraPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let zipf = |alpha: &str| {
            let alpha = alpha
                .parse()
                .ok()
                .filter(|it: &f64| it.is_finite() && *it >= 0.0)?;
            Some(AdapterPolicy::Zipf { alpha })
        };
        let policy = match text {
            "round-robin" => Some(AdapterPolicy::RoundRobin),
            "uniform" => Some(AdapterPolicy::Uniform),
            "sticky" => Some(AdapterPolicy::Sticky),
            "storm" => Some(AdapterPolicy::Storm),
            _ => text.strip_prefix("zipf:").and_then(zipf),
        };
        let wrong = || {
            format!("{text:?} is no policy: write round-robin, uniform, zipf:1.1, sticky or storm")
        };
        policy.map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn values_read_as_they_are_written() {
        assert_eq!(
            "2.5".parse(),
            RatePlan::constant(2.5)
                .map(Rate)
                .map_err(|it| it.to_string())
        );
        let steps = [
            (Duration::from_secs(30), 2.0),
            (Duration::from_secs(5), 4.0),
        ];
        assert_eq!(
            "30s:2,5s:4".parse::<Rate>().unwrap().0,
            RatePlan::steps(&steps).unwrap()
        );
        let gamma = load::Spacing::Gamma { burstiness: 0.5 };
        assert_eq!("gamma:0.5".parse(), Ok(Spacing(gamma)));
        let groups = load::Reuse::Groups {
            groups: NonZeroU32::MIN,
            tokens: 64,
        };
        assert_eq!("groups:1:64".parse(), Ok(Reuse(groups)));
        assert_eq!(
            "zipf:1.1".parse(),
            Ok(LoraPolicy(AdapterPolicy::Zipf { alpha: 1.1 }))
        );
    }

    #[test]
    fn what_is_none_is_told_what_is() {
        assert!("fast".parse::<Rate>().unwrap_err().contains("30s:2"));
        assert!("-1".parse::<Rate>().is_err());
        assert!(
            "gamma:0"
                .parse::<Spacing>()
                .unwrap_err()
                .contains("gamma:0.5")
        );
        assert!(
            "groups:0:4"
                .parse::<Reuse>()
                .unwrap_err()
                .contains("groups:4:512")
        );
        assert!(
            "zipf:-1"
                .parse::<LoraPolicy>()
                .unwrap_err()
                .contains("sticky")
        );
    }
}
