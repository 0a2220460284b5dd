//! Numbers of the fields as text: decimal as in snarkjs' JSON, or hexadecimal after `0x`.
//!
//! JSON has no numbers of 254 bits, so they are strings. A string that stands for a number not below the modulus is refused, never
//! reduced: two texts for one number let one nullifier pass twice. Neither signs nor blanks, underscores or leading zeros of a
//! decimal are taken, for the same reason. Errors never repeat the text: it may be secret.
//!
//! For serde fields, also for lists and fixed arrays of numbers, and lists of those:
//!
//! ```
//! use ark_bn254::Fr;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Private {
//!     #[serde(with = "proof::decimal")]
//!     secret: Fr,
//!     #[serde(with = "proof::decimal")]
//!     path: Vec<[Fr; 3]>,
//! }
//!
//! let text = r#"{"secret":"0x10","path":[["1","2","3"]]}"#;
//! let private: Private = serde_json::from_str(text)?;
//! assert_eq!(private.secret, Fr::from(16));
//! assert_eq!(serde_json::to_string(&private)?, r#"{"secret":"16","path":[["1","2","3"]]}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::fmt;

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInt, PrimeField};
use serde::de::{Error, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text is no number of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not a decimal number without leading zeros, nor (where that is allowed) a hexadecimal one after `0x`.
    #[error("not a number: digits without sign, blanks or leading zeros are expected")]
    Malformed,
    /// Not below the modulus.
    #[error("a number that is not below the field's modulus")]
    TooLarge,
}

/// Reads a decimal number.
///
/// # Errors
///
/// [`NumberError`].
pub fn parse_decimal<F: Number>(text: &str) -> Result<F, NumberError> {
    if text.len() > 1 && text.starts_with('0') {
        return Err(NumberError::Malformed);
    }
    parse_digits(text, 10)
}

/// Reads a decimal number, or a hexadecimal one after `0x`, which may have leading zeros.
///
/// # Errors
///
/// [`NumberError`].
pub fn parse<F: Number>(text: &str) -> Result<F, NumberError> {
    match text.strip_prefix("0x") {
        Some(digits) => parse_digits(digits, 16),
        None => parse_decimal(text),
    }
}

fn parse_digits<F: Number>(text: &str, radix: u32) -> Result<F, NumberError> {
    if text.is_empty() {
        return Err(NumberError::Malformed);
    }
    let mut limbs = [0_u64; 4];
    let mut fits = true;
    for digit in text.chars() {
        let mut carry: u128 = digit.to_digit(radix).ok_or(NumberError::Malformed)?.into();
        for limb in &mut limbs {
            let wide = u128::from(*limb) * u128::from(radix) + carry;
            *limb = wide as u64;
            carry = wide >> 64;
        }
        fits &= carry == 0;
    }
    F::from_bigint(BigInt(limbs))
        .filter(|_| fits)
        .ok_or(NumberError::TooLarge)
}

/// A number of one of BN254's fields.
pub trait Number: PrimeField<BigInt = BigInt<4>> {}

impl Number for Fr {}
impl Number for Fq {}

/// Numbers, and lists of numbers, whose text is decimal.
pub trait Decimal: Sized {
    /// Writes decimal strings.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads decimal or hexadecimal strings.
    ///
    /// # Errors
    ///
    /// Those of the deserializer, and those of [`NumberError`].
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// [`Decimal::serialize`], as serde's `with` looks for it.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<T: Decimal, S: Serializer>(numbers: &T, serializer: S) -> Result<S::Ok, S::Error> {
    numbers.serialize(serializer)
}

/// [`Decimal::deserialize`], as serde's `with` looks for it.
///
/// # Errors
///
/// Those of the deserializer, and those of [`NumberError`].
pub fn deserialize<'de, T: Decimal, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(deserializer)
}

impl Decimal for Fr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.into_bigint())
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text {
            read: parse,
            expects: "a decimal string, or a hexadecimal one after 0x",
        })
    }
}

impl<T: Decimal> Decimal for Vec<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_list(self, serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let elements = Vec::<Owned<T>>::deserialize(deserializer)?;
        Ok(elements.into_iter().map(|Owned(element)| element).collect())
    }
}

