//! Who contributed, as `.zkey` and `.ptau` record it.
//!
//! ```text
//! kind   u32        0 person, 1 beacon
//! bytes  u32        of the parameters: a tag each, ascending
//!   1  length u8, name in UTF-8
//!   2  log2 of the number of hashes, u8     of a beacon only
//!   3  length u8, value                     of a beacon only
//! ```

use std::io;

use super::binary::{Cursor, FormatError};
use crate::key::Source;

/// Bytes of a Blake2b-512 hash.
pub(super) const HASH_BYTES: usize = 64;

/// Reads a Blake2b-512 hash.
pub(super) fn read_hash(cursor: &mut Cursor<'_>) -> Result<[u8; HASH_BYTES], FormatError> {
    let bytes = cursor.take(HASH_BYTES)?;
    Ok(bytes.try_into().expect("as many bytes as were asked for"))
}

/// Parameters of a contribution: a tag each, ascending.
mod parameter {
    pub(super) const NAME: u8 = 1;
    pub(super) const ITERATIONS: u8 = 2;
    pub(super) const BEACON: u8 = 3;
}

/// Reads the kind of a contribution and its parameters.
///
/// # Errors
///
/// A kind or parameter that is not known, parameters that are not in order or do not fit to the kind.
pub(super) fn read_source(cursor: &mut Cursor<'_>) -> Result<Source, FormatError> {
    let at = cursor.offset();
    let kind = cursor.u32()?;
    let length = cursor.u32()? as usize;
    let mut parameters = cursor.part(length)?;
    let (mut name, mut iterations_log2, mut value) = (None, None, None);
    let mut last = 0;
    while parameters.left() > 0 {
        let at = parameters.offset();
        let tag = parameters.u8()?;
        if tag <= last {
            return Err(parameters.error_at(at, format!("parameter {tag} after parameter {last}")));
        }
        last = tag;
        match tag {
            parameter::NAME => {
                let text = read_text(&mut parameters)?.to_vec();
                name = Some(
                    String::from_utf8(text)
                        .map_err(|_| parameters.error_at(at, "a name that is not UTF-8"))?,
                );
            }
            parameter::ITERATIONS => iterations_log2 = Some(u32::from(parameters.u8()?)),
            parameter::BEACON => value = Some(read_text(&mut parameters)?.to_vec()),
            _ => return Err(parameters.error_at(at, format!("parameter {tag} is not known"))),
        }
    }
    match (kind, iterations_log2, value) {
        (0, None, None) => Ok(Source::Person { name }),
        (1, Some(iterations_log2), Some(value)) => Ok(Source::Beacon {
            name,
            iterations_log2,
            value,
        }),
        _ => Err(cursor.error_at(
            at,
            format!("a contribution of kind {kind} with other parameters than that kind has"),
        )),
    }
}

/// A length in one byte, and so many bytes.
fn read_text<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], FormatError> {
    let length = cursor.u8()?;
    cursor.take(length.into())
}

/// Appends the kind of a contribution and its parameters.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] for what the format has no room for.
pub(super) fn write_source(source: &Source, out: &mut Vec<u8>) -> io::Result<()> {
    let (kind, parameters) = parameters(source)?;
    out.extend(u32::from(kind).to_le_bytes());
    out.extend((parameters.len() as u32).to_le_bytes());
    out.extend(parameters);
    Ok(())
}

fn parameters(source: &Source) -> io::Result<(u8, Vec<u8>)> {
    let mut out = Vec::new();
    let (Source::Person { name } | Source::Beacon { name, .. }) = source;
    if let Some(name) = name {
        out.push(parameter::NAME);
        write_text(name.as_bytes(), &mut out)?;
    }
    let Source::Beacon {
        iterations_log2,
        value,
        ..
    } = source
    else {
        return Ok((0, out));
    };
    let iterations_log2 =
        u8::try_from(*iterations_log2).map_err(|_| no_room("more than 2^255 iterations"))?;
    out.extend([parameter::ITERATIONS, iterations_log2, parameter::BEACON]);
    write_text(value, &mut out)?;
    Ok((1, out))
}

fn write_text(text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let length = u8::try_from(text.len())
        .map_err(|_| no_room("a name or beacon value of more than 255 bytes"))?;
    out.push(length);
    out.extend(text);
    Ok(())
}

fn no_room(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
