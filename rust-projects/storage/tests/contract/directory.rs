//! What engines that own a directory have in common.

use std::fs;

use storage::{
    Batch, Durability, Engine, EngineKind, Error, Identity, KeyRange, Owner, SyncPolicy,
};

use crate::{Subject, all, fresh, get, open, put};

macro_rules! tests {
    ($subject:ty) => {
        $crate::cases!($subject, directory:
            a_reopen_finds_everything_that_was_written,
            a_missing_directory_is_made_with_its_parents,
            the_policy_is_the_one_asked_for,
            the_directory_of_another_engine_is_refused_by_name,
            a_newer_format_is_refused,
            a_second_open_is_refused_while_the_first_lives,
        );
    };
}
pub(crate) use tests;

const POLICIES: [SyncPolicy; 3] = [
    SyncPolicy::Always,
    SyncPolicy::Interval(std::time::Duration::from_millis(20)),
    SyncPolicy::Never,
];

pub(crate) fn a_reopen_finds_everything_that_was_written<S: Subject>() {
    for policy in POLICIES {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        for round in 0..3_u8 {
            let engine = S::open(dir.path(), policy).unwrap();
            assert_eq!(all(&engine), expected, "{policy:?}");
            let mut batch = Batch::new();
            batch.delete_range(KeyRange::prefix(&[round.wrapping_sub(1)]));
            batch
                .put(vec![round], vec![round; 100])
                .put("", vec![round]);
            batch.put("deleted", "").delete("deleted");
            engine.write(&batch).unwrap();
            expected = all(&engine);
            assert_eq!(expected.len(), 2);
        }
    }
}

pub(crate) fn a_missing_directory_is_made_with_its_parents<S: Subject>() {
    let dir = tempfile::tempdir().unwrap();
    let nested = dir.path().join("some/where");
    put(&open::<S>(&nested), b"a", b"1");
    assert_eq!(get(&open::<S>(&nested), b"a").unwrap(), b"1");
}

pub(crate) fn the_policy_is_the_one_asked_for<S: Subject>()
where
    S::Engine: Durability,
{
    for policy in POLICIES {
        let dir = tempfile::tempdir().unwrap();
        let engine = S::open(dir.path(), policy).unwrap();
        assert_eq!(engine.sync_policy(), policy);
    }
}

pub(crate) fn the_directory_of_another_engine_is_refused_by_name<S: Subject>() {
    for other in EngineKind::ALL.into_iter().filter(|kind| *kind != S::KIND) {
        let dir = tempfile::tempdir().unwrap();
        let identity = format!("keyproof {other} 1\n");
        fs::write(dir.path().join("KEYPROOF"), &identity).unwrap();
        let error = S::open(dir.path(), SyncPolicy::Always).err().unwrap();
        assert!(matches!(error, Error::WrongEngine { found, wanted, .. }
            if found == other && wanted == S::KIND));
        assert!(error.to_string().contains(&format!("`{other}`")));
        let kept = fs::read_to_string(dir.path().join("KEYPROOF")).unwrap();
        assert_eq!(kept, identity);
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("KEYPROOF"), "keyproof raft-log 1\n").unwrap();
    let error = S::open(dir.path(), SyncPolicy::Always).err().unwrap();
    assert!(matches!(error, Error::NoEngine { found, .. } if found == Owner::RaftLog));
}

pub(crate) fn a_newer_format_is_refused<S: Subject>() {
    let (dir, engine) = fresh::<S>();
    put(&engine, b"a", b"1");
    drop(engine);
    let files = storage::file::RealFs;
    let identity = Identity::read(&files, dir.path()).unwrap().unwrap();
    assert_eq!(identity.owner, Owner::Engine(S::KIND));
    let path = dir.path().join("KEYPROOF");
    let own = fs::read(&path).unwrap();
    let newer = identity.format + 1;
    fs::write(&path, format!("keyproof {} {newer}\n", S::KIND)).unwrap();
    let error = S::open(dir.path(), SyncPolicy::Always).err().unwrap();
    assert!(matches!(error, Error::NewerFormat { found, .. } if found == newer));
    // Nothing was touched: with its own format the data is there.
    fs::write(&path, own).unwrap();
    assert_eq!(get(&open::<S>(dir.path()), b"a").unwrap(), b"1");
}

pub(crate) fn a_second_open_is_refused_while_the_first_lives<S: Subject>() {
    let (dir, engine) = fresh::<S>();
    put(&engine, b"a", b"1");
    let second = S::open(dir.path(), SyncPolicy::Always);
    assert!(matches!(second.err().unwrap(), Error::Locked { .. }));
    put(&engine, b"b", b"2");
    drop(engine);
    assert_eq!(all(&open::<S>(dir.path())).len(), 2);
}
