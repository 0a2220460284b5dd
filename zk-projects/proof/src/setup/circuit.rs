//! The start of a key: what a circuit makes of the powers of tau, before any contribution to delta.
//!
//! # What it is
//!
//! A wire of the circuit is a column in each of the matrices A, B and C. Its polynomials take the column's values on the
//! domain's roots of unity, so that their commitments are sums of Lagrange points:
//!
//! ```text
//! wire i:   A_i = sum of A[row][i] * L_row           L_row = the row-th Lagrange polynomial at tau, in G1 or G2
//!           B_i = sum of B[row][i] * L_row           in both groups
//!           K_i = beta A_i + alpha B_i + C_i         from beta L_row, alpha L_row and L_row
//! ```
//!
//! gamma and delta are one: K of the public wires is the verifying key's `ic`, K of the others the proving key's `l_g1`.
//!
//! # Sources
//!
//! Groth16 ([eprint 2016/260], section 3.2), as a ceremony [BGM17, section 6]. Order, lengths and the circuit hash are those of
//! snarkjs 0.7.6, byte for byte:
//!
//! - After the circuit's rows, A has one row for the constant and each public input, so that their polynomials are independent
//!   of all others. The domain is the smallest power of two above rows and public inputs together, but at least 2.
//! - H are the Lagrange polynomials of twice the domain at its odd roots, instead of powers of tau times the vanishing
//!   polynomial: a prover evaluates on the coset and needs no inverse transform.
//! - The circuit hash is over uncompressed points, each list after its length: the header's, `ic`, then powers of tau times the
//!   vanishing polynomial, L, A, B in G1, B in G2. Of the powers one less than the domain's size is announced, and from 2^15
//!   on one more than announced is hashed ([`hashed_powers`]).
//!
//! # What it does not
//!
//! It believes the powers. `powers::verify` checks them.
//!
//! # How
//!
//! `start` is generic over what a Lagrange point is. From a ptau file they are points; the [local setup](super::local), which
//! knows tau, has them as known multiples of the generators. Both go through the same sums and the same order.
//!
//! [eprint 2016/260]: https://eprint.iacr.org/2016/260
//! [BGM17, section 6]: https://eprint.iacr.org/2017/1050

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{One, Zero};
use blake2::{Blake2b512, Digest};
use rayon::prelude::*;

use super::SetupError;
use super::basis::{Basis, Element};
use crate::curve::Point;
use crate::files::ptau::{List, Ptau};
use crate::key::{Ceremony, Coefficient, MAX_DOMAIN_LOG2, ProvingKey, Side, VerifyingKey};
use crate::r1cs::{Matrix, R1cs, Term};

/// log2 of the size of the evaluation domain of a circuit.
///
/// # Errors
///
/// [`SetupError::TooLarge`], [`SetupError::Wires`].
pub fn domain_log2(r1cs: &R1cs) -> Result<u32, SetupError> {
    let public = r1cs.public() as usize;
    let terms = [&r1cs.a, &r1cs.b, &r1cs.c]
        .into_iter()
        .flat_map(Matrix::rows)
        .flatten();
    if public >= r1cs.wires as usize || terms.into_iter().any(|term| term.wire >= r1cs.wires) {
        return Err(SetupError::Wires);
    }
    let above = r1cs.constraints() + public;
    let log2 = above.max(1).ilog2() + 1;
    if log2 > MAX_DOMAIN_LOG2 {
        return Err(SetupError::TooLarge { domain_log2: log2 });
    }
    Ok(log2)
}

/// How many of the points `tau^i (tau^n - 1)` the circuit hash is over, for a domain of `n`.
///
/// There are n - 1 of them in a quotient. snarkjs hashes them in blocks of 2^14 and does not shorten the last block, so that one
/// more gets into the hash as soon as there are two blocks.
#[must_use]
pub fn hashed_powers(domain: usize) -> usize {
    if domain > 1 << 14 { domain } else { domain - 1 }
}

/// The key of a circuit before any contribution, from prepared powers of tau. Nobody may prove with it (bug class Z1).
///
/// # Errors
///
/// Those of [`domain_log2`], [`SetupError::NotPrepared`], [`SetupError::PowersTooSmall`], and [`SetupError::File`] for a point that is
/// not on its curve.
pub fn from_powers(r1cs: &R1cs, ptau: &Ptau<'_>) -> Result<ProvingKey, SetupError> {
    let log2 = domain_log2(r1cs)?;
    let domain = 1 << log2;
    let hashed = hashed_powers(domain);
    if !ptau.is_prepared() {
        return Err(SetupError::NotPrepared);
    }
    // The last of the powers that are hashed is tau^(n + hashed - 1).
    if domain + hashed > List::TauG1.powers(ptau.power()) {
        let needed = log2 + u32::from(hashed == domain);
        let found = ptau.power();
        return Err(SetupError::PowersTooSmall { needed, found });
    }
    let double: Vec<G1Affine> = ptau.lagrange(List::TauG1, log2 + 1)?;
    let low: Vec<G1Affine> = ptau.points(List::TauG1, 0, hashed)?;
    let high: Vec<G1Affine> = ptau.points(List::TauG1, domain, hashed)?;
    let vanishing = high.par_iter().zip(&low).map(|(high, low)| *high - low);
    let basis = Basis {
        tau_g1: ptau.lagrange(List::TauG1, log2)?,
        tau_g2: ptau.lagrange(List::TauG2, log2)?,
        alpha_tau_g1: ptau.lagrange(List::AlphaTauG1, log2)?,
        beta_tau_g1: ptau.lagrange(List::BetaTauG1, log2)?,
        odd_g1: double.into_iter().skip(1).step_by(2).collect(),
        vanishing_g1: G1Projective::normalize_batch(&vanishing.collect::<Vec<_>>()),
        alpha_g1: ptau.points(List::AlphaTauG1, 0, 1)?[0],
        beta_g1: ptau.points(List::BetaTauG1, 0, 1)?[0],
        beta_g2: ptau.beta_g2()?,
    };
    start(r1cs, &basis)
}

