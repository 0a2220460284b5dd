//! Where things are in the engine: three columns, and the order of keys within each.
//!
//! # What it is
//!
//! The columns of the paper (section 2.2, Figure 5), in the order of keys that TiKV gives them:
//!
//! ```text
//!   column    engine key                               value
//!   default   d  memcomparable key  !start_ts          a value too long to stand in its record
//!   lock      l  memcomparable key                     a Lock
//!   write     w  memcomparable key  !commit_ts         a Write: what became of the transaction that began at ...
//! ```
//!
//! The timestamp is eight bytes, big-endian and inverted, so the newest version of a key comes first and "the newest at or below ts" is
//! one seek.
//!
//! # What it guarantees
//!
//! Within a column engine keys compare as (user key, timestamp descending) do. The columns of one user key share its encoded form, so a
//! range of encoded keys, which is what a region is, maps into each column.

use std::ops::Bound;

use bytes::Bytes;
use storage::KeyRange;

use crate::{Error, Result, Timestamp, memcomparable};

const TIMESTAMP_BYTES: usize = 8;
/// What a version's key ends with at the lowest timestamp: its last place in the order.
const OLDEST: [u8; TIMESTAMP_BYTES] = [0xff; TIMESTAMP_BYTES];

/// The three columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// Values that are too long for their record, by key and start timestamp.
    Default,
    /// Locks, by key.
    Lock,
    /// What is committed and what was rolled back, by key and commit timestamp.
    Write,
}

impl Column {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Default, Self::Lock, Self::Write];

    /// The first byte of its engine keys.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Default => b'd',
            Self::Lock => b'l',
            Self::Write => b'w',
        }
    }

    /// The engine keys in this column of the user keys in `range`.
    #[must_use]
    pub fn range(self, range: &KeyRange) -> KeyRange {
        let before = |key: &Bytes| self.encode(key, &[]);
        let behind = |key: &Bytes| match self {
            Self::Lock => self.encode(key, &[]),
            Self::Default | Self::Write => self.encode(key, &OLDEST),
        };
        KeyRange {
            start: match &range.start {
                Bound::Included(key) => Bound::Included(before(key)),
                Bound::Excluded(key) => Bound::Excluded(behind(key)),
                Bound::Unbounded => Bound::Included(vec![self.byte()].into()),
            },
            end: match &range.end {
                Bound::Included(key) => Bound::Included(behind(key)),
                Bound::Excluded(key) => Bound::Excluded(before(key)),
                Bound::Unbounded => Bound::Excluded(vec![self.byte() + 1].into()),
            },
        }
    }

    /// The versions of `key` in this column from `newest` down to `oldest`.
    pub(crate) fn versions(self, key: &[u8], newest: Timestamp, oldest: Timestamp) -> KeyRange {
        KeyRange {
            start: Bound::Included(self.at(key, newest)),
            end: Bound::Included(self.at(key, oldest)),
        }
    }

    /// The engine key of the version of `key` at `timestamp`.
    fn at(self, key: &[u8], timestamp: Timestamp) -> Bytes {
        self.encode(key, &(!timestamp.0).to_be_bytes())
    }

    fn encode(self, key: &[u8], tail: &[u8]) -> Bytes {
        let len = 1 + memcomparable::encoded_len(key.len()) + tail.len();
        let mut out = Vec::with_capacity(len);
        out.push(self.byte());
        memcomparable::encode(key, &mut out);
        out.extend_from_slice(tail);
        out.into()
    }
}

/// The engine key of the value that the transaction of `start_ts` gave `key`.
#[must_use]
pub fn default_key(key: &[u8], start_ts: Timestamp) -> Bytes {
    Column::Default.at(key, start_ts)
}

/// The engine key of the lock on `key`.
#[must_use]
pub fn lock_key(key: &[u8]) -> Bytes {
    Column::Lock.encode(key, &[])
}

/// The engine key of the record of `key` at `commit_ts`.
#[must_use]
pub fn write_key(key: &[u8], commit_ts: Timestamp) -> Bytes {
    Column::Write.at(key, commit_ts)
}

