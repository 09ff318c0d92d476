//! The embedded engine as the target of an experiment: what it is started with, and the files that
//! it really reads.

use crate::exit::{OrExit, Result};
use anyhow::Context;
use engine::{
    Bytes,
    profile::Model,
    storage::{adapters, weights},
};
use lab::{LoraTarget, Target, Whose};
use load::{Adapter, LoraDialect};
use plan::{Experiment, Lifecycle, PhaseName, Plan, PromptCount, Span, Variant};
use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

/// An 8B model on a GB10, four times as fast, so that a sweep of seconds a level has requests
/// enough to tell of its tail.
const MODEL: Model = Model::Llama31_8b;
const SPEED: &str = "4";
const MAX_BATCH: &str = "16";
/// What H1 loads: seconds of reading on a slow drive, and not a nuisance on a full one.
const WEIGHTS: Bytes = Bytes(512 << 20);
/// H6's adapters: twice as many as the engine has places for, on the device and in memory. Eight
/// sticky users find theirs there; a storm of requests over all of them does not.
const ADAPTERS: usize = 16;
const PLACES: &str = "8";
const RANK: u32 = 8;
/// The model and speed of `tiers`: prefill is what a tier saves, and this one's, as slow as it is on a
/// GB10, takes longer than to read the blocks from any SSD.
const TIERS_MODEL: Model = Model::GptOss120b;
/// The longest prompt that a session asks before its first run, and some: the pool must hold it.
const PROBE_TOKENS: u64 = 448;
/// The engine's own default.
const BLOCK_TOKENS: u64 = 16;

/// The engine as this plan needs it. Its files are made in the results' folder; all but the KV tier's
/// once, for all sessions.
pub(crate) fn target(plan: &Plan, results: &Path) -> Result<Target> {
    let port = free_port()?;
    let mut setup = Setup::default();
    let files = results.join("engine-files");
    match plan.experiment {
        Experiment::H1 => setup.weights(&files)?,
        Experiment::H4 => setup.spilling(plan, &files)?,
        Experiment::H6 => setup.adapters(&files)?,
        Experiment::Tiers => setup.tiers(plan, &files)?,
        Experiment::H0 | Experiment::H2 | Experiment::H5 => {}
    }
    let program = std::env::current_exe().or_failed()?;
    let (model, speed) = match plan.experiment {
        Experiment::Tiers => (TIERS_MODEL, "1"),
        _ => (MODEL, SPEED),
    };
    let port_text = port.to_string();
    let common = [
        text(&program)?,
        "engine",
        "--port",
        &port_text,
        "--model",
        model.name(),
        "--speed",
        speed,
        "--max-batch",
        MAX_BATCH,
    ];
    let start = common.map(str::to_owned).into_iter().chain(setup.args);
    Ok(Target {
        whose: Whose::Embedded(Lifecycle {
            start: start.collect(),
            env: BTreeMap::new(),
            stop: None,
            ready_limit: Span(Duration::from_secs(120)),
            stop_limit: Span(Duration::from_secs(10)),
            // It has none of a GPU's.
            memory_limit: Span(Duration::from_secs(2)),
        }),
        url: format!("http://127.0.0.1:{port}").parse().or_failed()?,
        model: None,
        api_key: None,
        model_files: setup.model_files,
        adapters: setup.adapters,
        variants: setup.variants,
        metrics: Vec::new(),
        scratch: setup.scratch,
    })
}

/// What an experiment needs of the engine beyond the rest.
#[derive(Default)]
struct Setup {
    args: Vec<String>,
    model_files: Vec<PathBuf>,
    adapters: Option<LoraTarget>,
    variants: BTreeMap<PhaseName, Variant>,
    scratch: Vec<PathBuf>,
}

impl Setup {
    fn add(&mut self, words: &[&str]) {
        self.args.extend(owned(words));
    }

    fn weights(&mut self, files: &Path) -> Result<()> {
        let weights = weights_file(files)?;
        self.add(&["--weights", text(&weights)?]);
        self.model_files.push(weights);
        Ok(())
    }

    fn adapters(&mut self, files: &Path) -> Result<()> {
        let list = adapter_files(files)?;
        for adapter in &list {
            let path = adapter.path.as_deref().unwrap_or_default();
            self.add(&["--lora", &format!("{}={path}", adapter.name)]);
        }
        let places = ["--max-loras", PLACES, "--max-cpu-loras", PLACES];
        self.add(&places);
        self.add(&["--lora-direct"]);
        self.adapters = Some(LoraTarget {
            list,
            dialect: LoraDialect::Model,
        });
        Ok(())
    }

