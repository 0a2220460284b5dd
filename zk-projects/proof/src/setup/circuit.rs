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
//! [`start`] is generic over what a Lagrange point is. From a ptau file they are points; the [local setup](super::local), which
//! knows tau, has them as [`Known`] multiples of the generators. Both go through the same sums and the same order.
//!
//! [eprint 2016/260]: https://eprint.iacr.org/2016/260
//! [BGM17, section 6]: https://eprint.iacr.org/2017/1050

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::scalar_mul::ScalarMul;
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup, VariableBaseMSM};
use ark_ff::{One, Zero};
use blake2::{Blake2b512, Digest};
use rayon::prelude::*;

use super::SetupError;
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
    start(r1cs, basis)
}

/// What the start needs of powers of tau, for a domain of n.
pub(crate) struct Basis<E1, E2> {
    /// The n Lagrange points.
    pub(crate) tau_g1: Vec<E1>,
    /// The same in G2.
    pub(crate) tau_g2: Vec<E2>,
    /// The same times alpha.
    pub(crate) alpha_tau_g1: Vec<E1>,
    /// The same times beta.
    pub(crate) beta_tau_g1: Vec<E1>,
    /// The n odd ones of the Lagrange points for a domain of 2n.
    pub(crate) odd_g1: Vec<E1>,
    /// `tau^i (tau^n - 1)` for i below [`hashed_powers`].
    pub(crate) vanishing_g1: Vec<E1>,
    pub(crate) alpha_g1: E1,
    pub(crate) beta_g1: E1,
    pub(crate) beta_g2: E2,
}

/// What a Lagrange point may be: something of which there are sums with coefficients, and which stands for a point `P`.
pub(crate) trait Element<P>: Copy + Send + Sync {
    /// A sum.
    type Sum: Send;

    /// The sum of the elements times their coefficients.
    fn sum(terms: &[(Fr, Self)]) -> Self::Sum;

    /// The points that sums stand for.
    fn points(sums: Vec<Self::Sum>) -> Vec<P>;
}

/// From so many terms on, buckets are cheaper than one multiplication each.
const BUCKETS_FROM: usize = 16;

impl<C: SWCurveConfig<ScalarField = Fr>> Element<Self> for Affine<C> {
    type Sum = Projective<C>;

    fn sum(terms: &[(Fr, Self)]) -> Projective<C> {
        let minus_one = -Fr::one();
        let (mut sum, mut bases, mut scalars) = (Projective::<C>::zero(), Vec::new(), Vec::new());
        for (coefficient, point) in terms {
            if coefficient.is_one() {
                sum += point;
            } else if *coefficient == minus_one {
                sum -= point;
            } else {
                bases.push(*point);
                scalars.push(*coefficient);
            }
        }
        if bases.len() < BUCKETS_FROM {
            let products = bases.iter().zip(&scalars);
            products.fold(sum, |sum, (base, scalar)| sum + *base * scalar)
        } else {
            sum + Projective::<C>::msm_unchecked(&bases, &scalars)
        }
    }

    fn points(sums: Vec<Projective<C>>) -> Vec<Self> {
        Projective::normalize_batch(&sums)
    }
}

/// A point that is known as a multiple of its group's generator.
#[derive(Clone, Copy)]
pub(crate) struct Known(pub(crate) Fr);

impl<P: AffineRepr<ScalarField = Fr>> Element<P> for Known
where
    P::Group: ScalarMul<MulBase = P>,
{
    type Sum = Fr;

    fn sum(terms: &[(Fr, Self)]) -> Fr {
        terms
            .iter()
            .map(|(coefficient, Self(known))| *coefficient * known)
            .sum()
    }

    fn points(sums: Vec<Fr>) -> Vec<P> {
        P::Group::generator().batch_mul(&sums)
    }
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
pub(crate) fn start<E1, E2>(r1cs: &R1cs, basis: Basis<E1, E2>) -> Result<ProvingKey, SetupError>
where
    E1: Element<G1Affine>,
    E2: Element<G2Affine>,
{
    let domain = 1_usize << domain_log2(r1cs)?;
    assert_eq!(basis.tau_g1.len(), domain, "the basis is for the domain");
    assert_eq!(basis.odd_g1.len(), domain, "the basis is for the domain");
    let [a, b, c] = columns(r1cs);
    let wires = r1cs.wires as usize;
    let of_a = |wire, elements| a.column(wire, elements);
    let of_b = |wire, elements| b.column(wire, elements);
    let k_g1 = all_wires::<G1Affine, E1>(wires, |wire| {
        let mut terms = a.column(wire, &basis.beta_tau_g1);
        terms.extend(b.column(wire, &basis.alpha_tau_g1));
        terms.extend(c.column(wire, &basis.tau_g1));
        terms
    });
    let (ic, l_g1) = k_g1.split_at(r1cs.public() as usize + 1);
    let single_g1 = |element: E1| points_of::<G1Affine, E1>(vec![element])[0];
    let mut key = ProvingKey {
        verifying: VerifyingKey {
            alpha_g1: single_g1(basis.alpha_g1),
            beta_g2: points_of::<G2Affine, E2>(vec![basis.beta_g2])[0],
            gamma_g2: G2Affine::generator(),
            delta_g2: G2Affine::generator(),
            ic: ic.to_vec(),
        },
        beta_g1: single_g1(basis.beta_g1),
        delta_g1: G1Affine::generator(),
        wires: r1cs.wires,
        domain_size: u32::try_from(domain).expect("at most 2^27"),
        coefficients: coefficients(r1cs),
        a_g1: all_wires::<G1Affine, E1>(wires, |wire| of_a(wire, &basis.tau_g1)),
        b_g1: all_wires::<G1Affine, E1>(wires, |wire| of_b(wire, &basis.tau_g1)),
        b_g2: all_wires::<G2Affine, E2>(wires, |wire| b.column(wire, &basis.tau_g2)),
        l_g1: l_g1.to_vec(),
        h_g1: points_of::<G1Affine, E1>(basis.odd_g1),
        ceremony: Ceremony {
            circuit_hash: [0; 64],
            contributions: Vec::new(),
        },
    };
    let vanishing = points_of::<G1Affine, E1>(basis.vanishing_g1);
    key.ceremony.circuit_hash = circuit_hash(&key, &vanishing);
    Ok(key)
}

fn points_of<P, E: Element<P>>(elements: Vec<E>) -> Vec<P> {
    let one = |element| E::sum(&[(Fr::one(), element)]);
    E::points(elements.into_iter().map(one).collect())
}

fn all_wires<P, E: Element<P>>(
    wires: usize,
    terms: impl Fn(usize) -> Vec<(Fr, E)> + Sync,
) -> Vec<P> {
    let sums = (0..wires).into_par_iter().map(|wire| E::sum(&terms(wire)));
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
    fn column<E: Copy>(&self, wire: usize, of_row: &[E]) -> Vec<(Fr, E)> {
        self.entries[self.starts[wire]..self.starts[wire + 1]]
            .iter()
            .map(|(row, coefficient)| (*coefficient, of_row[*row as usize]))
            .collect()
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
