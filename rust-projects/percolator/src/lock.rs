//! What stands in the column of locks.
//!
//! ```text
//!   kind: u8   flags: u8   start_ts: 8   ttl_ms: varint   txn_size: varint   for_update_ts: 8   min_commit_ts: 8   primary: bytes
//!   [short value: bytes, if flags & 1]   [secondaries: varint count, then bytes each, if flags & 2]
//! ```
//!
//! Bytes are a varint length and the bytes; timestamps are big-endian. Why the form is our own:
//! `docs/decisions/0027-percolator-records.md`.

use bytes::Bytes;
use storage::log::put_varint;

use crate::codec::{Parts, put_bytes, put_timestamp};
use crate::{Column, Error, Result, Timestamp, WriteKind};

const HAS_SHORT_VALUE: u8 = 1;
const HAS_SECONDARIES: u8 = 2;
const KNOWN_FLAGS: u8 = HAS_SHORT_VALUE | HAS_SECONDARIES;

/// What a lock announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// A value.
    Put,
    /// The removal of the key.
    Delete,
    /// Nothing: the key was read, and must not have changed at commit.
    Lock,
    /// Nothing yet: the key is held for a transaction that has not decided.
    Pessimistic,
}

impl LockKind {
    /// What committing it records; `None` for a pessimistic lock, which must become another first.
    #[must_use]
    pub const fn write_kind(self) -> Option<WriteKind> {
        match self {
            Self::Put => Some(WriteKind::Put),
            Self::Delete => Some(WriteKind::Delete),
            Self::Lock => Some(WriteKind::Lock),
            Self::Pessimistic => None,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Put => b'P',
            Self::Delete => b'D',
            Self::Lock => b'L',
            Self::Pessimistic => b'S',
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'P' => Some(Self::Put),
            b'D' => Some(Self::Delete),
            b'L' => Some(Self::Lock),
            b'S' => Some(Self::Pessimistic),
            _ => None,
        }
    }
}

/// A lock of a transaction that began at `start_ts`. Its fate is that of the lock on `primary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What it announces.
    pub kind: LockKind,
    /// When its transaction began; names the transaction.
    pub start_ts: Timestamp,
    /// The key whose lock decides.
    pub primary: Bytes,
    /// How long after its start the transaction may be taken for dead, in milliseconds.
    pub ttl_ms: u64,
    /// How many keys the transaction has, as its client said; 0 for unknown.
    pub txn_size: u64,
    /// Up to where a pessimistic transaction has seen this key; [`Timestamp::ZERO`] for an optimistic one.
    pub for_update_ts: Timestamp,
    /// The transaction cannot commit below it. Readers below it need not wait.
    pub min_commit_ts: Timestamp,
    /// The value, if it is a put of at most [`crate::SHORT_VALUE_BYTES`].
    pub short_value: Option<Bytes>,
    /// On the primary of an asynchronous commit: all other keys. `None` for a transaction in two phases.
    pub secondaries: Option<Vec<Bytes>>,
}

impl Lock {
    /// A lock of an optimistic transaction without a value.
    #[must_use]
    pub fn new(kind: LockKind, start_ts: Timestamp, primary: Bytes, ttl_ms: u64) -> Self {
        Self {
            kind,
            start_ts,
            primary,
            ttl_ms,
            txn_size: 0,
            for_update_ts: Timestamp::ZERO,
            min_commit_ts: Timestamp::ZERO,
            short_value: None,
            secondaries: None,
        }
    }

    /// Whether its owner may be taken for dead at `now`.
    #[must_use]
    pub const fn is_expired(&self, now: Timestamp) -> bool {
        is_expired(self.start_ts, self.ttl_ms, now)
    }

    /// What others are told about it.
    #[must_use]
    pub fn info(&self, key: &[u8]) -> LockInfo {
        LockInfo {
            key: Bytes::copy_from_slice(key),
            kind: self.kind,
            primary: self.primary.clone(),
            start_ts: self.start_ts,
            ttl_ms: self.ttl_ms,
            txn_size: self.txn_size,
            for_update_ts: self.for_update_ts,
            min_commit_ts: self.min_commit_ts,
            secondaries: self.secondaries.clone(),
        }
    }

