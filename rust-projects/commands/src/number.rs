//! Numbers in strings: integers as Redis reads them, and decimal fractions without floating point.
//!
//! Redis adds INCRBYFLOAT in 80-bit floating point, whose results depend on the machine, and prints 17 digits after the
//! point. A replicated state machine must not depend on the machine, so [`Decimal`] adds exactly, in units of the last
//! of those 17 digits. Wherever 64 bits of mantissa suffice the two agree; beyond, Redis rounds and this does not.

/// Reads an integer strictly: no blanks, no plus sign, no leading zeros, no `-0`.
pub(crate) fn parse_i64(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        b"0" => return (!is_negative).then_some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Downwards, because the smallest integer has no positive counterpart.
    let negated = digits.iter().try_fold(0_i64, |sum, &digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_sub(digit)
    })?;
    if is_negative {
        Some(negated)
    } else {
        negated.checked_neg()
    }
}

/// Digits after the point.
const SCALE_DIGITS: usize = 17;
const SCALE: i128 = 10_i128.pow(SCALE_DIGITS as u32);
/// Longer numbers are refused before they are looked at.
const MAX_TEXT_BYTES: usize = 255;

/// A decimal fraction with 17 digits after the point, between about -10^21 and 10^21.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    /// In units of 10^-17.
    units: i128,
}

/// Why text is not a [`Decimal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDecimal {
    Malformed,
    Infinite,
}

