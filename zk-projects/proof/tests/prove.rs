//! Proofs: made, verified, changed, made again from each other.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{Field, UniformRand};
use proof::curve::EncodingError;
use proof::prove::{ProveError, Prover};
use proof::verify::{Proof, Verifier, VerifyError};

use common::{CIRCUITS, constraints, key, outside_of_subgroup, proof_of_snarkjs, seeded, witness};

#[test]
fn proofs_are_accepted_with_their_inputs_and_rejected_with_others() {
    for circuit in CIRCUITS {
        let prover = Prover::new(key(circuit)).unwrap();
        let wires = witness(circuit);
        let proof = prover.prove(&wires, &mut seeded(1)).unwrap();
        let public = prover.public(&wires);
        let verifier = Verifier::new(key(circuit).verifying).unwrap();
        assert_eq!(verifier.verify(public, &proof), Ok(()), "{circuit}");
        for index in 0..public.len() {
            let mut other = public.to_vec();
            other[index] += Fr::from(1);
            assert_eq!(
                verifier.verify(&other, &proof),
                Err(VerifyError::Rejected),
                "{circuit} input {index}"
            );
        }
    }
}

#[test]
fn proofs_of_snarkjs_are_accepted_and_each_changed_point_is_not() {
    for circuit in CIRCUITS {
        let (proof, public) = proof_of_snarkjs(circuit);
        let verifier = Verifier::new(key(circuit).verifying).unwrap();
        assert_eq!(verifier.verify(&public, &proof), Ok(()), "{circuit}");
        let changed = [
            Proof {
                a: -proof.a,
                ..proof
            },
            Proof {
                b: -proof.b,
                ..proof
            },
            Proof {
                c: -proof.c,
                ..proof
            },
            Proof {
                a: proof.c,
                c: proof.a,
                ..proof
            },
            Proof {
                a: G1Affine::zero(),
                ..proof
            },
            Proof {
                b: G2Affine::zero(),
                ..proof
            },
            Proof {
                c: G1Affine::zero(),
                ..proof
            },
        ];
        for changed in changed {
            assert_eq!(
                verifier.verify(&public, &changed),
                Err(VerifyError::Rejected),
                "{circuit}"
            );
        }
    }
}

#[test]
fn a_proof_of_one_circuit_is_not_one_of_another() {
    let (proof, public) = proof_of_snarkjs("multiplier");
    let verifier = Verifier::new(key("ranges").verifying).unwrap();
    let inputs = VerifyError::Inputs {
        found: 1,
        expected: 2,
    };
    assert_eq!(verifier.verify(&public, &proof), Err(inputs));
    assert_eq!(
        verifier.verify(&[public[0], Fr::from(7)], &proof),
        Err(VerifyError::Rejected)
    );
}

#[test]
fn an_unsatisfying_witness_gives_no_proof_but_the_constraint_that_it_breaks() {
    let prover = Prover::new(key("ranges")).unwrap();
    let r1cs = constraints("ranges");
    let good = witness("ranges");
    // Wire 5 is the square of the public tag; constraint 1 says so in the order that circom gave them.
    let mut wrong = good.clone();
    wrong[5] += Fr::from(1);
    let expected = r1cs.first_unsatisfied(&wrong).unwrap();
    assert_eq!(
        prover.prove(&wrong, &mut seeded(1)),
        Err(ProveError::Rejected(VerifyError::Rejected))
    );
    assert_eq!(
        prover.prove_constraints(&r1cs, &wrong, &mut seeded(1)),
        Err(ProveError::Unsatisfied(expected))
    );
    assert!(
        prover
            .prove_constraints(&r1cs, &good, &mut seeded(1))
            .is_ok()
    );
}

#[test]
fn every_wire_that_a_constraint_holds_is_held_by_the_proof() {
    let prover = Prover::new(key("ranges")).unwrap();
    let r1cs = constraints("ranges");
    let good = witness("ranges");
    for wire in 1..good.len() {
        let mut wrong = good.clone();
        wrong[wire] += Fr::from(1);
        let expected = r1cs.first_unsatisfied(&wrong).unwrap();
        let verdict = prover.prove_constraints(&r1cs, &wrong, &mut seeded(1));
        assert_eq!(
            verdict,
            Err(ProveError::Unsatisfied(expected)),
            "wire {wire}"
        );
    }
}

#[test]
fn witnesses_of_another_length_or_without_the_constant_are_refused() {
    let prover = Prover::new(key("multiplier")).unwrap();
    let mut wires = witness("multiplier");
    wires.pop();
    assert_eq!(
        prover.prove(&wires, &mut seeded(1)),
        Err(ProveError::Wires {
            found: 3,
            expected: 4
        })
    );
    assert_eq!(
        prover.prove(&[], &mut seeded(1)),
        Err(ProveError::Wires {
            found: 0,
            expected: 4
        })
    );
    let mut wires = witness("multiplier");
    wires[0] = Fr::from(2);
    assert_eq!(
        prover.prove(&wires, &mut seeded(1)),
        Err(ProveError::NoConstant)
    );
    let foreign = prover.prove_constraints(
        &constraints("ranges"),
        &witness("multiplier"),
        &mut seeded(1),
    );
    assert_eq!(foreign, Err(ProveError::ForeignConstraints));
}

