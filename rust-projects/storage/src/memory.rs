//! The engine in memory.
//!
//! # What it is
//!
//! An ordered map behind a lock: the simplest engine that has every capability but files, for tests, caches and as the
//! yardstick for the others.
//!
//! # What it guarantees
//!
//! The contract of [`Engine`], [`Snapshots`] and [`Durability`], with nothing to lose at a power cut: a batch is
//! acknowledged once applied.
//!
//! # What it does not
//!
//! - It forgets everything when dropped, and so has no [`crate::Checkpoint`].
//! - Snapshots and open scans share the map; the first write while one is open copies the map as a whole, in time and
//!   memory proportional to its number of pairs (the bytes of keys and values stay shared). That keeps it free of versions;
//!   where many snapshots meet many writes, use [`crate::kvs`].
//!
//! # How it works
//!
//! ```text
//! write:     lock -> copy the map if shared -> apply every change -> unlock
//! snapshot:  lock -> one more reference to the map -> unlock
//! ```

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::{
    Batch, Direction, Durability, Engine, EngineKind, Entries, KeyRange, Limits, Op, Reader,
    Result, Seq, Snapshots, SyncPolicy,
};

type Map = BTreeMap<Bytes, Bytes>;

#[derive(Debug, Default)]
struct State {
    map: Arc<Map>,
    applied: Seq,
}

/// The engine in memory; see the [module](self) for what it costs.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    state: RwLock<State>,
    limits: Limits,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty engine that accepts batches within `limits`.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            state: RwLock::default(),
            limits,
        }
    }

    fn view(&self) -> View {
        // A batch cannot panic half way, so that the map is whole even where a thread died with the lock.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        View(Arc::clone(&state.map))
    }
}

fn apply(map: &mut Map, op: &Op) {
    match op {
        Op::Put { key, value } => {
            // Copied, or a small value would keep the whole network buffer alive that it was cut from.
            map.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        }
        Op::Delete { key } => {
            map.remove(key);
        }
        Op::DeleteRange { range } if !range.is_empty() => {
            map.extract_if(range.clone(), |_, _| true).for_each(drop);
        }
        Op::DeleteRange { .. } => {}
    }
}

/// The map as of one moment.
#[derive(Debug)]
struct View(Arc<Map>);

impl View {
    fn scan(&self, range: &KeyRange, direction: Direction) -> Cursor {
        Cursor {
            map: Arc::clone(&self.0),
            rest: range.clone(),
            direction,
        }
    }
}

impl Reader for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.get(key).cloned())
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        Ok(keys.iter().map(|&key| self.0.get(key).cloned()).collect())
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        Box::new(self.scan(range, direction).map(Ok))
    }

    /// Exact; walks the range.
    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        let pairs = self.scan(range, Direction::Forward);
        Ok(pairs
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum())
    }
}

/// A scan that owns its map: it finds each pair from the last one, in logarithmic time.
#[derive(Debug)]
struct Cursor {
    map: Arc<Map>,
    rest: KeyRange,
    direction: Direction,
}

impl Iterator for Cursor {
    type Item = (Bytes, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut pairs = self.map.range::<[u8], _>(self.rest.as_slices());
        let (key, value) = match self.direction {
            Direction::Forward => pairs.next(),
            Direction::Reverse => pairs.next_back(),
        }?;
        let pair = (key.clone(), value.clone());
        let passed = Bound::Excluded(key.clone());
        match self.direction {
            Direction::Forward => self.rest.start = passed,
            Direction::Reverse => self.rest.end = passed,
        }
        Some(pair)
    }
}

impl Reader for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.view().get(key)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        self.view().multi_get(keys)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        Box::new(self.view().scan(range, direction).map(Ok))
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        self.view().approximate_size(range)
    }
}

impl Engine for MemoryEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Memory
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        self.submit(batch).map(drop)
    }
}

impl Snapshots for MemoryEngine {
    fn snapshot(&self) -> Result<Box<dyn Reader + Send + Sync>> {
        Ok(Box::new(self.view()))
    }
}

impl Durability for MemoryEngine {
    fn sync_policy(&self) -> SyncPolicy {
        SyncPolicy::Never
    }

    fn submit(&self, batch: &Batch) -> Result<Seq> {
        self.limits.check(batch)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !batch.is_empty() {
            let map = Arc::make_mut(&mut state.map);
            batch.ops().iter().for_each(|op| apply(map, op));
            state.applied += 1;
        }
        Ok(state.applied)
    }

    fn latest(&self) -> &dyn Reader {
        self
    }

    fn applied(&self) -> Seq {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.applied
    }

    fn commit(&self) -> Result<Seq> {
        Ok(self.applied())
    }

    fn sync(&self) -> Result<Seq> {
        Ok(self.applied())
    }

    fn acknowledged(&self) -> Seq {
        self.applied()
    }

    fn poisoned(&self) -> Option<String> {
        None
    }
}
