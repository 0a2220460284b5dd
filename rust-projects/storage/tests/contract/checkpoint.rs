//! [`storage::Checkpoint`].

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use storage::{Batch, Checkpoint, Engine, KeyRange, SyncPolicy};

use crate::{Subject, all, fresh, get, open, put};

macro_rules! tests {
    ($subject:ty) => {
        $crate::cases!($subject, checkpoint:
            a_checkpoint_opens_with_everything_written_before_it,
            a_checkpoint_and_its_engine_go_their_own_ways,
            a_directory_with_something_in_it_is_left_alone,
            a_checkpoint_taken_while_writing_is_whole,
        );
    };
}
pub(crate) use tests;

pub(crate) fn a_checkpoint_opens_with_everything_written_before_it<S: Subject>()
where
    S::Engine: Checkpoint,
{
    let (_dir, engine) = fresh::<S>();
    let mut batch = Batch::new();
    for number in 0..3000_u32 {
        batch.put(number.to_be_bytes().to_vec(), vec![number as u8; 1000]);
    }
    batch.put("", "").put("deleted", "");
    engine.write(&batch).unwrap();
    engine.write(Batch::new().delete("deleted")).unwrap();
    let target = tempfile::tempdir().unwrap();
    for name in ["not/yet/there", "empty"] {
        let copy = target.path().join(name);
        if name == "empty" {
            fs::create_dir(&copy).unwrap();
        }
        engine.checkpoint(&copy).unwrap();
        let copied = S::open(&copy, SyncPolicy::Always).unwrap();
        assert!(all(&copied) == all(&engine), "{name}");
    }
}

pub(crate) fn a_checkpoint_and_its_engine_go_their_own_ways<S: Subject>()
where
    S::Engine: Checkpoint,
{
    let (dir, engine) = fresh::<S>();
    put(&engine, b"a", b"1");
    let target = tempfile::tempdir().unwrap();
    engine.checkpoint(target.path()).unwrap();
    let copy = open::<S>(target.path());
    put(&engine, b"a", b"engine");
    put(&copy, b"a", b"copy");
    copy.write(Batch::new().delete_range(KeyRange::all()))
        .unwrap();
    put(&copy, b"b", b"copy");
    drop((engine, copy));
    let (engine, copy) = (open::<S>(dir.path()), open::<S>(target.path()));
    assert_eq!(get(&engine, b"a").unwrap(), b"engine");
    assert_eq!(get(&engine, b"b"), None);
    assert_eq!(all(&copy), [(b"b".to_vec(), b"copy".to_vec())]);
}

pub(crate) fn a_directory_with_something_in_it_is_left_alone<S: Subject>()
where
    S::Engine: Checkpoint,
{
    let (dir, engine) = fresh::<S>();
    put(&engine, b"a", b"1");
    let target = tempfile::tempdir().unwrap();
    fs::write(target.path().join("photo"), "").unwrap();
    assert!(engine.checkpoint(target.path()).is_err());
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 1);
    let target = tempfile::tempdir().unwrap();
    fs::create_dir(target.path().join("photos")).unwrap();
    assert!(engine.checkpoint(target.path()).is_err());
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 1);
    assert!(engine.checkpoint(dir.path()).is_err());
    put(&engine, b"b", b"2");
    assert_eq!(all(&engine).len(), 2);
}

pub(crate) fn a_checkpoint_taken_while_writing_is_whole<S: Subject>()
where
    S::Engine: Checkpoint,
{
    let (_dir, engine) = fresh::<S>();
    let (done, written) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut number = 0_u32;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                let value = number.to_be_bytes().to_vec();
                let mut batch = Batch::new();
                batch.put("left", value.clone());
                batch.put(value.clone(), vec![0; 100]);
                batch.put("right", value);
                engine.write(&batch).unwrap();
                written.store(number, Ordering::Release);
            }
            number
        });
        while written.load(Ordering::Acquire) == 0 && !writer.is_finished() {
            std::thread::yield_now();
        }
        let copies: Vec<_> = (0..3)
            .map(|_| {
                let target = tempfile::tempdir().unwrap();
                let before = written.load(Ordering::Acquire);
                engine.checkpoint(target.path()).unwrap();
                (target, before)
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        let last = writer.join().unwrap();
        for (target, before) in copies {
            let copy = open::<S>(target.path());
            let value = get(&copy, b"left").unwrap();
            assert_eq!(get(&copy, b"right").unwrap(), value);
            let number = u32::from_be_bytes(value[..].try_into().unwrap());
            assert!((before..=last).contains(&number));
            // Every batch up to the last one copied, and none after it.
            assert_eq!(all(&copy).len(), number as usize + 2);
        }
    });
}
