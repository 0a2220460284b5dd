//! Milestone 5: the asynchronous server and client, and the owner of the programs `kvs-server` and `kvs-client`.
//!
//! # What it is
//!
//! [`server`] speaks the protocol of Redis over tokio and answers from any engine of [`storage`]; [`client`] is the
//! command line that talks to it. What a command means is decided in [`commands`], how it looks on the wire in [`wire`].
//!
//! # What it guarantees
//!
//! A reply, of a read too, is sent only when everything it was decided from is as durable as the sync policy promises.
//! Commands take effect one after another, in the order in which they were decided. Input that is malformed, oversized
//! or slow costs its own connection at most.
//!
//! # What it does not
//!
//! No encryption on the wire, no users besides `default`, no database besides 0, no replication.
//!
//! # How it works
//!
//! ```text
//!   connection task                      decider                         committer
//!   read -> requests --- one burst --->  decide, decide, submit, ... --> commit (fdatasync)
//!                        of replies <--  what it saw: position p             |
//!   wait until acknowledged >= p   <-----------------------------------------'
//!   write all replies at once
//! ```
//!
//! While the disk is busy with one commit, other connections go on deciding; the next commit covers them all.

pub mod client;
pub mod server;
