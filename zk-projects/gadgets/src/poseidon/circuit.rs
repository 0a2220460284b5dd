//! Poseidon over wires.

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use ark_relations::gr1cs::SynthesisError;

use super::{Element, parameters, permute};
use crate::wire::{Circuit, Wire};

impl Element for Wire {
    fn add_constant(&mut self, constant: Fr) {
        Wire::add_constant(self, constant);
    }

    fn add_multiple(&mut self, other: &Self, factor: Fr) {
        Wire::add_multiple(self, other, factor);
    }

    fn times(&self, factor: Fr) -> Self {
        Wire::times(self, factor)
    }
}

/// [`super::hash`] of wires.
///
/// # Errors
///
/// Those of arkworks.
///
/// # Panics
///
/// If there are no inputs or more than [`super::MAX_INPUTS`].
pub fn hash_wires(circuit: &Circuit, inputs: &[Wire]) -> Result<Wire, SynthesisError> {
    let state = std::iter::once(Wire::constant(Fr::ZERO)).chain(inputs.iter().cloned());
    permute(parameters(inputs.len()), state.collect(), |x| {
        fifth_power(circuit, &x)
    })
}

/// `x` is on the right where it can be, so that the fourth power is on the left only and costs nothing in G2.
fn fifth_power(circuit: &Circuit, x: &Wire) -> Result<Wire, SynthesisError> {
    let square = circuit.product(x, x)?;
    let fourth = circuit.product(&square, &square)?;
    circuit.product(&fourth, x)
}
