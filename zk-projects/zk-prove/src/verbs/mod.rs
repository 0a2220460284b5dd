//! What each verb does.

mod applications;
mod audit;
mod ceremony;
mod export;
mod files;
mod inspect;
mod statement;

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use proof::files::json;
use proof::key::Remembered;
use proof::verify::Proof;

use crate::apps::milliseconds;
use crate::args::{Action, Arguments};
use crate::failure::Failure;
use crate::output::Output;
use crate::paths;

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, or accepted.
    Done,
    /// Nothing went wrong, and the answer is no.
    Refused,
}

/// Does what the command line says.
pub(crate) fn run(arguments: Arguments) -> Result<Outcome, Failure> {
    let output = Output::new(arguments.json);
    match arguments.action {
        Action::List => statement::list(output),
        Action::Sample { app } => statement::sample(&app),
        Action::Setup {
            app,
            zkey,
            ptau,
            out,
        } => statement::setup(&app, zkey.as_deref().zip(ptau.as_deref()), &out, output),
        Action::Prove {
            app,
            keys,
            input,
            out,
        } => statement::prove(&app, &keys, &input, &out, output),
        Action::Verify {
            app,
            keys,
            proof,
            public,
        } => statement::verify(&app, &keys, &proof, &public, output),
        Action::Export(what) => export::run(what, output),
        Action::Audit { app, r1cs, wtns } => {
            audit::run(app.as_deref(), r1cs.as_deref(), wtns.as_deref(), output)
        }
        Action::Inspect { file } => inspect::run(&file, output),
        Action::Ptau(verb) => ceremony::ptau(verb, output),
        Action::Zkey(verb) => ceremony::zkey(verb, output),
        Action::Groth16(verb) => files::run(verb, output),
        Action::Demo { app } => crate::demo::run(app.as_deref(), output),
        Action::Mixer(verb) => applications::mixer(verb, output),
        Action::Password(verb) => applications::password(&verb, output),
        Action::Merkle(verb) => applications::merkle(verb, output),
        Action::Token(verb) => applications::token(verb, output),
        Action::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "zk-prove", &mut std::io::stdout());
            Ok(Outcome::Done)
        }
    }
}

/// Where a proof and its public inputs were written.
#[derive(Debug, serde::Serialize)]
struct Written {
    proof: PathBuf,
    public: PathBuf,
}

/// Writes `proof.json` and `public.json` into a directory, which is made if need be. What is there is replaced: a proof can be made again.
fn write_proof(out: &Path, proof: &Proof, public: &[ark_bn254::Fr]) -> Result<Written, Failure> {
    paths::create_dir(out)?;
    let written = Written {
        proof: out.join("proof.json"),
        public: out.join("public.json"),
    };
    let text = json::write_proof(proof);
    paths::write(&written.proof, text.as_bytes())?;
    let text = json::write_public(public);
    paths::write(&written.public, text.as_bytes())?;
    Ok(written)
}

fn read_proof(path: &Path) -> Result<Proof, Failure> {
    json::read_proof(&paths::read(path)?).map_err(Failure::json(path))
}

fn read_public(path: &Path) -> Result<Vec<ark_bn254::Fr>, Failure> {
    json::read_public(&paths::read(path)?).map_err(Failure::json(path))
}

/// Remembers which keys were checked in the user's cache, if they have one.
fn remembered() -> Remembered {
    let of_home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    match cache.filter(|path| path.is_absolute()).or_else(of_home) {
        Some(cache) => Remembered::in_folder(cache.join("zk-prove").join("checked-keys")),
        None => Remembered::nothing(),
    }
}
