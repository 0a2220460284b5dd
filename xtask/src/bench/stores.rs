//! The engines compared, behind the few calls that the comparison needs.
//!
//! Each is opened with its defaults or with better: a cache of 1 GiB, ours included, and no flushing on a timer. Every
//! engine gets slices and makes of them what it keeps, inside the timed part. Where ours is measured without peers
//! ([`open_kvs`]), it has its defaults.

use std::path::Path;

use bytes::Bytes;
use fjall::PersistMode;
use redb::ReadableDatabase;
use serde::{Deserialize, Serialize};
use storage::kvs::{LogEngine, Options};
use storage::{Batch, Durability, Engine, Limits, Reader, SyncPolicy};

use super::error::{Error, Result, redb};

/// Cache of every engine, in bytes: the largest of the peers' defaults.
const CACHE_BYTES: u64 = 1 << 30;

const TABLE: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("pairs");

/// An engine that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Name {
    Kvs,
    Sled,
    Redb,
    Fjall,
}

impl Name {
    /// All of them, ours first.
    pub(crate) const ALL: [Self; 4] = [Self::Kvs, Self::Sled, Self::Redb, Self::Fjall];

    /// As it stands in the tables.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Kvs => "kvs",
            Self::Sled => "sled",
            Self::Redb => "redb",
            Self::Fjall => "fjall",
        }
    }

    /// Whether the engine can leave single writes in the memory of the process instead of handing each to the
    /// operating system. sled and redb always do.
    pub(crate) fn has_choice_of_buffering(self) -> bool {
        matches!(self, Self::Kvs | Self::Fjall)
    }

    /// Whether it takes the course's keys of up to 100,000 bytes.
    pub(crate) fn takes_long_keys(self) -> bool {
        self != Self::Fjall
    }

    /// Opens a store in `dir`, which is empty.
    pub(crate) fn open(self, dir: &Path, buffered: bool) -> Result<Box<dyn Store>> {
        Ok(match self {
            Self::Kvs => {
                let options = Options {
                    cache_bytes: CACHE_BYTES as usize,
                    ..kvs_options(SyncPolicy::Never)
                };
                let engine = LogEngine::open(dir, options)?;
                Box::new(Kvs { engine, buffered })
            }
            Self::Sled => {
                let config = sled::Config::new()
                    .path(dir)
                    .cache_capacity(CACHE_BYTES)
                    .flush_every_ms(None);
                Box::new(config.open()?)
            }
            Self::Redb => {
                let mut builder = redb::Database::builder();
                builder.set_cache_size(CACHE_BYTES as usize);
                Box::new(builder.create(dir.join("redb")).map_err(redb)?)
            }
            Self::Fjall => {
                let database = fjall::Database::builder(dir)
                    .cache_size(CACHE_BYTES)
                    .manual_journal_persist(buffered)
                    .open()?;
                let pairs = database.keyspace("pairs", fjall::KeyspaceCreateOptions::default)?;
                Box::new(Fjall { database, pairs })
            }
        })
    }
}

/// Our engine with the course's keys allowed, else with its defaults.
pub(crate) fn open_kvs(dir: &Path, sync: SyncPolicy) -> Result<LogEngine> {
    Ok(LogEngine::open(dir, kvs_options(sync))?)
}

fn kvs_options(sync: SyncPolicy) -> Options {
    Options {
        limits: Limits {
            key_bytes: 100_000,
            ..Limits::default()
        },
        ..Options::default().with_sync(sync)
    }
}

/// Pairs on their way into a store.
pub(crate) type PairsIn<'i, 'a> = &'i mut (dyn Iterator<Item = (&'a [u8], &'a [u8])> + 'i);

/// Writing.
pub(crate) trait Store {
    /// Puts `pairs` atomically, without forcing them to the disk.
    fn put_batch(&mut self, pairs: PairsIn<'_, '_>) -> Result<()>;
    /// Puts one pair, without forcing it to the disk.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;
    /// Forces everything to the disk.
    fn flush(&mut self) -> Result<()>;
    /// For reading what was put.
    fn lookup(&self) -> Result<Box<dyn Lookup + '_>>;
}

/// Reading.
pub(crate) trait Lookup {
    /// Whether `key` has the value `expected`.
    fn holds(&self, key: &[u8], expected: &[u8]) -> Result<bool>;
}

struct Kvs {
    engine: LogEngine,
    buffered: bool,
}

impl Store for Kvs {
    fn put_batch(&mut self, pairs: PairsIn<'_, '_>) -> Result<()> {
        let mut batch = Batch::new();
        for (key, value) in pairs {
            batch.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        }
        Ok(self.engine.write(&batch)?)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if !self.buffered {
            return Ok(self.engine.put(key, value)?);
        }
        let mut batch = Batch::new();
        batch.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        self.engine.submit(&batch)?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.engine.sync()?;
        Ok(())
    }

