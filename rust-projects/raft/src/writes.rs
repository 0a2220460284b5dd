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
}
