//! A reader that sees changes not yet applied.
//!
//! # What it is
//!
//! [`Overlay`] answers as the reader below would after the changes it was given. Deciding several commands for one
//! batch needs it: each must see the effects of those before, or two increments would be one.
//!
//! # What it does not
//!
//! It changes nothing below, and holds all it was given in memory.
//!
//! # How it works
//!
//! The last change of each key is kept in an ordered map, and beside it the ranges deleted from what is below. A later
//! put goes to the map, which is asked first; deleting a range empties the map there.
//!
//! ```text
//!   pending      b -> 2     c deleted              deleted ranges: d..f
//!   below    a -> 1  b -> 1  c -> 1  d -> 1  e -> 1  f -> 1
//!   seen     a -> 1  b -> 2                          f -> 1
//! ```

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;

use bytes::Bytes;
use storage::{Direction, Entries, KeyRange, Keys, Op, Reader, Result};

/// A reader that sees changes not yet applied to the one below.
pub struct Overlay<'a> {
    below: &'a dyn Reader,
    /// `None` for a deleted key.
    pending: BTreeMap<Bytes, Option<Bytes>>,
    deleted_ranges: Vec<KeyRange>,
}

impl<'a> Overlay<'a> {
    /// Sees what `below` sees.
    pub fn new(below: &'a dyn Reader) -> Self {
        Self {
            below,
            pending: BTreeMap::new(),
            deleted_ranges: Vec::new(),
        }
    }

    /// Sees `ops` too, after all earlier ones.
    pub fn apply(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Put { key, value } => {
                    self.pending.insert(key.clone(), Some(value.clone()));
                }
                Op::Delete { key } => {
                    self.pending.insert(key.clone(), None);
                }
                Op::DeleteRange { range } if range.is_empty() => {}
                Op::DeleteRange { range } => {
                    self.pending.retain(|key, _| !range.contains(key));
                    if !self.deleted_ranges.contains(range) {
                        self.deleted_ranges.push(range.clone());
                    }
                }
            }
        }
    }

    fn is_range_deleted(&self, key: &[u8]) -> bool {
        self.deleted_ranges.iter().any(|range| range.contains(key))
    }

    /// What is known of `key` without asking below.
    fn known(&self, key: &[u8]) -> Option<Option<Bytes>> {
        match self.pending.get(key) {
            Some(value) => Some(value.clone()),
            None => self.is_range_deleted(key).then_some(None),
        }
    }

    /// The pending changes in `range`, in the order asked for.
    fn pending_in(
        &self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = (&Bytes, &Option<Bytes>)> + Send + '_> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let inside = self.pending.range::<[u8], _>(range.as_slices());
        match direction {
            Direction::Forward => Box::new(inside),
            Direction::Reverse => Box::new(inside.rev()),
        }
    }
}

impl Reader for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.known(key) {
            Some(value) => Ok(value),
            None => self.below.get(key),
        }
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        let known: Vec<Option<Option<Bytes>>> = keys.iter().map(|key| self.known(key)).collect();
        let unknown: Vec<&[u8]> = keys
            .iter()
            .zip(&known)
            .filter(|(_, value)| value.is_none())
            .map(|(&key, _)| key)
            .collect();
        let mut below = self.below.multi_get(&unknown)?.into_iter();
        Ok(known
            .into_iter()
            .map(|value| value.unwrap_or_else(|| below.next().flatten()))
            .collect())
    }

    fn contains(&self, key: &[u8]) -> Result<bool> {
        match self.known(key) {
            Some(value) => Ok(value.is_some()),
            None => self.below.contains(key),
        }
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        Box::new(Merge {
            below: self.below.scan(range, direction).peekable(),
            pending: self
                .pending_in(range, direction)
                .map(|(key, value)| (key, value.clone().map(|value| (key.clone(), value))))
                .peekable(),
            direction,
            deleted_ranges: &self.deleted_ranges,
            key_of: |(key, _)| key,
        })
    }

    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        Box::new(Merge {
            below: self.below.scan_keys(range, direction).peekable(),
            pending: self
                .pending_in(range, direction)
                .map(|(key, value)| (key, value.is_some().then(|| key.clone())))
                .peekable(),
            direction,
            deleted_ranges: &self.deleted_ranges,
            key_of: |key| key,
        })
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        let pending: usize = self
            .pending_in(range, Direction::Forward)
            .filter_map(|(key, value)| Some(key.len() + value.as_ref()?.len()))
            .sum();
        Ok(self.below.approximate_size(range)? + pending as u64)
    }
}

/// Two ordered sequences as one. Of equal keys the pending one counts; pending deletions hide.
struct Merge<'a, T, B, P>
where
    B: Iterator<Item = Result<T>>,
    P: Iterator<Item = (&'a Bytes, Option<T>)>,
{
    below: Peekable<B>,
    pending: Peekable<P>,
    direction: Direction,
    deleted_ranges: &'a [KeyRange],
    key_of: fn(&T) -> &Bytes,
}

impl<'a, T, B, P> Iterator for Merge<'a, T, B, P>
where
    B: Iterator<Item = Result<T>>,
    P: Iterator<Item = (&'a Bytes, Option<T>)>,
{
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.below.peek(), self.pending.peek()) {
                (Some(Err(_)), _) | (Some(Ok(_)), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
                (Some(Ok(item)), Some((pending, _))) => {
                    let order = (self.key_of)(item).cmp(pending);
                    match self.direction {
                        Direction::Forward => order,
                        Direction::Reverse => order.reverse(),
                    }
                }
            };
            if order == Ordering::Less {
                let item = self.below.next()?;
                match &item {
                    Ok(entry) if self.is_range_deleted((self.key_of)(entry)) => {}
                    _ => return Some(item),
                }
                continue;
            }
            if order == Ordering::Equal {
                self.below.next();
            }
            if let (_, Some(item)) = self.pending.next()? {
                return Some(Ok(item));
            }
        }
    }
}

impl<'a, T, B, P> Merge<'a, T, B, P>
where
    B: Iterator<Item = Result<T>>,
    P: Iterator<Item = (&'a Bytes, Option<T>)>,
{
    fn is_range_deleted(&self, key: &[u8]) -> bool {
        self.deleted_ranges.iter().any(|range| range.contains(key))
    }
}
