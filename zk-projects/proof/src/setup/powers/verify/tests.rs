//! That wrong powers are told apart by what is wrong with them.

use ark_bn254::Fq2;
use ark_std::rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::super::{contribute, start};
use super::*;
use crate::files::ptau;
use crate::setup::Quiet;

fn double<P: Point>(point: &mut P)
where
    P::Group: CurveGroup<Affine = P>,
{
    *point = (*point + *point).into_affine();
}

/// A point on the curve of G2 that is not in the subgroup.
fn outside_the_subgroup() -> G2Affine {
    (1_u64..)
        .filter_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
        .find(|point| !point.in_subgroup())
        .unwrap()
}

/// What is wrong with powers whose only contributor changed points and computed all hashes over the wrong ones, as they can.
fn refused_for(change: fn(&mut Powers)) -> InvalidPowers {
    let random = &mut ChaCha20Rng::seed_from_u64(1);
    let mut powers = start(2).unwrap();
    contribute(&mut powers, None, random, &Quiet).unwrap();
    let mut last = powers.contributions.pop().unwrap();
    change(&mut powers);
    let state = response_before_proofs(&first_challenge(2), &powers);
    last.response_state = state.suspend();
    last.next_challenge = next_challenge(&response_hash(&last).unwrap(), &powers);
    powers.contributions.push(last);
    let mut file = Vec::new();
    ptau::write(&powers, &mut file).unwrap();
    verify(&Ptau::parse(&file).unwrap(), random, &Quiet).unwrap_err()
}

#[test]
fn points_that_are_no_powers_are_refused_though_all_hashes_are_over_them() {
    let not = |list| InvalidPowers::NotPowers { list };
    assert_eq!(
        refused_for(|it| double(&mut it.tau_g1[2])),
        not(List::TauG1)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.tau_g1[6])),
        not(List::TauG1)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.tau_g2[2])),
        not(List::TauG2)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.tau_g2[3])),
        not(List::TauG2)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.alpha_tau_g1[1])),
        not(List::AlphaTauG1)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.alpha_tau_g1[3])),
        not(List::AlphaTauG1)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.beta_tau_g1[1])),
        not(List::BetaTauG1)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.beta_tau_g1[3])),
        not(List::BetaTauG1)
    );
}

#[test]
fn powers_that_begin_with_other_secrets_are_refused_though_all_hashes_are_over_them() {
    let not = |list| InvalidPowers::Beginning { list };
    assert_eq!(
        refused_for(|it| double(&mut it.tau_g1[0])),
        not(List::TauG1)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.tau_g1[1])),
        not(List::TauG1)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.tau_g2[0])),
        not(List::TauG2)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.tau_g2[1])),
        not(List::TauG2)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.alpha_tau_g1[0])),
        not(List::AlphaTauG1)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.beta_tau_g1[0])),
        not(List::BetaTauG1)
    );
    assert_eq!(
        refused_for(|it| double(&mut it.beta_g2)),
        InvalidPowers::BetaG2
    );
}

#[test]
fn a_point_outside_the_subgroup_is_refused_though_all_hashes_are_over_it() {
    let list = List::TauG2;
    let error = refused_for(|it| it.tau_g2[3] = outside_the_subgroup());
    assert_eq!(error, InvalidPowers::Subgroup { list });
}
