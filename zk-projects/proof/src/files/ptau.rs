//! Powers of tau as snarkjs writes them, `.ptau`.
//!
//! ```text
//!  1  header         q as in a .zkey, log2 p of the ceremony's size, log2 of what it was before it was cut
//!  2  tau in G1      2^(p+1) - 1 powers          12  Lagrange points of 2    sizes 2^0, 2^1, ... 2^p, 2^(p+1)
//!  3  tau in G2      2^p                         13  of 3                    sizes 2^0, 2^1, ... 2^p
//!  4  alpha tau      2^p in G1                   14  of 4
//!  5  beta tau       2^p in G1                   15  of 5
//!  6  beta in G2     one point
//!  7  contributions
//! ```
//!
//! Points are in the Montgomery form. 12 to 15 are there once the file is prepared for the second phase. [`Ptau::parse`] checks
//! every length against the header and reads the contributions; points are read when they are asked for, from memory or a
//! mapped file, and checked to be on their curve. Whether they are powers of one tau is asked by
//! [`verify`](crate::setup::powers::verify).

use std::io::{self, Write};

use ark_bn254::{Fq, G1Affine, G2Affine};

use super::binary::{Cursor, FormatError, Sections, Writer};
use super::elements::{read_modulus, read_point, read_points, write_modulus, write_points};
use super::source::{HASH_BYTES, read_hash, read_source, write_source};
use crate::curve::Point;
use crate::key::Source;

const MAGIC: &str = "ptau";
const VERSION: u32 = 1;

const HEADER: u32 = 1;
const BETA_G2: u32 = 6;
const CONTRIBUTIONS: u32 = 7;
/// What a file that is not prepared has.
const PLAIN: [u32; 7] = [1, 2, 3, 4, 5, BETA_G2, CONTRIBUTIONS];
/// What a prepared file has, in the order in which it is written.
const PREPARED: [u32; 11] = [1, 2, 3, 4, 5, BETA_G2, CONTRIBUTIONS, 12, 13, 14, 15];

/// The least log2 of a ceremony's size: one power of tau must be there.
pub const MIN_POWER: u32 = 1;
/// The largest log2 of a ceremony's size: twice of it must have roots of unity.
pub const MAX_POWER: u32 = 27;

/// Bytes of the hash's state that a contribution keeps.
pub const STATE_BYTES: usize = 216;
/// Bytes of a contribution without parameters.
const EMPTY_CONTRIBUTION_BYTES: usize =
    9 * G1Affine::BYTES + 5 * G2Affine::BYTES + STATE_BYTES + HASH_BYTES + 2 * 4;

/// One of the four lists of powers, by the number of its section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Powers of tau in G1; about twice as many as in the others.
    TauG1 = 2,
    /// Powers of tau in G2.
    TauG2 = 3,
    /// Powers of tau times alpha in G1.
    AlphaTauG1 = 4,
    /// Powers of tau times beta in G1.
    BetaTauG1 = 5,
}

impl List {
    /// All of them, in the order of the file.
    pub const ALL: [Self; 4] = [Self::TauG1, Self::TauG2, Self::AlphaTauG1, Self::BetaTauG1];

    /// How many powers a ceremony of size 2^`power` has.
    #[must_use]
    pub fn powers(self, power: u32) -> usize {
        match self {
            Self::TauG1 => (2 << power) - 1,
            _ => 1 << power,
        }
    }

    /// log2 of the largest domain of which there are Lagrange points.
    #[must_use]
    pub fn largest_domain(self, power: u32) -> u32 {
        match self {
            Self::TauG1 => power + 1,
            _ => power,
        }
    }

    /// How many Lagrange points there are, of all domains together.
    #[must_use]
    pub fn lagrange(self, power: u32) -> usize {
        (2 << self.largest_domain(power)) - 1
    }

    /// Bytes of one of its points.
    fn point_bytes(self) -> usize {
        match self {
            Self::TauG2 => G2Affine::BYTES,
            _ => G1Affine::BYTES,
        }
    }

    fn section(self) -> u32 {
        self as u32
    }

    fn lagrange_section(self) -> u32 {
        self as u32 + 10
    }
}

