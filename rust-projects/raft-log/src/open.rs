//! Opening a directory: which bytes count, and where the log goes on.
//!
//! 1. Every segment but the last with frames must be whole and end in a footer: anything else is damage.
//! 2. The last may end in bytes that nobody was told are durable; they are cut off (design decision 6).
//! 3. A damaged last segment takes no more frames: it is sealed as it is, and the log goes on in the next.

use std::path::Path;

use storage::log::{HEADER_LEN, SegmentHeader, tail_candidates};

use crate::record::Place;
use crate::replay::{Outcome, Replay};
use crate::segments::{Closed, Content, Directory, Found, Part, Segment, scan};
use crate::{CutTail, Result};

/// What a directory holds.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) outcome: Outcome,
    pub(crate) closed: Vec<Closed>,
    /// The segment that takes the next frame, unless there is none.
    pub(crate) active: Option<Segment>,
    /// Empty ones behind it.
    pub(crate) spares: Vec<Segment>,
    pub(crate) next_id: u32,
}

/// Reads all segments. The caller holds the directory's lock.
pub(crate) fn open(directory: &Directory) -> Result<Opened> {
    let found = directory.list()?;
    let next_id = found.last().map_or(1, |last| last.id + 1);
    let tails = tail_candidates(found.iter().map(|segment| (segment.id, segment.len)));
    let mut reader = Reader {
        directory,
        replay: Replay::default(),
        tail: None,
        closed: Vec::new(),
        writable: Vec::new(),
        damaged_tail: None,
    };
    for segment in found {
        let is_tail = tails.contains(&segment.id);
        reader.read(&segment, is_tail)?;
    }
    let Reader {
        replay,
        tail,
        mut closed,
        mut writable,
        damaged_tail,
        ..
    } = reader;
    let mut outcome = replay.finish(&directory.path);
    outcome.recovered.tail = tail;
    if let Some((mut segment, has_state)) = damaged_tail {
        segment.seal(outcome.seq)?;
        closed.push(Closed {
            has_state,
            ..segment.close()
        });
        closed.sort_by_key(|segment| segment.id);
    }
    let active = (!writable.is_empty()).then(|| writable.remove(0));
    Ok(Opened {
        outcome,
        closed,
        active,
        spares: writable,
        next_id,
    })
}

struct Reader<'a> {
    directory: &'a Directory,
    replay: Replay,
    tail: Option<CutTail>,
    closed: Vec<Closed>,
    /// Segments at the end of the log, of which all but the first are empty.
    writable: Vec<Segment>,
    /// The last segment with frames, if it is damaged, and whether it begins with a list of all groups.
    damaged_tail: Option<(Segment, bool)>,
}

impl Reader<'_> {
    fn read(&mut self, found: &Found, is_tail: bool) -> Result<()> {
        let is_empty = found.len <= HEADER_LEN as u64;
        match &found.header {
            Ok(header) if is_empty && is_tail => {
                let segment = self.reopen(found, *header, found.len)?;
                self.writable.push(segment);
            }
            Ok(_) if is_empty => self.close(found.id, found.len, false),
            Ok(header) => self.read_frames(found, *header, is_tail)?,
            Err(what) => {
                let place = Place {
                    segment: found.id,
                    offset: 0,
                    what: what.clone(),
                };
                if !is_empty {
                    self.replay.bad(place);
                    self.close(found.id, found.len, false);
                } else {
                    self.replay.note(place);
                    self.directory.remove(found.id)?;
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, id: u32, len: u64, has_state: bool) {
        self.closed.push(Closed { id, len, has_state });
    }

    fn read_frames(&mut self, found: &Found, header: SegmentHeader, is_tail: bool) -> Result<()> {
        let mut bytes = vec![0; found.len as usize];
        found.file.read_exact_at(&mut bytes, 0)?;
        let (parts, durable) = scan(&bytes, header.salt);
        let has_state = matches!(
            parts.first(),
            Some(Part::Frame {
                content: Content::State(_),
                ..
            })
        );
        let mut end = found.len;
        if is_tail && let Some((offset, what)) = torn(&parts, durable) {
            end = offset;
            self.tail = Some(CutTail {
                path: found.path.clone(),
                offset,
                bytes: found.len - offset,
                what,
            });
            found.file.set_len(offset)?;
        }
        let (is_damaged, has_footer) = self.follow(found.id, parts, end);
        if !is_tail {
            if !has_footer {
                self.replay.bad(Place {
                    segment: found.id,
                    offset: end,
                    what: "the segment ends without its footer".into(),
                });
            }
            self.close(found.id, end, has_state);
            return Ok(());
        }
        // The cut, or what only the page cache has after the process was killed, is about to be relied on.
        found.file.sync_data()?;
        let segment = self.reopen(found, header, end)?;
        let segment = segment.with_footer(has_footer);
        match is_damaged {
            true => self.damaged_tail = Some((segment, has_state)),
            false => self.writable.push(segment),
        }
        Ok(())
    }

    /// Follows the parts below `end`: whether there is damage among them, and whether the last one is a footer.
    fn follow(&mut self, segment: u32, parts: Vec<Part<'_>>, end: u64) -> (bool, bool) {
        let mut is_damaged = false;
        let mut has_footer = false;
        for part in parts {
            has_footer = false;
            match part {
                Part::Frame { raw, .. } if raw.offset >= end => break,
                Part::Bad { offset, .. } if offset >= end => break,
                Part::Frame { raw, content } => {
                    has_footer = matches!(content, Content::Footer);
                    self.replay
                        .frame(segment, raw.offset, raw.head.seq, content);
                }
                Part::Bad { offset, what, .. } => {
                    is_damaged = true;
                    self.replay.bad(Place {
                        segment,
                        offset,
                        what,
                    });
                }
            }
        }
        (is_damaged, has_footer)
    }

    /// A segment for more frames. On a full disk it has no room, and the next frame asks for another.
    fn reopen(&self, found: &Found, header: SegmentHeader, len: u64) -> Result<Segment> {
        let mut segment = Segment::new(header, found.file.clone(), len, len);
        match segment.reserve(self.directory.options.segment_bytes) {
            Ok(()) | Err(storage::Error::DiskFull { .. }) => Ok(segment),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where the torn tail begins, and why it is none of the log: the first bad bytes that no frame says were durable.
fn torn(parts: &[Part<'_>], durable: u64) -> Option<(u64, String)> {
    parts.iter().find_map(|part| match part {
        Part::Bad { offset, what, .. } if *offset >= durable => Some((*offset, what.clone())),
        _ => None,
    })
}

/// The error of a disk without room for another segment in `path`.
pub(crate) fn disk_full(path: &Path) -> crate::Error {
    crate::Error::DiskFull {
        path: path.to_owned(),
    }
}
