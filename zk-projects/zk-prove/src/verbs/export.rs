//! `export`: keys, proofs and constraints in the forms that others take.

use std::path::Path;

use proof::files::{json, r1cs, zkey};
use proof::key::{Manifest, Origin, VerifyingKey};
use proof::{setup, solidity};

use super::{Outcome, read_proof, read_public};
use crate::args::Export;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::paths;
use crate::statements;

pub(super) fn run(what: Export, output: Output) -> Result<Outcome, Failure> {
    match what {
        Export::Solidity {
            key,
            contract,
            app,
            demo,
        } => {
            let (key, origin) = read_with_origin(&key, demo)?;
            let names = input_names(app.as_deref(), key.public())?;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            output::text(&solidity::export(&key, origin, &contract, &names)?)?;
        }
        Export::Calldata { proof, public } => {
            let data = solidity::calldata(&read_proof(&proof)?, &read_public(&public)?);
            output::text(&alloy_primitives::hex::encode_prefixed(data))?;
        }
        Export::R1cs { app, out } => {
            let (circuit, _) = statements::find(&app)?.sampled()?;
            paths::refuse_existing(&out)?;
            paths::write_with(&out, |file| {
                r1cs::write(&circuit, &r1cs::Labels::identity(&circuit), file)
                    .map_err(Failure::io("write", &out))
            })?;
            output.print(&Constraints {
                file: out.display().to_string(),
                constraints: circuit.constraints(),
                wires: circuit.wires,
            })?;
        }
        Export::Vkey { zkey } => {
            let key = read_verifying(&zkey)?;
            output::text(&json::write_verifying_key(&key)?)?;
        }
    }
    Ok(Outcome::Done)
}

/// A key and where it is from: a demo if the user says so, if its only contribution is that of a local setup, or if the manifest
/// beside it says so.
fn read_with_origin(path: &Path, demo: bool) -> Result<(VerifyingKey, Origin), Failure> {
    let bytes = paths::map(path)?;
    let key = read_verifying(path)?;
    let is_local = || match bytes.starts_with(b"zkey") {
        true => zkey::read(&bytes).is_ok_and(|key| setup::is_local(&key)),
        false => manifest_beside(path).is_some_and(|manifest| manifest.origin == Origin::Demo),
    };
    let origin = match demo || is_local() {
        true => Origin::Demo,
        false => Origin::Ceremony,
    };
    Ok((key, origin))
}

fn manifest_beside(path: &Path) -> Option<Manifest> {
    let bytes = std::fs::read(path.with_file_name("manifest.json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The names of a verifier's arguments.
fn input_names(app: Option<&str>, count: usize) -> Result<Vec<String>, Failure> {
    let Some(app) = app else {
        return Ok((0..count).map(|index| format!("input{index}")).collect());
    };
    let inputs = statements::find(app)?.public_inputs();
    Ok(inputs.iter().map(|input| input.name.to_owned()).collect())
}

#[derive(serde::Serialize)]
struct Constraints {
    file: String,
    constraints: usize,
    wires: u32,
}

impl std::fmt::Display for Constraints {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (file, constraints, wires) = (&self.file, self.constraints, self.wires);
        write!(out, "{file}: {constraints} constraints, {wires} wires")
    }
}

/// The verifying part of a `.zkey`, or of a verification key in JSON.
fn read_verifying(path: &Path) -> Result<VerifyingKey, Failure> {
    let bytes = paths::map(path)?;
    if bytes.starts_with(b"zkey") {
        let key = zkey::read(&bytes).map_err(Failure::format(path))?;
        key.check()?;
        return Ok(key.verifying);
    }
    json::read_verifying_key(&bytes).map_err(Failure::json(path))
}
