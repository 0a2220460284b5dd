//! Keys and inputs of a statement on disk.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use std::fs;
use std::path::Path;

use ark_bn254::Fr;
use ark_relations::gr1cs::{ConstraintSystemRef, LinearCombination, SynthesisError, Variable};
use ark_std::rand::{CryptoRng, RngCore};
use proof::digest::Digest;
use proof::files::zkey;
use proof::input;
use proof::key::{FolderError, KeyError, KeyFolder, Origin, Remembered};
use proof::prove::Prover;
use proof::r1cs::R1cs;
use proof::setup;
use proof::statement::{
    InputError, PrivateInputs, PublicInput, Range, Statement, constraints, witness,
};
use proof::verify::{Verifier, VerifierError, VerifyError};
use serde::{Deserialize, Serialize};

use common::{outside_of_subgroup, seeded};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Public {
    #[serde(with = "proof::decimal")]
    product: Fr,
    #[serde(with = "proof::decimal")]
    small: Fr,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Private {
    #[serde(with = "proof::decimal")]
    factors: [Fr; 2],
}

/// `factors[0] * factors[1] * TIMES = product`. `small` is in no constraint, the statement promises that it is below 2^8.
struct Factors<const TIMES: u64>;

impl<const TIMES: u64> Statement for Factors<TIMES> {
    const NAME: &'static str = "factors";
    const PUBLIC_INPUTS: &'static [PublicInput] = &[
        PublicInput {
            name: "product",
            range: Range::Field,
            chosen_by: "the test",
        },
        PublicInput {
            name: "small",
            range: Range::Bits(8),
            chosen_by: "the test",
        },
    ];
    type Public = Public;
    type Private = Private;

    fn public_inputs(public: &Public) -> Vec<Fr> {
        vec![public.product, public.small]
    }

    fn check(public: &Public, private: &Private) -> Result<(), InputError> {
        if private.factors[0] * private.factors[1] * Fr::from(TIMES) == public.product {
            return Ok(());
        }
        Err(InputError {
            field: "public.product".to_owned(),
            problem: "not the product of the factors".to_owned(),
        })
    }

    fn synthesize(
        system: &ConstraintSystemRef<Fr>,
        public: &Public,
        private: &Private,
    ) -> Result<PrivateInputs, SynthesisError> {
        let product = system.new_input_variable(|| Ok(public.product))?;
        let _unused = system.new_input_variable(|| Ok(public.small))?;
        let left = system.new_witness_variable(|| Ok(private.factors[0]))?;
        let right = system.new_witness_variable(|| Ok(private.factors[1]))?;
        let inputs = PrivateInputs::allocated(system);
        let times =
            |factor: u64, variable: Variable| LinearCombination::from((Fr::from(factor), variable));
        system.enforce_r1cs_constraint(
            || times(TIMES, left),
            || times(1, right),
            || times(1, product),
        )?;
        Ok(inputs)
    }

    fn sample<R: RngCore + CryptoRng>(_: &mut R) -> (Public, Private) {
        let factors = [3, 5].map(Fr::from);
        (
            Public {
                product: Fr::from(15 * TIMES),
                small: Fr::from(255),
            },
            Private { factors },
        )
    }
}

type Ours = Factors<1>;

fn system<S: Statement>() -> R1cs {
    let (public, private) = S::sample(&mut seeded(1));
    constraints::<S>(&public, &private).unwrap()
}

fn written(path: &Path) -> KeyFolder {
    let folder = KeyFolder::new(path.join("keys"));
    let key = setup::local(&system::<Ours>(), &mut seeded(2)).unwrap();
    folder
        .write::<Ours>(&key, &system::<Ours>(), Origin::Demo)
        .unwrap();
    folder
}

/// What differs, according to the error.
fn difference<T: std::fmt::Debug>(result: Result<T, FolderError>) -> &'static str {
    match result.unwrap_err() {
        FolderError::Differs { what, .. } => what,
        other => panic!("{other}"),
    }
}

#[test]
fn keys_are_written_loaded_and_prove_with_ranges_enforced() {
    let place = tempfile::tempdir().unwrap();
    let folder = written(place.path());
    let (prover, manifest) = folder
        .load_prover::<Ours>(&system::<Ours>(), &Remembered::nothing())
        .unwrap();
    assert_eq!((manifest.origin, manifest.contributions), (Origin::Demo, 1));
    let (mut public, private) = Ours::sample(&mut seeded(1));
    let prove = |public: &Public| {
        prover
            .prove(&witness::<Ours>(public, &private).unwrap(), &mut seeded(3))
            .unwrap()
    };

    let (key, _) = folder.load_verifying::<Ours>(&system::<Ours>()).unwrap();
    let verifier = Verifier::of_statement::<Ours>(key).unwrap();
    assert_eq!(
        verifier.verify(&Ours::public_inputs(&public), &prove(&public)),
        Ok(())
    );
    public.small = Fr::from(256);
    let refused = VerifyError::OutOfRange {
        name: "small",
        bits: 8,
    };
    assert_eq!(
        verifier.verify(&Ours::public_inputs(&public), &prove(&public)),
        Err(refused)
    );
}

