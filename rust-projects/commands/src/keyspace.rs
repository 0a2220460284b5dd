//! How strings and their expiry are stored.
//!
//! # What it is
//!
//! One column byte, then the user key. Column `r` holds the values, column `e` the order in which they expire:
//!
//! ```text
//!   r key                  ->  flags [expires_at_ms: u64 big-endian, if flags & 1] payload
//!   e expires_at_ms key    ->  (empty)
//! ```
//!
//! # What it guarantees
//!
//! For each value that expires there is an entry in column `e` with exactly its time. [`get`] shows no value whose
//! time has passed, so when [`expire_due`] removes it makes no difference to a reader.
//!
//! # What it does not
//!
//! The reverse does not hold: a SET without expiry does not read what it overwrites, so that value's entry in column
//! `e` stays behind, and is dropped when its time comes. Whatever gives a key an expiry reads the old one and drops its
//! entry, so a session that is refreshed by each request leaves no trail.
//!
//! # How it works
//!
//! A value lives through the millisecond of its expiry, as with Redis: it is gone when `now_ms > expires_at_ms`.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use storage::{Batch, Direction, KeyRange, Op, Reader};

use crate::{Error, Result};

/// Column of the values.
pub const DATA_COLUMN: u8 = b'r';
/// Column of the expiry times.
pub const EXPIRY_COLUMN: u8 = b'e';
/// How many bytes longer than the user key an engine key can be.
pub const KEY_OVERHEAD_BYTES: usize = 1 + TIME_BYTES;
/// How many bytes longer than the payload an engine value can be.
pub const VALUE_OVERHEAD_BYTES: usize = 1 + TIME_BYTES;

const TIME_BYTES: usize = 8;
const FLAG_EXPIRES: u8 = 1;
const KNOWN_FLAGS: u8 = FLAG_EXPIRES;
/// Keys up to this length are looked up without allocating.
const STACK_KEY_BYTES: usize = 256;

/// A stored value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// When it expires, in milliseconds since 1970; `None` for never.
    pub expires_at_ms: Option<u64>,
    /// The bytes the user stored.
    pub payload: Bytes,
}

impl Value {
    /// Whether its time has passed at `now_ms`.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at| is_due(at, now_ms))
    }

    /// Takes apart the envelope stored under `key`.
    ///
    /// # Errors
    /// [`Error::UnknownFlags`] and [`Error::TruncatedValue`].
    pub fn decode(key: &[u8], envelope: &Bytes) -> Result<Self> {
        let truncated = || Error::TruncatedValue {
            key: String::from_utf8_lossy(key).into_owned(),
            len: envelope.len(),
        };
        let flags = *envelope.first().ok_or_else(truncated)?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(Error::UnknownFlags {
                key: String::from_utf8_lossy(key).into_owned(),
                flags,
            });
        }
        if flags & FLAG_EXPIRES == 0 {
            return Ok(Self {
                expires_at_ms: None,
                payload: envelope.slice(1..),
            });
        }
        let time = envelope
            .get(1..)
            .and_then(|rest| rest.first_chunk::<TIME_BYTES>())
            .ok_or_else(truncated)?;
        Ok(Self {
            expires_at_ms: Some(u64::from_be_bytes(*time)),
            payload: envelope.slice(1 + TIME_BYTES..),
        })
    }
}

/// Puts a payload and its expiry into the form that is stored.
pub fn encode(payload: &[u8], expires_at_ms: Option<u64>) -> Bytes {
    encode_parts(&[payload], expires_at_ms)
}

/// As [`encode`] for a payload in parts, copied once.
pub(crate) fn encode_parts(parts: &[&[u8]], expires_at_ms: Option<u64>) -> Bytes {
    let payload_len: usize = parts.iter().map(|part| part.len()).sum();
    let header_len = 1 + expires_at_ms.map_or(0, |_| TIME_BYTES);
    // Exactly, because freezing a buffer with room left costs a second allocation.
    let mut envelope = BytesMut::with_capacity(header_len + payload_len);
    match expires_at_ms {
        None => envelope.put_u8(0),
        Some(at) => {
            envelope.put_u8(FLAG_EXPIRES);
            envelope.put_u64(at);
        }
    }
    for part in parts {
        envelope.put_slice(part);
    }
    envelope.freeze()
}

