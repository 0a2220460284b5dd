//! A mixer: withdraw from a pool of equal deposits without showing which was yours.
//!
//! # What it is
//!
//! Everybody deposits the same amount with a commitment, which becomes a leaf of a tree. Whoever knows what is in a commitment can
//! withdraw once, to any address: [`statement`] says what is proved, [`circuit`] how. [`note`] is what a depositor keeps, [`app`] the
//! contract's tree, which a proof needs. The shape is that of Tornado Cash; hash and tree are chosen for fewer constraints.
//!
//! # What it guarantees
//!
//! See [`statement`], which also says who could attack and how that is prevented.
//!
//! # What it does not
//!
//! It hides a withdrawal among the deposits before it, no more: amount, time, gas payer and network address are visible. A note that
//! is lost cannot be withdrawn by anyone.

pub mod app;
pub mod circuit;
pub mod note;
pub mod statement;

pub use app::{Mixer, MixerError};
pub use note::Note;
pub use statement::{Call, Private, Public, Withdraw};
/// Why a text is no note, address or key.
pub use zk_store::TextError;
