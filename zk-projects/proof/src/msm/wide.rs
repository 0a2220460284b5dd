//! [`super::batch`] for eight pairs at once.

use std::arch::x86_64::__mmask8;

use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, batch_inversion_and_mul};

use super::form::Pair;
use super::lanes::{Above, LANES, Lanes};
use super::packed::Packed;

/// Blocks of eight pairs that share an inversion, which costs as much as some hundreds of their multiplications: enough to make it cheap, and
/// few enough that what they leave behind stays in a near cache.
const TOGETHER: usize = 512;

/// Writes the sum of each pair of `points` to its place in `sums`.
///
/// # Safety
///
/// Wants a processor with AVX-512 F, DQ and IFMA.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn add_pairs<K: Packed>(points: &[K], pairs: &[Pair], sums: &mut [K]) {
    let blocks = pairs.len().div_ceil(LANES);
    // SAFETY: the caller has the processor.
    unsafe {
        let mut steps = vec![Step::<K::Lanes>::new(); TOGETHER.min(blocks)];
        for pairs in pairs.chunks(TOGETHER * LANES) {
            add_together(points, pairs, sums, &mut steps);
        }
    }
}

/// What the way back needs of one block.
#[derive(Clone)]
struct Step<L> {
    /// x2 - x1.
    denominator: L,
    /// Product of the denominators of the blocks before.
    before: L,
    /// The lanes in which the formula does not hold.
    special: __mmask8,
}

impl<L: Lanes> Step<L> {
    /// To be written over.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn new() -> Self {
        // SAFETY: the caller has the processor.
        let zero = unsafe { L::splat(L::Number::ZERO) };
        Self {
            denominator: zero,
            before: zero,
            special: 0,
        }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
unsafe fn add_together<K: Packed>(
    points: &[K],
    pairs: &[Pair],
    sums: &mut [K],
    steps: &mut [Step<K::Lanes>],
) {
    // SAFETY: the caller has the processor.
    unsafe {
        // One, scaled like all numbers.
        let one = K::Lanes::splat(<K::Lanes as Lanes>::Number::from(16_u64));
        let zero = K::Lanes::splat(<K::Lanes as Lanes>::Number::ZERO);
        let mut product = one;
        for (block, step) in pairs.chunks(LANES).zip(steps.iter_mut()) {
            let (left, right) = sides(points, &filled(block));
            let ((x1, _), (x2, _)) = (K::load(left), K::load(right));
            // A point whose abscissa is zero need not be infinity, but may be taken for special too.
            let special = x1.equal(x2) | x1.equal(zero) | x2.equal(zero);
            step.denominator = x2.minus(x1, Above::One).replaced(special, one);
            step.before = product;
            step.special = special;
            product = product.mul(step.denominator);
        }
        let mut inverse = inverted(product);
        for (block, step) in pairs.chunks(LANES).zip(steps.iter()).rev() {
            let one_over_denominator = step.before.mul(inverse);
            inverse = inverse.mul(step.denominator);
            add_block(points, block, sums, one_over_denominator, step.special);
        }
    }
}

/// Up to eight pairs; the last one fills up, and is added again and again.
#[inline]
fn filled(block: &[Pair]) -> [Pair; LANES] {
    std::array::from_fn(|lane| block[lane.min(block.len() - 1)])
}

/// The left and the right points of pairs.
#[inline]
fn sides<'a, K>(points: &'a [K], pairs: &[Pair; LANES]) -> ([&'a K; LANES], [&'a K; LANES]) {
    let from = pairs.map(|pair| pair.from as usize);
    (from.map(|at| &points[at]), from.map(|at| &points[at + 1]))
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
unsafe fn add_block<K: Packed>(
    points: &[K],
    block: &[Pair],
    sums: &mut [K],
    one_over_denominator: K::Lanes,
    special: __mmask8,
) {
    let pairs = filled(block);
    let (left, right) = sides(points, &pairs);
    // SAFETY: the caller has the processor.
    unsafe {
        let ((x1, y1), (x2, y2)) = (K::load(left), K::load(right));
        let slope = y2.minus(y1, Above::One).mul(one_over_denominator);
        let square = slope.square();
        let x = square.minus(x1, Above::One).minus(x2, Above::One).reduce();
        let y = slope.mul(x1.minus(x, Above::One)).minus(y1, Above::One);
        K::store(x, y.reduce(), sums, pairs.map(|pair| pair.to as usize));
    }
    if special != 0 {
        add_special(points, block, sums, special);
    }
}

/// The sums that the formula leaves out: of equal or opposite points, which are rare, and with infinity, which stands for empty buckets:
/// there are many of them in windows whose digits are mostly zero.
#[cold]
fn add_special<K: Packed>(points: &[K], block: &[Pair], sums: &mut [K], special: __mmask8) {
    for (lane, pair) in block.iter().enumerate() {
        if special >> lane & 1 == 1 {
            let (left, right) = (points[pair.from as usize], points[pair.from as usize + 1]);
            sums[pair.to as usize] = if left == K::ZERO {
                right
            } else if right == K::ZERO {
                left
            } else {
                K::new(&(left.affine().into_group() + right.affine()).into())
            };
        }
    }
}

/// The inverses, of numbers that are not zero.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
unsafe fn inverted<L: Lanes>(numbers: L) -> L {
    // SAFETY: the caller has the processor.
    unsafe {
        let mut numbers = numbers.reduce().to_array();
        // A number n is held as 16 n, so the inverse of what is held is 1 / (16 n), and 16 / n is wanted.
        batch_inversion_and_mul(&mut numbers, &L::Number::from(256_u64));
        L::from_array(numbers)
    }
}
