//! Numbers of variable length, and reading them back.

/// Appends `value` in 7-bit groups, least significant first.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Length of `value` as a varint in bytes.
pub fn varint_len(value: u64) -> u64 {
    (u64::from(64 - (value | 1).leading_zeros())).div_ceil(7)
}

/// Reads primitive values off a slice; `None` at the end of it.
#[derive(Debug)]
pub struct Cursor<'a> {
    /// The whole slice.
    pub bytes: &'a [u8],
    /// How much of it was taken.
    pub position: usize,
}

impl<'a> Cursor<'a> {
    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.position)?;
        self.position += 1;
        Some(byte)
    }

    /// A number that [`put_varint`] appended; `None` too when it has more than 64 bits.
    pub fn varint(&mut self) -> Option<u64> {
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

    /// The next `len` bytes.
    pub fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let len = usize::try_from(len).ok()?;
        let end = self.position.checked_add(len)?;
        let slice = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(slice)
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
