//! Secrets and addresses as one word of text that survives copying: a prefix, hexadecimal digits, and a checksum.
//!
//! ```text
//! keyproof-mixer-1-<digits of the content><8 digits of the checksum>
//! ```
//!
//! The checksum is the first four bytes of keccak256 over everything before it. A content has one text: other cases, blanks within or
//! a prefix of another version are refused.

use std::fmt::Write;

use gadgets::context::keccak;
use zeroize::Zeroizing;

const CHECKSUM_BYTES: usize = 4;

/// Why a text is not what it should be. Never repeats it: it may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It does not begin as one.
    #[error("expected a text that begins with `{0}`")]
    Prefix(&'static str),
    /// Digits are missing, too many, or other characters.
    #[error(
        "the text is incomplete or has characters that do not belong: copy all of it, on one line"
    )]
    Malformed,
    /// The checksum is that of another text.
    #[error("the text's checksum is wrong: a character was changed")]
    Checksum,
}

/// The text of `content` after `prefix`.
#[must_use]
pub fn encode_text(prefix: &str, content: &[u8]) -> Zeroizing<String> {
    // With room for all of it, so that no copy is left behind by growing.
    let length = prefix.len() + 2 * (content.len() + CHECKSUM_BYTES);
    let mut text = Zeroizing::new(String::with_capacity(length));
    text.push_str(prefix);
    push_digits(&mut text, content);
    let checksum = keccak(text.as_bytes());
    push_digits(&mut text, &checksum[..CHECKSUM_BYTES]);
    text
}

fn push_digits(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
}

/// The content of a text, blanks around it aside.
///
/// # Errors
///
/// [`TextError`].
pub fn decode_text<const N: usize>(
    prefix: &'static str,
    text: &str,
) -> Result<Zeroizing<[u8; N]>, TextError> {
    let text = text.trim();
    let digits = text.strip_prefix(prefix).ok_or(TextError::Prefix(prefix))?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != 2 * (N + CHECKSUM_BYTES) || !digits.bytes().all(is_digit) {
        return Err(TextError::Malformed);
    }
    let (summed, checksum) = text.split_at(text.len() - 2 * CHECKSUM_BYTES);
    let mut found = [0; CHECKSUM_BYTES];
    read_digits(checksum, &mut found)?;
    if found != keccak(summed.as_bytes())[..CHECKSUM_BYTES] {
        return Err(TextError::Checksum);
    }
    let mut content = Zeroizing::new([0; N]);
    read_digits(&digits[..2 * N], &mut *content)?;
    Ok(content)
}

fn read_digits(digits: &str, bytes: &mut [u8]) -> Result<(), TextError> {
    for (index, byte) in bytes.iter_mut().enumerate() {
        let pair = &digits[2 * index..2 * index + 2];
        *byte = u8::from_str_radix(pair, 16).map_err(|_| TextError::Malformed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "keyproof-test-1-";

    #[test]
    fn a_text_is_read_back() {
        let content: [u8; 40] = std::array::from_fn(|i| (i as u8).wrapping_mul(7));
        let text = encode_text(PREFIX, &content);
        assert_eq!(*decode_text::<40>(PREFIX, &text).unwrap(), content);
        let pasted = format!("  {}\n", *text);
        assert_eq!(*decode_text::<40>(PREFIX, &pasted).unwrap(), content);
    }

    #[test]
    fn a_text_with_any_character_changed_or_missing_is_refused() {
        let text = encode_text(PREFIX, &[0x5a; 40]);
        for at in 0..text.len() {
            let other = if &text[at..=at] == "0" { "1" } else { "0" };
            let changed = [&text[..at], other, &text[at + 1..]].concat();
            assert!(
                decode_text::<40>(PREFIX, &changed).is_err(),
                "character {at}"
            );
            let missing = [&text[..at], &text[at + 1..]].concat();
            assert!(
                decode_text::<40>(PREFIX, &missing).is_err(),
                "character {at}"
            );
        }
        let refused = |text: &str| decode_text::<40>(PREFIX, text).unwrap_err();
        assert_eq!(refused(""), TextError::Prefix(PREFIX));
        assert_eq!(refused(&text.to_uppercase()), TextError::Prefix(PREFIX));
        assert_eq!(refused(&text.replace("5a", "5A")), TextError::Malformed);
        assert_eq!(refused(&format!("{PREFIX}é")), TextError::Malformed);
        assert_eq!(refused(&text.replacen("5a", "5b", 1)), TextError::Checksum);
    }
}
