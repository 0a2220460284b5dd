//! Nullifiers: numbers that mark a secret as used without showing it.
//!
//! # What it is
//!
//! | nullifier | of | used for |
//! |---|---|---|
//! | [`scoped`] | a member's secret, within a scope | one vote, one signal for each scope |
//! | [`of_note`] | a note: key, commitment and position | one spending of a note |
//!
//! # What it guarantees
//!
//! There is one nullifier for each scope or note, and who does not know the secret cannot tell nullifiers of one person from those of
//! many. The scope is hashed in, so that what was said in one group cannot be repeated in another. A commitment never passes for a
//! nullifier: the numbers of inputs differ.
//!
//! # What it does not
//!
//! Whoever learns the secret can recognise every nullifier made from it. Keeping the set of used nullifiers is the verifier's work.

use ark_bn254::Fr;
use ark_ff::PrimeField;
use ark_relations::gr1cs::SynthesisError;

use crate::poseidon::{hash, hash_wires};
use crate::wire::{Circuit, Wire};

/// First input of a note's nullifier: the text "keyproof nullifier" as a number. Inner nodes of a tree have four inputs as well, the
/// first of which nobody can make this.
fn tag() -> Fr {
    Fr::from_be_bytes_mod_order(b"keyproof nullifier")
}

/// `hash(secret, scope)`.
#[must_use]
pub fn scoped(secret: Fr, scope: Fr) -> Fr {
    hash(&[secret, scope])
}

/// [`scoped`] of wires.
///
/// # Errors
///
/// Those of arkworks.
pub fn scoped_wires(
    circuit: &Circuit,
    secret: &Wire,
    scope: &Wire,
) -> Result<Wire, SynthesisError> {
    hash_wires(circuit, &[secret.clone(), scope.clone()])
}

/// `hash("keyproof nullifier", secret_key, commitment, position)`: two notes of the same content at two positions have two.
#[must_use]
pub fn of_note(secret_key: Fr, commitment: Fr, position: u64) -> Fr {
    hash(&[tag(), secret_key, commitment, Fr::from(position)])
}

/// [`of_note`] of wires.
///
/// # Errors
///
/// Those of arkworks.
pub fn of_note_wires(
    circuit: &Circuit,
    secret_key: &Wire,
    commitment: &Wire,
    position: &Wire,
) -> Result<Wire, SynthesisError> {
    let inputs = [
        Wire::constant(tag()),
        secret_key.clone(),
        commitment.clone(),
        position.clone(),
    ];
    hash_wires(circuit, &inputs)
}