impl Decimal {
    /// Reads `[+-]digits[.digits][e[+-]digits]`; digits beyond the seventeenth after the point are rounded, half up in
    /// magnitude.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, NotDecimal> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(NotDecimal::Malformed);
        }
        let (is_negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            return Err(NotDecimal::Infinite);
        }
        let magnitude = parse_magnitude(unsigned).ok_or(NotDecimal::Malformed)?;
        Ok(Self {
            units: if is_negative { -magnitude } else { magnitude },
        })
    }

    /// The exact sum, if it is in range.
    pub(crate) fn checked_add(self, other: Self) -> Option<Self> {
        let units = self.units.checked_add(other.units)?;
        Some(Self { units })
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let magnitude = self.units.unsigned_abs();
        let (whole, fraction) = (
            magnitude / SCALE.unsigned_abs(),
            magnitude % SCALE.unsigned_abs(),
        );
        let sign = if self.units < 0 { "-" } else { "" };
        write!(formatter, "{sign}{whole}")?;
        if fraction != 0 {
            let digits = format!("{fraction:0SCALE_DIGITS$}");
            write!(formatter, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

fn parse_magnitude(unsigned: &[u8]) -> Option<i128> {
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&unsigned[..at], parse_exponent(&unsigned[at + 1..])?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|&byte| byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &b""[..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // The position of the point behind the first digit of `whole`, once the exponent has moved it.
    let point = i64::try_from(whole.len()).ok()? + exponent;
    scaled(whole.iter().chain(fraction).copied(), point)
}

/// The digits with the point after `point` of them, in units of 10^-17.
fn scaled(digits: impl Iterator<Item = u8>, point: i64) -> Option<i128> {
    let wanted = point + SCALE_DIGITS as i64;
    let (mut units, mut taken) = (0_i128, 0_i64);
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| i128::from(digit - b'0'))?;
        if taken < wanted {
            units = units.checked_mul(10)?.checked_add(digit)?;
        } else if taken == wanted && digit >= 5 {
            units = units.checked_add(1)?;
        }
        taken += 1;
    }
    if units == 0 {
        return Some(0);
    }
    for _ in taken..wanted {
        units = units.checked_mul(10)?;
    }
    Some(units)
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // An exponent of this size moves any text of the permitted length out of range.
    let magnitude = digits.iter().fold(0_i64, |sum, digit| {
        (sum * 10 + i64::from(digit - b'0')).min(10_000)
    });
    Some(if is_negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Digits with a point before the last `fraction` of them, built by hand.
    fn written(units: i128) -> String {
        let digits = format!("{:018}", units.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - SCALE_DIGITS);
        let sign = if units < 0 { "-" } else { "" };
        format!("{sign}{whole}.{fraction}")
    }

    proptest! {
        #[test]
        fn an_integer_is_read_exactly_if_it_is_written_as_it_would_be_printed(
            text in prop_oneof![any::<i64>().prop_map(|value| value.to_string()), "[-+]?[0-9]{0,20}", "[-+ 0-9a.]{0,4}"],
        ) {
            let canonical = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
            prop_assert_eq!(parse_i64(text.as_bytes()), canonical);
        }

        #[test]
        fn a_decimal_reads_back_as_itself_and_prints_the_shortest_form(units in any::<i128>()) {
            let decimal = Decimal::parse(written(units).as_bytes());
            prop_assert_eq!(decimal, if units == i128::MIN { Err(NotDecimal::Malformed) } else { Ok(Decimal { units }) });
            let printed = Decimal { units }.to_string();
            prop_assert_eq!(Decimal::parse(printed.as_bytes()), decimal);
            let is_shortest = !printed.contains('.') || !printed.ends_with(['0', '.']);
            prop_assert!(is_shortest, "{}", printed);
        }

        #[test]
        fn an_exponent_moves_the_point(digits in 0_i64..1_000_000_000, exponent in -8_i32..=8) {
            let units = i128::from(digits) * SCALE;
            let units = match exponent {
                0.. => units * 10_i128.pow(exponent.unsigned_abs()),
                _ => units / 10_i128.pow(exponent.unsigned_abs()),
            };
            let text = format!("{digits}e{exponent}");
            prop_assert_eq!(Decimal::parse(text.as_bytes()), Ok(Decimal { units }));
        }

        #[test]
        fn small_sums_agree_with_binary_floating_point(left in -1_000_000_i32..1_000_000, right in -1_000_000_i32..1_000_000) {
            // Quarters are exact in both.
            let number = |quarters: i32| f64::from(quarters) / 4.0;
            let parse = |quarters: i32| Decimal::parse(number(quarters).to_string().as_bytes()).unwrap();
            let sum = parse(left).checked_add(parse(right)).unwrap();
            let expected = (number(left) + number(right)).to_string();
            prop_assert_eq!(sum.to_string(), expected);
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in proptest::collection::vec(any::<u8>(), 0..300), near in "[-+.eE0-9]{0,40}") {
            let _ = (parse_i64(&text), Decimal::parse(&text), Decimal::parse(near.as_bytes()));
        }
    }

    #[test]
    fn integers_are_read_strictly_and_over_their_whole_range() {
        for (text, value) in [
            ("0", 0),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "a",
            "--1",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999999",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn decimals_are_printed_without_exponent_and_trailing_zeros() {
        for (text, printed) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("10.50", "10.5"),
            ("5.0e3", "5000"),
            (".5", "0.5"),
            ("5.", "5"),
            ("+1e-17", "0.00000000000000001"),
            ("1e-18", "0"),
            ("5e-18", "0.00000000000000001"),
            ("-4e-18", "0"),
            ("1e20", "100000000000000000000"),
            ("0.000000000000000000001e21", "1"),
            ("0e9999999999999999999999", "0"),
        ] {
            let decimal = Decimal::parse(text.as_bytes()).map(|decimal| decimal.to_string());
            assert_eq!(decimal, Ok(printed.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_decimal_or_out_of_range_is_refused() {
        for text in [
            "",
            ".",
            "-",
            "e5",
            "1e",
            "1e+",
            "1.2.3",
            "0x10",
            " 1",
            "1 ",
            "nan",
            "1e22",
            "1e999999999999",
        ] {
            assert_eq!(
                Decimal::parse(text.as_bytes()),
                Err(NotDecimal::Malformed),
                "{text:?}"
            );
        }
        assert_eq!(Decimal::parse(b"-Infinity"), Err(NotDecimal::Infinite));
    }

    #[test]
    fn a_tenth_and_two_tenths_are_three_tenths() {
        let sum = Decimal::parse(b"0.1")
            .unwrap()
            .checked_add(Decimal::parse(b"0.2").unwrap());
        assert_eq!(sum.unwrap().to_string(), "0.3");
    }
}
