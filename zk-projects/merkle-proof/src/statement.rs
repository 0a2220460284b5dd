//! What a member proves.
//!
//! ```text
//! public   root, nullifier, scope, signal
//! private  secret, position, path
//!
//! root      = the root that path leads to from P1(secret) at position, arity 4, depth 16
//! nullifier = P2(secret, scope)
//! signal    takes part (it is squared)
//! ```
//!
//! | input | chosen by | attack | prevented by |
//! |---|---|---|---|
//! | root | the prover, among roots the verifier knows | a tree of one's own | the verifier looks it up |
//! | nullifier | the member and the scope | saying two things in one scope; what was said in one scope repeated in another | the verifier keeps the set; the scope is hashed in |
//! | scope | the verifier | a scope nobody asked for | the verifier compares it |
//! | signal | the member | a copied proof with another signal | it takes part |
//! | leaf | the member, when joining | a proof by someone who has the list of leaves | the leaf is a hash; its secret must be known |
//! | position, path | the tree | a path to a leaf that is not there; an inner node as a leaf | bits are bits; lengths are fixed; one input against four |
//!
//! What can be replayed: a proof, by anyone, with exactly the same effect, once for each verifier that keeps a set of its own. Where
//! there are several, the scope must name the verifier.
//!
//! # The second mode
//!
//! ```text
//! public   root, leaf, signal
//! private  position, path
//!
//! root = the root that path leads to from P1(leaf) at position
//! ```
//!
//! It shows that a value is in the list, and takes a path of 16 levels off the verifier's work. Everybody who has the list can prove it for
//! every value: it authenticates nobody, has no nullifier, and hides only the position.

use ark_bn254::Fr;
use ark_ff::UniformRand;
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use ark_std::rand::{CryptoRng, Rng, RngCore};
use gadgets::merkle::{Path, Quaternary, Tree};
use gadgets::nullifier;
use gadgets::poseidon::hash;
use proof::statement::{InputError, PrivateInputs, PublicInput, Statement};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::circuit;

/// The tree: 2^32 leaves.
pub const TREE: Quaternary = Quaternary::new(16);

/// A member says something, once for each scope.
#[derive(Debug, Clone, Copy)]
pub struct Membership;

/// A value is in the list.
#[derive(Debug, Clone, Copy)]
pub struct PublicMembership;

/// What everybody sees of a member's proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// A root that the tree had.
    #[serde(with = "proof::decimal")]
    pub root: Fr,
    /// Marks the member as heard in this scope.
    #[serde(with = "proof::decimal")]
    pub nullifier: Fr,
    /// In which scope.
    #[serde(with = "proof::decimal")]
    pub scope: Fr,
    /// What is said.
    #[serde(with = "proof::decimal")]
    pub signal: Fr,
}

/// What a member knows. Wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Private {
    /// What the leaf commits to.
    #[serde(with = "proof::decimal")]
    pub secret: Fr,
    /// Which leaf it is.
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
        self.secret.zeroize();
        self.position.zeroize();
        self.path.iter_mut().flatten().for_each(Zeroize::zeroize);
    }
}

/// What everybody sees of a value's proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicValue {
    /// A root that the tree had.
    #[serde(with = "proof::decimal")]
    pub root: Fr,
    /// The value.
    #[serde(with = "proof::decimal")]
    pub leaf: Fr,
    /// What is said.
    #[serde(with = "proof::decimal")]
    pub signal: Fr,
}

/// Where a value is.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValuePath {
    /// Which leaf it is.
    pub position: u64,
    /// The siblings on the way to the root, from the leaves up.
    #[serde(with = "proof::decimal")]
    pub path: Vec<[Fr; 3]>,
}

impl std::fmt::Debug for ValuePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValuePath(..)")
    }
}

/// What the tree holds of a secret or value: `P1` of it.
#[must_use]
pub fn leaf_of(secret: Fr) -> Fr {
    hash(&[secret])
}

const ROOT: PublicInput = PublicInput::of_field(
    "root",
    "the prover, among the roots that the verifier knows",
);
const SIGNAL: PublicInput = PublicInput::of_field("signal", "the prover");

