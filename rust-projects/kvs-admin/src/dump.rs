//! All pairs of a directory as JSON lines.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use commands::keyspace::{DATA_COLUMN, EXPIRY_COLUMN, Value};
use commands::pairs::Pair;
use storage::{Direction, KeyRange, Reader};

use crate::failure::Failure;
use crate::run::open;

pub(crate) fn dump(dir: &Path, raw: bool) -> Result<(), Failure> {
    let engine = open(dir)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now_ms.map_or(0, |time| time.as_millis() as u64);
    let mut foreign = 0;
    for entry in engine.scan(&KeyRange::all(), Direction::Forward) {
        let (key, value) = entry.map_err(Failure::of(dir))?;
        let line = match key.first() {
            _ if raw => Some(raw_line(&key, &value)),
            Some(&DATA_COLUMN) => string_line(&key[1..], &value, now_ms)?,
            Some(&EXPIRY_COLUMN) => None,
            _ => {
                foreign += 1;
                None
            }
        };
        if let Some(line) = line {
            writeln!(out, "{line}").map_err(Failure::Output)?;
        }
    }
    out.flush().map_err(Failure::Output)?;
    engine.close()?;
    match foreign {
        0 => Ok(()),
        keys => Err(Failure::ForeignKeys(keys)),
    }
}

fn raw_line(key: &[u8], value: &[u8]) -> String {
    let pair = Pair {
        key: key.to_vec(),
        value: value.to_vec(),
        expires_at_ms: None,
    };
    pair.to_base64_json()
}

fn string_line(key: &[u8], stored: &Bytes, now_ms: u64) -> Result<Option<String>, Failure> {
    let value = Value::decode(key, stored)?;
    if value.is_expired(now_ms) {
        return Ok(None);
    }
    let pair = Pair {
        key: key.to_vec(),
        value: value.payload.to_vec(),
        expires_at_ms: value.expires_at_ms,
    };
    Ok(Some(pair.to_json()))
}
