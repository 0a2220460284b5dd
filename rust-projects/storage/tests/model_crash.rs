//! The model test on a disk that fails: batches, submits and compaction between clean reopens, killed processes, power cuts
//! and failed syncs, in any order. After each, the log engine holds the state after some batch that was tried, and none
//! before the last one it had promised to keep.

// The lint's exception for tests covers functions with `#[test]` only.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use storage::file::fault::{CrashMode, Fault, FaultFs, Operation, Tearing};
use storage::kvs::{LogEngine, Options};
use storage::{Batch, Direction, Durability, Engine, Error, KeyRange, Op, Reader, SyncPolicy};

type Map = BTreeMap<Bytes, Bytes>;

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Op>),
    Submit(Vec<Op>),
    Sync,
    /// Compaction and what else is due.
    Maintain,
    Reopen,
    /// The process dies, the page cache stays.
    Kill,
    PowerCut(CrashMode, Tearing),
    /// The next sync fails during the write of these, then power is cut.
    FailedSync(Vec<Op>, Fault, CrashMode),
}

fn key() -> impl Strategy<Value = Bytes> {
    (0..12_u8).prop_map(|number| Bytes::from(vec![b'k', number]))
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let value = (any::<u8>(), 0..700_usize).prop_map(|(byte, len)| Bytes::from(vec![byte; len]));
    let op = prop_oneof![
        6 => (key(), value).prop_map(|(key, value)| Op::Put { key, value }),
        2 => key().prop_map(|key| Op::Delete { key }),
        1 => (key(), key()).prop_map(|(start, end)| Op::DeleteRange {
            range: KeyRange::half_open(start, end),
        }),
    ];
    vec(op, 1..5)
}

