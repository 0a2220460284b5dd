//! The records in frames, as bytes. `docs/format-raft-log.md` draws them.
//!
//! Decoding never panics and never allocates more than the bytes at hand ask for.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use raft::{Configuration, Entry, HardState, LogId, NodeId, Payload};
use storage::log::{Cursor, FOOTER, Layout, put_varint};

use crate::{Base, GroupId};

/// Version of the format, in the identity file and in every segment.
pub const FORMAT: u32 = 1;

/// Kind of the only sort of segment.
pub(crate) const SEGMENT: u8 = b'R';
/// Kind of a frame with one record or more of groups: a batch.
pub(crate) const BATCH: u8 = b'B';
/// Kind of a frame with the state of all groups.
pub(crate) const STATE: u8 = b'S';

pub(crate) const LAYOUT: Layout = Layout {
    magic: *b"KPRAFTL",
    format: FORMAT,
    owner: "the Raft log",
    segment_kinds: &[SEGMENT],
    frame_kinds: &[BATCH, STATE, FOOTER],
};

/// What a record of a batch does to its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// What [`raft::Write`] says; with `anew` to an empty group.
    Write {
        anew: bool,
        hard_state: Option<HardState>,
        base: Option<Base>,
        entries: Cow<'a, [Entry]>,
    },
    /// The log begins later.
    Purge(Base),
    /// Entries that an old segment also holds, unchanged.
    Moved(Vec<Entry>),
    /// The group is gone.
    Remove,
}

/// A record of a batch, as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) group: GroupId,
    /// Number of the batch with the group's previous record; 0 if there is none.
    pub(crate) previous: u64,
    pub(crate) change: Change<'static>,
}

/// What a frame of kind [`STATE`] says of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupSummary {
    pub(crate) group: GroupId,
    /// Number of the batch with the group's latest record.
    pub(crate) latest: u64,
    pub(crate) hard_state: HardState,
    pub(crate) base: Option<Base>,
    /// The last entry, or that of `base`.
    pub(crate) last: LogId,
    pub(crate) damage: Option<Place>,
}

/// A damaged place, by the number of its segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) what: String,
}

/// The records of a frame of kind [`STATE`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Damage by which groups may be lost that are not listed.
    pub(crate) unlisted: Option<Place>,
    pub(crate) groups: Vec<GroupSummary>,
}

const WRITE: u8 = 1;
const PURGE: u8 = 2;
const MOVED: u8 = 3;
const REMOVE: u8 = 4;

const ANEW: u8 = 1;
const HARD_STATE: u8 = 2;
const SNAPSHOT: u8 = 4;
const ENTRIES: u8 = 8;

const BASE: u8 = 1;
const DAMAGED: u8 = 2;

const NOOP: u8 = 0;
const COMMAND: u8 = 1;
const CONFIGURATION: u8 = 2;

/// Appends a record of `group` to a batch that will have number `seq`; the group's previous record is in `previous`, or
/// that is 0.
pub(crate) fn put_record(
    out: &mut Vec<u8>,
    seq: u64,
    group: GroupId,
    previous: u64,
    change: &Change<'_>,
) {
    put_varint(out, group);
    put_varint(out, seq - previous);
    match change {
        Change::Write {
            anew,
            hard_state,
            base,
            entries,
        } => {
            let flag = |is_set, flag| if is_set { flag } else { 0 };
            out.push(WRITE);
            out.push(
                flag(*anew, ANEW)
                    | flag(hard_state.is_some(), HARD_STATE)
                    | flag(base.is_some(), SNAPSHOT)
                    | flag(!entries.is_empty(), ENTRIES),
            );
            if let Some(hard_state) = hard_state {
                put_hard_state(out, hard_state);
            }
            if let Some(base) = base {
                put_base(out, base);
            }
            put_entries(out, entries);
        }
        Change::Purge(base) => {
            out.push(PURGE);
            put_base(out, base);
        }
        Change::Moved(entries) => {
            out.push(MOVED);
            put_entries(out, entries);
        }
        Change::Remove => out.push(REMOVE),
    }
}

