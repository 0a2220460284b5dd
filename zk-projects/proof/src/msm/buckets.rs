//! One window: points into buckets, buckets into sums, sums weighted.

use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ec::{AdditiveGroup, AffineRepr};

use super::{Backend, Curve, Part};

/// The sum of all points times their digits in one window. The points are in the form of the backend, the sum is not.
pub(super) fn window_sum<P: Curve>(
    backend: Backend,
    parts: &[Part<'_, P>],
    index: usize,
    window: usize,
) -> Projective<P> {
    let mut groups = sorted(parts, index, 1 << (window - 1));
    groups.sum_each(backend);
    weigh(backend, &groups.into_sums())
}

/// Points in groups, one group after the other.
struct Groups<P: Curve> {
    points: Vec<Affine<P>>,
    sizes: Vec<u32>,
}

/// Sorts the points by the absolute value of their digit; bucket 0 is for one.
fn sorted<P: Curve>(parts: &[Part<'_, P>], index: usize, buckets: usize) -> Groups<P> {
    let mut sizes = vec![0_u32; buckets];
    for_each_digit(parts, index, |digit, _| sizes[bucket(digit)] += 1);
    let mut next = Vec::with_capacity(buckets);
    let mut total = 0;
    for size in &sizes {
        next.push(total);
        total += *size as usize;
    }
    let mut points = vec![Affine::identity(); total];
    for_each_digit(parts, index, |digit, point| {
        let at = &mut next[bucket(digit)];
        points[*at] = if digit < 0 { -*point } else { *point };
        *at += 1;
    });
    Groups { points, sizes }
}

fn bucket(digit: i16) -> usize {
    usize::from(digit.unsigned_abs()) - 1
}

/// Calls with every digit that is not zero and its point, unless that is infinity.
fn for_each_digit<P: Curve>(
    parts: &[Part<'_, P>],
    index: usize,
    mut call: impl FnMut(i16, &Affine<P>),
) {
    for part in parts {
        let digits = part.digits.row(index);
        for (point, digit) in part.points.iter().zip(digits) {
            if *digit != 0 && !point.is_zero() {
                call(*digit, point);
            }
        }
    }
}

impl<P: Curve> Groups<P> {
    /// Replaces the points of each group by their sum, by halving: in each round neighbours are added, those of all groups together.
    fn sum_each(&mut self, backend: Backend) {
        let mut pairs = Vec::with_capacity(self.points.len());
        let mut sums = Vec::with_capacity(self.points.len() / 2);
        while self.sizes.iter().any(|size| *size > 1) {
            pairs.clear();
            let mut from = 0;
            for size in &self.sizes {
                let paired = *size as usize & !1;
                pairs.extend_from_slice(&self.points[from..from + paired]);
                from += *size as usize;
            }
            sums.clear();
            sums.resize(pairs.len() / 2, Affine::identity());
            P::add_pairs(backend, &pairs, &mut sums);
            self.halve(&sums);
        }
    }

    /// Puts the sums of pairs in their place, and behind them the point of a group that has no partner.
    fn halve(&mut self, sums: &[Affine<P>]) {
        let (mut from, mut to, mut next) = (0, 0, 0);
        for size in &mut self.sizes {
            let count = *size as usize;
            self.points[to..to + count / 2].copy_from_slice(&sums[next..next + count / 2]);
            to += count / 2;
            next += count / 2;
            if count % 2 == 1 {
                self.points[to] = self.points[from + count - 1];
                to += 1;
            }
            from += count;
            *size = size.div_ceil(2);
        }
        self.points.truncate(to);
    }

    /// The sum of each group, after [`Self::sum_each`]; infinity for empty ones.
    fn into_sums(self) -> Vec<Affine<P>> {
        let mut points = self.points.into_iter();
        let sum = |size: &u32| match size {
            0 => Affine::identity(),
            _ => points.next().expect("a point for each group that has any"),
        };
        self.sizes.iter().map(sum).collect()
    }
}

/// `1 sums[0] + 2 sums[1] + 3 sums[2] + ...`, for a number of sums that is a power of two.
///
/// Seen as a table of `rows` by `columns`, the weight of an entry is `row columns + column + 1`: so the sums of the rows and those of the
/// columns, which are halved like buckets, are all that is left to weigh one by one.
fn weigh<P: Curve>(backend: Backend, sums: &[Affine<P>]) -> Projective<P> {
    let columns = 1 << (sums.len().trailing_zeros() / 2);
    let rows = sums.len() / columns;
    let by_row = sum_lines(backend, sums.to_vec(), columns);
    let transposed = (0..columns)
        .flat_map(|column| (0..rows).map(move |row| sums[row * columns + column]))
        .collect();
    let by_column = sum_lines(backend, transposed, rows);
    let weighed_rows = weigh_one_by_one(&by_row[1..]);
    let shifted = (0..columns.trailing_zeros()).fold(weighed_rows, |point, _| point.double());
    shifted + weigh_one_by_one(&by_column)
}

fn sum_lines<P: Curve>(backend: Backend, points: Vec<Affine<P>>, line: usize) -> Vec<Affine<P>> {
    let size = u32::try_from(line).expect("at most 2^14 buckets");
    let sizes = vec![size; points.len() / line];
    let mut groups = Groups { points, sizes };
    groups.sum_each(backend);
    backend.leave(groups.into_sums())
}

/// `1 points[0] + 2 points[1] + ...` by running sums.
fn weigh_one_by_one<P: Curve>(points: &[Affine<P>]) -> Projective<P> {
    let mut running = Projective::ZERO;
    let mut weighed = Projective::ZERO;
    for point in points.iter().rev() {
        running += point;
        weighed += running;
    }
    weighed
}
