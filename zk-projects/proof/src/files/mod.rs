//! The files of snarkjs and circom, read and written by our own code.

pub mod binary;
pub mod elements;
pub mod json;
pub mod r1cs;
pub mod wtns;
pub mod zkey;
