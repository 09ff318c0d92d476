//! `spillpoint load`: one phase of load, without telemetry.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
    interrupt,
};
use anyhow::{Context, anyhow};
use clock::SessionClock;
use load::{
    Adapters, Api, LengthModel, Live, OpenLoop, Phase, Source, Stop, Target, Texts, Timing,
    Tokenizer, Trace, Wish, Workload,
};
use record::{Distribution, Summary};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Write},
    num::NonZeroU32,
};

/// What a request looks like where nothing is said.
const PROMPT_TOKENS: u32 = 256;
const MAX_TOKENS: u32 = 64;
const SEED: u64 = 42;

pub(crate) fn run(args: cli::Load) -> Result {
    let target = find(&args)?;
    let phase = phase(&args, &target)?;
    let stop = Stop::default();
    interrupt::ask_on_signal(&stop).or_failed()?;
    let (mut rows, mut tokens) = (Vec::new(), Vec::new());
    let report = load::run(
        &target,
        &phase,
        SessionClock::start(),
        &Live::default(),
        &stop,
        |row, chunks| {
            rows.push(row);
            tokens.push(chunks);
        },
    )
    .or_usage()?;
    for note in &report.failures {
        let (count, words) = (note.count, &note.words);
        writeln!(
            io::stderr(),
            "{count} requests failed ({:?}); the first: {words}",
            note.failure
        )?;
    }
    let summary = report::summarise(&rows, &tokens, &report.stages.measure);
    show(&summary, args.json)?;
    end(&summary, report.stopped)
}

/// Load of which nothing came back is no measurement.
fn end(summary: &Summary, stopped: bool) -> Result {
    if stopped {
        return Err(Exit::Failed(anyhow!(
            "interrupted: the figures are of a part"
        )));
    }
    if summary.requests.total > 0 && summary.requests.ok == 0 {
        return Err(Exit::Failed(anyhow!("no request ended well")));
    }
    Ok(Exit::Done)
}

fn find(args: &cli::Load) -> Result<Target> {
    let mut wish = Wish::new(args.url.clone());
    wish.model = args.model.clone();
    wish.ca_file = args.ca_file.clone();
    wish.api_key = super::api_key::api_key(args.api_key_file.as_deref())?;
    wish.api = match args.workload.api {
        None | Some(cli::Api::Auto) => None,
        Some(cli::Api::Completions) => Some(Api::Completions),
        Some(cli::Api::Chat) => Some(Api::Chat),
    };
    load::preflight(&wish).or_usage()
}

fn phase(args: &cli::Load, target: &Target) -> Result<Phase> {
    let tokens = |count: Option<plan::TokenCount>, or| count.map_or(or, plan::TokenCount::get);
    let prompt_tokens = tokens(args.workload.prompt_tokens, PROMPT_TOKENS);
    let seed = args.workload.seed.unwrap_or(SEED);
    // Another nonce each time: a server's prefix cache remembers the last session.
    let salt = RandomState::new().build_hasher().finish();
    let lengths: LengthModel = load::calibrate(target, seed, salt, prompt_tokens).or_usage()?;
    let mut workload = Workload::new(
        prompt_tokens,
        tokens(args.workload.max_tokens, MAX_TOKENS),
        seed,
        salt,
    );
    let tokenizer = args.tokenizer.as_deref().map(Tokenizer::read);
    let tokenizer = tokenizer.transpose().or_usage()?;
    let converses = args.turns > NonZeroU32::MIN;
    let exact = load::exact_lengths(target, tokenizer.as_ref(), converses, seed, salt);
    workload.make_exact(exact.or_usage()?);
    workload.reuse = args.reuse.0;
    workload.turns = args.turns;
    workload.texts = args
        .prompts
        .as_deref()
        .map(Texts::read)
        .transpose()
        .or_usage()?;
    workload.adapters = adapters(args, seed)?;
    let timing = Timing {
        ramp: args.ramp.0,
        warmup: args.warmup.0,
        measure: args.duration.0,
        drain_limit: args.drain_limit.0,
        request_deadline: args.request_timeout.0,
    };
    if let Some(source) = open_loop(&args.arrivals)? {
        let max_in_flight = args.arrivals.max_in_flight;
        let arrivals = OpenLoop {
            source,
            max_in_flight,
        };
        return Ok(Phase::open(arrivals, timing, workload, lengths));
    }
    let users = NonZeroU32::new(args.users.get()).unwrap_or(NonZeroU32::MIN);
    let think = args.think.0;
    Ok(Phase::closed(users, think, timing, workload, lengths))
}

fn adapters(args: &cli::Load, seed: u64) -> Result<Option<Adapters>> {
    let Some(list) = &args.adapters else {
        return Ok(None);
    };
    let list = Adapters::read_list(list).or_usage()?;
    Adapters::new(list, args.lora_dialect.into(), args.lora_policy.0, seed)
        .or_usage()
        .map(Some)
}

fn open_loop(args: &cli::Arrivals) -> Result<Option<Source>> {
    if let Some(rate) = &args.rate {
        return Ok(Some(Source::Rate(rate.0.clone(), args.spacing.0)));
    }
    let Some(path) = &args.trace else {
        return Ok(None);
    };
    let trace = Trace::read(path).or_usage()?;
    let trace = trace
        .faster(args.trace_speed)
        .context("a trace is replayed at a speed above 0: --trace-speed 2 is twice as fast")
        .or_usage()?;
    Ok(Some(Source::Trace(trace)))
}

fn show(summary: &Summary, json: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, summary).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let requests = &summary.requests;
    writeln!(
        out,
        "{} requests in {:.1} s: {} ok, {} failed; {:.2} requests/s, {} tokens/s",
        requests.total,
        summary.duration_s,
        requests.ok,
        requests.failed.total(),
        summary.requests_per_s,
        number(summary.output_tokens_per_s),
    )?;
    writeln!(
        out,
        "{:<14} {:>8} {:>10} {:>10} {:>10} {:>10}",
        "ms", "n", "p50", "p95", "p99", "max"
    )?;
    for (name, figure) in figures(summary) {
        let Distribution {
            n,
            p50,
            p95,
            p99,
            max,
            ..
        } = figure;
        writeln!(
            out,
            "{name:<14} {n:>8} {:>10} {:>10} {:>10} {:>10}",
            number(*p50),
            number(*p95),
            number(*p99),
            number(*max)
        )?;
    }
    Ok(())
}

fn figures(summary: &Summary) -> [(&'static str, &Distribution); 8] {
    [
        ("queue", &summary.queue_ms),
        ("ttfb", &summary.ttfb_ms),
        ("ttft", &summary.ttft_ms),
        ("ttfa", &summary.ttfa_ms),
        ("e2e", &summary.e2e_ms),
        ("itl", &summary.itl_ms),
        ("tpot", &summary.tpot_ms),
        ("client_lag", &summary.client_lag_ms),
    ]
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}
