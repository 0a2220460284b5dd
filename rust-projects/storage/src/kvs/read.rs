//! The read path: from a key to its version to its bytes.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::index::{Found, Index, LeafView, Spot, Version};
use super::segment::segment_path;
use super::shared::{Shared, put_len};
use super::snapshot::Pin;
use crate::{Direction, Entries, Error, KeyRange, Keys, Reader, Result, Seq};

impl Shared {
    /// The newest value of `key` at the position that `at` gives.
    pub(super) fn get(&self, key: &[u8], at: impl Fn() -> Seq) -> Result<Option<Bytes>> {
        let mut found = self.index.find(key, &at, || self.visible());
        let mut missed = None;
        loop {
            let value = match found {
                Some(Found::Spot(spot)) => self.fetch_spot(key, spot)?,
                Some(Found::Version(version)) if version.is_put() => self.fetch(key, &version)?,
                _ => return Ok(None),
            };
            if value.is_some() {
                return Ok(value);
            }
            // Compaction moved the value between the look-up and the read, and the index knows the new place; or the spot
            // was not enough. The same place twice: no segment goes before the index has left it.
            let version = self.index.get(key, &at);
            if let Some(version) = version.filter(|_| version == missed) {
                return Err(self.no_segment(&version));
            }
            missed = version;
            found = version.map(Found::Version);
        }
    }

    fn no_segment(&self, version: &Version) -> Error {
        let what = "the index has a value in this segment, which is not there";
        Error::corrupt(
            &segment_path(&self.dir, version.segment),
            version.offset.into(),
            what,
        )
    }

    /// The value at `spot`, or `None` when it is not there or it takes more to say whether it is.
    fn fetch_spot(&self, key: &[u8], spot: Spot) -> Result<Option<Bytes>> {
        let read = self.segments.with(spot.segment, |segment| {
            self.cache.read_spot(segment, key, spot)
        });
        Ok(read.transpose()?.flatten())
    }

    /// The value of `version`, or `None` when its segment is gone because compaction moved the record.
    fn fetch(&self, key: &[u8], version: &Version) -> Result<Option<Bytes>> {
        // What is acknowledged is in its file.
        if version.seq > self.visible()
            && let Some(value) = self.ring.read_value(version)
        {
            return Ok(Some(value));
        }
        let read = self.segments.with(version.segment, |segment| {
            self.cache.read_value(segment, key, version)
        });
        read.transpose()
    }
}

/// What a view reads at.
#[derive(Debug)]
pub(super) enum Position {
    /// Everything acknowledged.
    Visible,
    /// Everything applied.
    Applied,
    /// A registered position.
    Pinned(Pin),
}

/// A [`Reader`] at a position.
#[derive(Debug)]
pub(super) struct View {
    pub(super) shared: Arc<Shared>,
    pub(super) position: Position,
}

impl View {
    fn at(&self) -> Seq {
        match &self.position {
            Position::Visible => self.shared.visible(),
            Position::Applied => self.shared.applied(),
            Position::Pinned(pin) => pin.seq,
        }
    }

    /// Registers the position this view reads at now.
    fn pin(&self) -> Pin {
        Pin::new(&self.shared, || self.at())
    }
}

impl Reader for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.shared.get(key, || self.at())
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        let pin = self.pin();
        keys.iter()
            .map(|key| self.shared.get(key, || pin.seq))
            .collect()
    }

    fn contains(&self, key: &[u8]) -> Result<bool> {
        let version = self.shared.index.get(key, || self.at());
        Ok(version.is_some_and(|version| version.is_put()))
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let pin = self.pin();
        let mut scan = Scan::new(range, direction);
        Box::new(std::iter::from_fn(move || {
            let shared = &pin.shared;
            let step = scan.next_put(&shared.index, pin.seq)?;
            let value = match shared.fetch(&step.key, &step.version) {
                Ok(None) => shared.get(&step.key, || pin.seq),
                found => found,
            };
            // The pin keeps the version, so a value is found at its old place or its new one.
            let value = value.map(|value| (step.key, value.unwrap_or_default()));
            Some(value)
        }))
    }

    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        let pin = self.pin();
        let mut scan = Scan::new(range, direction);
        Box::new(std::iter::from_fn(move || {
            let step = scan.next_put(&pin.shared.index, pin.seq)?;
            Some(Ok(step.key))
        }))
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        let seq = self.at();
        let mut scan = Scan::new(range, Direction::Forward);
        let mut total = 0;
        while let Some(step) = scan.next_put(&self.shared.index, seq) {
            total += put_len(step.key.len(), step.version.value_len().unwrap_or(0));
        }
        Ok(total)
    }
}

