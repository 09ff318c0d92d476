//! Do 95 % intervals hold the truth 95 times in 100? Simulated experiments whose truth is known.

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};
use report::stats::{
    ClusterBootstrap, Clustered, Percentile, Sorted, order_statistic_interval, paired_effect,
    repeat_interval,
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
fn whole_requests_are_resampled_so_that_dependent_gaps_are_covered() {
    let of = |naive: bool| {
        coverage(2000, 0.0, |rng| {
            let values = Clustered::new(gaps(rng, 60, 0.0));
            if naive {
                return order_statistic_interval(values.sorted(), Percentile::P50);
            }
            let bootstrap = ClusterBootstrap::new(vec![60], 200, 1);
            bootstrap.intervals(&[(&values, Percentile::P50)])[0]
        })
    };
    let (clustered, naive) = (of(false), of(true));
    println!("dependent gaps, 60 requests, p50: bootstrap {clustered} %, naive {naive} %");
    assert!((92.0..=98.0).contains(&clustered), "{clustered} %");
    // What the bootstrap is for: taking the gaps for independent promises too much.
    assert!(naive < 80.0, "{naive} %");
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