/// The key before any contribution: gamma and delta are the generators. Nobody may prove with it (bug class Z1).
///
/// # Errors
///
/// Those of [`domain_log2`].
///
/// # Panics
///
/// If the basis is not for the circuit's domain.
pub(crate) fn start<E1, E2>(r1cs: &R1cs, basis: &Basis<E1, E2>) -> Result<ProvingKey, SetupError>
where
    E1: Element<G1Affine>,
    E2: Element<G2Affine>,
{
    let domain = 1_usize << domain_log2(r1cs)?;
    assert_eq!(basis.tau_g1.len(), domain, "the basis is for the domain");
    assert_eq!(basis.odd_g1.len(), domain, "the basis is for the domain");
    let [a, b, c] = columns(r1cs);
    let wires = r1cs.wires as usize;
    let k_g1: Vec<G1Affine> = of_wires(wires, |wire| {
        a.column(wire, &basis.beta_tau_g1)
            .chain(b.column(wire, &basis.alpha_tau_g1))
            .chain(c.column(wire, &basis.tau_g1))
    });
    let (ic, l_g1) = k_g1.split_at(r1cs.public() as usize + 1);
    let single_g1 = |element: E1| points_of::<G1Affine, E1>(&[element])[0];
    let mut key = ProvingKey {
        verifying: VerifyingKey {
            alpha_g1: single_g1(basis.alpha_g1),
            beta_g2: points_of::<G2Affine, E2>(&[basis.beta_g2])[0],
            gamma_g2: G2Affine::generator(),
            delta_g2: G2Affine::generator(),
            ic: ic.to_vec(),
        },
        beta_g1: single_g1(basis.beta_g1),
        delta_g1: G1Affine::generator(),
        wires: r1cs.wires,
        domain_size: u32::try_from(domain).expect("at most 2^27"),
        coefficients: coefficients(r1cs),
        a_g1: of_wires(wires, |wire| a.column(wire, &basis.tau_g1)),
        b_g1: of_wires(wires, |wire| b.column(wire, &basis.tau_g1)),
        b_g2: of_wires(wires, |wire| b.column(wire, &basis.tau_g2)),
        l_g1: l_g1.to_vec(),
        h_g1: points_of(&basis.odd_g1),
        ceremony: Ceremony {
            circuit_hash: [0; 64],
            contributions: Vec::new(),
        },
    };
    let vanishing = points_of(&basis.vanishing_g1);
    key.ceremony.circuit_hash = circuit_hash(&key, &vanishing);
    Ok(key)
}

fn points_of<P, E: Element<P>>(elements: &[E]) -> Vec<P> {
    let sums = elements
        .iter()
        .map(|element| E::sum(std::iter::once((Fr::one(), *element))));
    E::points(sums.collect())
}

/// A point for each wire: the sum of its terms.
fn of_wires<P, E: Element<P>, I: Iterator<Item = (Fr, E)>>(
    wires: usize,
    terms: impl Fn(usize) -> I + Sync,
) -> Vec<P> {
    let sums = (0..wires).into_par_iter().map(|wire| E::sum(terms(wire)));
    E::points(sums.collect())
}

/// A matrix column after column: the row and coefficient of each entry.
struct Columns {
    entries: Vec<(u32, Fr)>,
    starts: Vec<usize>,
}

impl Columns {
    /// Sorts the entries of all rows into columns. Within a column they stay in the order of the rows.
    fn new<'a>(wires: usize, rows: impl Iterator<Item = &'a [Term]> + Clone) -> Self {
        let mut starts = vec![0; wires + 1];
        for term in rows.clone().flatten() {
            starts[term.wire as usize + 1] += 1;
        }
        for wire in 0..wires {
            starts[wire + 1] += starts[wire];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, Fr::zero()); starts[wires]];
        for (index, row) in (0..).zip(rows) {
            for term in row {
                let place = &mut next[term.wire as usize];
                entries[*place] = (index, term.coefficient);
                *place += 1;
            }
        }
        Self { entries, starts }
    }

    /// The entries of a wire's column, each with its row's element.
    fn column<'a, E: Copy>(
        &'a self,
        wire: usize,
        of_row: &'a [E],
    ) -> impl Iterator<Item = (Fr, E)> + 'a {
        self.entries[self.starts[wire]..self.starts[wire + 1]]
            .iter()
            .map(|(row, coefficient)| (*coefficient, of_row[*row as usize]))
    }
}

