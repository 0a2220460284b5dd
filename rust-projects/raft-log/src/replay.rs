//! From frames to groups: which of them are as they were, and which may have lost something.
//!
//! Batches are numbered without gaps and each record names the batch of the group's previous one. So lost batches show
//! as a gap in the numbers, and the next record of each group tells whether one of its own was among them. A group
//! that has none after the gap, nor a mention in a later [`STATE`](crate::record::STATE) frame, may have lost something.
//!
//! A group that did lose records is whole again where a later one says all that they could have said: its hard state,
//! and where its log begins and ends, with every entry in between.

use std::collections::BTreeMap;
use std::path::Path;

use raft::{Entry, Index};
use storage::log::HEADER_LEN;

use crate::group::GroupState;
use crate::record::{Change, GroupSummary, Place, Record, State};
use crate::segments::{Content, damage};
use crate::{Group, GroupId, Health, Recovered};

/// The log as read so far.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    groups: BTreeMap<GroupId, Member>,
    /// Number of the last batch.
    pub(crate) seq: u64,
    /// The segment of the first intact frame.
    oldest: Option<u32>,
    /// Bad bytes that no intact frame has followed yet.
    pending: Option<Place>,
    gaps: Vec<Gap>,
    /// Number of the last batch before the last frame that lists all groups.
    listed: u64,
    unlisted: Option<Place>,
    /// Every damaged place.
    damage: Vec<Place>,
}

/// Batches that are lost.
#[derive(Debug)]
struct Gap {
    /// Number of the last of them.
    last: u64,
    place: Place,
}

/// A group as read so far.
#[derive(Debug, Default)]
struct Member {
    state: GroupState,
    entries: BTreeMap<Index, Entry>,
    /// Number of a batch up to which none of the group's records is missing unnoticed.
    confirmed: u64,
    lost: Option<Lost>,
}

/// What is not certain of a group that lost records.
#[derive(Debug)]
struct Lost {
    place: Place,
    hard_state: bool,
    /// Entries before this one.
    entries_before: Index,
}

impl Lost {
    fn everything(place: Place) -> Self {
        Self {
            place,
            hard_state: true,
            entries_before: Index::MAX,
        }
    }
}

/// What remains of a log once it is read.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) recovered: Recovered,
    pub(crate) groups: BTreeMap<GroupId, GroupState>,
    pub(crate) unlisted: Option<Place>,
    pub(crate) seq: u64,
}

impl Replay {
    /// Notes a damaged place that held no frame.
    pub(crate) fn note(&mut self, place: Place) {
        self.damage.push(place);
    }

    /// Notes bytes that may have been frames.
    pub(crate) fn bad(&mut self, place: Place) {
        self.damage.push(place.clone());
        self.pending.get_or_insert(place);
    }

    /// Follows a frame at `offset` of `segment`, with the number `seq` in its header.
    pub(crate) fn frame(&mut self, segment: u32, offset: u64, seq: u64, content: Content) {
        let here = |what: String| Place {
            segment,
            offset,
            what,
        };
        let is_first = self.oldest.is_none();
        self.oldest.get_or_insert(segment);
        let expected = match content {
            Content::Batch(_) => self.seq + 1,
            // Earlier files are gone; this frame says what they said.
            Content::State(_) if is_first && self.pending.is_none() => seq,
            Content::State(_) | Content::Footer => self.seq,
        };
        if seq < expected {
            return self.bad(here(format!("batch {seq} comes after batch {}", self.seq)));
        }
        if seq > expected {
            let (first, last) = (self.seq + 1, seq - (expected - self.seq));
            let place = self.pending.take().unwrap_or_else(|| {
                let place = here(format!("batches {first} to {last} are missing before this"));
                self.damage.push(place.clone());
                place
            });
            self.gaps.push(Gap { last, place });
        }
        self.pending = None;
        self.seq = seq;
        match content {
            Content::Batch(records) => {
                for record in records {
                    self.record(segment, offset, record);
                }
            }
            Content::State(state) => self.state(state),
            Content::Footer => {}
        }
    }

    /// What is to blame for the loss of a batch.
    fn blame(&self, batch: u64) -> Place {
        let gap = self.gaps.iter().find(|gap| gap.last >= batch);
        let gap = gap.or(self.gaps.last()).map(|gap| gap.place.clone());
        gap.unwrap_or_else(|| Place {
            segment: self.oldest.unwrap_or(1),
            offset: HEADER_LEN as u64,
            what: format!("batch {batch} is in no file"),
        })
    }

    fn record(&mut self, segment: u32, offset: u64, record: Record) {
        let Record {
            group,
            previous,
            change,
        } = record;
        if change == Change::Remove {
            self.groups.remove(&group);
            return;
        }
        let latest = self.groups.get(&group).map_or(0, |m| m.state.latest);
        let lost = (previous != latest && previous != 0).then(|| self.blame(previous));
        let seq = self.seq;
        let member = self.groups.entry(group).or_default();
        if previous == 0 && latest != 0 {
            // It was removed in between, by a record that is lost.
            *member = Member::default();
        }
        if let Some(place) = lost {
            member.lost = Some(Lost::everything(place));
        }
        member.confirmed = seq;
        if member.state.damage.is_some() && !matches!(change, Change::Write { anew: true, .. }) {
            member.state.latest = seq;
            return;
        }
        member.change(change, segment, offset, seq);
    }

