//! What stands in the write column.
//!
//! ```text
//!   kind: u8   flags: u8   start_ts: 8 (not of a rollback: it is the record's own timestamp)   [short value: bytes, if flags & 1]
//! ```
//!
//! A record at `commit_ts` says that the transaction of `start_ts` put, deleted or only locked the key. A *rollback* stands at its
//! transaction's `start_ts` and says that it must never commit here. Where another transaction committed at just that timestamp, the two
//! share one record: the commit with the flag *overlapped rollback* (2).

use bytes::Bytes;

use crate::codec::{Parts, put_bytes, put_timestamp};
use crate::{Column, Error, Result, Timestamp};

const HAS_SHORT_VALUE: u8 = 1;
const OVERLAPPED_ROLLBACK: u8 = 2;
const PROTECTED: u8 = 4;
const KNOWN_FLAGS: u8 = HAS_SHORT_VALUE | OVERLAPPED_ROLLBACK | PROTECTED;

/// What became of a transaction's intent for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// A value was committed.
    Put,
    /// The key was removed.
    Delete,
    /// The key was locked and left as it was.
    Lock,
    /// Nothing, and nothing may come of it any more.
    Rollback,
}

impl WriteKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Put => b'P',
            Self::Delete => b'D',
            Self::Lock => b'L',
            Self::Rollback => b'R',
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'P' => Some(Self::Put),
            b'D' => Some(Self::Delete),
            b'L' => Some(Self::Lock),
            b'R' => Some(Self::Rollback),
            _ => None,
        }
    }
}

/// A record of the write column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What happened.
    pub kind: WriteKind,
    /// When the transaction that did it began.
    pub start_ts: Timestamp,
    /// The value, if it is a put of at most [`crate::SHORT_VALUE_BYTES`].
    pub short_value: Option<Bytes>,
    /// Besides, the transaction that began at this record's timestamp was rolled back.
    pub overlapped_rollback: bool,
    /// Of a rollback: it must stay until garbage collection, as a late prewrite may depend on it.
    pub protected: bool,
}

impl Write {
    /// A record that a transaction of `start_ts` did something.
    #[must_use]
    pub const fn new(kind: WriteKind, start_ts: Timestamp, short_value: Option<Bytes>) -> Self {
        Self {
            kind,
            start_ts,
            short_value,
            overlapped_rollback: false,
            protected: false,
        }
    }

    /// The record that the transaction of `start_ts` was rolled back.
    #[must_use]
    pub fn rollback(start_ts: Timestamp, protected: bool) -> Self {
        Self {
            protected,
            ..Self::new(WriteKind::Rollback, start_ts, None)
        }
    }

    /// Whether it says that the transaction which began at the record's timestamp was rolled back.
    #[must_use]
    pub fn rolls_back(&self) -> bool {
        self.kind == WriteKind::Rollback || self.overlapped_rollback
    }

    /// The form that is stored.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let value = self.short_value.as_ref();
        let mut out = Vec::with_capacity(12 + value.map_or(0, Bytes::len));
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(self.kind.byte());
        out.push(
            flag(value.is_some(), HAS_SHORT_VALUE)
                | flag(self.overlapped_rollback, OVERLAPPED_ROLLBACK)
                | flag(self.protected, PROTECTED),
        );
        if self.kind != WriteKind::Rollback {
            put_timestamp(&mut out, self.start_ts);
        }
        if let Some(value) = value {
            put_bytes(&mut out, value);
        }
        out.into()
    }

    /// Takes apart what is stored as the record of `key` at `commit_ts`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it has another form.
    pub fn decode(key: &[u8], commit_ts: Timestamp, bytes: &Bytes) -> Result<Self> {
        Self::from_parts(commit_ts, Parts::of(bytes)).ok_or_else(|| Error::Corrupt {
            column: Column::Write,
            key: Bytes::copy_from_slice(key),
            what: "the record has an unknown form",
        })
    }

    fn from_parts(commit_ts: Timestamp, mut parts: Parts<'_>) -> Option<Self> {
        let kind = WriteKind::from_byte(parts.byte()?)?;
        let flags = parts.byte()?;
        let allowed = match kind {
            WriteKind::Rollback => PROTECTED,
            WriteKind::Put => HAS_SHORT_VALUE | OVERLAPPED_ROLLBACK,
            WriteKind::Delete | WriteKind::Lock => OVERLAPPED_ROLLBACK,
        };
        if flags & !(KNOWN_FLAGS & allowed) != 0 {
            return None;
        }
        let write = Self {
            kind,
            start_ts: match kind {
                WriteKind::Rollback => commit_ts,
                _ => parts.timestamp()?,
            },
            short_value: parts.optional(flags & HAS_SHORT_VALUE != 0, Parts::bytes)?,
            overlapped_rollback: flags & OVERLAPPED_ROLLBACK != 0,
            protected: flags & PROTECTED != 0,
        };
        parts.end(write)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const AT: Timestamp = Timestamp(70);

    fn writes() -> impl Strategy<Value = Write> {
        let value = || proptest::option::of(vec(any::<u8>(), 0..256).prop_map(Bytes::from));
        let done = (0..3, any::<u64>(), value(), any::<bool>()).prop_map(
            |(kind, start, value, overlapped_rollback)| {
                let kind = [WriteKind::Put, WriteKind::Delete, WriteKind::Lock][kind as usize];
                let value = value.filter(|_| kind == WriteKind::Put);
                Write {
                    overlapped_rollback,
                    ..Write::new(kind, Timestamp(start), value)
                }
            },
        );
        prop_oneof![
            done,
            any::<bool>().prop_map(|protected| Write::rollback(AT, protected))
        ]
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was(write in writes()) {
            prop_assert_eq!(Write::decode(b"k", AT, &write.encode()).unwrap(), write);
        }

        #[test]
        fn a_record_that_is_cut_or_longer_is_refused(write in writes(), cut in any::<prop::sample::Index>()) {
            let whole = write.encode();
            let part = whole.slice(..cut.index(whole.len()));
            prop_assert!(Write::decode(b"k", AT, &part).is_err());
            let longer = Bytes::from([&whole[..], &[0]].concat());
            prop_assert!(Write::decode(b"k", AT, &longer).is_err());
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in vec(any::<u8>(), 0..20)) {
            let bytes = Bytes::from(bytes);
            if let Ok(write) = Write::decode(b"k", AT, &bytes) {
                prop_assert_eq!(Write::decode(b"k", AT, &write.encode()).unwrap(), write);
            }
        }
    }

    #[test]
    fn a_rollback_takes_two_bytes_and_stands_at_its_own_timestamp() {
        let rollback = Write::rollback(AT, true);
        assert_eq!(&rollback.encode()[..], [b'R', PROTECTED]);
        assert!(rollback.rolls_back());
    }
}
