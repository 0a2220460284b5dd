//! The statements by name, with their types forgotten.

use std::marker::PhantomData;
use std::path::Path;
use std::time::{Duration, Instant};

use ark_bn254::Fr;
use ark_std::rand::rngs::OsRng;
use proof::audit::Scope;
use proof::files::ptau::Ptau;
use proof::files::zkey;
use proof::input;
use proof::key::{KeyFolder, Manifest, Origin, Remembered};
use proof::r1cs::R1cs;
use proof::setup;
use proof::statement::{PublicInput, Statement, constraints, witness};
use proof::verify::Verifier;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::paths;
use crate::ready::{Ready, Timed, constraints_of, make_key};

/// A statement that can be proved.
pub(crate) trait App: Sync {
    /// The name by which users call it.
    fn name(&self) -> &'static str;
    /// What it says, in one line.
    fn about(&self) -> &'static str;
    /// Its public inputs in order.
    fn public_inputs(&self) -> &'static [PublicInput];
    /// What the audit is told about it.
    fn scope(&self) -> Scope;
    /// A random input, as a document.
    fn sample(&self) -> Zeroizing<String>;
    /// The constraints, and the wires of a random input.
    fn sampled(&self) -> Result<(R1cs, Zeroizing<Vec<Fr>>), Failure>;
    /// Makes a demo key in a directory.
    fn setup(&self, out: &Path) -> Result<Made, Failure>;
    /// Verifies a ceremony's key against its powers of tau and takes it into a directory.
    fn adopt(&self, zkey: &Path, ptau: &Path, out: &Path) -> Result<Made, Failure>;
    /// Proves an input document with the key in a directory.
    fn prove(&self, keys: &Path, remembered: &Remembered, input: &[u8]) -> Result<Proved, Failure>;
    /// The verifier under the key in a directory.
    fn verifier(&self, keys: &Path) -> Result<(Verifier, Manifest), Failure>;
}

/// A key that was made.
pub(crate) struct Made {
    pub(crate) manifest: Manifest,
    pub(crate) constraints: usize,
    pub(crate) took: Duration,
}

/// A proof that was made.
pub(crate) struct Proved {
    pub(crate) timed: Timed,
    pub(crate) origin: Origin,
    pub(crate) loading: Duration,
}

/// All of them, in the order of the course.
pub(crate) const ALL: &[&dyn App] = &[
    &Of::<password_verifier::Login>::new("log in with a password that the verifier never sees"),
    &Of::<merkle_proof::Membership>::new(
        "say something as a member of a list, once for each topic",
    ),
    &Of::<merkle_proof::PublicMembership>::new("show that a public value is in a list"),
    &Of::<mixer::Withdraw>::new(
        "withdraw from a pool of equal deposits without showing which was yours",
    ),
    &Of::<token_transfer::Transfer>::new(
        "transfer notes of a token without showing amounts or owners",
    ),
];

/// The statement of a name.
pub(crate) fn find(name: &str) -> Result<&'static dyn App, Failure> {
    let found = ALL.iter().find(|app| app.name() == name);
    found
        .copied()
        .ok_or_else(|| Failure::UnknownStatement(name.to_owned()))
}

struct Of<S> {
    about: &'static str,
    statement: PhantomData<fn() -> S>,
}

impl<S: Statement> Of<S> {
    const fn new(about: &'static str) -> Self {
        Self {
            about,
            statement: PhantomData,
        }
    }
}

impl<S: Statement> App for Of<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn public_inputs(&self) -> &'static [PublicInput] {
        S::PUBLIC_INPUTS
    }

    fn scope(&self) -> Scope {
        Scope::of_statement::<S>()
    }

    fn sample(&self) -> Zeroizing<String> {
        let (public, private) = S::sample(&mut OsRng);
        input::write::<S>(&public, &private, true)
    }

    fn sampled(&self) -> Result<(R1cs, Zeroizing<Vec<Fr>>), Failure> {
        let (public, private) = S::sample(&mut OsRng);
        let r1cs = constraints::<S>(&public, &private).map_err(Failure::Synthesis)?;
        let wires = witness::<S>(&public, &private).map_err(Failure::Synthesis)?;
        Ok((r1cs, Zeroizing::new(wires)))
    }

    fn setup(&self, out: &Path) -> Result<Made, Failure> {
        let began = Instant::now();
        let r1cs = constraints_of::<S>()?;
        let manifest = make_key::<S>(&KeyFolder::new(out), &r1cs)?;
        Ok(Made {
            manifest,
            constraints: r1cs.constraints(),
            took: began.elapsed(),
        })
    }

    fn adopt(&self, zkey: &Path, ptau: &Path, out: &Path) -> Result<Made, Failure> {
        let began = Instant::now();
        let r1cs = constraints_of::<S>()?;
        let key = zkey::read(&paths::map(zkey)?).map_err(Failure::format(zkey))?;
        let bytes = paths::map(ptau)?;
        let powers = Ptau::parse(&bytes).map_err(Failure::format(ptau))?;
        setup::verify::verify(&key, &r1cs, &powers, &mut OsRng, &setup::Quiet).map_err(
            |source| Failure::Ceremony {
                path: zkey.to_owned(),
                source,
            },
        )?;
        let manifest = KeyFolder::new(out).write::<S>(&key, &r1cs, Origin::Ceremony)?;
        Ok(Made {
            manifest,
            constraints: r1cs.constraints(),
            took: began.elapsed(),
        })
    }

    fn prove(&self, keys: &Path, remembered: &Remembered, input: &[u8]) -> Result<Proved, Failure> {
        let input = input::read::<S>(input)?;
        let began = Instant::now();
        let folder = KeyFolder::new(keys);
        let ready = Ready::<S>::load(&folder, constraints_of::<S>()?, remembered)?;
        let loading = began.elapsed();
        Ok(Proved {
            timed: ready.prove(&input.public, &input.private)?,
            origin: ready.origin,
            loading,
        })
    }

    fn verifier(&self, keys: &Path) -> Result<(Verifier, Manifest), Failure> {
        let (key, manifest) = KeyFolder::new(keys).load_verifying::<S>(&constraints_of::<S>()?)?;
        Ok((Verifier::of_statement::<S>(key)?, manifest))
    }
}