impl<T: Decimal, const N: usize> Decimal for [T; N] {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_list(self, serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let elements = <Vec<T> as Decimal>::deserialize(deserializer)?;
        let found = elements.len();
        elements
            .try_into()
            .map_err(|_| D::Error::custom(format!("{found} elements instead of {N}")))
    }
}

fn serialize_list<T: Decimal, S: Serializer>(
    elements: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(elements.len()))?;
    for element in elements {
        list.serialize_element(&Borrowed(element))?;
    }
    list.end()
}

struct Borrowed<'a, T>(&'a T);

impl<T: Decimal> Serialize for Borrowed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

struct Owned<T>(T);

impl<'de, T: Decimal> Deserialize<'de> for Owned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// A number as snarkjs' JSON has it: decimal and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strict<F>(pub(crate) F);

impl<F: Number> Serialize for Strict<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.into_bigint())
    }
}

impl<'de, F: Number> Deserialize<'de> for Strict<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_str(Text {
            read: parse_decimal,
            expects: "a decimal string",
        })?;
        Ok(Self(number))
    }
}

/// Reads a string as a number.
struct Text<F> {
    read: fn(&str) -> Result<F, NumberError>,
    expects: &'static str,
}

impl<F> Visitor<'_> for Text<F> {
    type Value = F;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expects)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<F, E> {
        (self.read)(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: &str = "21888242871839275222246405745257275088548364400416034343698204186575808495617";

    #[test]
    fn numbers_are_read_up_to_the_modulus_and_not_from_there() {
        let largest =
            "21888242871839275222246405745257275088548364400416034343698204186575808495616";
        assert_eq!(parse_decimal(largest), Ok(-Fr::from(1)));
        assert_eq!(parse_decimal::<Fr>(R), Err(NumberError::TooLarge));
        assert_eq!(
            parse_decimal::<Fq>(R).map(|number| number.to_string()),
            Ok(R.to_owned())
        );
        let wraps = format!("{}", num_bigint::BigUint::from(1_u8) << 256);
        assert_eq!(parse_decimal::<Fr>(&wraps), Err(NumberError::TooLarge));
        let long = "9".repeat(10_000);
        assert_eq!(parse_decimal::<Fr>(&long), Err(NumberError::TooLarge));
    }

    #[test]
    fn only_one_text_stands_for_a_number_in_decimal() {
        assert_eq!(parse_decimal(""), Err::<Fr, _>(NumberError::Malformed));
        for text in ["01", "00", "+1", "-1", " 1", "1 ", "1_0", "1e3", "0x1", "١"] {
            assert_eq!(
                parse_decimal::<Fr>(text),
                Err(NumberError::Malformed),
                "{text}"
            );
        }
        assert_eq!(parse_decimal("0"), Ok(Fr::from(0)));
    }

    #[test]
    fn hexadecimal_is_read_after_its_prefix() {
        assert_eq!(parse("0x00fF"), Ok(Fr::from(255)));
        for text in ["0x", "0X1", "ff", "0xg", "0x-1"] {
            assert_eq!(parse::<Fr>(text), Err(NumberError::Malformed), "{text}");
        }
        let r = "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
        assert_eq!(parse::<Fr>(r), Err(NumberError::TooLarge));
    }

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Lists {
        #[serde(with = "super")]
        one: Fr,
        #[serde(with = "super")]
        pairs: Vec<[Fr; 2]>,
    }

    #[test]
    fn lists_of_arrays_are_written_and_read() {
        let lists = Lists {
            one: Fr::from(1),
            pairs: vec![[Fr::from(2), Fr::from(3)]],
        };
        let text = r#"{"one":"1","pairs":[["2","3"]]}"#;
        assert_eq!(serde_json::to_string(&lists).unwrap(), text);
        assert_eq!(serde_json::from_str::<Lists>(text).unwrap(), lists);
        let error = serde_json::from_str::<Lists>(r#"{"one":"1","pairs":[["2"]]}"#).unwrap_err();
        assert!(
            error.to_string().starts_with("1 elements instead of 2"),
            "{error}"
        );
    }
}