/// The records of a batch with number `seq`; `None` if these are not exactly `count` records.
pub(crate) fn take_batch(payload: &[u8], seq: u64, count: u32) -> Option<Vec<Record>> {
    let mut cursor = Cursor {
        bytes: payload,
        position: 0,
    };
    let mut records = Vec::new();
    for _ in 0..count {
        let group = cursor.varint()?;
        let previous = seq.checked_sub(cursor.varint()?)?;
        let change = take_change(&mut cursor)?;
        records.push(Record {
            group,
            previous,
            change,
        });
    }
    (cursor.position == payload.len()).then_some(records)
}

fn take_change(cursor: &mut Cursor<'_>) -> Option<Change<'static>> {
    let change = match cursor.byte()? {
        WRITE => {
            let flags = cursor.byte()?;
            if flags >= ENTRIES << 1 {
                return None;
            }
            let is_set = |flag| flags & flag != 0;
            let hard_state = match is_set(HARD_STATE) {
                true => Some(take_hard_state(cursor)?),
                false => None,
            };
            let base = match is_set(SNAPSHOT) {
                true => Some(take_base(cursor)?),
                false => None,
            };
            let entries = match is_set(ENTRIES) {
                true => take_entries(cursor)?,
                false => Vec::new(),
            };
            Change::Write {
                anew: is_set(ANEW),
                hard_state,
                base,
                entries: entries.into(),
            }
        }
        PURGE => Change::Purge(take_base(cursor)?),
        MOVED => Change::Moved(take_entries(cursor)?),
        REMOVE => Change::Remove,
        _ => return None,
    };
    Some(change)
}

/// Appends the records of a frame of kind [`STATE`] that stands behind batch `seq`, and returns their number.
pub(crate) fn put_state(out: &mut Vec<u8>, seq: u64, state: &State) -> u32 {
    put_place(out, state.unlisted.as_ref());
    for summary in &state.groups {
        put_varint(out, summary.group);
        put_varint(out, seq - summary.latest);
        let base_flag = if summary.base.is_some() { BASE } else { 0 };
        let damage_flag = if summary.damage.is_some() { DAMAGED } else { 0 };
        out.push(base_flag | damage_flag);
        put_hard_state(out, &summary.hard_state);
        if let Some(base) = &summary.base {
            put_base(out, base);
        }
        put_log_id(out, summary.last);
        if summary.damage.is_some() {
            put_place(out, summary.damage.as_ref());
        }
    }
    state.groups.len() as u32
}

/// What [`put_state`] appended; `None` if it is not exactly that.
pub(crate) fn take_state(payload: &[u8], seq: u64, count: u32) -> Option<State> {
    let mut cursor = Cursor {
        bytes: payload,
        position: 0,
    };
    let mut state = State {
        unlisted: take_place(&mut cursor)?,
        groups: Vec::new(),
    };
    for _ in 0..count {
        state.groups.push(take_summary(&mut cursor, seq)?);
    }
    (cursor.position == payload.len()).then_some(state)
}

fn take_summary(cursor: &mut Cursor<'_>, seq: u64) -> Option<GroupSummary> {
    let group = cursor.varint()?;
    let latest = seq.checked_sub(cursor.varint()?)?;
    let flags = cursor.byte()?;
    if flags >= DAMAGED << 1 {
        return None;
    }
    let hard_state = take_hard_state(cursor)?;
    let base = match flags & BASE {
        0 => None,
        _ => Some(take_base(cursor)?),
    };
    let last = take_log_id(cursor)?;
    let damage = match flags & DAMAGED {
        0 => None,
        _ => take_place(cursor)?,
    };
    Some(GroupSummary {
        group,
        latest,
        hard_state,
        base,
        last,
        damage,
    })
}

fn put_place(out: &mut Vec<u8>, place: Option<&Place>) {
    let Some(place) = place else {
        // Segments are counted from 1.
        return out.push(0);
    };
    put_varint(out, u64::from(place.segment));
    put_varint(out, place.offset);
    put_varint(out, place.what.len() as u64);
    out.extend_from_slice(place.what.as_bytes());
}

fn take_place(cursor: &mut Cursor<'_>) -> Option<Option<Place>> {
    let segment = u32::try_from(cursor.varint()?).ok()?;
    if segment == 0 {
        return Some(None);
    }
    let offset = cursor.varint()?;
    let len = cursor.varint()?;
    let what = String::from_utf8(cursor.take(len)?.to_vec()).ok()?;
    Some(Some(Place {
        segment,
        offset,
        what,
    }))
}

fn put_hard_state(out: &mut Vec<u8>, hard_state: &HardState) {
    put_varint(out, hard_state.term);
    put_optional(out, hard_state.voted_for);
}

fn take_hard_state(cursor: &mut Cursor<'_>) -> Option<HardState> {
    Some(HardState {
        term: cursor.varint()?,
        voted_for: take_optional(cursor)?,
    })
}

fn put_optional(out: &mut Vec<u8>, value: Option<u64>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put_varint(out, value);
    }
}