    fn lookup(&self) -> Result<Box<dyn Lookup + '_>> {
        Ok(Box::new(&self.engine))
    }
}

impl Lookup for &LogEngine {
    fn holds(&self, key: &[u8], expected: &[u8]) -> Result<bool> {
        Ok(self.get(key)?.is_some_and(|value| value == expected))
    }
}

impl Store for sled::Db {
    fn put_batch(&mut self, pairs: PairsIn<'_, '_>) -> Result<()> {
        let mut batch = sled::Batch::default();
        for (key, value) in pairs {
            batch.insert(key, value);
        }
        Ok(self.apply_batch(batch)?)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.insert(key, value)?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        sled::Tree::flush(self)?;
        Ok(())
    }

    fn lookup(&self) -> Result<Box<dyn Lookup + '_>> {
        Ok(Box::new(self))
    }
}

impl Lookup for &sled::Db {
    fn holds(&self, key: &[u8], expected: &[u8]) -> Result<bool> {
        Ok(self.get(key)?.is_some_and(|value| value == expected))
    }
}

/// One write transaction of redb.
fn transaction(
    database: &redb::Database,
    durability: redb::Durability,
    pairs: PairsIn<'_, '_>,
) -> Result<()> {
    let mut transaction = database.begin_write().map_err(redb)?;
    transaction.set_durability(durability).map_err(redb)?;
    {
        let mut table = transaction.open_table(TABLE).map_err(redb)?;
        for (key, value) in pairs {
            table.insert(key, value).map_err(redb)?;
        }
    }
    transaction.commit().map_err(redb)
}

impl Store for redb::Database {
    fn put_batch(&mut self, pairs: PairsIn<'_, '_>) -> Result<()> {
        transaction(self, redb::Durability::None, pairs)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut one = std::iter::once((key, value));
        transaction(self, redb::Durability::None, &mut one)
    }

    fn flush(&mut self) -> Result<()> {
        transaction(self, redb::Durability::Immediate, &mut std::iter::empty())
    }

    fn lookup(&self) -> Result<Box<dyn Lookup + '_>> {
        // One transaction for all reads: cheaper than one for each, which the other engines do not need either.
        let transaction = self.begin_read().map_err(redb)?;
        Ok(Box::new(transaction.open_table(TABLE).map_err(redb)?))
    }
}

impl Lookup for redb::ReadOnlyTable<&'static [u8], &'static [u8]> {
    fn holds(&self, key: &[u8], expected: &[u8]) -> Result<bool> {
        let value = self.get(key).map_err(redb)?;
        Ok(value.is_some_and(|value| value.value() == expected))
    }
}

struct Fjall {
    database: fjall::Database,
    pairs: fjall::Keyspace,
}

impl Store for Fjall {
    fn put_batch(&mut self, pairs: PairsIn<'_, '_>) -> Result<()> {
        let mut batch = self.database.batch();
        for (key, value) in pairs {
            batch.insert(&self.pairs, key, value);
        }
        Ok(batch.commit()?)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.pairs.insert(key, value)?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn lookup(&self) -> Result<Box<dyn Lookup + '_>> {
        Ok(Box::new(&self.pairs))
    }
}

impl Lookup for &fjall::Keyspace {
    fn holds(&self, key: &[u8], expected: &[u8]) -> Result<bool> {
        Ok(self.get(key)?.is_some_and(|value| *value == *expected))
    }
}

/// Fails unless all `count` reads gave what was written.
pub(crate) fn all_right(engine: Name, right: usize, count: usize) -> Result<()> {
    if right == count {
        return Ok(());
    }
    let engine = engine.text();
    Err(Error::Wrong(format!(
        "{engine} gave the right value for {right} of {count} reads"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_keeps_what_it_was_given() {
        for name in Name::ALL {
            for buffered in [false, true] {
                let dir = tempfile::tempdir().unwrap();
                let mut store = name.open(dir.path(), buffered).unwrap();
                store.put(b"single", b"1").unwrap();
                let batch = [(&b"a"[..], &b"2"[..]), (b"b", b"3")];
                let mut batch = batch.into_iter();
                store.put_batch(&mut batch).unwrap();
                store.flush().unwrap();
                let lookup = store.lookup().unwrap();
                for (key, value) in [("single", "1"), ("a", "2"), ("b", "3")] {
                    let holds = |expected: &str| lookup.holds(key.as_bytes(), expected.as_bytes());
                    assert!(holds(value).unwrap(), "{name:?} lost {key}");
                    assert!(!holds("other").unwrap(), "{name:?} sees what is not there");
                }
            }
        }
    }

    #[test]
    fn one_wrong_read_makes_a_figure_worthless() {
        assert!(all_right(Name::Sled, 10, 10).is_ok());
        assert!(all_right(Name::Sled, 9, 10).is_err());
    }
}
