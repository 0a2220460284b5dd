//! What every statement must do, as one suite of checks that its tests call (they panic like assertions).
//!
//! # What it is
//!
//! | check | what a failure means |
//! |---|---|
//! | [`samples_are_accepted`] | an honest prover is refused, or JSON loses something |
//! | [`shape_is_fixed`] | the circuit depends on values: keys would not fit |
//! | [`public_names_are_the_statements`] | JSON, contract and proof could disagree about the order |
//! | [`changed_public_inputs_are_refused`] | a public input is not bound (Z5, Z11, Z14) |
//! | [`changed_private_inputs_are_refused`] | a private input is free |
//! | [`inputs_determine_every_wire`] | a wire can be chosen (Z7, Z8, Z9), or a public input is not what the private ones make it |
//! | [`no_constraint_is_redundant`] | a constraint says nothing |
//! | [`a_proof_holds_for_its_inputs_only`] | the same, through setup, prover and verifier |
//!
//! # How it works
//!
//! A public input is changed in the witness and nothing else, as by someone who saw a proof. A private input is changed in the JSON
//! document, and the whole witness is computed again, as by a prover who tries another value.
//!
//! [`contract`] has the stage on which a statement's proofs meet its contract.

pub mod contract;

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use proof::audit::{Kernel, Scope, audit, redundant};
use proof::prove::Prover;
use proof::r1cs::R1cs;
use proof::statement::{PublicInput, Range, Statement, constraints, witness};
use proof::verify::Proof;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

/// An input of a statement.
pub type Input<S> = (<S as Statement>::Public, <S as Statement>::Private);

/// The sample of a seed.
#[must_use]
pub fn sample<S: Statement>(seed: u64) -> Input<S> {
    S::sample(&mut ChaCha20Rng::seed_from_u64(seed))
}

/// The constraints of a sample and the first one that an input does not satisfy.
///
/// # Panics
///
/// If synthesis fails.
#[must_use]
pub fn unsatisfied<S: Statement>(input: &Input<S>) -> Option<usize> {
    let (constraints, wires) = synthesised::<S>(input);
    constraints.first_unsatisfied(&wires)
}

fn synthesised<S: Statement>((public, private): &Input<S>) -> (R1cs, Vec<Fr>) {
    let constraints = constraints::<S>(public, private).expect("constraints are synthesised");
    let wires = witness::<S>(public, private).expect("the witness is synthesised");
    assert_eq!(
        wires.len(),
        constraints.wires as usize,
        "wires of {}",
        S::NAME
    );
    (constraints, wires)
}

/// Samples of several seeds pass the check, satisfy the constraints, and do so after a round trip through JSON.
///
/// # Panics
///
/// If not.
pub fn samples_are_accepted<S: Statement>() {
    for seed in 0..4 {
        let input = sample::<S>(seed);
        assert_eq!(S::check(&input.0, &input.1), Ok(()), "seed {seed}");
        assert_eq!(unsatisfied::<S>(&input), None, "seed {seed}");
        let public = serde_json::from_value(json(&input.0)).expect("public inputs are read");
        let private = serde_json::from_value(json(&input.1)).expect("private inputs are read");
        assert_eq!(S::public_inputs(&public), S::public_inputs(&input.0));
        assert_eq!(
            synthesised::<S>(&(public, private)).1,
            synthesised::<S>(&input).1
        );
    }
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("inputs are JSON")
}

/// All samples have the same constraints.
///
/// # Panics
///
/// If not.
pub fn shape_is_fixed<S: Statement>() {
    let of = |seed| synthesised::<S>(&sample::<S>(seed)).0;
    let first = of(0);
    for seed in 1..4 {
        assert!(of(seed) == first, "seed {seed} has other constraints");
    }
}

/// The public inputs have the names of the statement, in its order, at most four of them, and none has a range of its own.
///
/// # Panics
///
/// If not.
pub fn public_names_are_the_statements<S: Statement>() {
    let (public, _) = sample::<S>(0);
    let names: Vec<&str> = S::PUBLIC_INPUTS.iter().map(|input| input.name).collect();
    assert!(names.len() <= 4, "at most four public inputs");
    let numbers = S::public_inputs(&public);
    assert_eq!(numbers.len(), names.len());
    let text = serde_json::to_string(&public).expect("public inputs are JSON");
    let value = json(&public);
    let mut from = 0;
    for (PublicInput { name, range, .. }, number) in S::PUBLIC_INPUTS.iter().zip(&numbers) {
        assert_eq!(value[name], Value::String(number.to_string()), "{name}");
        let at = text
            .find(&format!("\"{name}\":"))
            .expect("the field is there");
        assert!(at >= from, "{name} comes too early");
        from = at;
        assert!(
            matches!(range, Range::Field),
            "ranges below r are tested by their statement"
        );
    }
    assert_eq!(
        value.as_object().map(serde_json::Map::len),
        Some(names.len())
    );
}

/// With any public input changed, and nothing else, a witness is none.
///
/// # Panics
///
/// If it still is.
pub fn changed_public_inputs_are_refused<S: Statement>() {
    let (constraints, wires) = synthesised::<S>(&sample::<S>(0));
    for (index, input) in S::PUBLIC_INPUTS.iter().enumerate() {
        for change in [Fr::from(1), -Fr::from(1), -wires[1 + index]] {
            let mut changed = wires.clone();
            changed[1 + index] += change;
            if change != Fr::ZERO {
                let unsatisfied = constraints.first_unsatisfied(&changed);
                assert!(unsatisfied.is_some(), "{} is not bound", input.name);
            }
        }
    }
}

