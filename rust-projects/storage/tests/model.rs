//! The model test: whatever is done to an engine, it answers as an ordered map does. Reads of every kind, batches with
//! range deletions, snapshots held across later writes, submits ahead of the disk, and reopens.

// The lint's exception for tests covers functions with `#[test]` only.
#![allow(clippy::unwrap_used)]

#[path = "contract/engines.rs"]
mod engines;
#[path = "contract/subject.rs"]
mod subject;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use storage::{Batch, Direction, Durability, Engine, KeyRange, Op, Reader, Snapshots, SyncPolicy};

use engines::{Fjall, Kvs, KvsSmall, Memory, Sled};
use subject::Subject;

type Map = BTreeMap<Bytes, Bytes>;
type Snapshot = Box<dyn Reader + Send + Sync>;

/// One step of a run.
#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Op>),
    /// Applied without waiting for the disk.
    Submit(Vec<Op>),
    Commit,
    Sync,
    Get(Bytes),
    MultiGet(Vec<Bytes>),
    Scan(KeyRange, Direction),
    /// Takes a snapshot, where the engine has them.
    Snapshot,
    /// Reads the oldest snapshot and drops it.
    CheckSnapshot(KeyRange, Direction),
    Reopen,
}

/// Short keys of few different bytes, so that keys meet, and the extremes of a byte among them.
fn key() -> impl Strategy<Value = Bytes> {
    vec(prop::sample::select(vec![0, b'a', b'b', 0xff]), 0..4).prop_map(Bytes::from)
}

fn range() -> impl Strategy<Value = KeyRange> {
    let bound = || {
        prop_oneof![
            3 => key().prop_map(Bound::Included),
            3 => key().prop_map(Bound::Excluded),
            1 => Just(Bound::Unbounded),
        ]
    };
    prop_oneof![
        3 => (bound(), bound()).prop_map(|(start, end)| KeyRange { start, end }),
        1 => key().prop_map(|prefix| KeyRange::prefix(&prefix)),
    ]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop::sample::select(vec![Direction::Forward, Direction::Reverse])
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Some values are long, so that files are cut where short ones would not cut them.
    let value = prop_oneof![
        4 => vec(any::<u8>(), 0..8),
        1 => (any::<u8>(), 0..5000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    let op = prop_oneof![
        8 => (key(), value).prop_map(|(key, value)| Op::Put { key, value: value.into() }),
        2 => key().prop_map(|key| Op::Delete { key }),
        1 => range().prop_map(|range| Op::DeleteRange { range }),
    ];
    vec(op, 0..8)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => ops().prop_map(Step::Write),
        3 => ops().prop_map(Step::Submit),
        1 => Just(Step::Commit),
        1 => Just(Step::Sync),
        2 => key().prop_map(Step::Get),
        2 => vec(key(), 0..5).prop_map(Step::MultiGet),
        6 => (range(), direction()).prop_map(|(range, way)| Step::Scan(range, way)),
        2 => Just(Step::Snapshot),
        2 => (range(), direction()).prop_map(|(range, way)| Step::CheckSnapshot(range, way)),
        1 => Just(Step::Reopen),
    ]
}

fn policy() -> impl Strategy<Value = SyncPolicy> {
    let interval = SyncPolicy::Interval(Duration::from_millis(5));
    prop::sample::select(vec![SyncPolicy::Always, interval, SyncPolicy::Never])
}

fn apply(map: &mut Map, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Put { key, value } => {
                map.insert(key.clone(), value.clone());
            }
            Op::Delete { key } => {
                map.remove(key);
            }
            Op::DeleteRange { range } => map.retain(|key, _| !range.contains(key)),
        }
    }
}

/// Compares what `reader` has in `range` with the model.
fn check(reader: &dyn Reader, model: &Map, range: &KeyRange, direction: Direction) {
    let held = |(key, _): &(&Bytes, &Bytes)| range.contains(key);
    let mut expected: Vec<_> = model.iter().filter(held).collect();
    if direction == Direction::Reverse {
        expected.reverse();
    }
    let found: Vec<_> = reader.scan(range, direction).map(Result::unwrap).collect();
    assert!(
        found
            .iter()
            .map(|(k, v)| (k, v))
            .eq(expected.iter().copied()),
        "{range:?} {direction:?}: {found:?} instead of {expected:?}"
    );
    let keys = reader.scan_keys(range, direction).map(Result::unwrap);
    assert!(keys.eq(expected.iter().map(|(key, _)| (*key).clone())));
}

/// An engine, its model, and snapshots of both.
struct Run<S: Subject> {
    engine: Option<S::Engine>,
    model: Map,
    snapshots: Vec<(Snapshot, Map)>,
    snapshot: fn(&S::Engine) -> Option<Snapshot>,
    policy: SyncPolicy,
    dir: tempfile::TempDir,
}

