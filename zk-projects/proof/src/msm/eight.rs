//! Eight points at once, in lanes: their sums, differences and doubles.
//!
//! ```text
//! slope = (y2 - y1) / (x2 - x1)      or 3 x^2 / 2 y of a point with itself; the inverse comes from `inversion`
//! x     = slope^2 - x1 - x2
//! y     = slope (x1 - x) - y1
//! ```
//!
//! Both curves have a = 0. Neither has a point whose y is zero: their orders are odd.

use std::arch::x86_64::__mmask8;

use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::Affine;
use ark_ff::{AdditiveGroup, Field, Zero};
use zeroize::Zeroize;

use super::inversion::{Blocks, Step, finish_all, scaled_one};
use super::lanes::{Above, LANES, Lanes};
use super::packed::Packed;

/// Eight affine points with reduced coordinates. Infinity is (0, 0).
#[derive(Clone, Copy)]
pub(crate) struct Eight<K: Packed> {
    x: K::Lanes,
    y: K::Lanes,
}

impl<K: Packed> Zeroize for Eight<K> {
    fn zeroize(&mut self) {
        self.x.zeroize();
        self.y.zeroize();
    }
}

/// # Safety
///
/// All functions want a processor with AVX-512 F, DQ and IFMA.
// SAFETY of all calls below: the caller has the processor.
impl<K: Packed> Eight<K> {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(crate) unsafe fn infinity() -> Self {
        // SAFETY: as above.
        let zero = unsafe { zero::<K::Lanes>() };
        Self { x: zero, y: zero }
    }

    /// Up to eight points as arkworks has them; what is missing counts as infinity.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(crate) unsafe fn enter(points: &[&Affine<K::Curve>]) -> Self {
        let coordinate = |choose: fn(&Affine<K::Curve>) -> _| {
            std::array::from_fn(|lane| {
                let finite = points.get(lane).filter(|point| !point.is_zero());
                finite.map_or(AdditiveGroup::ZERO, |point| choose(point))
            })
        };
        // SAFETY: as above.
        unsafe {
            // What is multiplied with a number n in lanes is multiplied with n / 16.
            let scale = K::Lanes::splat(<K::Lanes as Lanes>::Number::from(256_u64));
            let x = K::Lanes::from_array(coordinate(|point| point.x));
            let y = K::Lanes::from_array(coordinate(|point| point.y));
            Self {
                x: x.mul(scale).reduce(),
                y: y.mul(scale).reduce(),
            }
        }
    }

    /// The points as arkworks has them.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(crate) unsafe fn leave(self) -> [Affine<K::Curve>; LANES] {
        // SAFETY: as above.
        let (x, y) = unsafe {
            let scale = K::Lanes::splat(<K::Lanes as Lanes>::Number::ONE);
            (
                self.x.mul(scale).reduce().to_array(),
                self.y.mul(scale).reduce().to_array(),
            )
        };
        std::array::from_fn(|lane| {
            let (x, y) = (x[lane], y[lane]);
            if x.is_zero() && y.is_zero() {
                return Affine::identity();
            }
            Affine::new_unchecked(x, y)
        })
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(crate) unsafe fn load(points: [&K; LANES]) -> Self {
        // SAFETY: as above.
        let (x, y) = unsafe { K::load(points) };
        Self { x, y }
    }

    /// Writes the points to their places, the last lane last.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(crate) unsafe fn store(self, points: &mut [K], places: [usize; LANES]) {
        // SAFETY: as above.
        unsafe { K::store(self.x, self.y, points, places) };
    }

    /// With the negatives of the points in the lanes of the mask.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(crate) unsafe fn negated(self, lanes: __mmask8) -> Self {
        // SAFETY: as above.
        unsafe {
            let negative = zero::<K::Lanes>().minus(self.y, Above::One).reduce();
            Self {
                x: self.x,
                y: self.y.replaced(lanes, negative),
            }
        }
    }

    /// With the abscissas multiplied by a number, which is given times 16.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(crate) unsafe fn stretched(self, number: K::Lanes) -> Self {
        // SAFETY: as above.
        unsafe {
            Self {
                x: self.x.mul(number).reduce(),
                y: self.y,
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn is_infinity(self) -> __mmask8 {
        // SAFETY: as above.
        unsafe {
            let zero = zero();
            self.x.equal(zero) & self.y.equal(zero)
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn replaced(self, lanes: __mmask8, other: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            Self {
                x: self.x.replaced(lanes, other.x),
                y: self.y.replaced(lanes, other.y),
            }
        }
    }

    /// What a sum divides by, and the lanes in which a line through both points does not give it.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(crate) unsafe fn denominator(self, other: Self) -> (K::Lanes, __mmask8) {
        // SAFETY: as above.
        unsafe {
            let zero = zero();
            // A point whose abscissa is zero need not be infinity, but may be taken for special too.
            let special = self.x.equal(other.x) | self.x.equal(zero) | other.x.equal(zero);
            let difference = other.x.minus(self.x, Above::One);
            (difference.replaced(special, scaled_one()), special)
        }
    }

    /// The sums, by the inverse of the denominator.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(crate) unsafe fn plus(
        self,
        other: Self,
        one_over_denominator: K::Lanes,
        special: __mmask8,
    ) -> Self {
        // SAFETY: as above.
        unsafe {
            let rise = other.y.minus(self.y, Above::One);
            let sums = self.third(rise.mul(one_over_denominator), other.x);
            if special == 0 {
                return sums;
            }
            let (left, right) = (self.is_infinity(), other.is_infinity());
            let sums = sums.replaced(right, self).replaced(left, other);
            match special & !(left | right) {
                0 => sums,
                rest => sums.replaced(rest, self.plus_one_by_one(other, rest)),
            }
        }
    }

    /// The sums, right only in the lanes of the mask: of equal or opposite points, which are rare.
    #[cold]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn plus_one_by_one(self, other: Self, lanes: __mmask8) -> Self {
        // SAFETY: as above.
        unsafe {
            let mut sums = self.leave();
            let others = other.leave();
            for lane in (0..LANES).filter(|lane| lanes >> lane & 1 == 1) {
                sums[lane] = (sums[lane].into_group() + others[lane]).into();
            }
            Self::enter(&sums.each_ref())
        }
    }

    /// The doubles, by the inverse of 2 y. That of infinity is infinity, whatever the inverse.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn doubled(self, one_over_denominator: K::Lanes) -> Self {
        // SAFETY: as above.
        unsafe {
            let triple = self.x.plus(self.x).plus(self.x);
            let slope = triple.mul(self.x).mul(one_over_denominator);
            self.third(slope, self.x)
        }
    }

    /// The negative of the third point on lines through the points, given their slopes and the abscissas of the second points.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn third(self, slope: K::Lanes, other_x: K::Lanes) -> Self {
        // SAFETY: as above.
        unsafe {
            let square = slope.square();
            let x = square.minus(self.x, Above::One).minus(other_x, Above::One);
            let x = x.reduce();
            let y = slope.mul(self.x.minus(x, Above::One));
            let y = y.minus(self.y, Above::One).reduce();
            Self { x, y }
        }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
