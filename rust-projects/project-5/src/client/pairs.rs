//! Pairs as JSON lines, the form of `import` and `export`.
//!
//! ```text
//! {"key":"greeting","value":"hello","expires_at_ms":1893456000000}
//! {"key_base64":"/w==","value":"a key that is not UTF-8"}
//! ```

use serde::{Deserialize, Serialize};

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// It is not JSON, or has other fields.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A field is there twice, in two forms, or not at all.
    #[error("expected either `{0}` or `{0}_base64`")]
    EitherOr(&'static str),
    /// A field is not base64.
    #[error("`{0}_base64` is not base64")]
    Base64(&'static str),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
}

impl Pair {
    /// Reads one line.
    ///
    /// # Errors
    /// See [`PairError`].
    pub fn from_json(line: &[u8]) -> Result<Self, PairError> {
        let line: Line = serde_json::from_slice(line)?;
        Ok(Self {
            key: either("key", line.key, line.key_base64)?,
            value: either("value", line.value, line.value_base64)?,
            expires_at_ms: line.expires_at_ms,
        })
    }

    /// The line, without its end.
    pub fn to_json(&self) -> String {
        let (key, key_base64) = text_or_base64(&self.key);
        let (value, value_base64) = text_or_base64(&self.value);
        let line = Line {
            key,
            key_base64,
            value,
            value_base64,
            expires_at_ms: self.expires_at_ms,
        };
        serde_json::to_string(&line).expect("strings and numbers are always valid JSON")
    }
}

fn either(
    name: &'static str,
    text: Option<String>,
    base64: Option<String>,
) -> Result<Vec<u8>, PairError> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(base64)) => decode(base64.as_bytes()).ok_or(PairError::Base64(name)),
        _ => Err(PairError::EitherOr(name)),
    }
}

fn text_or_base64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(encode(bytes))),
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648, section 4).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            // One byte makes two digits, two make three.
            if digit <= chunk.len() {
                let index = bits >> (18 - 6 * digit) & 63;
                text.push(char::from(ALPHABET[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// Undoes [`encode`]; `None` for anything that it does not give.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let digits = &text[..text.len() - padding];
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in digits.chunks(4) {
        let mut bits = 0;
        for digit in 0..4 {
            let value = match chunk.get(digit) {
                Some(byte) => ALPHABET.iter().position(|known| known == byte)?,
                None => 0,
            };
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        let [_, decoded @ ..] = bits.to_be_bytes();
        let len = chunk.len() * 3 / 4;
        // Bits beyond the last byte are zero, or two texts would mean the same bytes.
        if decoded[len..].iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&decoded[..len]);
    }
    Some(bytes)
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
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).unwrap(), bytes.as_bytes());
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(encode(&all).as_bytes()).unwrap(), all);
        for wrong in [
            "Z", "Zg", "Zg=", "Zh==", "Z===", "====", "Zg==Zg==", "Z g=", "Zm9=",
        ] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn any_pair_survives_the_way_through_json() {
        for (key, value, expires_at_ms) in [
            (&b"key"[..], &b"value"[..], None),
            (b"", b"", Some(1)),
            (b"\xff\0", b"line\nbreak\r\n\"quoted\"", Some(u64::MAX)),
            ("ключ".as_bytes(), b"\xc3\x28", None),
        ] {
            let pair = Pair {
                key: key.to_vec(),
                value: value.to_vec(),
                expires_at_ms,
            };
            let line = pair.to_json();
            assert!(!line.contains('\n'));
            assert_eq!(Pair::from_json(line.as_bytes()).unwrap(), pair);
        }
    }

    #[test]
    fn a_line_that_is_not_one_pair_is_refused() {
        for line in [
            "",
            "key",
            "[]",
            r#"{"key":"a"}"#,
            r#"{"key":"a","value":1}"#,
            r#"{"key":"a","key_base64":"YQ==","value":"b"}"#,
            r#"{"key":"a","value":"b","expires":1}"#,
            r#"{"key":"a","value":"b","expires_at_ms":-1}"#,
            r#"{"key":"a","value_base64":"b"}"#,
            r#"{"key":"a","value":"b"} {"key":"c","value":"d"}"#,
        ] {
            assert!(Pair::from_json(line.as_bytes()).is_err(), "{line}");
        }
    }
}