/// Z11: no constraint uses the input; it is bound all the same.
#[test]
fn an_input_that_no_constraint_uses_cannot_be_changed() {
    let key = setup::local(&system::<Ours>(), &mut seeded(2)).unwrap();
    let prover = Prover::new(key).unwrap();
    let (public, private) = Ours::sample(&mut seeded(1));
    let proof = prover
        .prove(&witness::<Ours>(&public, &private).unwrap(), &mut seeded(3))
        .unwrap();
    for index in 0..2 {
        let mut inputs = Ours::public_inputs(&public);
        inputs[index] -= Fr::from(1);
        assert_eq!(
            prover.verifier().verify(&inputs, &proof),
            Err(VerifyError::Rejected),
            "input {index}"
        );
    }
}

#[test]
fn a_verification_key_of_other_inputs_is_not_taken_for_a_statement() {
    let error = Verifier::of_statement::<Ours>(common::key("multiplier").verifying).unwrap_err();
    assert_eq!(
        error,
        VerifierError::Inputs {
            statement: "factors",
            found: 1,
            expected: 2
        }
    );
}

#[test]
fn keys_are_never_overwritten() {
    let place = tempfile::tempdir().unwrap();
    let folder = written(place.path());
    let before = fs::read(folder.zkey_path::<Ours>()).unwrap();
    let key = setup::local(&system::<Ours>(), &mut seeded(4)).unwrap();
    let again = folder.write::<Ours>(&key, &system::<Ours>(), Origin::Demo);
    assert!(matches!(again, Err(FolderError::Exists(_))), "{again:?}");
    assert_eq!(fs::read(folder.zkey_path::<Ours>()).unwrap(), before);
}

#[test]
fn a_key_from_before_a_change_of_the_circuit_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = written(place.path());
    let changed = system::<Factors<2>>();
    assert_eq!(
        difference(folder.load_prover::<Factors<2>>(&changed, &Remembered::nothing())),
        "circuit"
    );
    assert_eq!(
        difference(folder.load_verifying::<Factors<2>>(&changed)),
        "circuit"
    );
    // The manifest may lie about the circuit; the key's own A and B do not.
    let manifest = fs::read_to_string(folder.manifest_path()).unwrap();
    let lying = manifest.replace(
        &system::<Ours>().digest().to_string(),
        &changed.digest().to_string(),
    );
    assert_ne!(lying, manifest);
    fs::write(folder.manifest_path(), lying).unwrap();
    assert_eq!(
        difference(folder.load_prover::<Factors<2>>(&changed, &Remembered::nothing())),
        "constraints"
    );
}

#[test]
fn a_foreign_manifest_or_exchanged_file_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = written(place.path());
    let manifest = fs::read_to_string(folder.manifest_path()).unwrap();
    for (from, to, what) in [
        ("\"format\": 1", "\"format\": 2", "format"),
        ("\"factors\"", "\"mixer\"", "statement"),
        ("\"bits\": 8", "\"bits\": 9", "public inputs"),
        (
            "\"contributions\": 1",
            "\"contributions\": 2",
            "contributions",
        ),
    ] {
        let other = manifest.replace(from, to);
        assert_ne!(other, manifest, "{from}");
        fs::write(folder.manifest_path(), other).unwrap();
        assert_eq!(
            difference(folder.load_prover::<Ours>(&system::<Ours>(), &Remembered::nothing())),
            what
        );
    }
    fs::write(folder.manifest_path(), &manifest).unwrap();

    let other = tempfile::tempdir().unwrap();
    let key = setup::local(&system::<Ours>(), &mut seeded(4)).unwrap();
    let exchanged = KeyFolder::new(other.path().join("keys"));
    exchanged
        .write::<Ours>(&key, &system::<Ours>(), Origin::Demo)
        .unwrap();
    fs::copy(exchanged.zkey_path::<Ours>(), folder.zkey_path::<Ours>()).unwrap();
    fs::copy(
        exchanged.verification_key_path(),
        folder.verification_key_path(),
    )
    .unwrap();
    assert_eq!(
        difference(folder.load_prover::<Ours>(&system::<Ours>(), &Remembered::nothing())),
        "digest of the file"
    );
    assert_eq!(
        difference(folder.load_verifying::<Ours>(&system::<Ours>())),
        "digest of the file"
    );
}

