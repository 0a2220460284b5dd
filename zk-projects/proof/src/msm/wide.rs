//! [`super::batch`] for eight pairs at once.

use std::arch::x86_64::__mmask8;

use super::eight::Eight;
use super::form::Pair;
use super::inversion::{Blocks, Step, finish_all};
use super::lanes::LANES;
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
            let mut neighbours = Neighbours {
                points,
                pairs,
                sums,
            };
            let blocks = pairs.len().div_ceil(LANES);
            finish_all(&mut neighbours, &mut steps[..blocks]);
        }
    }
}

/// Pairs, in blocks of eight.
struct Neighbours<'a, K> {
    points: &'a [K],
    pairs: &'a [Pair],
    sums: &'a mut [K],
}

impl<K: Packed> Neighbours<'_, K> {
    /// The pairs of a block. If the last one has less than eight, its last pair fills it up, and is added again and again.
    #[inline]
    fn block(&self, at: usize) -> [Pair; LANES] {
        let last = self.pairs.len() - 1;
        std::array::from_fn(|lane| self.pairs[(at * LANES + lane).min(last)])
    }

    /// The left and the right points of pairs.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn sides(&self, pairs: &[Pair; LANES]) -> (Eight<K>, Eight<K>) {
        let from = pairs.map(|pair| pair.from as usize);
        // SAFETY: the caller has the processor.
        unsafe {
            (
                Eight::load(from.map(|at| &self.points[at])),
                Eight::load(from.map(|at| &self.points[at + 1])),
            )
        }
    }
}

impl<K: Packed> Blocks for Neighbours<'_, K> {
    type Lanes = K::Lanes;

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn denominator(&self, at: usize) -> (K::Lanes, __mmask8) {
        // SAFETY: the caller has the processor.
        unsafe {
            let (left, right) = self.sides(&self.block(at));
            left.denominator(right)
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn finish(&mut self, at: usize, one_over_denominator: K::Lanes, special: __mmask8) {
        let pairs = self.block(at);
        // SAFETY: the caller has the processor.
        unsafe {
            let (left, right) = self.sides(&pairs);
            let sums = left.plus(right, one_over_denominator, special);
            sums.store(self.sums, pairs.map(|pair| pair.to as usize));
        }
    }
}
