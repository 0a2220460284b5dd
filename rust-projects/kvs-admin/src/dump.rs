//! All pairs of a directory as JSON lines.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use commands::keyspace::{DATA_COLUMN, EXPIRY_COLUMN, Value};
use serde::Serialize;
use storage::{Direction, KeyRange, Reader};

use crate::failure::Failure;
use crate::run::open;

/// One line; of each pair of fields one is there. The form of `kvs-client export`.
#[derive(Debug, Default, Serialize)]
struct Pair {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
}

pub(crate) fn dump(dir: &Path, raw: bool) -> Result<(), Failure> {
    let engine = open(dir)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now_ms.map_or(0, |time| time.as_millis() as u64);
    let mut foreign = 0;
    for entry in engine.scan(&KeyRange::all(), Direction::Forward) {
        let (key, value) = entry.map_err(Failure::of(dir))?;
        let pair = match key.first() {
            _ if raw => Some(raw_pair(&key, &value)),
            Some(&DATA_COLUMN) => string_pair(&key[1..], &value, now_ms)?,
            Some(&EXPIRY_COLUMN) => None,
            _ => {
                foreign += 1;
                None
            }
        };
        if let Some(pair) = pair {
            serde_json::to_writer(&mut out, &pair)
                .map_err(std::io::Error::from)
                .and_then(|()| out.write_all(b"\n"))
                .map_err(Failure::Output)?;
        }
    }
    out.flush().map_err(Failure::Output)?;
    engine.close()?;
    match foreign {
        0 => Ok(()),
        keys => Err(Failure::ForeignKeys(keys)),
    }
}

fn raw_pair(key: &[u8], value: &[u8]) -> Pair {
    Pair {
        key_base64: Some(base64(key)),
        value_base64: Some(base64(value)),
        ..Pair::default()
    }
}

fn string_pair(key: &[u8], stored: &Bytes, now_ms: u64) -> Result<Option<Pair>, Failure> {
    let value = Value::decode(key, stored)?;
    if value.is_expired(now_ms) {
        return Ok(None);
    }
    let mut pair = Pair {
        expires_at_ms: value.expires_at_ms,
        ..Pair::default()
    };
    match str::from_utf8(key) {
        Ok(text) => pair.key = Some(text.to_owned()),
        Err(_) => pair.key_base64 = Some(base64(key)),
    }
    match str::from_utf8(&value.payload) {
        Ok(text) => pair.value = Some(text.to_owned()),
        Err(_) => pair.value_base64 = Some(base64(&value.payload)),
    }
    Ok(Some(pair))
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for digit in 0..4 {
            // One byte makes two digits, two make three.
            let value = ALPHABET[(bits >> (18 - 6 * digit) & 63) as usize];
            text.push(char::from(if digit <= chunk.len() { value } else { b'=' }));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
