//! Membership in a tree without showing which leaf.
//!
//! # What it is
//!
//! [`Membership`]: a member, whose leaf commits to a secret, says something (a signal) within a scope (a vote, a group, a day) as one of
//! all members, once. [`PublicMembership`]: a known value is in the list; nothing is hidden but the way to it. [`app`] keeps the tree, its
//! roots, and for a verifier the nullifiers.
//!
//! # What it guarantees
//!
//! See [`statement`], which also says who could attack and how that is prevented.
//!
//! # What it does not
//!
//! A member hides among the leaves of the tree, no more. Whoever builds the tree decides who is in it.

pub mod app;
pub mod circuit;
pub mod member;
pub mod statement;

pub use app::{Group, GroupError, LeavesError, read_leaves};
pub use member::Member;
pub use statement::{Membership, Private, Public, PublicMembership, PublicValue, ValuePath};
/// Why a text is no note, address or key.
pub use zk_store::TextError;
