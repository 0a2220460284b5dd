//! The simplest possible data to decide commands over, and scenarios played on it.

// Each test file uses its part.
#![allow(dead_code)]

pub(crate) mod script;

use std::collections::BTreeMap;

use bytes::Bytes;
use storage::{Batch, Direction, Entries, KeyRange, Op, Reader, Result};

/// An ordered map as a [`Reader`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MapReader {
    pub(crate) entries: BTreeMap<Bytes, Bytes>,
}

impl MapReader {
    /// Applies `batch`, one change after the other.
    pub(crate) fn apply(&mut self, batch: &Batch) {
        for op in batch.ops() {
            match op {
                Op::Put { key, value } => {
                    self.entries.insert(key.clone(), value.clone());
                }
                Op::Delete { key } => {
                    self.entries.remove(key);
                }
                Op::DeleteRange { range } => self.entries.retain(|key, _| !range.contains(key)),
            }
        }
    }
}

impl Reader for MapReader {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.entries.get(key).cloned())
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let range = range.clone();
        let inside = self
            .entries
            .iter()
            .filter(move |(key, _)| range.contains(key))
            .map(|(key, value)| Ok((key.clone(), value.clone())));
        match direction {
            Direction::Forward => Box::new(inside),
            Direction::Reverse => Box::new(inside.rev()),
        }
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        let inside = self.entries.iter().filter(|(key, _)| range.contains(key));
        Ok(inside
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum())
    }
}
