//! Eight numbers of BN254's base field at once, with AVX-512 IFMA.
//!
//! A number is five limbs of 52 bits, because `vpmadd52` multiplies 52 by 52 bits; limb i of eight numbers is one register. Products are
//! Montgomery's with R = 2^260 ([Gueron, Krasnov: Software implementation of modular exponentiation, using advanced vector
//! instructions][gk]), where arkworks has R = 2^256: numbers are multiplied by 16 on the way in ([`super::packed`]).
//!
//! What is kept small. A number in memory is *reduced*: below q. In registers it may be *loose*: below 4 q, each limb below 2^52; sums and
//! differences on the way to a product or to `reduce` are below 8 q. Products take loose numbers and give loose numbers: with
//! a, b < 8 q, a b / 2^260 + q < 2 q.
//!
//! [gk]: https://doi.org/10.1007/978-3-642-31662-3_9

use std::arch::x86_64::{
    __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epi64_mask,
    _mm512_loadu_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_blend_epi64,
    _mm512_movepi64_mask, _mm512_or_si512, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_slli_epi64, _mm512_srai_epi64, _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi64,
};

use ark_bn254::{Fq, Fq2};
use ark_ff::{BigInt, Field, PrimeField};
use zeroize::Zeroize;

/// How many numbers are worked on at once.
pub(crate) const LANES: usize = 8;
const LIMBS: usize = 5;
const MASK: u64 = (1 << 52) - 1;

/// q, 2 q and 4 q.
const MULTIPLES: [[u64; LIMBS]; 3] = [multiple(0), multiple(1), multiple(2)];
/// -1 / q mod 2^52.
const NEGATIVE_INVERSE: u64 = negative_inverse();

/// q shifted left by `shift` bits, in limbs.
const fn multiple(shift: u32) -> [u64; LIMBS] {
    let q = Fq::MODULUS.0;
    // q has 254 bits: shifted by two it still fits.
    let mut words = [0; 4];
    let mut at = 0;
    while at < 4 {
        let below = if at == 0 || shift == 0 {
            0
        } else {
            q[at - 1] >> (64 - shift)
        };
        words[at] = (q[at] << shift) | below;
        at += 1;
    }
    [
        words[0] & MASK,
        ((words[0] >> 52) | (words[1] << 12)) & MASK,
        ((words[1] >> 40) | (words[2] << 24)) & MASK,
        ((words[2] >> 28) | (words[3] << 36)) & MASK,
        words[3] >> 16,
    ]
}

const fn negative_inverse() -> u64 {
    let q = Fq::MODULUS.0[0];
    // Newton's iteration doubles the correct bits; q is its own inverse mod 8.
    let mut inverse = q;
    let mut round = 0;
    while round < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(q.wrapping_mul(inverse)));
        round += 1;
    }
    inverse.wrapping_neg() & MASK
}

/// Which multiple of q keeps a difference from being negative.
#[derive(Debug, Clone, Copy)]
pub enum Above {
    /// The subtrahend is at most q.
    One = 0,
    /// At most 2 q.
    Two = 1,
    /// At most 4 q.
    Four = 2,
}

/// Eight numbers of a field.
///
/// # Safety
///
/// All functions want a processor with AVX-512 F, DQ and IFMA.
pub trait Lanes: Copy + Zeroize {
    /// One number, as it is in memory.
    type Number: Field;
    /// The 64-bit words of eight numbers below q, one register for each word.
    type Words;