/// What a ceremony has accumulated: the content of a `.ptau` that is not prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Powers {
    /// log2 of the largest circuit's domain.
    pub power: u32,
    /// log2 of what the size was in the ceremony. Larger than `power` if the file was cut later.
    pub ceremony_power: u32,
    /// `tau^i`, `2^(power + 1) - 1` of them.
    pub tau_g1: Vec<G1Affine>,
    /// `tau^i`, `2^power` of them.
    pub tau_g2: Vec<G2Affine>,
    /// `alpha tau^i`, `2^power` of them.
    pub alpha_tau_g1: Vec<G1Affine>,
    /// `beta tau^i`, `2^power` of them.
    pub beta_tau_g1: Vec<G1Affine>,
    /// beta.
    pub beta_g2: G2Affine,
    /// In order.
    pub contributions: Vec<PowersContribution>,
}

/// Proof that a contributor knew the number they multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretProof {
    /// A random point.
    pub g1_s: G1Affine,
    /// The random point times the secret.
    pub g1_sx: G1Affine,
    /// The point hashed from challenge and both points, times the secret.
    pub g2_spx: G2Affine,
}

/// One contribution to tau, alpha and beta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowersContribution {
    /// tau after it.
    pub tau_g1: G1Affine,
    /// tau after it.
    pub tau_g2: G2Affine,
    /// alpha after it.
    pub alpha_g1: G1Affine,
    /// beta after it.
    pub beta_g1: G1Affine,
    /// beta after it.
    pub beta_g2: G2Affine,
    /// Proof for tau's secret.
    pub tau: SecretProof,
    /// Proof for alpha's secret.
    pub alpha: SecretProof,
    /// Proof for beta's secret.
    pub beta: SecretProof,
    /// State of the response's hash after everything but the three proofs.
    pub response_state: [u8; STATE_BYTES],
    /// Blake2b-512 over the response's hash and all points: what the next contribution answers.
    pub next_challenge: [u8; HASH_BYTES],
    /// Who, and how the secrets came about.
    pub source: Source,
}

/// A `.ptau` in memory or mapped: lengths checked, contributions read, points not yet.
#[derive(Debug, Clone)]
pub struct Ptau<'a> {
    sections: Sections<'a>,
    power: u32,
    ceremony_power: u32,
    contributions: Vec<PowersContribution>,
}

