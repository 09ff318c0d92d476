//! Direct labels that keep clear of each other and of the marks.

use super::scene::{Point, Rect, at};

/// Finds places for labels beside points.
pub(super) struct Placer {
    bounds: Rect,
    taken: Vec<Rect>,
}

/// A place for a label: its box, and whether it is so far off that a line must lead to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) area: Rect,
    pub(super) leader: Option<[Point; 2]>,
}

impl Placer {
    /// Labels stay within `bounds`.
    pub(super) fn new(bounds: Rect) -> Self {
        Self {
            bounds,
            taken: Vec::new(),
        }
    }

    /// Keeps labels off this area.
    pub(super) fn keep_clear(&mut self, area: Rect) {
        self.taken.push(area);
    }

    /// The nearest free place for a label of this size; where none is free, the one that covers
    /// least.
    pub(super) fn place(&mut self, point: Point, width: f64, height: f64) -> Place {
        let candidate = |(distance, direction): (f64, [f64; 2])| {
            let [dx, dy] = direction;
            let centre = at(
                point.x + dx * (distance + width / 2.0),
                point.y + dy * (distance + height / 2.0),
            );
            Rect {
                x: centre.x - width / 2.0,
                y: centre.y - height / 2.0,
                width,
                height,
            }
        };
        let cost = |area: &Rect| {
            let outside = area.area() - area.overlap(&self.bounds);
            let covered: f64 = self.taken.iter().map(|other| area.overlap(other)).sum();
            4.0 * outside + covered
        };
        let all = RINGS
            .iter()
            .flat_map(|&ring| DIRECTIONS.iter().map(move |&direction| (ring, direction)));
        let mut best: Option<(f64, f64, Rect)> = None;
        for (ring, direction) in all {
            let area = candidate((ring, direction));
            let cost = cost(&area);
            if best.is_none_or(|(least, ..)| cost < least - NOTHING) {
                best = Some((cost, ring, area));
            }
            if cost < NOTHING {
                break;
            }
        }
        let (_, ring, area) = best.expect("there are always candidates");
        self.taken.push(area);
        let leader = (ring > NEAR).then(|| [point, nearest(&area, point)]);
        Place { area, leader }
    }
}

/// Labels of points that crowd together, in a column beside them and in the points' order.
/// `sizes` are the labels' widths; all are of one height.
pub(super) fn column(bounds: &Rect, points: &[Point], sizes: &[f64], height: f64) -> Vec<Place> {
    const ASIDE: f64 = 34.0;
    let ends = |pick: fn(f64, f64) -> f64, from: f64| points.iter().map(|p| p.x).fold(from, pick);
    let (left, right) = (
        ends(f64::min, f64::INFINITY),
        ends(f64::max, f64::NEG_INFINITY),
    );
    let widest = sizes.iter().copied().fold(0.0, f64::max);
    let on_right = right + ASIDE + widest <= bounds.right();
    let wanted: Vec<f64> = points.iter().map(|point| point.y).collect();
    let range = [bounds.y + height / 2.0, bounds.bottom() - height / 2.0];
    let middles = spread_column(&centred(&wanted, height + 3.0), height + 3.0, range);
    let labels = points.iter().zip(sizes).zip(middles);
    labels
        .map(|((&point, &width), middle)| {
            let x = if on_right {
                right + ASIDE
            } else {
                left - ASIDE - width
            };
            let end = if on_right { x - 3.0 } else { x + width + 3.0 };
            Place {
                area: Rect {
                    x,
                    y: middle - height / 2.0,
                    width,
                    height,
                },
                leader: Some([point, at(end, middle)]),
            }
        })
        .collect()
}

/// Places a gap apart around the middle of the wanted ones, in their order.
fn centred(wanted: &[f64], gap: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let middle = wanted.iter().sum::<f64>() / wanted.len().max(1) as f64;
    let first = middle - gap * (wanted.len() as f64 - 1.0) / 2.0;
    let mut places = wanted.to_vec();
    for (rank, index) in order.into_iter().enumerate() {
        places[index] = first + rank as f64 * gap;
    }
    places
}

