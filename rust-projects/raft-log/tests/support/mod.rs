//! A model of the log, a map of groups, and workloads over both.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "part of every test here, and no test uses all of it"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use raft::{Configuration, Entry, HardState, LogId, Payload, SnapshotMeta, Write};
use raft_log::{Base, GroupId, Health, Options, RaftLog, Recovered, Result};
use storage::file::FileSystem;
use storage::file::fault::{FaultFs, SplitMix64};

pub(crate) const SEGMENT_BYTES: u64 = 1500;

pub(crate) fn dir() -> PathBuf {
    PathBuf::from("/raft")
}

pub(crate) fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        entropy: 42,
    }
}

pub(crate) fn open(disk: &FaultFs) -> Result<(RaftLog, Recovered)> {
    RaftLog::open(Arc::new(disk.clone()), &dir(), options())
}

/// The segments of the directory, by number.
pub(crate) fn segments(disk: &FaultFs) -> Vec<PathBuf> {
    let files = disk.list(&dir()).unwrap();
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|e| e == "segment");
    files.into_iter().filter(is_segment).collect()
}

/// The last segment with a frame in it.
pub(crate) fn last_segment(disk: &FaultFs) -> PathBuf {
    let mut segments = segments(disk).into_iter();
    segments
        .rfind(|path| disk.read(path).unwrap().len() > 32)
        .expect("a segment with frames")
}

pub(crate) fn id(term: u64, index: u64) -> LogId {
    LogId { term, index }
}

pub(crate) fn members(nodes: impl IntoIterator<Item = u64>) -> Configuration {
    Configuration {
        voters: nodes.into_iter().collect(),
        ..Configuration::default()
    }
}

pub(crate) fn command(term: u64, index: u64, text: &str) -> Entry {
    Entry {
        id: id(term, index),
        payload: Payload::Command(Bytes::from(text.to_owned())),
    }
}

/// A write of entries with the text `e<index>`.
pub(crate) fn entries(term: u64, indexes: impl IntoIterator<Item = u64>) -> Write {
    let entries = indexes.into_iter();
    Write {
        entries: entries
            .map(|index| command(term, index, &format!("e{index}")))
            .collect(),
        ..Write::default()
    }
}

pub(crate) fn vote(term: u64, voted_for: u64) -> Write {
    Write {
        hard_state: Some(HardState {
            term,
            voted_for: Some(voted_for),
        }),
        ..Write::default()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ModelGroup {
    pub(crate) hard_state: HardState,
    pub(crate) base: Option<Base>,
    pub(crate) entries: Vec<Entry>,
}

impl ModelGroup {
    fn base_id(&self) -> LogId {
        self.base
            .as_ref()
            .map_or(LogId::default(), |base| base.last)
    }

    fn last(&self) -> LogId {
        self.entries.last().map_or(self.base_id(), |entry| entry.id)
    }

    fn write(&mut self, write: &Write) {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(snapshot) = &write.snapshot {
            self.entries.clear();
            self.base = Some(Base {
                last: snapshot.last,
                configuration: snapshot.configuration.clone(),
                snapshot: Some(snapshot.id),
            });
        }
        if let Some(first) = write.entries.first() {
            self.entries.retain(|entry| entry.id.index < first.id.index);
            self.entries.extend_from_slice(&write.entries);
        }
    }
}

pub(crate) type Model = BTreeMap<GroupId, ModelGroup>;

/// What the log gave back, provided that all of it is intact.
pub(crate) fn content(recovered: &Recovered) -> Model {
    assert_eq!(recovered.damage, []);
    assert_eq!(recovered.unlisted, Health::Intact);
    let groups = recovered.groups.iter();
    groups
        .map(|(&group, found)| {
            assert_eq!(found.health, Health::Intact, "group {group}");
            let found = found.clone();
            let found = ModelGroup {
                hard_state: found.hard_state,
                base: found.base,
                entries: found.entries,
            };
            (group, found)
        })
        .collect()
}

/// One batch.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Append(Vec<(GroupId, Write)>),
    Purge(Vec<(GroupId, LogId, Configuration)>),
    Restart(GroupId, Write),
    Remove(GroupId),
}

impl Op {
    pub(crate) fn run(&self, log: &mut RaftLog) -> Result<u64> {
        match self {
            Self::Append(batch) => log.append(batch),
            Self::Purge(prefixes) => log.purge(prefixes),
            Self::Restart(group, write) => log.restart(*group, write),
            Self::Remove(group) => log.remove(*group),
        }
    }

    pub(crate) fn apply(&self, model: &mut Model) {
        match self {
            Self::Append(batch) => {
                for (group, write) in batch {
                    model.entry(*group).or_default().write(write);
                }
            }
            Self::Purge(prefixes) => {
                for (group, last, configuration) in prefixes {
                    let found = model.get_mut(group).unwrap();
                    found.entries.retain(|entry| entry.id.index > last.index);
                    found.base = Some(Base {
                        last: *last,
                        configuration: configuration.clone(),
                        snapshot: None,
                    });
                }
            }
            Self::Restart(group, write) => {
                let mut fresh = ModelGroup::default();
                fresh.write(write);
                model.insert(*group, fresh);
            }
            Self::Remove(group) => {
                model.remove(group);
            }
        }
    }
}

/// Numbers from which an operation that fits the model is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pick {
    pub(crate) group: u64,
    pub(crate) kind: u8,
    pub(crate) a: u64,
    pub(crate) len: usize,
}

