//! Poseidon, Merkle trees, nullifiers, ranges: native code and circuits that agree.
