//! Whether a key may be used at all.
//!
//! A key from which a contribution was forgotten works: it proves, and what it proves verifies. It also lets everybody prove
//! everything. snarkjs' fresh key has delta = gamma, and with it a proof of any statement is A = alpha, B = beta, C = minus the sum of
//! the public inputs' points, known to all; contracts deployed with such keys were drained. So every key is looked at before it
//! proves, verifies or is exported.
//!
//! | what is refused | because |
//! |---|---|
//! | gamma = delta | anyone can forge, as above |
//! | alpha, beta, gamma, delta or an input's point is the identity | a term of the equation is gone; such an input can be changed at will |
//! | alpha, beta or delta is the group's generator | the secret is 1, as when nobody contributed to the powers of tau |
//! | beta or delta not the same in G1 and G2 | proofs would not verify, or not hide |
//! | no contribution is recorded (proving keys) | delta is public |
//! | lengths, rows or wires that do not fit together | arithmetic on it means nothing |
//! | points off the curve or outside of the subgroup | the proof of security says nothing about them |
//!
//! A verification key alone does not say who contributed: there gamma and delta are all that can be looked at. What this cannot see
//! is whether a contribution's secret was thrown away, and whether the key is that of the circuit at all: for that the whole
//! ceremony must be verified against constraints and powers of tau.

use ark_bn254::{Bn254, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;
use ark_ff::One;

use super::{Coefficient, ProvingKey, Side, VerifyingKey};
use crate::curve::{EncodingError, Point};

/// A key must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// gamma and delta are the same: no contribution was made, and anyone can forge.
    #[error("gamma equals delta: nobody contributed to this key, anyone can forge proofs with it")]
    GammaEqualsDelta,
    /// Nobody is recorded to have contributed.
    #[error("no contribution is recorded: delta is public, anyone can forge proofs with this key")]
    NoContribution,
    /// The last recorded contribution ended with another delta.
    #[error("the last recorded contribution is not the one that made this key's delta")]
    ForeignContribution,
    /// An element is the identity, where none may be.
    #[error("{0} is the identity")]
    Identity(Element),
    /// An element is the generator: its secret is 1.
    #[error("{0} is the generator of its group: its secret is known to be 1")]
    KnownSecret(Element),
    /// An element is not on its curve or not in the subgroup.
    #[error("{element}: {error}")]
    Point {
        /// Which.
        element: Element,
        /// What is wrong with it.
        error: EncodingError,
    },
    /// An element is there in both groups, with different secrets.
    #[error("{0} differs between G1 and G2")]
    Differs(Element),
    /// Lengths or rows that do not fit together.
    #[error("{0}")]
    Shape(ShapeError),
}

/// Parts of a key that do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Not even the constant one has a point.
    #[error("no point for the constant one")]
    NoConstant,
    /// The domain is no power of two, or larger than the field has roots of unity for.
    #[error("a domain of {0}, no power of two up to 2^27")]
    Domain(u32),
    /// A list has another length than it should.
    #[error("{found} points of {list} instead of {expected}")]
    Length {
        /// Which list.
        list: &'static str,
        /// How many it has.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A coefficient names a row or a wire that is not there.
    #[error("coefficient {0} names a row or wire that is not there")]
    Coefficient(usize),
    /// The last rows do not name the constant and the public inputs, once each.
    #[error("the rows that tie the proof to its public inputs are missing")]
    PublicRows,
}

/// A named element of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// alpha.
    Alpha,
    /// beta.
    Beta,
    /// gamma.
    Gamma,
    /// delta.
    Delta,
    /// The point of a public input; 0 is the constant one.
    Input(usize),
    /// B of a wire in G2.
    WireInG2(usize),
}

impl std::fmt::Display for Element {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alpha => formatter.write_str("alpha"),
            Self::Beta => formatter.write_str("beta"),
            Self::Gamma => formatter.write_str("gamma"),
            Self::Delta => formatter.write_str("delta"),
            Self::Input(0) => formatter.write_str("the point of the constant one"),
            Self::Input(index) => write!(formatter, "the point of public input {index}"),
            Self::WireInG2(wire) => write!(formatter, "B of wire {wire} in G2"),
        }
    }
}

impl VerifyingKey {
    /// Looks at everything that a verification key alone shows. Four checks of the subgroup, no pairing.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn check(&self) -> Result<(), KeyError> {
        if self.ic.is_empty() {
            return Err(KeyError::Shape(ShapeError::NoConstant));
        }
        sound_g1(self.alpha_g1, Element::Alpha)?;
        sound_g2(self.beta_g2, Element::Beta)?;
        sound_g2(self.gamma_g2, Element::Gamma)?;
        sound_g2(self.delta_g2, Element::Delta)?;
        for (index, point) in self.ic.iter().enumerate() {
            sound_g1(*point, Element::Input(index))?;
        }
        if self.gamma_g2 == self.delta_g2 {
            return Err(KeyError::GammaEqualsDelta);
        }
        // gamma is the generator in every key of snarkjs: nothing hangs on its secret, only on delta's not being the same.
        let generators = [
            (self.alpha_g1 == G1Affine::generator(), Element::Alpha),
            (self.beta_g2 == G2Affine::generator(), Element::Beta),
            (self.delta_g2 == G2Affine::generator(), Element::Delta),
        ];
        match generators
            .into_iter()
            .find(|(is_generator, _)| *is_generator)
        {
            Some((_, element)) => Err(KeyError::KnownSecret(element)),
            None => Ok(()),
        }
    }
}

