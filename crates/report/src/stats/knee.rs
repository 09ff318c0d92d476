//! A knee: where a line bends upwards or downwards.

use super::{SEED, normal::Normals, repeats::student_t};

/// Where a line bends, and how it runs on either side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knee {
    /// Where.
    pub at: f64,
    /// The 95 % interval; it never reaches beyond the second and the last but one place that was
    /// measured, where no bend could be told from the ends.
    pub interval: [f64; 2],
    /// The slope before it.
    pub slope_before: f64,
    /// The slope after it.
    pub slope_after: f64,
    /// How often chance alone bends a straight line as much.
    pub p_value: f64,
}

/// The fewest different places that can show a bend.
const FEWEST_PLACES: usize = 4;
/// Intercept, two slopes and the knee.
const PARAMETERS: usize = 4;
const FINE: usize = 400;
const COARSE: usize = 60;
const SIMULATIONS: usize = 399;

/// Fits two lines that meet, y = a + b·x + c·max(x − k, 0), by least squares over k: Seber & Wild,
/// "Nonlinear Regression" (1989), section 9.3. The interval holds every k whose fit an F test at
/// 95 % does not reject. Whether there is a bend at all is tested against a straight line with the
/// same places and normal residuals, by simulation: the usual F distribution does not hold, since
/// k has no meaning under a straight line (Davies, Biometrika 74 (1987)). Nothing where there are
/// fewer than four different places or no point to spare.
pub fn knee(points: &[(f64, f64)]) -> Option<Knee> {
    let mut places: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
    places.sort_unstable_by(f64::total_cmp);
    places.dedup();
    if places.len() < FEWEST_PLACES || points.len() <= PARAMETERS {
        return None;
    }
    let range = [places[1], places[places.len() - 2]];
    let x: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
    let y: Vec<f64> = points.iter().map(|(_, y)| *y).collect();
    let fine = Bends::new(&x, range, FINE);
    let (best, least) = fine.best(&y)?;
    let spare = points.len() - PARAMETERS;
    let limit = least * (1.0 + student_t(spare).powi(2) / spare as f64);
    // Where the points lie on the lines exactly, rounding alone decides: allow for it.
    let limit = limit + 1e-12 * fine.straight_rss(&y).max(f64::MIN_POSITIVE);
    let held: Vec<f64> = (0..fine.knees.len())
        .filter(|&index| fine.rss(index, &y) <= limit)
        .map(|index| fine.knees[index])
        .collect();
    let (before, bend) = fine.slopes(best, &x, &y);
    Some(Knee {
        at: fine.knees[best],
        interval: [*held.first()?, *held.last()?],
        slope_before: before,
        slope_after: before + bend,
        p_value: p_value(&x, &y, range),
    })
}

/// The share of straight lines with noise that seem to bend as much as these points do.
fn p_value(x: &[f64], y: &[f64], range: [f64; 2]) -> f64 {
    let bends = Bends::new(x, range, COARSE);
    let gain = |y: &[f64]| {
        let straight = bends.straight_rss(y);
        let least = bends.best(y).map_or(straight, |(_, rss)| rss);
        (straight - least) / least.max(1e-12 * straight).max(f64::MIN_POSITIVE)
    };
    let seen = gain(y);
    let mut normals = Normals::new(SEED);
    let as_much = (0..SIMULATIONS)
        .filter(|_| gain(&normals.take(x.len())) >= seen)
        .count();
    (1 + as_much) as f64 / (1 + SIMULATIONS) as f64
}

/// For each candidate knee, an orthonormal basis of the fits: a residual then takes three
/// products.
struct Bends {
    knees: Vec<f64>,
    straight: [Vec<f64>; 2],
    /// What max(x − k, 0) adds to the straight line, a unit vector.
    bend: Vec<Vec<f64>>,
    /// The length of that addition before it was made a unit.
    length: Vec<f64>,
}

