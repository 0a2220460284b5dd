//! Poseidon's partial rounds as a linear recurrence, for a machine where every multiplication by a constant costs the same.
//!
//! Between two S-boxes the state changes linearly and, once the constants have been moved to the first number (as `gadgets` has
//! them), by the same matrix `M = [m w; v N]` each time. Let x be the S-box's output and H the other numbers:
//!
//! ```text
//! first' = m x + w H          H' = v x + N H
//! ```
//!
//! With the characteristic polynomial `N^n = a_1 N^(n-1) + ... + a_n` and the rows `q_1 = w`, `q_(i+1) = q_i N - a_i w`, the numbers
//! `z = Q H` obey (the observer canonical form of control theory)
//!
//! ```text
//! first' = m x + z_1          z_i' = z_(i+1) + a_i z_1 + b_i x        b = Q v
//! ```
//!
//! That is `2 n + 1` multiplications as with sparse matrices, but by the same constants in every round: only one number per round is left to be
//! loaded. If m is a fourth power, `m = g^4`, then counting the first number in multiples of 1/g makes its factor 1 and saves one more.
//! `Q` is applied with the matrix before the partial rounds and undone after them.

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};
use gadgets::poseidon::{FULL_ROUNDS, Parameters};

pub(crate) type Matrix = Vec<Vec<Fr>>;

/// The constants of the rewritten permutation.
pub(crate) struct Recurrence {
    /// What each full round adds.
    pub(crate) full: Vec<Vec<Fr>>,
    /// The matrix of the full rounds.
    pub(crate) matrix: Matrix,
    /// The matrix of the last full round before the partial ones, with Q and g.
    pub(crate) enter: Matrix,
    /// What each partial round adds before its S-box.
    pub(crate) constants: Vec<Fr>,
    /// The factor of x in the first number: 1 if m is a fourth power.
    pub(crate) corner: Fr,
    /// a.
    pub(crate) old: Vec<Fr>,
    /// b.
    pub(crate) new: Vec<Fr>,
    /// Undoes g.
    pub(crate) leave_first: Fr,
    /// Undoes Q and g.
    pub(crate) leave: Matrix,
}

impl Recurrence {
    pub(crate) fn of(parameters: &Parameters) -> Self {
        let matrix = &parameters.matrix;
        let w = &matrix[0][1..];
        let v: Vec<Fr> = matrix[1..].iter().map(|row| row[0]).collect();
        let n: Matrix = matrix[1..].iter().map(|row| row[1..].to_vec()).collect();
        let old = characteristic(&n);
        let mut q = vec![w.to_vec()];
        for a in &old[..old.len() - 1] {
            let next = row_times(q.last().expect("w"), &n);
            q.push(next.iter().zip(w).map(|(x, w)| *x - *a * w).collect());
        }
        let root = fourth_root(matrix[0][0]);
        let scale = root.unwrap_or(Fr::one());
        let unscale = scale.inverse().expect("m is not zero");
        let unscale_new = unscale.pow([4]);
        let scaled = |row: Vec<Fr>, by: Fr| row.into_iter().map(|x| x * by).collect::<Vec<Fr>>();
        let mut enter = vec![scaled(matrix[0].clone(), scale)];
        enter.extend(
            q.iter()
                .map(|row| scaled(row_times(row, &matrix[1..]), scale)),
        );
        Self {
            full: parameters.full.clone(),
            matrix: matrix.clone(),
            enter,
            constants: scaled(parameters.partial.clone(), scale),
            corner: root.map_or(matrix[0][0], |_| Fr::one()),
            new: q.iter().map(|row| dot(row, &v) * unscale_new).collect(),
            old,
            leave_first: unscale,
            leave: inverse(q)
                .into_iter()
                .map(|row| scaled(row, unscale))
                .collect(),
        }
    }

    /// The hash, computed as the contract does.
    pub(crate) fn hash(&self, inputs: &[Fr]) -> Fr {
        let mut state = vec![Fr::zero()];
        state.extend(inputs);
        for (round, constants) in self.full.iter().enumerate() {
            let powers = state.iter().zip(constants);
            let powers: Vec<Fr> = powers
                .map(|(x, constant)| (*x + constant).pow([5]))
                .collect();
            state = if round + 1 == FULL_ROUNDS / 2 {
                self.partial_rounds(&times(&self.enter, &powers))
            } else {
                times(&self.matrix, &powers)
            };
        }
        state[0]
    }

    fn partial_rounds(&self, state: &[Fr]) -> Vec<Fr> {
        let (mut first, mut z) = (state[0], state[1..].to_vec());
        for constant in &self.constants {
            let x = (first + constant).pow([5]);
            first = self.corner * x + z[0];
            let shifted = z[1..].iter().copied().chain([Fr::zero()]);
            let factors = self.old.iter().zip(&self.new);
            z = shifted
                .zip(factors)
                .map(|(next, (old, new))| next + *old * z[0] + *new * x)
                .collect();
        }
        let mut state = vec![first * self.leave_first];
        state.extend(times(&self.leave, &z));
        state
    }
}

/// The coefficients a of `N^n = a_1 N^(n-1) + ... + a_n` (Faddeev and LeVerrier).
fn characteristic(n: &Matrix) -> Vec<Fr> {
    let size = n.len();
    let mut power = identity(size);
    (1..=size)
        .map(|step| {
            let mut product: Matrix = n.iter().map(|row| row_times(row, &power)).collect();
            let trace: Fr = (0..size).map(|i| product[i][i]).sum();
            let a = trace / Fr::from(step as u64);
            (0..size).for_each(|i| product[i][i] -= a);
            power = product;
            a
        })
        .collect()
}

fn fourth_root(of: Fr) -> Option<Fr> {
    let root = of.sqrt()?;
    root.sqrt().or_else(|| (-root).sqrt())
}

fn identity(size: usize) -> Matrix {
    let row = |i| (0..size).map(|j| Fr::from(u64::from(i == j))).collect();
    (0..size).map(row).collect()
}

fn dot(a: &[Fr], b: &[Fr]) -> Fr {
    a.iter().zip(b).map(|(a, b)| *a * b).sum()
}

fn times(matrix: &Matrix, vector: &[Fr]) -> Vec<Fr> {
    matrix.iter().map(|row| dot(row, vector)).collect()
}

fn row_times(row: &[Fr], matrix: &[Vec<Fr>]) -> Vec<Fr> {
    let column = |j: usize| row.iter().zip(matrix).map(|(x, other)| *x * other[j]).sum();
    (0..matrix[0].len()).map(column).collect()
}

fn inverse(mut matrix: Matrix) -> Matrix {
    let size = matrix.len();
    for (row, unit) in matrix.iter_mut().zip(identity(size)) {
        row.extend(unit);
    }
    for pivot in 0..size {
        let found = (pivot..size).find(|row| !matrix[*row][pivot].is_zero());
        matrix.swap(
            pivot,
            found.expect("Q is invertible: the recurrence sees all of H"),
        );
        let scale = matrix[pivot][pivot].inverse().expect("not zero");
        matrix[pivot].iter_mut().for_each(|x| *x *= scale);
        let unit = matrix[pivot].clone();
        for (_, row) in matrix
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| *index != pivot)
        {
            let factor = row[pivot];
            row.iter_mut()
                .zip(&unit)
                .for_each(|(x, unit)| *x -= factor * unit);
        }
    }
    matrix.into_iter().map(|row| row[size..].to_vec()).collect()
}
