//! LoRA adapters: which there are, how a server is told, and which request takes which.

use crate::prompt::PromptKey;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::path::Path;

/// An adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Its name, as it stands in the records.
    pub name: String,
    /// Where it lies in the server's file system, for servers that are told with each request.
    pub path: Option<String>,
}

/// How a server is told which adapter to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoraDialect {
    /// vLLM and SGLang: the adapter's name is the `model`.
    Model,
    /// trtllm-serve: `lora_request {lora_name, lora_int_id, lora_path}`.
    TensorRtLlm,
    /// llama.cpp: `lora [{id, scale}]`, every adapter named, so that none keeps its global scale.
    LlamaCpp,
    /// Triton: `lora_task_id`.
    Triton,
}

/// Which request takes which adapter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AdapterPolicy {
    /// Each user takes one after another, each starting with another one.
    RoundRobin,
    /// Any, with equal odds.
    Uniform,
    /// The k-th adapter with odds of 1/k^alpha.
    Zipf {
        /// 0 is uniform; S-LoRA's suite goes from 0.1 to 1, Punica's skewed case is 1.5.
        alpha: f64,
    },
    /// A user keeps its adapter.
    Sticky,
    /// Every request another: an adapter comes back only when all others had their turn.
    Storm,
}

/// The adapters of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapters {
    list: Vec<Adapter>,
    dialect: LoraDialect,
    policy: AdapterPolicy,
    /// Sums of the odds, for the policies that draw.
    odds: Vec<f64>,
    /// The storm's order.
    order: Vec<usize>,
}

