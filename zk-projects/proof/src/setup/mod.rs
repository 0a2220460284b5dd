//! The setup: from a circuit to its keys, by a ceremony that is sound if one of its contributors was honest.
//!
//! # What it is
//!
//! A Groth16 key is made of secrets that nobody may keep: who knows one of them can forge proofs. In a ceremony [BGM17] each
//! contributor multiplies a secret of their own in and forgets it, so that it takes all of them together to know the product.
//!
//! ```text
//! powers of tau   tau, alpha, beta; the same for all circuits      .ptau   powers::{start, contribute, beacon, prepare, verify}
//!       |
//!       v
//! circuit         sums of Lagrange points, delta = 1               .zkey   circuit::from_powers
//!       |
//!       v
//! contributions   delta; one ceremony for each circuit             .zkey   contribute::{contribute, beacon}, verify::verify
//! ```
//!
//! # What it guarantees
//!
//! Files are those of snarkjs 0.7.6, in both directions: the start of a key is byte-equal to snarkjs', its verification accepts
//! what is made here, and the one here accepts what is made there.
//!
//! # What it does not
//!
//! The [local setup](local) runs all of this with secrets of one process. Its keys are for demonstrations.
//!
//! [BGM17]: https://eprint.iacr.org/2017/1050

mod basis;
mod blake2b;
pub mod circuit;
pub mod contribute;
mod local;
mod multiply;
pub mod powers;
pub(crate) mod random;
mod ratio;
pub mod verify;

use crate::files::binary::FormatError;
use crate::files::ptau;

pub use local::{CONTRIBUTOR, is_local, local};

/// Why a setup cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The circuit's constraints and public inputs are more than the curve's roots of unity can serve.
    #[error(
        "the circuit needs a domain of 2^{domain_log2}, where 2^{max} is the largest",
        max = crate::key::MAX_DOMAIN_LOG2
    )]
    TooLarge {
        /// log2 of the domain that would be needed.
        domain_log2: u32,
    },
    /// The constraint system is not consistent in itself.
    #[error(
        "a constraint or the number of public inputs refers to a wire that the circuit does not have"
    )]
    Wires,
    /// A size of powers of tau is not supported.
    #[error(
        "powers of tau of size 2^{power}, where 2^{min} to 2^{max} are supported",
        min = ptau::MIN_POWER,
        max = ptau::MAX_POWER
    )]
    Power {
        /// log2 of the size.
        power: u32,
    },
    /// Powers that were cut to a smaller size cannot be contributed to.
    #[error("the powers of tau were cut to a smaller size; only the whole ceremony can go on")]
    Cut,
    /// The powers of tau have no Lagrange points yet.
    #[error("the powers of tau are not prepared for circuits")]
    NotPrepared,
    /// There are fewer powers of tau than the circuit needs.
    #[error("the circuit needs powers of tau of size 2^{needed}, where the file has 2^{found}")]
    PowersTooSmall {
        /// log2 of the size that is needed.
        needed: u32,
        /// log2 of the size that is there.
        found: u32,
    },
    /// The file of powers of tau has a wrong point.
    #[error(transparent)]
    File(#[from] FormatError),
    /// A name cannot be kept in the file.
    #[error("a contribution's name has at most 64 characters")]
    Name,
    /// A beacon's value cannot be kept in the file.
    #[error("a beacon's value has 1 to 255 bytes")]
    BeaconValue,
    /// A beacon's number of hashes is out of range.
    #[error(
        "a beacon is hashed 2^{min} to 2^{max} times, not 2^{iterations_log2}",
        min = contribute::MIN_BEACON_LOG2,
        max = contribute::MAX_BEACON_LOG2
    )]
    BeaconIterations {
        /// log2 of the number of hashes.
        iterations_log2: u32,
    },
}

/// Is told how far long work has come.
pub trait Progress: Sync {
    /// So much of `step` is done. `done` grows up to `total`, both in units of the step's own.
    fn report(&self, step: &'static str, done: u64, total: u64);
}

impl<F: Fn(&'static str, u64, u64) + Sync> Progress for F {
    fn report(&self, step: &'static str, done: u64, total: u64) {
        self(step, done, total);
    }
}

/// Nobody is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn report(&self, _: &'static str, _: u64, _: u64) {}
}
