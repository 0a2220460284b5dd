//! `demo`: every application from key to contract, in a world that is thrown away.

use std::fmt;
use std::path::Path;

use proof::key::Remembered;
use serde::Serialize;

use crate::apps::{self, Shown};
use crate::failure::Failure;
use crate::output::Output;
use crate::verbs::Outcome;
use crate::world::World;

type Demo = fn(&mut World, &Path) -> Result<Shown, Failure>;

/// In the order of the course.
const ALL: &[(&str, Demo)] = &[
    ("password-verifier", apps::password::demo),
    ("merkle-proof", apps::merkle::demo),
    ("mixer", apps::mixer::demo),
    ("token-transfer", apps::token::demo),
];

#[derive(Serialize)]
struct Table(Vec<Shown>);

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:<18} {:>11} {:>9} {:>10} {:>9} {:>10}  {:<9} gas",
            "application",
            "constraints",
            "setup ms",
            "witness ms",
            "prove ms",
            "verify ms",
            "contract"
        )?;
        for row in &self.0 {
            let gas: Vec<String> = row.gas.iter().map(ToString::to_string).collect();
            writeln!(
                out,
                "{:<18} {:>11} {:>9.1} {:>10.1} {:>9.1} {:>10.1}  {:<9} {}",
                row.application,
                row.constraints,
                row.setup_ms,
                row.witness_ms,
                row.proving_ms,
                row.verifying_ms,
                if row.accepted { "accepted" } else { "REFUSED" },
                gas.join(", ")
            )?;
        }
        writeln!(
            out,
            "Keys were made here and now, by one party: DEMO keys, of no worth elsewhere."
        )
    }
}

/// Shows one application, or all.
pub(crate) fn run(app: Option<&str>, output: Output) -> Result<Outcome, Failure> {
    let chosen: Vec<_> = ALL
        .iter()
        .filter(|(name, _)| app.is_none_or(|app| app == *name))
        .collect();
    if chosen.is_empty() {
        return Err(Failure::UnknownStatement(
            app.unwrap_or_default().to_owned(),
        ));
    }
    let directory = tempfile::tempdir().map_err(Failure::io("create", Path::new("a directory")))?;
    let mut world = World::open(directory.path(), Remembered::nothing(), None)?;
    let mut rows = Vec::new();
    for (name, demo) in chosen {
        output.note(&format!(
            "{name}: making a key, proving, asking the contract ..."
        ));
        rows.push(demo(&mut world, directory.path())?);
    }
    let accepted = rows.iter().all(|row| row.accepted);
    output.print(&Table(rows))?;
    match accepted {
        true => Ok(Outcome::Done),
        false => Ok(Outcome::Refused),
    }
}
