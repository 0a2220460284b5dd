//! Appending, and the operations beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use raft::{Configuration, LogId, Write};
use storage::file::{DirLock, FileSystem};
use storage::log::{FRAME_LEN, FrameHead, HEADER_LEN, begin_frame, finish_frame};
use storage::{Identity, Owner};

use crate::group::{Extent, GroupState};
use crate::open::{Opened, disk_full, open};
use crate::record::{BATCH, Change, FORMAT, Place, STATE, State, put_record, put_state};
use crate::segments::{Closed, Directory, Segment, damage};
use crate::{Base, Error, GroupId, Options, Recovered, Result};

const IDENTITY: Identity = Identity {
    owner: Owner::RaftLog,
    format: FORMAT,
};
/// Largest frame in bytes.
const MOST: usize = 1 << 30;
/// The memory of frames up to this length is used again.
const KEEP: usize = 1 << 20;

/// The log of all groups of a node, open for writing. Dropping it is as if the process were killed: what was not synced may
/// be there or not.
#[derive(Debug)]
pub struct RaftLog {
    pub(crate) directory: Directory,
    pub(crate) groups: BTreeMap<GroupId, GroupState>,
    /// Damage by which groups may be lost that are not known.
    pub(crate) unlisted: Option<Place>,
    /// Number of the last batch.
    seq: u64,
    /// Number of the last batch that is durable.
    durable: u64,
    /// The segments before the active one.
    pub(crate) closed: Vec<Closed>,
    pub(crate) active: Segment,
    /// Empty segments created ahead: the next one, and what a full disk leaves for purges.
    spares: Vec<Segment>,
    next_id: u32,
    poison: Option<String>,
    buffer: Vec<u8>,
    /// Held for as long as the log is open.
    _lock: Box<dyn DirLock>,
}

/// Figures of this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Segments with frames.
    pub segments: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// About how many of them are entries that are not purged.
    pub live_bytes: u64,
    /// Groups in the log.
    pub groups: usize,
}

impl RaftLog {
    /// Opens the log in `dir`, which is created if absent, and says what it holds.
    ///
    /// # Errors
    /// [`storage::Error::Locked`], [`storage::Error::NotRaftLog`], [`storage::Error::NewerFormat`]; I/O errors;
    /// [`Error::DiskFull`] when there is no room for a first frame. Damage is no error: see [`Recovered`].
    pub fn open(
        files: Arc<dyn FileSystem>,
        dir: &Path,
        options: Options,
    ) -> Result<(Self, Recovered)> {
        files.create_dir_all(dir)?;
        let lock = files.lock_dir(dir)?;
        IDENTITY.claim(&*files, dir)?;
        let directory = Directory {
            files,
            path: dir.to_owned(),
            options,
        };
        let Opened {
            outcome,
            closed,
            active,
            spares,
            mut next_id,
        } = open(&directory)?;
        let active = match active {
            Some(active) => active,
            None => {
                let capacity = directory.options.segment_bytes;
                let created = directory.create(next_id, capacity);
                next_id += 1;
                created.map_err(|error| full_or(error, dir))?
            }
        };
        let mut log = Self {
            directory,
            groups: outcome.groups,
            unlisted: outcome.unlisted,
            seq: outcome.seq,
            durable: outcome.seq,
            closed,
            active,
            spares,
            next_id,
            poison: None,
            buffer: Vec::new(),
            _lock: lock,
        };
        if log.active.is_empty() {
            // A segment found on a full disk may have lost the space reserved for it.
            let len = FRAME_LEN + log.encode_state().0.len();
            if !log.active.has_room(len) {
                return Err(disk_full(dir));
            }
            log.write_state()?;
        }
        Ok((log, outcome.recovered))
    }

