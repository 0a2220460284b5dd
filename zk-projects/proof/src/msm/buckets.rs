//! A few windows: points into buckets, buckets into sums, sums weighted.

use std::ops::Range;

use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AdditiveGroup, AffineRepr};
use rayon::prelude::*;

use super::form::{Form, Pair};
use super::{Digits, Part};

/// The points of a part that are not infinity, in some form.
pub(super) struct Entered<'a, F> {
    points: Vec<F>,
    /// Where each of them is in the part.
    places: Vec<u32>,
    digits: &'a Digits,
}

impl<'a, F: Form> Entered<'a, F> {
    pub(super) fn new(processor: F::Processor, part: &Part<'a, F::Curve>) -> Self {
        let finite = |point: &&Affine<F::Curve>| !point.is_zero();
        let points: Vec<_> = part.points.iter().filter(finite).collect();
        let places = (0..).zip(part.points).filter(|(_, point)| finite(point));
        Self {
            points: points
                .into_par_iter()
                .map(|point| F::enter(processor, point))
                .collect(),
            places: places.map(|(place, _)| place).collect(),
            digits: part.digits,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// The points with their digits in one window.
    fn with_digits(&self, index: usize) -> impl Iterator<Item = (i16, &F)> {
        let digits = self.digits.row(index);
        let digit = |place: &u32| digits[*place as usize];
        self.places.iter().map(digit).zip(&self.points)
    }
}

/// What is left to do of a window: the sum of points times digits is `total + 1 bits[0] + 2 bits[1] + 4 bits[2] + ...`
pub(super) struct Weighed<P: SWCurveConfig> {
    total: Affine<P>,
    bits: Vec<Affine<P>>,
}

impl<P: SWCurveConfig> Weighed<P> {
    /// Adds it to `sum` after doubling that as often as the window has bits.
    pub(super) fn add_to_double(&self, sum: &mut Projective<P>) {
        sum.double_in_place();
        for bit in self.bits.iter().rev() {
            sum.double_in_place();
            *sum += bit;
        }
        *sum += self.total;
    }
}

/// For each of some windows, the sum of all points times their digits in it.
pub(super) fn window_sums<F: Form>(
    processor: F::Processor,
    parts: &[Entered<'_, F>],
    windows: Range<usize>,
    window: usize,
) -> Vec<Weighed<F::Curve>> {
    let bits = window - 1;
    let count = windows.len();
    let points: usize = parts.iter().map(Entered::len).sum();
    let mut groups = Groups {
        points: Vec::with_capacity(count * points),
        sizes: Vec::with_capacity(count << bits),
    };
    for index in windows {
        groups.sort_in(parts, index, 1 << bits);
    }
    weigh(processor, groups.into_sums(processor), count, bits)
}

/// Points in groups, one group after the other.
struct Groups<F> {
    points: Vec<F>,
    sizes: Vec<u32>,
}

fn bucket(digit: i16) -> usize {
    usize::from(digit.unsigned_abs()) - 1
}

impl<F: Form> Groups<F> {
    /// Adds a group for each bucket of one window: points by the absolute value of their digit, that of one first.
    fn sort_in(&mut self, parts: &[Entered<'_, F>], index: usize, buckets: usize) {
        let first = self.sizes.len();
        self.sizes.resize(first + buckets, 0);
        let sizes = &mut self.sizes[first..];
        let all = || parts.iter().flat_map(|part| part.with_digits(index));
        let nonzero = || all().filter(|(digit, _)| *digit != 0);
        nonzero().for_each(|(digit, _)| sizes[bucket(digit)] += 1);
        let mut next = Vec::with_capacity(buckets);
        let mut total = self.points.len();
        for size in sizes {
            next.push(total);
            total += *size as usize;
        }
        self.points.resize(total, F::infinity());
        let points = &mut self.points;
        nonzero().for_each(|(digit, point)| {
            let at = &mut next[bucket(digit)];
            points[*at] = if digit < 0 { point.negated() } else { *point };
            *at += 1;
        });
    }

    /// The sum of each group, infinity for empty ones.
    fn into_sums(mut self, processor: F::Processor) -> Vec<F> {
        let mut spare = Spare::default();
        while self.sizes.iter().any(|size| *size > 1) {
            self.halve(processor, &mut spare);
        }
        let mut points = self.points.into_iter();
        let sum = |size: &u32| match size {
            0 => F::infinity(),
            _ => points.next().expect("a point for each group that has any"),
        };
        self.sizes.iter().map(sum).collect()
    }

    /// Adds neighbours, those of all groups together: half of the points are left of each group.
    fn halve(&mut self, processor: F::Processor, spare: &mut Spare<F>) {
        let Spare { pairs, points } = spare;
        pairs.clear();
        points.resize(self.points.len() / 2 + self.sizes.len(), F::infinity());
        let (mut from, mut to) = (0, 0);
        for size in &mut self.sizes {
            let half = *size / 2;
            pairs.extend((0..half).map(|at| Pair {
                from: from + 2 * at,
                to: to + at,
            }));
            if *size % 2 == 1 {
                // It has no partner.
                points[(to + half) as usize] = self.points[(from + *size - 1) as usize];
            }
            from += *size;
            *size = size.div_ceil(2);
            to += *size;
        }
        F::add_pairs(processor, &self.points, pairs, points);
        points.truncate(to as usize);
        std::mem::swap(&mut self.points, points);
    }
}

/// Memory that rounds of halving use again.
struct Spare<F> {
    pairs: Vec<Pair>,
    points: Vec<F>,
}

impl<F> Default for Spare<F> {
    fn default() -> Self {
        Self {
            pairs: Vec::new(),
            points: Vec::new(),
        }
    }
}

/// Weighs the sums of `count` windows, `2^bits` each, with one more than their place: `1 sums[0] + 2 sums[1] + ...`
///
/// The sum of those whose place has bit 0 set is to be taken once. When neighbours have been added, bit 1 of the old places is bit 0 of the
/// new ones, and so on; the last that is left is the total. So the sums of the odd places are halved along with what they come from.
fn weigh<F: Form>(
    processor: F::Processor,
    sums: Vec<F>,
    count: usize,
    bits: usize,
) -> Vec<Weighed<F::Curve>> {
    let mut groups = Groups {
        points: sums,
        sizes: vec![1 << bits; count],
    };
    let mut spare = Spare::default();
    for bit in 0..bits {
        let half = 1 << (bits - bit - 1);
        for place in (1..2 * half * count).step_by(2) {
            groups.points.push(groups.points[place]);
        }
        let size = u32::try_from(half).expect("at most 2^14 buckets");
        groups.sizes.extend(vec![size; count]);
        groups.halve(processor, &mut spare);
    }
    let sums: Vec<_> = groups.points.into_iter().map(F::leave).collect();
    let weighed = |at: usize| Weighed {
        total: sums[at],
        bits: (1..=bits).map(|bit| sums[bit * count + at]).collect(),
    };
    (0..count).map(weighed).collect()
}
