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
use plan::{Experiment, Lifecycle, Span};
use std::{
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

/// The engine as this experiment needs it. Its files are made in the results' folder, once.
pub(crate) fn target(experiment: Experiment, results: &Path) -> Result<Target> {
    let port = free_port()?;
    let mut args = vec!["engine".to_owned(), "--port".to_owned(), port.to_string()];
    let mut add = |words: &[&str]| args.extend(words.iter().map(|&word| word.to_owned()));
    add(&["--model", MODEL.name(), "--speed", SPEED]);
    add(&["--max-batch", MAX_BATCH]);
    let files = results.join("engine-files");
    let mut model_files = Vec::new();
    let mut lora = None;
    match experiment {
        Experiment::H1 => {
            let weights = weights_file(&files)?;
            add(&["--weights", text(&weights)?]);
            model_files.push(weights);
        }
        Experiment::H6 => {
            let list = adapter_files(&files)?;
            for adapter in &list {
                let path = adapter.path.as_deref().unwrap_or_default();
                add(&["--lora", &format!("{}={path}", adapter.name)]);
            }
            add(&[
                "--max-loras",
                PLACES,
                "--max-cpu-loras",
                PLACES,
                "--lora-direct",
            ]);
            lora = Some(LoraTarget {
                list,
                dialect: LoraDialect::Model,
            });
        }
        Experiment::H0 | Experiment::H2 | Experiment::H4 | Experiment::H5 => {}
    }
    let program = std::env::current_exe().or_failed()?;
    let start = [text(&program)?.to_owned()]
        .into_iter()
        .chain(args)
        .collect();
    Ok(Target {
        whose: Whose::Embedded(Lifecycle {
            start,
            stop: None,
            ready_limit: Span(Duration::from_secs(120)),
            stop_limit: Span(Duration::from_secs(10)),
            // It has none of a GPU's.
            memory_limit: Span(Duration::from_secs(2)),
        }),
        url: format!("http://127.0.0.1:{port}").parse().or_failed()?,
        model: None,
        api_key: None,
        model_files,
        adapters: lora,
    })
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
