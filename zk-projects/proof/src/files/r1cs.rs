//! Constraint systems as circom writes them, `.r1cs`.
//!
//! The layout is in `docs/format-zk-files.md`. What is read is written again byte for byte: the order of the terms in a row is kept,
//! and the sections come in circom's order (constraints, header, labels). Files with custom gates, which only PlonK knows, are
//! refused.

use std::collections::BTreeSet;
use std::io::{self, Write};

use ark_bn254::Fr;

use super::binary::{Cursor, FormatError, Sections, Writer};
use super::elements::{read_modulus, write_modulus};
use crate::curve::{NUMBER_BYTES, read_plain, write_plain};
use crate::r1cs::{Matrix, R1cs, Term};

const MAGIC: &str = "r1cs";
const VERSION: u32 = 1;
const HEADER: u32 = 1;
const CONSTRAINTS: u32 = 2;
const LABELS: u32 = 3;
const CUSTOM_GATES: [u32; 2] = [4, 5];
/// Bytes of a term: the wire and the coefficient.
const TERM_BYTES: usize = 4 + NUMBER_BYTES;
/// Bytes of a constraint without terms: three counts.
const EMPTY_CONSTRAINT_BYTES: usize = 3 * 4;

/// Which signals of the source the wires are: the numbers in circom's `.sym`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// How many labels circom gave out; more than wires, when it simplified some away.
    pub total: u64,
    /// The label of each wire.
    pub of_wire: Vec<u64>,
    /// Private inputs in the source. With `--O2` circom simplifies some away, so that fewer may be wires.
    pub private_inputs: u32,
}

impl Labels {
    /// Each wire its own label, for systems that no circom source names.
    #[must_use]
    pub fn identity(r1cs: &R1cs) -> Self {
        Self {
            total: r1cs.wires.into(),
            of_wire: (0..r1cs.wires.into()).collect(),
            private_inputs: r1cs.private_inputs,
        }
    }

    /// How many of the wires after the `public` ones are private inputs: labels too count outputs, public and private inputs first.
    fn private_wires(&self, public: u32) -> u32 {
        let last = u64::from(public) + u64::from(self.private_inputs);
        let after = self.of_wire.iter().skip(1 + public as usize);
        let inputs = after.take_while(|label| **label <= last).count();
        u32::try_from(inputs).expect("at most as many as wires")
    }
}

/// Reads a constraint system and its labels.
///
/// # Errors
///
/// [`FormatError`] with the byte at which the file is wrong.
pub fn read(bytes: &[u8]) -> Result<(R1cs, Labels), FormatError> {
    let sections = Sections::parse(MAGIC, VERSION, bytes)?;
    for number in CUSTOM_GATES {
        if let Ok(section) = sections.section(number) {
            return Err(section.error("custom gates, which Groth16 cannot prove"));
        }
    }
    sections.expect_only(&[HEADER, CONSTRAINTS, LABELS])?;
    let (mut r1cs, total, constraints) = read_header(sections.section(HEADER)?)?;
    let labels = read_labels(sections.section(LABELS)?, &r1cs, total)?;
    r1cs.private_inputs = labels.private_wires(r1cs.public());
    let mut cursor = sections.section(CONSTRAINTS)?;
    cursor.expect_at_least(constraints, EMPTY_CONSTRAINT_BYTES, "constraints")?;
    for _ in 0..constraints {
        let wires = r1cs.wires;
        for matrix in [&mut r1cs.a, &mut r1cs.b, &mut r1cs.c] {
            read_row(&mut cursor, wires, matrix)?;
        }
    }
    cursor.end()?;
    Ok((r1cs, labels))
}

/// The system without its matrices, the number of labels, the number of constraints.
fn read_header(mut header: Cursor<'_>) -> Result<(R1cs, u64, usize), FormatError> {
    read_modulus::<Fr>(&mut header)?;
    let at = header.offset();
    let r1cs = R1cs {
        wires: header.u32()?,
        public_outputs: header.u32()?,
        public_inputs: header.u32()?,
        private_inputs: header.u32()?,
        ..R1cs::default()
    };
    // Private inputs may have been simplified away, outputs and public inputs are kept.
    let public = u64::from(r1cs.public_outputs) + u64::from(r1cs.public_inputs);
    if u64::from(r1cs.wires) < 1 + public {
        let problem = format!("{} wires, fewer than one and {public} public", r1cs.wires);
        return Err(header.error_at(at, problem));
    }
    let total = header.u64()?;
    let constraints = header.u32()? as usize;
    header.end()?;
    Ok((r1cs, total, constraints))
}

