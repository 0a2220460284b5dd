//! Which code adds pairs of points: portable, or eight lanes wide where the processor has AVX-512 IFMA.
//!
//! The wide code wants numbers times 2^260 (mod q) where arkworks holds them times 2^256. A *scaled* point has both its coordinates
//! multiplied by 16, which is just that. Negation, comparison and infinity are the same for both, so sorting into buckets need not know.

use std::borrow::Cow;

use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ff::Field;
use rayon::prelude::*;

use super::batch;
#[cfg(target_arch = "x86_64")]
use super::{lanes, wide};

/// How points are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// One pair after the other, on any processor.
    Portable,
    /// Eight pairs at once.
    #[cfg(target_arch = "x86_64")]
    Ifma(Ifma),
}

/// Proof that the processor has what the wide code needs.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ifma(());

#[cfg(target_arch = "x86_64")]
impl Ifma {
    /// If the processor has AVX-512 F, DQ and IFMA.
    #[must_use]
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512ifma");
        has.then_some(Self(()))
    }
}

impl Backend {
    /// The fastest that this processor has.
    #[must_use]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(ifma) = Ifma::detect() {
            return Self::Ifma(ifma);
        }
        Self::Portable
    }

    /// Points in the form in which this backend adds them.
    pub(super) fn enter<P: SWCurveConfig>(self, points: &[Affine<P>]) -> Cow<'_, [Affine<P>]> {
        match self {
            Self::Portable => Cow::Borrowed(points),
            #[cfg(target_arch = "x86_64")]
            Self::Ifma(_) => points.par_iter().map(scaled).collect::<Vec<_>>().into(),
        }
    }

    /// The points that were in the form of [`Self::enter`].
    pub(super) fn leave<P: SWCurveConfig>(self, points: Vec<Affine<P>>) -> Vec<Affine<P>> {
        match self {
            Self::Portable => points,
            #[cfg(target_arch = "x86_64")]
            Self::Ifma(_) => {
                let sixteenth = sixteenth();
                points.iter().map(|point| times(point, sixteenth)).collect()
            }
        }
    }
}

/// A curve whose points can be added by every backend.
pub trait Curve: SWCurveConfig<ScalarField = ark_bn254::Fr> {
    /// Writes the sum of each pair `(points[2 i], points[2 i + 1])` to `sums[i]`, all in the form of the backend.
    fn add_pairs(backend: Backend, points: &[Affine<Self>], sums: &mut [Affine<Self>]);
}

macro_rules! curve {
    ($config:ty, $lanes:ty) => {
        impl Curve for $config {
            fn add_pairs(backend: Backend, points: &[Affine<Self>], sums: &mut [Affine<Self>]) {
                match backend {
                    Backend::Portable => batch::add_pairs(points, sums),
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: an `Ifma` is only made where the processor has the instructions.
                    Backend::Ifma(_) => unsafe { wide::add_pairs::<_, $lanes>(points, sums) },
                }
            }
        }
    };
}

curve!(ark_bn254::g1::Config, lanes::Fq8);
curve!(ark_bn254::g2::Config, lanes::Fq2x8);

#[cfg(target_arch = "x86_64")]
fn times<P: SWCurveConfig>(point: &Affine<P>, factor: P::BaseField) -> Affine<P> {
    match point.xy() {
        Some((x, y)) => Affine::new_unchecked(x * factor, y * factor),
        None => Affine::identity(),
    }
}

/// Both coordinates times 16.
#[cfg(target_arch = "x86_64")]
pub(super) fn scaled<P: SWCurveConfig>(point: &Affine<P>) -> Affine<P> {
    times(point, P::BaseField::from(16_u64))
}

/// Both coordinates divided by 16.
#[cfg(target_arch = "x86_64")]
pub(super) fn unscaled<P: SWCurveConfig>(point: &Affine<P>) -> Affine<P> {
    times(point, sixteenth())
}

#[cfg(target_arch = "x86_64")]
fn sixteenth<F: Field>() -> F {
    let inverse = F::from(16_u64).inverse();
    inverse.expect("16 is not zero in a field of odd characteristic")
}
