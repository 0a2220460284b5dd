//! Ceremonies of powers of tau: that nothing in a file can be changed.

#![allow(clippy::unwrap_used, reason = "a test may stop where it fails")]

mod common;

use ark_bn254::{Fq2, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{FftField, Field};
use common::{golden, seeded};
use proof::curve::Point;
use proof::files::binary::{Sections, Writer};
use proof::files::ptau::{self, List, Powers, PowersContribution, Ptau, SecretProof};
use proof::key::Source;
use proof::setup::powers::{self, InvalidPowers, PowersProblem, Secret};
use proof::setup::{Quiet, SetupError};

/// Powers to which two persons contributed, and then a beacon.
fn three_contributions() -> Powers {
    let mut powers = powers::start(2).unwrap();
    powers::contribute(&mut powers, Some("one"), &mut seeded(1), &Quiet).unwrap();
    powers::contribute(&mut powers, None, &mut seeded(2), &Quiet).unwrap();
    powers::beacon(&mut powers, None, &[7], 10, &Quiet).unwrap();
    powers
}

fn file_of(powers: &Powers) -> Vec<u8> {
    let mut out = Vec::new();
    ptau::write(powers, &mut out).unwrap();
    out
}

fn verified(file: &[u8]) -> Result<(), InvalidPowers> {
    powers::verify(&Ptau::parse(file)?, &mut seeded(1), &Quiet)
}

/// What is wrong with powers once they were changed.
fn changed(powers: &Powers, change: impl FnOnce(&mut Powers)) -> InvalidPowers {
    let mut other = powers.clone();
    change(&mut other);
    assert_ne!(other, *powers);
    verified(&file_of(&other)).unwrap_err()
}

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

#[test]
fn powers_made_here_are_accepted() {
    assert_eq!(verified(&file_of(&three_contributions())), Ok(()));
}

#[test]
fn any_point_that_was_changed_is_refused() {
    let powers = three_contributions();
    type ListOf = fn(&mut Powers) -> &mut Vec<G1Affine>;
    let lists: [ListOf; 3] = [
        |powers| &mut powers.tau_g1,
        |powers| &mut powers.alpha_tau_g1,
        |powers| &mut powers.beta_tau_g1,
    ];
    for list in lists {
        for index in 0..list(&mut powers.clone()).len() {
            let error = changed(&powers, |powers| double(&mut list(powers)[index]));
            assert_eq!(error, InvalidPowers::Response, "{index}");
        }
    }
    for index in 0..powers.tau_g2.len() {
        let error = changed(&powers, |powers| double(&mut powers.tau_g2[index]));
        assert_eq!(error, InvalidPowers::Response, "{index}");
    }
    let error = changed(&powers, |powers| double(&mut powers.beta_g2));
    assert_eq!(error, InvalidPowers::Response);
}

/// Of a file that was cut, no hash over its points can be checked.
#[test]
fn a_file_cannot_claim_that_it_was_cut() {
    let powers = three_contributions();
    let claimed = changed(&powers, |powers| powers.ceremony_power += 1);
    let problem = PowersProblem::Proof(Secret::Tau);
    assert_eq!(claimed, InvalidPowers::Contribution { number: 1, problem });
}

#[test]
fn any_lagrange_point_that_was_changed_is_refused() {
    let file = golden("powers", "prepared.ptau");
    assert_eq!(verified(&file), Ok(()));
    // The file ends with the four lists of Lagrange points, each behind the twelve bytes of its section's header.
    let mut at = file.len() - (15 * 64 + 7 * (128 + 64 + 64)) - 4 * 12;
    for list in List::ALL {
        at += 12;
        let bytes = if list == List::TauG2 { 128 } else { 64 };
        for _ in 0..list.lagrange(2) {
            let mut changed = file.clone();
            // The first point of the list of powers: one of them, but not the Lagrange point that it replaces.
            let other = if list == List::TauG2 {
                montgomery(G2Affine::generator())
            } else {
                montgomery(G1Affine::generator())
            };
            let place = &mut changed[at..at + bytes];
            let was_other = place == other;
            place.copy_from_slice(&other);
            let expected = Err(InvalidPowers::Lagrange { list });
            assert!(
                was_other || verified(&changed) == expected,
                "{list:?} at {at}"
            );
            at += bytes;
        }
    }
    assert_eq!(at, file.len());
}

/// There are no powers of tau for the top coefficient of the largest domain: a change that only this coefficient sees lets whoever prepared
/// the file turn proofs into proofs of other public inputs. It adds `w^i R` to point i.
#[test]
fn a_change_of_the_top_coefficient_of_the_largest_domain_is_refused() {
    let file = golden("powers", "prepared.ptau");
    let root = Fr::get_root_of_unity(8).unwrap();
    let other = G1Affine::generator() * Fr::from(7);
    let largest = file.len() - (15 * 64 + 7 * (128 + 64 + 64)) - 3 * 12 + 7 * 64;
    let mut changed = file.clone();
    for (index, place) in changed[largest..largest + 8 * 64]
        .chunks_mut(64)
        .enumerate()
    {
        let point = G1Affine::read_montgomery(place).unwrap();
        let moved = (point + other * root.pow([index as u64])).into_affine();
        place.copy_from_slice(&montgomery(moved));
    }
    let list = List::TauG1;
    assert_eq!(verified(&changed), Err(InvalidPowers::Lagrange { list }));
}

/// Files cut from a larger ceremony, as they are handed out, do have the power that others lack.
#[test]
fn a_file_that_was_cut_from_a_larger_one_is_accepted() {
    let mut large = powers::start(3).unwrap();
    powers::contribute(&mut large, None, &mut seeded(3), &Quiet).unwrap();
    let mut prepared = Vec::new();
    let file = file_of(&large);
    powers::prepare(&Ptau::parse(&file).unwrap(), &mut prepared, &Quiet).unwrap();
    let sections = Sections::parse("ptau", 1, &prepared).unwrap();
    let content = |number, bytes: Option<usize>| {
        let mut cursor = sections.section(number).unwrap();
        let bytes = bytes.unwrap_or(cursor.left());
        cursor.take(bytes).unwrap().to_vec()
    };
    let mut cut = Writer::new(Vec::new(), "ptau", 1, 11).unwrap();
    let mut header = content(1, None);
    header[36] = 2;
    cut.section(1, &header).unwrap();
    for (number, points, bytes) in [(2, 7, 64), (3, 4, 128), (4, 4, 64), (5, 4, 64)] {
        let section = content(number, Some(points * bytes));
        cut.section(number, &section).unwrap();
    }
    for number in [6, 7] {
        cut.section(number, &content(number, None)).unwrap();
    }
    for (number, points, bytes) in [(12, 15, 64), (13, 7, 128), (14, 7, 64), (15, 7, 64)] {
        let section = content(number, Some(points * bytes));
        cut.section(number, &section).unwrap();
    }
    assert_eq!(verified(&cut.into_inner()), Ok(()));
}

fn montgomery<P: Point>(point: P) -> Vec<u8> {
    let mut out = Vec::new();
    point.write_montgomery(&mut out);
    out
}

/// Bug class Z13: each value that responses and challenges are over, and each that a proof is bound to.
#[test]
fn a_contribution_of_which_anything_was_changed_is_refused() {
    use PowersProblem::{G1, G2, Proof, Subgroup};
    use Secret::{Alpha, Beta, Tau};
    let powers = three_contributions();
    let second = |change: fn(&mut PowersContribution)| {
        let error = changed(&powers, |powers| {
            change(&mut powers.contributions[1]);
        });
        match error {
            InvalidPowers::Contribution { number, problem } => (number, problem),
            other => panic!("{other}"),
        }
    };
    assert_eq!(second(|it| double(&mut it.tau_g1)), (2, G1(Tau)));
    assert_eq!(second(|it| double(&mut it.alpha_g1)), (2, G1(Alpha)));
    assert_eq!(second(|it| double(&mut it.beta_g1)), (2, G1(Beta)));
    assert_eq!(second(|it| double(&mut it.tau_g2)), (2, G2(Tau)));
    assert_eq!(second(|it| double(&mut it.beta_g2)), (2, G2(Beta)));
    assert_eq!(
        second(|it| it.beta_g2 = outside_the_subgroup()),
        (2, Subgroup)
    );
    assert_eq!(
        second(|it| it.tau_g2 = outside_the_subgroup()),
        (2, Subgroup)
    );
    for (secret, proof) in [
        (
            Tau,
            (|it| &mut it.tau) as fn(&mut PowersContribution) -> &mut SecretProof,
        ),
        (Alpha, |it| &mut it.alpha),
        (Beta, |it| &mut it.beta),
    ] {
        let changes: [fn(&mut SecretProof); 3] = [
            |proof| double(&mut proof.g1_s),
            |proof| double(&mut proof.g1_sx),
            |proof| double(&mut proof.g2_spx),
        ];
        for change in changes {
            let error = changed(&powers, |powers| {
                change(proof(&mut powers.contributions[1]));
            });
            let problem = Proof(secret);
            assert_eq!(error, InvalidPowers::Contribution { number: 2, problem });
        }
    }
    // The challenge is what the next one is bound to.
    let error = changed(&powers, |powers| {
        powers.contributions[1].next_challenge[0] ^= 1;
    });
    let problem = Proof(Tau);
    assert_eq!(error, InvalidPowers::Contribution { number: 3, problem });
    let swapped = changed(&powers, |powers| powers.contributions.swap(0, 1));
    let problem = Proof(Tau);
    assert_eq!(swapped, InvalidPowers::Contribution { number: 1, problem });
    let alone = changed(&powers, |powers| drop(powers.contributions.drain(..2)));
    let problem = Proof(Tau);
    assert_eq!(alone, InvalidPowers::Contribution { number: 1, problem });
    let cut = changed(&powers, |powers| drop(powers.contributions.pop()));
    assert_eq!(cut, InvalidPowers::Response);
}

#[test]
fn a_file_without_beta_or_with_more_of_it_is_refused_before_any_point_is_read() {
    let file = file_of(&three_contributions());
    let sections = Sections::parse("ptau", 1, &file).unwrap();
    let with_beta = |beta: Option<&[u8]>| {
        let count = if beta.is_some() { 7 } else { 6 };
        let mut other = Writer::new(Vec::new(), "ptau", 1, count).unwrap();
        for number in 1..=7 {
            let mut cursor = sections.section(number).unwrap();
            let content = cursor.take(cursor.left()).unwrap();
            match (number, beta) {
                (6, None) => {}
                (6, Some(beta)) => other.section(6, beta).unwrap(),
                _ => other.section(number, content).unwrap(),
            }
        }
        other.into_inner()
    };
    let beta = montgomery(three_contributions().beta_g2);
    assert!(Ptau::parse(&with_beta(Some(&beta))).is_ok());
    for wrong in [None, Some(&[][..]), Some(&[&beta[..], &beta].concat())] {
        assert!(Ptau::parse(&with_beta(wrong)).is_err(), "{wrong:?}");
    }
}

#[test]
fn hashes_of_the_last_contribution_that_were_changed_are_refused() {
    let powers = three_contributions();
    let last = |change: fn(&mut PowersContribution)| {
        changed(&powers, |powers| change(&mut powers.contributions[2]))
    };
    assert_eq!(
        last(|it| it.next_challenge[63] ^= 1),
        InvalidPowers::Challenge
    );
    // Of the state: the block, the chain value, how much was compressed, how much is in the block.
    assert_eq!(
        last(|it| it.response_state[0] ^= 1),
        InvalidPowers::Response
    );
    assert_eq!(
        last(|it| it.response_state[128] ^= 1),
        InvalidPowers::Response
    );
    assert_eq!(
        last(|it| it.response_state[192] ^= 1),
        InvalidPowers::Response
    );
    assert_eq!(
        last(|it| it.response_state[200] ^= 1),
        InvalidPowers::Response
    );
    let problem = PowersProblem::State;
    let refused = InvalidPowers::Contribution { number: 3, problem };
    assert_eq!(last(|it| it.response_state[201] ^= 1), refused);
}

#[test]
fn a_beacon_is_the_one_of_its_value() {
    let powers = three_contributions();
    let beacon = |change: fn(&mut u32, &mut Vec<u8>)| {
        let error = changed(&powers, |powers| {
            match &mut powers.contributions[2].source {
                Source::Beacon {
                    iterations_log2,
                    value,
                    ..
                } => change(iterations_log2, value),
                Source::Person { .. } => panic!("the third contribution is a beacon"),
            }
        });
        match error {
            InvalidPowers::Contribution { number: 3, problem } => problem,
            other => panic!("{other}"),
        }
    };
    let refused = PowersProblem::Beacon(Secret::Tau);
    assert_eq!(beacon(|iterations, _| *iterations += 1), refused);
    assert_eq!(beacon(|_, value| value[0] ^= 1), refused);
    let iterations_log2 = 63;
    let refused = SetupError::BeaconIterations { iterations_log2 };
    let refused = PowersProblem::BeaconParameters(refused);
    assert_eq!(beacon(|iterations, _| *iterations = 63), refused);
}

#[test]
fn files_that_are_cut_or_say_other_sizes_are_refused_before_any_point_is_read() {
    let file = golden("powers", "prepared.ptau");
    for length in 0..file.len() {
        assert!(Ptau::parse(&file[..length]).is_err(), "{length}");
    }
    // The header: magic, version, number of sections, number and length of the first; then width, q, power, ceremony's power.
    let power = 24 + 4 + 32;
    for other in [0_u32, 1, 3, 27, 28, u32::MAX] {
        let mut changed = file.clone();
        changed[power..power + 4].copy_from_slice(&other.to_le_bytes());
        assert!(Ptau::parse(&changed).is_err(), "2^{other}");
    }
    for other in [0_u32, 1, 29, u32::MAX] {
        let mut changed = file.clone();
        changed[power + 4..power + 8].copy_from_slice(&other.to_le_bytes());
        assert!(Ptau::parse(&changed).is_err(), "cut from 2^{other}");
    }
    let mut changed = file.clone();
    changed[24 + 4] ^= 1;
    assert!(
        Ptau::parse(&changed)
            .unwrap_err()
            .problem
            .contains("another curve")
    );
}

#[test]
fn powers_that_were_cut_cannot_be_contributed_to() {
    let mut powers = powers::start(2).unwrap();
    powers.ceremony_power = 3;
    let refused = powers::contribute(&mut powers, None, &mut seeded(1), &Quiet);
    assert_eq!(refused, Err(SetupError::Cut));
    for power in [0, 28, u32::MAX] {
        assert_eq!(powers::start(power), Err(SetupError::Power { power }));
    }
}