fn read_labels(mut cursor: Cursor<'_>, r1cs: &R1cs, total: u64) -> Result<Labels, FormatError> {
    cursor.expect_left(r1cs.wires as usize, 8, "labels")?;
    let mut of_wire = Vec::with_capacity(r1cs.wires as usize);
    for _ in 0..r1cs.wires {
        let at = cursor.offset();
        let label = cursor.u64()?;
        if label >= total {
            return Err(cursor.error_at(at, format!("label {label}, where there are {total}")));
        }
        of_wire.push(label);
    }
    Ok(Labels {
        total,
        of_wire,
        private_inputs: r1cs.private_inputs,
    })
}

fn read_row(cursor: &mut Cursor<'_>, wires: u32, matrix: &mut Matrix) -> Result<(), FormatError> {
    let start = cursor.offset();
    let terms = cursor.u32()? as usize;
    cursor.expect_at_least(terms, TERM_BYTES, "terms")?;
    let mut row = Vec::with_capacity(terms);
    for _ in 0..terms {
        let at = cursor.offset();
        let wire = cursor.u32()?;
        if wire >= wires {
            return Err(cursor.error_at(at, format!("wire {wire}, where there are {wires}")));
        }
        let at = cursor.offset();
        let coefficient = read_plain(cursor.take(NUMBER_BYTES)?)
            .map_err(|error| cursor.error_at(at, error.to_string()))?;
        row.push(Term { wire, coefficient });
    }
    // Readers differ on what a wire that comes twice means: the sum, or the last.
    if let Some(wire) = repeated(&row) {
        return Err(cursor.error_at(start, format!("wire {wire} comes twice in a row")));
    }
    matrix.push_row(row);
    Ok(())
}

fn repeated(row: &[Term]) -> Option<u32> {
    if row.is_sorted_by(|one, next| one.wire < next.wire) {
        return None;
    }
    let mut seen = BTreeSet::new();
    row.iter()
        .map(|term| term.wire)
        .find(|wire| !seen.insert(*wire))
}

/// Writes a constraint system.
///
/// # Errors
///
/// Those of `out`.
///
/// # Panics
///
/// If there are not as many labels as wires, or 2^32 constraints.
pub fn write(r1cs: &R1cs, labels: &Labels, out: impl Write) -> io::Result<()> {
    assert_eq!(
        labels.of_wire.len(),
        r1cs.wires as usize,
        "one label for each wire"
    );
    let mut writer = Writer::new(out, MAGIC, VERSION, 3)?;
    let matrices = [&r1cs.a, &r1cs.b, &r1cs.c];
    let terms: usize = matrices.iter().map(|matrix| matrix.terms()).sum();
    let bytes = r1cs.constraints() * EMPTY_CONSTRAINT_BYTES + terms * TERM_BYTES;
    let section = writer.begin(CONSTRAINTS, bytes as u64)?;
    let mut constraint = Vec::new();
    for ((a, b), c) in r1cs.a.rows().zip(r1cs.b.rows()).zip(r1cs.c.rows()) {
        constraint.clear();
        for row in [a, b, c] {
            write_row(row, &mut constraint);
        }
        section.write_all(&constraint)?;
    }

    writer.section(HEADER, &header(r1cs, labels))?;
    let labels: Vec<u8> = labels
        .of_wire
        .iter()
        .flat_map(|label| label.to_le_bytes())
        .collect();
    writer.section(LABELS, &labels)
}

fn write_row(row: &[Term], out: &mut Vec<u8>) {
    out.extend(
        u32::try_from(row.len())
            .expect("fewer than 2^32 terms")
            .to_le_bytes(),
    );
    for term in row {
        out.extend(term.wire.to_le_bytes());
        write_plain(term.coefficient, out);
    }
}

fn header(r1cs: &R1cs, labels: &Labels) -> Vec<u8> {
    let mut header = Vec::new();
    write_modulus::<Fr>(&mut header);
    for number in [
        r1cs.wires,
        r1cs.public_outputs,
        r1cs.public_inputs,
        labels.private_inputs,
    ] {
        header.extend(number.to_le_bytes());
    }
    header.extend(labels.total.to_le_bytes());
    let constraints = u32::try_from(r1cs.constraints()).expect("fewer than 2^32 constraints");
    header.extend(constraints.to_le_bytes());
    header
}