    unsafe fn unpack(words: Self::Words) -> Self;
    /// Takes reduced numbers.
    unsafe fn pack(self) -> Self::Words;
    /// The same number in each lane.
    unsafe fn splat(number: Self::Number) -> Self;
    /// From reduced numbers.
    unsafe fn to_array(self) -> [Self::Number; LANES];
    unsafe fn from_array(numbers: [Self::Number; LANES]) -> Self;
    /// Loose from loose.
    unsafe fn mul(self, other: Self) -> Self;
    /// Loose from loose.
    unsafe fn square(self) -> Self;
    /// The caller keeps the sum below 8 q, in Fq2 below 4 q if it goes to a product.
    unsafe fn plus(self, other: Self) -> Self;
    /// `self + above - other`, where `other` is at most the multiple. Adds at most 4 q: the caller keeps the sum below 8 q.
    unsafe fn minus(self, other: Self, above: Above) -> Self;
    /// Below q, from a square or product less at most two reduced numbers, or from a loose number.
    unsafe fn reduce(self) -> Self;
    /// The lanes in which two reduced numbers are equal.
    unsafe fn equal(self, other: Self) -> __mmask8;
    /// The other's numbers in the lanes of the mask.
    unsafe fn replaced(self, mask: __mmask8, other: Self) -> Self;
}

/// Eight numbers of Fq.
#[derive(Debug, Clone, Copy)]
pub struct Fq8([__m512i; LIMBS]);

impl Zeroize for Fq8 {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn constant(limbs: &[u64; LIMBS]) -> [__m512i; LIMBS] {
    limbs.map(|limb| _mm512_set1_epi64(limb.cast_signed()))
}

/// Carries what is above 52 bits (or borrows what is below zero) into the next limb.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn carry(mut limbs: [__m512i; LIMBS]) -> [__m512i; LIMBS] {
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    for at in 0..LIMBS - 1 {
        let over = _mm512_srai_epi64::<52>(limbs[at]);
        limbs[at + 1] = _mm512_add_epi64(limbs[at + 1], over);
        limbs[at] = _mm512_and_si512(limbs[at], mask);
    }
    limbs
}

/// The number minus a multiple of q, where that is not negative.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn subtract_if_not_below(limbs: [__m512i; LIMBS], multiple: Above) -> [__m512i; LIMBS] {
    let subtrahend = constant(&MULTIPLES[multiple as usize]);
    let mut less = limbs;
    for at in 0..LIMBS {
        less[at] = _mm512_sub_epi64(limbs[at], subtrahend[at]);
    }
    let less = carry(less);
    let is_negative = _mm512_movepi64_mask(less[LIMBS - 1]);
    let mut chosen = less;
    for at in 0..LIMBS {
        chosen[at] = _mm512_mask_blend_epi64(is_negative, less[at], limbs[at]);
    }
    chosen
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn add(left: [__m512i; LIMBS], right: [__m512i; LIMBS]) -> [__m512i; LIMBS] {
    let mut sum = left;
    for at in 0..LIMBS {
        sum[at] = _mm512_add_epi64(left[at], right[at]);
    }
    carry(sum)
}

