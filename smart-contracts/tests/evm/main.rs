//! The contracts in the local EVM, without Node. One program, because linking it is what takes time.
//!
//! `BLESS=1 cargo test -p smart-contracts --test evm` writes generated sources and goldens anew; review the difference.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod artifacts;
mod chain;
mod exported;
mod gas;
mod membership;
mod mixer;
mod poseidon;
mod registry;
mod support;
mod token;
mod tree;
mod verifier;
mod verifier_source;
