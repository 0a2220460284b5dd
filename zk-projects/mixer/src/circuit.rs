//! The statement as constraints: 3,476 of them.
//!
//! | part | constraints |
//! |---|---|
//! | nullifier_hash = P1(nullifier) | 213 + 1 |
//! | commitment = P2(nullifier, secret) | 240 |
//! | path of ten levels: 297 for the hash, 5 to select | 3,020 |
//! | root | 1 |
//! | context | 1 |

use ark_bn254::Fr;
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use gadgets::context;
use gadgets::merkle::{PathWires, path_root};
use gadgets::poseidon::hash_wires;
use gadgets::wire::Circuit;
use proof::statement::PrivateInputs;

use crate::statement::{Private, Public};

pub(crate) fn synthesize(
    system: &ConstraintSystemRef<Fr>,
    public: &Public,
    private: &Private,
) -> Result<PrivateInputs, SynthesisError> {
    let circuit = Circuit::new(system);
    let root = circuit.public(public.root)?;
    let nullifier_hash = circuit.public(public.nullifier_hash)?;
    let context = circuit.public(public.context)?;
    let nullifier = circuit.private(private.nullifier)?;
    let secret = circuit.private(private.secret)?;
    let path = PathWires::allocate(&circuit, &private.tree_path(), private.commitment())?;
    let inputs = PrivateInputs::allocated(system);

    let hash = hash_wires(&circuit, std::slice::from_ref(&nullifier))?;
    circuit.enforce_equal(&hash, &nullifier_hash)?;
    let commitment = hash_wires(&circuit, &[nullifier, secret])?;
    let computed = path_root(&circuit, &commitment, &path)?;
    circuit.enforce_equal(&computed, &root)?;
    context::bind(&circuit, &context)?;
    Ok(inputs)
}
