//! Solidity contracts, their compiled form, and a local EVM that runs them.
//!
//! | module | what |
//! |---|---|
//! | [`contracts`] | the compiled contracts |
//! | [`abi`] | their calls, errors and events |
//! | [`verifier`] | verifiers for keys that were made a moment ago, without a compiler |
//! | [`chain`] | the local EVM |
//! | [`words`] | numbers and proofs as the contracts take them |
//!
//! The README says what each contract guarantees and what not.

pub mod abi;
pub mod chain;
pub mod contracts;
pub mod verifier;
pub mod words;
