//! What a transfer proves.
//!
//! ```text
//! public   root, pair, spend, context
//! private  secret_key, two inputs (value, blinding, place in the tree), two outputs (value, owner, blinding), amount_in, amount_out
//!
//! for each input   commitment = P3(value, P1(secret_key), blinding)
//!                  nullifier  = P4(tag, secret_key, commitment, position)
//!                  value = 0, or root is the root that the path leads to from the pair with commitment at position
//! for each output  commitment = P3(value, owner, blinding)
//! pair    = P2(both output commitments)
//! spend   = P4(both nullifiers, amount_in, amount_out), the nullifiers being different
//! amount_in + values of inputs = values of outputs + amount_out, each of the six below 2^128
//! context takes part (it is squared)
//! ```
//!
//! The position of a note is twice that of its pair, plus one for the second of the pair. An input of value 0 (a dummy) need not be in
//! the tree: it stands where a transfer has one input or none.
//!
//! | input | chosen by | attack | prevented by |
//! |---|---|---|---|
//! | root | the prover, among roots the contract had | notes of a tree of one's own | the contract keeps every root that its tree had |
//! | pair | the prover | making notes without value | conservation; ranges, so that no sum wraps at r |
//! | spend | the contract, from nullifiers and amounts | spending twice, other amounts than paid | the contract hashes them itself; one nullifier for each note and position; the two differ |
//! | context | the contract, from the call | a copied proof with another recipient, relayer, fee, token or ciphertext | the contract hashes all of them, its address and the chain id |
//!
//! The fee is a part of `amount_out`: the contract pays `fee` to the relayer and the rest to the recipient.
//!
//! What can be replayed: a proof, by anyone, with exactly the same effect, once. A second note of the same content has another position
//! and another nullifier.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, PrimeField, UniformRand};
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use ark_std::rand::{CryptoRng, Rng, RngCore};
use gadgets::context::{self, address_word, keccak, number_word};
use gadgets::merkle::{Path, Quaternary, Tree};
use gadgets::nullifier;
use gadgets::poseidon::hash;
use proof::statement::{InputError, PrivateInputs, PublicInput, Statement};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::circuit;

/// The tree of the pairs: 2^20 of them.
pub const TREE: Quaternary = Quaternary::new(10);
/// Bits of an amount.
pub const AMOUNT_BITS: usize = 128;

/// The statement.
#[derive(Debug, Clone, Copy)]
pub struct Transfer;

/// What everybody sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// A root that the tree had.
    #[serde(with = "proof::decimal")]
    pub root: Fr,
    /// Hash of the new commitments.
    #[serde(with = "proof::decimal")]
    pub pair: Fr,
    /// Hash of nullifiers and public amounts.
    #[serde(with = "proof::decimal")]
    pub spend: Fr,
    /// [`Call::context`].
    #[serde(with = "proof::decimal")]
    pub context: Fr,
}

/// A note that is spent.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Amount in the token's smallest unit; 0 for a dummy.
    #[serde(with = "proof::decimal")]
    pub value: Fr,
    /// What hides the value in the commitment.
    #[serde(with = "proof::decimal")]
    pub blinding: Fr,
    /// The other commitment of its pair.
    #[serde(with = "proof::decimal")]
    pub other: Fr,
    /// Twice the position of the pair, plus one for the second of the pair.
    pub position: u64,
    /// The siblings on the way from the pair to the root.
    #[serde(with = "proof::decimal")]
    pub path: Vec<[Fr; 3]>,
}

/// A note that is made.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Amount in the token's smallest unit.
    #[serde(with = "proof::decimal")]
    pub value: Fr,
    /// The owner's public key.
    #[serde(with = "proof::decimal")]
    pub owner: Fr,
    /// What hides the value in the commitment.
    #[serde(with = "proof::decimal")]
    pub blinding: Fr,
}

/// What the prover knows. Wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Private {
    /// The key of both inputs.
    #[serde(with = "proof::decimal")]
    pub secret_key: Fr,
    /// What is spent.
    pub inputs: [Input; 2],
    /// What is made.
    pub outputs: [Output; 2],
    /// What the contract takes from the sender.
    #[serde(with = "proof::decimal")]
    pub amount_in: Fr,
    /// What the contract pays: to the recipient, and the fee.
    #[serde(with = "proof::decimal")]
    pub amount_out: Fr,
}

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Private(..)")
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.secret_key.zeroize();
        for input in &mut self.inputs {
            let numbers = [&mut input.value, &mut input.blinding, &mut input.other];
            numbers.into_iter().for_each(Zeroize::zeroize);
            input.position.zeroize();
            input.path.iter_mut().flatten().for_each(Zeroize::zeroize);
        }
        for output in &mut self.outputs {
            let numbers = [&mut output.value, &mut output.owner, &mut output.blinding];
            numbers.into_iter().for_each(Zeroize::zeroize);
        }
    }
}

