//! The statements as constraints.
//!
//! | part | constraints |
//! |---|---|
//! | leaf = P1(secret) | 213 |
//! | path of sixteen levels, and that it leads to the root | 4,832 + 1 |
//! | nullifier = P2(secret, scope) | 240 + 1 |
//! | signal | 1 |

use ark_bn254::Fr;
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use gadgets::context;
use gadgets::merkle::{Path, PathWires, path_root};
use gadgets::nullifier::scoped_wires;
use gadgets::poseidon::hash_wires;
use gadgets::wire::{Circuit, Wire};
use proof::statement::PrivateInputs;

use crate::statement::{Private, Public, PublicValue, ValuePath, leaf_of};

pub(crate) fn membership(
    system: &ConstraintSystemRef<Fr>,
    public: &Public,
    private: &Private,
) -> Result<PrivateInputs, SynthesisError> {
    let circuit = Circuit::new(system);
    let root = circuit.public(public.root)?;
    let nullifier = circuit.public(public.nullifier)?;
    let scope = circuit.public(public.scope)?;
    let signal = circuit.public(public.signal)?;
    let secret = circuit.private(private.secret)?;
    let path = allocate(&circuit, private.secret, private.position, &private.path)?;
    let inputs = PrivateInputs::allocated(system);

    enforce_member(&circuit, &secret, &path, &root)?;
    let computed = scoped_wires(&circuit, &secret, &scope)?;
    circuit.enforce_equal(&computed, &nullifier)?;
    context::bind(&circuit, &signal)?;
    Ok(inputs)
}

pub(crate) fn public_membership(
    system: &ConstraintSystemRef<Fr>,
    public: &PublicValue,
    private: &ValuePath,
) -> Result<PrivateInputs, SynthesisError> {
    let circuit = Circuit::new(system);
    let root = circuit.public(public.root)?;
    let leaf = circuit.public(public.leaf)?;
    let signal = circuit.public(public.signal)?;
    let path = allocate(&circuit, public.leaf, private.position, &private.path)?;
    let inputs = PrivateInputs::allocated(system);

    enforce_member(&circuit, &leaf, &path, &root)?;
    context::bind(&circuit, &signal)?;
    Ok(inputs)
}

fn allocate(
    circuit: &Circuit,
    value: Fr,
    position: u64,
    siblings: &[[Fr; 3]],
) -> Result<PathWires, SynthesisError> {
    let siblings = siblings.to_vec();
    PathWires::allocate(circuit, &Path { position, siblings }, leaf_of(value))
}

fn enforce_member(
    circuit: &Circuit,
    value: &Wire,
    path: &PathWires,
    root: &Wire,
) -> Result<(), SynthesisError> {
    let leaf = hash_wires(circuit, std::slice::from_ref(value))?;
    circuit.enforce_equal(&path_root(circuit, &leaf, path)?, root)
}
