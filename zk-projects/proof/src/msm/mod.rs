//! Sums of many points, each times a number: where a prover spends its time.
//!
//! What it is. Pippenger's bucket method with signed digits: each number is cut into windows of a few bits; for each window the points
//! are sorted into buckets by their digit, every bucket is summed, and the buckets' sums are weighted with their digits.
//! [Bernstein, Doumen, Lange, Oosterwijk: Faster batch forgery identification][bdlo], section 4, describes the method.
//!
//! What it guarantees. Exactly the sum, for any points, infinity and repeated ones included, and any numbers.
//!
//! What it does not. It takes time that depends on the numbers: how many are zero, for one. Somebody who can time a prover
//! to microseconds may learn that, as from every Groth16 prover that is in use.
//!
//! How it works. Almost all additions are of affine points that wait for one common inversion (`batch`): six multiplications for each,
//! where the usual formulas need eleven and more. Buckets are summed by halving, all of them at once, and so are the sums that
//! weigh them (`buckets`). Several lists of points go into the same buckets, so that they are weighed once ([`sum`]).
//!
//! ```text
//!   numbers  --digits-->  3 -1 0 2 ...      one row of digits for each window
//!   points   --sort---->  |b1: P7 -P2 P9| |b2: P1| |b3: P0 P4|     -P goes where P goes
//!            --halve--->  |b1: P7-P2, P9| ...  until each holds one
//!            --weigh--->  1 b1 + 2 b2 + 3 b3
//! ```
//!
//! [bdlo]: https://eprint.iacr.org/2012/549

mod backend;
mod batch;
mod buckets;
mod digits;
#[cfg(target_arch = "x86_64")]
pub(crate) mod eight;
mod form;
#[cfg(target_arch = "x86_64")]
pub(crate) mod inversion;
#[cfg(target_arch = "x86_64")]
pub(crate) mod lanes;
#[cfg(target_arch = "x86_64")]
pub(crate) mod packed;
#[cfg(target_arch = "x86_64")]
mod wide;

use ark_ec::AdditiveGroup;
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use rayon::prelude::*;

use buckets::{Entered, Weighed};
use form::Form;

#[cfg(target_arch = "x86_64")]
pub(crate) use backend::Ifma;
pub use backend::{Backend, Curve};
pub use digits::{Digits, best_window};

/// One list of points and the digits of their numbers.
#[derive(Debug)]
pub struct Part<'a, P: SWCurveConfig> {
    points: &'a [Affine<P>],
    digits: &'a Digits,
}

impl<'a, P: SWCurveConfig> Part<'a, P> {
    /// Points and their numbers.
    #[must_use]
    pub fn new(points: &'a [Affine<P>], digits: &'a Digits) -> Self {
        Self { points, digits }
    }
}

