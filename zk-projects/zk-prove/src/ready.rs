//! A statement with its key, ready to be proved.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use ark_bn254::Fr;
use ark_std::rand::rngs::OsRng;
use proof::key::{KeyFolder, Manifest, Origin, Remembered};
use proof::prove::Prover;
use proof::r1cs::R1cs;
use proof::setup;
use proof::statement::{Statement, constraints, witness};
use proof::verify::Proof;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The constraints of a statement, which do not depend on the sample that they are built with.
pub(crate) fn constraints_of<S: Statement>() -> Result<R1cs, Failure> {
    let (public, private) = S::sample(&mut OsRng);
    constraints::<S>(&public, &private).map_err(Failure::Synthesis)
}

/// Makes a demo key for a statement whose constraints are `r1cs`.
pub(crate) fn make_key<S: Statement>(folder: &KeyFolder, r1cs: &R1cs) -> Result<Manifest, Failure> {
    let key = setup::local(r1cs, &mut OsRng)?;
    Ok(folder.write::<S>(&key, r1cs, Origin::Demo)?)
}

/// See the [module](self).
pub(crate) struct Ready<S> {
    pub(crate) r1cs: R1cs,
    pub(crate) prover: Prover,
    pub(crate) origin: Origin,
    statement: PhantomData<fn() -> S>,
}

/// A proof, and how long it took.
pub(crate) struct Timed {
    pub(crate) proof: Proof,
    pub(crate) public: Vec<Fr>,
    pub(crate) witness: Duration,
    /// With the verification that is part of proving.
    pub(crate) proving: Duration,
}

impl<S: Statement> Ready<S> {
    /// Loads the key of a folder.
    pub(crate) fn load(
        folder: &KeyFolder,
        r1cs: R1cs,
        remembered: &Remembered,
    ) -> Result<Self, Failure> {
        let (prover, manifest) = folder.load_prover::<S>(&r1cs, remembered)?;
        Ok(Self {
            r1cs,
            prover,
            origin: manifest.origin,
            statement: PhantomData,
        })
    }

    /// Proves an input, after the statement's own check, which says in the user's terms what is wrong.
    pub(crate) fn prove(&self, public: &S::Public, private: &S::Private) -> Result<Timed, Failure> {
        S::check(public, private)?;
        let began = Instant::now();
        let wires = Zeroizing::new(witness::<S>(public, private).map_err(Failure::Synthesis)?);
        let calculated = Instant::now();
        let proof = self
            .prover
            .prove_constraints(&self.r1cs, &wires, &mut OsRng)?;
        Ok(Timed {
            proof,
            public: self.prover.public(&wires).to_vec(),
            witness: calculated - began,
            proving: calculated.elapsed(),
        })
    }
}
