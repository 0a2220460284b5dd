//! [`storage::Durability`].

use std::collections::BTreeSet;
use std::sync::Mutex;

use storage::{Batch, Durability, Engine, Error, Reader, Seq, SyncPolicy};

use crate::{Subject, fresh, get, open};

macro_rules! tests {
    ($subject:ty) => {
        $crate::cases!($subject, durability:
            positions_count_batches_in_order,
            what_is_submitted_is_in_the_latest_state_at_once,
            a_commit_acknowledges_everything_applied,
            a_sync_acknowledges_under_every_policy,
            positions_of_concurrent_writers_are_all_different,
            what_is_refused_takes_no_position,
            what_was_committed_is_there_after_a_reopen,
        );
    };
}
pub(crate) use tests;

fn batch(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key.to_owned(), value.to_owned());
    batch
}

pub(crate) fn positions_count_batches_in_order<S: Subject>()
where
    S::Engine: Durability,
{
    let (_dir, engine) = fresh::<S>();
    assert_eq!(engine.applied(), 0);
    assert_eq!(engine.acknowledged(), 0);
    assert_eq!(engine.submit(&batch("a", "1")).unwrap(), 1);
    assert_eq!(engine.submit(&batch("b", "1")).unwrap(), 2);
    engine.write(&batch("c", "1")).unwrap();
    assert_eq!(engine.applied(), 3);
    engine.submit(&Batch::new()).unwrap();
    assert_eq!(engine.applied(), 3, "an empty batch is none");
    assert_eq!(engine.poisoned(), None);
}

pub(crate) fn what_is_submitted_is_in_the_latest_state_at_once<S: Subject>()
where
    S::Engine: Durability,
{
    let (_dir, engine) = fresh::<S>();
    engine.submit(&batch("a", "1")).unwrap();
    assert_eq!(get(engine.latest(), b"a").unwrap(), b"1");
    engine.submit(&batch("a", "2")).unwrap();
    assert_eq!(get(engine.latest(), b"a").unwrap(), b"2");
    engine.submit(Batch::new().delete("a")).unwrap();
    assert_eq!(get(engine.latest(), b"a"), None);
}

pub(crate) fn a_commit_acknowledges_everything_applied<S: Subject>()
where
    S::Engine: Durability,
{
    let (_dir, engine) = fresh::<S>();
    for number in 1..=10 {
        let position = engine.submit(&batch("a", &number.to_string())).unwrap();
        assert!(engine.acknowledged() <= engine.applied());
        if number % 2 == 0 {
            assert!(engine.commit().unwrap() >= position);
            assert!(engine.acknowledged() >= position);
            assert_eq!(get(&engine, b"a").unwrap(), number.to_string().as_bytes());
        }
    }
    assert_eq!(engine.commit().unwrap(), 10, "with nothing new to do");
}

pub(crate) fn a_sync_acknowledges_under_every_policy<S: Subject>()
where
    S::Engine: Durability,
{
    let hour = std::time::Duration::from_secs(3600);
    for policy in [
        SyncPolicy::Always,
        SyncPolicy::Interval(hour),
        SyncPolicy::Never,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let engine = S::open(dir.path(), policy).unwrap();
        let position = engine.submit(&batch("a", "1")).unwrap();
        assert!(engine.sync().unwrap() >= position);
        assert!(engine.acknowledged() >= position);
        assert_eq!(get(&engine, b"a").unwrap(), b"1");
    }
}

pub(crate) fn positions_of_concurrent_writers_are_all_different<S: Subject>()
where
    S::Engine: Durability,
{
    let (_dir, engine) = fresh::<S>();
    let seen = Mutex::new(BTreeSet::<Seq>::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (engine, seen) = (&engine, &seen);
            scope.spawn(move || {
                let mut last = 0;
                for number in 0..20 {
                    let key = format!("{thread}-{number}");
                    let position = engine.submit(&batch(&key, "")).unwrap();
                    assert!(position > last);
                    last = position;
                    assert!(engine.commit().unwrap() >= position);
                    assert!(engine.acknowledged() >= position);
                    assert!(engine.contains(key.as_bytes()).unwrap());
                    assert!(seen.lock().unwrap().insert(position));
                }
            });
        }
    });
    let seen = seen.into_inner().unwrap();
    assert!(seen.into_iter().eq(1..=160));
    assert_eq!(engine.acknowledged(), 160);
}

pub(crate) fn what_is_refused_takes_no_position<S: Subject>()
where
    S::Engine: Durability,
{
    let (_dir, engine) = fresh::<S>();
    let too_long = vec![0; engine.limits().key_bytes + 1];
    let refused = engine.submit(Batch::new().put(too_long, ""));
    assert!(matches!(refused, Err(Error::KeyTooLarge { .. })));
    assert_eq!(engine.applied(), 0);
    assert_eq!(engine.submit(&batch("a", "")).unwrap(), 1);
    assert_eq!(engine.poisoned(), None);
}

pub(crate) fn what_was_committed_is_there_after_a_reopen<S: Subject>()
where
    S::Engine: Durability,
{
    if !S::KEEPS_DATA {
        return eprintln!("skipped: {} keeps nothing", S::KIND);
    }
    let (dir, engine) = fresh::<S>();
    for number in 0..10 {
        engine.submit(&batch(&number.to_string(), "")).unwrap();
    }
    engine.commit().unwrap();
    drop(engine);
    let engine = open::<S>(dir.path());
    for number in 0..10 {
        assert!(engine.contains(number.to_string().as_bytes()).unwrap());
    }
    let before = engine.applied();
    assert_eq!(engine.submit(&batch("a", "")).unwrap(), before + 1);
}
