//! Moving polynomials to the odd coset.
//!
//! From values to coefficients by decimation in frequency, and from coefficients to values by decimation in time ([Cooley, Tukey][ct], and
//! [Gentleman, Sande][gs] for the other direction): the first leaves the coefficients in bit-reversed order, in which the second takes them, so
//! that nothing is ever put in order. All powers of roots are computed once for a key.
//!
//! [ct]: https://doi.org/10.1090/S0025-5718-1965-0178586-1
//! [gs]: https://doi.org/10.1145/1464291.1464352

use ark_bn254::Fr;
use ark_ff::{FftField, Field};

/// Parts of a polynomial at least this long are worth another thread.
const PARALLEL: usize = 1 << 10;

/// A domain of n-th roots of unity and its odd coset, the 2n-th roots that are no n-th roots.
#[derive(Debug, Clone)]
pub(super) struct OddCoset {
    /// For each power of two h below n, from place h on: the first h powers of the primitive 2h-th root.
    roots: Vec<Fr>,
    /// The same of its inverse.
    inverse_roots: Vec<Fr>,
    /// For each coefficient, in bit-reversed order, the power of the primitive 2n-th root, divided by n.
    factors: Vec<Fr>,
}

impl OddCoset {
    /// # Panics
    ///
    /// If the size is no power of two, or above 2^27.
    pub(super) fn of_domain(size: u32) -> Self {
        let root = Fr::get_root_of_unity(2 * u64::from(size))
            .expect("a power of two up to 2^27, as keys were checked for");
        debug_assert!(root.pow([u64::from(size)]) == -Fr::ONE);
        let inverse = inverse(root);
        let count = size as usize;
        let mut factors = vec![Fr::ONE; count];
        let shift = usize::BITS - size.trailing_zeros();
        let mut factor = self::inverse(Fr::from(size));
        for at in 0..count {
            // Shifted by all its bits, the only index of a domain of one is zero.
            let reversed = at.reverse_bits().checked_shr(shift).unwrap_or(0);
            factors[reversed] = factor;
            factor *= root;
        }
        Self {
            roots: powers(root.square(), count),
            inverse_roots: powers(inverse.square(), count),
            factors,
        }
    }

    /// Turns a polynomial's values on the domain into its values on the odd coset.
    ///
    /// # Panics
    ///
    /// If there are not as many values as roots.
    pub(super) fn move_to(&self, values: &mut [Fr]) {
        assert_eq!(values.len(), self.factors.len(), "a value for each root");
        to_coefficients(values, &self.inverse_roots);
        for (coefficient, factor) in values.iter_mut().zip(&self.factors) {
            *coefficient *= factor;
        }
        to_values(values, &self.roots);
    }
}

fn inverse(number: Fr) -> Fr {
    number
        .inverse()
        .expect("roots of unity and powers of two are not zero")
}

/// For each power of two h below n, from place h on, the first h powers of `root^(n / 2h)`, where `root` is a primitive n-th root.
fn powers(root: Fr, n: usize) -> Vec<Fr> {
    let mut table = vec![Fr::ONE; n];
    let (mut half, mut root) = (n / 2, root);
    while half > 0 {
        for at in 1..half {
            table[half + at] = table[half + at - 1] * root;
        }
        root.square_in_place();
        half /= 2;
    }
    table
}

/// Values in order to coefficients in bit-reversed order, times how many there are.
fn to_coefficients(values: &mut [Fr], inverse_roots: &[Fr]) {
    let half = values.len() / 2;
    if half == 0 {
        return;
    }
    let (low, high) = values.split_at_mut(half);
    for ((low, high), root) in low
        .iter_mut()
        .zip(high.iter_mut())
        .zip(&inverse_roots[half..])
    {
        let difference = *low - *high;
        *low += *high;
        *high = difference * root;
    }
    in_both(low, high, |part| to_coefficients(part, inverse_roots));
}

/// Coefficients in bit-reversed order to values in order.
fn to_values(coefficients: &mut [Fr], roots: &[Fr]) {
    let half = coefficients.len() / 2;
    if half == 0 {
        return;
    }
    let (low, high) = coefficients.split_at_mut(half);
    in_both(low, high, |part| to_values(part, roots));
    for ((low, high), root) in low.iter_mut().zip(high.iter_mut()).zip(&roots[half..]) {
        let product = *high * root;
        *high = *low - product;
        *low += product;
    }
}

fn in_both(low: &mut [Fr], high: &mut [Fr], work: impl Fn(&mut [Fr]) + Sync) {
    if low.len() < PARALLEL {
        work(low);
        work(high);
    } else {
        rayon::join(|| work(low), || work(high));
    }
}

#[cfg(test)]
mod tests {
    use ark_ff::UniformRand;
    use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};

    use super::*;

    #[test]
    fn values_on_the_coset_are_those_of_arkworks() {
        let mut random = ark_std::test_rng();
        for log2 in [0, 1, 2, 3, 7, 12] {
            let size = 1 << log2;
            let mut values: Vec<Fr> = (0..size).map(|_| Fr::rand(&mut random)).collect();
            let domain = Radix2EvaluationDomain::<Fr>::new(size).expect("a small power of two");
            let root = Fr::get_root_of_unity(2 * size as u64).expect("a small power of two");
            let coset = domain.get_coset(root).expect("not zero");
            let expected = coset.fft(&domain.ifft(&values));
            OddCoset::of_domain(1 << log2).move_to(&mut values);
            assert_eq!(values, expected, "2^{log2}");
        }
    }
}
