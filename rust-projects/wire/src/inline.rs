//! Inline commands: a line of words as a person types it into `nc`, with the quoting rules of Redis.
//!
//! Words are separated by blanks. In double quotes `\n \r \t \b \a \xHH` are escapes and any other escaped byte is
//! itself; in single quotes only `\'` is. A quote may open within a word, but must be followed by a blank or the end.
//! Declared difference: a NUL byte is an ordinary byte here, where Redis drops the rest of the line.

use bytes::Bytes;
use memchr::memchr2;

/// A quote was not closed, or its closing quote is followed by something other than a blank.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnbalancedQuotes;

/// Splits a line, without its line end, into words appended to `words`. Lines without quotes are not copied.
pub(crate) fn split(line: &Bytes, words: &mut Vec<Bytes>) -> Result<(), UnbalancedQuotes> {
    if memchr2(b'"', b'\'', line).is_none() {
        let unquoted = line.split(|byte| is_blank(*byte));
        words.extend(
            unquoted
                .filter(|word| !word.is_empty())
                .map(|word| line.slice_ref(word)),
        );
        return Ok(());
    }
    let mut rest = line.as_ref();
    loop {
        let blanks = rest.iter().take_while(|byte| is_blank(**byte)).count();
        rest = &rest[blanks..];
        if rest.is_empty() {
            return Ok(());
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(Bytes::from(word));
    }
}

/// Moves one word from the start of `rest` into `word` and returns what follows it.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        rest = match rest {
            [] => return Ok(rest),
            [byte, ..] if is_blank(*byte) => return Ok(rest),
            [b'"', inside @ ..] => return take_double_quoted(inside, word),
            [b'\'', inside @ ..] => return take_single_quoted(inside, word),
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn take_double_quoted<'a>(
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        rest = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'"', after @ ..] => return after_closing_quote(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex_value(*high) << 4 | hex_value(*low));
                after
            }
            [b'\\', escaped, after @ ..] => {
                word.push(unescape(*escaped));
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn take_single_quoted<'a>(
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        rest = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'\'', after @ ..] => return after_closing_quote(after),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn after_closing_quote(rest: &[u8]) -> Result<&[u8], UnbalancedQuotes> {
    match rest.first() {
        Some(byte) if !is_blank(*byte) => Err(UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::{UnbalancedQuotes, split};
    use bytes::Bytes;

    fn words(line: &'static [u8]) -> Result<Vec<Bytes>, UnbalancedQuotes> {
        let mut words = Vec::new();
        split(&Bytes::from_static(line), &mut words).map(|()| words)
    }

    #[test]
    fn words_are_split_and_unquoted_as_redis_does() {
        let table: [(&'static [u8], &[&[u8]]); 14] = [
            (b"", &[]),
            (b" \t ", &[]),
            (b"GET key", &[b"GET", b"key"]),
            (b"  GET \t key  ", &[b"GET", b"key"]),
            (b"''", &[b""]),
            (b"SET k \"\"", &[b"SET", b"k", b""]),
            (b"SET k \"a b\"", &[b"SET", b"k", b"a b"]),
            (b"\"\\n\\r\\t\\b\\a\"", &[b"\n\r\t\x08\x07"]),
            (b"\"\\x00\\xfF\\\"\\\\\"", &[b"\0\xff\"\\"]),
            (b"\"\\xZZ\\q\"", &[b"xZZq"]),
            (b"'a\\'b\\n\"'", &[b"a'b\\n\""]),
            (b"pre\"mid dle\"", &[b"premid dle"]),
            (b"pre'x' y", &[b"prex", b"y"]),
            (b"a\\nb 'c'", &[b"a\\nb", b"c"]),
        ];
        for (line, expected) in table {
            let expected: Vec<Bytes> = expected
                .iter()
                .map(|word| Bytes::from_static(word))
                .collect();
            assert_eq!(words(line), Ok(expected), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_quote_left_open_or_followed_by_a_letter_is_unbalanced() {
        let table: [&'static [u8]; 8] = [
            b"\"",
            b"'",
            b"a \"b",
            b"'a",
            b"\"a\"b",
            b"'a'b",
            b"\"a\"'b'",
            b"\"a\\\"",
        ];
        for line in table {
            assert_eq!(
                words(line),
                Err(UnbalancedQuotes),
                "{}",
                line.escape_ascii()
            );
        }
    }
}
