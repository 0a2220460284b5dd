//! Groth16 keys: as values, what they must show before they are used (`check`), on disk (`folder`), and which of them were looked at
//! before (`remembered`).

mod check;
mod folder;
mod remembered;

use ark_bn254::{Fr, G1Affine, G2Affine};

pub use check::{Element, KeyError, ShapeError};
pub use folder::{FolderError, KeyFolder, Manifest, ManifestInput, Origin};
pub use remembered::Remembered;

/// log2 of the largest domain: its double still has roots of unity in the scalar field.
pub const MAX_DOMAIN_LOG2: u32 = 27;

/// What a verifier needs ([Groth16], section 3.2, with gamma).
///
/// [Groth16]: https://eprint.iacr.org/2016/260
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    /// alpha in G1.
    pub alpha_g1: G1Affine,
    /// beta in G2.
    pub beta_g2: G2Affine,
    /// gamma in G2. snarkjs' ceremonies leave it at the generator.
    pub gamma_g2: G2Affine,
    /// delta in G2.
    pub delta_g2: G2Affine,
    /// The commitment of each public input, that of the constant one first: `(beta A_i + alpha B_i + C_i) / gamma`.
    pub ic: Vec<G1Affine>,
}

impl VerifyingKey {
    /// How many public inputs.
    #[must_use]
    pub fn public(&self) -> usize {
        self.ic.len().saturating_sub(1)
    }
}

/// Which of the matrices a coefficient is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A, the left factor.
    A,
    /// B, the right factor.
    B,
}

/// One coefficient of A or B, as a `.zkey` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coefficient {
    /// Of which matrix.
    pub side: Side,
    /// Row.
    pub constraint: u32,
    /// Column.
    pub wire: u32,
    /// The number itself (not in the doubled Montgomery form of the file).
    pub value: Fr,
}

/// What a prover needs: the content of a `.zkey`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvingKey {
    /// The verifier's part.
    pub verifying: VerifyingKey,
    /// beta in G1.
    pub beta_g1: G1Affine,
    /// delta in G1.
    pub delta_g1: G1Affine,
    /// How many wires, the constant one included.
    pub wires: u32,
    /// Size of the evaluation domain, a power of two.
    pub domain_size: u32,
    /// A and B, in the file's order. The rows after the circuit's constraints name the constant and each public input once in A.
    pub coefficients: Vec<Coefficient>,
    /// A of each wire in G1.
    pub a_g1: Vec<G1Affine>,
    /// B of each wire in G1.
    pub b_g1: Vec<G1Affine>,
    /// B of each wire in G2.
    pub b_g2: Vec<G2Affine>,
    /// `(beta A_i + alpha B_i + C_i) / delta` of each wire that is not public.
    pub l_g1: Vec<G1Affine>,
    /// The powers for the quotient, on the odd coset of twice the domain, over delta; `domain_size` of them.
    pub h_g1: Vec<G1Affine>,
    /// Hash of the circuit's part of the key, and who contributed.
    pub ceremony: Ceremony,
}

impl ProvingKey {
    /// How many public inputs.
    #[must_use]
    pub fn public(&self) -> usize {
        self.verifying.public()
    }

    /// How many constraints the circuit has: the rows before those that the setup added for the constant and the public inputs.
    /// Means something for keys that [`Self::check`] accepts.
    #[must_use]
    pub fn constraints(&self) -> usize {
        let last = self
            .coefficients
            .last()
            .map_or(0, |term| term.constraint as usize);
        last.saturating_sub(self.public())
    }
}

/// The record of a key's second phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceremony {
    /// Blake2b-512 over the circuit's part of the key as it was before the first contribution.
    pub circuit_hash: [u8; 64],
    /// In order.
    pub contributions: Vec<Contribution>,
}

/// One contribution to delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// delta after it.
    pub delta_after: G1Affine,
    /// A random point.
    pub g1_s: G1Affine,
    /// The random point times the contribution's secret.
    pub g1_sx: G1Affine,
    /// The point hashed from the transcript, times the secret.
    pub g2_spx: G2Affine,
    /// Blake2b-512 over everything before and this contribution's public part.
    pub transcript: [u8; 64],
    /// Who, and how the secret came about.
    pub source: Source,
}

/// Where the secret of a contribution came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Somebody's randomness.
    Person {
        /// A name that they gave.
        name: Option<String>,
    },
    /// A public random value, hashed 2^`iterations_log2` times.
    Beacon {
        /// A name that was given.
        name: Option<String>,
        /// log2 of the number of hashes.
        iterations_log2: u32,
        /// The public random value.
        value: Vec<u8>,
    },
}
