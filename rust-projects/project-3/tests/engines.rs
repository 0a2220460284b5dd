//! One contract for both engines, as the course uses them.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::path::Path;

use project_3::{KvStore, KvsEngine, KvsError, SledKvsEngine};

macro_rules! for_each_engine {
    ($($test:ident)*) => {
        mod kvs {
            $(#[test] fn $test() { super::$test(|dir| super::KvStore::open(dir).unwrap()); })*
        }
        mod sled {
            $(#[test] fn $test() { super::$test(|dir| super::SledKvsEngine::open(dir).unwrap()); })*
        }
    };
}

for_each_engine! {
    values_are_found_by_the_next_store
    the_last_value_wins
    absent_keys_have_no_value_and_cannot_be_removed
    removed_keys_stay_removed
    empty_and_long_strings_are_values_like_any_other
}

fn text(value: &str) -> String {
    value.to_owned()
}

fn values_are_found_by_the_next_store<E: KvsEngine>(open: impl Fn(&Path) -> E) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.set(text("a"), text("1")).unwrap();
    store.set(text("b"), text("2")).unwrap();
    assert_eq!(store.get(text("a")).unwrap(), Some(text("1")));
    drop(store);
    let mut store = open(directory.path());
    assert_eq!(store.get(text("a")).unwrap(), Some(text("1")));
    assert_eq!(store.get(text("b")).unwrap(), Some(text("2")));
}

fn the_last_value_wins<E: KvsEngine>(open: impl Fn(&Path) -> E) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.set(text("a"), text("1")).unwrap();
    store.set(text("a"), text("2")).unwrap();
    assert_eq!(store.get(text("a")).unwrap(), Some(text("2")));
    drop(store);
    let mut store = open(directory.path());
    assert_eq!(store.get(text("a")).unwrap(), Some(text("2")));
}

fn absent_keys_have_no_value_and_cannot_be_removed<E: KvsEngine>(open: impl Fn(&Path) -> E) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    assert_eq!(store.get(text("a")).unwrap(), None);
    assert!(matches!(
        store.remove(text("a")),
        Err(KvsError::KeyNotFound)
    ));
}

fn removed_keys_stay_removed<E: KvsEngine>(open: impl Fn(&Path) -> E) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.set(text("a"), text("1")).unwrap();
    store.remove(text("a")).unwrap();
    assert_eq!(store.get(text("a")).unwrap(), None);
    drop(store);
    let mut store = open(directory.path());
    assert_eq!(store.get(text("a")).unwrap(), None);
    assert!(matches!(
        store.remove(text("a")),
        Err(KvsError::KeyNotFound)
    ));
}

fn empty_and_long_strings_are_values_like_any_other<E: KvsEngine>(open: impl Fn(&Path) -> E) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.set(text(""), text("")).unwrap();
    let long = "ä".repeat(1 << 20);
    store.set(text("long"), long.clone()).unwrap();
    assert_eq!(store.get(text("")).unwrap(), Some(text("")));
    assert_eq!(store.get(text("long")).unwrap(), Some(long));
}

#[test]
fn a_directory_with_data_of_one_engine_is_refused_to_the_other() {
    let directory = tempfile::tempdir().unwrap();
    drop(SledKvsEngine::open(directory.path()).unwrap());
    let error = KvStore::open(directory.path()).err().unwrap();
    assert!(error.to_string().contains("sled"), "{error}");
}
