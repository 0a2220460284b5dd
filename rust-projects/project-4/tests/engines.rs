//! One contract for both engines under many threads, as the course uses them.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;

use project_4::{KvStore, KvsEngine, KvsError, SledKvsEngine};

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
    what_a_thousand_threads_set_at_once_is_all_there
    what_many_threads_read_at_once_is_right
    of_many_removals_at_once_exactly_one_succeeds
    clones_are_handles_to_one_store
    errors_are_those_of_milestone_3
}

fn text(value: &str) -> String {
    value.to_owned()
}

fn what_a_thousand_threads_set_at_once_is_all_there<E: KvsEngine>(open: impl Fn(&Path) -> E) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let start = Arc::new(Barrier::new(1000));
    let threads: Vec<_> = (0..1000)
        .map(|i| {
            let (store, start) = (store.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                store.set(format!("key{i}"), format!("value{i}")).unwrap();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let all_there = |store: &E| {
        for i in 0..1000 {
            let value = store.get(format!("key{i}")).unwrap();
            assert_eq!(value, Some(format!("value{i}")));
        }
    };
    all_there(&store);
    drop(store);
    all_there(&open(directory.path()));
}

fn what_many_threads_read_at_once_is_right<E: KvsEngine>(open: impl Fn(&Path) -> E) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for i in 0..100 {
        store.set(format!("key{i}"), format!("value{i}")).unwrap();
    }
    let threads: Vec<_> = (0..100)
        .map(|reader| {
            let store = store.clone();
            thread::spawn(move || {
                for i in 0..100 {
                    let i = (i + reader) % 100;
                    let value = store.get(format!("key{i}")).unwrap();
                    assert_eq!(value, Some(format!("value{i}")));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn of_many_removals_at_once_exactly_one_succeeds<E: KvsEngine>(open: impl Fn(&Path) -> E) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for _ in 0..20 {
        store.set(text("a"), text("1")).unwrap();
        let start = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (store, start) = (store.clone(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    store.remove(text("a"))
                })
            })
            .collect();
        let removed = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .filter(Result::is_ok)
            .count();
        assert_eq!(removed, 1);
    }
}

fn clones_are_handles_to_one_store<E: KvsEngine>(open: impl Fn(&Path) -> E) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let other = store.clone();
    store.set(text("a"), text("1")).unwrap();
    assert_eq!(other.get(text("a")).unwrap(), Some(text("1")));
    drop(store);
    assert_eq!(other.get(text("a")).unwrap(), Some(text("1")));
}

fn errors_are_those_of_milestone_3<E: KvsEngine>(open: impl Fn(&Path) -> E) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert_eq!(store.get(text("a")).unwrap(), None);
    assert!(matches!(
        store.remove(text("a")),
        Err(KvsError::KeyNotFound)
    ));
    store.set(text("a"), text("1")).unwrap();
    store.remove(text("a")).unwrap();
    assert!(matches!(
        store.remove(text("a")),
        Err(KvsError::KeyNotFound)
    ));
}
