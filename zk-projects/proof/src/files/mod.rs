//! The files of snarkjs and circom, read and written by our own code.

pub mod binary;
pub mod elements;
pub mod json;
pub mod ptau;
pub mod r1cs;
mod source;
pub mod wtns;
pub mod zkey;
