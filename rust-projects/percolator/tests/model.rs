//! Random requests, in any order and repeated, against a model that keeps a plain list of what each transaction did.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use percolator::{
    CheckStatus, Column, Columns, Intent, LockKind, Mode, Mutation, Pair, Prewrite, ReadAt,
    Refusal, Timestamp, TxnStatus, batch_get, check_status, collect, commit, decode_key, garbage,
    get, prewrite, resolve_keys, resolve_range, rollback, scan,
};
use proptest::collection::vec;
use proptest::prelude::*;
use storage::{Batch, Direction, Engine, KeyRange, MemoryEngine, Reader};

const KEYS: [&str; 4] = ["a", "aaaaaaaa", "aaaaaaaaa", "b"];
/// Transactions 1, 3, 5 ... have their primaries in turn on all keys, whether they write them or not.
fn primary(txn: u64) -> usize {
    (txn as usize / 2) % KEYS.len()
}
/// Transactions start at odd timestamps and commit at even ones: no transaction begins when another commits.
const TRANSACTIONS: u64 = 8;

#[derive(Clone, Debug)]
enum Request {
    Prewrite {
        txn: u64,
        keys: Vec<(usize, Option<u8>)>,
    },
    Commit {
        txn: u64,
        at: u64,
        keys: BTreeSet<usize>,
    },
    Rollback {
        txn: u64,
        keys: BTreeSet<usize>,
    },
    Resolve {
        txn: u64,
        commit: Option<u64>,
        keys: BTreeSet<usize>,
    },
    Status {
        txn: u64,
        expired: bool,
        force: bool,
    },
}

fn requests() -> impl Strategy<Value = Request> {
    let txn = || (0..TRANSACTIONS).prop_map(|n| 2 * n + 1);
    let even = || (1..TRANSACTIONS + 4).prop_map(|n| 2 * n);
    let key = || 0..KEYS.len();
    let keys = || proptest::collection::btree_set(key(), 1..3);
    let intents = proptest::collection::btree_map(key(), proptest::option::of(any::<u8>()), 1..4);
    prop_oneof![
           3 => (txn(), intents).prop_map(|(txn, keys)| Request::Prewrite { txn, keys: keys.into_iter().collect() }),
           3 => (txn(), even(), keys()).prop_map(|(txn, at, keys)| Request::Commit { txn, at, keys }),
           1 => (txn(), keys()).prop_map(|(txn, keys)| Request::Rollback { txn, keys }),
           1 => (txn(), proptest::option::of(even()), keys())
               .prop_map(|(txn, commit, keys)| Request::Resolve { txn, commit, keys }),
           1 => (txn(), any::<bool>(), any::<bool>()).prop_map(|(txn, expired, force)| Request::Status {
    txn, expired, force }),
       ]
}

/// What happened to a transaction on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Committed(u64, Option<u8>),
    RolledBack,
}

#[derive(Default)]
struct Key {
    /// Who holds it, and what it will be.
    lock: Option<(u64, Option<u8>)>,
    ends: BTreeMap<u64, End>,
}

impl Key {
    fn value(&self, ts: u64) -> Option<u8> {
        let commits = self.ends.values().filter_map(|end| match end {
            End::Committed(at, value) if *at <= ts => Some((*at, *value)),
            _ => None,
        });
        commits
            .max_by_key(|(at, _)| *at)
            .and_then(|(_, value)| value)
    }

    fn latest(&self) -> u64 {
        let places = self.ends.iter().map(|(start, end)| match end {
            End::Committed(at, _) => *at,
            End::RolledBack => *start,
        });
        places.max().unwrap_or(0)
    }

    fn finish(&mut self, txn: u64, end: End) {
        self.lock = None;
        self.ends.insert(txn, end);
    }
}

#[derive(Default)]
struct Model([Key; KEYS.len()]);

impl Model {
    /// Whether the request is granted; changes nothing if not.
    fn prewrite(&mut self, txn: u64, keys: &[(usize, Option<u8>)]) -> bool {
        let mut wanted = Vec::new();
        for &(key, value) in keys {
            let state = &self.0[key];
            match (state.lock, state.ends.get(&txn)) {
                (Some((owner, _)), _) if owner == txn => {}
                (Some(_), _) => return false,
                (None, Some(End::Committed(..))) => {}
                (None, Some(End::RolledBack)) => return false,
                (None, None) if state.latest() > txn => return false,
                (None, None) => wanted.push((key, value)),
            }
        }
        for (key, value) in wanted {
            self.0[key].lock = Some((txn, value));
        }
        true
    }

    fn commit(&mut self, txn: u64, at: u64, keys: &BTreeSet<usize>) -> bool {
        let holds = |key: &usize| match self.0[*key].lock {
            Some((owner, _)) if owner == txn => true,
            _ => matches!(self.0[*key].ends.get(&txn), Some(End::Committed(..))),
        };
        let granted = at > txn && keys.iter().all(holds);
        if granted {
            for key in keys {
                if let Some((owner, value)) = self.0[*key].lock
                    && owner == txn
                {
                    self.0[*key].finish(txn, End::Committed(at, value));
                }
            }
        }
        granted
    }

