//! The decimal number of a length line, `<number> CRLF`, which follows a type byte.
//!
//! It is strict as Redis is: no plus sign, no leading zero, no blank. Eighteen digits at most, so that it cannot
//! overflow and that an unfinished line is never longer than 21 bytes: parsing it again from its start
//! when more has arrived stays cheap.

/// Longest line accepted, sign and CRLF included.
#[cfg(test)]
pub(crate) const MAX_LINE_BYTES: usize = 1 + MAX_DIGITS + 2;

const MAX_DIGITS: usize = 18;

/// What the start of a length line says so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Valid so far, but the CRLF has not arrived.
    Incomplete,
    /// Not a number, or too long to be one.
    Invalid,
    /// The number and the bytes its line takes, CRLF included.
    Complete(i64, usize),
}

/// Reads the number at the start of `bytes`, which begin just after the type byte.
#[inline]
pub(crate) fn parse_length(bytes: &[u8]) -> Length {
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let mut value = 0_i64;
    let mut at = sign;
    loop {
        let Some(&byte) = bytes.get(at) else {
            return Length::Incomplete;
        };
        let digits = at - sign;
        match byte {
            b'0'..=b'9' if digits < MAX_DIGITS => value = value * 10 + i64::from(byte - b'0'),
            b'\r' if digits > 0 => break,
            _ => return Length::Invalid,
        }
        at += 1;
    }
    let leading_zero = bytes[sign] == b'0' && (at - sign > 1 || sign == 1);
    match bytes.get(at + 1) {
        _ if leading_zero => Length::Invalid,
        None => Length::Incomplete,
        Some(b'\n') => Length::Complete(if sign == 1 { -value } else { value }, at + 2),
        Some(_) => Length::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::{Length, MAX_LINE_BYTES, parse_length};

    #[test]
    fn numbers_are_read_and_the_rest_is_left() {
        assert_eq!(parse_length(b"0\r\n"), Length::Complete(0, 3));
        assert_eq!(parse_length(b"17\r\nrest"), Length::Complete(17, 4));
        assert_eq!(parse_length(b"-1\r\n"), Length::Complete(-1, 4));
        assert_eq!(
            parse_length(b"999999999999999999\r\n"),
            Length::Complete(999_999_999_999_999_999, 20)
        );
    }

    #[test]
    fn an_unfinished_line_is_incomplete_and_never_longer_than_the_bound() {
        let line = b"-999999999999999999\r\n";
        assert_eq!(line.len(), MAX_LINE_BYTES);
        for cut in 0..line.len() {
            assert_eq!(parse_length(&line[..cut]), Length::Incomplete, "{cut}");
        }
    }

    #[test]
    fn what_redis_does_not_read_as_a_number_is_invalid() {
        let lines: [&[u8]; 11] = [
            b"\r\n",
            b"-\r\n",
            b"+1\r\n",
            b"01\r\n",
            b"-0\r\n",
            b" 1\r\n",
            b"1 \r\n",
            b"1x",
            b"1\rx",
            b"1\n",
            b"1000000000000000000",
        ];
        for line in lines {
            assert_eq!(
                parse_length(line),
                Length::Invalid,
                "{}",
                line.escape_ascii()
            );
        }
    }
}
