//! Raw values in the engine, and decisions about them.
//!
//! ```text
//!   k key  ->  the envelope of `commands`: flags, expiry, value
//! ```
//!
//! A write holds the latches of its keys as a transaction's request does, so that a compare-and-swap sees what it compared when it is applied.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::{BufMut, Bytes, BytesMut};
use commands::keyspace::{Value, encode};
use percolator::{Columns, Decided};
use storage::{Batch, Direction, KeyRange, Reader};

use super::store::Failure;

const COLUMN: u8 = b'k';

fn engine_key(key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + key.len());
    out.put_u8(COLUMN);
    out.put_slice(key);
    out.freeze()
}

/// The engine keys of a range of raw keys.
pub(super) fn column(range: &KeyRange) -> KeyRange {
    let all = KeyRange::prefix(&[COLUMN]);
    let bound = |bound: &Bound<Bytes>, end| match bound {
        Bound::Included(key) => Bound::Included(engine_key(key)),
        Bound::Excluded(key) => Bound::Excluded(engine_key(key)),
        Bound::Unbounded => end,
    };
    KeyRange {
        start: bound(&range.start, all.start),
        end: bound(&range.end, all.end),
    }
}

/// A value that lives at the time `now_ms`.
pub(super) fn living(
    key: &[u8],
    envelope: &Bytes,
    now_ms: u64,
) -> std::result::Result<Option<Value>, Failure> {
    let value = Value::decode(key, envelope).map_err(|error| Failure::Broken(error.to_string()))?;
    Ok(Some(value).filter(|value| !value.is_expired(now_ms)))
}

pub(super) fn look(
    view: &dyn Reader,
    key: &[u8],
    now_ms: u64,
) -> std::result::Result<Option<Value>, Failure> {
    match view.get(&engine_key(key))? {
        None => Ok(None),
        Some(envelope) => living(key, &envelope, now_ms),
    }
}

/// Values of keys, `None` for those to be deleted.
#[derive(Clone)]
pub(super) struct Write {
    pub(super) changes: Vec<(Bytes, Option<Bytes>)>,
    pub(super) expires_at_ms: Option<u64>,
}

impl percolator::Request for Write {
    type Reply = ();
    const NAME: &'static str = "raw-write";

    fn decide(&self, _: Columns<'_>) -> percolator::Result<Decided<()>> {
        let mut changes = Batch::new();
        for (key, value) in &self.changes {
            match value {
                Some(value) => changes.put(engine_key(key), encode(value, self.expires_at_ms)),
                None => changes.delete(engine_key(key)),
            };
        }
        Ok(Decided { reply: (), changes })
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        // Apart from the keys of transactions, which begin otherwise.
        self.changes.iter().map(|(key, _)| key.clone()).collect()
    }
}

/// A value, if the one there is as expected.
#[derive(Clone)]
pub(super) struct Swap {
    pub(super) key: Bytes,
    pub(super) expected: Option<Bytes>,
    pub(super) value: Bytes,
    pub(super) expires_at_ms: Option<u64>,
    pub(super) now_ms: u64,
}

/// Whether it was as expected, and what was there.
pub(super) type Swapped = (bool, Option<Bytes>);

impl percolator::Request for Swap {
    type Reply = Swapped;
    const NAME: &'static str = "raw-compare-and-swap";

    fn decide(&self, columns: Columns<'_>) -> percolator::Result<Decided<Swapped>> {
        let envelope = columns.reader().get(&engine_key(&self.key))?;
        let there = match &envelope {
            None => None,
            Some(envelope) => {
                let value = Value::decode(&self.key, envelope);
                let value = value.map_err(|_| percolator::Error::Corrupt {
                    column: percolator::Column::Default,
                    key: self.key.clone(),
                    what: "a raw value of an unknown form",
                })?;
                (!value.is_expired(self.now_ms)).then_some(value.payload)
            }
        };
        let mut changes = Batch::new();
        let is_as_expected = there == self.expected;
        if is_as_expected {
            changes.put(
                engine_key(&self.key),
                encode(&self.value, self.expires_at_ms),
            );
        }
        Ok(Decided {
            reply: (is_as_expected, there),
            changes,
        })
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        BTreeSet::from([self.key.clone()])
    }
}

/// Raw values to be removed, if their time is over then.
#[derive(Clone)]
pub(super) struct Expire {
    pub(super) keys: Vec<Bytes>,
    pub(super) now_ms: u64,
}