impl Pick {
    pub(crate) const KINDS: u8 = 24;

    pub(crate) fn random(random: &mut SplitMix64) -> Self {
        Self {
            group: random.below(4),
            kind: random.below(u64::from(Self::KINDS)) as u8,
            a: random.below(1000),
            len: random.below(120) as usize,
        }
    }

    /// The batch that the picks mean; `None` if that changes nothing.
    pub(crate) fn resolve(picks: &[Self], model: &Model, step: u64) -> Option<Op> {
        let first = picks.first()?;
        let group = model.get(&first.group);
        match first.kind {
            20 | 21 => {
                let purges = picks
                    .iter()
                    .filter_map(|pick| pick.purge(model.get(&pick.group)?));
                let mut purges: Vec<_> = purges.collect();
                purges.dedup_by_key(|(group, ..)| *group);
                purges.sort_by_key(|(group, ..)| *group);
                purges.dedup_by_key(|(group, ..)| *group);
                (!purges.is_empty()).then_some(Op::Purge(purges))
            }
            22 => group.map(|_| Op::Remove(first.group)),
            23 => {
                let write = first.snapshot(&ModelGroup::default(), step);
                Some(Op::Restart(first.group, write))
            }
            _ => {
                let mut after = model.clone();
                let mut batch = Vec::new();
                for pick in picks {
                    let found = after.entry(pick.group).or_default();
                    let write = pick.write(found, step);
                    found.write(&write);
                    batch.push((pick.group, write));
                }
                Some(Op::Append(batch))
            }
        }
    }

    fn purge(&self, found: &ModelGroup) -> Option<(GroupId, LogId, Configuration)> {
        let count = found.entries.len() as u64;
        // Mostly all but a few, or logs only grow.
        let at = count.checked_sub(1 + self.a % 3)?;
        let last = found.entries[at as usize].id;
        Some((self.group, last, members([1, self.a])))
    }

    fn write(&self, found: &ModelGroup, step: u64) -> Write {
        let mut write = Write {
            number: step,
            ..Write::default()
        };
        let term = found.hard_state.term.max(1);
        match self.kind % 20 {
            0..3 => write.hard_state = Some(self.next_term(found)),
            3 => return self.snapshot(found, step),
            4..7 => {
                // Overwrites a suffix in a new term.
                let hard_state = self.next_term(found);
                let back = self.a % (found.entries.len() as u64 + 1);
                let first = found.last().index + 1 - back;
                write.hard_state = Some(hard_state);
                write.entries = self.entries(hard_state.term, first, step);
            }
            _ => write.entries = self.entries(term, found.last().index + 1, step),
        }
        write
    }

    fn next_term(&self, found: &ModelGroup) -> HardState {
        HardState {
            term: found.hard_state.term + 1 + self.a % 2,
            voted_for: (!self.a.is_multiple_of(3)).then_some(self.a),
        }
    }

