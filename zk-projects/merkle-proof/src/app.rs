//! The tree of a group, for members and for a verifier.
//!
//! What it guarantees. Every root that the tree had after an addition stays known. [`Group::accept`] takes one signal of each member in
//! each scope, and records it before it says so.
//!
//! What it does not. It verifies no proof: that comes before [`Group::accept`]. It does not know whose leaves it is given.

use ark_bn254::Fr;
use gadgets::nullifier;
use storage::Engine;
use zk_store::{Batch, NumberSet, StoreError, TreeStore};

use crate::member::Member;
use crate::statement::{Private, Public, PublicValue, TREE, ValuePath, leaf_of};

const LEAVES: TreeStore<3> = TreeStore::new("merkle/leaves", TREE);
/// Leaves that are appended by one batch: with the tree's nodes, within the limits of every engine.
const PIECE: usize = 1 << 12;

/// Why a group's directory refused something.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The leaf is not in the tree.
    #[error("not among the {leaves} leaves of the tree")]
    NotMember {
        /// How many there are.
        leaves: u64,
    },
    /// The proof is for a root that the tree never had.
    #[error("public.root: the tree never had this root")]
    UnknownRoot,
    /// The proof is for another scope.
    #[error("public.scope: the proof is for another scope")]
    ForeignScope,
    /// The member was heard in this scope.
    #[error("public.nullifier: this member was heard in this scope already")]
    Repeated,
}

/// A file of leaves cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LeavesError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: proof::decimal::NumberError,
}

/// The numbers of a file: one on each line, decimal or hexadecimal after `0x`; empty lines and those that begin with `#` are skipped.
///
/// # Errors
///
/// [`LeavesError`].
pub fn read_leaves(text: &str) -> Result<Vec<Fr>, LeavesError> {
    let lines = text.lines().map(str::trim).enumerate();
    let numbers = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read = numbers.map(|(index, line)| {
        proof::decimal::parse(line).map_err(|problem| LeavesError {
            line: index + 1,
            problem,
        })
    });
    read.collect()
}

/// A group's tree in an engine.
#[derive(Debug)]
pub struct Group<E> {
    engine: E,
    heard: NumberSet,
}

impl<E: Engine> Group<E> {
    /// The group that is kept in `engine`.
    pub fn new(engine: E) -> Self {
        Self {
            engine,
            heard: NumberSet::new("merkle/heard"),
        }
    }

    /// How many leaves there are.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn leaves(&self) -> Result<u64, GroupError> {
        Ok(LEAVES.leaves(&self.engine)?)
    }

    /// The root after all leaves.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn root(&self) -> Result<Fr, GroupError> {
        Ok(LEAVES.root(&self.engine)?)
    }

    /// Adds members' leaves (see [`Member::leaf`]) and returns the root after them. Many are added in several batches: after a crash some
    /// of them are there, in order.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn add(&mut self, leaves: &[Fr]) -> Result<Fr, GroupError> {
        for piece in leaves.chunks(PIECE) {
            let mut batch = Batch::new();
            LEAVES.append(&self.engine, piece, &mut batch)?;
            self.engine.write(&batch).map_err(StoreError::from)?;
        }
        self.root()
    }

    /// Adds values of the second mode: their leaves are [`leaf_of`] them.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn add_values(&mut self, values: &[Fr]) -> Result<Fr, GroupError> {
        let leaves: Vec<Fr> = values.iter().map(|value| leaf_of(*value)).collect();
        self.add(&leaves)
    }

    /// What a member proves to be heard.
    ///
    /// # Errors
    ///
    /// [`GroupError::NotMember`]; those of the store.
    pub fn say(
        &self,
        member: &Member,
        scope: Fr,
        signal: Fr,
    ) -> Result<(Public, Private), GroupError> {
        let (root, path) = self.find(member.leaf())?;
        let public = Public {
            root,
            nullifier: nullifier::scoped(member.secret(), scope),
            scope,
            signal,
        };
        let private = Private {
            secret: member.secret(),
            position: path.position,
            path: path.path,
        };
        Ok((public, private))
    }

    /// What proves that a value is in the list.
    ///
    /// # Errors
    ///
    /// [`GroupError::NotMember`]; those of the store.
    pub fn show(&self, value: Fr, signal: Fr) -> Result<(PublicValue, ValuePath), GroupError> {
        let (root, path) = self.find(leaf_of(value))?;
        let public = PublicValue {
            root,
            leaf: value,
            signal,
        };
        Ok((public, path))
    }

    fn find(&self, leaf: Fr) -> Result<(Fr, ValuePath), GroupError> {
        let position = LEAVES.position(&self.engine, leaf)?;
        let position = position.ok_or(GroupError::NotMember {
            leaves: self.leaves()?,
        })?;
        let path = LEAVES.path(&self.engine, position)?;
        let path = ValuePath {
            position,
            path: path.siblings,
        };
        Ok((self.root()?, path))
    }

    /// Takes a member's signal whose proof was verified, in the scope that is open. How many members the root stands for is how many
    /// the signal could be of.
    ///
    /// # Errors
    ///
    /// [`GroupError::ForeignScope`], [`GroupError::UnknownRoot`], [`GroupError::Repeated`]; those of the store.
    pub fn accept(&mut self, public: &Public, scope: Fr) -> Result<u64, GroupError> {
        if public.scope != scope {
            return Err(GroupError::ForeignScope);
        }
        let known = LEAVES.known(&self.engine, public.root)?;
        let members = known.ok_or(GroupError::UnknownRoot)?;
        // A nullifier is of one scope, so one set serves all.
        if self.heard.contains(&self.engine, public.nullifier)? {
            return Err(GroupError::Repeated);
        }
        let mut batch = Batch::new();
        self.heard.insert(&mut batch, public.nullifier);
        self.engine.write(&batch).map_err(StoreError::from)?;
        Ok(members)
    }
}
