//! Solidity contracts, their compiled form, and a local EVM that runs them.
