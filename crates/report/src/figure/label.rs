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
            if best.is_none_or(|(least, ..)| cost < least) {
                best = Some((cost, ring, area));
            }
            if cost == 0.0 {
                break;
            }
        }
        let (_, ring, area) = best.expect("there are always candidates");
        self.taken.push(area);
        let leader = (ring > NEAR).then(|| [point, nearest(&area, point)]);
        Place { area, leader }
    }
}

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