impl<'a> Ptau<'a> {
    /// Reads everything but the points.
    ///
    /// # Errors
    ///
    /// Another kind of file or curve, a size that is not supported, a section that is missing, unknown or of another length than
    /// the header's size demands, a contribution that cannot be read.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let sections = Sections::parse(MAGIC, VERSION, bytes)?;
        sections.expect_only(&PREPARED)?;
        let (power, ceremony_power) = read_header(sections.section(HEADER)?)?;
        let mut ptau = Self {
            sections,
            power,
            ceremony_power,
            contributions: Vec::new(),
        };
        for list in List::ALL {
            let section = ptau.sections.section(list.section())?;
            section.expect_left(list.powers(power), list.point_bytes(), "points")?;
            if ptau.is_prepared() {
                let section = ptau.sections.section(list.lagrange_section())?;
                section.expect_left(list.lagrange(power), list.point_bytes(), "points")?;
            }
        }
        ptau.sections
            .section(BETA_G2)?
            .expect_left(1, G2Affine::BYTES, "points")?;
        ptau.contributions = read_contributions(ptau.sections.section(CONTRIBUTIONS)?)?;
        Ok(ptau)
    }

    /// log2 of the largest circuit's domain.
    #[must_use]
    pub fn power(&self) -> u32 {
        self.power
    }

    /// log2 of what the size was in the ceremony.
    #[must_use]
    pub fn ceremony_power(&self) -> u32 {
        self.ceremony_power
    }

    /// In order.
    #[must_use]
    pub fn contributions(&self) -> &[PowersContribution] {
        &self.contributions
    }

    /// Whether any Lagrange points are there. If there are, [`Self::parse`] has seen to it that all are.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.sections
            .lengths()
            .any(|(number, _)| number > CONTRIBUTIONS)
    }

    /// The powers and contributions.
    ///
    /// # Errors
    ///
    /// A point that is not on its curve.
    pub fn powers(&self) -> Result<Powers, FormatError> {
        let g1 = |list: List| self.points(list, 0, list.powers(self.power));
        Ok(Powers {
            power: self.power,
            ceremony_power: self.ceremony_power,
            tau_g1: g1(List::TauG1)?,
            tau_g2: self.points(List::TauG2, 0, List::TauG2.powers(self.power))?,
            alpha_tau_g1: g1(List::AlphaTauG1)?,
            beta_tau_g1: g1(List::BetaTauG1)?,
            beta_g2: self.beta_g2()?,
            contributions: self.contributions.clone(),
        })
    }

    /// beta in G2.
    ///
    /// # Errors
    ///
    /// It is not on its curve.
    pub fn beta_g2(&self) -> Result<G2Affine, FormatError> {
        read_point(&mut self.sections.section(BETA_G2)?)
    }

    /// Some of a list's powers.
    ///
    /// # Errors
    ///
    /// There are not so many; a point that is not on its curve.
    ///
    /// # Panics
    ///
    /// If the list's points are not of type `P`.
    pub fn points<P: Point>(
        &self,
        list: List,
        first: usize,
        count: usize,
    ) -> Result<Vec<P>, FormatError> {
        read_some(self.sections.section(list.section())?, list, first, count)
    }

    /// The Lagrange points of a list for the domain of 2^`domain_log2`.
    ///
    /// # Errors
    ///
    /// The file is not prepared or the domain too large; a point that is not on its curve.
    ///
    /// # Panics
    ///
    /// If the list's points are not of type `P`.
    pub fn lagrange<P: Point>(&self, list: List, domain_log2: u32) -> Result<Vec<P>, FormatError> {
        let section = self.sections.section(list.lagrange_section())?;
        let count = 1 << domain_log2;
        read_some(section, list, count - 1, count)
    }

    /// Writes the same with all Lagrange points after it; `lagrange` writes those of one list, of all domains ascending.
    pub(crate) fn write_prepared<W: Write, E: From<io::Error> + From<FormatError>>(
        &self,
        out: W,
        mut lagrange: impl FnMut(List, &mut W) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut writer = Writer::new(out, MAGIC, VERSION, PREPARED.len() as u32)?;
        for number in PLAIN {
            let mut section = self.sections.section(number)?;
            writer.section(number, section.take(section.left())?)?;
        }
        for list in List::ALL {
            let bytes = list.lagrange(self.power) * list.point_bytes();
            let section = writer.begin(list.lagrange_section(), bytes as u64)?;
            lagrange(list, section)?;
        }
        Ok(())
    }
}

fn read_some<P: Point>(
    mut section: Cursor<'_>,
    list: List,
    first: usize,
    count: usize,
) -> Result<Vec<P>, FormatError> {
    assert_eq!(list.point_bytes(), P::BYTES, "the list is of such points");
    section.take(first * P::BYTES)?;
    read_points(&mut section, count)
}

fn read_header(mut cursor: Cursor<'_>) -> Result<(u32, u32), FormatError> {
    read_modulus::<Fq>(&mut cursor)?;
    let at = cursor.offset();
    let power = cursor.u32()?;
    let ceremony_power = cursor.u32()?;
    cursor.end()?;
    if !(MIN_POWER..=MAX_POWER).contains(&power) {
        let problem = format!("a size of 2^{power}, not between 2^{MIN_POWER} and 2^{MAX_POWER}");
        return Err(cursor.error_at(at, problem));
    }
    if !(power..=MAX_POWER + 1).contains(&ceremony_power) {
        let problem = format!("a size of 2^{power}, cut from 2^{ceremony_power}");
        return Err(cursor.error_at(at, problem));
    }
    Ok((power, ceremony_power))
}

fn read_contributions(mut cursor: Cursor<'_>) -> Result<Vec<PowersContribution>, FormatError> {
    let count = cursor.u32()? as usize;
    cursor.expect_at_least(count, EMPTY_CONTRIBUTION_BYTES, "contributions")?;
    let mut contributions = Vec::with_capacity(count);
    for _ in 0..count {
        contributions.push(read_contribution(&mut cursor)?);
    }
    cursor.end()?;
    Ok(contributions)
}

