//! `inspect`: what is in a file.

use std::fmt;
use std::path::Path;

use proof::files::ptau::Ptau;
use proof::files::{json, r1cs, wtns, zkey};
use proof::key::{ProvingKey, Source, VerifyingKey};
use proof::r1cs::R1cs;
use proof::setup::contribute::{contribution_hash, format_hash};
use serde::Serialize;

use super::Outcome;
use crate::failure::Failure;
use crate::output::Output;
use crate::paths;

/// What a file holds, in the order in which it is shown.
#[derive(Serialize)]
struct Contents {
    kind: &'static str,
    bytes: usize,
    #[serde(flatten)]
    figures: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contributions: Vec<Contributor>,
    /// What a user should know before using the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

#[derive(Serialize)]
struct Contributor {
    name: Option<String>,
    beacon: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

impl Contents {
    fn new(kind: &'static str, bytes: &[u8]) -> Self {
        Self {
            kind,
            bytes: bytes.len(),
            figures: serde_json::Map::new(),
            contributions: Vec::new(),
            warning: None,
        }
    }

    fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.figures.insert(name.to_owned(), value.into());
        self
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}, {} bytes", self.kind, self.bytes)?;
        for (name, value) in &self.figures {
            let name = name.replace('_', " ");
            match value {
                serde_json::Value::String(text) if text.contains('\n') => {
                    writeln!(out, "  {name}:")?;
                    write_lines(text, out)?;
                }
                serde_json::Value::String(text) => writeln!(out, "  {name}: {text}")?,
                value => writeln!(out, "  {name}: {value}")?,
            }
        }
        for (number, contributor) in (1..).zip(&self.contributions) {
            let name = contributor.name.as_deref().unwrap_or("(no name)");
            let kind = if contributor.beacon {
                "beacon"
            } else {
                "contribution"
            };
            writeln!(out, "  {kind} {number}: {}", name.escape_debug())?;
            write_lines(contributor.hash.as_deref().unwrap_or_default(), out)?;
        }
        match &self.warning {
            Some(warning) => writeln!(out, "WARNING: {warning}"),
            None => Ok(()),
        }
    }
}

/// Lines, indented below what they belong to.
fn write_lines(text: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.lines()
        .try_for_each(|line| writeln!(out, "    {line}"))
}

pub(super) fn run(file: &Path, output: Output) -> Result<Outcome, Failure> {
    let bytes = paths::map(file)?;
    output.print(&contents(file, &bytes)?)?;
    Ok(Outcome::Done)
}

fn contents(file: &Path, bytes: &[u8]) -> Result<Contents, Failure> {
    match bytes.get(..4) {
        Some(b"r1cs") => {
            let (circuit, _) = r1cs::read(bytes).map_err(Failure::format(file))?;
            Ok(of_constraints(&circuit, bytes))
        }
        Some(b"wtns") => {
            let wires = zeroize::Zeroizing::new(wtns::read(bytes).map_err(Failure::format(file))?);
            Ok(Contents::new("witness", bytes).with("wires", wires.len()))
        }
        Some(b"zkey") => {
            let key = zkey::read(bytes).map_err(Failure::format(file))?;
            Ok(of_key(&key, bytes))
        }
        Some(b"ptau") => {
            let powers = Ptau::parse(bytes).map_err(Failure::format(file))?;
            Ok(of_powers(&powers, bytes))
        }
        _ => of_json(file, bytes),
    }
}

fn of_constraints(circuit: &R1cs, bytes: &[u8]) -> Contents {
    Contents::new("constraints", bytes)
        .with("constraints", circuit.constraints())
        .with("wires", circuit.wires)
        .with("public_outputs", circuit.public_outputs)
        .with("public_inputs", circuit.public_inputs)
        .with("private_inputs", circuit.private_inputs)
        .with("digest", circuit.digest().to_string())
}

fn contributor(source: &Source, hash: Option<String>) -> Contributor {
    let (name, beacon) = match source {
        Source::Person { name } => (name, false),
        Source::Beacon { name, .. } => (name, true),
    };
    Contributor {
        name: name.clone(),
        beacon,
        hash,
    }
}

fn of_key(key: &ProvingKey, bytes: &[u8]) -> Contents {
    let contributions = &key.ceremony.contributions;
    Contents {
        contributions: contributions
            .iter()
            .map(|one| contributor(&one.source, Some(format_hash(&contribution_hash(one)))))
            .collect(),
        warning: key.check().err().map(|error| error.to_string()),
        ..Contents::new("proving key", bytes)
            .with("constraints", key.constraints())
            .with("wires", key.wires)
            .with("public_inputs", key.public())
            .with("domain", key.domain_size)
            .with("circuit_hash", format_hash(&key.ceremony.circuit_hash))
    }
}

fn of_powers(powers: &Ptau<'_>, bytes: &[u8]) -> Contents {
    let contributions = powers.contributions();
    let none = "nobody has contributed: its secrets are known to everybody".to_owned();
    Contents {
        contributions: contributions
            .iter()
            .map(|one| contributor(&one.source, None))
            .collect(),
        warning: contributions.is_empty().then_some(none),
        ..Contents::new("powers of tau", bytes)
            .with("power", powers.power())
            .with("largest_circuit", 1_u64 << powers.power())
            .with("prepared", powers.is_prepared())
    }
}

/// A JSON file is what it can be read as.
fn of_json(file: &Path, bytes: &[u8]) -> Result<Contents, Failure> {
    if let Ok(key) = json::read_verifying_key(bytes) {
        return Ok(of_verifying_key(&key, bytes));
    }
    if json::read_proof(bytes).is_ok() {
        return Ok(Contents::new("proof", bytes).with("protocol", "groth16"));
    }
    if let Ok(inputs) = json::read_public(bytes) {
        let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        return Ok(Contents::new("public inputs", bytes).with("inputs", inputs));
    }
    Err(Failure::UnknownFile(file.to_owned()))
}

fn of_verifying_key(key: &VerifyingKey, bytes: &[u8]) -> Contents {
    Contents {
        warning: key.check().err().map(|error| error.to_string()),
        ..Contents::new("verification key", bytes).with("public_inputs", key.public())
    }
}