fn sound_g1(point: G1Affine, element: Element) -> Result<(), KeyError> {
    sound(point, element, G1Affine::is_on_curve)
}

fn sound_g2(point: G2Affine, element: Element) -> Result<(), KeyError> {
    sound(point, element, G2Affine::is_on_curve)
}

fn sound<P: Point>(
    point: P,
    element: Element,
    on_curve: impl Fn(&P) -> bool,
) -> Result<(), KeyError> {
    if point.is_zero() {
        return Err(KeyError::Identity(element));
    }
    let error = if !on_curve(&point) {
        EncodingError::NotOnCurve
    } else if !point.in_subgroup() {
        EncodingError::NotInSubgroup
    } else {
        return Ok(());
    };
    Err(KeyError::Point { element, error })
}

impl ProvingKey {
    /// Looks at everything but the subgroup of the wires' points in G2, for which there is [`Self::check_subgroup`].
    ///
    /// Takes four pairings and a pass over the coefficients.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn check(&self) -> Result<(), KeyError> {
        self.verifying.check()?;
        self.check_shape().map_err(KeyError::Shape)?;
        if !same(self.beta_g1, self.verifying.beta_g2) {
            return Err(KeyError::Differs(Element::Beta));
        }
        if !same(self.delta_g1, self.verifying.delta_g2) {
            return Err(KeyError::Differs(Element::Delta));
        }
        match self.ceremony.contributions.last() {
            None => Err(KeyError::NoContribution),
            Some(last) if last.delta_after != self.delta_g1 => Err(KeyError::ForeignContribution),
            Some(_) => Ok(()),
        }
    }

    /// Checks that the points of all wires in G2 are in the subgroup of prime order. It takes about as long as a proof's sum in G2, which is
    /// why callers may remember it ([`super::Remembered`]). In G1 there are no other points.
    ///
    /// # Errors
    ///
    /// [`KeyError::Point`] with the first such wire.
    pub fn check_subgroup(&self) -> Result<(), KeyError> {
        match Point::first_outside(&self.b_g2) {
            None => Ok(()),
            Some(wire) => Err(KeyError::Point {
                element: Element::WireInG2(wire),
                error: EncodingError::NotInSubgroup,
            }),
        }
    }

    fn check_shape(&self) -> Result<(), ShapeError> {
        let (wires, public) = (self.wires as usize, self.public());
        if !self.domain_size.is_power_of_two() || self.domain_size > 1 << super::MAX_DOMAIN_LOG2 {
            return Err(ShapeError::Domain(self.domain_size));
        }
        for (list, found, expected) in [
            ("A", self.a_g1.len(), wires),
            ("B in G1", self.b_g1.len(), wires),
            ("B in G2", self.b_g2.len(), wires),
            ("L", self.l_g1.len(), wires.saturating_sub(public + 1)),
            ("H", self.h_g1.len(), self.domain_size as usize),
        ] {
            if found != expected {
                return Err(ShapeError::Length {
                    list,
                    found,
                    expected,
                });
            }
        }
        let fits =
            |term: &Coefficient| term.wire < self.wires && term.constraint < self.domain_size;
        match self.coefficients.iter().position(|term| !fits(term)) {
            Some(index) => Err(ShapeError::Coefficient(index)),
            None => self.check_public_rows(),
        }
    }

    /// Without its row in A the point of a public input that no constraint uses would be the identity, and the input could be
    /// changed at will.
    fn check_public_rows(&self) -> Result<(), ShapeError> {
        let rows = self.public() + 1;
        let start = self
            .coefficients
            .len()
            .checked_sub(rows)
            .ok_or(ShapeError::PublicRows)?;
        let added = &self.coefficients[start..];
        let first = added[0].constraint as usize;
        let as_expected = added.iter().enumerate().all(|(wire, term)| {
            term.side == Side::A
                && term.wire as usize == wire
                && term.constraint as usize == first + wire
                && term.value.is_one()
        });
        let alone = self.coefficients[..start]
            .iter()
            .all(|term| (term.constraint as usize) < first);
        if as_expected && alone {
            Ok(())
        } else {
            Err(ShapeError::PublicRows)
        }
    }
}

/// Whether two points have the same secret.
fn same(in_g1: G1Affine, in_g2: G2Affine) -> bool {
    Bn254::pairing(in_g1, G2Affine::generator()) == Bn254::pairing(G1Affine::generator(), in_g2)
}
