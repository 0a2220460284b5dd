//! The parts that locks and write records are made of.

use bytes::Bytes;
use storage::log::{Cursor, put_varint};

use crate::Timestamp;

/// Values up to this length stand in the record itself: a read of them is one seek. TiKV's limit.
pub const SHORT_VALUE_BYTES: usize = 255;

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_timestamp(out: &mut Vec<u8>, timestamp: Timestamp) {
    out.extend_from_slice(&timestamp.0.to_be_bytes());
}

/// Takes records apart; every method gives `None` where the bytes end or have another form.
pub(crate) struct Parts<'a> {
    bytes: &'a Bytes,
    cursor: Cursor<'a>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(bytes: &'a Bytes) -> Self {
        Self {
            bytes,
            cursor: Cursor { bytes, position: 0 },
        }
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.cursor.byte()
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.cursor.varint()
    }

    /// A byte string, sharing memory with the record.
    pub(crate) fn bytes(&mut self) -> Option<Bytes> {
        let len = self.cursor.varint()?;
        self.cursor.take(len).map(|part| self.bytes.slice_ref(part))
    }

    pub(crate) fn timestamp(&mut self) -> Option<Timestamp> {
        let bytes = self.cursor.take(8)?.first_chunk()?;
        Some(Timestamp(u64::from_be_bytes(*bytes)))
    }

    /// What `take` gives if `present`.
    pub(crate) fn optional<T>(
        &mut self,
        present: bool,
        take: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match present {
            true => take(self).map(Some),
            false => Some(None),
        }
    }

    /// `value` if nothing is left.
    pub(crate) fn end<T>(self, value: T) -> Option<T> {
        (self.cursor.position == self.bytes.len()).then_some(value)
    }
}
