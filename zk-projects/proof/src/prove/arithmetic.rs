//! Moving polynomials to the odd coset.

use ark_bn254::Fr;
use ark_ff::{FftField, Field};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};

/// A domain of n-th roots of unity and its odd coset, the 2n-th roots that are no n-th roots.
#[derive(Debug, Clone, Copy)]
pub(super) struct OddCoset {
    domain: Radix2EvaluationDomain<Fr>,
    coset: Radix2EvaluationDomain<Fr>,
}

impl OddCoset {
    /// # Panics
    ///
    /// If the size is no power of two, or above 2^27.
    pub(super) fn of_domain(size: u32) -> Self {
        let root = Fr::get_root_of_unity(2 * u64::from(size))
            .expect("a power of two up to 2^27, as keys were checked for");
        debug_assert!(root.pow([u64::from(size)]) == -Fr::ONE);
        let domain = Radix2EvaluationDomain::new(size as usize)
            .expect("a power of two up to 2^27, as keys were checked for");
        let coset = domain.get_coset(root).expect("a root of unity is not zero");
        Self { domain, coset }
    }

    /// Turns a polynomial's values on the domain into its values on the odd coset.
    pub(super) fn move_to(&self, values: &mut Vec<Fr>) {
        self.domain.ifft_in_place(values);
        self.coset.fft_in_place(values);
    }
}