    /// The form that is stored.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64 + self.primary.len());
        let value = self.short_value.as_ref();
        let secondaries = self.secondaries.as_ref();
        out.push(self.kind.byte());
        out.push(value.map_or(0, |_| HAS_SHORT_VALUE) | secondaries.map_or(0, |_| HAS_SECONDARIES));
        put_timestamp(&mut out, self.start_ts);
        put_varint(&mut out, self.ttl_ms);
        put_varint(&mut out, self.txn_size);
        put_timestamp(&mut out, self.for_update_ts);
        put_timestamp(&mut out, self.min_commit_ts);
        put_bytes(&mut out, &self.primary);
        if let Some(value) = value {
            put_bytes(&mut out, value);
        }
        if let Some(keys) = secondaries {
            put_varint(&mut out, keys.len() as u64);
            keys.iter().for_each(|key| put_bytes(&mut out, key));
        }
        out.into()
    }

    /// Takes apart what is stored as the lock on `key`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it has another form.
    pub fn decode(key: &[u8], bytes: &Bytes) -> Result<Self> {
        Self::from_parts(Parts::of(bytes)).ok_or_else(|| Error::Corrupt {
            column: Column::Lock,
            key: Bytes::copy_from_slice(key),
            what: "the lock has an unknown form",
        })
    }

    fn from_parts(mut parts: Parts<'_>) -> Option<Self> {
        let kind = LockKind::from_byte(parts.byte()?)?;
        let flags = parts.byte()?;
        if flags & !KNOWN_FLAGS != 0 {
            return None;
        }
        let start_ts = parts.timestamp()?;
        let lock = Self {
            kind,
            start_ts,
            ttl_ms: parts.number()?,
            txn_size: parts.number()?,
            for_update_ts: parts.timestamp()?,
            min_commit_ts: parts.timestamp()?,
            primary: parts.bytes()?,
            short_value: parts.optional(flags & HAS_SHORT_VALUE != 0, Parts::bytes)?,
            secondaries: parts.optional(flags & HAS_SECONDARIES != 0, |parts| {
                let count = parts.number()?;
                // Ends with the bytes, so that a wrong count allocates nothing.
                (0..count).map(|_| parts.bytes()).collect()
            })?,
        };
        parts.end(lock)
    }
}

/// What who meets a lock is told about it: all but its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockInfo {
    /// The locked key.
    pub key: Bytes,
    /// As [`Lock::kind`].
    pub kind: LockKind,
    /// As [`Lock::primary`].
    pub primary: Bytes,
    /// As [`Lock::start_ts`].
    pub start_ts: Timestamp,
    /// As [`Lock::ttl_ms`].
    pub ttl_ms: u64,
    /// As [`Lock::txn_size`].
    pub txn_size: u64,
    /// As [`Lock::for_update_ts`].
    pub for_update_ts: Timestamp,
    /// As [`Lock::min_commit_ts`].
    pub min_commit_ts: Timestamp,
    /// As [`Lock::secondaries`].
    pub secondaries: Option<Vec<Bytes>>,
}

impl LockInfo {
    /// Whether its owner may be taken for dead at `now`.
    #[must_use]
    pub const fn is_expired(&self, now: Timestamp) -> bool {
        is_expired(self.start_ts, self.ttl_ms, now)
    }
}

const fn is_expired(start_ts: Timestamp, ttl_ms: u64, now: Timestamp) -> bool {
    start_ts.physical_ms().saturating_add(ttl_ms) < now.physical_ms()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        vec(any::<u8>(), 0..300).prop_map(Bytes::from)
    }

    prop_compose! {
        fn locks()(
            kind in prop_oneof![Just(LockKind::Put), Just(LockKind::Delete), Just(LockKind::Lock), Just(LockKind::Pessimistic)],
            times in any::<[u64; 3]>(), numbers in any::<[u64; 2]>(),
            primary in bytes(), short_value in option::of(bytes()), secondaries in option::of(vec(bytes(), 0..4)),
        ) -> Lock {
            Lock {
                kind, primary, short_value, secondaries,
                start_ts: Timestamp(times[0]),
                for_update_ts: Timestamp(times[1]),
                min_commit_ts: Timestamp(times[2]),
                ttl_ms: numbers[0],
                txn_size: numbers[1],
            }
        }
    }

    proptest! {
        #[test]
        fn a_lock_comes_back_as_it_was(lock in locks()) {
            prop_assert_eq!(Lock::decode(b"k", &lock.encode()).unwrap(), lock);
        }

        #[test]
        fn a_lock_that_is_cut_or_longer_is_refused(lock in locks(), cut in any::<prop::sample::Index>()) {
            let whole = lock.encode();
            let part = whole.slice(..cut.index(whole.len()));
            prop_assert!(Lock::decode(b"k", &part).is_err());
            let longer = Bytes::from([&whole[..], &[0]].concat());
            prop_assert!(Lock::decode(b"k", &longer).is_err());
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in bytes()) {
            if let Ok(lock) = Lock::decode(b"k", &bytes) {
                prop_assert_eq!(Lock::decode(b"k", &lock.encode()).unwrap(), lock);
            }
        }
    }

    #[test]
    fn a_lock_of_a_newer_version_is_refused() {
        let lock = Lock::new(LockKind::Put, Timestamp(3), Bytes::from_static(b"p"), 10);
        let mut bytes = lock.encode().to_vec();
        bytes[1] |= 0x80;
        let error = Lock::decode(b"k", &bytes.into()).unwrap_err();
        assert!(error.to_string().contains("unknown form"));
    }

    #[test]
    fn a_lock_expires_once_its_time_is_over_and_not_before() {
        let start = Timestamp::new(1000, 5);
        let lock = Lock::new(LockKind::Put, start, Bytes::new(), 100);
        assert!(!lock.is_expired(Timestamp::new(1100, 0)));
        assert!(lock.is_expired(Timestamp::new(1101, 0)));
        let immortal = Lock::new(LockKind::Put, start, Bytes::new(), u64::MAX);
        assert!(!immortal.is_expired(Timestamp::MAX));
    }
}
