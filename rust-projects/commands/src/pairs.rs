//! Pairs as JSON lines: the form of `kvs-client import` and `export` and of `kvs-admin dump`.
//!
//! ```text
//! {"key":"greeting","value":"hello","expires_at_ms":1893456000000}
//! {"key_base64":"/w==","value":"a key that is not UTF-8"}
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
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
    #[error("{}", within_line(.0))]
    Json(#[from] serde_json::Error),
    /// A field is there twice, in two forms, or not at all.
    #[error("expected either `{0}` or `{0}_base64`")]
    EitherOr(&'static str),
    /// A field is not base64.
    #[error("`{0}_base64` is not base64")]
    Base64(&'static str),
}

/// Without the number of the line, which is always 1: whoever reads a file counts better.
fn within_line(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replacen(" at line 1 column ", " at column ", 1)
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

    /// The line, without its end: text where the bytes are text.
    pub fn to_json(&self) -> String {
        self.line(|bytes| match str::from_utf8(bytes) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => in_base64(bytes),
        })
    }

    /// The line, without its end, with key and value in base64 whatever they are.
    pub fn to_base64_json(&self) -> String {
        self.line(in_base64)
    }

    fn line(&self, form: impl Fn(&[u8]) -> (Option<String>, Option<String>)) -> String {
        let (key, key_base64) = form(&self.key);
        let (value, value_base64) = form(&self.value);
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

fn in_base64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    (None, Some(BASE64.encode(bytes)))
}

fn either(
    name: &'static str,
    text: Option<String>,
    base64: Option<String>,
) -> Result<Vec<u8>, PairError> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(base64)) => BASE64.decode(base64).map_err(|_| PairError::Base64(name)),
        _ => Err(PairError::EitherOr(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_one_text_for_the_same_bytes() {
        let value = |text: &str| {
            Pair::from_json(format!(r#"{{"key":"k","value_base64":"{text}"}}"#).as_bytes())
                .map(|pair| pair.value)
        };
        assert_eq!(value("Zm9vYg==").unwrap(), b"foob");
        for wrong in [
            "Z", "Zg", "Zg=", "Zh==", "Z===", "====", "Zg==Zg==", "Z g=", "Zm9=",
        ] {
            assert!(value(wrong).is_err(), "{wrong}");
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
            let line = pair.to_base64_json();
            assert!(!line.contains(r#""key":"#) && !line.contains(r#""value":"#));
            assert_eq!(Pair::from_json(line.as_bytes()).unwrap(), pair);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_in_the_line_alone() {
        let error = Pair::from_json(br#"{"key":"a","value":1}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid type: integer `1`, expected a string at column 20"
        );
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