    fn rollback(&mut self, txn: u64, keys: &BTreeSet<usize>) -> bool {
        let granted = keys
            .iter()
            .all(|key| !matches!(self.0[*key].ends.get(&txn), Some(End::Committed(..))));
        if granted {
            for key in keys {
                let key = &mut self.0[*key];
                let other = key.lock.filter(|(owner, _)| *owner != txn);
                key.finish(txn, End::RolledBack);
                key.lock = other;
            }
        }
        granted
    }

    fn status(&mut self, txn: u64, expired: bool, force: bool) -> Told {
        let state = &mut self.0[primary(txn)];
        match (state.lock, state.ends.get(&txn)) {
            (Some((owner, _)), _) if owner == txn && !expired => Told::Alive,
            (Some((owner, _)), _) if owner == txn => {
                state.finish(txn, End::RolledBack);
                Told::RolledBack
            }
            (_, Some(End::Committed(at, _))) => Told::Committed(*at),
            (_, Some(End::RolledBack)) => Told::RolledBack,
            (_, None) if force => {
                state.ends.insert(txn, End::RolledBack);
                Told::RolledBack
            }
            (_, None) => Told::Refused,
        }
    }
}

/// What the answer to a question for the status says.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Alive,
    Committed(u64),
    RolledBack,
    Refused,
}

fn key(index: usize) -> Bytes {
    Bytes::from_static(KEYS[index].as_bytes())
}

fn keys(indices: &BTreeSet<usize>) -> Vec<Bytes> {
    indices.iter().map(|&index| key(index)).collect()
}

/// Every third value is too long for its record.
fn value(byte: u8) -> Bytes {
    vec![byte; if byte.is_multiple_of(3) { 300 } else { 3 }].into()
}

fn ask(engine: &MemoryEngine, model: &mut Model, request: &Request) {
    let columns = Columns::new(engine);
    let (granted, changes) = match request {
        Request::Prewrite { txn, keys } => {
            let intent = |value: Option<u8>| {
                value.map_or(Intent::Delete, |byte| Intent::Put(self::value(byte)))
            };
            let request = Prewrite {
                mutations: keys
                    .iter()
                    .map(|&(index, value)| Mutation::new(key(index), intent(value)))
                    .collect(),
                primary: key(primary(*txn)),
                start_ts: Timestamp(*txn),
                ttl_ms: 100,
                txn_size: 0,
                min_commit_ts: Timestamp::ZERO,
                for_update_ts: Timestamp::ZERO,
                mode: Mode::TwoPhases,
            };
            let decided = prewrite(columns, &request).ok();
            (
                model.prewrite(*txn, keys),
                decided.map(|decided| decided.changes),
            )
        }
        Request::Commit { txn, at, keys } => {
            // It commits in any order, as a store must that does not have the primary.
            let nothing = KeyRange::half_open("", "");
            let decided = commit(
                columns,
                &self::keys(keys),
                Timestamp(*txn),
                Timestamp(*at),
                &nothing,
            )
            .ok();
            (
                model.commit(*txn, *at, keys),
                decided.map(|decided| decided.changes),
            )
        }
        Request::Rollback { txn, keys } => {
            let decided = rollback(columns, &self::keys(keys), Timestamp(*txn)).ok();
            (
                model.rollback(*txn, keys),
                decided.map(|decided| decided.changes),
            )
        }
        Request::Resolve { txn, commit, keys } => {
            let granted = match commit {
                // Here as in a client, whoever resolves knows a timestamp above the start.
                Some(at) => model.commit(*txn, (*at).max(txn + 1), keys),
                None => model.rollback(*txn, keys),
            };
            let at = commit.map(|at| Timestamp(at.max(txn + 1)));
            let decided = resolve_keys(columns, &self::keys(keys), Timestamp(*txn), at).ok();
            (granted, decided.map(|decided| decided.changes))
        }
        Request::Status {
            txn,
            expired,
            force,
        } => {
            let request = CheckStatus {
                primary: key(primary(*txn)),
                start_ts: Timestamp(*txn),
                caller_start_ts: Timestamp::ZERO,
                now: Timestamp::new(if *expired { 101 } else { 100 }, 0),
                rollback_if_unknown: *force,
                about_pessimistic_lock: false,
                force_two_phases: false,
            };
            let (told, changes) = match check_status(columns, &request) {
                Ok(decided) => (
                    match decided.reply {
                        TxnStatus::Alive { .. } => Told::Alive,
                        TxnStatus::Committed(at) => Told::Committed(at.0),
                        TxnStatus::RolledBack(_) => Told::RolledBack,
                        other => panic!("{other:?} without pessimistic locks"),
                    },
                    decided.changes,
                ),
                Err(_) => (Told::Refused, Batch::new()),
            };
            assert_eq!(told, model.status(*txn, *expired, *force), "{request:?}");
            (true, Some(changes))
        }
    };
    assert_eq!(changes.is_some(), granted, "{request:?}");
    if let Some(changes) = changes {
        engine.write(&changes).unwrap();
    }
}

