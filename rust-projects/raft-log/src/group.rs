//! What the log knows of a group in memory, and how records change it: the same while appending and while opening.

use raft::{Entry, HardState, Index, LogId, Payload};

use crate::record::{Change, GroupSummary, Place};
use crate::{Base, GroupId};

/// Entries of one group that stand in one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: Index,
    pub(crate) last: Index,
    pub(crate) segment: u32,
    /// About how many bytes they take: it only steers what is moved.
    pub(crate) bytes: u64,
}

/// A group as of its latest record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GroupState {
    pub(crate) hard_state: HardState,
    pub(crate) base: Option<Base>,
    /// The last entry, or that of `base`.
    pub(crate) last: LogId,
    /// Number of the batch with the latest record.
    pub(crate) latest: u64,
    /// Where the entries are, by index, without overlap.
    pub(crate) runs: Vec<Run>,
    pub(crate) damage: Option<Place>,
}

/// As much of a group as is needed to judge whether a change fits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    hard_state: HardState,
    base: Index,
    last: Index,
}

impl Extent {
    /// The group after `change`.
    ///
    /// # Errors
    /// What does not hold, if the change does not fit.
    pub(crate) fn after(self, change: &Change<'_>) -> Result<Self, &'static str> {
        match change {
            Change::Write {
                anew,
                hard_state,
                base,
                entries,
            } => {
                let mut next = if *anew { Self::default() } else { self };
                if let Some(new) = hard_state {
                    next.hard_state = follow(next.hard_state, *new)?;
                }
                if let Some(base) = base {
                    (next.base, next.last) = (base.last.index, base.last.index);
                }
                for (entry, index) in entries
                    .iter()
                    .zip(entries.first().map_or(0, |e| e.id.index)..)
                {
                    if entry.id.index != index {
                        return Err("the entries do not follow each other");
                    }
                }
                if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
                    if first.id.index <= next.base {
                        return Err("the entries overwrite what was purged");
                    }
                    if first.id.index > next.last + 1 {
                        return Err("the entries leave a gap in the log");
                    }
                    next.last = last.id.index;
                }
                Ok(next)
            }
            Change::Purge(base) if base.last.index <= self.base => {
                Err("the log begins later already")
            }
            Change::Purge(base) if base.last.index > self.last => {
                Err("the purge goes beyond the last entry")
            }
            Change::Purge(base) => Ok(Self {
                base: base.last.index,
                ..self
            }),
            Change::Moved(entries) => {
                let fits = |index| self.base < index && index <= self.last;
                match entries.iter().all(|entry| fits(entry.id.index)) {
                    true => Ok(self),
                    false => Err("entries were moved that the log does not have"),
                }
            }
            Change::Remove => Ok(Self::default()),
        }
    }
}

/// Terms only grow, and there is one vote in each (Raft paper, 5.2).
fn follow(old: HardState, new: HardState) -> Result<HardState, &'static str> {
    if new.term < old.term {
        return Err("the term goes back");
    }
    if new.term == old.term && old.voted_for.is_some() && new.voted_for != old.voted_for {
        return Err("the vote changes within a term");
    }
    Ok(new)
}

