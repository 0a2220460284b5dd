//! [`super::batch`] for eight pairs at once.

use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ff::{AdditiveGroup, Field};

use super::backend::{scaled, unscaled};
use super::lanes::{Above, LANES, Lanes};

/// Blocks of eight pairs that share an inversion: few enough that all of them stay in the nearest cache.
const TOGETHER: usize = 32;

/// Writes the sum of each pair `(points[2 i], points[2 i + 1])` to `sums[i]`; all of them scaled, see [`super::backend`].
///
/// # Safety
///
/// Wants a processor with AVX-512 F, DQ and IFMA.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn add_pairs<P, L>(points: &[Affine<P>], sums: &mut [Affine<P>])
where
    P: SWCurveConfig,
    L: Lanes<Number = P::BaseField>,
{
    assert_eq!(points.len(), 2 * sums.len(), "two points for each sum");
    let mut steps = Vec::with_capacity(TOGETHER);
    let size = TOGETHER * LANES;
    for (points, sums) in points.chunks(2 * size).zip(sums.chunks_mut(size)) {
        // SAFETY: the caller has the processor.
        unsafe { add_together::<P, L>(points, sums, &mut steps) };
    }
}

/// What the way back needs of one block.
struct Step<L> {
    /// x2 - x1.
    denominator: L,
    /// Product of the denominators of the blocks before.
    before: L,
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
unsafe fn add_together<P, L>(points: &[Affine<P>], sums: &mut [Affine<P>], steps: &mut Vec<Step<L>>)
where
    P: SWCurveConfig,
    L: Lanes<Number = P::BaseField>,
{
    steps.clear();
    // SAFETY: the caller has the processor.
    unsafe {
        let mut product = L::load(&[one::<P::BaseField>(); LANES]);
        for pairs in points.chunks(2 * LANES) {
            let (left, right) = abscissas(pairs);
            let denominator = L::load(&right).minus(L::load(&left), Above::One);
            steps.push(Step {
                denominator,
                before: product,
            });
            product = product.mul(denominator);
        }
        let mut inverse = L::load(&inverses(product.store()));
        let blocks = points.chunks(2 * LANES).zip(sums.chunks_mut(LANES));
        for ((pairs, sums), step) in blocks.zip(steps.iter()).rev() {
            let inverted = step.before.mul(inverse);
            inverse = inverse.mul(step.denominator);
            add_block::<P, L>(pairs, sums, inverted);
        }
    }
}

/// Adds up to eight pairs, given the inverses of x2 - x1.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
unsafe fn add_block<P, L>(pairs: &[Affine<P>], sums: &mut [Affine<P>], inverted: L)
where
    P: SWCurveConfig,
    L: Lanes<Number = P::BaseField>,
{
    // SAFETY: the caller has the processor.
    let (x, y) = unsafe {
        let (left, right) = abscissas(pairs);
        let (x1, x2) = (L::load(&left), L::load(&right));
        let y1 = L::load(&lane(pairs, 0, |point| point.y));
        let y2 = L::load(&lane(pairs, 1, |point| point.y));
        let slope = y2.minus(y1, Above::One).mul(inverted);
        let x = slope
            .square()
            .minus(x1, Above::One)
            .minus(x2, Above::One)
            .reduce();
        let y = slope.mul(x1.minus(x, Above::One)).minus(y1, Above::One);
        (x.store(), y.store())
    };
    for (at, sum) in sums.iter_mut().enumerate() {
        let (left, right) = (&pairs[2 * at], &pairs[2 * at + 1]);
        *sum = match is_special(left, right) {
            true => add_special(left, right),
            false => Affine::new_unchecked(x[at], y[at]),
        };
    }
}

/// The x of the left and of the right points; where the formula does not hold, zero and one, whose difference has an inverse.
#[inline]
fn abscissas<P: SWCurveConfig>(
    pairs: &[Affine<P>],
) -> ([P::BaseField; LANES], [P::BaseField; LANES]) {
    let mut left = [P::BaseField::ZERO; LANES];
    let mut right = [one::<P::BaseField>(); LANES];
    for (at, pair) in pairs.chunks_exact(2).enumerate() {
        if !is_special(&pair[0], &pair[1]) {
            left[at] = pair[0].x;
            right[at] = pair[1].x;
        }
    }
    (left, right)
}

#[inline]
fn lane<P: SWCurveConfig>(
    pairs: &[Affine<P>],
    side: usize,
    coordinate: impl Fn(&Affine<P>) -> P::BaseField,
) -> [P::BaseField; LANES] {
    let mut lane = [P::BaseField::ZERO; LANES];
    for (number, pair) in lane.iter_mut().zip(pairs.chunks_exact(2)) {
        *number = coordinate(&pair[side]);
    }
    lane
}

/// Whether the line through both points is no line, or vertical, or a tangent.
#[inline]
fn is_special<P: SWCurveConfig>(left: &Affine<P>, right: &Affine<P>) -> bool {
    left.is_zero() || right.is_zero() || left.x == right.x
}

/// The sum in the cases that the formula leaves out; they are rare.
#[cold]
fn add_special<P: SWCurveConfig>(left: &Affine<P>, right: &Affine<P>) -> Affine<P> {
    if left.is_zero() {
        return *right;
    }
    if right.is_zero() {
        return *left;
    }
    let sum = unscaled(left).into_group() + unscaled(right);
    scaled(&sum.into())
}

/// One, scaled.
fn one<F: Field>() -> F {
    F::from(16_u64)
}

/// The inverses of scaled numbers, scaled.
fn inverses<F: Field>(mut numbers: [F; LANES]) -> [F; LANES] {
    // A number n is held as 16 n, so the inverse of what is held is 1 / (16 n), and 16 / n is wanted.
    ark_ff::batch_inversion_and_mul(&mut numbers, &F::from(256_u64));
    numbers
}
