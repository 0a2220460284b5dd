//! One inversion for many blocks of eight lanes: Montgomery's trick, as in [`super::batch`], in each lane.

use std::arch::x86_64::__mmask8;

use ark_ff::{AdditiveGroup, batch_inversion_and_mul};
use zeroize::Zeroize;

use super::lanes::Lanes;

/// Blocks each of which needs the inverses of eight numbers.
///
/// # Safety
///
/// All functions want a processor with AVX-512 F, DQ and IFMA.
pub(crate) trait Blocks {
    /// The numbers.
    type Lanes: Lanes;

    /// What block `at` divides by, zero in no lane, and the lanes in which that is made up because the block's formula does not hold there.
    unsafe fn denominator(&self, at: usize) -> (Self::Lanes, __mmask8);

    /// Does the rest of block `at`. The mask is what `denominator` gave.
    unsafe fn finish(&mut self, at: usize, one_over_denominator: Self::Lanes, special: __mmask8);
}

/// What the way back needs of one block.
#[derive(Clone, Copy)]
pub(crate) struct Step<L> {
    denominator: L,
    /// Product of the denominators of the blocks before.
    before: L,
    special: __mmask8,
}

impl<L: Lanes> Step<L> {
    /// To be written over.
    ///
    /// # Safety
    ///
    /// Wants a processor with AVX-512 F, DQ and IFMA.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(crate) unsafe fn new() -> Self {
        // SAFETY: the caller has the processor.
        let zero = unsafe { L::splat(L::Number::ZERO) };
        Self {
            denominator: zero,
            before: zero,
            special: 0,
        }
    }
}

impl<L: Zeroize> Zeroize for Step<L> {
    fn zeroize(&mut self) {
        self.denominator.zeroize();
        self.before.zeroize();
        self.special.zeroize();
    }
}

/// Finishes all blocks, the last one first. There are as many steps as blocks; they are written over.
///
/// # Safety
///
/// Wants a processor with AVX-512 F, DQ and IFMA.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(crate) unsafe fn finish_all<B: Blocks>(blocks: &mut B, steps: &mut [Step<B::Lanes>]) {
    // SAFETY: the caller has the processor.
    unsafe {
        let mut product = scaled_one::<B::Lanes>();
        for (at, step) in steps.iter_mut().enumerate() {
            let (denominator, special) = blocks.denominator(at);
            *step = Step {
                denominator,
                before: product,
                special,
            };
            product = product.mul(denominator);
        }
        let mut inverse = inverted(product);
        for (at, step) in steps.iter().enumerate().rev() {
            let one_over_denominator = step.before.mul(inverse);
            inverse = inverse.mul(step.denominator);
            blocks.finish(at, one_over_denominator, step.special);
        }
    }
}

/// One, times 16 like all numbers in lanes.
///
/// # Safety
///
/// Wants a processor with AVX-512 F, DQ and IFMA.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(crate) unsafe fn scaled_one<L: Lanes>() -> L {
    // SAFETY: the caller has the processor.
    unsafe { L::splat(L::Number::from(16_u64)) }
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