    /// Appends what each group writes, as one: after a crash all of it is there or nothing. A group may come more than
    /// once, in order. [`Write::number`] is the caller's and not stored. Returns the number of the batch, which is
    /// durable once [`RaftLog::sync`] returned it or a higher one.
    ///
    /// # Errors
    /// Nothing was written after [`Error::Invalid`], [`Error::GroupDamaged`], [`Error::BatchTooLarge`] and
    /// [`Error::DiskFull`]; [`Error::Poisoned`].
    pub fn append(&mut self, batch: &[(GroupId, Write)]) -> Result<u64> {
        let is_something = |write: &Write| {
            write.hard_state.is_some() || write.snapshot.is_some() || !write.entries.is_empty()
        };
        let writes = batch.iter().filter(|(_, write)| is_something(write));
        let changes: Vec<_> = writes
            .map(|(group, write)| (*group, change(write, false)))
            .collect();
        self.commit(&changes)
    }

    /// Begins a group anew with `write`, whatever the log held of it: a member that lost a part of its log rejoins with
    /// the snapshot that it received as a learner. Until then crashes leave it damaged. Returns as
    /// [`RaftLog::append`].
    ///
    /// # Errors
    /// As [`RaftLog::append`].
    pub fn restart(&mut self, group: GroupId, write: &Write) -> Result<u64> {
        self.commit(&[(group, change(write, true))])
    }

    /// Removes a group and all that the log holds of it. Returns as [`RaftLog::append`].
    ///
    /// # Errors
    /// As [`RaftLog::append`].
    pub fn remove(&mut self, group: GroupId) -> Result<u64> {
        match self.groups.contains_key(&group) {
            true => self.commit(&[(group, Change::Remove)]),
            false => Ok(self.seq),
        }
    }

    /// Drops of each group the entries up to and with one that the state machine has made durable, given with the
    /// members as of that entry. A group whose log begins there or later is passed over. Returns as
    /// [`RaftLog::append`]; [`RaftLog::reclaim`] frees the space.
    ///
    /// # Errors
    /// As [`RaftLog::append`]; on a full disk there is room for it for long.
    pub fn purge(&mut self, prefixes: &[(GroupId, LogId, Configuration)]) -> Result<u64> {
        let later = |group, last: &LogId| {
            let state = self.groups.get(group);
            last.index > state.map_or(0, GroupState::base_index)
        };
        let prefixes = prefixes
            .iter()
            .filter(|(group, last, _)| later(group, last));
        let changes: Vec<_> = prefixes
            .map(|(group, last, configuration)| {
                let base = Base {
                    last: *last,
                    configuration: configuration.clone(),
                    snapshot: None,
                };
                (*group, Change::Purge(base))
            })
            .collect();
        self.commit(&changes)
    }

    /// Says that the caller has seen to groups that may have been lost without a trace ([`Recovered::unlisted`]):
    /// from here on a group that the log does not know is a new one. Durable with the next sync.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Poisoned`].
    pub fn accept_unlisted(&mut self) -> Result<()> {
        self.check_poison()?;
        let before = self.unlisted.take();
        let len = FRAME_LEN + self.encode_state().0.len();
        if let Err(error) = self.make_room(len, false) {
            self.unlisted = before;
            return Err(error);
        }
        self.write_state()
    }

    /// Forces everything appended so far to the disk, with one fdatasync if there is anything. Returns the number of
    /// the last batch, which is durable with all before it.
    ///
    /// # Errors
    /// [`Error::Poisoned`]: nobody knows what the disk holds.
    pub fn sync(&mut self) -> Result<u64> {
        self.check_poison()?;
        if self.active.is_dirty() {
            let synced = self.active.sync();
            self.or_poison(synced)?;
        }
        self.durable = self.seq;
        Ok(self.durable)
    }

    /// Number of the last batch appended.
    pub fn appended(&self) -> u64 {
        self.seq
    }

    /// Number of the last batch known durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Figures of this moment.
    pub fn stats(&self) -> Stats {
        let closed: u64 = self.closed.iter().map(|segment| segment.len).sum();
        let runs = self.groups.values().flat_map(|group| &group.runs);
        Stats {
            segments: self.closed.len() + 1,
            bytes: closed + self.active.position,
            live_bytes: runs.map(|run| run.bytes).sum(),
            groups: self.groups.len(),
        }
    }

