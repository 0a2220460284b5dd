//! What must hold of what clients saw, given what is recorded in the end.
//!
//! The timestamps of all transactions are known, so snapshot isolation need not be inferred: each read has one right answer. Circles of
//! dependencies are looked for all the same, by a checker that knows nothing of timestamps (`history::snapshot`).

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use history::snapshot::{self, Fate, Transaction};
use percolator::{Column, Timestamp, Write, WriteKind, decode_key, default_key};
use storage::{Direction, KeyRange, Reader};

use crate::workload::{ACCOUNTS, BALANCE, LISTS, Seen, Told, appended, list, total};

/// All versions of a key that were ever committed, by commit timestamp: who wrote them, and what.
type Versions = BTreeMap<Timestamp, (Timestamp, Option<Bytes>)>;

/// What was committed.
pub(crate) struct Committed(BTreeMap<Bytes, Versions>);

impl Committed {
    /// Reads the records themselves, not through what is tested.
    pub(crate) fn of(reader: &dyn Reader) -> Self {
        let mut keys = BTreeMap::<Bytes, Versions>::new();
        for entry in reader.scan(&Column::Write.range(&KeyRange::all()), Direction::Forward) {
            let (engine_key, bytes) = entry.unwrap();
            let (key, commit_ts) = decode_key(Column::Write, &engine_key).unwrap();
            let write = Write::decode(&key, commit_ts, &bytes).unwrap();
            let value = match write.kind {
                WriteKind::Put => Some(write.short_value.unwrap_or_else(|| {
                    reader
                        .get(&default_key(&key, write.start_ts))
                        .unwrap()
                        .unwrap()
                })),
                WriteKind::Delete => None,
                WriteKind::Lock | WriteKind::Rollback => continue,
            };
            let versions = keys.entry(key).or_default();
            versions.insert(commit_ts, (write.start_ts, value));
        }
        Self(keys)
    }

    fn at(&self, key: &Bytes, ts: Timestamp) -> Option<Bytes> {
        let versions = self.0.get(key)?;
        let (_, (_, value)) = versions.range(..=ts).next_back()?;
        value.clone()
    }

    /// The start of the transaction whose value `key` had at `ts`, or which had deleted it.
    fn writer_at(&self, key: &Bytes, ts: Timestamp) -> Option<Timestamp> {
        let (_, (writer, _)) = self.0.get(key)?.range(..=ts).next_back()?;
        Some(*writer)
    }

    /// When a transaction committed `key`, and what it wrote.
    fn by(&self, key: &Bytes, start_ts: Timestamp) -> Option<(Timestamp, &Option<Bytes>)> {
        let mut versions = self.0.get(key)?.iter();
        versions
            .find(|(_, (writer, _))| *writer == start_ts)
            .map(|(commit_ts, (_, value))| (*commit_ts, value))
    }
}

/// The first thing that does not hold.
pub(crate) fn check(history: &[Seen], committed: &Committed) -> Result<(), String> {
    let mut ends = Vec::new();
    for seen in history {
        snapshot_reads(seen, committed)?;
        if seen.reads.len() as u64 == ACCOUNTS && total(&seen.reads) != ACCOUNTS * BALANCE {
            return Err(format!(
                "the money of {seen:?} is not {}",
                ACCOUNTS * BALANCE
            ));
        }
        let end = all_or_nothing(seen, committed)?;
        if let Some(commit_ts) = end {
            locked_until_commit(seen, commit_ts, committed)?;
        }
        ends.extend(end.map(|commit_ts| (seen, commit_ts)));
    }
    first_committer_wins(&ends)?;
    nothing_lost_of_lists(committed)?;
    real_time(history)?;
    no_circle(history, committed)
}

