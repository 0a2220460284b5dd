//! Keys that must not be used, each made from a good one.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup};
use proof::curve::EncodingError;
use proof::files::{json, zkey};
use proof::key::{Element, KeyError, ProvingKey, ShapeError, VerifyingKey};
use proof::prove::Prover;
use proof::verify::{Proof, Verifier};

use common::{CIRCUITS, golden, key, outside_of_subgroup};

/// Neither proves, nor verifies, nor is exported.
fn assert_refused(key: &ProvingKey, error: &KeyError) {
    assert_eq!(Prover::new(key.clone()).unwrap_err(), *error);
    assert_verification_refused(&key.verifying, error);
}

fn assert_verification_refused(key: &VerifyingKey, error: &KeyError) {
    assert_eq!(Verifier::new(key.clone()).unwrap_err(), *error);
    assert_eq!(json::write_verifying_key(key).unwrap_err(), *error);
}

fn changed(change: impl FnOnce(&mut ProvingKey)) -> ProvingKey {
    let mut key = key("ranges");
    change(&mut key);
    key
}

#[test]
fn keys_with_contributions_are_good() {
    for circuit in CIRCUITS {
        for file in ["contributed.zkey", "final.zkey"] {
            let key = zkey::read(&golden(circuit, file)).unwrap();
            assert_eq!(key.check(), Ok(()), "{circuit}/{file}");
            assert_eq!(key.check_subgroup(), Ok(()), "{circuit}/{file}");
        }
    }
}

/// Z1: what makes a key without a contribution dangerous, and that it is refused everywhere.
#[test]
fn a_fresh_key_of_snarkjs_lets_anyone_forge_and_is_refused() {
    let fresh = zkey::read(&golden("ranges", "fresh.zkey")).unwrap();
    let key = &fresh.verifying;
    let inputs = [1_u64, 666, 667].map(Fr::from);
    let sum = key
        .ic
        .iter()
        .zip(inputs)
        .fold(G1Affine::zero().into_group(), |sum, (point, input)| {
            sum + *point * input
        });
    let forged = Proof {
        a: key.alpha_g1,
        b: key.beta_g2,
        c: (-sum).into_affine(),
    };
    let left = Bn254::pairing(forged.a, forged.b);
    let right = Bn254::multi_pairing(
        [key.alpha_g1, sum.into_affine(), forged.c],
        [key.beta_g2, key.gamma_g2, key.delta_g2],
    );
    assert_eq!(left, right, "the equation holds for inputs out of the blue");
    assert_refused(&fresh, &KeyError::GammaEqualsDelta);
}

#[test]
fn gamma_equal_to_delta_is_refused_whatever_both_are() {
    let key = changed(|key| key.verifying.gamma_g2 = key.verifying.delta_g2);
    assert_refused(&key, &KeyError::GammaEqualsDelta);
}

#[test]
fn identities_are_refused() {
    let identity = |element, change: fn(&mut ProvingKey)| {
        assert_refused(&changed(change), &KeyError::Identity(element));
    };
    identity(Element::Alpha, |key| {
        key.verifying.alpha_g1 = G1Affine::zero();
    });
    identity(Element::Beta, |key| {
        key.verifying.beta_g2 = G2Affine::zero();
    });
    identity(Element::Gamma, |key| {
        key.verifying.gamma_g2 = G2Affine::zero();
    });
    identity(Element::Delta, |key| {
        key.verifying.delta_g2 = G2Affine::zero();
    });
}

/// Z11: with the identity as its point, the input's value would not matter.
#[test]
fn an_input_whose_point_is_the_identity_is_refused() {
    for index in 0..3 {
        let key = changed(|key| key.verifying.ic[index] = G1Affine::zero());
        assert_refused(&key, &KeyError::Identity(Element::Input(index)));
    }
    let none = changed(|key| key.verifying.ic.clear());
    assert_refused(&none, &KeyError::Shape(ShapeError::NoConstant));
}

/// Z11: the rows that the setup adds are what gives an unused input its point.
#[test]
fn a_key_without_the_rows_of_its_inputs_cannot_prove() {
    let refused = |change: fn(&mut ProvingKey)| {
        let key = changed(change);
        assert_eq!(
            Prover::new(key).unwrap_err(),
            KeyError::Shape(ShapeError::PublicRows)
        );
    };
    refused(|key| key.coefficients.truncate(key.coefficients.len() - 1));
    refused(|key| key.coefficients.clear());
    refused(|key| key.coefficients.last_mut().unwrap().value = Fr::from(2));
    refused(|key| key.coefficients.last_mut().unwrap().wire = 1);
    refused(|key| {
        let row = key.coefficients.last().unwrap().constraint;
        key.coefficients[0].constraint = row;
    });
}

