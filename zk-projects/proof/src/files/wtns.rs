//! Witness files, `.wtns`: the values of all wires, the constant one first.
//!
//! The layout is in `docs/format-zk-files.md`. Reading refuses what cannot be a witness of any circuit over BN254: another field, a
//! number that is not reduced, a first wire that is not one. Whether the values satisfy a circuit is not asked here.

use std::io::{self, Write};

use ark_bn254::Fr;
use ark_ff::One;
use zeroize::Zeroizing;

use super::binary::{FormatError, Sections, Writer};
use super::elements::{read_modulus, write_modulus};
use crate::curve::{NUMBER_BYTES, read_plain, write_plain};

const MAGIC: &str = "wtns";
const VERSION: u32 = 2;
const HEADER: u32 = 1;
const VALUES: u32 = 2;

/// Reads a witness file: one value for each wire.
///
/// # Errors
///
/// [`FormatError`] with the byte at which the file is wrong.
pub fn read(bytes: &[u8]) -> Result<Vec<Fr>, FormatError> {
    let sections = Sections::parse(MAGIC, VERSION, bytes)?;
    sections.expect_only(&[HEADER, VALUES])?;
    let mut header = sections.section(HEADER)?;
    read_modulus::<Fr>(&mut header)?;
    let count = header.u32()? as usize;
    header.end()?;

    let mut values = sections.section(VALUES)?;
    values.expect_left(count, NUMBER_BYTES, "values")?;
    let mut wires = Vec::with_capacity(count);
    for _ in 0..count {
        let at = values.offset();
        let value = read_plain(values.take(NUMBER_BYTES)?);
        wires.push(value.map_err(|error| values.error_at(at, error.to_string()))?);
    }
    if !wires.first().is_some_and(One::is_one) {
        let at = sections.section(VALUES)?;
        return Err(at.error("the first wire is the constant one, but its value is not one"));
    }
    Ok(wires)
}

/// Writes a witness file. It holds the secrets of whoever proves: the file must be readable by them alone.
///
/// # Errors
///
/// Those of `out`.
///
/// # Panics
///
/// If there are more than 2^32 wires.
pub fn write(wires: &[Fr], out: impl Write) -> io::Result<()> {
    let mut writer = Writer::new(out, MAGIC, VERSION, 2)?;
    let mut header = Vec::new();
    write_modulus::<Fr>(&mut header);
    let count = u32::try_from(wires.len()).expect("fewer than 2^32 wires");
    header.extend(count.to_le_bytes());
    writer.section(HEADER, &header)?;

    let mut values = Zeroizing::new(Vec::with_capacity(wires.len() * NUMBER_BYTES));
    for wire in wires {
        write_plain(*wire, &mut values);
    }
    writer.section(VALUES, &values)
}