impl percolator::Request for Expire {
    type Reply = ();
    const NAME: &'static str = "raw-expire";

    fn decide(&self, columns: Columns<'_>) -> percolator::Result<Decided<()>> {
        let mut changes = Batch::new();
        for key in &self.keys {
            let envelope = columns.reader().get(&engine_key(key))?;
            // What is of an unknown form stays.
            let value = envelope.and_then(|envelope| Value::decode(key, &envelope).ok());
            if value.is_some_and(|value| value.is_expired(self.now_ms)) {
                changes.delete(engine_key(key));
            }
        }
        Ok(Decided { reply: (), changes })
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        self.keys.iter().cloned().collect()
    }
}

/// Some raw keys of a range.
#[derive(Default)]
pub(super) struct Expired {
    /// Those whose time is over.
    pub(super) keys: Vec<Bytes>,
    /// The last that was looked at; `None` at the end of the range.
    pub(super) last: Option<Bytes>,
}

/// Looks at so many raw keys of a range for some whose time is over.
///
/// # Errors
/// [`Failure::Broken`].
pub(super) fn expired(
    view: &dyn Reader,
    range: &KeyRange,
    now_ms: u64,
    limit: usize,
) -> std::result::Result<Expired, Failure> {
    let mut page = Expired::default();
    for (seen, entry) in view.scan(&column(range), Direction::Forward).enumerate() {
        let (key, envelope) = entry?;
        let key = key.slice(1..);
        if living(&key, &envelope, now_ms)?.is_none() {
            page.keys.push(key.clone());
        }
        if seen + 1 == limit {
            page.last = Some(key);
            break;
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use percolator::Request;
    use storage::{Engine, MemoryEngine};

    use super::*;

    /// Two values, of which `a` lives until 1000 ms.
    fn engine() -> MemoryEngine {
        let engine = MemoryEngine::new();
        for (key, expires_at_ms) in [("a", Some(1000)), ("b", None)] {
            put(&engine, key, expires_at_ms);
        }
        engine
    }

    fn put(engine: &MemoryEngine, key: &'static str, expires_at_ms: Option<u64>) {
        let write = Write {
            changes: vec![(key.into(), Some("v".into()))],
            expires_at_ms,
        };
        carry_out(engine, &write);
    }

    fn carry_out<R: Request>(engine: &MemoryEngine, request: &R) -> R::Reply {
        let decided = request.decide(Columns::new(engine)).unwrap();
        engine.write(&decided.changes).unwrap();
        decided.reply
    }

    fn is_stored(engine: &MemoryEngine, key: &str) -> bool {
        engine.get(&engine_key(key.as_bytes())).unwrap().is_some()
    }

    #[test]
    fn only_what_is_over_when_it_is_decided_is_removed() {
        let engine = engine();
        let all = KeyRange::all();
        let page = |limit| expired(&engine, &all, 1001, limit).unwrap();
        assert_eq!((page(10).keys, page(10).last), (vec!["a".into()], None));
        assert_eq!(page(1).last, Some("a".into()), "it goes on from there");
        assert!(expired(&engine, &all, 1000, 10).unwrap().keys.is_empty());
        // Between looking and deciding somebody gave it a longer life.
        put(&engine, "a", Some(5000));
        let expire = Expire {
            keys: vec!["a".into(), "b".into()],
            now_ms: 1001,
        };
        carry_out(&engine, &expire);
        assert!(is_stored(&engine, "a") && is_stored(&engine, "b"));
        put(&engine, "a", Some(1000));
        carry_out(&engine, &expire);
        assert!(!is_stored(&engine, "a") && is_stored(&engine, "b"));
    }

    #[test]
    fn a_swap_takes_what_is_over_for_nothing() {
        let engine = engine();
        let mut swap = Swap {
            key: "a".into(),
            expected: None,
            value: "new".into(),
            expires_at_ms: None,
            now_ms: 1000,
        };
        assert_eq!(carry_out(&engine, &swap), (false, Some("v".into())));
        swap.now_ms = 1001;
        assert_eq!(carry_out(&engine, &swap), (true, None));
        assert_eq!(carry_out(&engine, &swap), (false, Some("new".into())));
    }

    #[test]
    fn ranges_stay_within_the_column() {
        let column = column(&KeyRange::all());
        assert_eq!(column.start, Bound::Included("k".into()));
        assert_eq!(column.end, Bound::Excluded("l".into()));
    }
}
