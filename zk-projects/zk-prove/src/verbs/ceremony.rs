//! `ptau` and `zkey`: both phases of a ceremony.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use ark_std::rand::rngs::OsRng;
use proof::files::ptau::{self, Powers};
use proof::files::{r1cs, zkey};
use proof::key::ProvingKey;
use proof::setup::contribute::format_hash;
use proof::setup::{self, circuit, contribute, powers};
use serde::Serialize;

use super::Outcome;
use crate::args::ceremony::{BeaconValue, Ptau, Zkey};
use crate::failure::Failure;
use crate::output::Output;
use crate::paths;
use crate::progress::Bar;

/// A file of a ceremony that was written or checked.
#[derive(Serialize)]
struct Report {
    file: PathBuf,
    contributions: usize,
    /// What a contributor publishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    contribution_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit_hash: Option<String>,
    #[serde(skip)]
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Report {
    fn new(file: &Path, what: &'static str, contributions: usize) -> Self {
        Self {
            file: file.to_owned(),
            contributions,
            contribution_hash: None,
            circuit_hash: None,
            what,
            accepted: None,
            reason: None,
        }
    }

    fn contributed(file: &Path, contributions: usize, hash: &[u8; 64]) -> Self {
        Self {
            contribution_hash: Some(format_hash(hash)),
            ..Self::new(
                file,
                "your contribution is in; publish its hash",
                contributions,
            )
        }
    }

    fn verdict(file: &Path, contributions: usize, verdict: Result<(), String>) -> Self {
        Self {
            accepted: Some(verdict.is_ok()),
            what: match verdict {
                Ok(()) => "everything holds",
                Err(_) => "REFUSED",
            },
            reason: verdict.err(),
            ..Self::new(file, "", contributions)
        }
    }

    fn print(&self, output: Output) -> Result<Outcome, Failure> {
        output.print(self)?;
        match self.accepted {
            Some(false) => Ok(Outcome::Refused),
            _ => Ok(Outcome::Done),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.file.display(), self.what)?;
        if let Some(reason) = &self.reason {
            write!(out, ": {reason}")?;
        }
        writeln!(out, " ({} contributions)", self.contributions)?;
        for (name, hash) in [
            ("circuit", &self.circuit_hash),
            ("contribution", &self.contribution_hash),
        ] {
            if let Some(hash) = hash {
                writeln!(out, "{name} hash:\n{hash}")?;
            }
        }
        Ok(())
    }
}

/// A bar that follows the steps of long work.
fn following(bar: &Bar) -> impl Fn(&'static str, u64, u64) + Sync + '_ {
    |step, done, total| bar.show(step, done, total)
}

fn read_powers(path: &Path) -> Result<Powers, Failure> {
    let bytes = paths::map(path)?;
    let file = ptau::Ptau::parse(&bytes).map_err(Failure::format(path))?;
    file.powers().map_err(Failure::format(path))
}

fn write_powers(path: &Path, powers: &Powers) -> Result<(), Failure> {
    write_new(path, |out| ptau::write(powers, out))
}

/// Writes a file of a ceremony; none is ever overwritten.
fn write_new(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    paths::refuse_existing(path)?;
    paths::write_with(path, |file| fill(file).map_err(Failure::io("write", path)))
}

fn beacon_value(beacon: &BeaconValue) -> Result<Vec<u8>, Failure> {
    let text = beacon.value.trim_start_matches("0x");
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let pairs = digits.filter(|digits| digits.len() % 2 == 0 && !digits.is_empty());
    let digits = pairs.ok_or(Failure::BeaconValue)?;
    Ok(digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect())
}

pub(super) fn ptau(verb: Ptau, output: Output) -> Result<Outcome, Failure> {
    let bar = Bar::new();
    let report = match verb {
        Ptau::New { power, out } => {
            write_powers(&out, &powers::start(power)?)?;
            Report::new(&out, "begun; anybody can contribute now", 0)
        }
        Ptau::Contribute { from, out, name } => {
            paths::refuse_existing(&out)?;
            let mut powers = read_powers(&from)?;
            let name = name.as_deref();
            let hash = powers::contribute(&mut powers, name, &mut OsRng, &following(&bar))?;
            write_powers(&out, &powers)?;
            Report::contributed(&out, powers.contributions.len(), &hash)
        }
        Ptau::Beacon { from, out, beacon } => {
            paths::refuse_existing(&out)?;
            let value = beacon_value(&beacon)?;
            let mut powers = read_powers(&from)?;
            let name = beacon.name.as_deref();
            let times = beacon.iterations_log2;
            let hash = powers::beacon(&mut powers, name, &value, times, &following(&bar))?;
            write_powers(&out, &powers)?;
            Report::contributed(&out, powers.contributions.len(), &hash)
        }
        Ptau::Prepare { from, out } => {
            paths::refuse_existing(&out)?;
            let bytes = paths::map(&from)?;
            let file = ptau::Ptau::parse(&bytes).map_err(Failure::format(&from))?;
            paths::write_with(&out, |writer| {
                powers::prepare(&file, writer, &following(&bar)).map_err(Failure::from)
            })?;
            Report::new(&out, "prepared for circuits", file.contributions().len())
        }
        Ptau::Verify { file } => {
            let bytes = paths::map(&file)?;
            let powers = ptau::Ptau::parse(&bytes).map_err(Failure::format(&file))?;
            let verdict = powers::verify(&powers, &mut OsRng, &following(&bar));
            let verdict = verdict.map_err(|error| error.to_string());
            Report::verdict(&file, powers.contributions().len(), verdict)
        }
    };
    drop(bar);
    report.print(output)
}

fn read_key(path: &Path) -> Result<ProvingKey, Failure> {
    zkey::read(&paths::map(path)?).map_err(Failure::format(path))
}

fn write_key(path: &Path, key: &ProvingKey) -> Result<(), Failure> {
    write_new(path, |out| zkey::write(key, out))
}

pub(super) fn zkey(verb: Zkey, output: Output) -> Result<Outcome, Failure> {
    let bar = Bar::new();
    let report = match verb {
        Zkey::New { r1cs, ptau, out } => {
            paths::refuse_existing(&out)?;
            let (circuit, _) = r1cs::read(&paths::map(&r1cs)?).map_err(Failure::format(&r1cs))?;
            let bytes = paths::map(&ptau)?;
            let powers = ptau::Ptau::parse(&bytes).map_err(Failure::format(&ptau))?;
            let key = circuit::from_powers(&circuit, &powers)?;
            write_key(&out, &key)?;
            Report {
                circuit_hash: Some(format_hash(&key.ceremony.circuit_hash)),
                ..Report::new(&out, "begun; of no use before somebody contributes", 0)
            }
        }
        Zkey::Contribute { from, out, name } => {
            paths::refuse_existing(&out)?;
            let mut key = read_key(&from)?;
            let hash = contribute::contribute(&mut key, name.as_deref(), &mut OsRng)?;
            write_key(&out, &key)?;
            Report::contributed(&out, key.ceremony.contributions.len(), &hash)
        }
        Zkey::Beacon { from, out, beacon } => {
            paths::refuse_existing(&out)?;
            let value = beacon_value(&beacon)?;
            let mut key = read_key(&from)?;
            let name = beacon.name.as_deref();
            let times = beacon.iterations_log2;
            let hash = contribute::beacon(&mut key, name, &value, times, &following(&bar))?;
            write_key(&out, &key)?;
            Report::contributed(&out, key.ceremony.contributions.len(), &hash)
        }
        Zkey::Verify { r1cs, ptau, zkey } => {
            let (circuit, _) = r1cs::read(&paths::map(&r1cs)?).map_err(Failure::format(&r1cs))?;
            let bytes = paths::map(&ptau)?;
            let powers = ptau::Ptau::parse(&bytes).map_err(Failure::format(&ptau))?;
            let key = read_key(&zkey)?;
            let following = following(&bar);
            let verdict = setup::verify::verify(&key, &circuit, &powers, &mut OsRng, &following);
            let verdict = verdict.map_err(|error| error.to_string());
            Report {
                circuit_hash: Some(format_hash(&key.ceremony.circuit_hash)),
                ..Report::verdict(&zkey, key.ceremony.contributions.len(), verdict)
            }
        }
    };
    drop(bar);
    report.print(output)
}