/// The engine key of a value.
pub fn data_key(key: &[u8]) -> Bytes {
    let mut engine_key = BytesMut::with_capacity(1 + key.len());
    engine_key.put_u8(DATA_COLUMN);
    engine_key.put_slice(key);
    engine_key.freeze()
}

/// The engine key that says when a value expires.
pub fn expiry_key(expires_at_ms: u64, key: &[u8]) -> Bytes {
    let mut engine_key = BytesMut::with_capacity(KEY_OVERHEAD_BYTES + key.len());
    engine_key.put_u8(EXPIRY_COLUMN);
    engine_key.put_u64(expires_at_ms);
    engine_key.put_slice(key);
    engine_key.freeze()
}

/// The range of the engine keys of all values whose user key begins with `prefix`.
pub fn data_range(prefix: &[u8]) -> KeyRange {
    KeyRange::prefix(&data_key(prefix))
}

/// The value of `key`, also if its time has passed.
///
/// # Errors
/// Reading failed, or the value has an unknown form.
pub fn get_any(reader: &dyn Reader, key: &[u8]) -> Result<Option<Value>> {
    let envelope = if key.len() < STACK_KEY_BYTES {
        let mut engine_key = [0; STACK_KEY_BYTES];
        engine_key[0] = DATA_COLUMN;
        engine_key[1..=key.len()].copy_from_slice(key);
        reader.get(&engine_key[..=key.len()])?
    } else {
        reader.get(&data_key(key))?
    };
    envelope
        .map(|envelope| Value::decode(key, &envelope))
        .transpose()
}

/// The value of `key` as of `now_ms`.
///
/// # Errors
/// As [`get_any`].
pub fn get(reader: &dyn Reader, key: &[u8], now_ms: u64) -> Result<Option<Value>> {
    Ok(get_any(reader, key)?.filter(|value| !value.is_expired(now_ms)))
}

/// Sets `key` to `payload`, without reading what it was: see the module about the entry of an earlier expiry.
pub fn set(batch: &mut Batch, key: &[u8], payload: &[u8], expires_at_ms: Option<u64>) {
    batch.put(data_key(key), encode(payload, expires_at_ms));
    if let Some(at) = expires_at_ms {
        batch.put(expiry_key(at, key), Bytes::new());
    }
}

/// Sets `key`, known to be `old` (the default if absent), to a payload in parts; the expiry stays, and so does its entry.
pub(crate) fn replace(batch: &mut Batch, key: &[u8], old: &Value, parts: &[&[u8]]) {
    batch.put(data_key(key), encode_parts(parts, old.expires_at_ms));
}

/// Gives `key`, known to be `old`, another expiry.
pub(crate) fn change_expiry(
    batch: &mut Batch,
    key: &[u8],
    old: &Value,
    expires_at_ms: Option<u64>,
) {
    forget_expiry(batch, key, old);
    set(batch, key, &old.payload, expires_at_ms);
}

/// Removes `key`, without reading what it was.
pub fn remove(batch: &mut Batch, key: &[u8]) {
    batch.delete(data_key(key));
}

/// Removes `key`, known to be `value`, and its expiry entry.
pub(crate) fn remove_known(batch: &mut Batch, key: &[u8], value: &Value) {
    remove(batch, key);
    forget_expiry(batch, key, value);
}

/// Drops the expiry entry of a value that is about to be replaced.
pub(crate) fn forget_expiry(batch: &mut Batch, key: &[u8], value: &Value) {
    if let Some(at) = value.expires_at_ms {
        batch.delete(expiry_key(at, key));
    }
}