/// What was seen is snapshot isolation for somebody who knows only which transaction wrote what was read.
fn no_circle(history: &[Seen], committed: &Committed) -> Result<(), String> {
    let numbers = history.iter().enumerate();
    let numbers = numbers.map(|(number, seen)| (seen.start_ts, number));
    let numbers: HashMap<_, _> = numbers.collect();
    // Those of the first transaction count as there from the beginning.
    let number = |writer: Option<Timestamp>| writer.and_then(|ts| numbers.get(&ts).copied());
    let all = history.iter().map(|seen| {
        let end = seen
            .writes
            .keys()
            .find_map(|key| committed.by(key, seen.start_ts));
        let end = end.map(|(commit_ts, _)| commit_ts);
        let mut reads: Vec<_> = seen
            .reads
            .keys()
            .map(|key| (key, committed.writer_at(key, seen.start_ts)))
            .collect();
        // What is locked stays until the commit; nobody knows until when it stays without one.
        if let Some(before) = end.and_then(Timestamp::previous) {
            let locked = seen.locked.keys();
            reads.extend(locked.map(|key| (key, committed.writer_at(key, before))));
        }
        let named = reads.into_iter();
        let named = named.map(|(key, writer)| (key, (name(key), number(writer))));
        let (writes, reads): (Vec<_>, Vec<_>) =
            named.partition(|(key, _)| seen.writes.contains_key(*key));
        Transaction {
            called: seen.from,
            fate: match (seen.told, end) {
                (Told::Committed(_), _) => Fate::Committed(seen.to),
                (Told::Aborted, _) | (Told::Unknown, None) => Fate::Aborted,
                (Told::Unknown, Some(_)) => Fate::Unknown,
            },
            reads: reads.into_iter().map(|(_, seen)| seen).collect(),
            writes: writes.into_iter().map(|(_, seen)| seen).collect(),
        }
    });
    let all: Vec<_> = all.collect();
    snapshot::check(&all)
        .map(drop)
        .map_err(|anomaly| anomaly.to_string())
}

/// A number for a key, as the checker of circles wants it: its last bytes.
fn name(key: &Bytes) -> u64 {
    key.iter()
        .fold(0, |name, byte| name << 8 | u64::from(*byte))
}

/// What was read is what was committed at or below the start, also by those who aborted in the end.
fn snapshot_reads(seen: &Seen, committed: &Committed) -> Result<(), String> {
    for (key, value) in &seen.reads {
        let right = committed.at(key, seen.start_ts);
        if *value != right {
            return Err(format!(
                "{key:?} at {} should be {right:?}: {seen:?}",
                seen.start_ts
            ));
        }
    }
    Ok(())
}

/// What was there when a key was locked is what was there until the commit.
fn locked_until_commit(
    seen: &Seen,
    commit_ts: Timestamp,
    committed: &Committed,
) -> Result<(), String> {
    for (key, value) in &seen.locked {
        let right = commit_ts
            .previous()
            .and_then(|before| committed.at(key, before));
        if *value != right {
            return Err(format!(
                "{key:?} changed to {right:?} under the lock of {seen:?}"
            ));
        }
    }
    Ok(())
}

/// A transaction is committed on all of its keys at one timestamp or on none, as its client was told. Gives that timestamp.
fn all_or_nothing(seen: &Seen, committed: &Committed) -> Result<Option<Timestamp>, String> {
    let mut ends = Vec::new();
    for (key, value) in &seen.writes {
        let end = committed.by(key, seen.start_ts);
        if end.is_some_and(|(_, found)| found != value) {
            return Err(format!("{key:?} has another value: {end:?}, {seen:?}"));
        }
        ends.push(end.map(|(commit_ts, _)| commit_ts));
    }
    ends.dedup();
    match (ends[..].first().copied().flatten(), seen.told) {
        _ if ends.len() > 1 => Err(format!("committed in part, at {ends:?}: {seen:?}")),
        (Some(end), Told::Committed(at)) if at != end => {
            Err(format!("committed at {end}: {seen:?}"))
        }
        (Some(end), Told::Aborted) => Err(format!("committed at {end} though aborted: {seen:?}")),
        (None, Told::Committed(_)) if !seen.writes.is_empty() => {
            Err(format!("not committed: {seen:?}"))
        }
        (end, _) => Ok(end),
    }
}

/// Of two transactions that were under way at one time and wrote one key that neither locked before, one is not committed.
fn first_committer_wins(ends: &[(&Seen, Timestamp)]) -> Result<(), String> {
    for (index, (one, one_end)) in ends.iter().enumerate() {
        for (two, two_end) in &ends[..index] {
            let overlap = one.start_ts < *two_end && two.start_ts < *one_end;
            let was_locked = |key| one.locked.contains_key(key) || two.locked.contains_key(key);
            let mut both = one
                .writes
                .keys()
                .filter(|key| two.writes.contains_key(*key));
            if overlap && both.any(|key| !was_locked(key)) {
                return Err(format!(
                    "both committed: {one:?} at {one_end}, {two:?} at {two_end}"
                ));
            }
        }
    }
    Ok(())
}