#[test]
fn secrets_known_to_be_one_are_refused() {
    let known = |element, change: fn(&mut ProvingKey)| {
        assert_refused(&changed(change), &KeyError::KnownSecret(element));
    };
    known(Element::Alpha, |key| {
        key.verifying.alpha_g1 = G1Affine::generator();
    });
    known(Element::Beta, |key| {
        key.verifying.beta_g2 = G2Affine::generator();
    });
    known(Element::Delta, |key| {
        key.verifying.gamma_g2 = (G2Affine::generator() * Fr::from(2)).into_affine();
        key.verifying.delta_g2 = G2Affine::generator();
    });
}

#[test]
fn elements_that_differ_between_the_groups_cannot_prove() {
    let twice = |point: G1Affine| (point * Fr::from(2)).into_affine();
    let delta = changed(|key| {
        key.delta_g1 = twice(key.delta_g1);
        key.ceremony.contributions.last_mut().unwrap().delta_after = key.delta_g1;
    });
    assert_eq!(
        Prover::new(delta).unwrap_err(),
        KeyError::Differs(Element::Delta)
    );
    let beta = changed(|key| key.beta_g1 = twice(key.beta_g1));
    assert_eq!(
        Prover::new(beta).unwrap_err(),
        KeyError::Differs(Element::Beta)
    );
}

#[test]
fn a_key_without_a_recorded_contribution_or_with_a_foreign_one_cannot_prove() {
    let none = changed(|key| key.ceremony.contributions.clear());
    assert_eq!(Prover::new(none).unwrap_err(), KeyError::NoContribution);
    let foreign = changed(|key| drop(key.ceremony.contributions.pop()));
    assert_eq!(
        Prover::new(foreign).unwrap_err(),
        KeyError::ForeignContribution
    );
}

/// Z12.
#[test]
fn points_off_the_curve_or_outside_of_the_subgroup_are_refused_in_a_key() {
    let refused = |element, error, change: fn(&mut ProvingKey)| {
        assert_refused(&changed(change), &KeyError::Point { element, error });
    };
    refused(Element::Alpha, EncodingError::NotOnCurve, |key| {
        key.verifying.alpha_g1.x = key.verifying.alpha_g1.y;
    });
    refused(Element::Beta, EncodingError::NotOnCurve, |key| {
        key.verifying.beta_g2.x = key.verifying.beta_g2.y;
    });
    refused(Element::Input(1), EncodingError::NotOnCurve, |key| {
        key.verifying.ic[1].x = key.verifying.ic[1].y;
    });
    refused(Element::Beta, EncodingError::NotInSubgroup, |key| {
        key.verifying.beta_g2 = outside_of_subgroup();
    });
    refused(Element::Gamma, EncodingError::NotInSubgroup, |key| {
        key.verifying.gamma_g2 = outside_of_subgroup();
    });
    refused(Element::Delta, EncodingError::NotInSubgroup, |key| {
        key.verifying.delta_g2 = outside_of_subgroup();
    });
    let wire = changed(|key| key.b_g2[7] = outside_of_subgroup());
    let (element, error) = (Element::WireInG2(7), EncodingError::NotInSubgroup);
    assert_eq!(
        Prover::new(wire).unwrap_err(),
        KeyError::Point { element, error }
    );
}

#[test]
fn lengths_that_do_not_fit_together_cannot_prove() {
    let refused = |error, change: fn(&mut ProvingKey)| {
        assert_eq!(
            Prover::new(changed(change)).unwrap_err(),
            KeyError::Shape(error)
        );
    };
    let length = |list, expected| ShapeError::Length {
        list,
        found: expected - 1,
        expected,
    };
    refused(length("A", 22), |key| key.a_g1.truncate(21));
    refused(length("B in G1", 22), |key| key.b_g1.truncate(21));
    refused(length("B in G2", 22), |key| key.b_g2.truncate(21));
    refused(length("L", 19), |key| key.l_g1.truncate(18));
    refused(length("H", 32), |key| key.h_g1.truncate(31));
    refused(ShapeError::Domain(31), |key| key.domain_size = 31);
    refused(ShapeError::Domain(1 << 28), |key| key.domain_size = 1 << 28);
    refused(ShapeError::Coefficient(0), |key| {
        key.coefficients[0].wire = 22;
    });
    refused(ShapeError::Coefficient(1), |key| {
        key.coefficients[1].constraint = 32;
    });
}
