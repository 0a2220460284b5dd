//! Sums of points times numbers, beside those of arkworks: `cargo bench -p proof --bench msm`.

use ark_bn254::{Fr, G1Projective, G2Projective};
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::UniformRand;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

fn random<P: SWCurveConfig<ScalarField = Fr>>(count: usize) -> (Vec<Affine<P>>, Vec<Fr>) {
    let mut random = ark_std::test_rng();
    let points: Vec<Projective<P>> = (0..count).map(|_| Projective::rand(&mut random)).collect();
    let numbers = (0..count).map(|_| Fr::rand(&mut random)).collect();
    (Projective::normalize_batch(&points), numbers)
}

fn sums(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("msm");
    group.sample_size(10);
    for count in [1 << 12, 1 << 14] {
        let (points, numbers) = random(count);
        group.bench_function(BenchmarkId::new("g1", count), |bencher| {
            bencher.iter(|| proof::msm::msm(&points, &numbers));
        });
        group.bench_function(BenchmarkId::new("g1 arkworks", count), |bencher| {
            bencher.iter(|| G1Projective::msm(&points, &numbers));
        });
        let (points, numbers) = random(count);
        group.bench_function(BenchmarkId::new("g2", count), |bencher| {
            bencher.iter(|| proof::msm::msm(&points, &numbers));
        });
        group.bench_function(BenchmarkId::new("g2 arkworks", count), |bencher| {
            bencher.iter(|| G2Projective::msm(&points, &numbers));
        });
    }
    group.finish();
}

criterion_group!(benches, sums);
criterion_main!(benches);