/// One key of a scan.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) key: Bytes,
    pub(super) version: Version,
}

/// A walk over the index in key order. It holds one leaf at a time, so it costs no memory and blocks nobody.
pub(super) struct Scan {
    range: KeyRange,
    direction: Direction,
    leaf: Option<LeafView>,
    /// Forward: index of the next key in the leaf. Reverse: one more than it.
    at: usize,
    /// Where the walk continues when the leaf is done; `None` at the end.
    next: Option<Box<[u8]>>,
    started: bool,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

impl Scan {
    pub(super) fn new(range: &KeyRange, direction: Direction) -> Self {
        Self {
            range: range.clone(),
            direction,
            leaf: None,
            at: 0,
            next: None,
            // An empty range is over before it began.
            started: range.is_empty(),
        }
    }

    /// The next key with a value at `seq`.
    pub(super) fn next_put(&mut self, index: &Index, seq: Seq) -> Option<Step> {
        loop {
            let leaf = self.leaf.take().or_else(|| self.load_next(index, seq))?;
            while let Some(at) = self.advance(&leaf) {
                let version = leaf.visible_at(at, seq).filter(Version::is_put);
                if let Some(version) = version {
                    let key = Bytes::copy_from_slice(leaf.key(at));
                    self.leaf = Some(leaf);
                    return Some(Step { key, version });
                }
            }
        }
    }

    fn advance(&mut self, leaf: &LeafView) -> Option<usize> {
        match self.direction {
            Direction::Forward => {
                let at = self.at;
                self.at += 1;
                (at < leaf.len()).then_some(at)
            }
            Direction::Reverse => {
                self.at = self.at.checked_sub(1)?;
                Some(self.at)
            }
        }
    }

    fn is_past(&self, key: &[u8]) -> bool {
        match self.direction {
            Direction::Forward => match &self.range.end {
                Bound::Included(end) => key > &end[..],
                Bound::Excluded(end) => key >= &end[..],
                Bound::Unbounded => false,
            },
            Direction::Reverse => match &self.range.start {
                Bound::Included(start) => key < &start[..],
                Bound::Excluded(start) => key <= &start[..],
                Bound::Unbounded => false,
            },
        }
    }

    fn load_next(&mut self, index: &Index, seq: Seq) -> Option<LeafView> {
        let from = if self.started {
            Some(self.next.take()?)
        } else {
            self.first_bound()
        };
        self.started = true;
        let (leaf, next) = match self.direction {
            Direction::Forward => {
                let from = from.unwrap_or_default();
                let (leaf, next) = index.leaf_from(&from, &self.range, seq);
                self.at = leaf.lower_bound(&from);
                (leaf, next)
            }
            Direction::Reverse => {
                let (leaf, next) = index.leaf_before(from.as_deref(), &self.range, seq);
                self.at = from.map_or(leaf.len(), |before| leaf.lower_bound(&before));
                (leaf, next)
            }
        };
        // A leaf shows its keys of the range only, so they do not tell that the range is over.
        self.next = next.filter(|next| !self.is_past(next));
        Some(leaf)
    }

