use ark_ec::short_weierstrass::Projective;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, One, UniformRand, Zero};
use ark_std::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::*;

/// Zero and one, small and large numbers, and those around the lengths of halves.
fn numbers(random: &mut impl Rng) -> Vec<Fr> {
    let mut numbers: Vec<Fr> = (0..20_u64).map(Fr::from).collect();
    numbers.extend((0..64).map(|shift| Fr::from(u64::MAX >> shift)));
    let mut power = Fr::one();
    for _ in 0..254 {
        numbers.extend([power - Fr::one(), power, power + Fr::one()]);
        power.double_in_place();
    }
    numbers.extend((0..40).map(|_| Fr::rand(random)));
    let negative: Vec<Fr> = numbers.iter().map(|number| -*number).collect();
    numbers.extend(negative);
    numbers
}

/// Points of which some are infinity, equal or opposite.
fn points<C: Split>(count: usize, random: &mut impl Rng) -> Vec<Affine<C>> {
    let generator = Projective::<C>::from(Affine::generator());
    let point = |index| match index % 6 {
        0 => Projective::zero(),
        1 => generator,
        2 => -generator,
        _ => Projective::rand(random),
    };
    let points: Vec<_> = (0..count).map(point).collect();
    Projective::normalize_batch(&points)
}

fn products_agree<C: Split>(backend: Backend) {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    let mut numbers = numbers(&mut random);
    for lambda in [C::LAMBDA, -C::LAMBDA] {
        let few = (0..20_u64).map(Fr::from);
        numbers.extend(few.flat_map(|few| [few * lambda, few + lambda]));
    }
    let points = points::<C>(numbers.len(), &mut random);
    let pairs = numbers.iter().zip(&points);
    let expected: Vec<_> = pairs.map(|(number, point)| *point * number).collect();
    let expected = Projective::normalize_batch(&expected);
    let factors = numbers.iter().map(|number| Factor::new::<C>(*number));
    let pairs: Vec<_> = factors.zip(points).collect();
    assert!(products_with(backend, &pairs) == expected);
    // No whole block, not even one, and none.
    for count in [77, 33, 3, 0] {
        let products = products_with(backend, &pairs[500..500 + count]);
        assert!(products == expected[500..500 + count], "{count}");
    }
}

fn sums_and_differences_agree<C: Split>(backend: Backend) {
    let mut random = ChaCha20Rng::seed_from_u64(2);
    let few = points::<C>(8, &mut random);
    let with_each = |left: Affine<C>| few.iter().map(move |right| (left, *right));
    let mut pairs: Vec<_> = few.iter().copied().flat_map(with_each).collect();
    pairs.truncate(61);
    let expected: Vec<_> = pairs
        .iter()
        .map(|(left, right)| ((*left + right).into(), (*left - right).into()))
        .collect();
    assert!(sums_and_differences_with(backend, &pairs) == expected);
    assert!(sums_and_differences_with::<C>(backend, &[]).is_empty());
}

fn all_agree(backend: Backend) {
    products_agree::<ark_bn254::g1::Config>(backend);
    products_agree::<ark_bn254::g2::Config>(backend);
    sums_and_differences_agree::<ark_bn254::g1::Config>(backend);
    sums_and_differences_agree::<ark_bn254::g2::Config>(backend);
}

#[test]
fn products_sums_and_differences_are_those_of_the_curve_crate() {
    all_agree(Backend::Portable);
}

#[test]
fn wide_products_sums_and_differences_are_those_of_the_curve_crate() {
    if Backend::best() == Backend::Portable {
        // Past the capture of tests that pass: it must be seen.
        let line = b"SKIPPED: no AVX-512 IFMA here: the wide products\n";
        std::io::Write::write_all(&mut std::io::stderr(), line).expect("a test's output");
        return;
    }
    all_agree(Backend::best());
}

#[test]
fn every_point_is_multiplied_with_its_own_number() {
    let mut random = ChaCha20Rng::seed_from_u64(3);
    let points = points::<ark_bn254::g1::Config>(300, &mut random);
    let products = multiply(&points, |index| Fr::from(index as u64));
    for (index, (point, product)) in points.iter().zip(products).enumerate() {
        assert_eq!(product, *point * Fr::from(index as u64), "{index}");
    }
}