fn take_optional(cursor: &mut Cursor<'_>) -> Option<Option<u64>> {
    match cursor.byte()? {
        0 => Some(None),
        1 => Some(Some(cursor.varint()?)),
        _ => None,
    }
}

fn put_log_id(out: &mut Vec<u8>, id: LogId) {
    put_varint(out, id.term);
    put_varint(out, id.index);
}

fn take_log_id(cursor: &mut Cursor<'_>) -> Option<LogId> {
    let (term, index) = (cursor.varint()?, cursor.varint()?);
    // There is an index behind it.
    (index < u64::MAX).then_some(LogId { term, index })
}

fn put_base(out: &mut Vec<u8>, base: &Base) {
    put_log_id(out, base.last);
    put_optional(out, base.snapshot);
    put_configuration(out, &base.configuration);
}

fn take_base(cursor: &mut Cursor<'_>) -> Option<Base> {
    Some(Base {
        last: take_log_id(cursor)?,
        snapshot: take_optional(cursor)?,
        configuration: take_configuration(cursor)?,
    })
}

fn put_configuration(out: &mut Vec<u8>, configuration: &Configuration) {
    let Configuration {
        voters,
        outgoing,
        learners,
        incoming_learners,
    } = configuration;
    for nodes in [voters, outgoing, learners, incoming_learners] {
        put_varint(out, nodes.len() as u64);
        for &node in nodes {
            put_varint(out, node);
        }
    }
}

fn take_configuration(cursor: &mut Cursor<'_>) -> Option<Configuration> {
    Some(Configuration {
        voters: take_nodes(cursor)?,
        outgoing: take_nodes(cursor)?,
        learners: take_nodes(cursor)?,
        incoming_learners: take_nodes(cursor)?,
    })
}

fn take_nodes(cursor: &mut Cursor<'_>) -> Option<BTreeSet<NodeId>> {
    (0..cursor.varint()?).map(|_| cursor.varint()).collect()
}

/// Appends entries whose indexes follow each other; nothing for none.
fn put_entries(out: &mut Vec<u8>, entries: &[Entry]) {
    let Some(first) = entries.first() else {
        return;
    };
    put_varint(out, first.id.index);
    put_varint(out, entries.len() as u64);
    for entry in entries {
        put_varint(out, entry.id.term);
        match &entry.payload {
            Payload::Noop => out.push(NOOP),
            Payload::Command(command) => {
                out.push(COMMAND);
                put_varint(out, command.len() as u64);
                out.extend_from_slice(command);
            }
            Payload::Configuration(configuration) => {
                out.push(CONFIGURATION);
                put_configuration(out, configuration);
            }
        }
    }
}

