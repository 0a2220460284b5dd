//! Groth16 over BN254: statements, snarkjs' files, setup, prove, verify, audit, Solidity.

pub mod audit;
#[cfg(feature = "circom")]
pub mod circom;
pub mod curve;
pub mod decimal;
pub mod digest;
pub mod files;
pub mod input;
pub mod key;
pub mod msm;
pub mod private_file;
pub mod prove;
pub mod r1cs;
pub mod setup;
pub mod solidity;
pub mod statement;
pub mod subgroup;
pub mod verify;
