//! Do 95 % intervals hold the truth 95 times in 100? Simulated experiments whose truth is known.

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};
use report::stats::{
    ClusterBootstrap, ClusterShares, Clustered, Percentile, Sorted, Stretch, coincidence, knee,
    order_statistic_interval, paired_effect, paired_ratio, repeat_interval, time_ordered_interval,
};

/// A standard normal deviate (Box & Muller 1958).
fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    let mut uniform = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let radius = (-2.0 * uniform().ln()).sqrt();
    radius * (2.0 * std::f64::consts::PI * uniform()).cos()
}

/// Of how many experiments in a hundred the interval holds the truth. An experiment that gives
/// no interval is a fault of the test.
fn coverage(
    experiments: u64,
    truth: f64,
    interval: impl Fn(&mut Xoshiro256PlusPlus) -> Option<[f64; 2]>,
) -> f64 {
    let held = (0..experiments).filter(|&seed| {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let [low, high] = interval(&mut rng).expect("the samples are large enough");
        low <= truth && truth <= high
    });
    100.0 * held.count() as f64 / experiments as f64
}

/// The standard normal's 99th percentile.
const Z99: f64 = 2.326_347_874_040_841;

#[test]
fn order_statistics_cover_heavy_tails() {
    for (percentile, z, n) in [(Percentile::P50, 0.0, 151), (Percentile::P99, Z99, 1200)] {
        // Log-normal with σ = 1.5: its 99th percentile is 33 times its median.
        let covered = coverage(2000, (1.5 * z).exp(), |rng| {
            let values = (0..n).map(|_| (1.5 * normal(rng)).exp()).collect();
            order_statistic_interval(&Sorted::new(values), percentile)
        });
        println!("order statistics, log-normal, n = {n}, {percentile}: {covered} %");
        // At least 95 % by construction; the steps between ranks add up to two more.
        assert!(
            (94.0..=98.0).contains(&covered),
            "{percentile}: {covered} %"
        );
    }
}

/// Requests whose ten gaps depend on each other: half of the variance is the request's own.
fn gaps(rng: &mut Xoshiro256PlusPlus, requests: u32, shift: f64) -> Vec<(f64, u32)> {
    let mut values = Vec::new();
    for request in 0..requests {
        let own = normal(rng);
        values.extend((0..10).map(|_| {
            let gap = shift + (own + normal(rng)) / 2f64.sqrt();
            (gap, request)
        }));
    }
    values
}

#[test]
#[ignore = "a minute in a debug build: cargo test --release -- --ignored"]
fn whole_requests_are_resampled_so_that_dependent_gaps_are_covered() {
    let of = |naive: bool| {
        coverage(2000, 0.0, |rng| {
            let values = Clustered::new(gaps(rng, 60, 0.0));
            if naive {
                return order_statistic_interval(values.sorted(), Percentile::P50);
            }
            let bootstrap = ClusterBootstrap::new(vec![60], 1000, 1);
            bootstrap.intervals(&[(&values, Percentile::P50)])[0]
        })
    };
    let (clustered, naive) = (of(false), of(true));
    let in_order = coverage(2000, 0.0, |rng| {
        let values: Vec<f64> = gaps(rng, 60, 0.0)
            .into_iter()
            .map(|(value, _)| value)
            .collect();
        time_ordered_interval(&values, &Sorted::new(values.clone()), Percentile::P50)
    });
    println!(
        "dependent gaps, 60 requests, p50: bootstrap {clustered} %, batches {in_order} %, naive {naive} %"
    );
    assert!((93.0..=97.0).contains(&in_order), "{in_order} %");
    assert!((93.0..=97.0).contains(&clustered), "{clustered} %");
    // What the bootstrap is for: taking the gaps for independent promises too much.
    assert!(naive < 80.0, "{naive} %");
}

#[test]
fn the_linearised_interval_covers_dependent_gaps() {
    for (percentile, truth, requests) in [
        (Percentile::P50, 0.0, 60),
        (Percentile::P50, 0.0, 400),
        (Percentile::P95, 1.644_853_626_951_472, 400),
    ] {
        let covered = coverage(2000, truth, |rng| {
            let values = gaps(rng, requests, 0.0);
            let sorted = Sorted::new(values.iter().map(|(value, _)| *value).collect());
            let point = sorted.percentile(percentile)?;
            let mut shares = ClusterShares::default();
            for request in values.chunk_by(|(_, a), (_, b)| a == b) {
                let below = request.iter().filter(|(value, _)| *value <= point);
                shares.push(request.len(), below.count(), percentile);
            }
            let (lower, upper) = shares.ranks(sorted.len(), percentile)?;
            Some([sorted.values()[lower - 1], sorted.values()[upper - 1]])
        });
        println!("dependent gaps, {requests} requests, {percentile}: linearised {covered} %");
        assert!(
            (93.0..=97.0).contains(&covered),
            "{percentile}: {covered} %"
        );
    }
}