impl<S: Subject> Run<S>
where
    S::Engine: Durability,
{
    fn engine(&self) -> &S::Engine {
        self.engine.as_ref().unwrap()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(ops) => {
                apply(&mut self.model, &ops);
                let batch: Batch = ops.into_iter().collect();
                self.engine().write(&batch).unwrap();
            }
            Step::Submit(ops) => {
                apply(&mut self.model, &ops);
                let batch: Batch = ops.into_iter().collect();
                self.engine().submit(&batch).unwrap();
                let all = KeyRange::all();
                check(
                    self.engine().latest(),
                    &self.model,
                    &all,
                    Direction::Forward,
                );
            }
            Step::Commit => {
                let reached = self.engine().commit().unwrap();
                assert_eq!(reached, self.engine().applied());
            }
            Step::Sync => assert_eq!(self.engine().sync().unwrap(), self.engine().applied()),
            Step::Reopen if S::KEEPS_DATA => self.reopen(),
            Step::Reopen => {}
            Step::CheckSnapshot(range, direction) if !self.snapshots.is_empty() => {
                let (snapshot, model) = self.snapshots.remove(0);
                check(&*snapshot, &model, &range, direction);
            }
            Step::CheckSnapshot(..) => {}
            reading => {
                // Ordinary readers see what is committed.
                self.engine().commit().unwrap();
                self.read(reading);
            }
        }
    }

    fn read(&mut self, step: Step) {
        let (engine, model) = (self.engine.as_ref().unwrap(), &self.model);
        match step {
            Step::Get(key) => assert_eq!(engine.get(&key).unwrap().as_ref(), model.get(&key)),
            Step::MultiGet(keys) => {
                let expected: Vec<_> = keys.iter().map(|key| model.get(key).cloned()).collect();
                let keys: Vec<_> = keys.iter().map(|key| &key[..]).collect();
                assert_eq!(engine.multi_get(&keys).unwrap(), expected);
            }
            Step::Scan(range, direction) => check(engine, model, &range, direction),
            Step::Snapshot => {
                let snapshot = (self.snapshot)(engine);
                self.snapshots.extend(snapshot.map(|s| (s, model.clone())));
            }
            other => unreachable!("{other:?} is no reading step"),
        }
    }

    fn reopen(&mut self) {
        // A snapshot may hold the directory.
        self.check_snapshots();
        drop(self.engine.take());
        self.engine = Some(S::open(self.dir.path(), self.policy).unwrap());
        assert_eq!(self.engine().kind(), S::KIND);
        self.check_all();
    }

    fn check_snapshots(&mut self) {
        for (snapshot, model) in self.snapshots.drain(..) {
            check(&*snapshot, &model, &KeyRange::all(), Direction::Reverse);
        }
    }

    fn check_all(&self) {
        let all = KeyRange::all();
        check(self.engine(), &self.model, &all, Direction::Forward);
    }
}

fn run<S: Subject>(
    policy: SyncPolicy,
    steps: Vec<Step>,
    snapshot: fn(&S::Engine) -> Option<Snapshot>,
) where
    S::Engine: Durability,
{
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::<S> {
        engine: Some(S::open(dir.path(), policy).unwrap()),
        model: Map::new(),
        snapshots: Vec::new(),
        snapshot,
        policy,
        dir,
    };
    for step in steps {
        run.step(step);
    }
    run.engine().commit().unwrap();
    run.check_all();
    run.check_snapshots();
    if S::KEEPS_DATA {
        run.reopen();
    }
}

fn with_snapshots<E: Snapshots>(engine: &E) -> Option<Snapshot> {
    Some(engine.snapshot().unwrap())
}

fn without_snapshots<E>(_engine: &E) -> Option<Snapshot> {
    None
}

macro_rules! model {
    ($engine:ident: $subject:ty, $cases:literal, $snapshot:ident) => {
        mod $engine {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig {
                    cases: $cases,
                    failure_persistence: None,
                    ..ProptestConfig::default()
                })]

                #[test]
                fn the_engine_answers_as_an_ordered_map_does(
                    policy in policy(),
                    steps in vec(step(), 1..60),
                ) {
                    run::<$subject>(policy, steps, $snapshot);
                }
            }
        }
    };
}

model!(memory: Memory, 128, with_snapshots);
model!(sled: Sled, 16, without_snapshots);
model!(fjall: Fjall, 16, with_snapshots);
model!(kvs: Kvs, 12, with_snapshots);
model!(kvs_small: KvsSmall, 32, with_snapshots);
