//! Poseidon: a hash of field elements that costs few constraints.
//!
//! # What it is
//!
//! [`hash`] of 1 to 16 numbers with circomlib's parameters for BN254: 8 full and 56 to 70 partial rounds, x^5, capacity 1 that
//! begins as 0, the first number of the state as the result. The paper is [Poseidon]; its constants are generated here from the
//! Grain register the paper prescribes, not copied.
//!
//! # What it guarantees
//!
//! The same values as circomlib and light-poseidon. Hashes of different numbers of inputs are different functions, so that they
//! separate domains: the hash of two numbers is no hash of four.
//!
//! # What it does not
//!
//! It is not a sponge for inputs of any length, and it hides an input only if that cannot be guessed.
//!
//! # How it works
//!
//! ```text
//! state = [0, inputs]
//! 4 full rounds      add constants to all, x^5 of all,       mix by the matrix
//! ~60 partial        add a constant to the first, x^5 of it, mix by a sparse matrix
//! 4 full rounds      add constants to all, x^5 of all,       mix by the matrix
//! result = state[0]
//! ```
//!
//! The permutation is written once, over numbers and over wires alike. In a circuit only x^5 costs anything: three constraints, and
//! none where the state is still the constant 0.
//!
//! [Poseidon]: https://eprint.iacr.org/2019/458

mod circuit;
mod grain;
mod parameters;

use std::convert::Infallible;
use std::sync::OnceLock;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

pub use circuit::hash_wires;
pub use parameters::{FULL_ROUNDS, Parameters, Sparse};

/// Most inputs of a hash.
pub const MAX_INPUTS: usize = 16;

/// The hash of 1 to [`MAX_INPUTS`] numbers.
///
/// # Panics
///
/// If there are none or more.
#[must_use]
pub fn hash(inputs: &[Fr]) -> Fr {
    let state = std::iter::once(Fr::ZERO).chain(inputs.iter().copied());
    let result = permute(parameters(inputs.len()), state.collect(), |x: Fr| {
        let square = x.square();
        Ok::<_, Infallible>(square.square() * x)
    });
    let Ok(first) = result;
    first
}

/// The constants for a number of inputs, generated once.
///
/// # Panics
///
/// If `inputs` is not within 1 to [`MAX_INPUTS`].
#[must_use]
pub fn parameters(inputs: usize) -> &'static Parameters {
    static ALL: [OnceLock<Parameters>; MAX_INPUTS] = [const { OnceLock::new() }; MAX_INPUTS];
    assert!(
        (1..=MAX_INPUTS).contains(&inputs),
        "1 to {MAX_INPUTS} inputs, not {inputs}"
    );
    ALL[inputs - 1].get_or_init(|| Parameters::generate(inputs))
}

/// What the state is made of.
trait Element: Clone {
    fn add_constant(&mut self, constant: Fr);
    fn add_multiple(&mut self, other: &Self, factor: Fr);
    fn times(&self, factor: Fr) -> Self;
}

impl Element for Fr {
    fn add_constant(&mut self, constant: Fr) {
        *self += constant;
    }

    fn add_multiple(&mut self, other: &Self, factor: Fr) {
        *self += factor * other;
    }

    fn times(&self, factor: Fr) -> Self {
        factor * self
    }
}

/// The first number of the permuted state; `power` raises to the fifth power.
fn permute<E: Element, Error>(
    parameters: &Parameters,
    mut state: Vec<E>,
    mut power: impl FnMut(E) -> Result<E, Error>,
) -> Result<E, Error> {
    let half = FULL_ROUNDS / 2;
    for (round, constants) in parameters.full[..half].iter().enumerate() {
        state = power_of_all(state, constants, &mut power)?;
        state = match round + 1 == half {
            true => mixed(&state, &parameters.before_partial),
            false => mixed(&state, &parameters.matrix),
        };
    }
    for (constant, matrix) in parameters.partial.iter().zip(&parameters.sparse) {
        let mut first = state[0].clone();
        first.add_constant(*constant);
        let first = power(first)?;
        state[0] = first.times(matrix.corner);
        let (head, rest) = state.split_at_mut(1);
        for ((other, row), column) in rest.iter_mut().zip(&matrix.row).zip(&matrix.column) {
            head[0].add_multiple(other, *row);
            other.add_multiple(&first, *column);
        }
    }
    let (last, rounds) = parameters.full[half..]
        .split_last()
        .expect("there are full rounds");
    for constants in rounds {
        state = power_of_all(state, constants, &mut power)?;
        state = mixed(&state, &parameters.matrix);
    }
    state = power_of_all(state, last, &mut power)?;
    Ok(combined(&state, &parameters.matrix[0]))
}

fn power_of_all<E: Element, Error>(
    state: Vec<E>,
    constants: &[Fr],
    power: &mut impl FnMut(E) -> Result<E, Error>,
) -> Result<Vec<E>, Error> {
    let powers = state.into_iter().zip(constants).map(|(mut x, constant)| {
        x.add_constant(*constant);
        power(x)
    });
    powers.collect()
}

fn mixed<E: Element>(state: &[E], matrix: &[Vec<Fr>]) -> Vec<E> {
    matrix.iter().map(|row| combined(state, row)).collect()
}

fn combined<E: Element>(state: &[E], row: &[Fr]) -> E {
    let mut sum = state[0].times(row[0]);
    for (x, factor) in state.iter().zip(row).skip(1) {
        sum.add_multiple(x, *factor);
    }
    sum
}
