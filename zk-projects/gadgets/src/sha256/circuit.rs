//! SHA-256 over wires.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, PrimeField};
use ark_relations::gr1cs::SynthesisError;

use super::{BLOCK_WORDS, initial_state, round_constants};
use crate::range;
use crate::wire::{Circuit, Wire};

/// Bits of a word.
const WORD_BITS: usize = 32;

/// A word of 32 bits, each of which is known to be 0 or 1.
#[derive(Debug, Clone)]
pub struct Word {
    /// Lowest first.
    bits: Vec<Wire>,
    /// Their weighted sum.
    number: Wire,
}

impl Word {
    /// A word that is part of the circuit.
    #[must_use]
    pub fn constant(value: u32) -> Self {
        let bits = (0..WORD_BITS).map(|bit| Wire::constant(Fr::from(value >> bit & 1)));
        Self {
            bits: bits.collect(),
            number: Wire::constant(value.into()),
        }
    }

    /// Allocates a word that only the prover knows: 32 constraints, each of which says that a wire is a bit.
    ///
    /// # Errors
    ///
    /// Those of arkworks.
    pub fn private(circuit: &Circuit, value: u32) -> Result<Self, SynthesisError> {
        let bits = (0..WORD_BITS).map(|bit| {
            let wire = circuit.private(Fr::from(value >> bit & 1))?;
            circuit.enforce_boolean(&wire)?;
            Ok(wire)
        });
        Ok(Self::of_bits(bits.collect::<Result<_, SynthesisError>>()?))
    }

    fn of_bits(bits: Vec<Wire>) -> Self {
        let (mut number, mut weight) = (Wire::constant(Fr::ZERO), Fr::ONE);
        for bit in &bits {
            number.add_multiple(bit, weight);
            weight.double_in_place();
        }
        Self { bits, number }
    }

    /// The word as a number below 2^32: a sum that costs nothing.
    #[must_use]
    pub fn number(&self) -> &Wire {
        &self.number
    }

    /// What the prover assigned.
    #[must_use]
    pub fn value(&self) -> u32 {
        self.number.value().into_bigint().0[0] as u32
    }

    /// The bit that is at `position` after turning the word right by `by`.
    fn rotated(&self, by: usize, position: usize) -> &Wire {
        &self.bits[(position + by) % WORD_BITS]
    }

    /// One bit after another.
    fn each(bit: impl Fn(usize) -> Result<Wire, SynthesisError>) -> Result<Self, SynthesisError> {
        let bits: Result<_, _> = (0..WORD_BITS).map(bit).collect();
        Ok(Self::of_bits(bits?))
    }
}

/// The hash of a message: eight words, the first of which the digest begins with.
///
/// # Errors
///
/// Those of arkworks.
pub fn hash_wires(circuit: &Circuit, message: &[Word]) -> Result<Vec<Word>, SynthesisError> {
    let constants = round_constants();
    let mut state: Vec<Word> = initial_state().into_iter().map(Word::constant).collect();
    for block in padded(message).chunks_exact(BLOCK_WORDS) {
        state = compress(circuit, &state, block, &constants)?;
    }
    Ok(state)
}

/// The message, a bit that is 1, zeros, and the message's length in bits: whole blocks (section 5.1.1).
fn padded(message: &[Word]) -> Vec<Word> {
    let length = message.len() as u64 * WORD_BITS as u64;
    let mut words = message.to_vec();
    words.push(Word::constant(1 << 31));
    while words.len() % BLOCK_WORDS != BLOCK_WORDS - 2 {
        words.push(Word::constant(0));
    }
    words.push(Word::constant((length >> 32) as u32));
    words.push(Word::constant(length as u32));
    words
}

/// Section 6.2.2.
fn compress(
    circuit: &Circuit,
    state: &[Word],
    block: &[Word],
    constants: &[u32],
) -> Result<Vec<Word>, SynthesisError> {
    let mut working = state.to_vec();
    for (word, constant) in schedule(circuit, block)?.iter().zip(constants) {
        working = round(circuit, &working, word, *constant)?;
    }
    let sums = state.iter().zip(&working);
    sums.map(|(before, after)| modular_sum(circuit, &[before.number(), after.number()]))
        .collect()
}

