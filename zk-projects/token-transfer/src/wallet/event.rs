//! What the contract says about a transfer.

use ark_bn254::Fr;
use zk_store::{number_bytes, read_number};

/// A transfer as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Position of the pair in the tree.
    pub pair: u64,
    /// The new commitments.
    pub commitments: [Fr; 2],
    /// The new notes, encrypted; a sender may put anything here.
    pub ciphertexts: [Vec<u8>; 2],
    /// Those of the notes that were spent.
    pub nullifiers: [Fr; 2],
    /// What the contract took in.
    pub amount_in: u128,
    /// What the contract paid out, the fee included.
    pub amount_out: u128,
}

impl Event {
    /// Commitments, nullifiers (32 bytes each), amounts (16 each), and the ciphertexts, each after its length (4 bytes).
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in self.commitments.iter().chain(&self.nullifiers) {
            bytes.extend(number_bytes(*number));
        }
        bytes.extend(self.amount_in.to_be_bytes());
        bytes.extend(self.amount_out.to_be_bytes());
        for ciphertext in &self.ciphertexts {
            let length = u32::try_from(ciphertext.len()).expect("an event is below 4 GiB");
            bytes.extend(length.to_be_bytes());
            bytes.extend(ciphertext);
        }
        bytes
    }

    pub(super) fn from_bytes(pair: u64, bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut number = || {
            let (number, after) = rest.split_first_chunk::<32>()?;
            rest = after;
            read_number(number)
        };
        let [c0, c1, n0, n1] = [number()?, number()?, number()?, number()?];
        let mut amount = || {
            let (amount, after) = rest.split_first_chunk::<16>()?;
            rest = after;
            Some(u128::from_be_bytes(*amount))
        };
        let [amount_in, amount_out] = [amount()?, amount()?];
        let mut ciphertext = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length = u32::from_be_bytes(*length) as usize;
            let (ciphertext, after) = after.split_at_checked(length)?;
            rest = after;
            Some(ciphertext.to_vec())
        };
        let ciphertexts = [ciphertext()?, ciphertext()?];
        rest.is_empty().then_some(Self {
            pair,
            commitments: [c0, c1],
            ciphertexts,
            nullifiers: [n0, n1],
            amount_in,
            amount_out,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_back_and_a_cut_one_is_not() {
        let event = Event {
            pair: 5,
            commitments: [1, 2].map(Fr::from),
            ciphertexts: [vec![3; 96], Vec::new()],
            nullifiers: [-Fr::from(1), Fr::from(4)],
            amount_in: u128::MAX,
            amount_out: 6,
        };
        let bytes = event.to_bytes();
        assert_eq!(Event::from_bytes(5, &bytes), Some(event));
        for length in 0..bytes.len() {
            assert_eq!(
                Event::from_bytes(5, &bytes[..length]),
                None,
                "{length} bytes"
            );
        }
        assert_eq!(Event::from_bytes(5, &[&bytes[..], &[0]].concat()), None);
    }
}
