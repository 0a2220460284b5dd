//! Giving space back.
//!
//! Segments go in the order in which they were written, so that those left follow each other and a missing one is
//! noticed. A segment goes once no group has an entry in it. So that a group that purges nothing for long does not
//! keep every later segment too, its entries in the oldest one are written again at the end of the log.

use std::collections::BTreeMap;

use raft::{Entry, Index};
use storage::log::{SegmentHeader, segment_path};

use crate::record::{Change, LAYOUT, Place};
use crate::segments::{Closed, Content, Part, damage, scan};
use crate::{Error, GroupId, RaftLog, Result};

/// Entries are moved once the segments behind the log hold so many times what the groups still need.
const EXCESS: u64 = 4;

type Entries = BTreeMap<(GroupId, Index), Entry>;

impl RaftLog {
    /// Syncs, removes the segments that no group has entries in, and moves the entries of groups that lag where the
    /// segments hold four times what is needed. Returns how many segments went. To be called after purges; the
    /// step to the next segment does the first two by itself.
    ///
    /// # Errors
    /// [`Error::Damaged`] when an entry to be moved cannot be read: it stays where it is, and the log goes on.
    /// [`Error::DiskFull`]; [`Error::Poisoned`].
    pub fn reclaim(&mut self) -> Result<usize> {
        let mut removed = self.remove_unneeded()?;
        while self.is_excessive() && self.move_oldest()? {
            match self.remove_unneeded()? {
                // What keeps the oldest segment is damage behind it.
                0 => break,
                count => removed += count,
            }
        }
        Ok(removed)
    }

    /// Removes the oldest segments as long as no group has an entry in them.
    pub(crate) fn remove_unneeded(&mut self) -> Result<usize> {
        self.check_poison()?;
        let runs = self.groups.values().flat_map(|group| &group.runs);
        let needed = runs.map(|run| run.segment).min().unwrap_or(u32::MAX);
        let count = self.closed.iter().take_while(|s| s.id < needed).count();
        let begins_log = |count: &usize| self.closed.get(*count).is_none_or(|s| s.has_state);
        let count = (0..=count).rev().find(begins_log).unwrap_or(0);
        if count > 0 {
            // What made them unneeded, and the state that says the rest of what they said, must be on the disk.
            self.sync()?;
        }
        for _ in 0..count {
            let removed = self.directory.remove(self.closed[0].id);
            self.or_poison(removed)?;
            self.closed.remove(0);
        }
        Ok(count)
    }

    fn is_excessive(&self) -> bool {
        let closed: u64 = self.closed.iter().map(|segment| segment.len).sum();
        let most = EXCESS * (self.stats().live_bytes + self.directory.options.segment_bytes);
        closed > most
    }

    /// Writes the entries of the oldest segment again. Nothing is done, and `false` returned, if a damaged group has
    /// entries there: what is left of it is kept until the group is begun anew.
    fn move_oldest(&mut self) -> Result<bool> {
        let Some(&Closed { id: oldest, .. }) = self.closed.first() else {
            return Ok(false);
        };
        let lagging = self.groups.iter().filter(|(_, state)| {
            let mut runs = state.runs.iter();
            runs.any(|run| run.segment == oldest)
        });
        let lagging: Vec<_> = lagging.collect();
        if lagging.iter().any(|(_, state)| state.damage.is_some()) {
            return Ok(false);
        }
        let (mut found, bad) = self.read_entries(oldest)?;
        let bad = bad.unwrap_or((0, "it does not hold the entries that it should".into()));
        let mut changes = Vec::new();
        for (group, state) in lagging {
            for run in state.runs.iter().filter(|run| run.segment == oldest) {
                let entries = (run.first..=run.last).map(|index| found.remove(&(*group, index)));
                let entries: Option<Vec<_>> = entries.collect();
                let entries = entries.ok_or_else(|| self.damaged(oldest, bad.clone()))?;
                changes.push((*group, Change::Moved(entries)));
            }
        }
        self.commit(&changes)?;
        Ok(true)
    }

    /// The entries in a segment, of several for one place the last, and the first place where it is damaged.
    fn read_entries(&self, id: u32) -> Result<(Entries, Option<(u64, String)>)> {
        let bytes = self
            .directory
            .files
            .read(&segment_path(&self.directory.path, id))?;
        let header = SegmentHeader::decode(&bytes, &LAYOUT);
        let header = header.map_err(|what| self.damaged(id, (0, what)))?;
        let mut found = BTreeMap::new();
        let mut bad = None;
        for part in scan(&bytes, header.salt).0 {
            let records = match part {
                Part::Frame {
                    content: Content::Batch(records),
                    ..
                } => records,
                Part::Frame { .. } => continue,
                Part::Bad { offset, what, .. } => {
                    bad.get_or_insert((offset, what));
                    continue;
                }
            };
            for record in records {
                let entries = match record.change {
                    Change::Write { entries, .. } => entries.into_owned(),
                    Change::Moved(entries) => entries,
                    Change::Purge(_) | Change::Remove => continue,
                };
                let place = |entry: &Entry| (record.group, entry.id.index);
                found.extend(entries.into_iter().map(|entry| (place(&entry), entry)));
            }
        }
        Ok((found, bad))
    }

    fn damaged(&self, segment: u32, (offset, what): (u64, String)) -> Error {
        let place = Place {
            segment,
            offset,
            what,
        };
        Error::Damaged(damage(&self.directory.path, &place))
    }
}
