//! What a withdrawal proves.
//!
//! ```text
//! public   root, nullifier_hash, context
//! private  nullifier, secret, position, path
//!
//! commitment     = P2(nullifier, secret)
//! nullifier_hash = P1(nullifier)
//! root           = the root that path leads to from commitment at position, arity 4, depth 10
//! context        takes part (it is squared)
//! ```
//!
//! Who chooses what, and what keeps it honest:
//!
//! | input | chosen by | attack | prevented by |
//! |---|---|---|---|
//! | root | the prover, among roots the contract had | a tree of one's own | the contract keeps every root that its tree had |
//! | nullifier_hash | the note | withdrawing twice | the contract keeps the set; one note has one |
//! | context | the contract, from the call | a copied proof sent with another recipient, relayer or fee; a proof of another chain or instance | the contract hashes `(chain id, its address, recipient, relayer, fee)` itself |
//! | position, path | the tree | a path to a leaf that is not there | bits of the position are bits; all paths have the same length |
//! | commitment | the depositor | an inner node or an empty leaf as a commitment | two inputs against four; 0 is the hash of nothing known |
//!
//! What can be replayed: a proof, by anyone, with exactly the same effect, once.

use ark_bn254::Fr;
use ark_ff::UniformRand;
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use ark_std::rand::{CryptoRng, Rng, RngCore};
use gadgets::context::{self, address_word, number_word};
use gadgets::merkle::{Path, Quaternary, Tree};
use gadgets::poseidon::hash;
use proof::statement::{InputError, PrivateInputs, PublicInput, Statement};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::circuit;
use crate::note::Note;

/// The tree of the commitments: 2^20 of them.
pub const TREE: Quaternary = Quaternary::new(10);

/// The statement.
#[derive(Debug, Clone, Copy)]
pub struct Withdraw;

/// What everybody sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// A root that the tree had when the deposit was in it.
    #[serde(with = "proof::decimal")]
    pub root: Fr,
    /// Marks the note as spent.
    #[serde(with = "proof::decimal")]
    pub nullifier_hash: Fr,
    /// [`Call::context`].
    #[serde(with = "proof::decimal")]
    pub context: Fr,
}

/// What the prover knows. Wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Private {
    /// The note's first number.
    #[serde(with = "proof::decimal")]
    pub nullifier: Fr,
    /// The note's second number.
    #[serde(with = "proof::decimal")]
    pub secret: Fr,
    /// Which leaf the commitment is.
    pub position: u64,
    /// The siblings on the way to the root, from the leaves up.
    #[serde(with = "proof::decimal")]
    pub path: Vec<[Fr; 3]>,
}

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Private(..)")
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.nullifier.zeroize();
        self.secret.zeroize();
        self.position.zeroize();
        self.path.iter_mut().flatten().for_each(Zeroize::zeroize);
    }
}

impl Private {
    pub(crate) fn commitment(&self) -> Fr {
        hash(&[self.nullifier, self.secret])
    }

    /// The path in the form of the tree.
    pub(crate) fn tree_path(&self) -> Path<3> {
        Path {
            position: self.position,
            siblings: self.path.clone(),
        }
    }
}

/// The call that a proof is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Of the chain.
    pub chain_id: u64,
    /// The mixer's address.
    pub contract: [u8; 20],
    /// Who is paid.
    pub recipient: [u8; 20],
    /// Who sends the transaction for the fee; zeros for nobody, where that is 0.
    pub relayer: [u8; 20],
    /// What the relayer keeps of the denomination, in its smallest unit.
    pub fee: u128,
}

impl Call {
    /// `uint256(keccak256(abi.encode(block.chainid, address(this), recipient, relayer, fee))) % r`.
    #[must_use]
    pub fn context(&self) -> Fr {
        context::hash(&[
            number_word(self.chain_id.into()),
            address_word(self.contract),
            address_word(self.recipient),
            address_word(self.relayer),
            number_word(self.fee),
        ])
    }
}

impl Statement for Withdraw {
    const NAME: &'static str = "mixer";

    const PUBLIC_INPUTS: &'static [PublicInput] = &[
        PublicInput::of_field("root", "the prover, among the roots that the contract had"),
        PublicInput::of_field("nullifier_hash", "the note"),
        PublicInput::of_field("context", "the contract, from the call"),
    ];

    type Public = Public;
    type Private = Private;

    fn public_inputs(public: &Public) -> Vec<Fr> {
        vec![public.root, public.nullifier_hash, public.context]
    }

    fn check(public: &Public, private: &Private) -> Result<(), InputError> {
        let shape = TREE.check_path(private.position, &private.path);
        shape.map_err(|error| {
            InputError::new(format!("private.{}", error.field()), error.to_string())
        })?;
        if hash(&[private.nullifier]) != public.nullifier_hash {
            let problem = "is not the hash of private.nullifier";
            return Err(InputError::new("public.nullifier_hash", problem));
        }
        if private.tree_path().root(private.commitment()) != public.root {
            let problem =
                "does not lead to public.root from this commitment: was the tree rebuilt since?";
            return Err(InputError::new("private.path", problem));
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
        let call = Call {
            chain_id: 31_337,
            contract: random.r#gen(),
            recipient: random.r#gen(),
            relayer: random.r#gen(),
            fee: random.r#gen(),
        };
        let note = Note::random(call.chain_id, call.contract, random);
        let mut leaves: Vec<Fr> = (0..random.gen_range(0..20))
            .map(|_| Fr::rand(random))
            .collect();
        let position = leaves.len() as u64;
        leaves.push(note.commitment());
        leaves.extend((0..random.gen_range(0..5)).map(|_| Fr::rand(random)));
        let mut tree = Tree::new(TREE);
        tree.append(&leaves).expect("there is room for 25 leaves");
        let path = tree.path(position).expect("the leaf was appended");
        (note.public(tree.root(), &call), note.private(path))
    }
}