fn schedule(circuit: &Circuit, block: &[Word]) -> Result<Vec<Word>, SynthesisError> {
    let mut words = block.to_vec();
    for at in BLOCK_WORDS..super::ROUNDS {
        let small_0 = shifted_parity(circuit, &words[at - 15], [7, 18], 3)?;
        let small_1 = shifted_parity(circuit, &words[at - 2], [17, 19], 10)?;
        let [seventh, sixteenth] = [7, 16].map(|back| words[at - back].number());
        let sum = modular_sum(
            circuit,
            &[small_1.number(), seventh, small_0.number(), sixteenth],
        )?;
        words.push(sum);
    }
    Ok(words)
}

fn round(
    circuit: &Circuit,
    working: &[Word],
    scheduled: &Word,
    constant: u32,
) -> Result<Vec<Word>, SynthesisError> {
    let [a, b, c, d, e, f, g, h] = working else {
        unreachable!("the state has eight words");
    };
    let large_0 = rotated_parity(circuit, a, [2, 13, 22])?;
    let large_1 = rotated_parity(circuit, e, [6, 11, 25])?;
    let choice = Word::each(|i| choose(circuit, &e.bits[i], &f.bits[i], &g.bits[i]))?;
    let majority = Word::each(|i| majority(circuit, &a.bits[i], &b.bits[i], &c.bits[i]))?;
    let constant = Wire::constant(constant.into());
    let first = [
        h.number(),
        large_1.number(),
        choice.number(),
        &constant,
        scheduled.number(),
    ];
    let second = [large_0.number(), majority.number()];
    let new_a = modular_sum(circuit, &[&first[..], &second].concat())?;
    let new_e = modular_sum(circuit, &[&first[..], &[d.number()]].concat())?;
    Ok([&new_a, a, b, c, &new_e, e, f, g].map(Word::clone).to_vec())
}

/// The sum of numbers below 2^32, modulo 2^32.
fn modular_sum(circuit: &Circuit, numbers: &[&Wire]) -> Result<Word, SynthesisError> {
    let sum = numbers
        .iter()
        .fold(Wire::constant(Fr::ZERO), |sum, number| sum.plus(number));
    if sum.is_constant() {
        return Ok(Word::constant(sum.value().into_bigint().0[0] as u32));
    }
    // n numbers carry n - 1 at most.
    let carry = (numbers.len() - 1)
        .checked_ilog2()
        .map_or(0, |log| log as usize + 1);
    let mut bits = range::bits(circuit, &sum, WORD_BITS + carry)?;
    bits.truncate(WORD_BITS);
    Ok(Word::of_bits(bits))
}

/// The parity of a word turned right by three distances.
fn rotated_parity(circuit: &Circuit, word: &Word, by: [usize; 3]) -> Result<Word, SynthesisError> {
    Word::each(|i| {
        let [a, b, c] = by.map(|by| word.rotated(by, i));
        parity(circuit, a, b, c)
    })
}

/// The parity of a word turned right by two distances and shifted right by a third.
fn shifted_parity(
    circuit: &Circuit,
    word: &Word,
    by: [usize; 2],
    shift: usize,
) -> Result<Word, SynthesisError> {
    let zero = Wire::constant(Fr::ZERO);
    Word::each(|i| {
        let [a, b] = by.map(|by| word.rotated(by, i));
        parity(circuit, a, b, word.bits.get(i + shift).unwrap_or(&zero))
    })
}

/// `b` where `a` is 1, else `c`.
fn choose(circuit: &Circuit, a: &Wire, b: &Wire, c: &Wire) -> Result<Wire, SynthesisError> {
    Ok(circuit.product(a, &b.minus(c))?.plus(c))
}

/// `a xor b xor c`.
fn parity(circuit: &Circuit, a: &Wire, b: &Wire, c: &Wire) -> Result<Wire, SynthesisError> {
    let sum = a.plus(b).plus(c);
    let is_one = [a, b, c]
        .iter()
        .fold(false, |parity, bit| parity != is_one(bit));
    function_of_sum(circuit, &sum, is_one, Fr::from(2), -Fr::ONE)
}

