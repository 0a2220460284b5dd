//! The forms in which points are held while they are summed, each with its way to add pairs.
//!
//! A form's points are what is copied, sorted and added; only what comes in and what goes out are affine points of arkworks.

use ark_ec::short_weierstrass::{Affine, SWCurveConfig};

use super::batch;

/// Two neighbours and where their sum goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    /// Index of the left point; the right one is behind it.
    pub(super) from: u32,
    /// Index of the sum.
    pub(super) to: u32,
}

/// A point in some form.
pub(crate) trait Form: Copy + Send + Sync {
    /// The curve.
    type Curve: SWCurveConfig;
    /// Proof that the processor has what the code for this form needs.
    type Processor: Copy + Send + Sync;

    /// The point at infinity.
    fn infinity() -> Self;

    /// The point in this form.
    fn enter(processor: Self::Processor, point: &Affine<Self::Curve>) -> Self;
    /// The point as arkworks has it.
    fn leave(self) -> Affine<Self::Curve>;
    /// Its negative.
    #[must_use]
    fn negated(self) -> Self;
    /// Writes the sum of each pair of `points` to its place in `sums`.
    fn add_pairs(processor: Self::Processor, points: &[Self], pairs: &[Pair], sums: &mut [Self]);
}

/// Points as they are in arkworks: one pair after the other, on any processor.
impl<P: SWCurveConfig> Form for Affine<P> {
    type Curve = P;
    type Processor = ();

    fn infinity() -> Self {
        Self::identity()
    }

    fn enter((): (), point: &Self) -> Self {
        *point
    }

    fn leave(self) -> Self {
        self
    }

    fn negated(self) -> Self {
        -self
    }

    fn add_pairs((): (), points: &[Self], pairs: &[Pair], sums: &mut [Self]) {
        batch::add_pairs(points, pairs, sums);
    }
}