/// Removes everything.
pub fn clear(batch: &mut Batch) {
    batch.delete_range(KeyRange::prefix(&[DATA_COLUMN]));
    batch.delete_range(KeyRange::prefix(&[EXPIRY_COLUMN]));
}

/// What a change counts towards the largest batch that an engine takes, in bytes.
pub(crate) fn op_bytes(op: &Op) -> usize {
    match op {
        Op::Put { key, value } => key.len() + value.len(),
        Op::Delete { key } => key.len(),
        Op::DeleteRange { .. } => 2 * KEY_OVERHEAD_BYTES,
    }
}

/// What [`expire_due`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Entries of the expiry column dropped, stale ones included; below the limit when nothing more was due.
    pub entries: usize,
    /// Keys removed.
    pub keys: usize,
}

/// Removes up to `limit` entries whose time has passed, with the values that still expire at that time. Decides like
/// a command: the batch must be applied before the next decision.
///
/// # Errors
/// As [`get_any`], or an entry has an unknown form.
pub fn expire_due(
    reader: &dyn Reader,
    now_ms: u64,
    limit: usize,
    batch: &mut Batch,
) -> Result<Swept> {
    let mut swept = Swept::default();
    let mut removals = Batch::new();
    for due in due_entries(reader, now_ms).take(limit) {
        let Due {
            entry,
            key,
            is_current,
        } = due?;
        if is_current {
            removals.delete(data_key(&key));
            swept.keys += 1;
        }
        removals.delete(entry);
        swept.entries += 1;
    }
    batch.extend(removals);
    Ok(swept)
}

/// The number of keys as of `now_ms`, without reading the values of those that are not due.
///
/// # Errors
/// As [`expire_due`].
pub fn count(reader: &dyn Reader, now_ms: u64) -> Result<u64> {
    let (mut stored, mut expired) = (0_u64, 0);
    for key in reader.scan_keys(&data_range(b""), Direction::Forward) {
        key?;
        stored += 1;
    }
    for due in due_entries(reader, now_ms) {
        expired += u64::from(due?.is_current);
    }
    // The two scans see different moments if someone writes in between; a server lets no one.
    Ok(stored.saturating_sub(expired))
}

/// The user keys that are still stored although their time has passed.
pub(crate) fn expired_keys(reader: &dyn Reader, now_ms: u64) -> Result<BTreeSet<Bytes>> {
    due_entries(reader, now_ms)
        .filter_map(|due| match due {
            Ok(due) => due.is_current.then_some(Ok(due.key)),
            Err(error) => Some(Err(error)),
        })
        .collect()
}

/// An entry of the expiry column whose time has passed.
struct Due {
    entry: Bytes,
    key: Bytes,
    /// Whether the value still expires at that time; false for a stale entry.
    is_current: bool,
}

fn due_entries(reader: &dyn Reader, now_ms: u64) -> impl Iterator<Item = Result<Due>> {
    let range = KeyRange::half_open(vec![EXPIRY_COLUMN], expiry_key(now_ms, b""));
    reader
        .scan_keys(&range, Direction::Forward)
        .map(|entry| due_entry(reader, entry?))
}

fn due_entry(reader: &dyn Reader, entry: Bytes) -> Result<Due> {
    let time = entry
        .get(1..)
        .and_then(|rest| rest.first_chunk::<TIME_BYTES>())
        .ok_or(Error::TruncatedExpiry { len: entry.len() })?;
    let at = u64::from_be_bytes(*time);
    let key = entry.slice(KEY_OVERHEAD_BYTES..);
    let is_current = get_any(reader, &key)?.is_some_and(|value| value.expires_at_ms == Some(at));
    Ok(Due {
        entry,
        key,
        is_current,
    })
}

/// Whether what expires at `expires_at_ms` has expired at `now_ms`.
pub(crate) fn is_due(expires_at_ms: u64, now_ms: u64) -> bool {
    now_ms > expires_at_ms
}