    /// Closes the log cleanly: everything durable, ended by a footer, after which nothing can be taken for a torn tail.
    ///
    /// # Errors
    /// [`Error::Poisoned`]; what was durable before is safe all the same.
    pub fn close(mut self) -> Result<()> {
        self.check_poison()?;
        let len = FRAME_LEN + self.encode_state().0.len();
        // With it, damage anywhere before concerns no group that it lists.
        if !self.active.is_empty() && self.active.has_room(len) {
            self.write_state()?;
        }
        let sealed = self.active.seal(self.seq);
        self.or_poison(sealed)
    }

    pub(crate) fn check_poison(&self) -> Result<()> {
        match &self.poison {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned {
                cause: cause.clone(),
            }),
        }
    }

    /// Stops the log after a failed write or sync.
    pub(crate) fn or_poison<T>(&mut self, result: storage::Result<T>) -> Result<T> {
        result.map_err(|error| {
            let cause = self.poison.get_or_insert_with(|| error.to_string());
            Error::Poisoned {
                cause: cause.clone(),
            }
        })
    }

    /// Appends a batch. All of it fits its groups, or nothing is written.
    pub(crate) fn commit(&mut self, changes: &[(GroupId, Change<'_>)]) -> Result<u64> {
        self.check_poison()?;
        self.check(changes)?;
        if changes.is_empty() {
            return Ok(self.seq);
        }
        let seq = self.seq + 1;
        let frame = self.encode(changes, seq);
        if frame.len() > MOST {
            let len = frame.len();
            return Err(Error::BatchTooLarge { len, max: MOST });
        }
        self.make_room(frame.len(), changes.iter().any(|(_, change)| grows(change)))?;
        let head = FrameHead {
            kind: BATCH,
            count: changes.len() as u32,
            seq,
            durable: self.active.durable,
        };
        let frame = finish_frame(frame, head, self.active.header.salt, self.active.position);
        let written = self.active.append(&frame);
        self.or_poison(written)?;
        self.seq = seq;
        let segment = self.active.id();
        for (group, change) in changes {
            match change {
                Change::Remove => drop(self.groups.remove(group)),
                change => {
                    let state = self.groups.entry(*group).or_default();
                    state.apply(change, segment, seq);
                }
            }
        }
        if frame.capacity() <= KEEP {
            self.buffer = frame;
        }
        Ok(seq)
    }

    /// Whether each change fits its group as the ones before leave it.
    fn check(&self, changes: &[(GroupId, Change<'_>)]) -> Result<()> {
        let mut extents: BTreeMap<GroupId, Extent> = BTreeMap::new();
        for (group, change) in changes {
            let state = self.groups.get(group);
            let heals = matches!(change, Change::Write { anew: true, .. } | Change::Remove);
            if !heals && !extents.contains_key(group) {
                let place = match state {
                    Some(state) => &state.damage,
                    None => &self.unlisted,
                };
                if let Some(place) = place {
                    return Err(Error::GroupDamaged {
                        group: *group,
                        damage: damage(&self.directory.path, place),
                    });
                }
            }
            let extent = extents
                .entry(*group)
                .or_insert_with(|| state.map_or_else(Extent::default, GroupState::extent));
            *extent = extent.after(change).map_err(|what| Error::Invalid {
                group: *group,
                what,
            })?;
        }
        Ok(())
    }

    /// The frame of a batch, not yet completed.
    fn encode(&mut self, changes: &[(GroupId, Change<'_>)], seq: u64) -> Vec<u8> {
        let mut frame = begin_frame(std::mem::take(&mut self.buffer));
        let mut latest = BTreeMap::new();
        for (group, change) in changes {
            let before = latest.get(group).copied();
            let before = before.or_else(|| self.groups.get(group).map(|state| state.latest));
            put_record(&mut frame, seq, *group, before.unwrap_or(0), change);
            latest.insert(*group, if *change == Change::Remove { 0 } else { seq });
        }
        frame
    }

    /// Makes the active segment one with room for a frame of `len` bytes. What does not grow the log may use up the
    /// segment created ahead.
    pub(crate) fn make_room(&mut self, len: usize, grows: bool) -> Result<()> {
        if self.active.has_room(len) {
            return Ok(());
        }
        let state = FRAME_LEN + self.encode_state().0.len();
        let needed = (HEADER_LEN + state + len + FRAME_LEN) as u64;
        if let Err(error) = self.prepare_spare(needed, grows) {
            let is_full = matches!(error, Error::DiskFull { .. });
            if !is_full || self.remove_unneeded()? == 0 {
                return Err(error);
            }
            self.prepare_spare(needed, grows)?;
        }
        let sealed = self.active.seal(self.seq);
        self.or_poison(sealed)?;
        let next = self.spares.remove(0);
        let full = std::mem::replace(&mut self.active, next);
        self.closed.push(full.close());
        self.write_state()?;
        self.remove_unneeded()?;
        Ok(())
    }

    /// Makes the first spare one with room for `needed` bytes, and sees to one behind it and to room for the active segment's footer.
    fn prepare_spare(&mut self, needed: u64, grows: bool) -> Result<()> {
        let reserved = self.active.reserve_footer();
        self.or_full(reserved)?;
        let usual = self.directory.options.segment_bytes;
        match self.spares.first_mut() {
            Some(spare) => {
                let reserved = spare.reserve(needed);
                self.or_full(reserved)?;
            }
            None => self.create_spare(needed.max(usual))?,
        }
        if self.spares.len() < 2 {
            match self.create_spare(usual) {
                Err(Error::DiskFull { .. }) if !grows => {}
                created => created?,
            }
        }
        Ok(())
    }

    fn create_spare(&mut self, capacity: u64) -> Result<()> {
        let created = self.directory.create(self.next_id, capacity);
        let spare = self.or_full(created)?;
        self.next_id += 1;
        self.spares.push(spare);
        Ok(())
    }

    /// A full disk is an error that leaves the log as it was; all others poison it.
    fn or_full<T>(&mut self, result: storage::Result<T>) -> Result<T> {
        match result {
            Err(storage::Error::DiskFull { .. }) => Err(disk_full(&self.directory.path)),
            result => self.or_poison(result),
        }
    }

    /// The frame that lists all groups, not yet completed, and how many it lists.
    fn encode_state(&self) -> (Vec<u8>, u32) {
        let summaries = self.groups.iter();
        let state = State {
            unlisted: self.unlisted.clone(),
            groups: summaries
                .map(|(group, state)| state.summary(*group))
                .collect(),
        };
        let mut frame = begin_frame(Vec::new());
        let count = put_state(&mut frame, self.seq, &state);
        (frame, count)
    }

    /// Appends a frame that lists all groups.
    fn write_state(&mut self) -> Result<()> {
        let (frame, count) = self.encode_state();
        let head = FrameHead {
            kind: STATE,
            count,
            seq: self.seq,
            durable: self.active.durable,
        };
        let frame = finish_frame(frame, head, self.active.header.salt, self.active.position);
        let written = self.active.append(&frame);
        self.or_poison(written)
    }
}

fn full_or(error: storage::Error, dir: &Path) -> Error {
    match error {
        storage::Error::DiskFull { .. } => disk_full(dir),
        error => error.into(),
    }
}

fn change(write: &Write, anew: bool) -> Change<'_> {
    let base = write.snapshot.as_ref().map(|snapshot| Base {
        last: snapshot.last,
        configuration: snapshot.configuration.clone(),
        snapshot: Some(snapshot.id),
    });
    Change::Write {
        anew,
        hard_state: write.hard_state,
        base,
        entries: Cow::Borrowed(&write.entries),
    }
}

/// Whether it takes space that nothing gives back soon.
fn grows(change: &Change<'_>) -> bool {
    matches!(change, Change::Write { entries, .. } if !entries.is_empty())
}
