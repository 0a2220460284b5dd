//! Groth16 over BN254: statements, snarkjs' files, setup, prove, verify, audit, Solidity.

pub mod audit;
pub mod curve;
pub mod decimal;
pub mod files;
pub mod key;
pub mod r1cs;
pub mod solidity;
pub mod statement;
pub mod verify;
