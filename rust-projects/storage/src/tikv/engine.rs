//! The engine: the traits over a client.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tikv_client::TimestampExt;

use crate::flush::flatten;
use crate::tikv::Address;
use crate::tikv::client::{Client, Pauses};
use crate::tikv::view::{View, failed};
use crate::tikv::write::{Effect, Outcome, begin, check, commit};
use crate::{
    Batch, Direction, Engine, EngineKind, Entries, Error, KeyRange, Keys, Limits, Op, Reader,
    Result, Snapshots,
};

/// Longest key in bytes. TiKV takes 8 KiB, of a longer encoding and with the namespace before it.
pub(super) const MAX_KEY_BYTES: usize = 4 << 10;
/// Longest value in bytes: a pair has to fit a reply, which holds less than 4 MiB.
const MAX_VALUE_BYTES: usize = 3 << 20;
/// Largest batch in bytes: with the list of its keys it stays well below 16 MiB, the longest request.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// Most keys that a batch may change, and that its range deletions may find.
const MAX_BATCH_KEYS: usize = 16_384;
/// How often a batch is tried that is in somebody's way.
const ATTEMPTS: u32 = 64;

/// How long to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Until [`TikvEngine::connect`] gives up on a cluster that does not answer. One that refuses connections is given up at once.
    pub connect_patience: Duration,
    /// Until a read or write gives up, while leaders change, or others hold locks: a dead client's last up to 20 s.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_patience: Duration::from_secs(5),
            patience: Duration::from_secs(30),
        }
    }
}

/// A namespace of a cluster; see the [module](super) for limits and costs. Clones share the connection.
#[derive(Clone)]
pub struct TikvEngine {
    client: Arc<Client>,
    /// Exclusive for batches with range deletions: a transaction does not notice what is added to a range that it has read.
    ranges: Arc<RwLock<()>>,
    address: Address,
}

impl fmt::Debug for TikvEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TikvEngine").field(&self.address).finish()
    }
}

impl TikvEngine {
    /// Connects with the usual [`Options`].
    ///
    /// # Errors
    /// [`Error::Unreachable`] when nobody answers, and [`Error::Backend`] when a cluster does that has no key spaces (a TiKV without
    /// `storage.api-version = 2`).
    pub fn connect(address: &Address) -> Result<Self> {
        Self::connect_with(address, &Options::default())
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`TikvEngine::connect`].
    pub fn connect_with(address: &Address, options: &Options) -> Result<Self> {
        Ok(Self {
            client: Arc::new(Client::connect(address, options)?),
            ranges: Arc::default(),
            address: address.clone(),
        })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sets `key` to `value` unless it has one, which is then returned. Of several that do so at once, in whatever processes, one does.
    ///
    /// # Errors
    /// As [`Engine::write`].
    pub fn put_if_absent(&self, key: &[u8], value: &[u8]) -> Result<Option<Bytes>> {
        self.limits().check_put(key.len(), value.len())?;
        let _beside = self.ranges.read().unwrap_or_else(PoisonError::into_inner);
        self.transact(&mut |view| {
            Ok(match view.get(key)? {
                Some(found) => Decision::Leave(found),
                None => {
                    let value = Some(Bytes::copy_from_slice(value));
                    Decision::Write([(self.client.space.key(key), value)].into())
                }
            })
        })
    }

    fn view(&self) -> Result<View> {
        Ok(View {
            client: Arc::clone(&self.client),
            at: self.client.now()?,
        })
    }

    /// Decides in a transaction, again where others were faster.
    fn transact(&self, decide: &mut dyn FnMut(&View) -> Result<Decision>) -> Result<Option<Bytes>> {
        let session = self.client.session();
        let mut pauses = Pauses::default();
        for _ in 0..ATTEMPTS {
            let transaction = self.client.run(begin(session.clone()))?;
            let view = View {
                client: Arc::clone(&self.client),
                at: transaction.start_timestamp(),
            };
            let marker = self.client.space.marker(view.at.version());
            let effect = match decide(&view)? {
                Decision::Leave(found) => return Ok(Some(found)),
                Decision::Write(effect) if effect.is_empty() => return Ok(None),
                Decision::Write(effect) => effect,
            };
            let committing = commit(session.clone(), transaction, marker, effect);
            let (outcome, after) = self.client.run(async move {
                let outcome = committing.await?;
                if outcome == Outcome::Beaten {
                    pauses.next().await;
                }
                Ok((outcome, pauses))
            })?;
            if outcome == Outcome::Committed {
                return Ok(None);
            }
            pauses = after;
        }
        Err(session.contended(ATTEMPTS))
    }

    /// What `batch` comes to as of a moment.
    fn effect(&self, view: &View, batch: &Batch) -> Result<Effect> {
        let found = Cell::new(0_usize);
        let keys = |range: &KeyRange| -> Keys<'static> {
            let counted = view.scan_keys(range, Direction::Forward).map(|key| {
                found.set(found.get() + 1);
                match found.get() > MAX_BATCH_KEYS {
                    true => Err(Error::TooManyKeys {
                        max: MAX_BATCH_KEYS,
                    }),
                    false => key,
                }
            });
            // Read now: the count is of this thread, and at most so many are kept.
            let keys: Vec<_> = counted.take(MAX_BATCH_KEYS + 1).collect();
            Box::new(keys.into_iter())
        };
        let effect: Effect = flatten(batch, keys)?
            .into_iter()
            .map(|(key, value)| (self.client.space.key(&key), value))
            .collect();
        // The namespaces before the keys are not the caller's concern.
        check(
            &effect,
            MAX_BATCH_KEYS,
            MAX_BATCH_BYTES + MAX_BATCH_KEYS * 256,
        )?;
        Ok(effect)
    }
}