    /// Follows a frame that lists all groups.
    fn state(&mut self, state: State) {
        let mut before = std::mem::take(&mut self.groups);
        for summary in state.groups {
            let group = summary.group;
            let member = match before.remove(&group) {
                None => Member {
                    state: GroupState::from(summary),
                    ..Member::default()
                },
                Some(member) if member.state.latest == summary.latest => member.confirm(summary),
                Some(member) => {
                    let place = self.blame(summary.latest);
                    member.correct(summary, place)
                }
            };
            let confirmed = self.seq;
            self.groups.insert(
                group,
                Member {
                    confirmed,
                    ..member
                },
            );
        }
        self.listed = self.seq;
        self.unlisted = state.unlisted;
    }

    /// Judges what was read.
    pub(crate) fn finish(mut self, dir: &Path) -> Outcome {
        if let Some(place) = self.pending.take() {
            // How many batches stood there nobody knows. None of their numbers is given again.
            let last = self.seq + (1 << 32);
            self.gaps.push(Gap { last, place });
            self.seq = last;
        }
        let unlisted = self.unlisted.take().or_else(|| self.gap_after(self.listed));
        let mut groups = BTreeMap::new();
        let mut found = BTreeMap::new();
        let oldest = self.oldest.unwrap_or(1);
        for (group, mut member) in std::mem::take(&mut self.groups) {
            let damaged = member
                .damage(oldest)
                .or_else(|| self.gap_after(member.confirmed));
            member.state.damage = damaged.clone();
            let health =
                damaged.map_or(Health::Intact, |place| Health::Damaged(damage(dir, &place)));
            found.insert(
                group,
                Group {
                    hard_state: member.state.hard_state,
                    base: member.state.base.clone(),
                    entries: member.run(),
                    health,
                },
            );
            groups.insert(group, member.state);
        }
        let recovered = Recovered {
            groups: found,
            tail: None,
            damage: self.damage.iter().map(|place| damage(dir, place)).collect(),
            unlisted: unlisted
                .as_ref()
                .map_or(Health::Intact, |place| Health::Damaged(damage(dir, place))),
        };
        Outcome {
            recovered,
            groups,
            unlisted,
            seq: self.seq,
        }
    }

    /// The first loss that comes after batch `seq`.
    fn gap_after(&self, seq: u64) -> Option<Place> {
        let gap = self.gaps.iter().find(|gap| gap.last > seq);
        gap.map(|gap| gap.place.clone())
    }
}

impl Member {
    fn change(&mut self, change: Change<'static>, segment: u32, offset: u64, seq: u64) {
        // Of a group that lost records it is not known what fits.
        let fits = self.state.extent().after(&change);
        if let (Err(what), None) = (fits, &self.lost) {
            self.state.damage = Some(Place {
                segment,
                offset,
                what: what.to_owned(),
            });
            self.state.latest = seq;
            return;
        }
        if let Change::Write { anew: true, .. } = change {
            *self = Self {
                confirmed: seq,
                ..Self::default()
            };
        }
        if let (
            Some(lost),
            Change::Write {
                hard_state,
                base,
                entries,
                ..
            },
        ) = (&mut self.lost, &change)
        {
            lost.hard_state &= hard_state.is_none();
            if base.is_some() {
                lost.entries_before = 0;
            }
            if let Some(first) = entries.first() {
                lost.entries_before = lost.entries_before.min(first.id.index);
            }
        }
        self.state.apply(&change, segment, seq);
        match change {
            Change::Write { base, entries, .. } => {
                if base.is_some() {
                    self.entries.clear();
                }
                if let Some(first) = entries.first() {
                    self.entries.split_off(&first.id.index);
                }
                self.insert(entries.into_owned());
            }
            Change::Purge(base) => self.entries = self.entries.split_off(&(base.last.index + 1)),
            Change::Moved(entries) => self.insert(entries),
            Change::Remove => {}
        }
    }

    fn insert(&mut self, entries: Vec<Entry>) {
        let entries = entries.into_iter().map(|entry| (entry.id.index, entry));
        self.entries.extend(entries);
    }

    /// The group as `summary` says it is, which speaks of the record read last.
    fn confirm(mut self, summary: GroupSummary) -> Self {
        self.state.damage = summary.damage.or(self.state.damage);
        self
    }

    /// The group as `summary` says it is, after records that are lost. Entries read before may have been overwritten.
    fn correct(mut self, summary: GroupSummary, place: Place) -> Self {
        let lost = Lost {
            place,
            hard_state: false,
            entries_before: summary.last.index + 1,
        };
        self.entries = self
            .entries
            .split_off(&(summary.base.as_ref().map_or(0, |base| base.last.index) + 1));
        self.entries.split_off(&(summary.last.index + 1));
        let mut state = GroupState::from(summary);
        state.adopt_runs(&self.state);
        Self {
            state,
            lost: Some(lost),
            ..self
        }
    }

    /// What makes the group other than it was.
    fn damage(&self, oldest: u32) -> Option<Place> {
        if let Some(place) = &self.state.damage {
            return Some(place.clone());
        }
        let base = self.state.base_index();
        if let Some(lost) = &self.lost
            && (lost.hard_state || base + 1 < lost.entries_before)
        {
            return Some(lost.place.clone());
        }
        let wanted = base + 1..=self.state.last.index;
        let missing = wanted.zip(self.entries.keys().map(Some).chain(std::iter::repeat(None)));
        let missing = missing.into_iter().find(|(index, key)| *key != Some(index));
        missing.map(|(index, _)| Place {
            segment: oldest,
            offset: HEADER_LEN as u64,
            what: format!("entry {index} of a group that the log should have is in no file"),
        })
    }

    /// The entries from the base on, up to the first that is missing.
    fn run(&mut self) -> Vec<Entry> {
        let entries = std::mem::take(&mut self.entries);
        let indexes = self.state.base_index() + 1..;
        let run = entries.into_iter().zip(indexes);
        run.take_while(|((index, _), expected)| index == expected)
            .map(|((_, entry), _)| entry)
            .collect()
    }
}
