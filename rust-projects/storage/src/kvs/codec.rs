//! The primitives of the files' encoding: variable-length integers and bounds of ranges.

use std::ops::Bound;

use bytes::{BufMut, Bytes};

/// Appends `value` in 7-bit groups, least significant first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Length of `value` as a varint in bytes.
pub(crate) fn varint_len(value: u64) -> u64 {
    (u64::from(64 - (value | 1).leading_zeros())).div_ceil(7)
}

/// The first eight bytes of a key, as a number that compares as they do.
pub(super) fn head(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = key.len().min(8);
    head[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(head)
}

pub(super) fn put_bound(out: &mut Vec<u8>, bound: &Bound<Bytes>) {
    let (tag, key) = match bound {
        Bound::Unbounded => return out.push(0),
        Bound::Included(key) => (1, key),
        Bound::Excluded(key) => (2, key),
    };
    out.push(tag);
    put_varint(out, key.len() as u64);
    out.put_slice(key);
}

/// Reads primitive values off a slice; `None` at the end of it.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.position)?;
        self.position += 1;
        Some(byte)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            if group << shift >> shift != group {
                return None;
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let len = usize::try_from(len).ok()?;
        let end = self.position.checked_add(len)?;
        let slice = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(slice)
    }

    pub(super) fn bound(&mut self) -> Option<Bound<Bytes>> {
        let tag = self.byte()?;
        if tag == 0 {
            return Some(Bound::Unbounded);
        }
        let len = self.varint()?;
        let key = Bytes::copy_from_slice(self.take(len)?);
        match tag {
            1 => Some(Bound::Included(key)),
            2 => Some(Bound::Excluded(key)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_that_is_computed_and_reject_overflow() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            u64::from(u32::MAX),
            u64::MAX,
        ] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(bytes.len() as u64, varint_len(value));
            let mut cursor = Cursor {
                bytes: &bytes,
                position: 0,
            };
            assert_eq!(cursor.varint(), Some(value));
        }
        let mut cursor = Cursor {
            bytes: &[0xff; 10],
            position: 0,
        };
        assert_eq!(cursor.varint(), None);
    }
}