/// What a transaction does with what it has seen.
enum Decision {
    /// Nothing, as there is this value.
    Leave(Bytes),
    /// This.
    Write(Effect),
}

impl Reader for TikvEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.view()?.get(key)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        match keys.is_empty() {
            true => Ok(Vec::new()),
            false => self.view()?.multi_get(keys),
        }
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        match self.view() {
            Ok(view) => Box::new(view.walk(range, direction, false)),
            Err(error) => failed(error),
        }
    }

    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        match self.view() {
            Ok(view) => Box::new(
                view.walk(range, direction, true)
                    .map(|pair| pair.map(|(key, _)| key)),
            ),
            Err(error) => failed(error),
        }
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        self.view()?.approximate_size(range)
    }
}

impl Engine for TikvEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Tikv
    }

    fn limits(&self) -> Limits {
        Limits {
            key_bytes: MAX_KEY_BYTES,
            value_bytes: MAX_VALUE_BYTES,
            batch_bytes: MAX_BATCH_BYTES,
        }
    }

    /// # Errors
    /// Those of [`Engine::write`]; [`Error::TooManyKeys`], [`Error::Contended`] and [`Error::Unreachable`], after which nothing is
    /// written; [`Error::Undetermined`], after which nobody knows.
    fn write(&self, batch: &Batch) -> Result<()> {
        self.limits().check(batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        let deletes_range = |op: &Op| matches!(op, Op::DeleteRange { .. });
        let (_alone, _beside) = match batch.ops().iter().any(deletes_range) {
            true => {
                let alone = self.ranges.write();
                (Some(alone.unwrap_or_else(PoisonError::into_inner)), None)
            }
            false => {
                let beside = self.ranges.read();
                (None, Some(beside.unwrap_or_else(PoisonError::into_inner)))
            }
        };
        let decide = &mut |view: &View| self.effect(view, batch).map(Decision::Write);
        self.transact(decide).map(drop)
    }
}

impl Snapshots for TikvEngine {
    fn snapshot(&self) -> Result<Box<dyn Reader + Send + Sync>> {
        Ok(Box::new(self.view()?))
    }
}
