//! Points as the wide code wants them: whole cache lines of words, eight of which become the columns of a table.
//!
//! The wide code has numbers times 2^260 (mod q) where arkworks has them times 2^256. A packed point has both its coordinates
//! multiplied by 16, which is just that. Its words are below q, so that equal coordinates have equal words. Infinity is (0, 0), which is on
//! neither curve.

use std::arch::x86_64::{
    __m512i, _mm512_load_si512, _mm512_shuffle_i64x2, _mm512_store_si512, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi64,
};

use ark_bn254::{Fq, Fq2};
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ec::{AdditiveGroup, AffineRepr, CurveConfig};
use ark_ff::{BigInt, Field};

use super::backend::Ifma;
use super::form::{Form, Pair};
use super::lanes::{Fq2x8, Fq8, LANES, Lanes};
use super::wide;

/// One cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
struct Line([u64; LANES]);

/// A point in words.
///
/// # Safety
///
/// `load` and `store` want a processor with AVX-512 F, DQ and IFMA.
pub trait Packed: Copy + PartialEq + Send + Sync {
    type Lanes: Lanes<Number = <Self::Curve as CurveConfig>::BaseField>;
    type Curve: SWCurveConfig;

    /// All words zero: infinity.
    const ZERO: Self;

    /// The abscissas and ordinates of eight points.
    unsafe fn load(points: [&Self; LANES]) -> (Self::Lanes, Self::Lanes);
    /// Writes the points with these reduced coordinates to their places, the last lane last.
    unsafe fn store(x: Self::Lanes, y: Self::Lanes, points: &mut [Self], places: [usize; LANES]);
    fn new(point: &Affine<Self::Curve>) -> Self;
    fn affine(&self) -> Affine<Self::Curve>;
    #[must_use]
    fn negative(self) -> Self;
}

/// A point of G1: the words of x, then those of y.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedG1(Line);

/// A point of G2: the words of x, both its parts, then those of y.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedG2([Line; 2]);

/// Rows to columns: word `i` of row `k` becomes word `k` of column `i`.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    let columns = |pairs: [__m512i; 4]| {
        let [p01, p23, p45, p67] = pairs;
        let low_half = _mm512_shuffle_i64x2::<0x44>(p01, p23);
        let low_other = _mm512_shuffle_i64x2::<0x44>(p45, p67);
        let high_half = _mm512_shuffle_i64x2::<0xee>(p01, p23);
        let high_other = _mm512_shuffle_i64x2::<0xee>(p45, p67);
        [
            _mm512_shuffle_i64x2::<0x88>(low_half, low_other),
            _mm512_shuffle_i64x2::<0xdd>(low_half, low_other),
            _mm512_shuffle_i64x2::<0x88>(high_half, high_other),
            _mm512_shuffle_i64x2::<0xdd>(high_half, high_other),
        ]
    };
    let [c0, c2, c4, c6] = columns([
        _mm512_unpacklo_epi64(r0, r1),
        _mm512_unpacklo_epi64(r2, r3),
        _mm512_unpacklo_epi64(r4, r5),
        _mm512_unpacklo_epi64(r6, r7),
    ]);
    let [c1, c3, c5, c7] = columns([
        _mm512_unpackhi_epi64(r0, r1),
        _mm512_unpackhi_epi64(r2, r3),
        _mm512_unpackhi_epi64(r4, r5),
        _mm512_unpackhi_epi64(r6, r7),
    ]);
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(lines: [&Line; LANES]) -> [__m512i; LANES] {
    // SAFETY: a line is 64 bytes long and aligned to them.
    transposed(lines.map(|line| unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(row: __m512i, line: &mut Line) {
    // SAFETY: a line is 64 bytes long and aligned to them.
    unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), row) };
}

fn joined([a, b, c, d]: [u64; 4], [e, f, g, h]: [u64; 4]) -> Line {
    Line([a, b, c, d, e, f, g, h])
}

fn parted(line: &Line) -> (Fq, Fq) {
    let [a, b, c, d, e, f, g, h] = line.0;
    let number = |words| Fq::new_unchecked(BigInt(words));
    (number([a, b, c, d]), number([e, f, g, h]))
}