impl Bends {
    fn new(x: &[f64], [from, to]: [f64; 2], steps: usize) -> Self {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let constant = vec![1.0 / n.sqrt(); x.len()];
        let centred: Vec<f64> = x.iter().map(|x| x - mean).collect();
        let length = dot(&centred, &centred).sqrt();
        let slope: Vec<f64> = centred.iter().map(|x| x / length).collect();
        let mut bends = Self {
            knees: Vec::new(),
            straight: [constant, slope],
            bend: Vec::new(),
            length: Vec::new(),
        };
        for step in 0..=steps {
            let knee = from + (to - from) * step as f64 / steps as f64;
            let mut hinge: Vec<f64> = x.iter().map(|x| (x - knee).max(0.0)).collect();
            for basis in &bends.straight {
                let along = dot(&hinge, basis);
                hinge
                    .iter_mut()
                    .zip(basis)
                    .for_each(|(h, b)| *h -= along * b);
            }
            let length = dot(&hinge, &hinge).sqrt();
            hinge.iter_mut().for_each(|h| *h /= length);
            bends.knees.push(knee);
            bends.bend.push(hinge);
            bends.length.push(length);
        }
        bends
    }

    fn straight_rss(&self, y: &[f64]) -> f64 {
        let mean = y.iter().sum::<f64>() / y.len() as f64;
        let centred: Vec<f64> = y.iter().map(|y| y - mean).collect();
        (dot(&centred, &centred) - dot(&centred, &self.straight[1]).powi(2)).max(0.0)
    }

    fn rss(&self, knee: usize, y: &[f64]) -> f64 {
        (self.straight_rss(y) - dot(y, &self.bend[knee]).powi(2)).max(0.0)
    }

    /// The knee that leaves least, and what it leaves.
    fn best(&self, y: &[f64]) -> Option<(usize, f64)> {
        let straight = self.straight_rss(y);
        (0..self.knees.len())
            .map(|knee| (knee, straight - dot(y, &self.bend[knee]).powi(2)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(knee, rss)| (knee, rss.max(0.0)))
    }

    /// The slope before the knee, and by how much it changes there.
    fn slopes(&self, knee: usize, x: &[f64], y: &[f64]) -> (f64, f64) {
        let bend = dot(y, &self.bend[knee]) / self.length[knee];
        let rest: Vec<f64> = x
            .iter()
            .zip(y)
            .map(|(x, y)| y - bend * (x - self.knees[knee]).max(0.0))
            .collect();
        let along = dot(&rest, &self.straight[1]);
        let spread = dot(x, &self.straight[1]);
        (along / spread, bend)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy 1.17.1: `minimize_scalar` over the knee of numpy 2.4.6 `linalg.lstsq` fits, and
    /// `brentq` for the ends of the interval with `stats.t.ppf(0.975, 17)`.
    #[test]
    fn a_knee_agrees_with_scipy() {
        let y = [
            0.94, 1.0293, 1.1186, 1.2079, 1.5562, 2.2693, 2.9825, 0.95, 1.0393, 1.1286, 1.2179,
            1.5662, 2.2793, 2.8625, 0.96, 1.0493, 1.1386, 1.2279, 1.5762, 2.2893, 2.8725,
        ];
        let users = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0f64];
        let points: Vec<(f64, f64)> = (0..21).map(|i| (users[i % 7].ln(), y[i])).collect();
        let found = knee(&points).unwrap();
        // The candidates are 0.7 % apart.
        let near = |found: f64, expected: f64| (found.exp() / expected - 1.0).abs() < 0.008;
        assert!(near(found.at, 11.543_37), "{}", found.at.exp());
        assert!(near(found.interval[0], 10.802_75), "{:?}", found.interval);
        assert!(near(found.interval[1], 12.314_56), "{:?}", found.interval);
        assert!((found.slope_before - 0.128_83).abs() < 2e-3);
        assert!((found.slope_after - found.slope_before - 0.837_51).abs() < 5e-3);
        assert!(found.p_value < 0.01);
    }

    #[test]
    fn exact_lines_have_their_knee_and_a_straight_one_none() {
        let bent: Vec<(f64, f64)> = (0..9)
            .map(|i| (f64::from(i), (f64::from(i) - 4.0).max(0.0)))
            .collect();
        let found = knee(&bent).unwrap();
        assert!((found.at - 4.0).abs() < 0.02, "{found:?}");
        let straight: Vec<(f64, f64)> = (0..9).map(|i| (f64::from(i), f64::from(i))).collect();
        assert!(knee(&straight).unwrap().p_value > 0.1);
    }

    #[test]
    fn three_places_or_four_points_show_no_knee() {
        let of = |n: u32, places: u32| {
            let points: Vec<(f64, f64)> = (0..n)
                .map(|i| (f64::from(i % places), f64::from(i)))
                .collect();
            knee(&points)
        };
        assert_eq!(of(12, 3), None);
        assert_eq!(of(4, 4), None);
        assert!(of(8, 4).is_some());
    }
}
