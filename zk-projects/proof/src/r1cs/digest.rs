//! The digest of a circuit: two systems have the same one exactly if their constraints are the same.
//!
//! A `.zkey` holds A and B, not C, and nothing of it names the circuit; the digest beside a key says for which constraints it was
//! made. It is SHA-256 over a tag, the counts, and A, B and C row after row, as little-endian numbers: the number of terms, then wire
//! and coefficient of each. Terms count in the order of their wires and without those that are zero, so that circom's order and
//! arkworks' give the same digest. Which private wires are inputs does not count: no key depends on it.

use ark_ff::Zero;

use super::{R1cs, Term};
use crate::curve::write_plain;
use crate::digest::{Digest, Hasher};

const TAG: &[u8] = b"keyproof circuit 1\n";

impl R1cs {
    /// The digest of the constraints.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        hasher.update(TAG);
        hasher.update(&self.wires.to_le_bytes());
        hasher.update(&self.public().to_le_bytes());
        hasher.update(&(self.constraints() as u64).to_le_bytes());
        let mut bytes = Vec::new();
        for matrix in [&self.a, &self.b, &self.c] {
            for row in matrix.rows() {
                bytes.clear();
                write_canonical(row, &mut bytes);
                hasher.update(&bytes);
            }
        }
        hasher.finish()
    }
}

fn write_canonical(row: &[Term], out: &mut Vec<u8>) {
    let row = canonical(row);
    out.extend((row.len() as u64).to_le_bytes());
    for term in row {
        out.extend(term.wire.to_le_bytes());
        write_plain(term.coefficient, out);
    }
}

/// The terms that are not zero, by wire.
pub(crate) fn canonical(row: &[Term]) -> Vec<Term> {
    let mut row: Vec<Term> = row
        .iter()
        .copied()
        .filter(|term| !term.coefficient.is_zero())
        .collect();
    row.sort_by_key(|term| term.wire);
    row
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;
    use crate::r1cs::Matrix;

    fn term(wire: u32, coefficient: u64) -> Term {
        Term {
            wire,
            coefficient: Fr::from(coefficient),
        }
    }

    fn system(rows: [&[Term]; 3]) -> R1cs {
        let matrix = |row: &[Term]| {
            let mut matrix = Matrix::default();
            matrix.push_row(row.iter().copied());
            matrix
        };
        let [a, b, c] = rows.map(matrix);
        R1cs {
            wires: 4,
            public_inputs: 1,
            a,
            b,
            c,
            ..R1cs::default()
        }
    }

    #[test]
    fn the_order_of_terms_and_zeros_do_not_change_a_digest() {
        let one = system([&[term(1, 5), term(3, 7)], &[term(2, 1)], &[]]);
        let other = system([&[term(3, 7), term(2, 0), term(1, 5)], &[term(2, 1)], &[]]);
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn everything_else_changes_it() {
        let base = system([&[term(1, 5)], &[term(2, 1)], &[]]);
        let others = [
            system([&[term(1, 6)], &[term(2, 1)], &[]]),
            system([&[term(2, 5)], &[term(2, 1)], &[]]),
            system([&[term(2, 1)], &[term(1, 5)], &[]]),
            system([&[term(1, 5)], &[term(2, 1)], &[term(0, 1)]]),
            system([&[term(1, 5), term(2, 1)], &[], &[]]),
            R1cs {
                wires: 5,
                ..base.clone()
            },
            R1cs {
                public_inputs: 2,
                ..base.clone()
            },
        ];
        for other in others {
            assert_ne!(base.digest(), other.digest(), "{other:?}");
        }
    }
}
