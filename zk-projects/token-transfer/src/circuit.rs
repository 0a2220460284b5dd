//! The statement as constraints.
//!
//! | part | constraints |
//! |---|---|
//! | public key | 213 |
//! | two inputs: commitment 261, pair 242, path 3,020, nullifier 294, in the tree or 0: 1 | 7,636 |
//! | two outputs: commitment 261 | 522 |
//! | pair, spend, and that they are the public ones | 240 + 297 + 2 |
//! | nullifiers differ | 1 |
//! | six amounts below 2^128 | 774 |
//! | conservation, context | 2 |

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use gadgets::context;
use gadgets::merkle::{PathWires, path_root};
use gadgets::nullifier::of_note_wires;
use gadgets::poseidon::hash_wires;
use gadgets::range::bits;
use gadgets::wire::{Circuit, Wire};
use proof::statement::PrivateInputs;

use crate::statement::{AMOUNT_BITS, Input, Private, Public, public_key};

struct InputWires {
    value: Wire,
    blinding: Wire,
    in_pair: PathWires,
    in_tree: PathWires,
}

impl InputWires {
    fn allocate(circuit: &Circuit, input: &Input, owner: Fr) -> Result<Self, SynthesisError> {
        let commitment = input.commitment(owner);
        let in_pair = input.pair_path();
        let pair = in_pair.root(commitment);
        Ok(Self {
            value: circuit.private(input.value)?,
            blinding: circuit.private(input.blinding)?,
            in_pair: PathWires::allocate(circuit, &in_pair, commitment)?,
            in_tree: PathWires::allocate(circuit, &input.tree_path(), pair)?,
        })
    }

    /// The note's nullifier, once it is constrained to be in the tree or of value 0.
    fn nullifier(
        &self,
        circuit: &Circuit,
        secret_key: &Wire,
        owner: &Wire,
        root: &Wire,
    ) -> Result<Wire, SynthesisError> {
        let contents = [self.value.clone(), owner.clone(), self.blinding.clone()];
        let commitment = hash_wires(circuit, &contents)?;
        let pair = path_root(circuit, &commitment, &self.in_pair)?;
        let computed = path_root(circuit, &pair, &self.in_tree)?;
        let zero = Wire::constant(Fr::ZERO);
        circuit.enforce_product(&computed.minus(root), &self.value, &zero)?;
        let mut position = self.in_pair.position();
        position.add_multiple(&self.in_tree.position(), Fr::from(2));
        of_note_wires(circuit, secret_key, &commitment, &position)
    }
}

pub(crate) fn synthesize(
    system: &ConstraintSystemRef<Fr>,
    public: &Public,
    private: &Private,
) -> Result<PrivateInputs, SynthesisError> {
    let circuit = Circuit::new(system);
    let root = circuit.public(public.root)?;
    let pair = circuit.public(public.pair)?;
    let spend = circuit.public(public.spend)?;
    let context = circuit.public(public.context)?;

    let secret_key = circuit.private(private.secret_key)?;
    let key = public_key(private.secret_key);
    let [first, second] = &private.inputs;
    let first = InputWires::allocate(&circuit, first, key)?;
    let second = InputWires::allocate(&circuit, second, key)?;
    let mut outputs = Vec::with_capacity(2);
    for output in &private.outputs {
        let [value, owner, blinding] =
            [output.value, output.owner, output.blinding].map(|number| circuit.private(number));
        outputs.push([value?, owner?, blinding?]);
    }
    let amount_in = circuit.private(private.amount_in)?;
    let amount_out = circuit.private(private.amount_out)?;
    let inputs = PrivateInputs::allocated(system);

    let owner = hash_wires(&circuit, std::slice::from_ref(&secret_key))?;
    let nullifiers = [
        first.nullifier(&circuit, &secret_key, &owner, &root)?,
        second.nullifier(&circuit, &secret_key, &owner, &root)?,
    ];
    circuit.enforce_nonzero(&nullifiers[0].minus(&nullifiers[1]))?;
    let commitments = [
        hash_wires(&circuit, &outputs[0])?,
        hash_wires(&circuit, &outputs[1])?,
    ];
    circuit.enforce_equal(&hash_wires(&circuit, &commitments)?, &pair)?;
    let [nullifier_0, nullifier_1] = nullifiers;
    let spent = [
        nullifier_0,
        nullifier_1,
        amount_in.clone(),
        amount_out.clone(),
    ];
    circuit.enforce_equal(&hash_wires(&circuit, &spent)?, &spend)?;
    conserve(
        &circuit,
        [&amount_in, &first.value, &second.value],
        [&amount_out, &outputs[0][0], &outputs[1][0]],
    )?;
    context::bind(&circuit, &context)?;
    Ok(inputs)
}

/// What is there before is there after. The sums of three amounts below 2^128 are below 2^130, so that equal in the field means equal.
fn conserve(
    circuit: &Circuit,
    before: [&Wire; 3],
    after: [&Wire; 3],
) -> Result<(), SynthesisError> {
    for amount in before.into_iter().chain(after) {
        bits(circuit, amount, AMOUNT_BITS)?;
    }
    let sum = |amounts: [&Wire; 3]| amounts[0].plus(amounts[1]).plus(amounts[2]);
    circuit.enforce_equal(&sum(before), &sum(after))
}
