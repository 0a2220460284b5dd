//! The rules of the Raft paper, a test each: Figure 2, sections 5 to 8, and the parts of Ongaro's thesis that the core adds.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

#[path = "../support/mod.rs"]
mod support;

mod append_entries;
mod clients;
mod commitment;
mod elections;
mod membership;
mod replication;
mod request_vote;
mod servers;
mod snapshots;
mod transfer_and_pre_vote;