/// The public key of a secret key: `P1(secret_key)`.
#[must_use]
pub fn public_key(secret_key: Fr) -> Fr {
    hash(&[secret_key])
}

/// `P3(value, owner, blinding)`.
#[must_use]
pub fn commitment(value: Fr, owner: Fr, blinding: Fr) -> Fr {
    hash(&[value, owner, blinding])
}

impl Input {
    /// The path from the pair to the root.
    pub(crate) fn tree_path(&self) -> Path<3> {
        Path {
            position: self.position >> 1,
            siblings: self.path.clone(),
        }
    }

    /// The path from the commitment to the pair: a tree of two leaves.
    pub(crate) fn pair_path(&self) -> Path<1> {
        Path {
            position: self.position & 1,
            siblings: vec![[self.other]],
        }
    }

    /// The commitment under the owner's public key.
    pub(crate) fn commitment(&self, owner: Fr) -> Fr {
        commitment(self.value, owner, self.blinding)
    }
}

impl Output {
    /// The commitment.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        commitment(self.value, self.owner, self.blinding)
    }
}

impl Private {
    /// What is published of the inputs.
    #[must_use]
    pub fn nullifiers(&self) -> [Fr; 2] {
        let owner = public_key(self.secret_key);
        self.inputs.each_ref().map(|input| {
            nullifier::of_note(self.secret_key, input.commitment(owner), input.position)
        })
    }

    /// What is published of the outputs.
    #[must_use]
    pub fn commitments(&self) -> [Fr; 2] {
        self.outputs.each_ref().map(Output::commitment)
    }

    /// The public inputs that this and a call have.
    #[must_use]
    pub fn public(&self, root: Fr, call: &Call) -> Public {
        let [first, second] = self.nullifiers();
        Public {
            root,
            pair: hash(&self.commitments()),
            spend: hash(&[first, second, self.amount_in, self.amount_out]),
            context: call.context(),
        }
    }
}

/// The call that a proof is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Of the chain.
    pub chain_id: u64,
    /// The shielding contract's address.
    pub contract: [u8; 20],
    /// The token's address.
    pub token: [u8; 20],
    /// Who is paid what goes out, less the fee.
    pub recipient: [u8; 20],
    /// Who sends the transaction for the fee; zeros for nobody.
    pub relayer: [u8; 20],
    /// Part of what goes out that the relayer gets.
    pub fee: u128,
    /// The new notes, encrypted to their owners, in the order of the pair.
    pub ciphertexts: [Vec<u8>; 2],
}

impl Call {
    /// `uint256(keccak256(abi.encode(block.chainid, address(this), token, recipient, relayer, fee, keccak256(ciphertext_0),
    /// keccak256(ciphertext_1)))) % r`.
    #[must_use]
    pub fn context(&self) -> Fr {
        let [first, second] = self.ciphertexts.each_ref().map(|bytes| keccak(bytes));
        context::hash(&[
            number_word(self.chain_id.into()),
            address_word(self.contract),
            address_word(self.token),
            address_word(self.recipient),
            address_word(self.relayer),
            number_word(self.fee),
            first,
            second,
        ])
    }
}

impl Statement for Transfer {
    const NAME: &'static str = "token-transfer";

    const PUBLIC_INPUTS: &'static [PublicInput] = &[
        PublicInput::of_field("root", "the prover, among the roots that the contract had"),
        PublicInput::of_field("pair", "the prover"),
        PublicInput::of_field(
            "spend",
            "the contract, from nullifiers and amounts of the call",
        ),
        PublicInput::of_field("context", "the contract, from the call"),
    ];

    type Public = Public;
    type Private = Private;

    fn public_inputs(public: &Public) -> Vec<Fr> {
        vec![public.root, public.pair, public.spend, public.context]
    }

    fn check(public: &Public, private: &Private) -> Result<(), InputError> {
        check_amounts(private)?;
        let owner = public_key(private.secret_key);
        for (index, input) in private.inputs.iter().enumerate() {
            check_input(
                public.root,
                owner,
                &format!("private.inputs[{index}]"),
                input,
            )?;
        }
        let [first, second] = private.nullifiers();
        if first == second {
            return Err(InputError::new("private.inputs", "are the same note"));
        }
        if hash(&private.commitments()) != public.pair {
            return Err(InputError::new(
                "public.pair",
                "is not the hash of the outputs' commitments",
            ));
        }
        if hash(&[first, second, private.amount_in, private.amount_out]) != public.spend {
            let problem = "is not the hash of the inputs' nullifiers and the amounts";
            return Err(InputError::new("public.spend", problem));
        }
        Ok(())
    }

    fn synthesize(
        system: &ConstraintSystemRef<Fr>,
        public: &Public,
        private: &Private,
    ) -> Result<PrivateInputs, SynthesisError> {
        circuit::synthesize(system, public, private)
    }

    fn sample<R: RngCore + CryptoRng>(random: &mut R) -> (Public, Private) {
        sample(random)
    }
}