/// Each version of a list is the one before it, and who wrote it.
fn nothing_lost_of_lists(committed: &Committed) -> Result<(), String> {
    for key in (0..LISTS).map(list) {
        let mut before: Option<&Bytes> = None;
        for (commit_ts, (writer, value)) in committed.0.get(&key).into_iter().flatten() {
            let right = appended(before, *writer);
            if value.as_ref() != Some(&right) {
                return Err(format!(
                    "{key:?} at {commit_ts} should be {right:?}: {value:?}"
                ));
            }
            before = value.as_ref();
        }
    }
    Ok(())
}

/// Who begins after somebody was told that he is committed sees it.
fn real_time(history: &[Seen]) -> Result<(), String> {
    for early in history {
        let Told::Committed(commit_ts) = early.told else {
            continue;
        };
        let late = history
            .iter()
            .find(|late| late.from > early.to && late.start_ts < commit_ts);
        if let Some(late) = late {
            return Err(format!("{late:?} began after {early:?}, and below it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(versions: &[(&'static str, u64, u64, &'static str)]) -> Committed {
        let mut keys = BTreeMap::<Bytes, Versions>::new();
        for (key, start, commit, value) in versions {
            let versions = keys.entry(Bytes::from_static(key.as_bytes())).or_default();
            versions.insert(
                Timestamp(*commit),
                (
                    Timestamp(*start),
                    Some(Bytes::from_static(value.as_bytes())),
                ),
            );
        }
        Committed(keys)
    }

    fn seen(
        start: u64,
        reads: &[(&'static str, &'static str)],
        writes: &[(&'static str, &'static str)],
        told: Told,
    ) -> Seen {
        let map = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| {
                    (
                        Bytes::from_static(key.as_bytes()),
                        Some(Bytes::from_static(value.as_bytes())),
                    )
                })
                .collect()
        };
        Seen {
            from: start,
            to: match told {
                Told::Committed(at) => at.0,
                Told::Aborted | Told::Unknown => start,
            },
            start_ts: Timestamp(start),
            reads: map(reads),
            locked: BTreeMap::new(),
            writes: map(writes),
            told,
        }
    }

    fn at(ts: u64) -> Told {
        Told::Committed(Timestamp(ts))
    }

    #[test]
    fn a_history_of_snapshot_isolation_passes_and_write_skew_is_one() {
        let recorded = committed(&[
            ("a", 1, 2, "0"),
            ("b", 1, 2, "0"),
            ("a", 3, 6, "1"),
            ("b", 4, 5, "1"),
        ]);
        let history = [
            seen(3, &[("a", "0"), ("b", "0")], &[("a", "1")], at(6)),
            seen(4, &[("a", "0"), ("b", "0")], &[("b", "1")], at(5)),
        ];
        assert_eq!(check(&history, &recorded), Ok(()));
    }

    #[test]
    fn each_thing_that_must_not_be_is_found() {
        let recorded = || committed(&[("a", 1, 2, "0"), ("a", 3, 6, "1"), ("b", 3, 6, "1")]);
        let found = |history: &[Seen], recorded: &Committed| check(history, recorded).unwrap_err();
        let stale = seen(7, &[("a", "0")], &[], at(7));
        assert!(found(&[stale], &recorded()).contains("should be"));
        let both = [("a", "1"), ("b", "1")];
        let in_part = committed(&[("a", 3, 6, "1")]);
        assert!(found(&[seen(3, &[], &both, Told::Unknown)], &in_part).contains("in part"));
        assert!(
            found(&[seen(3, &[], &both, Told::Aborted)], &recorded()).contains("though aborted")
        );
        assert!(found(&[seen(3, &[], &both, at(7))], &recorded()).contains("committed at 6"));
        assert!(found(&[seen(9, &[], &both, at(12))], &recorded()).contains("not committed"));
        let mut late = [seen(3, &[], &both, at(6)), seen(4, &[], &[], Told::Aborted)];
        late[1].from = 7;
        assert!(found(&late, &recorded()).contains("began after"));
        let lost = committed(&[("a", 3, 6, "1"), ("a", 4, 7, "2")]);
        let update = [
            seen(3, &[], &[("a", "1")], Told::Unknown),
            seen(4, &[], &[("a", "2")], Told::Unknown),
        ];
        assert!(found(&update, &lost).contains("both committed"));
        let list = committed(&[("list0", 1, 2, "1 "), ("list0", 3, 6, "3 ")]);
        assert!(found(&[], &list).contains("should be"));
        let mut under_lock = seen(4, &[], &[("a", "2")], at(7));
        under_lock.locked.insert("a".into(), Some("0".into()));
        assert!(found(&[under_lock], &lost).contains("under the lock"));
    }
}