impl GroupState {
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            hard_state: self.hard_state,
            base: self.base_index(),
            last: self.last.index,
        }
    }

    pub(crate) fn base_index(&self) -> Index {
        self.base.as_ref().map_or(0, |base| base.last.index)
    }

    /// Follows a record of batch `seq` in `segment` that fits.
    pub(crate) fn apply(&mut self, change: &Change<'_>, segment: u32, seq: u64) {
        match change {
            Change::Write {
                anew,
                hard_state,
                base,
                entries,
            } => {
                if *anew {
                    *self = Self::default();
                }
                self.hard_state = hard_state.unwrap_or(self.hard_state);
                if let Some(base) = base {
                    self.last = base.last;
                    self.base = Some(base.clone());
                    self.runs.clear();
                }
                if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
                    self.clip_runs(0, first.id.index - 1);
                    self.last = last.id;
                    self.add_run(first.id.index, last.id.index, segment, size_of(entries));
                }
            }
            Change::Purge(base) => {
                self.base = Some(base.clone());
                self.clip_runs(base.last.index + 1, Index::MAX);
            }
            Change::Moved(entries) => {
                if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
                    self.replace_run(first.id.index, last.id.index, segment, size_of(entries));
                }
            }
            // Who keeps the groups forgets it.
            Change::Remove => {}
        }
        self.latest = seq;
    }

    /// Keeps the entries from `from` to `to`.
    fn clip_runs(&mut self, from: Index, to: Index) {
        self.runs.retain_mut(|run| {
            let (first, last) = (run.first.max(from), run.last.min(to));
            if first > last {
                return false;
            }
            let (all, left) = (run.last - run.first + 1, last - first + 1);
            run.bytes = (u128::from(run.bytes) * u128::from(left) / u128::from(all)) as u64;
            (run.first, run.last) = (first, last);
            true
        });
    }

    fn add_run(&mut self, first: Index, last: Index, segment: u32, bytes: u64) {
        match self.runs.last_mut() {
            Some(run) if run.segment == segment && run.last + 1 == first => {
                run.last = last;
                run.bytes += bytes;
            }
            _ => self.runs.push(Run {
                first,
                last,
                segment,
                bytes,
            }),
        }
    }

    /// Puts entries that were in other segments into `segment`.
    fn replace_run(&mut self, first: Index, last: Index, segment: u32, bytes: u64) {
        let mut before = Self {
            runs: self.runs.clone(),
            ..Self::default()
        };
        before.clip_runs(0, first - 1);
        self.clip_runs(last + 1, Index::MAX);
        before.add_run(first, last, segment, bytes);
        before.runs.append(&mut self.runs);
        self.runs = before.runs;
    }

    /// Takes the entries of what was known of the group before, as far as it still has them.
    pub(crate) fn adopt_runs(&mut self, before: &Self) {
        self.runs.clone_from(&before.runs);
        self.clip_runs(self.base_index() + 1, self.last.index);
    }

    pub(crate) fn summary(&self, group: GroupId) -> GroupSummary {
        GroupSummary {
            group,
            latest: self.latest,
            hard_state: self.hard_state,
            base: self.base.clone(),
            last: self.last,
            damage: self.damage.clone(),
        }
    }
}

impl From<GroupSummary> for GroupState {
    /// The group of which `summary` speaks, with no entry yet.
    fn from(summary: GroupSummary) -> Self {
        Self {
            hard_state: summary.hard_state,
            base: summary.base,
            last: summary.last,
            latest: summary.latest,
            runs: Vec::new(),
            damage: summary.damage,
        }
    }
}

/// About how many bytes entries take in a file.
fn size_of(entries: &[Entry]) -> u64 {
    let size = |entry: &Entry| match &entry.payload {
        Payload::Command(command) => 8 + command.len() as u64,
        Payload::Noop | Payload::Configuration(_) => 8,
    };
    entries.iter().map(size).sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entries(indexes: std::ops::RangeInclusive<Index>) -> Vec<Entry> {
        indexes
            .map(|index| Entry {
                id: LogId { term: 1, index },
                payload: Payload::Command(Bytes::from_static(b"xy")),
            })
            .collect()
    }

    fn write(indexes: std::ops::RangeInclusive<Index>) -> Change<'static> {
        Change::Write {
            anew: false,
            hard_state: None,
            base: None,
            entries: entries(indexes).into(),
        }
    }

    fn runs(state: &GroupState) -> Vec<(Index, Index, u32, u64)> {
        let runs = state.runs.iter();
        runs.map(|run| (run.first, run.last, run.segment, run.bytes))
            .collect()
    }

    #[test]
    fn runs_follow_where_the_entries_are() {
        let mut state = GroupState::default();
        state.apply(&write(1..=4), 1, 1);
        state.apply(&write(5..=6), 1, 2);
        state.apply(&write(7..=9), 2, 3);
        assert_eq!(runs(&state), [(1, 6, 1, 60), (7, 9, 2, 30)]);
        state.apply(&write(6..=6), 3, 4);
        assert_eq!(runs(&state), [(1, 5, 1, 50), (6, 6, 3, 10)]);
        assert_eq!(state.last.index, 6);
        state.apply(&Change::Moved(entries(1..=5)), 4, 5);
        assert_eq!(runs(&state), [(1, 5, 4, 50), (6, 6, 3, 10)]);
        let base = Base {
            last: LogId { term: 1, index: 3 },
            ..Base::default()
        };
        state.apply(&Change::Purge(base), 4, 6);
        assert_eq!(runs(&state), [(4, 5, 4, 20), (6, 6, 3, 10)]);
        assert_eq!((state.base_index(), state.last.index), (3, 6));
    }

    #[test]
    fn a_change_fits_only_where_the_log_has_a_place_for_it() {
        let mut state = GroupState::default();
        state.apply(&write(1..=4), 1, 1);
        let fits = |change: &Change<'_>| state.extent().after(change).is_ok();
        assert!(fits(&write(5..=5)) && fits(&write(1..=9)));
        assert!(!fits(&write(6..=6)));
        assert!(fits(&Change::Moved(entries(2..=4))));
        assert!(!fits(&Change::Moved(entries(4..=5))));
    }
}
