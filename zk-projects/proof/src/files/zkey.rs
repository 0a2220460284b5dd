//! Proving keys as snarkjs writes them, `.zkey`.
//!
//! The layout is in `docs/format-zk-files.md`. What is read is written again byte for byte, in the order of sections that snarkjs
//! writes: it has one for keys without a contribution and another for all others. Lengths are checked against the header before any
//! point is read; every point is checked to be on its curve, on all cores. Whether the key is sound, and whether its points of G2
//! are in the subgroup, is asked by [`crate::key`].

use std::io::{self, Write};

use ark_bn254::{Fq, Fr, G1Affine, G2Affine};

use super::binary::{Cursor, FormatError, Sections, Writer};
use super::elements::{read_modulus, read_point, read_points, write_modulus, write_points};
use super::source::{HASH_BYTES, read_hash, read_source, write_source};
use crate::curve::{NUMBER_BYTES, Point, read_doubled_montgomery, write_doubled_montgomery};
use crate::key::{
    Ceremony, Coefficient, Contribution, MAX_DOMAIN_LOG2, ProvingKey, Side, VerifyingKey,
};

const MAGIC: &str = "zkey";
const VERSION: u32 = 1;

const PROTOCOL: u32 = 1;
const HEADER: u32 = 2;
const IC: u32 = 3;
const COEFFICIENTS: u32 = 4;
const A: u32 = 5;
const B_G1: u32 = 6;
const B_G2: u32 = 7;
const L: u32 = 8;
const H: u32 = 9;
const CEREMONY: u32 = 10;

/// The order in which snarkjs writes a key without contributions.
const FRESH: [u32; 10] = [
    PROTOCOL,
    HEADER,
    COEFFICIENTS,
    IC,
    H,
    L,
    A,
    B_G1,
    B_G2,
    CEREMONY,
];
/// The order in which it writes all others.
const CONTRIBUTED: [u32; 10] = [
    PROTOCOL,
    HEADER,
    IC,
    COEFFICIENTS,
    A,
    B_G1,
    B_G2,
    L,
    H,
    CEREMONY,
];

/// Bytes of a coefficient: side, constraint, wire, number.
const COEFFICIENT_BYTES: usize = 3 * 4 + NUMBER_BYTES;
/// Bytes of a contribution without parameters.
const EMPTY_CONTRIBUTION_BYTES: usize = 3 * G1Affine::BYTES + G2Affine::BYTES + HASH_BYTES + 2 * 4;

/// Reads a proving key.
///
/// # Errors
///
/// [`FormatError`] with the byte at which the file is wrong.
pub fn read(bytes: &[u8]) -> Result<ProvingKey, FormatError> {
    let sections = Sections::parse(MAGIC, VERSION, bytes)?;
    read_protocol(sections.section(PROTOCOL)?)?;
    sections.expect_only(&CONTRIBUTED)?;
    let header = read_header(sections.section(HEADER)?)?;
    let lengths = Lengths::of(&header);
    lengths.check(&sections)?;
    // The small parts first: what is wrong with them is found before any long work.
    let ceremony = read_ceremony(sections.section(CEREMONY)?)?;
    let coefficients = read_coefficients(sections.section(COEFFICIENTS)?, &header)?;
    let ic = read_points(&mut sections.section(IC)?, lengths.ic)?;
    Ok(ProvingKey {
        verifying: VerifyingKey {
            ic,
            ..header.verifying
        },
        beta_g1: header.beta_g1,
        delta_g1: header.delta_g1,
        wires: header.wires,
        domain_size: header.domain_size,
        coefficients,
        a_g1: read_points(&mut sections.section(A)?, lengths.wires)?,
        b_g1: read_points(&mut sections.section(B_G1)?, lengths.wires)?,
        b_g2: read_points(&mut sections.section(B_G2)?, lengths.wires)?,
        l_g1: read_points(&mut sections.section(L)?, lengths.l)?,
        h_g1: read_points(&mut sections.section(H)?, lengths.h)?,
        ceremony,
    })
}

/// Reads the verifier's part of a proving key, and nothing of the rest but its lengths.
///
/// # Errors
///
/// As [`read`], for the parts that it reads.
pub fn read_verifying_key(bytes: &[u8]) -> Result<VerifyingKey, FormatError> {
    let sections = Sections::parse(MAGIC, VERSION, bytes)?;
    read_protocol(sections.section(PROTOCOL)?)?;
    let header = read_header(sections.section(HEADER)?)?;
    let lengths = Lengths::of(&header);
    lengths.check(&sections)?;
    let ic = read_points(&mut sections.section(IC)?, lengths.ic)?;
    Ok(VerifyingKey {
        ic,
        ..header.verifying
    })
}

