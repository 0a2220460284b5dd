//! The state machine's engine: in memory, with the durability of one on disk that is seldom synced.
//!
//! ```text
//!   durable:  what a completed sync covers         since: the batches after it, in order
//!   crash:    durable + the first n of since       n chosen by the seed: a log of batches loses a suffix, never a part
//! ```
//!
//! A server that receives a snapshot has a second one meanwhile, which is gone after a crash. Which of the two is in use is on the disk as a whole or not
//! at all; that the files of a real node's directory behave so has a test beside them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use storage::{
    Batch, Direction, Durability, Engine, EngineKind, Entries, KeyRange, Limits, MemoryEngine,
    Reader, Result, Seq, Snapshots, SyncPolicy,
};

use replica::{Staging, StateEngine};

use crate::random::Random;

/// The engines of a server: the one that a restart finds.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimStates(Arc<Mutex<Arc<SimEngine>>>);

impl SimStates {
    /// The one in use.
    pub(crate) fn engine(&self) -> Arc<SimEngine> {
        Arc::clone(&self.live())
    }

    /// An empty one beside it.
    pub(crate) fn stage(&self) -> Box<dyn Staging> {
        let engine = Arc::new(SimEngine::default());
        Box::new(Beside {
            states: self.clone(),
            shared: Arc::clone(&engine) as _,
            engine,
        })
    }

    /// The server stopped: what it finds when it starts again, and how many batches were lost.
    ///
    /// # Errors
    /// As [`SimEngine::make_durable`].
    pub(crate) fn crash(&self, power_lost: bool, random: &mut Random) -> Result<u64> {
        let (engine, lost) = self.engine().restarted(power_lost, random)?;
        *self.live() = Arc::new(engine);
        Ok(lost)
    }

    fn live(&self) -> MutexGuard<'_, Arc<SimEngine>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Beside {
    states: SimStates,
    engine: Arc<SimEngine>,
    shared: Arc<dyn StateEngine>,
}

impl Staging for Beside {
    fn engine(&self) -> &Arc<dyn StateEngine> {
        &self.shared
    }

    fn switch(self: Box<Self>) -> Result<Arc<dyn StateEngine>> {
        *self.states.live() = self.engine;
        Ok(self.shared)
    }
}

#[derive(Debug, Default)]
struct Disk {
    durable: MemoryEngine,
    durable_to: Seq,
    since: VecDeque<Batch>,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct SimEngine {
    live: MemoryEngine,
    disk: Mutex<Disk>,
}

impl SimEngine {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All batches up to this one are durable now.
    ///
    /// # Errors
    /// None that a run could meet: the batches were accepted before.
    pub(crate) fn make_durable(&self, position: Seq) -> Result<()> {
        let mut disk = self.disk();
        while disk.durable_to < position
            && let Some(batch) = disk.since.pop_front()
        {
            disk.durable.submit(&batch)?;
            disk.durable_to += 1;
        }
        Ok(())
    }

    /// What a server finds when it starts again, and how many batches were lost. A server that was only killed finds everything.
    ///
    /// # Errors
    /// As [`SimEngine::make_durable`].
    pub(crate) fn restarted(&self, power_lost: bool, random: &mut Random) -> Result<(Self, u64)> {
        let disk = self.disk();
        let unsynced = disk.since.len() as u64;
        let kept = if power_lost {
            random.below(unsynced + 1)
        } else {
            unsynced
        };
        let mut all = Batch::new();
        for pair in disk.durable.scan(&KeyRange::all(), Direction::Forward) {
            let (key, value) = pair?;
            all.put(key, value);
        }
        let engine = Self::default();
        engine.submit(&all)?;
        for batch in disk.since.iter().take(usize::try_from(kept).unwrap_or(0)) {
            engine.submit(batch)?;
        }
        // What was found is on the disk: it was read from there, and opening syncs.
        engine.sync()?;
        Ok((engine, unsynced - kept))
    }
}

impl Reader for SimEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.live.get(key)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        self.live.multi_get(keys)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.live.scan(range, direction)
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        self.live.approximate_size(range)
    }
}

impl Engine for SimEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Memory
    }

    fn limits(&self) -> Limits {
        self.live.limits()
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        self.submit(batch).map(drop)
    }
}

impl Snapshots for SimEngine {
    fn snapshot(&self) -> Result<Box<dyn Reader + Send + Sync>> {
        self.live.snapshot()
    }
}

impl Durability for SimEngine {
    fn sync_policy(&self) -> SyncPolicy {
        SyncPolicy::Never
    }

    fn submit(&self, batch: &Batch) -> Result<Seq> {
        let position = self.live.submit(batch)?;
        if !batch.is_empty() {
            self.disk().since.push_back(batch.clone());
        }
        Ok(position)
    }

    fn latest(&self) -> &dyn Reader {
        self.live.latest()
    }

    fn applied(&self) -> Seq {
        self.live.applied()
    }

    fn commit(&self) -> Result<Seq> {
        self.live.commit()
    }

    fn sync(&self) -> Result<Seq> {
        let position = self.live.applied();
        self.make_durable(position)?;
        Ok(position)
    }

    fn acknowledged(&self) -> Seq {
        self.live.acknowledged()
    }

    fn poisoned(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(engine: &SimEngine, key: &'static str) {
        let mut batch = Batch::new();
        batch.put(key, "1");
        engine.submit(&batch).unwrap();
    }

    #[test]
    fn lost_power_takes_a_suffix_of_what_was_not_synced_and_a_kill_takes_nothing() {
        let engine = SimEngine::default();
        put(&engine, "a");
        put(&engine, "b");
        engine.make_durable(2).unwrap();
        put(&engine, "c");
        put(&engine, "d");
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let (left, lost) = engine.restarted(true, &mut Random::new(seed)).unwrap();
            let has = |key: &str| left.contains(key.as_bytes()).unwrap();
            assert!(has("a") && has("b"));
            assert!(has("c") || !has("d"), "a suffix");
            assert_eq!(lost, 2 - u64::from(has("c")) - u64::from(has("d")));
            seen.insert(lost);
        }
        assert_eq!(seen.len(), 3);
        let (left, lost) = engine.restarted(false, &mut Random::new(1)).unwrap();
        assert!(left.contains(b"d").unwrap());
        assert_eq!(lost, 0);
    }
}
