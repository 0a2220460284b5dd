//! Log in with a password that the verifier never sees.
//!
//! # What it is
//!
//! A registry knows a commitment for each user. A login proves that one knows what is in it, for one challenge: [`statement`] says what is
//! proved, [`client`] turns password and key file into the committed numbers, [`registry`] keeps commitments and nonces.
//!
//! # What it guarantees
//!
//! See [`statement`], which also says who could attack and how that is prevented.
//!
//! # What it does not
//!
//! **The password is hashed outside the circuit**: Argon2id takes memory on purpose, and a circuit cannot. What is proved is knowledge of
//! the hash. And **a commitment can be guessed at** by who gets the registry, at the price of one Argon2id for each guess, unless it also
//! hides a key file, as it does by default.

pub mod client;
pub mod registry;
pub mod statement;

pub use client::{ClientError, Cost, KeyFile, Registration, Secrets};
pub use registry::{LoginError, Record, Registry};
pub use statement::{Challenge, Login, Private, Public, user_word};
/// Why a text is no note, address or key.
pub use zk_store::TextError;
