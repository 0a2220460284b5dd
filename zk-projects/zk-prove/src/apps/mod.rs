//! The applications against a local EVM.

pub(crate) mod merkle;
pub(crate) mod mixer;
pub(crate) mod password;
pub(crate) mod token;

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use proof::private_file;
use proof::statement::Statement;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::ready::{Ready, Timed};

/// What the demo shows of one application.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) application: &'static str,
    pub(crate) constraints: usize,
    pub(crate) setup_ms: f64,
    pub(crate) witness_ms: f64,
    pub(crate) proving_ms: f64,
    pub(crate) verifying_ms: f64,
    pub(crate) gas: Vec<Gas>,
    /// The contract took the proof, and refused it for another call.
    pub(crate) accepted: bool,
}

/// Gas of one transaction.
#[derive(Debug, Serialize)]
pub(crate) struct Gas {
    pub(crate) call: &'static str,
    pub(crate) gas: u64,
}

impl fmt::Display for Gas {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.call, self.gas)
    }
}

impl Shown {
    /// The figures of one proof; verifies it once more to see how long that takes.
    pub(crate) fn new<S: Statement>(
        ready: &Ready<S>,
        setup: Option<Duration>,
        timed: &Timed,
    ) -> Result<Self, Failure> {
        let began = Instant::now();
        let verifier = ready.prover.verifier();
        verifier.verify(&timed.public, &timed.proof)?;
        Ok(Self {
            application: S::NAME,
            constraints: ready.r1cs.constraints(),
            setup_ms: milliseconds(setup.unwrap_or_default()),
            witness_ms: milliseconds(timed.witness),
            proving_ms: milliseconds(timed.proving),
            verifying_ms: milliseconds(began.elapsed()),
            gas: Vec::new(),
            accepted: false,
        })
    }
}

/// To a tenth of a millisecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

/// The text of a file that nobody but its owner may open.
pub(crate) fn read_secret_text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = private_file::read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::NotText(path.to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}
