//! The parts that statements are made of, each as native code and as a circuit that agree.
//!
//! # What it is
//!
//! | module | what | constraints |
//! |---|---|---|
//! | [`wire`] | sums of wires, products, equalities: the language of the circuits | |
//! | [`poseidon`] | a hash made for circuits, with circomlib's parameters | 213, 240, 261, 297 for 1 to 4 inputs |
//! | [`merkle`] | incremental trees of arity 2 and 4, and a path in them | a hash and 2 or 5 for each level |
//! | [`nullifier`] | numbers that mark a secret as used without showing it | those of the hash |
//! | [`range`] | numbers as bits: below 2^n, and the one representation below r | n + 1, and 354 |
//! | [`sha256`] | the hash of the world outside | 31,000 for 64 bytes |
//! | [`context`] | what a call says besides the statement, as one public input | 1 |
//!
//! # What it guarantees
//!
//! Native code and circuit compute the same on the same input: a property test in each module. The hash is compared with two
//! implementations that are not ours. The number of constraints of each circuit is in `tests/golden/constraints.txt`, and does not
//! depend on values.
//!
//! # What it does not
//!
//! Native code does not run in constant time: it belongs on the prover's own machine.

pub mod context;
pub mod merkle;
pub mod nullifier;
pub mod poseidon;
pub mod range;
pub mod sha256;
pub mod wire;
