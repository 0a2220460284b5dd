//! Which code adds points: portable, or eight lanes wide where the processor has AVX-512 IFMA.

use ark_ec::short_weierstrass::SWCurveConfig;

#[cfg(target_arch = "x86_64")]
use super::packed::{Packed, PackedG1, PackedG2};

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
}

/// A curve whose points can be added by every backend.
pub trait Curve: SWCurveConfig<ScalarField = ark_bn254::Fr> {
    /// Its points for the wide code.
    #[cfg(target_arch = "x86_64")]
    type Wide: Packed<Curve = Self>;
}

impl Curve for ark_bn254::g1::Config {
    #[cfg(target_arch = "x86_64")]
    type Wide = PackedG1;
}

impl Curve for ark_bn254::g2::Config {
    #[cfg(target_arch = "x86_64")]
    type Wide = PackedG2;
}
