//! What every capability's file uses. A test program of another crate takes in this file, `subject.rs` and those of the
//! capabilities that its engine claims, by their paths and under the same names.

use std::path::Path;

use bytes::Bytes;
use storage::{Batch, Direction, Engine, KeyRange, Reader, SyncPolicy};
use tempfile::TempDir;

use crate::Subject;

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
pub(crate) use contract;

/// A new engine that syncs before it acknowledges, and its directory, which lives as long as the first value.
pub(crate) fn fresh<S: Subject>() -> (TempDir, S::Engine) {
    let dir = tempfile::tempdir().unwrap();
    let engine = S::open(dir.path(), SyncPolicy::Always).unwrap();
    (dir, engine)
}

pub(crate) fn open<S: Subject>(dir: &Path) -> S::Engine {
    S::open(dir, SyncPolicy::Always).unwrap()
}

pub(crate) fn put(engine: &dyn Engine, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(key.to_vec(), value.to_vec());
    engine.write(&batch).unwrap();
}

pub(crate) fn get(reader: &dyn Reader, key: &[u8]) -> Option<Vec<u8>> {
    reader.get(key).unwrap().map(|value| value.to_vec())
}

pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) fn pairs(reader: &dyn Reader, range: &KeyRange, direction: Direction) -> Pairs {
    reader
        .scan(range, direction)
        .map(|pair| {
            let (key, value) = pair.unwrap();
            (key.to_vec(), value.to_vec())
        })
        .collect()
}

pub(crate) fn keys(reader: &dyn Reader, range: &KeyRange, direction: Direction) -> Vec<Bytes> {
    let keys = reader.scan_keys(range, direction);
    keys.map(|key| key.unwrap()).collect()
}

pub(crate) fn all(reader: &dyn Reader) -> Pairs {
    pairs(reader, &KeyRange::all(), Direction::Forward)
}
