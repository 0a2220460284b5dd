//! Additions of affine points that share one inversion.
//!
//! The sum of (x1, y1) and (x2, y2) needs `1 / (x2 - x1)`. Montgomery's trick turns n inversions into one and 3n multiplications
//! ([Montgomery: Speeding the Pollard and elliptic curve methods][m87], section 10.3.1), so that an addition takes six.
//!
//! [m87]: https://doi.org/10.1090/S0025-5718-1987-0866113-7

use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ff::{AdditiveGroup, Field};

use super::form::Pair;

/// Pairs that share an inversion, which costs as much as three hundred multiplications: enough to make it cheap, and few enough that what
/// they leave behind stays in a near cache.
const TOGETHER: usize = 1024;

/// Writes the sum of each pair of `points` to its place in `sums`.
pub(super) fn add_pairs<P: SWCurveConfig>(
    points: &[Affine<P>],
    pairs: &[Pair],
    sums: &mut [Affine<P>],
) {
    let mut slopes = Vec::with_capacity(TOGETHER.min(pairs.len()));
    for pairs in pairs.chunks(TOGETHER) {
        add_together(points, pairs, sums, &mut slopes);
    }
}

/// How the sum of a pair comes about: the slope of the line through both is `numerator / denominator`.
struct Slope<F> {
    numerator: F,
    denominator: F,
    /// Product of the denominators before this one.
    before: F,
}

fn add_together<P: SWCurveConfig>(
    points: &[Affine<P>],
    pairs: &[Pair],
    sums: &mut [Affine<P>],
    slopes: &mut Vec<Slope<P::BaseField>>,
) {
    slopes.clear();
    let mut product = P::BaseField::ONE;
    for pair in pairs {
        let from = pair.from as usize;
        let (numerator, denominator) = slope(&points[from], &points[from + 1]);
        slopes.push(Slope {
            numerator,
            denominator,
            before: product,
        });
        product *= denominator;
    }
    let mut inverse = product.inverse().expect("no denominator is zero");
    for (pair, slope) in pairs.iter().zip(slopes.iter()).rev() {
        let (left, right) = (&points[pair.from as usize], &points[pair.from as usize + 1]);
        let lambda = slope.numerator * slope.before * inverse;
        inverse *= slope.denominator;
        sums[pair.to as usize] = match special(left, right) {
            Some(sum) => sum,
            None => {
                let x = lambda.square() - left.x - right.x;
                let y = lambda * (left.x - x) - left.y;
                Affine::new_unchecked(x, y)
            }
        };
    }
}

/// Numerator and denominator of the slope, the latter never zero.
fn slope<P: SWCurveConfig>(left: &Affine<P>, right: &Affine<P>) -> (P::BaseField, P::BaseField) {
    if special(left, right).is_some() {
        return (P::BaseField::ZERO, P::BaseField::ONE);
    }
    if left.x == right.x {
        let square = left.x.square();
        return (square.double() + square + P::COEFF_A, left.y.double());
    }
    (right.y - left.y, right.x - left.x)
}

/// The sum if no line says it: one point is infinity, or the points are each other's negatives.
fn special<P: SWCurveConfig>(left: &Affine<P>, right: &Affine<P>) -> Option<Affine<P>> {
    if left.is_zero() {
        Some(*right)
    } else if right.is_zero() {
        Some(*left)
    } else if left.x == right.x && (left.y != right.y || left.y == P::BaseField::ZERO) {
        Some(Affine::identity())
    } else {
        None
    }
}