#[test]
fn points_off_the_curve_or_outside_of_the_subgroup_are_refused_before_the_pairing() {
    let (proof, public) = proof_of_snarkjs("ranges");
    let verifier = Verifier::new(key("ranges").verifying).unwrap();
    let off_g1 = G1Affine::new_unchecked(proof.a.x, proof.a.x);
    let off_g2 = G2Affine::new_unchecked(proof.b.x, proof.b.x);
    let refused = |name, error| Err(VerifyError::Point { name, error });
    let verify = |proof| verifier.verify(&public, &proof);
    assert_eq!(
        verify(Proof { a: off_g1, ..proof }),
        refused("A", EncodingError::NotOnCurve)
    );
    assert_eq!(
        verify(Proof { b: off_g2, ..proof }),
        refused("B", EncodingError::NotOnCurve)
    );
    assert_eq!(
        verify(Proof { c: off_g1, ..proof }),
        refused("C", EncodingError::NotOnCurve)
    );
    let outside = Proof {
        b: outside_of_subgroup(),
        ..proof
    };
    assert_eq!(verify(outside), refused("B", EncodingError::NotInSubgroup));
    // B plus a point whose order is prime to r changes the bytes and, in some pairings, not the verdict.
    let shifted = Proof {
        b: (proof.b + outside_of_subgroup()).into_affine(),
        ..proof
    };
    assert_eq!(verify(shifted), refused("B", EncodingError::NotInSubgroup));
    let one_of_many = verifier.verify_all(&[(&public, proof), (&public, outside)], &mut seeded(1));
    assert_eq!(
        one_of_many,
        refused("B", EncodingError::NotInSubgroup).map_err(|error| (1, error))
    );
}

/// Z4: a proof identifies nothing. Whoever saw one makes others of the same statement, without the witness.
#[test]
fn a_proof_can_be_made_into_another_one_of_the_same_statement() {
    let (proof, public) = proof_of_snarkjs("ranges");
    let key = key("ranges").verifying;
    let (t, u) = (Fr::rand(&mut seeded(1)), Fr::rand(&mut seeded(2)));
    let scaled = Proof {
        a: (proof.a * t.inverse().unwrap()).into_affine(),
        b: (proof.b * t).into_affine(),
        c: proof.c,
    };
    let shifted = Proof {
        a: proof.a,
        b: (proof.b + key.delta_g2 * u).into_affine(),
        c: (proof.c + proof.a * u).into_affine(),
    };
    let verifier = Verifier::new(key).unwrap();
    for other in [scaled, shifted] {
        assert_ne!(other, proof);
        assert_eq!(verifier.verify(&public, &other), Ok(()));
    }
}

/// Z16: what the randomness adds to A and B, as r and s times the generator.
fn randomness(circuit: &str, proof: &Proof) -> (G1Projective, G2Projective) {
    let (key, wires) = (key(circuit), witness(circuit));
    let a = G1Projective::msm(&key.a_g1, &wires).unwrap() + key.verifying.alpha_g1;
    let b = G2Projective::msm(&key.b_g2, &wires).unwrap() + key.verifying.beta_g2;
    (-a + proof.a, -b + proof.b)
}

#[test]
fn each_proof_is_blinded_by_two_fresh_independent_numbers() {
    let prover = Prover::new(key("multiplier")).unwrap();
    let wires = witness("multiplier");
    let mut random = seeded(1);
    let one = prover.prove(&wires, &mut random).unwrap();
    let other = prover.prove(&wires, &mut random).unwrap();
    assert!(
        one.a != other.a && one.b != other.b && one.c != other.c,
        "randomness was used twice"
    );
    let delta = key("multiplier").delta_g1;
    for proof in [one, other] {
        let (r_delta, s_delta) = randomness("multiplier", &proof);
        assert_ne!(r_delta, G1Projective::default(), "A is not blinded");
        assert_ne!(s_delta, G2Projective::default(), "B is not blinded");
        let in_g1 = Bn254::pairing(r_delta, key("multiplier").verifying.delta_g2);
        assert_ne!(
            in_g1,
            Bn254::pairing(delta, s_delta),
            "r and s are the same"
        );
    }
}

#[test]
fn many_proofs_are_verified_at_once_and_a_wrong_one_is_found() {
    let prover = Prover::new(key("multiplier")).unwrap();
    let verifier = prover.verifier();
    let proofs: Vec<_> = (1..=3_u64)
        .map(|a| {
            let wires = [1, a * 5, a, 5].map(Fr::from);
            (
                prover.public(&wires).to_vec(),
                prover.prove(&wires, &mut seeded(a)).unwrap(),
            )
        })
        .collect();
    let mut all: Vec<_> = proofs
        .iter()
        .map(|(public, proof)| (public.as_slice(), *proof))
        .collect();
    assert_eq!(verifier.verify_all(&all, &mut seeded(9)), Ok(()));
    assert_eq!(verifier.verify_all(&[], &mut seeded(9)), Ok(()));
    // Two wrongs whose errors cancel when they are added up as they are.
    all[1].1.c = (all[1].1.c + key("multiplier").delta_g1).into_affine();
    all[2].1.c = (all[2].1.c - key("multiplier").delta_g1).into_affine();
    assert_eq!(
        verifier.verify_all(&all, &mut seeded(9)),
        Err((1, VerifyError::Rejected))
    );
    all.truncate(1);
    let inputs = VerifyError::Inputs {
        found: 0,
        expected: 1,
    };
    all.push((&[], all[0].1));
    assert_eq!(verifier.verify_all(&all, &mut seeded(9)), Err((1, inputs)));
}
