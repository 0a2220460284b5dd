//! How the files of the engine encode bounds of ranges, beside the numbers of [`crate::log`].

use std::ops::Bound;

use bytes::{BufMut, Bytes};

pub(crate) use crate::log::{Cursor, put_varint, varint_len};

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

/// Takes a bound that [`put_bound`] appended; `None` when there is none.
pub(super) fn take_bound(cursor: &mut Cursor<'_>) -> Option<Bound<Bytes>> {
    let tag = cursor.byte()?;
    if tag == 0 {
        return Some(Bound::Unbounded);
    }
    let len = cursor.varint()?;
    let key = Bytes::copy_from_slice(cursor.take(len)?);
    match tag {
        1 => Some(Bound::Included(key)),
        2 => Some(Bound::Excluded(key)),
        _ => None,
    }
}
