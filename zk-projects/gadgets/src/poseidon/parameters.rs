//! Poseidon's constants, and the same permutation with fewer multiplications ([Poseidon], appendix B).
//!
//! A partial round adds constants to all numbers, raises only the first to the fifth power, and mixes. Two rewritings leave the
//! permutation as it is:
//!
//! 1. *Constants.* What is added to the other numbers can as well be added after the S-box, and then, mixed, becomes part of the next
//!    round's constants. Each partial round keeps one constant; the rest ends in the first full round after them.
//! 2. *Sparse matrices.* With `M = [m v; w N]` (m a number, N square), `M = [m v/N; w 1] * [1 0; 0 N]`. The right factor does not
//!    touch the first number, so it can move before the round's S-box and constant, into the matrix of the round before. Begun at
//!    the last partial round, this leaves a sparse matrix in each of them and one dense one in the full round before them.
//!
//! A partial round then costs `2 width - 1` multiplications instead of `width^2`.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

use super::grain::Grain;

/// Full rounds: half of them before the partial rounds and half after.
pub const FULL_ROUNDS: usize = 8;
/// Partial rounds for 1 to 16 inputs, as in circomlib.
const PARTIAL_ROUNDS: [usize; 16] = [
    56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68,
];

pub(super) type Dense = Vec<Vec<Fr>>;

/// A mixing matrix `[corner row; column 1]`: its first row is `corner, row`, its first column `corner, column`, the rest the identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparse {
    /// What the first number gives to the first.
    pub corner: Fr,
    /// What the other numbers give to the first.
    pub row: Vec<Fr>,
    /// What the first number gives to the others.
    pub column: Vec<Fr>,
}

/// The constants of the permutation for one number of inputs, rewritten as the module says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Numbers in the state: one more than inputs.
    pub width: usize,
    /// What the full rounds add, [`FULL_ROUNDS`] times `width`.
    pub full: Vec<Vec<Fr>>,
    /// What each partial round adds to the first number.
    pub partial: Vec<Fr>,
    /// The matrix of every full round but the last before the partial ones.
    pub matrix: Vec<Vec<Fr>>,
    /// The matrix of the last full round before the partial ones.
    pub before_partial: Vec<Vec<Fr>>,
    /// The matrices of the partial rounds.
    pub sparse: Vec<Sparse>,
}

impl Parameters {
    /// Generates the constants for 1 to 16 inputs.
    pub(super) fn generate(inputs: usize) -> Self {
        let (width, partial_rounds) = (inputs + 1, PARTIAL_ROUNDS[inputs - 1]);
        let small = |n: usize| u32::try_from(n).expect("at most 70");
        let mut grain = Grain::new(small(width), small(FULL_ROUNDS), small(partial_rounds));
        let mut rounds: Vec<Vec<Fr>> = (0..FULL_ROUNDS + partial_rounds)
            .map(|_| (0..width).map(|_| grain.uniform()).collect())
            .collect();
        let matrix = cauchy(width, &mut grain);
        let half = FULL_ROUNDS / 2;
        let partial = first_constants(&mut rounds[half..=half + partial_rounds], &matrix);
        let (before_partial, sparse) = sparse_matrices(&matrix, partial_rounds);
        rounds.drain(half..half + partial_rounds);
        Self {
            width,
            full: rounds,
            partial,
            matrix,
            before_partial,
            sparse,
        }
    }
}

/// `M[i][j] = 1 / (x_i + y_j)`, all x and y different: every square part of it is invertible (section 2.3).
fn cauchy(width: usize, grain: &mut Grain) -> Dense {
    loop {
        let numbers: Vec<Fr> = (0..2 * width).map(|_| grain.reduced()).collect();
        let (xs, ys) = numbers.split_at(width);
        let row = |x: &Fr| {
            ys.iter()
                .map(|y| (*x + y).inverse())
                .collect::<Option<Vec<Fr>>>()
        };
        let distinct = (1..numbers.len()).all(|i| !numbers[..i].contains(&numbers[i]));
        if let (true, Some(matrix)) = (distinct, xs.iter().map(row).collect()) {
            return matrix;
        }
    }
}

/// The constant each partial round keeps; `rounds` are theirs and those of the full round after them, which takes the rest.
fn first_constants(rounds: &mut [Vec<Fr>], matrix: &Dense) -> Vec<Fr> {
    let mut kept = Vec::with_capacity(rounds.len() - 1);
    for round in 0..rounds.len() - 1 {
        let mut moved = std::mem::take(&mut rounds[round]);
        kept.push(std::mem::take(&mut moved[0]));
        for (constant, row) in rounds[round + 1].iter_mut().zip(matrix) {
            *constant += dot(row, &moved);
        }
    }
    kept
}

fn sparse_matrices(matrix: &Dense, partial_rounds: usize) -> (Dense, Vec<Sparse>) {
    let mut current = matrix.clone();
    let mut sparse = Vec::with_capacity(partial_rounds);
    for _ in 0..partial_rounds {
        let rest: Dense = current[1..].iter().map(|row| row[1..].to_vec()).collect();
        let inverse = inverse(rest.clone());
        sparse.push(Sparse {
            corner: current[0][0],
            row: row_times(&current[0][1..], &inverse),
            column: current[1..].iter().map(|row| row[0]).collect(),
        });
        // [1 0; 0 rest] * matrix goes into the round before.
        current = std::iter::once(matrix[0].clone())
            .chain(rest.iter().map(|row| row_times(row, &matrix[1..])))
            .collect();
    }
    sparse.reverse();
    (current, sparse)
}

pub(super) fn dot(a: &[Fr], b: &[Fr]) -> Fr {
    a.iter().zip(b).fold(Fr::ZERO, |sum, (a, b)| sum + *a * b)
}

fn row_times(row: &[Fr], matrix: &[Vec<Fr>]) -> Vec<Fr> {
    let columns = matrix.first().map_or(0, Vec::len);
    (0..columns)
        .map(|column| {
            let terms = row.iter().zip(matrix);
            terms.fold(Fr::ZERO, |sum, (a, b)| sum + *a * b[column])
        })
        .collect()
}

/// Gauss and Jordan.
fn inverse(mut matrix: Dense) -> Dense {
    let size = matrix.len();
    for (index, row) in matrix.iter_mut().enumerate() {
        row.extend((0..size).map(|column| Fr::from(u64::from(column == index))));
    }
    for pivot in 0..size {
        let found = (pivot..size).find(|row| matrix[*row][pivot] != Fr::ZERO);
        matrix.swap(
            pivot,
            found.expect("parts of products of Cauchy matrices are invertible"),
        );
        let scale = matrix[pivot][pivot].inverse().expect("not zero");
        matrix[pivot].iter_mut().for_each(|number| *number *= scale);
        let unit = matrix[pivot].clone();
        for (index, row) in matrix.iter_mut().enumerate() {
            let factor = row[pivot];
            if index != pivot && factor != Fr::ZERO {
                for (number, unit) in row.iter_mut().zip(&unit) {
                    *number -= factor * unit;
                }
            }
        }
    }
    matrix.into_iter().map(|row| row[size..].to_vec()).collect()
}
