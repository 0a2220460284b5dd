//! Engine `tikv`: a cluster that speaks TiKV's protocol, ours or a real TiKV, behind the traits. With the crate's feature `tikv`.
//!
//! # What it is
//!
//! The published `tikv-client` in optimistic transactions, so that an application moves from a directory to a cluster by
//! changing an [`Address`]. Its keys lie under a namespace: applications that share a cluster do not see each other.
//!
//! # What it guarantees
//!
//! The contracts of [`Engine`](crate::Engine) and [`Snapshots`](crate::Snapshots): a batch is one transaction, acknowledged once the
//! cluster has it on a majority of disks; all of a read is as of one timestamp, taken when it is called. Writes of one engine and its
//! handles behave as if made one after the other. Calls block and may come from any thread, also one of an async runtime: the client
//! runs on a thread of its own.
//!
//! # What it does not
//!
//! - [`Error::Undetermined`](crate::Error::Undetermined): when the connection fails in the middle of a commit, nobody can say whether the batch is
//!   there. Before that the engine asks the cluster again as long as [`Options::patience`] lasts.
//! - **Limits**: keys up to 4 KiB, values up to 3 MiB (a node's reply holds less than 4), batches up to 8 MiB and 16,384 keys, those
//!   that its range deletions find included. The client sends the list of all keys with every 16 KiB of a batch, so that
//!   many keys in one batch cost more than their share.
//! - A range deletion reads the range and deletes what is there, as of its transaction's start. What *another process* adds to the range
//!   while the deletion is under way may stay.
//! - Snapshots live until the cluster's garbage collector passes them: they hold nothing back. Nodes of ours move the safe point only
//!   when a client asks for it (`TransactionClient::gc`), and refuse reads below it; a real TiKV is usually told every ten
//!   minutes, and may leave out values instead.
//! - No [`Durability`](crate::Durability) and no [`Checkpoint`](crate::Checkpoint): there is no local disk to wait for or to copy.
//! - [`approximate_size`](crate::Reader::approximate_size) reads the range, up to its first 65,536 pairs.
//! - Over several regions, as a real TiKV has, the client asks all that a scan's rest touches for a page each.
//! - No TLS yet: see `Config::with_security` of the client.
//!
//! # How it works
//!
//! ```text
//! caller                          thread `tikv-client`
//! write ---- begin ------------>  a timestamp ts
//!            range deletions:     scan their keys at ts, in pages
//!            flatten to key -> value or none
//!       ---- commit ----------->  prewrite all, commit the first: it counts       the others are committed in the background
//!              conflict           roll back, pause, begin anew
//!              no answer          commit the same transaction again; it tells
//! scan  ---- page ------------->  so many pairs at ts as took about 1 MiB the last time; fewer if the reply were too long
//! ```

mod address;
#[cfg(feature = "tikv")]
mod client;
#[cfg(feature = "tikv")]
mod engine;
#[cfg(feature = "tikv")]
mod failure;
#[cfg(feature = "tikv")]
mod view;
#[cfg(feature = "tikv")]
mod write;

pub use address::{Address, AddressError};
#[cfg(feature = "tikv")]
pub use engine::{Options, TikvEngine};
