//! Withdraw from a pool of equal deposits without showing which was yours.
