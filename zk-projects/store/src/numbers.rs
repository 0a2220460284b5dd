//! Numbers of the field as keys and values.

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use storage::{Batch, Reader};

use crate::StoreError;

/// A number as 32 bytes, big-endian: in the order of keys.
#[must_use]
pub fn number_bytes(number: Fr) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&number.into_bigint().to_bytes_be());
    bytes
}

/// The number of 32 bytes as [`number_bytes`] makes them; `None` for other lengths and numbers not below r.
#[must_use]
pub fn read_number(bytes: &[u8]) -> Option<Fr> {
    let mut little: [u8; 32] = bytes.try_into().ok()?;
    little.reverse();
    proof::curve::read_plain(&little).ok()
}

/// A set of numbers, such as used nullifiers.
#[derive(Debug, Clone)]
pub struct NumberSet {
    prefix: Vec<u8>,
}

impl NumberSet {
    /// The set under `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            prefix: format!("{name}/").into_bytes(),
        }
    }

    fn key(&self, number: Fr) -> Vec<u8> {
        [&self.prefix[..], &number_bytes(number)].concat()
    }

    /// Whether a number is in the set.
    ///
    /// # Errors
    ///
    /// Those of the engine.
    pub fn contains(&self, reader: &impl Reader, number: Fr) -> Result<bool, StoreError> {
        Ok(reader.contains(&self.key(number))?)
    }

    /// Puts a number into the set.
    pub fn insert(&self, batch: &mut Batch, number: Fr) {
        batch.put(self.key(number), Vec::new());
    }
}
