//! Ranges of keys.

use std::ops::{Bound, RangeBounds};

use bytes::Bytes;

use crate::kvs::codec::varint_len;

/// A range of keys in byte order. Either end may be included, excluded or open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// Where the range begins.
    pub start: Bound<Bytes>,
    /// Where the range ends.
    pub end: Bound<Bytes>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self {
            start: Bound::Unbounded,
            end: Bound::Unbounded,
        }
    }

    /// All keys from `start` (included) to `end` (excluded).
    pub fn half_open(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self {
            start: Bound::Included(start.into()),
            end: Bound::Excluded(end.into()),
        }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let end = match prefix.iter().rposition(|&byte| byte != 0xff) {
            Some(last) => {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                Bound::Excluded(Bytes::from(end))
            }
            None => Bound::Unbounded,
        };
        Self {
            start: Bound::Included(Bytes::copy_from_slice(prefix)),
            end,
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        RangeBounds::<[u8]>::contains(&self.as_slices(), key)
    }

    /// Whether no key can lie in the range. Standard maps panic on such ranges, so engines ask first.
    pub fn is_empty(&self) -> bool {
        match (&self.start, &self.end) {
            (Bound::Included(start), Bound::Included(end)) => start > end,
            // In byte order the successor of a key is the key followed by a zero byte.
            (Bound::Excluded(start), Bound::Excluded(end)) => {
                start >= end
                    || (end.len() == start.len() + 1
                        && end.starts_with(start)
                        && end.ends_with(&[0]))
            }
            (Bound::Included(start), Bound::Excluded(end))
            | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
            (Bound::Unbounded, Bound::Excluded(end)) => end.is_empty(),
            _ => false,
        }
    }

    /// Bytes that both bounds take in a record of the log: a tag each, and a length and the key unless open.
    pub(crate) fn encoded_len(&self) -> u64 {
        let bound_len = |bound: &Bound<Bytes>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => {
                let len = key.len() as u64;
                1 + varint_len(len) + len
            }
            Bound::Unbounded => 1,
        };
        bound_len(&self.start) + bound_len(&self.end)
    }

    /// The bounds as borrowed slices, in the form standard collections take.
    pub fn as_slices(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (
            self.start.as_ref().map(|key| &key[..]),
            self.end.as_ref().map(|key| &key[..]),
        )
    }
}

impl RangeBounds<Bytes> for KeyRange {
    fn start_bound(&self) -> Bound<&Bytes> {
        self.start.as_ref()
    }

    fn end_bound(&self) -> Bound<&Bytes> {
        self.end.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_range_ends_before_the_next_prefix_even_at_0xff() {
        let range = KeyRange::prefix(b"a\xff");
        assert!(range.contains(b"a\xff"));
        assert!(range.contains(b"a\xff\xff\xff"));
        assert!(!range.contains(b"b"));
        assert!(KeyRange::prefix(b"\xff\xff").contains(b"\xff\xff\xff"));
        assert!(!KeyRange::prefix(b"\xff\xff").contains(b"\xff\xfe"));
    }

    #[test]
    fn ranges_that_hold_no_key_say_so() {
        assert!(KeyRange::half_open("b", "a").is_empty());
        assert!(KeyRange::half_open("a", "a").is_empty());
        assert!(!KeyRange::half_open("a", "b").is_empty());
        assert!(!KeyRange::all().is_empty());
        let between = KeyRange {
            start: Bound::Excluded(Bytes::from_static(b"a")),
            end: Bound::Excluded(Bytes::from_static(b"a\0")),
        };
        assert!(between.is_empty());
    }
}