/// With any number of the private document changed, and the witness computed anew, the constraints are not satisfied, and the check
/// names a field; `free` are fields (or their beginnings) that may have several values.
///
/// # Panics
///
/// If some other field may.
pub fn changed_private_inputs_are_refused<S: Statement>(seed: u64, free: &[&str]) {
    let (public, private) = sample::<S>(seed);
    let document = json(&private);
    let (constraints, _) = synthesised::<S>(&sample::<S>(0));
    let mut fields = Vec::new();
    leaves(&document, String::new(), &mut fields);
    assert!(!fields.is_empty());
    for pointer in fields {
        if free.iter().any(|free| pointer.starts_with(free)) {
            continue;
        }
        let mut changed = document.clone();
        let value = changed.pointer_mut(&pointer).expect("the field is there");
        *value = next(value);
        let private: S::Private = serde_json::from_value(changed).expect("a number more is read");
        let wires = witness::<S>(&public, &private).expect("the witness is synthesised");
        let unsatisfied = constraints.first_unsatisfied(&wires);
        assert!(unsatisfied.is_some(), "{pointer} is free");
        let error = S::check(&public, &private).expect_err("the check notices it too");
        assert!(
            !error.field.is_empty(),
            "{pointer}: the error names a field"
        );
    }
}

/// Pointers to all numbers of a document.
fn leaves(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, format!("{pointer}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                leaves(field, format!("{pointer}/{name}"), found);
            }
        }
        _ => found.push(pointer),
    }
}

/// Another value: a number of the field is one more, an integer has its lowest bit changed.
fn next(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let number: Fr = text.parse().expect("strings of the documents are numbers");
            Value::String((number + Fr::from(1)).to_string())
        }
        Value::Number(number) => (number.as_u64().expect("not negative") ^ 1).into(),
        Value::Bool(bit) => (!bit).into(),
        other => panic!("{other} is no number"),
    }
}

/// The audit proves that the inputs determine every other wire and finds nothing else wrong; the private inputs alone determine exactly
/// the public inputs named in `computed`.
///
/// # Panics
///
/// If not, with the audit's report.
pub fn inputs_determine_every_wire<S: Statement>(computed: &[&str]) {
    let (constraints, wires) = synthesised::<S>(&sample::<S>(0));
    let report = audit(&constraints, &Scope::of_statement::<S>(), Some(&wires))
        .expect("the sample satisfies the constraints");
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.kernel, Kernel::Trivial);
    let names: Vec<&str> = report
        .computed
        .iter()
        .map(|wire| report.names[wire].as_str())
        .collect();
    assert_eq!(names, computed, "{report}");
}

/// Without any one constraint, some wire could move near the sample. Not to be asked of constraints among numbers whose bits are
/// constrained: these can only jump, so that near a witness their sum is implied by the bits.
///
/// # Panics
///
/// If a constraint could be left out.
pub fn no_constraint_is_redundant<S: Statement>() {
    let (constraints, wires) = synthesised::<S>(&sample::<S>(0));
    assert_eq!(redundant(&constraints, &wires), Ok(Some(Vec::new())));
}

/// A prover with a new demo key of a statement. Takes seconds for a large one.
///
/// # Panics
///
/// If the setup fails.
#[must_use]
pub fn prover<S: Statement>() -> Prover {
    let mut random = ChaCha20Rng::seed_from_u64(9);
    let (constraints, _) = synthesised::<S>(&sample::<S>(0));
    let key = proof::setup::local(&constraints, &mut random).expect("the setup works");
    Prover::new(key).expect("the key is sound")
}

/// A proof of an input.
///
/// # Panics
///
/// If the statement's check or the constraints refuse it.
#[must_use]
pub fn prove<S: Statement>(prover: &Prover, public: &S::Public, private: &S::Private) -> Proof {
    assert_eq!(S::check(public, private), Ok(()));
    let mut random = ChaCha20Rng::seed_from_u64(10);
    let wires = witness::<S>(public, private).expect("the witness is synthesised");
    prover
        .prove(&wires, &mut random)
        .expect("an input that satisfies the statement can be proved")
}

/// Sets up a key, proves a sample, and verifies with the sample's public inputs and with each of them changed.
///
/// # Panics
///
/// If the proof is refused, or accepted with a changed input.
pub fn a_proof_holds_for_its_inputs_only<S: Statement>() {
    let prover = prover::<S>();
    let (public, private) = sample::<S>(0);
    let proof = prove::<S>(&prover, &public, &private);
    let key = prover.key().verifying.clone();
    let verifier = proof::verify::Verifier::of_statement::<S>(key).expect("the key fits");
    let inputs = S::public_inputs(&public);
    assert_eq!(verifier.verify(&inputs, &proof), Ok(()));
    for (index, input) in S::PUBLIC_INPUTS.iter().enumerate() {
        let mut changed = inputs.clone();
        changed[index] += Fr::from(1);
        assert!(verifier.verify(&changed, &proof).is_err(), "{}", input.name);
    }
}