/// Why a list names no usable adapters.
#[derive(Debug, thiserror::Error)]
pub enum AdapterListError {
    /// The file can't be read.
    #[error("{path}: can't be read ({source}); write one adapter a line: name, or name = path")]
    Io {
        /// Which file.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
    /// A line makes no sense.
    #[error("{path}:{line}: {what}; write one adapter a line: name, or name = path")]
    Line {
        /// Which file.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// No adapter, or impossible odds.
    #[error("{0}")]
    Unusable(&'static str),
}

impl Adapters {
    /// Adapters that are chosen by the policy; the seed fixes the draws.
    pub fn new(
        list: Vec<Adapter>,
        dialect: LoraDialect,
        policy: AdapterPolicy,
        seed: u64,
    ) -> Result<Self, AdapterListError> {
        if list.is_empty() {
            return Err(AdapterListError::Unusable(
                "the list names no adapter; name one at least, or leave it out",
            ));
        }
        if dialect == LoraDialect::TensorRtLlm && list.iter().any(|it| it.path.is_none()) {
            return Err(AdapterListError::Unusable(
                "trtllm-serve needs each adapter's path in its own file system; write name = path",
            ));
        }
        let alpha = match policy {
            AdapterPolicy::Zipf { alpha } if !(0.0..=10.0).contains(&alpha) => {
                return Err(AdapterListError::Unusable("a Zipf alpha lies from 0 to 10"));
            }
            AdapterPolicy::Zipf { alpha } => alpha,
            _ => 0.0,
        };
        let odds = (1..=list.len())
            .scan(0.0, |sum, rank| {
                *sum += (rank as f64).powf(-alpha);
                Some(*sum)
            })
            .collect();
        let mut order: Vec<usize> = (0..list.len()).collect();
        order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
        Ok(Self {
            list,
            dialect,
            policy,
            odds,
            order,
        })
    }

    /// Reads a list: a line is `name`, or `name = path`; `#` begins a comment.
    pub fn read_list(path: &Path) -> Result<Vec<Adapter>, AdapterListError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| AdapterListError::Io {
            path: name.clone(),
            source,
        })?;
        parse_list(&text).map_err(|(line, what)| AdapterListError::Line {
            path: name,
            line,
            what,
        })
    }

    /// All of them.
    pub fn list(&self) -> &[Adapter] {
        &self.list
    }

    pub(crate) fn dialect(&self) -> LoraDialect {
        self.dialect
    }

    /// The place in the list of the adapter for a request: `nth` of the whole phase, with this key,
    /// and with this number for its draws.
    pub(crate) fn pick(&self, key: PromptKey, nth: u64, draw: u64) -> usize {
        let count = self.list.len() as u64;
        let place = match self.policy {
            AdapterPolicy::RoundRobin => (u64::from(key.user) + key.sequence) % count,
            AdapterPolicy::Sticky => u64::from(key.user) % count,
            AdapterPolicy::Storm => return self.order[(nth % count) as usize],
            AdapterPolicy::Uniform | AdapterPolicy::Zipf { .. } => {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(draw);
                let total = self.odds.last().copied().unwrap_or(1.0);
                let point = rng.random_range(0.0..total);
                return self
                    .odds
                    .partition_point(|&sum| sum <= point)
                    .min(self.list.len() - 1);
            }
        };
        // Less than the list's length.
        place as usize
    }
}

fn parse_list(text: &str) -> Result<Vec<Adapter>, (usize, String)> {
    let mut list: Vec<Adapter> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (name, path) = match line.split_once('=') {
            Some((name, path)) => (name.trim(), Some(path.trim())),
            None => (line, None),
        };
        if name.is_empty() || path == Some("") || name.contains(char::is_whitespace) {
            return Err((number, format!("{line:?} is no adapter")));
        }
        if list.iter().any(|known| known.name == name) {
            return Err((number, format!("the adapter {name:?} is named twice")));
        }
        list.push(Adapter {
            name: name.to_owned(),
            path: path.map(str::to_owned),
        });
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapters(count: usize, policy: AdapterPolicy) -> Adapters {
        let adapter = |nth| Adapter {
            name: format!("a{nth}"),
            path: None,
        };
        Adapters::new(
            (0..count).map(adapter).collect(),
            LoraDialect::Model,
            policy,
            7,
        )
        .unwrap()
    }

    /// Which adapters 400 requests of one user and another of eight take.
    fn picks(adapters: &Adapters, user: u32) -> Vec<usize> {
        (0..400)
            .map(|nth| {
                adapters.pick(
                    PromptKey {
                        user,
                        sequence: nth,
                    },
                    nth,
                    nth,
                )
            })
            .collect()
    }

    #[test]
    fn policies_pick_as_they_say() {
        let rr = picks(&adapters(4, AdapterPolicy::RoundRobin), 1);
        assert_eq!(rr[..5], [1, 2, 3, 0, 1]);
        let sticky = picks(&adapters(4, AdapterPolicy::Sticky), 6);
        assert!(sticky.iter().all(|&pick| pick == 2));
        let storm = picks(&adapters(8, AdapterPolicy::Storm), 0);
        for turn in storm.chunks(8) {
            let mut turn = turn.to_vec();
            turn.sort_unstable();
            assert_eq!(turn, [0, 1, 2, 3, 4, 5, 6, 7]);
        }
    }

    #[test]
    fn zipf_prefers_the_first_and_uniform_none() {
        let share = |policy| {
            let picks = picks(&adapters(10, policy), 0);
            picks.iter().filter(|&&pick| pick == 0).count() as f64 / 400.0
        };
        assert!((share(AdapterPolicy::Uniform) - 0.1).abs() < 0.05);
        // 1 / (1 + 1/2 + … + 1/10) = 0.341
        assert!((share(AdapterPolicy::Zipf { alpha: 1.0 }) - 0.341).abs() < 0.08);
    }

    #[test]
    fn a_list_is_read_or_refused_by_line() {
        let list = parse_list("# all\nfirst\nsecond = /data/second # two\n\n").unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[1].path.as_deref(), Some("/data/second"));
        assert_eq!(parse_list("a\n= b").unwrap_err().0, 2);
        assert_eq!(parse_list("a\na").unwrap_err().0, 2);
        assert_eq!(parse_list("two words").unwrap_err().0, 1);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let named = |path: Option<&str>| {
            vec![Adapter {
                name: "a".into(),
                path: path.map(str::to_owned),
            }]
        };
        let policy = AdapterPolicy::Uniform;
        assert!(Adapters::new(vec![], LoraDialect::Model, policy, 1).is_err());
        assert!(Adapters::new(named(None), LoraDialect::TensorRtLlm, policy, 1).is_err());
        assert!(Adapters::new(named(Some("/a")), LoraDialect::TensorRtLlm, policy, 1).is_ok());
        let zipf = AdapterPolicy::Zipf { alpha: -1.0 };
        assert!(Adapters::new(named(None), LoraDialect::Model, zipf, 1).is_err());
    }
}
