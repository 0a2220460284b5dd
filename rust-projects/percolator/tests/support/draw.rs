//! Draws columns and changes as text.

use bytes::Bytes;
use percolator::{Column, Lock, LockInfo, Timestamp, Write, WriteKind, decode_key};
use storage::{Batch, Direction, KeyRange, Op, Reader};

/// The three columns, a line for each entry.
pub(crate) fn columns(reader: &dyn Reader) -> String {
    let mut out = String::new();
    for column in Column::ALL {
        for entry in reader.scan(&column.range(&KeyRange::all()), Direction::Forward) {
            let (key, value) = entry.unwrap();
            out += &format!("  {}\n", self::entry(&key, Some(&value)));
        }
    }
    match out.is_empty() {
        true => "  (nothing)\n".to_owned(),
        false => out,
    }
}

/// What a batch does, a line for each change.
pub(crate) fn changes(batch: &Batch) -> String {
    batch
        .ops()
        .iter()
        .map(|op| match op {
            Op::Put { key, value } => format!("  + {}\n", entry(key, Some(value))),
            Op::Delete { key } => format!("  - {}\n", entry(key, None)),
            Op::DeleteRange { range } => format!("  - {range:?}\n"),
        })
        .collect()
}

fn entry(engine_key: &[u8], value: Option<&Bytes>) -> String {
    let column = *Column::ALL
        .iter()
        .find(|column| column.byte() == engine_key[0])
        .unwrap();
    let (key, ts) = decode_key(column, engine_key).unwrap();
    let name = text(&key);
    match column {
        Column::Default => {
            let value = value.map_or(String::new(), |value| format!(" = {}", text(value)));
            format!("default {name} !{ts}{value}")
        }
        Column::Lock => {
            let lock = value.map(|value| Lock::decode(&key, value).unwrap());
            let lock = lock.map_or(String::new(), |lock| format!("  {}", self::lock(&lock)));
            format!("lock    {name}{lock}")
        }
        Column::Write => {
            let write = value.map(|value| Write::decode(&key, ts, value).unwrap());
            let write = write.map_or(String::new(), |write| format!("  {}", self::write(&write)));
            format!("write   {name} !{ts}{write}")
        }
    }
}

fn lock(lock: &Lock) -> String {
    let value = lock.short_value.as_ref();
    let value = value.map_or(String::new(), |value| format!(" = {}", text(value)));
    format!("{}{value}", info(&lock.info(b"")))
}

/// A lock as others are told of it, without its key.
pub(crate) fn info(lock: &LockInfo) -> String {
    let mut out = format!(
        "{} by {}, primary {}, ttl {}",
        format!("{:?}", lock.kind).to_lowercase(),
        lock.start_ts,
        text(&lock.primary),
        lock.ttl_ms
    );
    if lock.for_update_ts != Timestamp::ZERO {
        out += &format!(", for update {}", lock.for_update_ts);
    }
    if lock.min_commit_ts != Timestamp::ZERO {
        out += &format!(", commits from {}", lock.min_commit_ts);
    }
    if let Some(secondaries) = &lock.secondaries {
        let names: Vec<_> = secondaries.iter().map(|key| text(key)).collect();
        out += &format!(", asynchronous [{}]", names.join(" "));
    }
    out
}

fn write(write: &Write) -> String {
    let mut out = format!("{:?}", write.kind).to_lowercase();
    if write.kind != WriteKind::Rollback {
        out += &format!(" by {}", write.start_ts);
    }
    if let Some(value) = &write.short_value {
        out += &format!(" = {}", text(value));
    }
    if write.overlapped_rollback {
        out += ", overlapped rollback";
    }
    if write.protected {
        out += ", protected";
    }
    out
}

/// Bytes as text; long ones by their length.
pub(crate) fn text(bytes: &[u8]) -> String {
    match bytes.len() > 40 {
        true => format!("({} bytes)", bytes.len()),
        false => String::from_utf8_lossy(bytes).into_owned(),
    }
}