    /// Forward: the first key that can be in the range. Reverse: the first key beyond it, `None` for no bound.
    fn first_bound(&self) -> Option<Box<[u8]>> {
        let bound = match self.direction {
            Direction::Forward => &self.range.start,
            Direction::Reverse => &self.range.end,
        };
        match (bound, self.direction) {
            (Bound::Unbounded, _) => None,
            (Bound::Included(key), Direction::Reverse) => Some([key, &[0][..]].concat().into()),
            (Bound::Included(key) | Bound::Excluded(key), _) => Some(key[..].into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};
    use std::path::Path;

    use super::super::index::fingerprint_of;
    use super::super::{LogEngine, Options};
    use super::Scan;
    use crate::file::fault::FaultFs;
    use crate::{Batch, Direction, Durability, Engine, Error, KeyRange, Reader, Seq};

    /// Two keys of equal length whose fingerprints are the same.
    fn twins() -> [Vec<u8>; 2] {
        let mut seen = HashMap::new();
        (0u64..)
            .find_map(|n| {
                let key = n.to_be_bytes().to_vec();
                let other = seen.insert(fingerprint_of(&key), key.clone())?;
                Some([other, key])
            })
            .expect("there are more keys than fingerprints")
    }

    fn open() -> LogEngine {
        let options = Options {
            reserve_bytes: 0,
            background: false,
            files: std::sync::Arc::new(FaultFs::new()),
            ..Options::default()
        };
        LogEngine::open(Path::new("/data"), options).unwrap()
    }

    #[test]
    fn a_value_whose_segment_is_gone_is_an_error_and_not_looked_for_for_ever() {
        let engine = open();
        engine.put(b"key", b"value").unwrap();
        engine.sync().unwrap();
        let shared = &engine.shared;
        let segment = shared.segments.all()[0].id();
        shared.segments.remove(segment);
        let error = shared.get(b"key", || shared.visible()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert_eq!(shared.get(b"other", || shared.visible()).unwrap(), None);
    }

    #[test]
    fn a_scan_of_a_few_keys_does_not_go_on_behind_them() {
        let engine = open();
        let mut batch = Batch::new();
        for n in 0..5000_u32 {
            batch.put(n.to_be_bytes().to_vec(), b"value".to_vec());
        }
        engine.write(&batch).unwrap();
        let [start, end] = [2000_u32, 2002].map(|n| n.to_be_bytes().to_vec());
        for direction in [Direction::Forward, Direction::Reverse] {
            let range = KeyRange::half_open(start.clone(), end.clone());
            let mut scan = Scan::new(&range, direction);
            let mut leaves = BTreeSet::new();
            let mut keys = 0;
            while scan.next_put(&engine.shared.index, Seq::MAX).is_some() {
                keys += 1;
                leaves.insert(scan.next.clone());
            }
            assert_eq!(keys, 2);
            assert!(scan.next.is_none() && leaves.len() <= 2, "{leaves:?}");
        }
    }

    #[test]
    fn a_scan_looks_at_few_keys_where_nearly_all_are_deleted() {
        let engine = open();
        let mut keys = (0..5000_u32).map(u32::to_be_bytes);
        // As transactions lock and unlock, some keys at a time.
        while let Some(first) = keys.next() {
            let some: Vec<_> = std::iter::once(first)
                .chain(keys.by_ref().take(99))
                .collect();
            let (mut puts, mut deletes) = (Batch::new(), Batch::new());
            for key in some {
                puts.put(key.to_vec(), b"value".to_vec());
                deletes.delete(key.to_vec());
            }
            engine.write(&puts).unwrap();
            engine.write(&deletes).unwrap();
        }
        engine.put(&2500_u32.to_be_bytes(), b"value").unwrap();
        let mut looked_at = 0;
        let mut scan = Scan::new(&KeyRange::all(), Direction::Forward);
        let index = &engine.shared.index;
        while let Some(leaf) = scan.load_next(index, engine.shared.visible()) {
            looked_at += leaf.len();
        }
        assert!((1..200).contains(&looked_at), "{looked_at}");
    }

    #[test]
    fn keys_with_the_same_fingerprint_are_told_apart_by_what_the_log_says() {
        let engine = open();
        let [one, other] = twins();
        engine.put(&one, b"1").unwrap();
        engine.sync().unwrap();
        assert_eq!(engine.get(&one).unwrap().unwrap(), "1");
        assert_eq!(engine.get(&other).unwrap(), None);
        engine.put(&other, b"2").unwrap();
        engine.sync().unwrap();
        assert_eq!(engine.get(&one).unwrap().unwrap(), "1");
        assert_eq!(engine.get(&other).unwrap().unwrap(), "2");
        engine.write(Batch::new().delete(one.clone())).unwrap();
        assert_eq!(engine.get(&one).unwrap(), None);
        assert_eq!(engine.get(&other).unwrap().unwrap(), "2");
    }
}
