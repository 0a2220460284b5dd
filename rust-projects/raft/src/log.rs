//! The log as the core holds it: the part that is not compacted, in memory, and the configurations it contains.
//!
//! ```text
//!              start                                    last
//!   ...........  |  5  |  6  |  7  |  8  |  9  |  10  |  11
//!   compacted       committed ------^           ^
//!                                       durable-'   (see writes.rs)
//! ```
//!
//! Simplification: what is not compacted stays in memory. The replica compacts by size, so this is bounded; in return no
//! decision waits for a disk.

use std::collections::VecDeque;

use crate::{Configuration, Entry, Index, LogId, Payload, SnapshotMeta, Term};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    /// The last entry that is compacted, or 0.
    start: LogId,
    entries: VecDeque<Entry>,
    /// Configurations with the index from which each counts; the first counts at `start`, the last now.
    configurations: Vec<(Index, Configuration)>,
}

impl Log {
    pub(crate) fn new(start: LogId, configuration: Configuration) -> Self {
        Self {
            start,
            entries: VecDeque::new(),
            configurations: vec![(start.index, configuration)],
        }
    }

    /// The last compacted entry.
    pub(crate) fn start(&self) -> LogId {
        self.start
    }

    pub(crate) fn last(&self) -> LogId {
        self.entries.back().map_or(self.start, |entry| entry.id)
    }

    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Where `index` stands in `entries`.
    fn position(&self, index: Index) -> Option<usize> {
        usize::try_from(index.checked_sub(self.start.index + 1)?).ok()
    }

    fn get(&self, index: Index) -> Option<&Entry> {
        self.entries.get(self.position(index)?)
    }

    /// The term of the entry at `index`; `None` when it is compacted or not there yet.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.start.index {
            return Some(self.start.term);
        }
        self.get(index).map(|entry| entry.id.term)
    }

    pub(crate) fn holds(&self, id: LogId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The last entry at or below `limit` that another log may share whose term there is `term`: terms never decrease along a
    /// log, so entries of greater terms cannot be in it (section 5.3, "one RPC per conflicting term", searched from both sides).
    pub(crate) fn last_possible_match(&self, limit: Index, term: Term) -> LogId {
        // Terms and indexes grow along the log.
        let possible = |entry: &Entry| entry.id.index <= limit && entry.id.term <= term;
        let count = self.entries.partition_point(possible);
        let last = count.checked_sub(1).and_then(|last| self.entries.get(last));
        last.map_or(self.start, |entry| entry.id)
    }

    /// Entries from `first` on, at least one if there is one, and no more than `max_bytes` otherwise.
    pub(crate) fn slice(&self, first: Index, max_bytes: usize) -> Vec<Entry> {
        let Some(position) = self.position(first) else {
            return Vec::new();
        };
        let mut bytes = 0;
        let rest = self.entries.iter().skip(position);
        rest.take_while(|entry| {
            let is_first = bytes == 0;
            bytes += entry.size();
            is_first || bytes <= max_bytes
        })
        .cloned()
        .collect()
    }

    /// Entries in `first..=last`.
    pub(crate) fn range(&self, first: Index, last: Index) -> impl Iterator<Item = &Entry> {
        let position = self.position(first).unwrap_or(0);
        let count = (last + 1).saturating_sub(first);
        self.entries
            .iter()
            .skip(position)
            .take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Appends the entry that follows the last one. A configuration counts from now on (section 6).
    pub(crate) fn push(&mut self, entry: Entry) {
        debug_assert_eq!(entry.id.index, self.last().index + 1);
        if let Payload::Configuration(configuration) = &entry.payload {
            self.configurations
                .push((entry.id.index, configuration.clone()));
        }
        self.entries.push_back(entry);
    }

    /// Drops the entries from `first` on, and with them the configurations they brought.
    pub(crate) fn truncate(&mut self, first: Index) {
        let position = self
            .position(first)
            .expect("only entries that are not committed are dropped, and those are not compacted");
        self.entries.truncate(position);
        self.configurations
            .retain(|&(from, _)| from < first || from == self.start.index);
    }

    /// Forgets the entries up to `last`, which is in the log.
    pub(crate) fn compact(&mut self, last: LogId) {
        let gone = self.position(last.index).map_or(0, |position| position + 1);
        self.entries.drain(..gone);
        let current = self
            .configurations
            .partition_point(|&(from, _)| from <= last.index);
        self.configurations.drain(..current.saturating_sub(1));
        self.configurations[0].0 = last.index;
        self.start = last;
    }

    /// Starts anew behind a snapshot.
    pub(crate) fn reset(&mut self, snapshot: &SnapshotMeta) {
        *self = Self::new(snapshot.last, snapshot.configuration.clone());
    }

    /// The configuration that counts now, and the index of the entry that brought it.
    pub(crate) fn configuration(&self) -> (Index, &Configuration) {
        let (from, configuration) = self
            .configurations
            .last()
            .expect("the first configuration is never dropped");
        (*from, configuration)
    }

    /// The configuration as of `index`, which is not compacted, and all later ones.
    pub(crate) fn configurations_since(
        &self,
        index: Index,
    ) -> impl Iterator<Item = &Configuration> {
        let after = self
            .configurations
            .partition_point(|&(from, _)| from <= index);
        let since = &self.configurations[after.saturating_sub(1)..];
        since.iter().map(|(_, configuration)| configuration)
    }
}