/// The coordinates times 16.
fn scaled<P: SWCurveConfig>(point: &Affine<P>) -> (P::BaseField, P::BaseField) {
    let sixteen_times = |number: P::BaseField| number.double().double().double().double();
    point.xy().map_or_else(Default::default, |(x, y)| {
        (sixteen_times(x), sixteen_times(y))
    })
}

/// The point whose coordinates times 16 these are.
fn unscaled<P: SWCurveConfig>(x: P::BaseField, y: P::BaseField) -> Affine<P> {
    if x == P::BaseField::ZERO && y == P::BaseField::ZERO {
        return Affine::identity();
    }
    let sixteenth = P::BaseField::from(16_u64).inverse();
    let sixteenth = sixteenth.expect("16 is not zero in a field of odd characteristic");
    Affine::new_unchecked(x * sixteenth, y * sixteenth)
}

// SAFETY of all calls below: the caller has the processor.
impl Packed for PackedG1 {
    type Lanes = Fq8;
    type Curve = ark_bn254::g1::Config;

    const ZERO: Self = Self(Line([0; LANES]));

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn load(points: [&Self; LANES]) -> (Fq8, Fq8) {
        let [a, b, c, d, e, f, g, h] = load(points.map(|point| &point.0));
        // SAFETY: as above.
        unsafe { (Fq8::unpack([a, b, c, d]), Fq8::unpack([e, f, g, h])) }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn store(x: Fq8, y: Fq8, points: &mut [Self], places: [usize; LANES]) {
        // SAFETY: as above.
        let ([a, b, c, d], [e, f, g, h]) = unsafe { (x.pack(), y.pack()) };
        let rows = transposed([a, b, c, d, e, f, g, h]);
        for lane in 0..LANES {
            store(rows[lane], &mut points[places[lane]].0);
        }
    }

    fn new(point: &Affine<Self::Curve>) -> Self {
        let (x, y) = scaled(point);
        Self(joined(x.0.0, y.0.0))
    }

    fn affine(&self) -> Affine<Self::Curve> {
        let (x, y) = parted(&self.0);
        unscaled(x, y)
    }

    fn negative(self) -> Self {
        let (x, y) = parted(&self.0);
        Self(joined(x.0.0, (-y).0.0))
    }
}

impl Packed for PackedG2 {
    type Lanes = Fq2x8;
    type Curve = ark_bn254::g2::Config;

    const ZERO: Self = Self([Line([0; LANES]); 2]);

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn load(points: [&Self; LANES]) -> (Fq2x8, Fq2x8) {
        let x = load(points.map(|point| &point.0[0]));
        let y = load(points.map(|point| &point.0[1]));
        // SAFETY: as above.
        unsafe { (Fq2x8::unpack(x), Fq2x8::unpack(y)) }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    unsafe fn store(x: Fq2x8, y: Fq2x8, points: &mut [Self], places: [usize; LANES]) {
        // SAFETY: as above.
        let (x, y) = unsafe { (transposed(x.pack()), transposed(y.pack())) };
        for lane in 0..LANES {
            let point = &mut points[places[lane]];
            store(x[lane], &mut point.0[0]);
            store(y[lane], &mut point.0[1]);
        }
    }

    fn new(point: &Affine<Self::Curve>) -> Self {
        let (x, y) = scaled(point);
        Self([x, y].map(|number| joined(number.c0.0.0, number.c1.0.0)))
    }

    fn affine(&self) -> Affine<Self::Curve> {
        let [x, y] = self.0.each_ref().map(|line| {
            let (c0, c1) = parted(line);
            Fq2::new(c0, c1)
        });
        unscaled(x, y)
    }

    fn negative(self) -> Self {
        let [x, y] = self.0;
        let (c0, c1) = parted(&y);
        Self([x, joined((-c0).0.0, (-c1).0.0)])
    }
}

impl<K: Packed> Form for K {
    type Curve = K::Curve;
    type Processor = Ifma;

    fn infinity() -> Self {
        K::ZERO
    }

    fn enter(_: Ifma, point: &Affine<Self::Curve>) -> Self {
        K::new(point)
    }

    fn leave(self) -> Affine<Self::Curve> {
        self.affine()
    }

    fn negated(self) -> Self {
        self.negative()
    }

    fn add_pairs(_: Ifma, points: &[Self], pairs: &[Pair], sums: &mut [Self]) {
        // SAFETY: an `Ifma` is only made where the processor has the instructions.
        unsafe { wide::add_pairs(points, pairs, sums) };
    }
}
