//! `list`, `sample`, `setup`, `prove`, `verify`: statements by name.

use std::fmt;
use std::path::{Path, PathBuf};

use proof::key::Origin;
use proof::private_file;
use proof::statement::PublicInput;
use serde::Serialize;

use super::{Outcome, Written, milliseconds, read_proof, read_public, remembered, write_proof};
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::paths;
use crate::statements::{self, App};

#[derive(Serialize)]
struct List(Vec<Entry>);

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    about: &'static str,
    constraints: usize,
    public_inputs: &'static [PublicInput],
}

impl fmt::Display for List {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.0 {
            writeln!(out, "{:<20} {}", entry.name, entry.about)?;
            writeln!(out, "{:<20} {} constraints", "", entry.constraints)?;
            for input in entry.public_inputs {
                let (name, range, by) = (input.name, input.range, input.chosen_by);
                writeln!(out, "{:<20}   {name} ({range}), chosen by {by}", "")?;
            }
        }
        Ok(())
    }
}

pub(super) fn list(output: Output) -> Result<Outcome, Failure> {
    let entry = |app: &&dyn App| {
        let (r1cs, _) = app.sampled()?;
        Ok(Entry {
            name: app.name(),
            about: app.about(),
            constraints: r1cs.constraints(),
            public_inputs: app.public_inputs(),
        })
    };
    let entries: Result<_, Failure> = statements::ALL.iter().map(entry).collect();
    output.print(&List(entries?))?;
    Ok(Outcome::Done)
}

pub(super) fn sample(app: &str) -> Result<Outcome, Failure> {
    output::text(&statements::find(app)?.sample())?;
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct Setup<'a> {
    statement: &'static str,
    directory: &'a Path,
    origin: Origin,
    constraints: usize,
    milliseconds: f64,
}

impl fmt::Display for Setup<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, constraints) = (self.statement, self.constraints);
        let (time, directory) = (self.milliseconds, self.directory.display());
        writeln!(
            out,
            "{name}: a DEMO key for {constraints} constraints in {directory}, {time} ms"
        )?;
        writeln!(
            out,
            "It was made on this machine alone: believe no proof under it that is worth money."
        )?;
        writeln!(
            out,
            "`zk-prove ptau --help` and `zk-prove zkey --help` show how many make a key together."
        )
    }
}

pub(super) fn setup(
    app: &str,
    ceremony: Option<(&Path, &Path)>,
    directory: &Path,
    output: Output,
) -> Result<Outcome, Failure> {
    let app = statements::find(app)?;
    let made = match ceremony {
        Some((zkey, ptau)) => app.adopt(zkey, ptau, directory)?,
        None => app.setup(directory)?,
    };
    output.print(&Setup {
        statement: app.name(),
        directory,
        origin: made.manifest.origin,
        constraints: made.constraints,
        milliseconds: milliseconds(made.took),
    })?;
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct ProveReport {
    statement: &'static str,
    #[serde(flatten)]
    written: Written,
    key: Origin,
    loading_ms: f64,
    witness_ms: f64,
    proving_ms: f64,
}

impl fmt::Display for ProveReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (proof, public) = (self.written.proof.display(), self.written.public.display());
        writeln!(
            out,
            "{}: proved and verified: {proof}, {public}",
            self.statement
        )?;
        let (loading, witness, proving) = (self.loading_ms, self.witness_ms, self.proving_ms);
        writeln!(
            out,
            "key {loading} ms, witness {witness} ms, proof {proving} ms"
        )?;
        note_on_demo(self.key, out)
    }
}

/// A demo key is named as such wherever it is used.
fn note_on_demo(origin: Origin, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    match origin {
        Origin::Demo => writeln!(
            out,
            "The key is a DEMO: whoever made it could forge proofs."
        ),
        Origin::Ceremony => Ok(()),
    }
}

pub(super) fn prove(
    app: &str,
    keys: &Path,
    input: &Path,
    out: &Path,
    output: Output,
) -> Result<Outcome, Failure> {
    let app = statements::find(app)?;
    let document = if input == Path::new("-") {
        zeroize::Zeroizing::new(paths::read(input)?)
    } else {
        private_file::read(input)?
    };
    let proved = app.prove(keys, &remembered(), &document)?;
    let written = write_proof(out, &proved.timed.proof, &proved.timed.public)?;
    output.print(&ProveReport {
        statement: app.name(),
        written,
        key: proved.origin,
        loading_ms: milliseconds(proved.loading),
        witness_ms: milliseconds(proved.timed.witness),
        proving_ms: milliseconds(proved.timed.proving),
    })?;
    Ok(Outcome::Done)
}

/// What a verifier says.
#[derive(Serialize)]
pub(super) struct Verdict {
    pub(super) accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Origin>,
    pub(super) proof: PathBuf,
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = self.proof.display();
        match &self.reason {
            None => writeln!(out, "{proof}: accepted")?,
            Some(reason) => writeln!(out, "{proof}: REFUSED: {reason}")?,
        }
        self.key.map_or(Ok(()), |key| note_on_demo(key, out))
    }
}

impl Verdict {
    pub(super) fn outcome(&self) -> Outcome {
        match self.accepted {
            true => Outcome::Done,
            false => Outcome::Refused,
        }
    }
}

pub(super) fn verify(
    app: &str,
    keys: &Path,
    proof: &Path,
    public: &Path,
    output: Output,
) -> Result<Outcome, Failure> {
    let (verifier, manifest) = statements::find(app)?.verifier(keys)?;
    let result = verifier.verify(&read_public(public)?, &read_proof(proof)?);
    let verdict = Verdict {
        accepted: result.is_ok(),
        reason: result.err().map(|error| error.to_string()),
        key: Some(manifest.origin),
        proof: proof.to_owned(),
    };
    output.print(&verdict)?;
    Ok(verdict.outcome())
}