fn read_protocol(mut cursor: Cursor<'_>) -> Result<(), FormatError> {
    let at = cursor.offset();
    let name = match cursor.u32()? {
        1 => return cursor.end(),
        2 => "PlonK".to_owned(),
        10 => "FFlonK".to_owned(),
        other => format!("protocol {other}"),
    };
    Err(cursor.error_at(at, format!("a key for {name}, not for Groth16")))
}

struct Header {
    /// Without `ic`.
    verifying: VerifyingKey,
    beta_g1: G1Affine,
    delta_g1: G1Affine,
    wires: u32,
    public: u32,
    domain_size: u32,
}

fn read_header(mut cursor: Cursor<'_>) -> Result<Header, FormatError> {
    read_modulus::<Fq>(&mut cursor)?;
    read_modulus::<Fr>(&mut cursor)?;
    let at = cursor.offset();
    let wires = cursor.u32()?;
    let public = cursor.u32()?;
    if public >= wires {
        return Err(cursor.error_at(
            at,
            format!("{wires} wires, fewer than one and {public} public inputs"),
        ));
    }
    let at = cursor.offset();
    let domain_size = cursor.u32()?;
    if !domain_size.is_power_of_two() || domain_size > 1 << MAX_DOMAIN_LOG2 {
        return Err(cursor.error_at(
            at,
            format!("a domain of {domain_size}, no power of two up to 2^{MAX_DOMAIN_LOG2}"),
        ));
    }
    let alpha_g1 = read_point(&mut cursor)?;
    let beta_g1 = read_point(&mut cursor)?;
    let beta_g2 = read_point(&mut cursor)?;
    let gamma_g2 = read_point(&mut cursor)?;
    let delta_g1 = read_point(&mut cursor)?;
    let delta_g2 = read_point(&mut cursor)?;
    cursor.end()?;
    let verifying = VerifyingKey {
        alpha_g1,
        beta_g2,
        gamma_g2,
        delta_g2,
        ic: Vec::new(),
    };
    Ok(Header {
        verifying,
        beta_g1,
        delta_g1,
        wires,
        public,
        domain_size,
    })
}

/// How many points each section must hold.
struct Lengths {
    ic: usize,
    wires: usize,
    l: usize,
    h: usize,
}

impl Lengths {
    fn of(header: &Header) -> Self {
        let (wires, ic) = (header.wires as usize, header.public as usize + 1);
        Self {
            ic,
            wires,
            l: wires - ic,
            h: header.domain_size as usize,
        }
    }

    fn check(&self, sections: &Sections<'_>) -> Result<(), FormatError> {
        for (section, count, bytes) in [
            (IC, self.ic, G1Affine::BYTES),
            (A, self.wires, G1Affine::BYTES),
            (B_G1, self.wires, G1Affine::BYTES),
            (B_G2, self.wires, G2Affine::BYTES),
            (L, self.l, G1Affine::BYTES),
            (H, self.h, G1Affine::BYTES),
        ] {
            sections
                .section(section)?
                .expect_left(count, bytes, "points")?;
        }
        Ok(())
    }
}

fn read_coefficients(
    mut cursor: Cursor<'_>,
    header: &Header,
) -> Result<Vec<Coefficient>, FormatError> {
    let count = cursor.u32()? as usize;
    cursor.expect_left(count, COEFFICIENT_BYTES, "coefficients")?;
    let mut coefficients = Vec::with_capacity(count);
    for _ in 0..count {
        let at = cursor.offset();
        let side = match cursor.u32()? {
            0 => Side::A,
            1 => Side::B,
            other => {
                return Err(cursor.error_at(
                    at,
                    format!("matrix {other}, where there are 0 (A) and 1 (B)"),
                ));
            }
        };
        let (constraint, wire) = (cursor.u32()?, cursor.u32()?);
        if constraint >= header.domain_size {
            return Err(cursor.error_at(
                at,
                format!(
                    "constraint {constraint} in a domain of {}",
                    header.domain_size
                ),
            ));
        }
        if wire >= header.wires {
            return Err(
                cursor.error_at(at, format!("wire {wire}, where there are {}", header.wires))
            );
        }
        let value = read_doubled_montgomery(cursor.take(NUMBER_BYTES)?)
            .map_err(|error| cursor.error_at(at, error.to_string()))?;
        coefficients.push(Coefficient {
            side,
            constraint,
            wire,
            value,
        });
    }
    Ok(coefficients)
}

fn read_ceremony(mut cursor: Cursor<'_>) -> Result<Ceremony, FormatError> {
    let circuit_hash = read_hash(&mut cursor)?;
    let count = cursor.u32()? as usize;
    cursor.expect_at_least(count, EMPTY_CONTRIBUTION_BYTES, "contributions")?;
    let mut contributions = Vec::with_capacity(count);
    for _ in 0..count {
        contributions.push(Contribution {
            delta_after: read_point(&mut cursor)?,
            g1_s: read_point(&mut cursor)?,
            g1_sx: read_point(&mut cursor)?,
            g2_spx: read_point(&mut cursor)?,
            transcript: read_hash(&mut cursor)?,
            source: read_source(&mut cursor)?,
        });
    }
    cursor.end()?;
    Ok(Ceremony {
        circuit_hash,
        contributions,
    })
}