/// Three repeats of 200 requests, between which the whole distribution shifts.
fn three_repeats(percentile: Percentile, truth: f64, between: f64) -> f64 {
    coverage(2000, truth.exp(), |rng| {
        let repeats: Vec<Sorted> = (0..3)
            .map(|_| {
                let shift = between * normal(rng);
                let spread = (1.0 - between * between).sqrt();
                let value = |_| (shift + spread * normal(rng)).exp();
                Sorted::new((0..200).map(value).collect())
            })
            .collect();
        let all = repeats.iter().flat_map(Sorted::values).copied().collect();
        let own: Vec<f64> = repeats
            .iter()
            .filter_map(|repeat| repeat.percentile(percentile))
            .collect();
        repeat_interval(Sorted::new(all).percentile(percentile)?, &own)
    })
}

#[test]
fn three_repeats_are_covered_whether_alike_or_apart() {
    for (percentile, truth) in [
        (Percentile::P50, 0.0),
        (Percentile::P90, 1.281_551_565_544_6),
    ] {
        for between in [0.0, 0.5] {
            let covered = three_repeats(percentile, truth, between);
            println!("three repeats, {between} of the spread between, {percentile}: {covered} %");
            assert!(
                (93.0..=97.0).contains(&covered),
                "{percentile}, {between}: {covered} %"
            );
        }
    }
}

/// Requests of one queue: each logarithm keeps half of the one before.
fn queue_like(rng: &mut Xoshiro256PlusPlus, n: usize, kept: f64) -> Vec<f64> {
    let mut level = normal(rng);
    let fresh = (1.0 - kept * kept).sqrt();
    let next = |_| {
        level = kept * level + fresh * normal(rng);
        (0.8 * level).exp()
    };
    (0..n).map(next).collect()
}

#[test]
#[ignore = "a minute in a debug build: cargo test --release -- --ignored"]
fn requests_like_their_neighbours_are_covered() {
    for (percentile, z, n) in [
        (Percentile::P50, 0.0, 600),
        (Percentile::P90, 1.281_551_565_544_6, 1000),
        (Percentile::P99, Z99, 6000),
    ] {
        for kept in [0.0, 0.5, 0.8] {
            let truth = (0.8 * z).exp();
            let covered = coverage(2000, truth, |rng| {
                let values = queue_like(rng, n, kept);
                let sorted = Sorted::new(values.clone());
                time_ordered_interval(&values, &sorted, percentile)
            });
            println!("one run, neighbours alike by {kept}, n = {n}, {percentile}: {covered} %");
            // Never shorter than the interval of independent values: a little above 95 is meant.
            assert!(
                (93.0..=98.0).contains(&covered),
                "{percentile}, {kept}: {covered} %"
            );
        }
    }
}

/// Pairs of runs that share their block's drift; the second is slower by a fifth.
fn pairs(rng: &mut Xoshiro256PlusPlus, n: usize, ratio: f64) -> Vec<(f64, f64)> {
    let pair = |_| {
        let drift = 0.5 * normal(rng);
        let of = |rng: &mut Xoshiro256PlusPlus| (drift + 0.1 * normal(rng)).exp();
        (of(rng), ratio * of(rng))
    };
    (0..n).map(pair).collect()
}

#[test]
fn three_pairs_are_covered_and_the_same_is_rarely_called_different() {
    for n in [3, 4, 6, 12] {
        let covered = coverage(2000, 1.2, |rng| paired_ratio(&pairs(rng, n, 1.2))?.interval);
        let same = coverage(2000, 1.0, |rng| paired_ratio(&pairs(rng, n, 1.0))?.interval);
        let different = 100.0 - same;
        println!(
            "{n} pairs: ratio covered {covered} %, same against same called different {different} %"
        );
        assert!((93.0..=97.0).contains(&covered), "{n} pairs: {covered} %");
        assert!(different <= 6.0, "{n} pairs: {different} %");
    }
}

