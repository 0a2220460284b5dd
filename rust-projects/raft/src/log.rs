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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Command(u64),
        Configuration(u64),
        Truncate(prop::sample::Index),
        Compact(prop::sample::Index),
        Reset(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..2u64).prop_map(Step::Command),
            2 => (1..6u64).prop_map(Step::Configuration),
            2 => any::<prop::sample::Index>().prop_map(Step::Truncate),
            1 => any::<prop::sample::Index>().prop_map(Step::Compact),
            1 => (1..3u64).prop_map(Step::Reset),
        ]
    }

    /// All that was ever said, from index 1 on, compacted or not; what a snapshot jumped over is `None`.
    struct Model {
        entries: Vec<Option<Entry>>,
        start: LogId,
        /// As of `start`.
        configuration: Configuration,
    }

    impl Model {
        fn last(&self) -> LogId {
            let last = self.entries.last().and_then(Option::as_ref);
            last.map_or(self.start, |entry| entry.id)
        }

        fn kept(&self) -> impl DoubleEndedIterator<Item = &Entry> {
            let start = usize::try_from(self.start.index).unwrap();
            self.entries[start..].iter().flatten()
        }

        /// The configuration as of `index` with the index it counts from.
        fn configuration_at(&self, index: Index) -> (Index, Configuration) {
            let upto = self.kept().take_while(|entry| entry.id.index <= index);
            upto.filter_map(|entry| match &entry.payload {
                Payload::Configuration(new) => Some((entry.id.index, new.clone())),
                _ => None,
            })
            .last()
            .unwrap_or((self.start.index, self.configuration.clone()))
        }
    }

    fn take(log: &mut Log, model: &mut Model, step: &Step) {
        let last = model.last();
        match step {
            Step::Command(later) => {
                let id = LogId::new(last.term + later, last.index + 1);
                let payload =
                    Payload::Command(Bytes::from(vec![0; usize::try_from(id.term).unwrap()]));
                log.push(Entry {
                    id,
                    payload: payload.clone(),
                });
                model.entries.push(Some(Entry { id, payload }));
            }
            Step::Configuration(voters) => {
                let id = LogId::new(last.term, last.index + 1);
                let payload = Payload::Configuration(Configuration::of_voters(1..=*voters));
                log.push(Entry {
                    id,
                    payload: payload.clone(),
                });
                model.entries.push(Some(Entry { id, payload }));
            }
            Step::Truncate(at) if last.index > model.start.index => {
                let kept = usize::try_from(last.index - model.start.index).unwrap();
                let first = model.start.index + 1 + at.index(kept) as u64;
                log.truncate(first);
                model.entries.truncate(usize::try_from(first - 1).unwrap());
            }
            Step::Compact(at) if last.index > model.start.index => {
                let kept: Vec<_> = model.kept().map(|entry| entry.id).collect();
                let id = kept[at.index(kept.len())];
                log.compact(id);
                model.configuration = model.configuration_at(id.index).1;
                model.start = id;
            }
            Step::Truncate(_) | Step::Compact(_) => {}
            Step::Reset(ahead) => {
                let last = LogId::new(last.term + 1, last.index + ahead);
                let configuration = Configuration::of_voters(1..=*ahead);
                log.reset(&SnapshotMeta {
                    id: 1,
                    last,
                    configuration: configuration.clone(),
                });
                model
                    .entries
                    .resize(usize::try_from(last.index).unwrap(), None);
                model.configuration = configuration;
                model.start = last;
            }
        }
    }

    fn check(log: &Log, model: &Model) -> Result<(), TestCaseError> {
        prop_assert_eq!(log.start(), model.start);
        prop_assert_eq!(log.last(), model.last());
        prop_assert!(log.entries().eq(model.kept()));
        let (start, last) = (model.start.index, model.last().index);
        for index in 0..=last + 2 {
            let kept = model.kept().find(|entry| entry.id.index == index);
            let known = (index == start).then_some(model.start.term);
            prop_assert_eq!(
                log.term_at(index),
                known.or(kept.map(|entry| entry.id.term))
            );
        }
        let (from, configuration) = log.configuration();
        prop_assert_eq!((from, configuration.clone()), model.configuration_at(last));
        for index in start..=last {
            let mut expected = vec![model.configuration_at(index).1];
            let later = model.kept().filter(|entry| entry.id.index > index);
            expected.extend(later.filter_map(|entry| match &entry.payload {
                Payload::Configuration(new) => Some(new.clone()),
                _ => None,
            }));
            let since: Vec<_> = log.configurations_since(index).cloned().collect();
            prop_assert_eq!(since, expected);
            for to in index..=last {
                let range = model
                    .kept()
                    .filter(|e| e.id.index > index && e.id.index <= to);
                prop_assert!(log.range(index + 1, to).eq(range));
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_log_is_a_list_of_entries_with_the_configurations_in_them(steps in prop::collection::vec(step(), 1..40)) {
            let configuration = Configuration::of_voters([1]);
            let mut log = Log::new(LogId::default(), configuration.clone());
            let mut model = Model { entries: Vec::new(), start: LogId::default(), configuration };
            for step in &steps {
                take(&mut log, &mut model, step);
                check(&log, &model)?;
            }
        }

        #[test]
        fn a_slice_is_bounded_by_bytes_but_never_empty_while_there_is_an_entry(
            steps in prop::collection::vec(step(), 1..20),
            first in 1..20u64,
            max_bytes in 0..200usize,
        ) {
            let configuration = Configuration::of_voters([1]);
            let mut log = Log::new(LogId::default(), configuration.clone());
            let mut model = Model { entries: Vec::new(), start: LogId::default(), configuration };
            for step in &steps {
                take(&mut log, &mut model, step);
            }
            let slice = log.slice(first, max_bytes);
            let rest: Vec<_> = model.kept().filter(|e| e.id.index >= first).cloned().collect();
            if first <= model.start.index {
                prop_assert!(slice.is_empty(), "what is compacted cannot be had");
                return Ok(());
            }
            prop_assert!(rest.starts_with(&slice));
            prop_assert_eq!(slice.is_empty(), rest.is_empty());
            let bytes = |entries: &[Entry]| entries.iter().map(Entry::size).sum::<usize>();
            prop_assert!(slice.len() <= 1 || bytes(&slice) <= max_bytes);
            if let Some(next) = rest.get(slice.len()) {
                prop_assert!(bytes(&slice) + next.size() > max_bytes, "no more would have fitted");
            }
        }

        #[test]
        fn entries_that_two_logs_share_are_never_skipped_by_the_search_for_them(
            shared in prop::collection::vec(0..2u64, 0..6),
            ours in prop::collection::vec(0..2u64, 0..6),
            theirs in prop::collection::vec(0..2u64, 0..6),
        ) {
            let build = |tails: [&[u64]; 2], leaps: u64| {
                let mut log = Log::new(LogId::default(), Configuration::default());
                for (part, steps) in tails.into_iter().enumerate() {
                    for later in steps {
                        // In the second part the terms of one log are even and those of the other odd, so nothing more is shared.
                        let grown = log.last().term + later;
                        let term = if part == 0 { 2 * grown } else { (grown / 2 + later) * 2 + leaps };
                        let term = term.max(log.last().term);
                        let id = LogId::new(term, log.last().index + 1);
                        log.push(Entry { id, payload: Payload::Noop });
                    }
                }
                log
            };
            let (one, other) = (build([&shared, &ours], 0), build([&shared, &theirs], 1));
            let common = (0..=one.last().index.min(other.last().index))
                .rev()
                .find(|&index| one.term_at(index) == other.term_at(index));
            let common = common.unwrap();
            let last = one.last();
            let hint = other.last_possible_match(last.index.min(other.last().index), last.term);
            prop_assert!(hint.index >= common, "the search went below what is shared, {}", common);
            let back = one.last_possible_match(hint.index, hint.term);
            prop_assert!(back.index >= common);
        }
    }
}
