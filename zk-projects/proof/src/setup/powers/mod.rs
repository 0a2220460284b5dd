//! Powers of tau: the first phase of a setup, one for all circuits up to a size.
//!
//! # What it is
//!
//! ```text
//! tau^i G1, tau^i G2, alpha tau^i G1, beta tau^i G1, beta G2       for three secrets of which nobody knows the product
//! ```
//!
//! They begin with all secrets one. A contributor multiplies the i-th point with their tau^i, alpha tau^i or beta tau^i, proves
//! for each of the three that they knew it, and forgets it ([BGM17], section 5; the form is that of snarkjs 0.7.6 and of the
//! ceremonies before it).
//!
//! ```text
//! challenge 0 -> response 1 -> challenge 1 -> response 2 -> ...
//! response  = Blake2b(challenge, all points compressed, proofs)    what a contributor publishes
//! challenge = Blake2b(response, all points uncompressed)           what the next proofs are bound to
//! ```
//!
//! # What it guarantees
//!
//! [`verify`] accepts a file only if every contribution followed from the one before with secrets that its contributor knew, the
//! lists are powers of the last one's, and the Lagrange points, if there are any, are those of the powers. Then the powers are
//! good if one of the contributors forgot their secrets.
//!
//! # What it does not
//!
//! The points of earlier contributions are gone; that their hashes are right is for their contributors to say.
//!
//! [BGM17]: https://eprint.iacr.org/2017/1050

mod contribute;
mod prepare;
mod verify;

pub use contribute::{beacon, contribute, response_hash, start};
pub use prepare::{PrepareError, prepare};
pub use verify::{InvalidPowers, PowersProblem, Secret, verify};
