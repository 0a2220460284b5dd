//! Walking over the keys: KEYS, SCAN and its cursors.
//!
//! SCAN goes in key order. Its position is a key, but clients expect a number, so a bounded table maps one to the other.
//! Since nothing but the position is kept, every key that is there from the first call to the last is returned, once.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use storage::{Batch, Direction, KeyRange};
use wire::Reply;

use crate::error::{Outcome, SYNTAX, refuse};
use crate::glob::{self, Case};
use crate::items::Items;
use crate::options::upper;
use crate::strings::integer;
use crate::{Context, Result, keyspace};

/// Keys that SCAN examines per call unless told.
const DEFAULT_COUNT: usize = 10;

/// `KEYS pattern`
pub(crate) fn keys(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    let pattern = &args[1];
    let range = keyspace::data_range(&glob::literal_prefix(pattern));
    let expired = keyspace::expired_keys(context.reader, context.now_ms)?;
    let mut keys = Items::new(context, "the reply", "use SCAN");
    for engine_key in context.reader.scan_keys(&range, Direction::Forward) {
        let key = engine_key?.slice(1..);
        if glob::matches(pattern, &key, Case::Sensitive) && !expired.contains(&key) {
            keys.push(Reply::Bulk(key))?;
        }
    }
    Ok(keys.into_reply())
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`: the next cursor and some keys.
pub(crate) fn scan(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    let Some(cursor) = parse_cursor(&args[1]) else {
        return refuse(INVALID_CURSOR);
    };
    let options = ScanOptions::parse(&args[2..])?;
    let position = match cursor {
        0 => None,
        id => match context.cursors.position(id) {
            Some(position) => Some(position),
            None => return refuse(INVALID_CURSOR),
        },
    };
    let page = read_page(context, &options, position.as_ref())?;
    let next = match page.position {
        Some(position) => context.cursors.open(&position, cursor),
        None => {
            context.cursors.finish(cursor);
            0
        }
    };
    Ok(Reply::Array(vec![
        Reply::bulk(next.to_string()),
        Reply::Array(page.keys.into_iter().map(Reply::Bulk).collect()),
    ]))
}

const INVALID_CURSOR: &str = "ERR invalid cursor";

struct ScanOptions<'a> {
    pattern: Option<&'a Bytes>,
    count: usize,
    /// Whether the type asked for is one that there is.
    wants_strings: bool,
}

impl<'a> ScanOptions<'a> {
    fn parse(args: &'a [Bytes]) -> Outcome<Self> {
        let mut options = Self {
            pattern: None,
            count: DEFAULT_COUNT,
            wants_strings: true,
        };
        let (pairs, rest) = args.as_chunks();
        for [name, value] in pairs {
            match &upper(name)[..] {
                b"MATCH" => options.pattern = Some(value),
                b"TYPE" => options.wants_strings = value.eq_ignore_ascii_case(b"string"),
                b"COUNT" => match usize::try_from(integer(value)?) {
                    Ok(count) if count > 0 => options.count = count,
                    _ => return refuse(SYNTAX),
                },
                _ => return refuse(SYNTAX),
            }
        }
        if !rest.is_empty() {
            return refuse(SYNTAX);
        }
        Ok(options)
    }
}

struct Page {
    keys: Vec<Bytes>,
    /// The last key examined, unless there is none after it.
    position: Option<Bytes>,
}

/// Examines up to `count` keys after `position`. Only values of keys that match are read, to see whether they expired.
fn read_page(
    context: &Context<'_>,
    options: &ScanOptions<'_>,
    position: Option<&Bytes>,
) -> Result<Page> {
    let prefix = options
        .pattern
        .map_or_else(Vec::new, |pattern| glob::literal_prefix(pattern));
    let range = after(keyspace::data_range(&prefix), position);
    let mut engine_keys = context.reader.scan_keys(&range, Direction::Forward);
    let (mut examined, mut bytes, mut last, mut keys) = (0, 0, None, Vec::new());
    // COUNT is a wish: a page that would take more than a reply may is shorter.
    while examined < options.count && bytes < context.max_reply_bytes {
        let Some(engine_key) = engine_keys.next() else {
            last = None;
            break;
        };
        let key = engine_key?.slice(1..);
        examined += 1;
        let is_match = options
            .pattern
            .is_none_or(|pattern| glob::matches(pattern, &key, Case::Sensitive));
        if is_match && options.wants_strings && context.has(&key)? {
            bytes += size_of::<Reply>() + key.len();
            keys.push(key.clone());
        }
        last = Some(key);
    }
    let has_more = last.is_some() && engine_keys.next().transpose()?.is_some();
    Ok(Page {
        keys,
        position: last.filter(|_| has_more),
    })
}

/// The part of `range` after the user key `position`.
fn after(mut range: KeyRange, position: Option<&Bytes>) -> KeyRange {
    if let Some(position) = position {
        let position = keyspace::data_key(position);
        if let Bound::Included(start) = &range.start
            && *start <= position
        {
            range.start = Bound::Excluded(position);
        }
    }
    range
}

fn parse_cursor(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Cursors kept; older ones are forgotten first.
const MAX_CURSORS: usize = 1024;

/// Where the SCANs under way have got to; at most 1024 positions, of which each SCAN takes two.
///
/// Not part of the data: a client that goes on at another server begins anew.
#[derive(Debug, Default)]
pub struct ScanCursors {
    // Only SCAN takes the lock, so that other reads share a context freely.
    table: Mutex<Cursors>,
}

#[derive(Debug, Default)]
struct Cursors {
    next_id: u64,
    /// Ascending ids are ascending in age.
    positions: BTreeMap<u64, Cursor>,
}

#[derive(Debug)]
struct Cursor {
    position: Bytes,
    /// The cursor that led to this one; 0 for none.
    previous: u64,
}

impl ScanCursors {
    /// An empty table whose first cursor will be `first_id`. A server passes one that it did not use before it was
    /// restarted, such as the time, so that a cursor of then is not taken for one of now.
    pub fn new(first_id: u64) -> Self {
        Self {
            table: Mutex::new(Cursors {
                next_id: first_id,
                positions: BTreeMap::new(),
            }),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Cursors) -> T) -> T {
        // Each change leaves the table usable at every step, so a panic elsewhere does not matter.
        work(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn position(&self, id: u64) -> Option<Bytes> {
        self.with(|table| Some(table.positions.get(&id)?.position.clone()))
    }

    /// A new cursor at `position`, reached from cursor `previous`, which stays in case the client asks again; the one
    /// before that goes.
    fn open(&self, position: &[u8], previous: u64) -> u64 {
        self.with(|table| {
            table.forget_before(previous);
            // 0 begins and ends a SCAN.
            let id = table.next_id.max(1);
            table.next_id = id.wrapping_add(1);
            let cursor = Cursor {
                // A copy, because the key may share a large buffer.
                position: Bytes::copy_from_slice(position),
                previous,
            };
            table.positions.insert(id, cursor);
            while table.positions.len() > MAX_CURSORS {
                table.positions.pop_first();
            }
            id
        })
    }

    fn finish(&self, id: u64) {
        self.with(|table| table.forget_before(id));
    }
}

impl Cursors {
    fn forget_before(&mut self, id: u64) {
        if let Some(cursor) = self.positions.get(&id) {
            let before = cursor.previous;
            self.positions.remove(&before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_table_stays_bounded_and_forgets_the_oldest() {
        let cursors = ScanCursors::new(7);
        let ids: Vec<u64> = (0..=MAX_CURSORS).map(|_| cursors.open(b"k", 0)).collect();
        assert_eq!(ids[0], 7);
        assert_eq!(cursors.position(ids[0]), None);
        assert!(cursors.position(ids[1]).is_some());
        assert_eq!(cursors.with(|table| table.positions.len()), MAX_CURSORS);
    }

    #[test]
    fn one_scan_keeps_its_current_and_its_previous_cursor() {
        let cursors = ScanCursors::default();
        let mut id = 0;
        for _ in 0..10 {
            id = cursors.open(b"k", id);
        }
        assert_eq!(cursors.with(|table| table.positions.len()), 2);
        assert!(cursors.position(id - 1).is_some(), "asked again");
    }
}