#[test]
fn the_subgroup_is_checked_once_for_each_file() {
    let place = tempfile::tempdir().unwrap();
    let folder = written(place.path());
    let remembered = Remembered::in_folder(place.path().join("cache/checked"));
    let digest = |folder: &KeyFolder| Digest::of(&fs::read(folder.zkey_path::<Ours>()).unwrap());
    assert!(!remembered.holds(&digest(&folder)));
    folder
        .load_prover::<Ours>(&system::<Ours>(), &remembered)
        .unwrap();
    assert!(remembered.holds(&digest(&folder)));
    assert!(!Remembered::nothing().holds(&digest(&folder)));

    // A key with a point outside, under a manifest that names it.
    let path = folder.zkey_path::<Ours>();
    let before = digest(&folder);
    let mut key = zkey::read(&fs::read(&path).unwrap()).unwrap();
    key.b_g2[3] = outside_of_subgroup();
    let mut bytes = Vec::new();
    zkey::write(&key, &mut bytes).unwrap();
    fs::write(&path, bytes).unwrap();
    let manifest = fs::read_to_string(folder.manifest_path()).unwrap();
    fs::write(
        folder.manifest_path(),
        manifest.replace(&before.to_string(), &digest(&folder).to_string()),
    )
    .unwrap();
    let refused = folder.load_prover::<Ours>(&system::<Ours>(), &remembered);
    assert!(
        matches!(
            refused,
            Err(FolderError::Key {
                source: KeyError::Point { .. },
                ..
            })
        ),
        "{refused:?}"
    );
    assert!(
        !remembered.holds(&digest(&folder)),
        "a refused key is not remembered"
    );
    // What is remembered is not asked again: the point is found nowhere else.
    remembered.add(&digest(&folder));
    assert!(
        folder
            .load_prover::<Ours>(&system::<Ours>(), &remembered)
            .is_ok()
    );
}

#[test]
fn a_key_that_must_not_be_used_is_not_written() {
    let place = tempfile::tempdir().unwrap();
    let folder = KeyFolder::new(place.path().join("keys"));
    let mut key = setup::local(&system::<Ours>(), &mut seeded(2)).unwrap();
    key.ceremony.contributions.clear();
    let refused = folder.write::<Ours>(&key, &system::<Ours>(), Origin::Demo);
    assert!(
        matches!(
            refused,
            Err(FolderError::Key {
                source: KeyError::NoContribution,
                ..
            })
        ),
        "{refused:?}"
    );
    assert!(!folder.zkey_path::<Ours>().exists());
}

fn problem(text: &str) -> (String, String) {
    let InputError { field, problem } = input::read::<Ours>(text.as_bytes()).unwrap_err();
    (field, problem)
}

#[test]
fn inputs_are_written_and_read_again() {
    let (public, private) = Ours::sample(&mut seeded(1));
    let text = input::write::<Ours>(&public, &private, true);
    let again = input::read::<Ours>(text.as_bytes()).unwrap();
    assert!(again.throwaway);
    assert_eq!(
        Ours::public_inputs(&again.public),
        Ours::public_inputs(&public)
    );
    assert_eq!(again.private.factors, private.factors);
    assert!(!format!("{again:?}").contains("factors: ["), "{again:?}");
}

#[test]
fn errors_of_inputs_name_the_field_and_never_the_value() {
    let (public, private) = Ours::sample(&mut seeded(1));
    let text = input::write::<Ours>(&public, &private, false);
    let with = |from: &str, to: &str| {
        let changed = text.replace(from, to);
        assert_ne!(changed, *text, "{from}");
        problem(&changed)
    };
    assert_eq!(with("\"factors\",", "\"mixer\",").0, "statement");
    assert_eq!(
        with("\"15\"", "\"16\""),
        (
            "public.product".to_owned(),
            "not the product of the factors".to_owned()
        )
    );
    for (from, to) in [
        ("\"3\"", "\"hunter2\""),
        ("\"3\"", "\"-1357\""),
        ("\"3\"", "13579"),
        ("\"3\"", "[\"13579\"]"),
        ("\"3\"", "{\"13579\": 1}"),
    ] {
        let (field, problem) = with(from, to);
        assert_eq!(field, "private.factors[0]", "{to}");
        assert!(
            !problem.contains("hunter2") && !problem.contains("1357"),
            "{problem}"
        );
    }
    let (field, problem) = with("\"factors\": [", "\"factors\": \"hunter2\", \"more\": [");
    assert_eq!(field, "private.factors");
    assert!(!problem.contains("hunter2"), "{problem}");
    let (field, problem) = with("\"small\"", "\"tall\"");
    assert_eq!(field, "public.tall");
    assert!(
        problem.contains("expected `product` or `small`"),
        "{problem}"
    );
    let (_, problem) = with("\"throwaway\": false", "\"throwaway\": \"hunter2\"");
    assert!(!problem.contains("hunter2"), "{problem}");
}