unsafe fn zero<L: Lanes>() -> L {
    // SAFETY: the caller has the processor.
    unsafe { L::splat(L::Number::ZERO) }
}

/// Points to be doubled in place.
struct Doubled<'a, K: Packed>(&'a mut [Eight<K>]);

impl<K: Packed> Blocks for Doubled<'_, K> {
    type Lanes = K::Lanes;

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn denominator(&self, at: usize) -> (K::Lanes, __mmask8) {
        let y = self.0[at].y;
        // SAFETY: the caller has the processor.
        unsafe {
            let infinity = y.equal(zero());
            (y.plus(y).replaced(infinity, scaled_one()), infinity)
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn finish(&mut self, at: usize, one_over_denominator: K::Lanes, _: __mmask8) {
        // SAFETY: the caller has the processor.
        self.0[at] = unsafe { self.0[at].doubled(one_over_denominator) };
    }
}

/// Points to which others are to be added in place.
struct Increased<'a, K: Packed>(&'a mut [Eight<K>], &'a [Eight<K>]);

impl<K: Packed> Blocks for Increased<'_, K> {
    type Lanes = K::Lanes;

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn denominator(&self, at: usize) -> (K::Lanes, __mmask8) {
        // SAFETY: the caller has the processor.
        unsafe { self.0[at].denominator(self.1[at]) }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn finish(&mut self, at: usize, one_over_denominator: K::Lanes, special: __mmask8) {
        // SAFETY: the caller has the processor.
        self.0[at] = unsafe { self.0[at].plus(self.1[at], one_over_denominator, special) };
    }
}

/// Pairs of which the sum and the difference are to take the place.
struct Crossed<'a, K: Packed>(&'a mut [Eight<K>], &'a mut [Eight<K>]);

impl<K: Packed> Blocks for Crossed<'_, K> {
    type Lanes = K::Lanes;

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn denominator(&self, at: usize) -> (K::Lanes, __mmask8) {
        // SAFETY: the caller has the processor.
        unsafe { self.0[at].denominator(self.1[at]) }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn finish(&mut self, at: usize, one_over_denominator: K::Lanes, special: __mmask8) {
        let (left, right) = (self.0[at], self.1[at]);
        // SAFETY: the caller has the processor.
        unsafe {
            self.0[at] = left.plus(right, one_over_denominator, special);
            let opposite = right.negated(__mmask8::MAX);
            self.1[at] = left.plus(opposite, one_over_denominator, special);
        }
    }
}

/// Doubles points. There are as many steps as blocks.
///
/// # Safety
///
/// Wants a processor with AVX-512 F, DQ and IFMA.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(crate) unsafe fn double<K: Packed>(points: &mut [Eight<K>], steps: &mut [Step<K::Lanes>]) {
    // SAFETY: the caller has the processor.
    unsafe { finish_all(&mut Doubled(points), steps) };
}

/// Adds to points. There are as many others and steps as blocks.
///
/// # Safety
///
/// As [`double`].
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(crate) unsafe fn add<K: Packed>(
    points: &mut [Eight<K>],
    others: &[Eight<K>],
    steps: &mut [Step<K::Lanes>],
) {
    // SAFETY: the caller has the processor.
    unsafe { finish_all(&mut Increased(points, others), steps) };
}

/// Puts the sums of pairs in the place of the left points, the differences in that of the right ones.
///
/// # Safety
///
/// As [`double`].
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(crate) unsafe fn cross<K: Packed>(
    left: &mut [Eight<K>],
    right: &mut [Eight<K>],
    steps: &mut [Step<K::Lanes>],
) {
    // SAFETY: the caller has the processor.
    unsafe { finish_all(&mut Crossed(left, right), steps) };
}