fn check_amounts(private: &Private) -> Result<(), InputError> {
    let [first, second] = &private.inputs;
    let [third, fourth] = &private.outputs;
    for (field, amount) in [
        ("private.inputs[0].value", first.value),
        ("private.inputs[1].value", second.value),
        ("private.outputs[0].value", third.value),
        ("private.outputs[1].value", fourth.value),
        ("private.amount_in", private.amount_in),
        ("private.amount_out", private.amount_out),
    ] {
        if amount.into_bigint().num_bits() > AMOUNT_BITS as u32 {
            return Err(InputError::new(field, "is not below 2^128"));
        }
    }
    let spent = private.amount_in + first.value + second.value;
    if spent != third.value + fourth.value + private.amount_out {
        let problem = "what comes in and is spent is not what is made and goes out";
        return Err(InputError::new("private.outputs", problem));
    }
    Ok(())
}

fn check_input(root: Fr, owner: Fr, field: &str, input: &Input) -> Result<(), InputError> {
    let shape = TREE.check_path(input.position >> 1, &input.path);
    shape.map_err(|error| {
        InputError::new(format!("{field}.{}", error.field()), error.to_string())
    })?;
    let pair = input.pair_path().root(input.commitment(owner));
    if input.value != Fr::ZERO && input.tree_path().root(pair) != root {
        let problem = "does not lead to public.root from this note";
        return Err(InputError::new(format!("{field}.path"), problem));
    }
    Ok(())
}

/// One or two notes of one owner are spent, the second may be a dummy.
fn sample<R: RngCore + CryptoRng>(random: &mut R) -> (Public, Private) {
    let secret_key = Fr::rand(random);
    let owner = public_key(secret_key);
    let second: u64 = if random.r#gen() { random.r#gen() } else { 0 };
    let values = [random.r#gen::<u64>(), second].map(Fr::from);
    let blindings = [Fr::rand(random), Fr::rand(random)];
    let others = [Fr::rand(random), Fr::rand(random)];
    let sides: [u64; 2] = [random.gen_range(0..2), random.gen_range(0..2)];
    let notes = [0, 1].map(|i| Input {
        value: values[i],
        blinding: blindings[i],
        other: others[i],
        position: sides[i],
        path: Vec::new(),
    });
    let mut leaves: Vec<Fr> = (0..random.gen_range(0..9))
        .map(|_| Fr::rand(random))
        .collect();
    let first = leaves.len() as u64;
    leaves.extend(
        notes
            .each_ref()
            .map(|note| note.pair_path().root(note.commitment(owner))),
    );
    let mut tree = Tree::new(TREE);
    tree.append(&leaves).expect("there is room for ten leaves");
    let mut at = first..;
    let inputs = notes.map(|note| {
        let position = at.next().expect("a range without end");
        let path = tree.path(position).expect("the leaf was appended");
        Input {
            position: 2 * position + note.position,
            path: path.siblings,
            ..note
        }
    });
    let (amount_in, amount_out) = (
        Fr::from(random.r#gen::<u32>()),
        Fr::from(random.gen_range(0..1000_u32)),
    );
    let change = Fr::from(random.gen_range(0..1000_u32));
    let total = values[0] + values[1] + amount_in;
    let outputs = [total - amount_out - change, change].map(|value| Output {
        value,
        owner: Fr::rand(random),
        blinding: Fr::rand(random),
    });
    let private = Private {
        secret_key,
        inputs,
        outputs,
        amount_in,
        amount_out,
    };
    let call = Call {
        chain_id: 31_337,
        contract: random.r#gen(),
        token: random.r#gen(),
        recipient: random.r#gen(),
        relayer: random.r#gen(),
        fee: 0,
        ciphertexts: [vec![1; 96], vec![2; 96]],
    };
    (private.public(tree.root(), &call), private)
}
