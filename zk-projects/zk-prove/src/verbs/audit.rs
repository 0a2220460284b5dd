//! `audit`: whether a circuit leaves freedom that it should not.

use std::path::Path;

use proof::audit::{Scope, Verdict, audit};
use proof::files::{r1cs, wtns};

use super::Outcome;
use crate::failure::Failure;
use crate::output::Output;
use crate::{paths, statements};

pub(super) fn run(
    app: Option<&str>,
    r1cs: Option<&Path>,
    wtns: Option<&Path>,
    output: Output,
) -> Result<Outcome, Failure> {
    let report = if let Some(path) = r1cs {
        let (circuit, _) = r1cs::read(&paths::map(path)?).map_err(Failure::format(path))?;
        let wires = wtns
            .map(|path| {
                let bytes = zeroize::Zeroizing::new(paths::read(path)?);
                wtns::read(&bytes).map_err(Failure::format(path))
            })
            .transpose()?
            .map(zeroize::Zeroizing::new);
        audit(
            &circuit,
            &Scope::default(),
            wires.as_ref().map(|wires| wires.as_slice()),
        )?
    } else {
        let app = statements::find(app.unwrap_or_default())?;
        let (circuit, wires) = app.sampled()?;
        audit(&circuit, &app.scope(), Some(&wires))?
    };
    output.print(&report)?;
    match (&report.verdict, report.findings.is_empty()) {
        (Verdict::Unique, true) => Ok(Outcome::Done),
        _ => Ok(Outcome::Refused),
    }
}