/// The user key and the timestamp of an engine key; [`Timestamp::ZERO`] in the column of locks, whose keys have none.
///
/// # Errors
/// [`Error::Corrupt`] if it is none of this layout.
pub fn decode_key(column: Column, engine_key: &[u8]) -> Result<(Bytes, Timestamp)> {
    let foreign = || Error::Corrupt {
        column,
        key: Bytes::copy_from_slice(engine_key),
        what: "the engine key has not the form of its column",
    };
    let bytes = engine_key.strip_prefix(&[column.byte()]);
    let (key, tail) = bytes.and_then(memcomparable::decode).ok_or_else(foreign)?;
    let timestamp = match (column, tail.first_chunk()) {
        (Column::Lock, None) if tail.is_empty() => Timestamp::ZERO,
        (Column::Default | Column::Write, Some(inverted)) if tail.len() == TIMESTAMP_BYTES => {
            Timestamp(!u64::from_be_bytes(*inverted))
        }
        _ => return Err(foreign()),
    };
    Ok((key.into(), timestamp))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0), Just(b'a'), Just(0xff)];
        proptest::collection::vec(byte, 0..12)
    }

    fn bounds() -> impl Strategy<Value = Bound<Bytes>> {
        prop_oneof![
            keys().prop_map(|key| Bound::Included(key.into())),
            keys().prop_map(|key| Bound::Excluded(key.into())),
            Just(Bound::Unbounded),
        ]
    }

    proptest! {
        #[test]
        fn engine_keys_compare_as_key_and_descending_timestamp_do(
            a in keys(), at_a in any::<u64>(), b in keys(), at_b in any::<u64>()
        ) {
            let order = a.cmp(&b).then(at_b.cmp(&at_a));
            for of in [write_key, default_key] {
                prop_assert_eq!(of(&a, Timestamp(at_a)).cmp(&of(&b, Timestamp(at_b))), order);
            }
            prop_assert_eq!(lock_key(&a).cmp(&lock_key(&b)), a.cmp(&b));
        }

        #[test]
        fn an_engine_key_gives_its_parts_back(key in keys(), at in any::<u64>()) {
            let at = Timestamp(at);
            let parts = (Bytes::from(key.clone()), at);
            prop_assert_eq!(decode_key(Column::Write, &write_key(&key, at)).unwrap(), parts.clone());
            prop_assert_eq!(decode_key(Column::Default, &default_key(&key, at)).unwrap(), parts);
            let lock = (key.clone().into(), Timestamp::ZERO);
            prop_assert_eq!(decode_key(Column::Lock, &lock_key(&key)).unwrap(), lock);
        }

        #[test]
        fn a_range_of_user_keys_has_all_their_engine_keys_in_each_column_and_no_others(
            start in bounds(), end in bounds(), key in keys(), at in any::<u64>()
        ) {
            let range = KeyRange { start, end };
            let at = Timestamp(at);
            let inside = range.contains(&key);
            prop_assert_eq!(Column::Write.range(&range).contains(&write_key(&key, at)), inside);
            prop_assert_eq!(Column::Default.range(&range).contains(&default_key(&key, at)), inside);
            prop_assert_eq!(Column::Lock.range(&range).contains(&lock_key(&key)), inside);
        }

        #[test]
        fn versions_are_those_of_one_key_between_two_timestamps(
            a in keys(), newest in any::<u64>(), oldest in any::<u64>(), b in keys(), at in any::<u64>()
        ) {
            let versions = Column::Write.versions(&a, Timestamp(newest), Timestamp(oldest));
            for key in [&a, &b] {
                for at in [at, newest, oldest, 0] {
                    let is_one = *key == a && (oldest..=newest).contains(&at);
                    prop_assert_eq!(versions.contains(&write_key(key, Timestamp(at))), is_one);
                }
            }
        }
    }

    #[test]
    fn an_engine_key_of_another_form_is_refused_with_its_column() {
        let cut = write_key(b"k", Timestamp(3)).slice(..12);
        let with_time = [&lock_key(b"k")[..], &[0; 8]].concat();
        let foreign = [
            (Column::Write, Bytes::new()),
            (Column::Write, cut),
            (Column::Write, lock_key(b"k")),
            (Column::Lock, with_time.into()),
        ];
        for (column, engine_key) in foreign {
            let error = decode_key(column, &engine_key).unwrap_err();
            assert!(matches!(error, Error::Corrupt { column: found, .. } if found == column));
        }
    }
}