impl Lanes for Fq8 {
    type Number = Fq;
    type Words = [__m512i; 4];

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn unpack([w0, w1, w2, w3]: Self::Words) -> Self {
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        Self([
            _mm512_and_si512(w0, mask),
            _mm512_and_si512(
                _mm512_or_si512(_mm512_srli_epi64::<52>(w0), _mm512_slli_epi64::<12>(w1)),
                mask,
            ),
            _mm512_and_si512(
                _mm512_or_si512(_mm512_srli_epi64::<40>(w1), _mm512_slli_epi64::<24>(w2)),
                mask,
            ),
            _mm512_and_si512(
                _mm512_or_si512(_mm512_srli_epi64::<28>(w2), _mm512_slli_epi64::<36>(w3)),
                mask,
            ),
            _mm512_srli_epi64::<16>(w3),
        ])
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn pack(self) -> Self::Words {
        let [l0, l1, l2, l3, l4] = self.0;
        [
            _mm512_or_si512(l0, _mm512_slli_epi64::<52>(l1)),
            _mm512_or_si512(_mm512_srli_epi64::<12>(l1), _mm512_slli_epi64::<40>(l2)),
            _mm512_or_si512(_mm512_srli_epi64::<24>(l2), _mm512_slli_epi64::<28>(l3)),
            _mm512_or_si512(_mm512_srli_epi64::<36>(l3), _mm512_slli_epi64::<16>(l4)),
        ]
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn splat(number: Fq) -> Self {
        let words = number.0.0.map(|word| _mm512_set1_epi64(word.cast_signed()));
        // SAFETY: the caller has the processor.
        unsafe { Self::unpack(words) }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn to_array(self) -> [Fq; LANES] {
        // SAFETY: the caller has the processor.
        let rows = unsafe { self.pack() }.map(|word| {
            let mut row = [0_u64; LANES];
            // SAFETY: a row is 64 bytes long; the store needs no alignment.
            unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), word) };
            row
        });
        std::array::from_fn(|lane| Fq::new_unchecked(BigInt(rows.map(|row| row[lane]))))
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn from_array(numbers: [Fq; LANES]) -> Self {
        let words = std::array::from_fn(|at| {
            let words = numbers.map(|number| number.0.0[at]);
            // SAFETY: the array is 64 bytes long; the load needs no alignment.
            unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
        });
        // SAFETY: the caller has the processor.
        unsafe { Self::unpack(words) }
    }

    // Not inlined: a call costs little beside a hundred multiplications, and copies of them cost the compiler minutes.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline(never)]
    unsafe fn mul(self, other: Self) -> Self {
        let q = constant(&MULTIPLES[0]);
        let inverse = _mm512_set1_epi64(NEGATIVE_INVERSE.cast_signed());
        let zero = _mm512_setzero_si512();
        // One limb more than a number has; the lowest is dropped in each round.
        let mut sum = [zero; LIMBS + 1];
        for left in self.0 {
            for at in 0..LIMBS {
                sum[at] = _mm512_madd52lo_epu64(sum[at], left, other.0[at]);
                sum[at + 1] = _mm512_madd52hi_epu64(sum[at + 1], left, other.0[at]);
            }
            let factor = _mm512_madd52lo_epu64(zero, sum[0], inverse);
            for at in 0..LIMBS {
                sum[at] = _mm512_madd52lo_epu64(sum[at], factor, q[at]);
                sum[at + 1] = _mm512_madd52hi_epu64(sum[at + 1], factor, q[at]);
            }
            let over = _mm512_srli_epi64::<52>(sum[0]);
            sum = [
                _mm512_add_epi64(sum[1], over),
                sum[2],
                sum[3],
                sum[4],
                sum[5],
                zero,
            ];
        }
        Self(carry([sum[0], sum[1], sum[2], sum[3], sum[4]]))
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn square(self) -> Self {
        // SAFETY: the caller has the processor.
        unsafe { self.mul(self) }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn plus(self, other: Self) -> Self {
        Self(add(self.0, other.0))
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn minus(self, other: Self, above: Above) -> Self {
        let above = constant(&MULTIPLES[above as usize]);
        let mut difference = self.0;
        for at in 0..LIMBS {
            let raised = _mm512_add_epi64(self.0[at], above[at]);
            difference[at] = _mm512_sub_epi64(raised, other.0[at]);
        }
        Self(carry(difference))
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn reduce(self) -> Self {
        // At most 2 q and twice q more.
        let below_2 = subtract_if_not_below(self.0, Above::Two);
        Self(subtract_if_not_below(below_2, Above::One))
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn equal(self, other: Self) -> __mmask8 {
        let mut mask = __mmask8::MAX;
        for at in 0..LIMBS {
            mask &= _mm512_cmpeq_epi64_mask(self.0[at], other.0[at]);
        }
        mask
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn replaced(self, mask: __mmask8, other: Self) -> Self {
        let mut chosen = self.0;
        for (limb, other) in chosen.iter_mut().zip(other.0) {
            *limb = _mm512_mask_blend_epi64(mask, *limb, other);
        }
        Self(chosen)
    }
}

/// Eight numbers of Fq2, `c0 + c1 u` with `u^2 = -1`.
#[derive(Debug, Clone, Copy)]
pub struct Fq2x8 {
    c0: Fq8,
    c1: Fq8,
}

impl Zeroize for Fq2x8 {
    fn zeroize(&mut self) {
        self.c0.zeroize();
        self.c1.zeroize();
    }
}

// SAFETY of all calls below: the caller has the processor.
impl Lanes for Fq2x8 {
    type Number = Fq2;
    type Words = [__m512i; 8];

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn unpack([a, b, c, d, e, f, g, h]: Self::Words) -> Self {
        // SAFETY: as above.
        unsafe {
            Self {
                c0: Fq8::unpack([a, b, c, d]),
                c1: Fq8::unpack([e, f, g, h]),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn pack(self) -> Self::Words {
        // SAFETY: as above.
        let ([a, b, c, d], [e, f, g, h]) = unsafe { (self.c0.pack(), self.c1.pack()) };
        [a, b, c, d, e, f, g, h]
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn splat(number: Fq2) -> Self {
        // SAFETY: as above.
        unsafe {
            Self {
                c0: Fq8::splat(number.c0),
                c1: Fq8::splat(number.c1),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn to_array(self) -> [Fq2; LANES] {
        // SAFETY: as above.
        let (c0, c1) = unsafe { (self.c0.to_array(), self.c1.to_array()) };
        std::array::from_fn(|lane| Fq2::new(c0[lane], c1[lane]))
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn from_array(numbers: [Fq2; LANES]) -> Self {
        // SAFETY: as above.
        unsafe {
            Self {
                c0: Fq8::from_array(numbers.map(|number| number.c0)),
                c1: Fq8::from_array(numbers.map(|number| number.c1)),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn mul(self, other: Self) -> Self {
        // Karatsuba: three products. The sums are below 8 q, the products below 2 q, both differences below 4 q after the last step.
        // SAFETY: as above.
        unsafe {
            let low = self.c0.mul(other.c0);
            let high = self.c1.mul(other.c1);
            let left = Fq8(add(self.c0.0, self.c1.0));
            let right = Fq8(add(other.c0.0, other.c1.0));
            let both = Fq8(add(low.0, high.0));
            let crossed = left.mul(right).minus(both, Above::Four);
            Self {
                c0: low.minus(high, Above::Two),
                c1: Fq8(subtract_if_not_below(crossed.0, Above::Four)),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn square(self) -> Self {
        // (c0 + c1)(c0 - c1) + 2 c0 c1 u.
        // SAFETY: as above.
        unsafe {
            let sum = Fq8(add(self.c0.0, self.c1.0));
            let difference = self.c0.minus(self.c1, Above::Four);
            let product = self.c0.mul(self.c1);
            Self {
                c0: sum.mul(difference),
                c1: Fq8(add(product.0, product.0)),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            Self {
                c0: self.c0.plus(other.c0),
                c1: self.c1.plus(other.c1),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn minus(self, other: Self, above: Above) -> Self {
        // SAFETY: as above.
        unsafe {
            Self {
                c0: self.c0.minus(other.c0, above),
                c1: self.c1.minus(other.c1, above),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn reduce(self) -> Self {
        let below_4 = |number: Fq8| Fq8(subtract_if_not_below(number.0, Above::Four));
        // SAFETY: as above.
        unsafe {
            Self {
                c0: below_4(self.c0).reduce(),
                c1: below_4(self.c1).reduce(),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn equal(self, other: Self) -> __mmask8 {
        // SAFETY: as above.
        unsafe { self.c0.equal(other.c0) & self.c1.equal(other.c1) }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn replaced(self, mask: __mmask8, other: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            Self {
                c0: self.c0.replaced(mask, other.c0),
                c1: self.c1.replaced(mask, other.c1),
            }
        }
    }
}
