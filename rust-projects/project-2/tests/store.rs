//! The store, as the course uses it.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::path::Path;
use std::time::{Duration, Instant};

use project_2::{KvStore, KvsError, Options};
use storage::SyncPolicy;
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn text(value: &str) -> String {
    value.to_owned()
}

#[test]
fn a_value_is_found_by_the_store_that_set_it_and_by_the_next_one() {
    let directory = directory();
    let mut store = KvStore::open(directory.path()).unwrap();
    store.set(text("a"), text("1")).unwrap();
    store.set(text("b"), text("2")).unwrap();
    assert_eq!(store.get(text("a")).unwrap(), Some(text("1")));

    drop(store);
    let store = KvStore::open(directory.path()).unwrap();
    assert_eq!(store.get(text("a")).unwrap(), Some(text("1")));
    assert_eq!(store.get(text("b")).unwrap(), Some(text("2")));
}

#[test]
fn setting_a_key_again_replaces_its_value_also_for_the_next_store() {
    let directory = directory();
    let mut store = KvStore::open(directory.path()).unwrap();
    store.set(text("a"), text("1")).unwrap();
    store.set(text("a"), text("2")).unwrap();
    assert_eq!(store.get(text("a")).unwrap(), Some(text("2")));

    drop(store);
    let mut store = KvStore::open(directory.path()).unwrap();
    assert_eq!(store.get(text("a")).unwrap(), Some(text("2")));
    store.set(text("a"), text("3")).unwrap();
    assert_eq!(store.get(text("a")).unwrap(), Some(text("3")));
}

#[test]
fn a_key_that_was_never_set_has_no_value() {
    let directory = directory();
    let mut store = KvStore::open(directory.path()).unwrap();
    store.set(text("a"), text("1")).unwrap();
    assert_eq!(store.get(text("b")).unwrap(), None);
    drop(store);
    let store = KvStore::open(directory.path()).unwrap();
    assert_eq!(store.get(text("b")).unwrap(), None);
}

#[test]
fn removing_an_absent_key_is_an_error_that_says_so() {
    let directory = directory();
    let mut store = KvStore::open(directory.path()).unwrap();
    let error = store.remove(text("a")).unwrap_err();
    assert!(matches!(error, KvsError::KeyNotFound));
    assert_eq!(error.to_string(), "Key not found");
}

#[test]
fn a_removed_key_stays_removed_in_the_next_store() {
    let directory = directory();
    let mut store = KvStore::open(directory.path()).unwrap();
    store.set(text("a"), text("1")).unwrap();
    store.remove(text("a")).unwrap();
    assert_eq!(store.get(text("a")).unwrap(), None);
    assert!(matches!(
        store.remove(text("a")),
        Err(KvsError::KeyNotFound)
    ));

    drop(store);
    let store = KvStore::open(directory.path()).unwrap();
    assert_eq!(store.get(text("a")).unwrap(), None);
}

#[test]
fn a_second_store_on_the_same_directory_is_refused_until_the_first_is_closed() {
    let directory = directory();
    let first = KvStore::open(directory.path()).unwrap();
    let error = KvStore::open(directory.path()).err().unwrap();
    assert!(error.to_string().contains("in use"), "{error}");
    drop(first);
    assert!(KvStore::open(directory.path()).is_ok());
}

#[test]
fn writing_the_same_keys_over_and_over_shrinks_the_directory_at_some_point() {
    let directory = directory();
    let options = Options {
        segment_bytes: 64 << 10,
        ..Options::small().with_sync(SyncPolicy::Never)
    };
    let mut store = KvStore::open_with(directory.path(), options.clone()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut largest = 0;
    let mut round = 0;
    loop {
        round += 1;
        for key in 0..1000 {
            store.set(format!("key{key}"), round.to_string()).unwrap();
        }
        let size = size_bytes(directory.path());
        if size < largest {
            break;
        }
        largest = size;
        assert!(
            Instant::now() < deadline,
            "after {round} rounds the directory has {size} bytes and never shrank"
        );
    }

    let all_right = |store: &KvStore| {
        for key in 0..1000 {
            let value = store.get(format!("key{key}")).unwrap();
            assert_eq!(value, Some(round.to_string()), "key{key}");
        }
    };
    all_right(&store);
    drop(store);
    all_right(&KvStore::open_with(directory.path(), options).unwrap());
}

/// Bytes of all files. A file that compaction unlinks meanwhile counts nothing.
fn size_bytes(directory: &Path) -> u64 {
    directory
        .read_dir()
        .unwrap()
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}