fn read_contribution(cursor: &mut Cursor<'_>) -> Result<PowersContribution, FormatError> {
    let tau_g1 = read_point(cursor)?;
    let tau_g2 = read_point(cursor)?;
    let alpha_g1 = read_point(cursor)?;
    let beta_g1 = read_point(cursor)?;
    let beta_g2 = read_point(cursor)?;
    // All of G1 first, then all of G2.
    let mut proofs = [(); 3].map(|()| SecretProof {
        g1_s: G1Affine::identity(),
        g1_sx: G1Affine::identity(),
        g2_spx: G2Affine::identity(),
    });
    for proof in &mut proofs {
        proof.g1_s = read_point(cursor)?;
        proof.g1_sx = read_point(cursor)?;
    }
    for proof in &mut proofs {
        proof.g2_spx = read_point(cursor)?;
    }
    let [tau, alpha, beta] = proofs;
    let state = cursor.take(STATE_BYTES)?;
    Ok(PowersContribution {
        tau_g1,
        tau_g2,
        alpha_g1,
        beta_g1,
        beta_g2,
        tau,
        alpha,
        beta,
        response_state: state.try_into().expect("as many bytes as were asked for"),
        next_challenge: read_hash(cursor)?,
        source: read_source(cursor)?,
    })
}

/// Writes powers that are not prepared.
///
/// # Errors
///
/// Those of `out`, and [`io::ErrorKind::InvalidInput`] for what the format has no room for: a name or a beacon value of more than
/// 255 bytes, more than 2^255 iterations.
///
/// # Panics
///
/// If there are 2^32 contributions.
pub fn write(powers: &Powers, out: impl Write) -> io::Result<()> {
    let contributions = contributions(&powers.contributions)?;
    let mut writer = Writer::new(out, MAGIC, VERSION, PLAIN.len() as u32)?;
    let mut header = Vec::new();
    write_modulus::<Fq>(&mut header);
    header.extend(powers.power.to_le_bytes());
    header.extend(powers.ceremony_power.to_le_bytes());
    writer.section(HEADER, &header)?;
    write_section(&mut writer, List::TauG1, &powers.tau_g1)?;
    write_section(&mut writer, List::TauG2, &powers.tau_g2)?;
    write_section(&mut writer, List::AlphaTauG1, &powers.alpha_tau_g1)?;
    write_section(&mut writer, List::BetaTauG1, &powers.beta_tau_g1)?;
    let mut beta_g2 = Vec::new();
    powers.beta_g2.write_montgomery(&mut beta_g2);
    writer.section(BETA_G2, &beta_g2)?;
    writer.section(CONTRIBUTIONS, &contributions)
}

/// Points of which the bytes are held at a time.
const CHUNK: usize = 1 << 14;

fn write_section<P: Point>(
    writer: &mut Writer<impl Write>,
    list: List,
    points: &[P],
) -> io::Result<()> {
    let section = writer.begin(list.section(), (points.len() * P::BYTES) as u64)?;
    write_chunks(points, section)
}

/// Writes points in the Montgomery form.
pub(crate) fn write_chunks<P: Point>(points: &[P], out: &mut impl Write) -> io::Result<()> {
    let mut bytes = Vec::new();
    for chunk in points.chunks(CHUNK) {
        bytes.clear();
        write_points(chunk, &mut bytes);
        out.write_all(&bytes)?;
    }
    Ok(())
}

fn contributions(contributions: &[PowersContribution]) -> io::Result<Vec<u8>> {
    let count = u32::try_from(contributions.len()).expect("fewer than 2^32 contributions");
    let mut out = count.to_le_bytes().to_vec();
    for contribution in contributions {
        contribution.tau_g1.write_montgomery(&mut out);
        contribution.tau_g2.write_montgomery(&mut out);
        contribution.alpha_g1.write_montgomery(&mut out);
        contribution.beta_g1.write_montgomery(&mut out);
        contribution.beta_g2.write_montgomery(&mut out);
        let proofs = [&contribution.tau, &contribution.alpha, &contribution.beta];
        for proof in proofs {
            proof.g1_s.write_montgomery(&mut out);
            proof.g1_sx.write_montgomery(&mut out);
        }
        for proof in proofs {
            proof.g2_spx.write_montgomery(&mut out);
        }
        out.extend(contribution.response_state);
        out.extend(contribution.next_challenge);
        write_source(&contribution.source, &mut out)?;
    }
    Ok(out)
}