/// What is read at `ts` is what the model says, by every way to read it.
fn compare(engine: &MemoryEngine, model: &Model, ts: u64) {
    let columns = Columns::new(engine);
    let at = ReadAt::new(Timestamp(ts));
    let mut expected = Vec::new();
    for (index, state) in model.0.iter().enumerate() {
        let blocked = state.lock.filter(|(owner, _)| *owner <= ts);
        let found = get(columns, &key(index), &at);
        if let Some((owner, value)) = blocked {
            let error = found.unwrap_err();
            let Some(Refusal::Locked(locks)) = error.refusal() else {
                panic!("{error}");
            };
            assert_eq!(locks[0].start_ts, Timestamp(owner));
            let kind = value.map_or(LockKind::Delete, |_| LockKind::Put);
            assert_eq!(locks[0].kind, kind);
            expected.push((key(index), Err(Timestamp(owner))));
        } else {
            let value = state.value(ts).map(self::value);
            assert_eq!(found.unwrap(), value, "{} at {ts}", KEYS[index]);
            expected.extend(value.map(|value| (key(index), Ok(value))));
        }
    }
    let short = |pairs: Vec<Pair>| -> Vec<_> {
        let pairs = pairs.into_iter();
        pairs
            .map(|pair| (pair.key, pair.value.map_err(|lock| lock.start_ts)))
            .collect()
    };
    let everything: Vec<_> = (0..KEYS.len()).map(key).collect();
    assert_eq!(
        short(batch_get(columns, &everything, &at).unwrap()),
        expected
    );
    for limit in 0..=KEYS.len() {
        let seen =
            |direction| short(scan(columns, &KeyRange::all(), direction, limit, &at).unwrap());
        let forward: Vec<_> = expected.iter().take(limit).cloned().collect();
        let reverse: Vec<_> = expected.iter().rev().take(limit).cloned().collect();
        assert_eq!(seen(Direction::Forward), forward);
        assert_eq!(seen(Direction::Reverse), reverse);
    }
}

/// Finishes all locks as rolled back.
fn roll_back_all(engine: &MemoryEngine, model: &mut Model) {
    let columns = Columns::new(engine);
    let locked: Vec<_> = model.0.iter().filter_map(|key| key.lock).collect();
    let fates = locked.iter().map(|&(txn, _)| (Timestamp(txn), None));
    let decided = resolve_range(columns, &KeyRange::all(), &fates.collect(), 100).unwrap();
    assert_eq!(decided.reply.locks, locked.len());
    engine.write(&decided.changes).unwrap();
    for key in &mut model.0 {
        if let Some((txn, _)) = key.lock {
            key.finish(txn, End::RolledBack);
        }
    }
}

/// Removes garbage, two keys at a time.
fn collect_all(engine: &MemoryEngine, safe_point: Timestamp) {
    let mut rest = Some(KeyRange::all());
    while let Some(range) = rest {
        let found = garbage(Columns::new(engine), &range, safe_point, 2).unwrap();
        let decided = collect(Columns::new(engine), &found.keys, safe_point).unwrap();
        assert!(decided.reply >= found.keys.len());
        engine.write(&decided.changes).unwrap();
        rest = found.rest;
    }
}

proptest! {
    #[test]
    fn garbage_collection_changes_no_read_at_or_above_the_safe_point_and_leaves_nothing_to_collect(
        requests in vec(requests(), 1..40), safe_point in 0..2 * TRANSACTIONS + 8
    ) {
        let engine = MemoryEngine::new();
        let mut model = Model::default();
        for request in &requests {
            ask(&engine, &mut model, request);
        }
        roll_back_all(&engine, &mut model);
        collect_all(&engine, Timestamp(safe_point));
        for ts in safe_point..2 * TRANSACTIONS + 8 {
            compare(&engine, &model, ts);
        }
        let columns = Columns::new(&engine);
        for (index, state) in model.0.iter().enumerate() {
            let below: Vec<_> = columns.records(&key(index), Timestamp(safe_point)).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(below.len(), usize::from(state.value(safe_point).is_some()), "{:?}", below);
        }
        let values = Column::Default.range(&KeyRange::all());
        for entry in engine.scan(&values, Direction::Forward) {
            let (key, start_ts) = decode_key(Column::Default, &entry.unwrap().0).unwrap();
            let is_used = columns.records(&key, Timestamp::MAX).any(|record| record.unwrap().1.start_ts == start_ts);
            prop_assert!(is_used, "the value of {:?} at {} belongs to no record", key, start_ts);
        }
    }

    #[test]
    fn whatever_is_asked_reads_and_answers_are_those_of_the_model(requests in vec(requests(), 1..40)) {
        let engine = MemoryEngine::new();
        let mut model = Model::default();
        for request in &requests {
            ask(&engine, &mut model, request);
        }
        for ts in 0..2 * TRANSACTIONS + 8 {
            compare(&engine, &model, ts);
        }
    }
}