/// Groups of points that are too close for labels beside each; only groups of three or more.
pub(super) fn crowds(points: &[Point]) -> Vec<Vec<usize>> {
    let close = |a: Point, b: Point| (a.x - b.x).abs() < 60.0 && (a.y - b.y).abs() < 18.0;
    let mut group: Vec<usize> = (0..points.len()).collect();
    for a in 0..points.len() {
        for b in 0..a {
            if close(points[a], points[b]) && group[a] != group[b] {
                let (from, to) = (group[a], group[b]);
                group
                    .iter_mut()
                    .filter(|it| **it == from)
                    .for_each(|it| *it = to);
            }
        }
    }
    (0..points.len())
        .map(|wanted| (0..points.len()).filter(|&i| group[i] == wanted).collect())
        .filter(|members: &Vec<usize>| members.len() >= 3)
        .collect()
}

/// An area in square pixels that nobody sees: rounding leaves such.
const NOTHING: f64 = 1e-6;

/// Beyond this distance a line leads to the label.
const NEAR: f64 = 9.0;

/// Distances in pixels, tried in order.
const RINGS: [f64; 7] = [9.0, 20.0, 34.0, 50.0, 70.0, 95.0, 125.0];

/// Right first, as one reads; then left, above, below, and the corners.
const DIRECTIONS: [[f64; 2]; 8] = [
    [1.0, 0.0],
    [-1.0, 0.0],
    [1.0, -1.0],
    [1.0, 1.0],
    [0.0, -1.0],
    [0.0, 1.0],
    [-1.0, -1.0],
    [-1.0, 1.0],
];

/// The point of a box's edge that is nearest to a point outside it.
fn nearest(area: &Rect, point: Point) -> Point {
    at(
        point.x.clamp(area.x, area.right()),
        point.y.clamp(area.y, area.bottom()),
    )
}

/// Moves labels in a column apart, each as little as it takes: their centres stay in order, at
/// least `gap` apart, and within the range.
pub(super) fn spread_column(wanted: &[f64], gap: f64, range: [f64; 2]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let mut placed = wanted.to_vec();
    let mut least = range[0];
    for &index in &order {
        placed[index] = placed[index].max(least);
        least = placed[index] + gap;
    }
    let mut most = range[1];
    for &index in order.iter().rev() {
        placed[index] = placed[index].min(most);
        most = placed[index] - gap;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLOT: Rect = Rect {
        x: 0.0,
        y: 0.0,
        width: 400.0,
        height: 300.0,
    };

    #[test]
    fn labels_of_one_point_keep_apart() {
        let mut placer = Placer::new(PLOT);
        let places: Vec<Place> = (0..7)
            .map(|_| placer.place(at(2.0, 150.0), 60.0, 16.0))
            .collect();
        for (index, a) in places.iter().enumerate() {
            assert_eq!(a.area.overlap(&PLOT), a.area.area());
            for b in &places[index + 1..] {
                assert_eq!(a.area.overlap(&b.area), 0.0);
            }
        }
        assert_eq!(places[0].leader, None);
        assert!(places[6].leader.is_some());
    }

    #[test]
    fn a_crowd_is_named_in_a_column() {
        let points = [100.0, 101.0, 102.0, 250.0].map(|y| at(3.0, y));
        assert_eq!(crowds(&points), [[0, 1, 2]]);
        let places = column(&PLOT, &points[..3], &[50.0; 3], 15.0);
        assert!(places[0].area.bottom() < places[1].area.y);
        assert!(places[1].area.bottom() < places[2].area.y);
        assert!(
            places
                .iter()
                .all(|place| place.area.x > 3.0 && place.leader.is_some())
        );
    }

    #[test]
    fn a_column_is_spread_no_more_than_it_must_be() {
        assert_eq!(
            spread_column(&[10.0, 50.0], 16.0, [0.0, 100.0]),
            [10.0, 50.0]
        );
        assert_eq!(
            spread_column(&[98.0, 99.0, 100.0], 16.0, [0.0, 100.0]),
            [68.0, 84.0, 100.0]
        );
    }
}