/// Writes a proving key.
///
/// # Errors
///
/// Those of `out`, and [`io::ErrorKind::InvalidInput`] for what the format has no room for: a name or a beacon value of more than 255
/// bytes, more than 2^255 iterations.
///
/// # Panics
///
/// If there are 2^32 coefficients or contributions.
pub fn write(key: &ProvingKey, out: impl Write) -> io::Result<()> {
    let ceremony = ceremony(&key.ceremony)?;
    let order = if key.ceremony.contributions.is_empty() {
        FRESH
    } else {
        CONTRIBUTED
    };
    let mut writer = Writer::new(out, MAGIC, VERSION, order.len() as u32)?;
    for number in order {
        match number {
            PROTOCOL => writer.section(number, &1_u32.to_le_bytes())?,
            HEADER => writer.section(number, &header(key))?,
            IC => write_point_section(&mut writer, number, &key.verifying.ic)?,
            COEFFICIENTS => write_coefficients(&mut writer, &key.coefficients)?,
            A => write_point_section(&mut writer, number, &key.a_g1)?,
            B_G1 => write_point_section(&mut writer, number, &key.b_g1)?,
            B_G2 => write_point_section(&mut writer, number, &key.b_g2)?,
            L => write_point_section(&mut writer, number, &key.l_g1)?,
            H => write_point_section(&mut writer, number, &key.h_g1)?,
            CEREMONY => writer.section(number, &ceremony)?,
            _ => unreachable!("the orders name the ten sections"),
        }
    }
    Ok(())
}

fn header(key: &ProvingKey) -> Vec<u8> {
    let mut out = Vec::new();
    write_modulus::<Fq>(&mut out);
    write_modulus::<Fr>(&mut out);
    let public = u32::try_from(key.public()).expect("fewer public inputs than wires");
    for number in [key.wires, public, key.domain_size] {
        out.extend(number.to_le_bytes());
    }
    key.verifying.alpha_g1.write_montgomery(&mut out);
    key.beta_g1.write_montgomery(&mut out);
    key.verifying.beta_g2.write_montgomery(&mut out);
    key.verifying.gamma_g2.write_montgomery(&mut out);
    key.delta_g1.write_montgomery(&mut out);
    key.verifying.delta_g2.write_montgomery(&mut out);
    out
}

/// So many items are turned into bytes at a time.
const CHUNK: usize = 1 << 12;

fn write_point_section<P: Point>(
    writer: &mut Writer<impl Write>,
    number: u32,
    points: &[P],
) -> io::Result<()> {
    let section = writer.begin(number, (points.len() * P::BYTES) as u64)?;
    let mut bytes = Vec::new();
    for chunk in points.chunks(CHUNK) {
        bytes.clear();
        write_points(chunk, &mut bytes);
        section.write_all(&bytes)?;
    }
    Ok(())
}

fn write_coefficients(
    writer: &mut Writer<impl Write>,
    coefficients: &[Coefficient],
) -> io::Result<()> {
    let count = u32::try_from(coefficients.len()).expect("fewer than 2^32 coefficients");
    let section = writer.begin(
        COEFFICIENTS,
        4 + (coefficients.len() * COEFFICIENT_BYTES) as u64,
    )?;
    section.write_all(&count.to_le_bytes())?;
    let mut bytes = Vec::new();
    for chunk in coefficients.chunks(CHUNK) {
        bytes.clear();
        for coefficient in chunk {
            let side: u32 = match coefficient.side {
                Side::A => 0,
                Side::B => 1,
            };
            for number in [side, coefficient.constraint, coefficient.wire] {
                bytes.extend(number.to_le_bytes());
            }
            write_doubled_montgomery(coefficient.value, &mut bytes);
        }
        section.write_all(&bytes)?;
    }
    Ok(())
}

fn ceremony(ceremony: &Ceremony) -> io::Result<Vec<u8>> {
    let mut out = ceremony.circuit_hash.to_vec();
    let count = u32::try_from(ceremony.contributions.len()).expect("fewer than 2^32 contributions");
    out.extend(count.to_le_bytes());
    for contribution in &ceremony.contributions {
        contribution.delta_after.write_montgomery(&mut out);
        contribution.g1_s.write_montgomery(&mut out);
        contribution.g1_sx.write_montgomery(&mut out);
        contribution.g2_spx.write_montgomery(&mut out);
        out.extend(contribution.transcript);
        write_source(&contribution.source, &mut out)?;
    }
    Ok(out)
}