#[test]
fn the_detectable_effect_is_detected_four_times_in_five() {
    // Of 2,000 experiments at the mean detectable effect of such experiments.
    for n in [4, 6, 12] {
        let spread: f64 = 0.1 * 2f64.sqrt();
        let found = |ratio: f64| {
            let clear = (0..2000).filter(|&seed| {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                paired_ratio(&pairs(&mut rng, n, ratio)).is_some_and(|it| it.is_clear())
            });
            clear.count() as f64 / 20.0
        };
        // The quantiles' sum for the true spread, by scipy 1.17.1: t.ppf(0.975) + t.ppf(0.8).
        let sum = match n {
            4 => 3.1824 + 0.9785,
            6 => 2.5706 + 0.9195,
            _ => 2.201 + 0.8755,
        };
        let detected = found((sum * spread / (n as f64).sqrt()).exp());
        println!("{n} pairs: the detectable effect is found in {detected} %");
        assert!((76.0..=86.0).contains(&detected), "{n} pairs: {detected} %");
    }
}

/// A sweep of seven numbers of users, three times: flat up to `knee`, then as steep as a full
/// server is.
fn sweep(rng: &mut Xoshiro256PlusPlus, knee: f64, slope: f64) -> Vec<(f64, f64)> {
    let users = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0f64];
    let repeats = [0; 3].iter().flat_map(|_| users);
    repeats
        .map(|users| {
            let x = users.ln();
            (x, slope * (x - knee.ln()).max(0.0) + 0.05 * normal(rng))
        })
        .collect()
}

#[test]
#[ignore = "a minute in a debug build: cargo test --release -- --ignored"]
fn a_planted_knee_is_found_and_a_straight_line_rarely_has_one() {
    for planted in [5.0, 12.0, 24.0f64] {
        let covered = coverage(1000, planted.ln(), |rng| {
            Some(knee(&sweep(rng, planted, 0.9))?.interval)
        });
        println!("knee at {planted} users: covered {covered} %");
        assert!((93.0..=97.0).contains(&covered), "{planted}: {covered} %");
    }
    let seen = |slope: f64, planted: f64| {
        let bent = (0..400).filter(|&seed| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            knee(&sweep(&mut rng, planted, slope)).is_some_and(|it| it.p_value <= 0.05)
        });
        bent.count() as f64 / 4.0
    };
    let (found, wrong) = (seen(0.9, 12.0), seen(0.3, 1.0));
    println!("a knee is seen where planted in {found} %, in a straight line in {wrong} %");
    assert!(found >= 99.0, "{found} %");
    assert!(wrong <= 7.0, "{wrong} %");
}

#[test]
fn stalls_that_know_nothing_of_storage_are_rarely_tied_to_it() {
    // Both come in bursts, which makes chance coincidences lumpy.
    let bursts = |rng: &mut Xoshiro256PlusPlus| -> Vec<f64> {
        let mut on = 0;
        let mut step = |_| {
            if on == 0 && rng.next_u64().is_multiple_of(60) {
                on = 8;
            }
            on = (on as i32 - 1).max(0) as u32;
            f64::from(u8::from(on > 0))
        };
        (0..600).map(&mut step).collect()
    };
    let tied = (0..400).filter(|&seed| {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let runs = [0; 3].map(|_| Stretch {
            weight: bursts(&mut rng),
            share: bursts(&mut rng),
        });
        coincidence(&runs).is_some_and(|it| it.p_value <= 0.05)
    });
    let tied = tied.count() as f64 / 4.0;
    println!("bursts that know nothing of each other: tied in {tied} %");
    assert!((1.5..=8.0).contains(&tied), "{tied} %");
}

#[test]
fn the_same_against_the_same_is_rarely_called_a_difference() {
    for pairs in [6, 8, 12] {
        let covered = coverage(2000, 0.0, |rng| {
            // Heavy tails, as the logarithm of a ratio of two latencies has when a run goes bad.
            let differences: Vec<f64> = (0..pairs)
                .map(|_| normal(rng) / normal(rng).abs().max(0.05))
                .collect();
            paired_effect(&differences)?.interval
        });
        println!(
            "same against same, {pairs} pairs: called different in {} %",
            100.0 - covered
        );
        assert!(
            (94.0..=98.5).contains(&covered),
            "{pairs} pairs: {covered} %"
        );
    }
}
