//! The contract suite: one file per capability, its tests run against every engine that claims it. The names read
//! `engine::capability::sentence`.

// The lint's exception for tests covers functions with `#[test]` only.
#![allow(clippy::unwrap_used)]

mod checkpoint;
mod core;
mod directory;
mod durability;
mod engines;
mod snapshots;
mod subject;
mod suite;
mod visibility;

use engines::{Fjall, Kvs, KvsSmall, Memory, Sled};
use subject::Subject;
use suite::{all, cases, contract, fresh, get, keys, open, pairs, put};

contract!(memory: Memory => core, snapshots, durability, visibility);
contract!(sled: Sled => core, directory, durability);
contract!(fjall: Fjall => core, directory, snapshots, durability, visibility, checkpoint);
contract!(kvs: Kvs => core, directory, snapshots, durability, visibility, checkpoint);
contract!(kvs_small: KvsSmall => core, directory, snapshots, durability, visibility, checkpoint);