    /// H4: the pool holds what runs and no more, so that the prompts that users come back to are read
    /// from the drive that the neighbour is on.
    fn spilling(&mut self, plan: &Plan, files: &Path) -> Result<()> {
        let prompts = plan.workload.own_prompts.map_or(1, PromptCount::get);
        let needs = KvNeeds::of(plan, MODEL, prompts);
        let disk = self.disk_tier(files, needs.prompts)?;
        self.add(&["--kv-bytes", &needs.running.to_string()]);
        self.args.extend(disk);
        Ok(())
    }

    /// The pool is the same in all variants, and holds what runs. The memory tier holds the prompts of
    /// one phase, so that the next push them out of it; the disk tier holds them all.
    fn tiers(&mut self, plan: &Plan, files: &Path) -> Result<()> {
        let new = plan.phases.iter().filter(|phase| phase.again.is_none());
        let (mut most, mut all) = (0, 0);
        for phase in new {
            most = most.max(phase.prompts.get());
            all += phase.prompts.get();
        }
        let needs = KvNeeds::of(plan, TIERS_MODEL, most);
        self.add(&["--kv-bytes", &needs.running.to_string()]);
        let host = owned(&["--kv-host", &needs.prompts.to_string()]);
        let whole = KvNeeds::of(plan, TIERS_MODEL, all).prompts;
        let disk = self.disk_tier(files, whole)?;
        let both = host.iter().cloned().chain(disk).collect();
        for (name, args) in [("cpu", host), ("cpu-disk", both)] {
            let name = PhaseName::try_from(name.to_owned()).or_failed()?;
            let variant = Variant {
                args,
                ..Variant::default()
            };
            self.variants.insert(name, variant);
        }
        Ok(())
    }

    /// The arguments for a tier on disk; its file goes with the session.
    fn disk_tier(&mut self, files: &Path, bytes: u64) -> Result<Vec<String>> {
        make_folder(files)?;
        let path = absolute(files)?.join("kv-tier.bin");
        let args = owned(&[
            "--kv-disk",
            text(&path)?,
            "--kv-disk-size",
            &bytes.to_string(),
        ]);
        self.scratch.push(path);
        Ok(args)
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Bytes of KV that a plan's requests need at its greatest number of users.
struct KvNeeds {
    /// For those that run at once.
    running: u64,
    /// For so many prompts of each user, replies and frames included.
    prompts: u64,
}

impl KvNeeds {
    fn of(plan: &Plan, model: Model, prompts: u32) -> Self {
        let users = plan.users.levels().last().map_or(1, |users| users.get());
        let (prompt, output) = (plan.workload.prompt_tokens, plan.workload.output_tokens);
        // A block begun counts as a whole one.
        let tokens = u64::from(prompt.get()) + u64::from(output.get()) + 2 * BLOCK_TOKENS;
        let (once, token) = (
            u64::from(users) * tokens,
            model.profile().kv_bytes_per_token(),
        );
        let prompts = once * u64::from(prompts) * token;
        Self {
            running: once.max(PROBE_TOKENS) * token,
            // A block's frame on disk is 4 KiB longer, and rounded up to as much.
            prompts: prompts + prompts / 16,
        }
    }
}

/// A port that nobody has at this moment. It is named in advance, because the engine may be started
/// more than once.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").or_failed()?;
    Ok(listener.local_addr().or_failed()?.port())
}

fn weights_file(files: &Path) -> Result<PathBuf> {
    let path = files.join("weights-512MiB.bin");
    if fs::metadata(&path).is_ok_and(|found| found.len() == WEIGHTS.0) {
        return absolute(&path);
    }
    make_folder(files)?;
    // What a kill left of it.
    let _ = fs::remove_file(&path);
    weights::create(&path, WEIGHTS).or_failed()?;
    absolute(&path)
}

fn adapter_files(files: &Path) -> Result<Vec<Adapter>> {
    let folder = files.join("adapters");
    make_folder(&folder)?;
    let profile = MODEL.profile();
    (1..=ADAPTERS)
        .map(|number| {
            let name = format!("adapter-{number}");
            let path = folder.join(format!("{name}.bin"));
            if !path.exists() {
                adapters::create(&path, &profile, RANK).or_failed()?;
            }
            let path = text(&absolute(&path)?)?.to_owned();
            Ok(Adapter {
                name,
                path: Some(path),
            })
        })
        .collect()
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path)
        .with_context(|| format!("{}: cannot make the folder", path.display()))
        .or_usage()
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path)
        .with_context(|| format!("{}: cannot be found", path.display()))
        .or_failed()
}

/// A path as an argument of the engine's command, which is kept as text.
fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{}: a path that is no UTF-8", path.display()))
        .or_usage()
}
