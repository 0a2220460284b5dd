//! Under [`storage::SyncPolicy::Always`] no ordinary reader sees what power loss could take back.

use std::sync::atomic::{AtomicBool, Ordering};

use storage::{Batch, Durability, Reader};

use crate::{Subject, fresh};

macro_rules! tests {
    ($subject:ty) => {
        $crate::cases!($subject, visibility:
            what_an_ordinary_reader_sees_is_acknowledged,
            what_ordinary_readers_see_is_acknowledged_while_others_write,
        );
    };
}
pub(crate) use tests;

/// The position of the batch that the value was written by; see `submit`.
fn seen(reader: &dyn Reader) -> u64 {
    let value = reader.get(b"position").unwrap();
    value.map_or(0, |value| u64::from_be_bytes(value[..].try_into().unwrap()))
}

/// Writes the batch's own position.
fn submit(engine: &impl Durability) {
    let position = engine.applied() + 1;
    let mut batch = Batch::new();
    batch.put("position", position.to_be_bytes().to_vec());
    assert_eq!(engine.submit(&batch).unwrap(), position);
}

pub(crate) fn what_an_ordinary_reader_sees_is_acknowledged<S: Subject>()
where
    S::Engine: Durability,
{
    let (_dir, engine) = fresh::<S>();
    for round in 1..=5 {
        submit(&engine);
        submit(&engine);
        assert_eq!(seen(engine.latest()), round * 2);
        assert!(seen(&engine) <= engine.acknowledged());
        engine.commit().unwrap();
        assert_eq!(seen(&engine), round * 2);
    }
}

pub(crate) fn what_ordinary_readers_see_is_acknowledged_while_others_write<S: Subject>()
where
    S::Engine: Durability,
{
    let (_dir, engine) = fresh::<S>();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let seen = seen(&engine);
                    assert!(seen <= engine.acknowledged());
                }
            });
        }
        for _ in 0..100 {
            submit(&engine);
            engine.commit().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}
