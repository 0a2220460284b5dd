//! Any batches between reopens, killed processes, power cuts and failed syncs: afterwards the log holds the state after
//! some batch that was tried, and none before the last one that was synced.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use raft_log::{Error, RaftLog};
use storage::file::fault::{CrashMode, Fault, FaultFs, Operation, Tearing};
use support::{Model, Pick, content, open};

#[derive(Debug, Clone)]
enum Step {
    Batch(Vec<Pick>),
    Sync,
    Reclaim,
    Close,
    /// The process dies, the page cache stays.
    Kill,
    PowerCut(CrashMode, Tearing),
    /// The next sync fails, then power is cut.
    FailedSync(Fault, CrashMode),
}

fn pick() -> impl Strategy<Value = Pick> {
    (0..4_u64, 0..Pick::KINDS, 0..1000_u64, 0..200_usize).prop_map(|(group, kind, a, len)| Pick {
        group,
        kind,
        a,
        len,
    })
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
        16 => vec(pick(), 1..4).prop_map(Step::Batch),
        4 => Just(Step::Sync),
        2 => Just(Step::Reclaim),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        2 => (crash_mode(), tearing).prop_map(|(mode, tearing)| Step::PowerCut(mode, tearing)),
        1 => (fault, crash_mode()).prop_map(|(fault, mode)| Step::FailedSync(fault, mode)),
    ]
}

struct Run {
    disk: FaultFs,
    log: Option<RaftLog>,
    /// The model after each batch tried; those that turned out lost are removed.
    states: Vec<Model>,
    /// Index of the last state that no power cut may take.
    durable: usize,
}

impl Run {
    fn log(&mut self) -> &mut RaftLog {
        self.log.as_mut().unwrap()
    }

    fn step(&mut self, number: u64, step: Step) {
        match step {
            Step::Batch(picks) => {
                let mut model = self.states.last().unwrap().clone();
                if let Some(op) = Pick::resolve(&picks, &model, number) {
                    op.apply(&mut model);
                    self.states.push(model);
                    op.run(self.log()).unwrap();
                }
            }
            Step::Sync => {
                let appended = self.log().appended();
                assert_eq!(self.log().sync().unwrap(), appended);
                self.durable = self.states.len() - 1;
            }
            Step::Reclaim => drop(self.log().reclaim().unwrap()),
            Step::Close => {
                self.log.take().unwrap().close().unwrap();
                self.durable = self.states.len() - 1;
                self.restart(self.disk.fork(), self.durable);
            }
            Step::Kill => self.restart(self.disk.fork(), self.states.len() - 1),
            Step::PowerCut(mode, tearing) => {
                self.restart(self.disk.crash_torn(mode, tearing), self.durable);
            }
            Step::FailedSync(fault, mode) => {
                let is_sync =
                    |operation: &Operation| matches!(operation, Operation::SyncData { .. });
                self.disk.fail_nth(1, fault, is_sync);
                match self.log().sync() {
                    // There was nothing to sync.
                    Ok(_) => return self.disk.clear_faults(),
                    Err(error) => assert!(matches!(error, Error::Poisoned { .. }), "{error}"),
                }
                self.restart(self.disk.crash(mode), self.durable);
            }
        }
    }

    /// Goes on with `disk`, which must hold the state of index `least` or a later one.
    fn restart(&mut self, disk: FaultFs, least: usize) {
        drop(self.log.take());
        self.disk = disk;
        let (log, recovered) = open(&self.disk).unwrap();
        let found = content(&recovered);
        // The last of equal states: the run goes on from it either way.
        let index = (least..self.states.len()).rfind(|&at| self.states[at] == found);
        let index = index.unwrap_or_else(|| {
            let any = self.states.iter().rposition(|state| *state == found);
            panic!("promised state {least}, found {any:?}: {found:?}")
        });
        self.states.truncate(index + 1);
        self.durable = index;
        self.log = Some(log);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        max_shrink_iters: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_was_synced_survives_reopens_kills_power_cuts_and_failed_syncs(steps in vec(step(), 1..120)) {
        let disk = FaultFs::new();
        let mut run = Run {
            log: Some(open(&disk).unwrap().0),
            disk,
            states: vec![Model::new()],
            durable: 0,
        };
        for (number, step) in steps.into_iter().enumerate() {
            run.step(number as u64, step);
        }
        run.step(0, Step::PowerCut(CrashMode::LoseAll, Tearing::Page));
    }
}
