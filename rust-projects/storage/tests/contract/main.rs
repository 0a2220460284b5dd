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
mod visibility;

use std::path::Path;

use bytes::Bytes;
use storage::{Batch, Direction, Engine, KeyRange, Reader, SyncPolicy};
use tempfile::TempDir;

use engines::{Fjall, Kvs, KvsSmall, Memory, Sled, Subject};

/// Turns the functions of a capability into tests of one engine.
macro_rules! cases {
    ($subject:ty, $capability:ident: $($case:ident),+ $(,)?) => {
        mod $capability {
            $(
                #[test]
                fn $case() {
                    $crate::$capability::$case::<$subject>();
                }
            )+
        }
    };
}
pub(crate) use cases;

macro_rules! contract {
    ($engine:ident: $subject:ident => $($capability:ident),+) => {
        mod $engine {
            $( $crate::$capability::tests!($crate::$subject); )+
        }
    };
}

contract!(memory: Memory => core, snapshots, durability, visibility);
contract!(sled: Sled => core, directory, durability);
contract!(fjall: Fjall => core, directory, snapshots, durability, visibility, checkpoint);
contract!(kvs: Kvs => core, directory, snapshots, durability, visibility, checkpoint);
contract!(kvs_small: KvsSmall => core, directory, snapshots, durability, visibility, checkpoint);

/// A new engine that syncs before it acknowledges, and its directory, which lives as long as the first value.
fn fresh<S: Subject>() -> (TempDir, S::Engine) {
    let dir = tempfile::tempdir().unwrap();
    let engine = S::open(dir.path(), SyncPolicy::Always).unwrap();
    (dir, engine)
}

fn open<S: Subject>(dir: &Path) -> S::Engine {
    S::open(dir, SyncPolicy::Always).unwrap()
}

fn put(engine: &dyn Engine, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(key.to_vec(), value.to_vec());
    engine.write(&batch).unwrap();
}

fn get(reader: &dyn Reader, key: &[u8]) -> Option<Vec<u8>> {
    reader.get(key).unwrap().map(|value| value.to_vec())
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn pairs(reader: &dyn Reader, range: &KeyRange, direction: Direction) -> Pairs {
    reader
        .scan(range, direction)
        .map(|pair| {
            let (key, value) = pair.unwrap();
            (key.to_vec(), value.to_vec())
        })
        .collect()
}

fn keys(reader: &dyn Reader, range: &KeyRange, direction: Direction) -> Vec<Bytes> {
    let keys = reader.scan_keys(range, direction);
    keys.map(|key| key.unwrap()).collect()
}

fn all(reader: &dyn Reader) -> Pairs {
    pairs(reader, &KeyRange::all(), Direction::Forward)
}
