//! The files of snarkjs and circom, read and written by our own code.

pub mod binary;