/// The sum over all parts of points times numbers.
///
/// # Panics
///
/// If a part has not as many numbers as points, or parts have windows of different width.
pub fn sum<P: Curve>(parts: &[Part<'_, P>]) -> Projective<P> {
    sum_with(Backend::best(), parts)
}

/// Like [`sum`], by the code that is named.
///
/// # Panics
///
/// As [`sum`].
pub fn sum_with<P: Curve>(backend: Backend, parts: &[Part<'_, P>]) -> Projective<P> {
    let Some(first) = parts.first() else {
        return Projective::ZERO;
    };
    let window = first.digits.window();
    for part in parts {
        assert_eq!(part.digits.window(), window, "windows of one width");
        assert_eq!(
            part.digits.len(),
            part.points.len(),
            "a number for each point"
        );
    }
    let mut sum = Projective::ZERO;
    for weighed in windows(backend, parts, window).iter().rev() {
        weighed.add_to_double(&mut sum);
    }
    sum
}

/// For each window the sum of points times their digits in it, which is what there is before windows are put together.
///
/// # Panics
///
/// If there are not as many numbers as points.
pub fn window_sums<P: Curve>(points: &[Affine<P>], digits: &Digits) -> Vec<Projective<P>> {
    assert_eq!(digits.len(), points.len(), "a number for each point");
    let parts = [Part::new(points, digits)];
    let sum = |weighed: &Weighed<P>| {
        let mut sum = Projective::ZERO;
        weighed.add_to_double(&mut sum);
        sum
    };
    let windows = windows(Backend::best(), &parts, digits.window());
    windows.iter().map(sum).collect()
}

fn windows<P: Curve>(backend: Backend, parts: &[Part<'_, P>], window: usize) -> Vec<Weighed<P>> {
    match backend {
        Backend::Portable => windows_in::<Affine<P>>((), parts, window),
        #[cfg(target_arch = "x86_64")]
        Backend::Ifma(ifma) => windows_in::<P::Wide>(ifma, parts, window),
    }
}

/// Points that a few windows have together. Each round of additions has one inversion at least: the more points the less that costs, until
/// they are far from a near cache.
const POINTS_TOGETHER: usize = 1 << 15;

fn windows_in<F: Form>(
    processor: F::Processor,
    parts: &[Part<'_, F::Curve>],
    window: usize,
) -> Vec<Weighed<F::Curve>> {
    let entered: Vec<_> = parts
        .iter()
        .map(|part| Entered::<F>::new(processor, part))
        .collect();
    let points: usize = entered.iter().map(Entered::len).sum();
    let windows = parts[0].digits.windows();
    let together = (POINTS_TOGETHER / points.max(1)).clamp(1, windows);
    let together = windows.div_ceil(windows.div_ceil(together));
    let sums: Vec<_> = (0..windows.div_ceil(together))
        .into_par_iter()
        .map(|chunk| {
            let from = chunk * together;
            let range = from..windows.min(from + together);
            buckets::window_sums(processor, &entered, range, window)
        })
        .collect();
    sums.into_iter().flatten().collect()
}

/// The sum of points times numbers.
///
/// # Panics
///
/// If there are not as many numbers as points.
pub fn msm<P: Curve>(points: &[Affine<P>], numbers: &[ark_bn254::Fr]) -> Projective<P> {
    let digits = Digits::new(numbers, best_window(points.len()));
    sum(&[Part::new(points, &digits)])
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Fr, G1Projective};
    use ark_ec::{CurveGroup, PrimeGroup, VariableBaseMSM};
    use ark_ff::{Field, UniformRand, Zero};
    use ark_std::rand::Rng;

    use super::*;

    /// Points of which many are equal, opposite or infinity, and numbers of which many are small.
    fn crowded<P>(count: usize, random: &mut impl Rng) -> (Vec<Affine<P>>, Vec<Fr>)
    where
        P: SWCurveConfig<ScalarField = Fr>,
    {
        let few: Vec<Projective<P>> = (0..3_u64)
            .map(|at| Projective::<P>::generator() * Fr::from(at))
            .collect();
        let point = |random: &mut _| match Rng::gen_range(random, 0..4) {
            0 => few[Rng::gen_range(random, 0..few.len())],
            1 => -few[Rng::gen_range(random, 0..few.len())],
            _ => Projective::rand(random),
        };
        let points: Vec<_> = (0..count).map(|_| point(random)).collect();
        let number = |random: &mut _| match Rng::gen_range(random, 0..5) {
            0 => Fr::zero(),
            1 => Fr::ONE,
            2 => -Fr::ONE,
            _ => Fr::rand(random),
        };
        let numbers = (0..count).map(|_| number(random)).collect();
        (Projective::normalize_batch(&points), numbers)
    }

    fn one_by_one<P: SWCurveConfig<ScalarField = Fr>>(
        points: &[Affine<P>],
        numbers: &[Fr],
    ) -> Projective<P> {
        points
            .iter()
            .zip(numbers)
            .map(|(point, number)| *point * number)
            .sum()
    }

    fn agrees_with_adding_one_by_one<P: Curve>(backend: Backend) {
        let mut random = ark_std::test_rng();
        for count in [0, 1, 2, 3, 7, 64, 65, 300] {
            let (points, numbers) = crowded::<P>(count, &mut random);
            let digits = Digits::new(&numbers, best_window(count));
            let part = Part::new(&points, &digits);
            let expected = one_by_one(&points, &numbers);
            assert_eq!(sum_with(backend, &[part]), expected, "{count} points");
        }
    }

    #[test]
    fn the_sum_is_that_of_adding_one_by_one() {
        agrees_with_adding_one_by_one::<ark_bn254::g1::Config>(Backend::Portable);
        agrees_with_adding_one_by_one::<ark_bn254::g2::Config>(Backend::Portable);
    }

    #[test]
    fn the_wide_sum_is_that_of_adding_one_by_one() {
        if Backend::best() == Backend::Portable {
            // Past the capture of tests that pass: it must be seen.
            let line = b"SKIPPED: no AVX-512 IFMA here: the wide sums\n";
            std::io::Write::write_all(&mut std::io::stderr(), line).expect("a test's output");
            return;
        }
        agrees_with_adding_one_by_one::<ark_bn254::g1::Config>(Backend::best());
        agrees_with_adding_one_by_one::<ark_bn254::g2::Config>(Backend::best());
    }

    #[test]
    fn many_points_give_what_arkworks_gives() {
        let mut random = ark_std::test_rng();
        let (points, numbers) = crowded(5000, &mut random);
        let expected = G1Projective::msm(&points, &numbers).expect("as many points as numbers");
        assert_eq!(msm(&points, &numbers), expected);
    }

    #[test]
    fn parts_are_summed_together() {
        let mut random = ark_std::test_rng();
        let (left, left_numbers) = crowded::<ark_bn254::g1::Config>(100, &mut random);
        let (right, right_numbers) = crowded(50, &mut random);
        let digits = Digits::new(&left_numbers, 6);
        let others = Digits::new(&right_numbers, 6);
        let together = sum(&[Part::new(&left, &digits), Part::new(&right, &others)]);
        let expected = one_by_one(&left, &left_numbers) + one_by_one(&right, &right_numbers);
        assert_eq!(together, expected);
    }
}