impl Statement for Membership {
    const NAME: &'static str = "merkle-proof";

    const PUBLIC_INPUTS: &'static [PublicInput] = &[
        ROOT,
        PublicInput::of_field("nullifier", "the member's secret and the scope"),
        PublicInput::of_field("scope", "the verifier"),
        SIGNAL,
    ];

    type Public = Public;
    type Private = Private;

    fn public_inputs(public: &Public) -> Vec<Fr> {
        vec![public.root, public.nullifier, public.scope, public.signal]
    }

    fn check(public: &Public, private: &Private) -> Result<(), InputError> {
        check_path(public.root, private.secret, private.position, &private.path)?;
        if nullifier::scoped(private.secret, public.scope) != public.nullifier {
            let problem = "is not the hash of private.secret and public.scope";
            return Err(InputError::new("public.nullifier", problem));
        }
        Ok(())
    }

    fn synthesize(
        system: &ConstraintSystemRef<Fr>,
        public: &Public,
        private: &Private,
    ) -> Result<PrivateInputs, SynthesisError> {
        circuit::membership(system, public, private)
    }

    fn sample<R: RngCore + CryptoRng>(random: &mut R) -> (Public, Private) {
        let (secret, scope) = (Fr::rand(random), Fr::rand(random));
        let (root, path) = sample_tree(secret, random);
        let public = Public {
            root,
            nullifier: nullifier::scoped(secret, scope),
            scope,
            signal: Fr::rand(random),
        };
        let private = Private {
            secret,
            position: path.position,
            path: path.siblings,
        };
        (public, private)
    }
}

impl Statement for PublicMembership {
    const NAME: &'static str = "merkle-proof-public";

    const PUBLIC_INPUTS: &'static [PublicInput] =
        &[ROOT, PublicInput::of_field("leaf", "the prover"), SIGNAL];

    type Public = PublicValue;
    type Private = ValuePath;

    fn public_inputs(public: &PublicValue) -> Vec<Fr> {
        vec![public.root, public.leaf, public.signal]
    }

    fn check(public: &PublicValue, private: &ValuePath) -> Result<(), InputError> {
        check_path(public.root, public.leaf, private.position, &private.path)
    }

    fn synthesize(
        system: &ConstraintSystemRef<Fr>,
        public: &PublicValue,
        private: &ValuePath,
    ) -> Result<PrivateInputs, SynthesisError> {
        circuit::public_membership(system, public, private)
    }

    fn sample<R: RngCore + CryptoRng>(random: &mut R) -> (PublicValue, ValuePath) {
        let leaf = Fr::rand(random);
        let (root, path) = sample_tree(leaf, random);
        let public = PublicValue {
            root,
            leaf,
            signal: Fr::rand(random),
        };
        let private = ValuePath {
            position: path.position,
            path: path.siblings,
        };
        (public, private)
    }
}

fn check_path(root: Fr, value: Fr, position: u64, siblings: &[[Fr; 3]]) -> Result<(), InputError> {
    let shape = TREE.check_path(position, siblings);
    shape.map_err(|error| {
        InputError::new(format!("private.{}", error.field()), error.to_string())
    })?;
    let siblings = siblings.to_vec();
    if (Path { position, siblings }).root(leaf_of(value)) != root {
        let problem = "does not lead to public.root from this leaf";
        return Err(InputError::new("private.path", problem));
    }
    Ok(())
}

fn sample_tree<R: RngCore>(value: Fr, random: &mut R) -> (Fr, Path<3>) {
    let mut leaves: Vec<Fr> = (0..random.gen_range(0..20))
        .map(|_| Fr::rand(random))
        .collect();
    let position = leaves.len() as u64;
    leaves.push(leaf_of(value));
    leaves.extend((0..random.gen_range(0..5)).map(|_| Fr::rand(random)));
    let mut tree = Tree::new(TREE);
    tree.append(&leaves).expect("there is room for 25 leaves");
    let path = tree.path(position).expect("the leaf was appended");
    (tree.root(), path)
}
