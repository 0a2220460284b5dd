//! `input.json`: for each input signal a number, or lists of numbers nested as the signal is declared.
//!
//! ```json
//! { "root": "1234", "secret": -1, "path": [["1", "2"], ["3", "4"]] }
//! ```
//!
//! A number is a decimal string or a JSON integer below 2^64; a minus sign makes it `r` minus the number. A number not below r is refused, where
//! snarkjs reduces it. Lists are flattened in order. A name that comes twice is refused.

use std::collections::BTreeMap;
use std::fmt;

use ark_bn254::Fr;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroize;

use crate::decimal::parse_decimal;
use crate::files::json::{JsonError, read_document};

/// The values of a circuit's input signals, by name. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Inputs(BTreeMap<String, Vec<Fr>>);

impl Inputs {
    /// The signals with their values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Fr])> {
        self.0
            .iter()
            .map(|(name, values)| (name.as_str(), values.as_slice()))
    }
}

impl FromIterator<(String, Vec<Fr>)> for Inputs {
    fn from_iter<T: IntoIterator<Item = (String, Vec<Fr>)>>(signals: T) -> Self {
        Self(signals.into_iter().collect())
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

/// Names and numbers of values only.
impl fmt::Debug for Inputs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map()
            .entries(self.iter().map(|(name, values)| (name, values.len())))
            .finish()
    }
}

/// Reads `input.json`.
///
/// # Errors
///
/// [`JsonError`], which names the signal and the place in it, and no value.
pub fn read_inputs(bytes: &[u8]) -> Result<Inputs, JsonError> {
    read_document("input", bytes)
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Signals)
    }
}

struct Signals;

impl<'de> Visitor<'de> for Signals {
    type Value = Inputs;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object of signals")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Inputs, A::Error> {
        let mut inputs = Inputs(BTreeMap::new());
        while let Some(name) = map.next_key::<String>()? {
            let mut values: Values = map.next_value()?;
            if inputs.0.contains_key(&name) {
                return Err(A::Error::custom(format!("the signal {name} comes twice")));
            }
            inputs.0.insert(name, std::mem::take(&mut values.0));
        }
        Ok(inputs)
    }
}

/// A number, or all numbers of nested lists in order. Wiped when dropped, so that an error later in the file leaves none behind.
struct Values(Vec<Fr>);

impl Values {
    /// Takes the numbers of `more` to its end. A vector that grows by itself would leave copies behind.
    fn append(&mut self, mut more: Self) {
        let length = self.0.len() + more.0.len();
        if length > self.0.capacity() {
            let mut larger = Vec::with_capacity(length.max(2 * self.0.len()));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.append(&mut more.0);
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Numbers)
    }
}

struct Numbers;

impl<'de> Visitor<'de> for Numbers {
    type Value = Values;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an integer (as a string if it is not below 2^64) or a list of them")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Values, E> {
        Ok(Values(vec![Fr::from(number)]))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Values, E> {
        Ok(Values(vec![Fr::from(number)]))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Values, E> {
        let number = match text.strip_prefix('-') {
            Some(digits) => parse_decimal(digits).map(|number: Fr| -number),
            None => parse_decimal(text),
        };
        Ok(Values(vec![number.map_err(E::custom)?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Values, A::Error> {
        let mut all = Values(Vec::new());
        while let Some(values) = items.next_element()? {
            all.append(values);
        }
        Ok(all)
    }
}
