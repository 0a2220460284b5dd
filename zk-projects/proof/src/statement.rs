//! What can be proved: one type for each statement, from which circuit, contract, command line and tests take the order and meaning
//! of its public inputs.

use std::fmt;

use ark_bn254::Fr;
use ark_ff::Field;
use ark_relations::gr1cs::{
    ConstraintSystem, ConstraintSystemRef, OptimizationGoal, SynthesisError, SynthesisMode,
};
use ark_std::rand::{CryptoRng, RngCore};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::r1cs::R1cs;

/// Which values a public input may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// Any number below r.
    Field,
    /// Any number below 2^bits.
    Bits(u32),
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field => formatter.write_str("any number of the field"),
            Self::Bits(bits) => write!(formatter, "below 2^{bits}"),
        }
    }
}

/// One public input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PublicInput {
    /// Its name, the same in JSON, in the contract and in error messages.
    pub name: &'static str,
    /// Which values it may have. The verifier checks it, whatever the circuit does.
    pub range: Range,
    /// Who chooses it, in a few words: the contract, the prover, whoever deployed.
    pub chosen_by: &'static str,
}

impl PublicInput {
    /// An input that may be any number of the field.
    #[must_use]
    pub const fn of_field(name: &'static str, chosen_by: &'static str) -> Self {
        Self {
            name,
            range: Range::Field,
            chosen_by,
        }
    }
}

/// An input was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InputError {
    /// The field of the JSON input, as a path: `private.path[3]`.
    pub field: String,
    /// What is wrong, without the value: it may be secret.
    pub problem: String,
}

impl InputError {
    /// What is wrong with a field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

/// A statement: public inputs, private inputs, and the circuit that relates them.
pub trait Statement {
    /// The name of the crate, `mixer`, by which the command line knows it.
    const NAME: &'static str;

    /// The public inputs in the order of the proof.
    const PUBLIC_INPUTS: &'static [PublicInput];

    /// The public inputs by name.
    type Public: Serialize + DeserializeOwned;

    /// What only the prover knows. Implementations wipe it when dropped and print nothing of it.
    type Private: Serialize + DeserializeOwned;

    /// The public inputs as numbers, in the order of [`Self::PUBLIC_INPUTS`].
    fn public_inputs(public: &Self::Public) -> Vec<Fr>;

    /// Says in the user's terms what is wrong with an input that the circuit would not be satisfied by.
    ///
    /// # Errors
    ///
    /// [`InputError`] with the field.
    fn check(public: &Self::Public, private: &Self::Private) -> Result<(), InputError>;

    /// Allocates the public inputs in order, then the private ones, calls [`PrivateInputs::allocated`], and constrains them. The
    /// constraints must not depend on values.
    ///
    /// # Errors
    ///
    /// Those of arkworks.
    fn synthesize(
        system: &ConstraintSystemRef<Fr>,
        public: &Self::Public,
        private: &Self::Private,
    ) -> Result<PrivateInputs, SynthesisError>;

    /// An input that satisfies the statement, with secrets of nobody.
    fn sample<R: RngCore + CryptoRng>(random: &mut R) -> (Self::Public, Self::Private);
}

/// How many wires after the public inputs are private inputs: what the prover is free to choose. The audit shows that these and
/// the public inputs determine every other wire, so a wire that is computed must not be among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateInputs(u32);

impl PrivateInputs {
    /// Says that all private wires allocated so far are inputs, and those allocated from here on are not.
    ///
    /// # Panics
    ///
    /// If there are more than 2^32 wires.
    #[must_use]
    pub fn allocated(system: &ConstraintSystemRef<Fr>) -> Self {
        Self(u32::try_from(system.num_witness_variables()).expect("fewer than 2^32 wires"))
    }
}

/// The constraints of a statement.
///
/// # Errors
///
/// Those of its synthesis.
pub fn constraints<S: Statement>(
    public: &S::Public,
    private: &S::Private,
) -> Result<R1cs, SynthesisError> {
    constraints_of(|system| S::synthesize(system, public, private))
}

/// The constraints of a circuit without a statement; `synthesize` does what [`Statement::synthesize`] does.
///
/// # Errors
///
/// Those of its synthesis.
pub fn constraints_of(
    synthesize: impl FnOnce(&ConstraintSystemRef<Fr>) -> Result<PrivateInputs, SynthesisError>,
) -> Result<R1cs, SynthesisError> {
    let system = new_system(SynthesisMode::Setup);
    let PrivateInputs(private_inputs) = synthesize(&system)?;
    system.finalize();
    Ok(R1cs {
        private_inputs,
        ..R1cs::of_constraint_system(&system)?
    })
}

/// The values of all wires for an input: the constant one, the public inputs, everything else.
///
/// Does not check that they satisfy the constraints.
///
/// # Errors
///
/// Those of the statement's synthesis.
pub fn witness<S: Statement>(
    public: &S::Public,
    private: &S::Private,
) -> Result<Vec<Fr>, SynthesisError> {
    witness_of(|system| S::synthesize(system, public, private))
}

/// As [`witness`], of a circuit without a statement.
///
/// # Errors
///
/// Those of its synthesis.
pub fn witness_of(
    synthesize: impl FnOnce(&ConstraintSystemRef<Fr>) -> Result<PrivateInputs, SynthesisError>,
) -> Result<Vec<Fr>, SynthesisError> {
    let system = new_system(SynthesisMode::Prove {
        construct_matrices: false,
        generate_lc_assignments: false,
    });
    synthesize(&system)?;
    let mut wires = system.instance_assignment()?;
    wires.extend(system.witness_assignment()?);
    debug_assert_eq!(wires[0], Fr::ONE);
    Ok(wires)
}

fn new_system(mode: SynthesisMode) -> ConstraintSystemRef<Fr> {
    let system = ConstraintSystem::new_ref();
    system.set_optimization_goal(OptimizationGoal::Constraints);
    system.set_mode(mode);
    system
}
