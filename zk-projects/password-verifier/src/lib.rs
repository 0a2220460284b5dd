//! Log in with a password that the verifier never sees.