    fn snapshot(&self, found: &ModelGroup, step: u64) -> Write {
        let term = found.hard_state.term.max(1);
        let last = id(term, found.last().index + self.a % 7);
        let entries = match self.a % 2 {
            0 => Vec::new(),
            _ => self.entries(term, last.index + 1, step),
        };
        Write {
            number: step,
            hard_state: self.a.is_multiple_of(3).then(|| self.next_term(found)),
            snapshot: Some(SnapshotMeta {
                id: step,
                last,
                configuration: Configuration {
                    outgoing: [4, 5].into(),
                    learners: [6].into(),
                    incoming_learners: [5].into(),
                    ..members([1, 2, self.a])
                },
            }),
            entries,
        }
    }

    fn entries(&self, term: u64, first: u64, step: u64) -> Vec<Entry> {
        let payload = |index| match (self.a + index) % 9 {
            0 => Payload::Noop,
            1 => Payload::Configuration(members([1, index])),
            _ => {
                let mut text = format!("step {step}, entry {index}:").into_bytes();
                text.resize(text.len() + self.len, b'.');
                Payload::Command(text.into())
            }
        };
        let indexes = first..=first + self.a % 3;
        indexes
            .map(|index| Entry {
                id: id(term, index),
                payload: payload(index),
            })
            .collect()
    }
}

/// What a workload got done before the disk failed it.
pub(crate) struct Outcome {
    /// The model after each batch tried, from the empty one on.
    pub(crate) states: Vec<Model>,
    /// Index of the last state for which a sync had returned.
    pub(crate) synced: usize,
    pub(crate) finished: bool,
    /// The step it got to.
    pub(crate) steps: u64,
}

/// A group that purges nothing, in workloads of an even seed.
pub(crate) const LAGGARD: GroupId = 9;

/// Appends, truncates, resets, purges, removes, syncs now and then, reclaims, closes and reopens; stops at the first error.
pub(crate) fn workload(disk: &FaultFs, seed: u64, steps: u64) -> Outcome {
    let mut outcome = Outcome {
        states: vec![Model::new()],
        synced: 0,
        finished: false,
        steps: 0,
    };
    let ended = run(disk, seed, steps, &mut outcome);
    if let Err(error) = ended {
        assert!(disk.is_crashed(), "step {}: {error}", outcome.steps);
    } else {
        outcome.finished = true;
    }
    outcome
}

fn run(disk: &FaultFs, seed: u64, steps: u64, outcome: &mut Outcome) -> Result<()> {
    let mut random = SplitMix64::new(seed);
    let mut log = open(disk)?.0;
    for step in 1..=steps {
        outcome.steps = step;
        if step % 32 == 1 && seed.is_multiple_of(2) {
            let mut model = outcome.states.last().unwrap().clone();
            let op = Op::Append(vec![(LAGGARD, entries(1, [step / 32 + 1]))]);
            op.apply(&mut model);
            outcome.states.push(model);
            op.run(&mut log)?;
        }
        let picks: Vec<_> = (0..1 + random.below(3))
            .map(|_| Pick::random(&mut random))
            .collect();
        let model = outcome.states.last().unwrap();
        if let Some(op) = Pick::resolve(&picks, model, step) {
            let mut model = model.clone();
            op.apply(&mut model);
            outcome.states.push(model);
            op.run(&mut log)?;
        }
        match random.below(12) {
            0..5 => {
                log.sync()?;
                outcome.synced = outcome.states.len() - 1;
                assert!(disk.is_durable(&last_segment(disk)), "step {step}");
            }
            5 => {
                log.reclaim()?;
            }
            6 if random.below(3) == 0 => {
                log.close()?;
                outcome.synced = outcome.states.len() - 1;
                let (opened, recovered) = open(disk)?;
                assert_eq!(&content(&recovered), outcome.states.last().unwrap());
                assert_eq!(recovered.tail, None);
                log = opened;
            }
            _ => {}
        }
    }
    log.close()?;
    outcome.synced = outcome.states.len() - 1;
    Ok(())
}

/// The name of a file, for messages.
pub(crate) fn name(path: &std::path::Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