/// What two of the three are.
fn majority(circuit: &Circuit, a: &Wire, b: &Wire, c: &Wire) -> Result<Wire, SynthesisError> {
    let sum = a.plus(b).plus(c);
    let is_one = [a, b, c].iter().filter(|bit| is_one(bit)).count() >= 2;
    function_of_sum(circuit, &sum, is_one, Fr::from(4), Fr::ONE)
}

fn is_one(bit: &Wire) -> bool {
    bit.value() == Fr::ONE
}

/// A wire x of value `is_one` and one constraint, `(factor x - s) (2 s - 3) = sign s`; a constant where the sum s is one.
fn function_of_sum(
    circuit: &Circuit,
    sum: &Wire,
    is_one: bool,
    factor: Fr,
    sign: Fr,
) -> Result<Wire, SynthesisError> {
    let value = Fr::from(is_one);
    if sum.is_constant() {
        return Ok(Wire::constant(value));
    }
    let result = circuit.private(value)?;
    let mut never_zero = sum.times(Fr::from(2));
    never_zero.add_constant(-Fr::from(3));
    circuit.enforce_product(
        &result.times(factor).minus(sum),
        &never_zero,
        &sum.times(sign),
    )?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use ark_relations::gr1cs::ConstraintSystem;

    use super::*;

    type Function = fn(&Circuit, &Wire, &Wire, &Wire) -> Result<Wire, SynthesisError>;

    /// The result for every three bits, and whether any other value of the wire that was allocated last is refused.
    fn table(function: Function) -> [u8; 8] {
        std::array::from_fn(|input| {
            let system = ConstraintSystem::new_ref();
            let circuit = Circuit::new(&system);
            let [a, b, c] = [4, 2, 1].map(|bit| {
                let value = Fr::from(input & bit != 0);
                circuit.private(value).unwrap()
            });
            let result = function(&circuit, &a, &b, &c).unwrap();
            assert_eq!(system.num_constraints(), 1);
            assert!(system.is_satisfied().unwrap());
            let matrices = system.to_matrices().unwrap();
            let [rows_a, rows_b, rows_c] = matrices["R1CS"].as_slice() else {
                unreachable!("three matrices");
            };
            let wires = system.witness_assignment().unwrap();
            let holds = |last: Fr| {
                let value = |wire: usize| match wire {
                    0 => Fr::ONE,
                    wire if wire == wires.len() => last,
                    wire => wires[wire - 1],
                };
                let [a, b, c] = [rows_a, rows_b, rows_c].map(|rows| {
                    rows[0]
                        .iter()
                        .map(|(k, wire)| *k * value(*wire))
                        .sum::<Fr>()
                });
                a * b == c
            };
            let last = *wires.last().unwrap();
            assert!(holds(last));
            for other in [
                last + Fr::ONE,
                last - Fr::ONE,
                Fr::ONE - last,
                Fr::from(2),
                Fr::from(1) / Fr::from(2),
            ] {
                assert!(other == last || !holds(other), "input {input}");
            }
            u8::from(is_one(&result))
        })
    }

    #[test]
    fn functions_of_three_bits_are_right_and_their_wires_determined() {
        assert_eq!(table(parity), [0, 1, 1, 0, 1, 0, 0, 1]);
        assert_eq!(table(majority), [0, 0, 0, 1, 0, 1, 1, 1]);
        // Choosing between equal bits by a product leaves a product of 0, which is determined too.
        assert_eq!(table(choose), [0, 1, 0, 1, 0, 0, 1, 1]);
    }

    #[test]
    fn a_message_is_padded_to_whole_blocks() {
        for (words, blocks) in [(0, 1), (13, 1), (14, 2), (16, 2), (29, 2), (30, 3)] {
            let message = vec![Word::constant(7); words];
            assert_eq!(
                padded(&message).len(),
                blocks * BLOCK_WORDS,
                "{words} words"
            );
        }
    }
}
