//! Sums of points times numbers, beside those of arkworks: `cargo bench -p proof --bench msm`.

use ark_bn254::{Fr, G1Projective, G2Projective};
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::UniformRand;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use proof::msm::{Backend, Curve, Digits, Part, best_window, sum_with};

fn random<P: SWCurveConfig<ScalarField = Fr>>(count: usize) -> (Vec<Affine<P>>, Vec<Fr>) {
    let mut random = ark_std::test_rng();
    let points: Vec<Projective<P>> = (0..count).map(|_| Projective::rand(&mut random)).collect();
    let numbers = (0..count).map(|_| Fr::rand(&mut random)).collect();
    (Projective::normalize_batch(&points), numbers)
}

fn msm<P: Curve>(backend: Backend, points: &[Affine<P>], numbers: &[Fr]) -> Projective<P> {
    let digits = Digits::new(numbers, best_window(points.len()));
    sum_with(backend, &[Part::new(points, &digits)])
}

fn sums(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("msm");
    group.sample_size(10);
    for count in [1 << 12, 1 << 14] {
        let (points, numbers) = random(count);
        group.bench_function(BenchmarkId::new("g1 best", count), |bencher| {
            bencher.iter(|| msm(Backend::best(), &points, &numbers));
        });
        group.bench_function(BenchmarkId::new("g1 portable", count), |bencher| {
            bencher.iter(|| msm(Backend::Portable, &points, &numbers));
        });
        group.bench_function(BenchmarkId::new("g1 arkworks", count), |bencher| {
            bencher.iter(|| G1Projective::msm(&points, &numbers));
        });
        let (points, numbers) = random(count);
        group.bench_function(BenchmarkId::new("g2 best", count), |bencher| {
            bencher.iter(|| msm(Backend::best(), &points, &numbers));
        });
        group.bench_function(BenchmarkId::new("g2 portable", count), |bencher| {
            bencher.iter(|| msm(Backend::Portable, &points, &numbers));
        });
        group.bench_function(BenchmarkId::new("g2 arkworks", count), |bencher| {
            bencher.iter(|| G2Projective::msm(&points, &numbers));
        });
    }
    group.finish();
}

criterion_group!(benches, sums);
criterion_main!(benches);
