//! Which writes are on their way to the disk, and how far the log is durable.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use crate::{Index, WriteNumber};

/// Completions name a write by number. Term and index of its last entry would not do: an entry may be overwritten by one of
/// another term and then written again, and the completion of its first writing says nothing of the second. So each write
/// remembers up to which index it is still the latest, and overwriting lowers that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Writes {
    /// The last number given.
    last: WriteNumber,
    /// All up to this one are durable.
    durable: WriteNumber,
    /// Those that are not, with the last index that each makes durable.
    outstanding: VecDeque<(WriteNumber, Index)>,
    /// The log is durable up to here.
    stable: Index,
    /// The write that makes term and vote durable.
    hard_state: WriteNumber,
}

/// Numbers count from what is durable: servers that differ only in how many writes they have made behave alike, and a model checker that
/// goes by hashes takes them for one.
impl Hash for Writes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            last,
            durable,
            outstanding,
            stable,
            hard_state,
        } = self;
        (last - durable, stable).hash(state);
        hard_state.saturating_sub(*durable).hash(state);
        for (number, last_index) in outstanding {
            (number - durable, last_index).hash(state);
        }
    }
}

impl Writes {
    /// Everything up to `stable` is durable from an earlier life.
    pub(crate) fn new(stable: Index) -> Self {
        Self {
            stable,
            ..Self::default()
        }
    }

    pub(crate) fn stable(&self) -> Index {
        self.stable
    }

    pub(crate) fn last(&self) -> WriteNumber {
        self.last
    }

    pub(crate) fn is_durable(&self, number: WriteNumber) -> bool {
        number <= self.durable
    }

    /// The number that the next write will have.
    pub(crate) fn next(&self) -> WriteNumber {
        self.last + 1
    }

    /// The write that makes term and vote durable.
    pub(crate) fn hard_state(&self) -> WriteNumber {
        self.hard_state
    }

    /// The next write has another term or vote.
    pub(crate) fn change_hard_state(&mut self) {
        self.hard_state = self.next();
    }

    /// A write begins that makes the log durable up to `last_index`.
    pub(crate) fn begin(&mut self, last_index: Index) -> WriteNumber {
        self.last += 1;
        self.outstanding.push_back((self.last, last_index));
        self.last
    }

    /// Entries from `first` on were dropped.
    pub(crate) fn overwrite(&mut self, first: Index) {
        self.stable = self.stable.min(first - 1);
        for (_, last_index) in &mut self.outstanding {
            *last_index = (*last_index).min(first - 1);
        }
    }

    /// The log starts anew behind `index`, which the state machine's snapshot already holds durably.
    pub(crate) fn reset(&mut self, index: Index) {
        self.overwrite(1);
        self.stable = index;
    }

    /// All writes up to `number` are durable. Late, repeated and unknown numbers change nothing.
    pub(crate) fn complete(&mut self, number: WriteNumber) {
        let number = number.min(self.last);
        self.durable = self.durable.max(number);
        while let Some(&(oldest, last_index)) = self.outstanding.front() {
            if oldest > number {
                break;
            }
            self.stable = self.stable.max(last_index);
            self.outstanding.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_completion_of_what_was_overwritten_meanwhile_makes_nothing_durable() {
        let mut writes = Writes::new(4);
        let first = writes.begin(6);
        writes.overwrite(5);
        let second = writes.begin(5);
        writes.complete(first);
        assert_eq!(writes.stable(), 4);
        writes.complete(second);
        assert_eq!(writes.stable(), 5);
    }

    #[test]
    fn an_entry_written_again_is_durable_only_by_its_last_writing() {
        let mut writes = Writes::new(4);
        let first = writes.begin(6);
        writes.overwrite(5);
        let second = writes.begin(5);
        writes.overwrite(5);
        let third = writes.begin(6);
        writes.complete(first);
        writes.complete(second);
        assert_eq!(
            writes.stable(),
            4,
            "the disk holds what the second write left"
        );
        writes.complete(third);
        assert_eq!(writes.stable(), 6);
    }

    #[test]
    fn one_completion_stands_for_all_before_it_and_late_ones_change_nothing() {
        let mut writes = Writes::new(0);
        writes.begin(1);
        writes.begin(2);
        let third = writes.begin(3);
        writes.complete(third);
        assert_eq!(writes.stable(), 3);
        writes.complete(1);
        assert_eq!(writes.stable(), 3);
        assert!(writes.is_durable(third));
        writes.complete(99);
        assert!(
            !writes.is_durable(writes.next()),
            "what was not begun is not complete"
        );
    }

    /// One step of a log's life on a disk.
    #[derive(Clone, Debug)]
    enum Step {
        /// Drops so many of the last entries and writes so many.
        Write { dropped: u64, written: u64 },
        /// A snapshot so far ahead, in a write of its own.
        Reset(u64),
        /// The disk does so many writes and says so.
        Complete(u64),
        /// What the disk said before arrives again.
        Repeat,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3u64, 1..3u64).prop_map(|(dropped, written)| Step::Write { dropped, written }),
            1 => (1..3u64).prop_map(Step::Reset),
            4 => (1..3u64).prop_map(Step::Complete),
            1 => Just(Step::Repeat),
        ]
    }

