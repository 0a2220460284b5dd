//! A tree in an engine.

use ark_bn254::Fr;
use gadgets::merkle::{Path, Shape};
use storage::{Batch, Reader};

use crate::StoreError;
use crate::numbers::{number_bytes, read_number};

/// The tree under a name. Holds no state: everything is read from the engine it is given.
#[derive(Debug, Clone)]
pub struct TreeStore<const SIBLINGS: usize> {
    name: &'static str,
    shape: Shape<SIBLINGS>,
}

impl<const SIBLINGS: usize> TreeStore<SIBLINGS> {
    /// The tree under `name`, which has always had this shape.
    #[must_use]
    pub const fn new(name: &'static str, shape: Shape<SIBLINGS>) -> Self {
        Self { name, shape }
    }

    fn key(&self, kind: &str, rest: &[&[u8]]) -> Vec<u8> {
        let mut key = format!("{}/{kind}", self.name).into_bytes();
        rest.iter().for_each(|part| key.extend(*part));
        key
    }

    /// How many leaves there are.
    ///
    /// # Errors
    ///
    /// Those of the engine; [`StoreError::Damaged`].
    pub fn leaves(&self, reader: &impl Reader) -> Result<u64, StoreError> {
        let count = read_count(reader, &self.key("leaves", &[]))?.unwrap_or(0);
        Ok(count)
    }

    /// The root after all leaves.
    ///
    /// # Errors
    ///
    /// As [`Self::leaves`].
    pub fn root(&self, reader: &impl Reader) -> Result<Fr, StoreError> {
        let root = self.node(reader, self.shape.depth(), 0)?;
        Ok(root.unwrap_or_else(|| self.shape.zeros()[self.shape.depth() as usize]))
    }

    /// Adds to `batch` what appending `leaves` writes, and returns the position of the first and the root after them. At most one append
    /// for each batch.
    ///
    /// # Errors
    ///
    /// The tree is full; those of the engine; [`StoreError::Damaged`].
    pub fn append(
        &self,
        reader: &impl Reader,
        leaves: &[Fr],
        batch: &mut Batch,
    ) -> Result<(u64, Fr), StoreError> {
        let count = self.leaves(reader)?;
        let node = |level, position| self.node(reader, level, position);
        let nodes = self.shape.append(count, leaves, node)?;
        let Some(root) = nodes.last().map(|node| node.value) else {
            return Ok((count, self.root(reader)?));
        };
        for node in &nodes {
            let key = self.node_key(node.level, node.position);
            batch.put(key, number_bytes(node.value).to_vec());
        }
        let mut seen = std::collections::BTreeSet::new();
        for (position, leaf) in (count..).zip(leaves) {
            // The first appearance is the one to be found.
            if seen.insert(leaf) && self.position(reader, *leaf)?.is_none() {
                batch.put(self.leaf_key(*leaf), position.to_be_bytes().to_vec());
            }
        }
        let count_after = (count + leaves.len() as u64).to_be_bytes();
        batch.put(self.key("leaves", &[]), count_after.to_vec());
        batch.put(
            self.key("root/", &[&count_after]),
            number_bytes(root).to_vec(),
        );
        batch.put(
            self.key("known/", &[&number_bytes(root)]),
            count_after.to_vec(),
        );
        Ok((count, root))
    }

    /// Where a leaf first appears.
    ///
    /// # Errors
    ///
    /// As [`Self::leaves`].
    pub fn position(&self, reader: &impl Reader, leaf: Fr) -> Result<Option<u64>, StoreError> {
        read_count(reader, &self.leaf_key(leaf))
    }

    /// The path of a leaf to [`Self::root`].
    ///
    /// # Errors
    ///
    /// There is no such leaf; those of the engine; [`StoreError::Damaged`].
    pub fn path(&self, reader: &impl Reader, position: u64) -> Result<Path<SIBLINGS>, StoreError> {
        let count = self.leaves(reader)?;
        let node = |level, position| self.node(reader, level, position);
        Ok(self.shape.path(count, position, node)?)
    }

    /// How many leaves a root stands for; `None` for a root that the tree never had after a batch. The root of no leaves is always known.
    ///
    /// # Errors
    ///
    /// As [`Self::leaves`].
    pub fn known(&self, reader: &impl Reader, root: Fr) -> Result<Option<u64>, StoreError> {
        if root == self.shape.zeros()[self.shape.depth() as usize] {
            return Ok(Some(0));
        }
        read_count(reader, &self.key("known/", &[&number_bytes(root)]))
    }

    fn node_key(&self, level: u32, position: u64) -> Vec<u8> {
        let level = u8::try_from(level).expect("at most 32 levels");
        self.key("node/", &[&[level], &position.to_be_bytes()])
    }

    fn leaf_key(&self, leaf: Fr) -> Vec<u8> {
        self.key("leaf/", &[&number_bytes(leaf)])
    }

    fn node(
        &self,
        reader: &impl Reader,
        level: u32,
        position: u64,
    ) -> Result<Option<Fr>, StoreError> {
        let key = self.node_key(level, position);
        let Some(value) = reader.get(&key)? else {
            return Ok(None);
        };
        let number = read_number(&value).ok_or_else(|| StoreError::damaged(&key))?;
        Ok(Some(number))
    }
}

fn read_count(reader: &impl Reader, key: &[u8]) -> Result<Option<u64>, StoreError> {
    let Some(value) = reader.get(key)? else {
        return Ok(None);
    };
    let bytes = <[u8; 8]>::try_from(&value[..]).map_err(|_| StoreError::damaged(key))?;
    Ok(Some(u64::from_be_bytes(bytes)))
}