fn take_entries(cursor: &mut Cursor<'_>) -> Option<Vec<Entry>> {
    let first = cursor.varint()?;
    let count = cursor.varint()?;
    // Every index, and the one behind, must be a number; and none means no entries at all.
    first
        .checked_add(count)
        .filter(|_| count > 0 && first > 0)?;
    let entry = |number| {
        let id = LogId {
            term: cursor.varint()?,
            index: first + number,
        };
        let payload = match cursor.byte()? {
            NOOP => Payload::Noop,
            COMMAND => {
                let len = cursor.varint()?;
                Payload::Command(Bytes::copy_from_slice(cursor.take(len)?))
            }
            CONFIGURATION => Payload::Configuration(take_configuration(cursor)?),
            _ => return None,
        };
        Some(Entry { id, payload })
    };
    (0..count).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn log_id() -> impl Strategy<Value = LogId> {
        (any::<u64>(), 0..u64::MAX).prop_map(|(term, index)| LogId { term, index })
    }

    fn hard_state() -> impl Strategy<Value = HardState> {
        (any::<u64>(), any::<Option<u64>>())
            .prop_map(|(term, voted_for)| HardState { term, voted_for })
    }

    fn configuration() -> impl Strategy<Value = Configuration> {
        let nodes = || btree_set(any::<u64>(), 0..4);
        (nodes(), nodes(), nodes(), nodes()).prop_map(
            |(voters, outgoing, learners, incoming_learners)| Configuration {
                voters,
                outgoing,
                learners,
                incoming_learners,
            },
        )
    }

    fn base() -> impl Strategy<Value = Base> {
        (log_id(), configuration(), any::<Option<u64>>()).prop_map(
            |(last, configuration, snapshot)| Base {
                last,
                configuration,
                snapshot,
            },
        )
    }

    fn entries(most: usize) -> impl Strategy<Value = Vec<Entry>> {
        let payload = prop_oneof![
            Just(Payload::Noop),
            vec(any::<u8>(), 0..200).prop_map(|bytes| Payload::Command(bytes.into())),
            configuration().prop_map(Payload::Configuration),
        ];
        let entry = (any::<u64>(), payload);
        (1..u64::MAX / 2, vec(entry, most.min(1)..=most)).prop_map(|(first, entries)| {
            let entries = entries.into_iter().zip(first..);
            entries
                .map(|((term, payload), index)| Entry {
                    id: LogId { term, index },
                    payload,
                })
                .collect()
        })
    }

    fn change() -> impl Strategy<Value = Change<'static>> {
        let some_entries = prop_oneof![entries(0), entries(5)];
        let write = (
            any::<bool>(),
            prop::option::of(hard_state()),
            prop::option::of(base()),
            some_entries,
        );
        prop_oneof![
            write.prop_map(|(anew, hard_state, base, entries)| Change::Write {
                anew,
                hard_state,
                base,
                entries: entries.into(),
            }),
            base().prop_map(Change::Purge),
            entries(5).prop_map(Change::Moved),
            Just(Change::Remove),
        ]
    }

    fn place() -> impl Strategy<Value = Place> {
        (1..u32::MAX, any::<u64>(), "[ -~]{0,40}").prop_map(|(segment, offset, what)| Place {
            segment,
            offset,
            what,
        })
    }

    fn summary() -> impl Strategy<Value = GroupSummary> {
        let marks = (prop::option::of(base()), prop::option::of(place()));
        (any::<u64>(), 0..1000_u64, hard_state(), log_id(), marks).prop_map(
            |(group, latest, hard_state, last, (base, damage))| GroupSummary {
                group,
                latest,
                hard_state,
                base,
                last,
                damage,
            },
        )
    }

    proptest! {
        #[test]
        fn records_decode_to_what_they_were_made_of(
            records in vec((any::<u64>(), 0..1000_u64, change()), 0..6),
        ) {
            let mut bytes = Vec::new();
            for (group, previous, change) in &records {
                put_record(&mut bytes, 1000, *group, *previous, change);
            }
            let found = take_batch(&bytes, 1000, records.len() as u32);
            let records = records.into_iter();
            let records = records.map(|(group, previous, change)| Record { group, previous, change });
            prop_assert_eq!(found, Some(records.collect()));
        }

        #[test]
        fn a_state_decodes_to_what_it_was_made_of(
            unlisted in prop::option::of(place()),
            groups in vec(summary(), 0..6),
        ) {
            let state = State { unlisted, groups };
            let mut bytes = Vec::new();
            let count = put_state(&mut bytes, 1000, &state);
            prop_assert_eq!(take_state(&bytes, 1000, count), Some(state));
        }

        #[test]
        fn any_bytes_decode_to_something_or_nothing(
            bytes in vec(prop_oneof![0..16_u8, any::<u8>()], 0..200),
            seq in any::<u64>(),
            count in prop_oneof![0..4_u32, any::<u32>()],
        ) {
            // A count that is made up reserves no memory, and no number overflows.
            let _ = take_batch(&bytes, seq, count);
            let _ = take_state(&bytes, seq, count);
        }
    }
}
