//! Numbers of the field, and proofs, as words of the EVM.

use alloy_primitives::U256;
use ark_bn254::Fr;
use ark_ff::PrimeField;
use proof::solidity::proof_words;
use proof::verify::Proof;

/// A number of the field as a word.
#[must_use]
pub fn word(number: Fr) -> U256 {
    U256::from_limbs(number.into_bigint().0)
}

/// A word modulo r. The contracts keep the numbers that they store and tell below r, so that of these nothing is lost.
#[must_use]
pub fn number(word: U256) -> Fr {
    Fr::from_le_bytes_mod_order(&word.to_le_bytes::<32>())
}

/// A proof as the contracts take it.
#[must_use]
pub fn proof_argument(proof: &Proof) -> [U256; 8] {
    proof_words(proof).map(U256::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_word_and_a_word_beyond_r_is_reduced() {
        for value in [Fr::from(0), Fr::from(1), Fr::from(u128::MAX), -Fr::from(1)] {
            assert_eq!(number(word(value)), value);
            assert_eq!(word(value).to_string(), value.to_string());
        }
        let r = word(-Fr::from(1)) + U256::ONE;
        assert_eq!(number(r), Fr::from(0));
        assert_eq!(number(r + U256::from(5)), Fr::from(5));
    }
}