fn crash_mode() -> impl Strategy<Value = CrashMode> {
    prop_oneof![
        1 => Just(CrashMode::LoseAll),
        1 => Just(CrashMode::KeepAll),
        6 => any::<u64>().prop_map(CrashMode::Random),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let tearing = prop::sample::select(vec![Tearing::Page, Tearing::Sector, Tearing::Byte]);
    let fault = prop::sample::select(vec![Fault::Io, Fault::IoLosingData]);
    prop_oneof![
        12 => ops().prop_map(Step::Write),
        6 => ops().prop_map(Step::Submit),
        2 => Just(Step::Sync),
        3 => Just(Step::Maintain),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        2 => (crash_mode(), tearing).prop_map(|(mode, tearing)| Step::PowerCut(mode, tearing)),
        1 => (ops(), fault, crash_mode()).prop_map(|(ops, fault, mode)| Step::FailedSync(ops, fault, mode)),
    ]
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

fn content(reader: &dyn Reader) -> Map {
    let pairs = reader.scan(&KeyRange::all(), Direction::Forward);
    pairs.map(Result::unwrap).collect()
}

fn open(disk: &FaultFs, policy: SyncPolicy) -> LogEngine {
    let options = Options {
        sync: policy,
        segment_bytes: 4096,
        reserve_bytes: 4096,
        garbage_percent: 20,
        background: false,
        cache_bytes: 16 << 10,
        files: Arc::new(disk.clone()),
        entropy: 1,
        ..Options::default()
    };
    LogEngine::open(Path::new("/data"), options).unwrap()
}

struct Run {
    disk: FaultFs,
    engine: Option<LogEngine>,
    policy: SyncPolicy,
    /// The state after each batch tried; those that turned out lost are removed.
    states: Vec<Map>,
    /// The engine's position at the last open and the index of its state then.
    opened_at: (u64, usize),
    /// Index of the last state that no power cut may take.
    durable: usize,
}

impl Run {
    fn new(policy: SyncPolicy) -> Self {
        let disk = FaultFs::new();
        Self {
            engine: Some(open(&disk, policy)),
            disk,
            policy,
            states: vec![Map::new()],
            opened_at: (0, 0),
            durable: 0,
        }
    }

    fn engine(&self) -> &LogEngine {
        self.engine.as_ref().unwrap()
    }

    fn try_batch(&mut self, ops: Vec<Op>) -> Batch {
        let mut state = self.states.last().unwrap().clone();
        apply(&mut state, &ops);
        self.states.push(state);
        ops.into_iter().collect()
    }

    /// A batch that changes nothing, such as the deletion of what is not there, needs no position.
    fn forget_without_effect(&mut self) {
        let applied = self.index(self.engine().applied());
        if applied + 1 < self.states.len() {
            let state = self.states.pop();
            assert_eq!(state.as_ref(), self.states.last());
        }
        assert_eq!(applied + 1, self.states.len());
    }

    fn index(&self, position: u64) -> usize {
        let (opened, index) = self.opened_at;
        index + (position - opened) as usize
    }

    fn acknowledged(&self) -> usize {
        self.index(self.engine().acknowledged())
    }

    /// Index of the last state that must be there when power is cut now.
    fn promised(&self) -> usize {
        match self.policy {
            SyncPolicy::Always => self.acknowledged().max(self.durable),
            _ => self.durable,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(ops) => {
                let batch = self.try_batch(ops);
                self.engine().write(&batch).unwrap();
                self.forget_without_effect();
                assert_eq!(content(self.engine()), *self.states.last().unwrap());
            }
            Step::Submit(ops) => {
                let batch = self.try_batch(ops);
                self.engine().submit(&batch).unwrap();
                self.forget_without_effect();
                let latest = content(self.engine().latest());
                assert_eq!(latest, *self.states.last().unwrap());
                // Ordinary readers are at the acknowledged state.
                let seen = content(self.engine());
                assert_eq!(seen, self.states[self.acknowledged()]);
            }
            Step::Sync => self.durable = self.index(self.engine().sync().unwrap()),
            Step::Maintain => self.engine().maintain().unwrap(),
            Step::Reopen => {
                self.engine.take().unwrap().close().unwrap();
                self.durable = self.states.len() - 1;
                self.restart(self.disk.fork(), self.durable);
            }
            Step::Kill => {
                let acknowledged = self.acknowledged();
                self.restart(self.disk.fork(), acknowledged);
            }
            Step::PowerCut(mode, tearing) => self.cut_power(mode, tearing),
            Step::FailedSync(ops, fault, mode) => self.fail_sync(ops, fault, mode),
        }
    }

    fn cut_power(&mut self, mode: CrashMode, tearing: Tearing) {
        let promised = self.promised();
        self.restart(self.disk.crash_torn(mode, tearing), promised);
        // What is left is on the disk.
        self.durable = self.states.len() - 1;
    }

    fn fail_sync(&mut self, ops: Vec<Op>, fault: Fault, mode: CrashMode) {
        let is_sync = |operation: &Operation| matches!(operation, Operation::SyncData { .. });
        self.disk.fail_nth(1, fault, is_sync);
        let before = self.engine().applied();
        let batch = self.try_batch(ops);
        let Err(error) = self.engine().write(&batch) else {
            // The policy asked for none.
            self.forget_without_effect();
            return self.disk.clear_faults();
        };
        // A sync that fails while a new segment is made comes before anything is applied.
        if self.engine().poisoned().is_none() {
            assert_eq!(self.engine().applied(), before, "{error} did not poison");
        } else {
            let syncs = self.disk.count(is_sync);
            let again = self.engine().write(&batch);
            assert!(matches!(again, Err(Error::Poisoned { .. })));
            assert!(self.engine().sync().is_err());
            let repeated = self.disk.count(is_sync) - syncs;
            assert_eq!(repeated, 0, "a failed sync is never repeated");
        }
        self.cut_power(mode, Tearing::Page);
    }

    /// Goes on with `disk`, which must hold the state of index `least` or a later one.
    fn restart(&mut self, disk: FaultFs, least: usize) {
        drop(self.engine.take());
        self.disk = disk;
        let engine = open(&self.disk, self.policy);
        let found = content(&engine);
        // The last of equal states: the run goes on from it either way.
        let index = (least..self.states.len()).rfind(|&at| self.states[at] == found);
        let index = index.unwrap_or_else(|| {
            let any = self.states.iter().rposition(|state| *state == found);
            panic!("promised state {least}, found {any:?}: {found:?}")
        });
        self.states.truncate(index + 1);
        self.durable = self.durable.min(index);
        self.opened_at = (engine.applied(), index);
        assert_eq!(engine.acknowledged(), engine.applied());
        self.engine = Some(engine);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_was_promised_survives_kills_power_cuts_and_failed_syncs(
        policy in prop::sample::select(vec![SyncPolicy::Always, SyncPolicy::Never]),
        steps in vec(step(), 1..80),
    ) {
        let mut run = Run::new(policy);
        for step in steps {
            run.step(step);
        }
        run.step(Step::PowerCut(CrashMode::LoseAll, Tearing::Page));
    }
}
