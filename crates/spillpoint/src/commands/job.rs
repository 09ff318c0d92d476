//! From what a person asked for to what the lab is to do.

use super::{api_key::api_key, calibrate::cited, plan, restore::machine};
use crate::{
    cli, embedded,
    exit::{Exit, OrExit, Result},
    named_file::read_text,
};
use ::plan::{Overrides, Plan, TargetFile};
use anyhow::{Context, anyhow};
use lab::{Job, LoraTarget, Target, Whose};
use load::ApiKey;
use record::{Session, TargetKind};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The job of one `run`.
pub(super) fn job(args: cli::Run) -> Result<Job> {
    if let Some(path) = &args.resume {
        return resumed(&args, path);
    }
    let named = args.plan.as_deref().unwrap_or_default();
    let found = plan::find(named)?;
    let found = match args.quick {
        true => found.quick().or_usage()?,
        false => found,
    };
    let mut plan = found.with(Overrides {
        users: args.users,
        duration: args.duration,
        repeats: args.repeats,
        seed: args.workload.seed,
        api: args.workload.api.map(Into::into),
        prompt_tokens: args.workload.prompt_tokens,
        output_tokens: args.workload.max_tokens,
    });
    plan.has_length().or_usage()?;
    let (target, from_file) = target(&args.target, &plan, &args.results)?;
    if let (None, Some(api)) = (args.workload.api, from_file.api) {
        plan.workload.api = api;
    }
    let greatest = plan.users.levels().last().map_or(0, |users| users.get());
    Ok(Job {
        plan,
        quick: args.quick,
        target,
        results: args.results,
        resume: None,
        storage: args.target.storage.or(from_file.storage),
        calibration: cited(greatest),
        machine: machine(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// A session's own plan, on the server that is named again.
fn resumed(args: &cli::Run, path: &Path) -> Result<Job> {
    let session = Session::open(path).or_usage()?;
    let plan: Plan = serde_json::from_value(session.manifest.plan.clone())
        .with_context(|| format!("{}: its plan is not this version's", path.display()))
        .or_usage()?;
    let results = session.dir.path().parent().map(Path::to_owned);
    let results = results.unwrap_or_else(|| args.results.clone());
    let then = &session.manifest.target;
    if let Some(name) = args.plan.as_deref()
        && name != plan.name.as_str()
        && name != session.manifest.experiment
    {
        let is = &session.manifest.experiment;
        let error = anyhow!("{}: it is a session of {is}, not of {name}", path.display());
        return Err(Exit::Usage(error));
    }
    let mut named = args.target.clone();
    let attached = then.kind == TargetKind::Attached;
    if named.url.is_none() && named.target.is_none() && attached {
        named.url = Some(then.url.parse().or_usage()?);
    }
    if named.model.is_none() && named.url.is_some() {
        named.model = Some(then.model.clone());
    }
    let (target, _) = target(&named, &plan, &results)?;
    if attached && target.url.to_string() != then.url {
        let (url, then) = (&target.url, &then.url);
        let error = anyhow!(
            "the session was against {then}, and {url} may be another server: its figures would not be one session's; start a new one"
        );
        return Err(Exit::Usage(error));
    }
    if target.whose.kind() != then.kind {
        let error = anyhow!(
            "the session was against another kind of server: name it with --url or --target"
        );
        return Err(Exit::Usage(error));
    }
    let greatest = plan.users.levels().last().map_or(0, |users| users.get());
    Ok(Job {
        plan,
        quick: session.manifest.quick,
        target,
        results,
        resume: Some(path.to_owned()),
        storage: Some(session.manifest.device.path.clone()),
        calibration: cited(greatest),
        machine: machine(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// What a target's file says beside the target.
#[derive(Default)]
struct FromFile {
    api: Option<::plan::Api>,
    storage: Option<PathBuf>,
}

fn target(args: &cli::Target, plan: &Plan, results: &Path) -> Result<(Target, FromFile)> {
    let mut from_file = FromFile::default();
    let mut target = match (&args.url, &args.target) {
        (Some(url), _) => Target {
            whose: Whose::Attached,
            url: url.clone(),
            model: args.model.clone(),
            api_key: api_key(args.api_key_file.as_deref())?,
            model_files: Vec::new(),
            adapters: None,
            variants: BTreeMap::new(),
            metrics: Vec::new(),
            scratch: Vec::new(),
        },
        (None, Some(path)) => {
            let file = target_file(path)?;
            (from_file.api, from_file.storage) = (file.api, file.storage.clone());
            of_file(file, path, api_key(args.api_key_file.as_deref())?)?
        }
        (None, None) if args.api_key_file.is_some() => {
            return Err(Exit::Usage(anyhow!(
                "--api-key-file names a key, and no server that wants it: name the server with --url or --target"
            )));
        }
        (None, None) => embedded::target(plan, results)?,
    };
    target.model_files.extend(args.model_files.iter().cloned());
    if let Some(list) = &args.adapters {
        target.adapters = Some(LoraTarget {
            list: load::Adapters::read_list(list).or_usage()?,
            dialect: args.lora_dialect.into(),
        });
    }
    Ok((target, from_file))
}

fn target_file(path: &Path) -> Result<TargetFile> {
    let toml = read_text(path)
        .with_context(|| format!("{}: cannot read the target's file", path.display()))
        .or_usage()?;
    TargetFile::parse(&toml)
        .with_context(|| path.display().to_string())
        .or_usage()
}

fn of_file(file: TargetFile, path: &Path, api_key: Option<ApiKey>) -> Result<Target> {
    let commands = file.lifecycle.iter();
    let commands = commands.flat_map(|it| it.start.iter().chain(it.stop.iter().flatten()));
    let mut words = commands.chain(file.variants.values().flat_map(|variant| &variant.args));
    if let Some(key) = &api_key
        && words.any(|word| key.is_in(word))
    {
        let error = anyhow!(
            "{}: its start command holds the API key, or its stop command or a variant does, which \
             every user of this machine could read: give it to the server by its environment or a file",
            path.display()
        );
        return Err(Exit::Usage(error));
    }
    let url = file.url.parse::<load::BaseUrl>();
    let metrics: std::result::Result<Vec<_>, _> =
        file.metrics.iter().map(|url| url.parse()).collect();
    Ok(Target {
        whose: file.lifecycle.map_or(Whose::Attached, Whose::Managed),
        url: url.with_context(|| path.display().to_string()).or_usage()?,
        model: file.model,
        api_key,
        model_files: file.model_files,
        adapters: None,
        variants: file.variants,
        metrics: metrics
            .with_context(|| format!("{}: metrics", path.display()))
            .or_usage()?,
        scratch: Vec::new(),
    })
}