/// The columns of A with its added rows, of B, and of C.
fn columns(r1cs: &R1cs) -> [Columns; 3] {
    let wires = r1cs.wires as usize;
    let added: Vec<Term> = (0..=r1cs.public())
        .map(|wire| Term {
            wire,
            coefficient: Fr::one(),
        })
        .collect();
    [
        Columns::new(wires, r1cs.a.rows().chain(added.chunks(1))),
        Columns::new(wires, r1cs.b.rows()),
        Columns::new(wires, r1cs.c.rows()),
    ]
}

/// A and B as a key lists them: row after row, A's terms before B's, then A's added rows.
pub(crate) fn coefficients(r1cs: &R1cs) -> Vec<Coefficient> {
    let mut all = Vec::with_capacity(r1cs.a.terms() + r1cs.b.terms() + r1cs.public() as usize + 1);
    for (constraint, (a, b)) in (0..).zip(r1cs.a.rows().zip(r1cs.b.rows())) {
        for (side, row) in [(Side::A, a), (Side::B, b)] {
            all.extend(row.iter().map(|term| Coefficient {
                side,
                constraint,
                wire: term.wire,
                value: term.coefficient,
            }));
        }
    }
    let rows = u32::try_from(r1cs.constraints()).expect("at most 2^27 rows");
    all.extend((0..=r1cs.public()).map(|wire| Coefficient {
        side: Side::A,
        constraint: rows + wire,
        wire,
        value: Fr::one(),
    }));
    all
}

fn circuit_hash(key: &ProvingKey, vanishing: &[G1Affine]) -> [u8; 64] {
    let mut hash = Blake2b512::new();
    absorb(&mut hash, &[key.verifying.alpha_g1, key.beta_g1]);
    absorb(&mut hash, &[key.verifying.beta_g2, key.verifying.gamma_g2]);
    absorb(&mut hash, &[key.delta_g1]);
    absorb(&mut hash, &[key.verifying.delta_g2]);
    absorb_list(&mut hash, &key.verifying.ic);
    hash.update((key.domain_size - 1).to_be_bytes());
    absorb(&mut hash, vanishing);
    absorb_list(&mut hash, &key.l_g1);
    absorb_list(&mut hash, &key.a_g1);
    absorb_list(&mut hash, &key.b_g1);
    absorb_list(&mut hash, &key.b_g2);
    hash.finalize().into()
}

fn absorb_list<P: Point>(hash: &mut Blake2b512, points: &[P]) {
    let length = u32::try_from(points.len()).expect("fewer than 2^32 wires");
    hash.update(length.to_be_bytes());
    absorb(hash, points);
}

/// Hashes points in the uncompressed form.
pub(crate) fn absorb<P: Point>(hash: &mut Blake2b512, points: &[P]) {
    let mut bytes = Vec::with_capacity(P::BYTES);
    for point in points {
        bytes.clear();
        point.write_uncompressed(&mut bytes);
        hash.update(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen with snarkjs 0.7.6 and a circuit of 2^14 + 100 constraints.
    #[test]
    fn from_two_blocks_on_one_power_more_is_hashed_than_announced() {
        assert_eq!(hashed_powers(1 << 13), (1 << 13) - 1);
        assert_eq!(hashed_powers(1 << 14), (1 << 14) - 1);
        assert_eq!(hashed_powers(1 << 15), 1 << 15);
        assert_eq!(hashed_powers(1 << 18), 1 << 18);
    }

    #[test]
    fn the_domain_has_room_for_the_rows_of_public_inputs() {
        let system = |constraints: usize, public_inputs: u32| {
            let mut r1cs = R1cs {
                wires: public_inputs + 1,
                public_inputs,
                ..R1cs::default()
            };
            for _ in 0..constraints {
                r1cs.a.push_row([]);
                r1cs.b.push_row([]);
                r1cs.c.push_row([]);
            }
            domain_log2(&r1cs)
        };
        assert_eq!(system(0, 0), Ok(1));
        assert_eq!(system(1, 0), Ok(1));
        assert_eq!(system(1, 1), Ok(2));
        assert_eq!(system(2, 1), Ok(2));
        assert_eq!(system(3, 1), Ok(3));
        assert_eq!(system(6, 1), Ok(3));
        assert_eq!(system(7, 1), Ok(4));
    }

    #[test]
    fn a_wire_that_is_not_there_is_refused() {
        let mut r1cs = R1cs {
            wires: 2,
            public_inputs: 2,
            ..R1cs::default()
        };
        assert_eq!(domain_log2(&r1cs), Err(SetupError::Wires));
        r1cs.public_inputs = 1;
        assert_eq!(domain_log2(&r1cs), Ok(1));
        let coefficient = Fr::one();
        r1cs.c.push_row([Term {
            wire: 2,
            coefficient,
        }]);
        assert_eq!(domain_log2(&r1cs), Err(SetupError::Wires));
    }
}
