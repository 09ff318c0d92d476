//! `itl_stall_map`: every stall by when it began and how long it was, above what was waited for.

use super::{
    Figure, NOTHING_TO_SHOW, NotDrawn,
    numbers::{grouped, percent, plain},
    strips::{Mark, Panel, Strips, Track},
    theme::Ink,
};
use crate::{Analysis, Stall, evidence::RunEvidence, strip::Series};

pub(super) const NAME: &str = "itl_stall_map";

/// From this share of its time on, a stall counts as one with storage waits.
const WITH_STORAGE: f64 = 0.5;

pub(super) fn draw(analysis: &Analysis, runs: &[RunEvidence]) -> Result<Figure, NotDrawn> {
    let stalls: usize = runs
        .iter()
        .filter_map(|run| Some(run.stalls.as_ref()?.count))
        .sum();
    if runs.iter().all(|run| run.stalls.is_none()) {
        return Err("no complete run has requests that can be read");
    }
    if stalls == 0 {
        return Err(NOTHING_TO_SHOW);
    }
    let tracks = vec![
        dots(
            "no storage wait",
            [Ink::Blue, Ink::BlueText],
            runs,
            |stall| stall.storage_wait.is_some_and(|share| share < WITH_STORAGE),
        ),
        dots(
            "storage waits",
            [Ink::Vermilion, Ink::VermilionText],
            runs,
            |stall| {
                stall
                    .storage_wait
                    .is_some_and(|share| share >= WITH_STORAGE)
            },
        ),
        dots(
            "not recorded",
            [Ink::Purple, Ink::PurpleText],
            runs,
            |stall| stall.storage_wait.is_none(),
        ),
    ];
    let waits = runs
        .iter()
        .filter_map(|run| Some(run.strip.as_ref()?.psi_io.clone()));
    let waits = Panel {
        label: "Time in which some task waited for I/O (PSI)".to_owned(),
        axis: "% of time",
        log: false,
        tracks: vec![Track {
            name: "PSI io",
            ink: Ink::Vermilion,
            text: Ink::VermilionText,
            mark: Mark::Line,
            runs: waits.collect(),
        }],
    };
    let map = Panel {
        label:
            "Stalls: gaps between tokens, and first tokens, far beyond what is usual in their run"
                .to_owned(),
        axis: "ms",
        log: true,
        tracks,
    };
    let panels = [map, waits].into_iter().filter(|panel| !panel.is_empty());
    Strips {
        name: NAME,
        title: title(analysis, stalls),
        subtitle: subtitle(analysis, runs, stalls),
        runs,
        panels: panels.collect(),
        marked: Vec::new(),
    }
    .draw()
}

fn dots(
    name: &'static str,
    [ink, text]: [Ink; 2],
    runs: &[RunEvidence],
    wanted: fn(&Stall) -> bool,
) -> Track {
    let of = |run: &RunEvidence| -> Option<Series> {
        let stalls = run
            .stalls
            .as_ref()?
            .longest
            .iter()
            .filter(|stall| wanted(stall));
        Some(
            stalls
                .map(|stall| (stall.start.as_secs_f64(), stall.length_ms))
                .collect(),
        )
    };
    Track {
        name,
        ink,
        text,
        mark: Mark::Dots,
        runs: runs.iter().filter_map(of).collect(),
    }
}

fn title(analysis: &Analysis, stalls: usize) -> String {
    let stalls = grouped(stalls as f64, 0);
    let storage = analysis.causes.first().and_then(|cause| cause.storage);
    match storage {
        Some(it) if it.p_value <= 0.05 => format!(
            "{} of the time of {stalls} stalls coincides with waits for storage, {} would by chance",
            percent(100.0 * it.share),
            percent(100.0 * it.by_chance)
        ),
        Some(it) => format!(
            "{stalls} stalls, no more with waits for storage ({} of their time) than by chance ({})",
            percent(100.0 * it.share),
            percent(100.0 * it.by_chance)
        ),
        None => format!("{stalls} stalls over the session"),
    }
}

fn subtitle(analysis: &Analysis, runs: &[RunEvidence], stalls: usize) -> String {
    let mut text = String::new();
    if let Some(it) = analysis.causes.first().and_then(|cause| cause.storage) {
        if let Some([low, high]) = it.interval {
            text.push_str(&format!(
                "95 % interval of the share {}–{} (bootstrap of blocks of time); ",
                percent(100.0 * low),
                percent(100.0 * high)
            ));
        }
        let [low, high] = it.chance_range;
        text.push_str(&format!(
            "95 % of shifts of the time axis give {}–{}, p = {}. ",
            percent(100.0 * low),
            percent(100.0 * high),
            plain(it.p_value)
        ));
    }
    text.push_str(
        "A stall is beyond the upper quartile of its run and three times the quartiles’ distance. ",
    );
    let shown: usize = runs
        .iter()
        .filter_map(|run| Some(run.stalls.as_ref()?.longest.len()))
        .sum();
    if shown < stalls {
        text.push_str(&format!(
            "Shown: the longest {} of each run. ",
            crate::Stalls::KEPT
        ));
    }
    text.push_str("Storage waits: some task waited for I/O in half of the stall or more.");
    text
}