    /// A log of unique entries, and a disk on which the writes are replayed in order.
    #[derive(Default)]
    struct Replay {
        /// Behind `start`: who wrote what is there.
        log: Vec<u64>,
        start: u64,
        next_entry: u64,
        queue: VecDeque<(WriteNumber, u64, Vec<u64>)>,
        disk: Vec<u64>,
        disk_start: u64,
        done: WriteNumber,
    }

    impl Replay {
        fn last(&self) -> u64 {
            self.start + self.log.len() as u64
        }

        fn sync(&mut self) {
            if let Some((number, start, log)) = self.queue.pop_front() {
                (self.disk_start, self.disk) = (start, log);
                self.done = number;
            }
        }

        /// Up to where the disk holds this very log. A snapshot is durable by itself.
        fn durable(&self) -> u64 {
            if self.disk_start != self.start {
                return self.start;
            }
            let same = self.disk.iter().zip(&self.log);
            self.start + same.take_while(|(disk, log)| disk == log).count() as u64
        }
    }

    proptest! {
        #[test]
        fn what_counts_as_durable_is_what_a_disk_that_does_the_writes_in_order_holds(
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let mut writes = Writes::new(0);
            let mut replay = Replay::default();
            for step in steps {
                match step {
                    Step::Write { dropped, written } => {
                        let first = replay.last() - dropped.min(replay.log.len() as u64) + 1;
                        if first <= replay.last() {
                            writes.overwrite(first);
                        }
                        replay.log.truncate(usize::try_from(first - 1 - replay.start).unwrap());
                        for _ in 0..written {
                            replay.next_entry += 1;
                            replay.log.push(replay.next_entry);
                        }
                        let number = writes.begin(replay.last());
                        replay.queue.push_back((number, replay.start, replay.log.clone()));
                    }
                    Step::Reset(ahead) => {
                        replay.start = replay.last() + ahead;
                        replay.log.clear();
                        writes.reset(replay.start);
                        let number = writes.begin(replay.start);
                        replay.queue.push_back((number, replay.start, Vec::new()));
                    }
                    Step::Complete(count) => {
                        for _ in 0..count {
                            replay.sync();
                        }
                        writes.complete(replay.done);
                    }
                    Step::Repeat => writes.complete(replay.done.saturating_sub(1)),
                }
                prop_assert!(writes.stable() <= replay.durable(), "nothing counts that is not there");
                if replay.queue.is_empty() {
                    prop_assert_eq!(writes.stable(), replay.last(), "when all is done, all counts");
                }
                prop_assert!(writes.is_durable(replay.done));
                prop_assert!(!writes.is_durable(replay.done + 1));
            }
        }

        #[test]
        fn how_many_writes_there_were_before_is_not_hashed(
            before in 0..5u64,
            changes in prop::collection::vec(any::<bool>(), 0..4),
        ) {
            let hash = |writes: &Writes| BuildHasherDefault::<DefaultHasher>::default().hash_one(writes);
            let (mut new, mut old) = (Writes::new(7), Writes::new(0));
            for index in 0..=before {
                let number = old.begin(index + 7 - before);
                old.complete(number);
            }
            for (index, changes) in changes.into_iter().enumerate() {
                for writes in [&mut new, &mut old] {
                    if changes {
                        writes.change_hard_state();
                    }
                    writes.begin(8 + index as u64);
                }
            }
            prop_assert_eq!(hash(&new), hash(&old));
            new.change_hard_state();
            prop_assert_ne!(hash(&new), hash(&old));
        }
    }
}
