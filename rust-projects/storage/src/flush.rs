//! What the engines of others share: positions, group flush and poison around a flush that is theirs, and batches spelled
//! out key by key.
//!
//! Many writers, one flush: who asks for durability waits for the flush under way, and finds that the next one, begun by
//! whoever came first, covered all that was applied by then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::{Batch, EngineKind, Error, KeyRange, Keys, Op, Result, Seq, SyncPolicy};

/// The engine that is flushed.
pub(crate) trait Backend: Send + Sync + 'static {
    /// A view of what is applied, published once it is flushed.
    type View: Send + Sync;

    /// Views what is applied; no batch is being applied meanwhile.
    fn view(&self) -> Self::View;

    /// Forces to the disk all that was applied before the call.
    fn flush(&self) -> Result<()>;
}

struct Shared<B: Backend> {
    policy: SyncPolicy,
    backend: B,
    /// Held while a batch is applied, so that positions are the order of application.
    writer: Mutex<()>,
    applied: AtomicU64,
    /// Held during a flush.
    flushing: Mutex<()>,
    /// The position flushed and the view of exactly that. Published as one, so that neither is ever ahead of the other.
    flushed: ArcSwap<(Seq, B::View)>,
    poison: OnceLock<String>,
    stop: Mutex<bool>,
    stopped: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the mutexes here guard is whole at every point where a thread can die.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Backend> Shared<B> {
    fn check(&self) -> Result<()> {
        match self.poison.get() {
            Some(cause) => Err(Error::Poisoned {
                cause: cause.clone(),
            }),
            None => Ok(()),
        }
    }

    fn poison(&self, failure: &Error) -> Error {
        Error::Poisoned {
            cause: self.poison.get_or_init(|| failure.to_string()).clone(),
        }
    }

    /// Flushes what is not flushed yet, or in any case where `force` asks for it.
    fn flush(&self, force: bool) -> Result<Seq> {
        let target = self.applied.load(Ordering::Acquire);
        let _flushing = lock(&self.flushing);
        self.check()?;
        // Another thread's flush, begun while this one waited, may have covered the target.
        if force || self.flushed.load().0 < target {
            let reached = {
                let _writer = lock(&self.writer);
                (self.applied.load(Ordering::Acquire), self.backend.view())
            };
            let flushed = self.backend.flush();
            flushed.map_err(|failure| self.poison(&failure))?;
            self.flushed.store(Arc::new(reached));
        }
        Ok(self.flushed.load().0)
    }

    /// Flushes every `interval` until stopped, and once more then.
    fn flush_regularly(&self, interval: Duration) {
        loop {
            let wait = self
                .stopped
                .wait_timeout_while(lock(&self.stop), interval, |stop| !*stop);
            let stop = *wait.unwrap_or_else(PoisonError::into_inner).0;
            // A failure has poisoned the engine, and the next write reports it.
            if self.flush(false).is_err() || stop {
                return;
            }
        }
    }
}

/// Positions, group flush and poison of one engine.
pub(crate) struct Flusher<B: Backend> {
    shared: Arc<Shared<B>>,
    thread: Option<JoinHandle<()>>,
}

impl<B: Backend> Flusher<B> {
    /// `kind` names the thread that an interval needs.
    pub(crate) fn new(kind: EngineKind, policy: SyncPolicy, backend: B) -> Result<Self> {
        let shared = Arc::new(Shared {
            policy,
            flushed: ArcSwap::from_pointee((0, backend.view())),
            backend,
            writer: Mutex::new(()),
            applied: AtomicU64::new(0),
            flushing: Mutex::new(()),
            poison: OnceLock::new(),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
        });
        let thread = match policy {
            SyncPolicy::Interval(interval) => {
                // An interval of nothing would keep a core busy.
                let interval = interval.max(Duration::from_millis(1));
                let shared = Arc::clone(&shared);
                let thread = std::thread::Builder::new()
                    .name(format!("{kind}-flush"))
                    .spawn(move || shared.flush_regularly(interval));
                Some(thread.map_err(|failure| Error::Backend {
                    engine: kind,
                    message: format!("cannot start the flush thread: {failure}"),
                })?)
            }
            SyncPolicy::Always | SyncPolicy::Never => None,
        };
        Ok(Self { shared, thread })
    }

    pub(crate) fn backend(&self) -> &B {
        &self.shared.backend
    }

    /// The view of what was last flushed, and its position.
    pub(crate) fn flushed(&self) -> arc_swap::Guard<Arc<(Seq, B::View)>> {
        self.shared.flushed.load()
    }

    pub(crate) fn policy(&self) -> SyncPolicy {
        self.shared.policy
    }

    /// Runs `apply` as the only writer and gives it a position. A failure poisons: what it left behind is unknown.
    pub(crate) fn apply(&self, apply: impl FnOnce() -> Result<()>) -> Result<Seq> {
        let _writer = lock(&self.shared.writer);
        self.shared.check()?;
        apply().map_err(|failure| self.shared.poison(&failure))?;
        Ok(self.shared.applied.fetch_add(1, Ordering::AcqRel) + 1)
    }

    pub(crate) fn applied(&self) -> Seq {
        self.shared.applied.load(Ordering::Acquire)
    }

    pub(crate) fn acknowledged(&self) -> Seq {
        match self.shared.policy {
            SyncPolicy::Always => self.flushed().0,
            SyncPolicy::Interval(_) | SyncPolicy::Never => self.applied(),
        }
    }

    pub(crate) fn commit(&self) -> Result<Seq> {
        match self.shared.policy {
            SyncPolicy::Always => self.shared.flush(false),
            SyncPolicy::Interval(_) | SyncPolicy::Never => {
                self.shared.check()?;
                Ok(self.applied())
            }
        }
    }

    pub(crate) fn sync(&self) -> Result<Seq> {
        // Forced: what a killed process left behind may be in no more than the page cache.
        self.shared.flush(true)
    }

    pub(crate) fn poisoned(&self) -> Option<String> {
        self.shared.poison.get().cloned()
    }
}

impl<B: Backend> Drop for Flusher<B> {
    fn drop(&mut self) {
        *lock(&self.shared.stop) = true;
        self.shared.stopped.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by its own message.
            let _ = thread.join();
        }
    }
}

/// What `batch` comes to, key by key: a value or its absence. `keys` lists what a range holds before the batch. Memory is
/// proportional to the keys concerned, those of range deletions included.
pub(crate) fn flatten<'a>(
    batch: &Batch,
    keys: impl Fn(&KeyRange) -> Keys<'a>,
) -> Result<BTreeMap<Bytes, Option<Bytes>>> {
    let mut effect = BTreeMap::new();
    for op in batch.ops() {
        match op {
            Op::Put { key, value } => {
                effect.insert(key.clone(), Some(value.clone()));
            }
            Op::Delete { key } => {
                effect.insert(key.clone(), None);
            }
            Op::DeleteRange { range } if !range.is_empty() => {
                for (_, value) in effect.range_mut::<[u8], _>(range.as_slices()) {
                    *value = None;
                }
                for key in keys(range) {
                    effect.insert(key?, None);
                }
            }
            Op::DeleteRange { .. } => {}
        }
    }
    Ok(effect)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    use super::*;

    struct Fake<F>(F);

    impl<F: Fn() -> Result<()> + Send + Sync + 'static> Backend for Fake<F> {
        type View = ();

        fn view(&self) {}

        fn flush(&self) -> Result<()> {
            (self.0)()
        }
    }

    fn flusher<F: Fn() -> Result<()> + Send + Sync + 'static>(
        policy: SyncPolicy,
        flush: F,
    ) -> Flusher<Fake<F>> {
        Flusher::new(EngineKind::Sled, policy, Fake(flush)).unwrap()
    }

    fn failing() -> Result<()> {
        Err(Error::io(
            "sync",
            Path::new("/data"),
            rustix::io::Errno::IO.into(),
        ))
    }

    #[test]
    fn a_failed_flush_poisons_for_good_and_is_never_tried_again() {
        let tries = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&tries);
        let flusher = flusher(SyncPolicy::Always, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            failing()
        });
        flusher.apply(|| Ok(())).unwrap();
        for _ in 0..2 {
            assert!(matches!(flusher.commit(), Err(Error::Poisoned { .. })));
        }
        assert_eq!(tries.load(Ordering::Relaxed), 1);
        assert_eq!(flusher.acknowledged(), 0);
        let refused = flusher.apply(|| panic!("a poisoned engine applies nothing"));
        assert!(matches!(refused, Err(Error::Poisoned { .. })));
        assert!(flusher.poisoned().unwrap().contains("cannot sync /data"));
    }

    #[test]
    fn a_failed_application_poisons() {
        let flusher = flusher(SyncPolicy::Never, || Ok(()));
        assert!(matches!(
            flusher.apply(failing),
            Err(Error::Poisoned { .. })
        ));
        assert!(flusher.commit().is_err() && flusher.sync().is_err());
        assert_eq!(flusher.applied(), 0);
    }

    #[test]
    fn whoever_waits_for_a_flush_shares_the_next_one() {
        let (started, on_start) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let flushes = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&flushes);
        let flusher = flusher(SyncPolicy::Always, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            started.send(()).unwrap();
            lock(&released).recv().unwrap();
            Ok(())
        });
        std::thread::scope(|scope| {
            flusher.apply(|| Ok(())).unwrap();
            scope.spawn(|| flusher.commit().unwrap());
            on_start.recv().unwrap();
            for _ in 0..10 {
                flusher.apply(|| Ok(())).unwrap();
                scope.spawn(|| assert_eq!(flusher.commit().unwrap(), 11));
            }
            assert_eq!(flusher.acknowledged(), 0);
            release.send(()).unwrap();
            release.send(()).unwrap();
        });
        assert_eq!(flushes.load(Ordering::Relaxed), 2);
        assert_eq!(flusher.acknowledged(), 11);
    }

    #[test]
    fn an_interval_is_flushed_in_the_background_and_at_the_close() {
        for interval in [Duration::from_millis(1), Duration::from_secs(3600)] {
            let (flushed, on_flush) = mpsc::channel();
            let first = AtomicBool::new(true);
            let policy = SyncPolicy::Interval(interval);
            let flusher = flusher(policy, move || {
                if first.swap(false, Ordering::Relaxed) {
                    flushed.send(()).unwrap();
                }
                Ok(())
            });
            flusher.apply(|| Ok(())).unwrap();
            assert_eq!(flusher.acknowledged(), 1);
            if interval > Duration::from_secs(1) {
                drop(flusher);
            }
            on_flush.recv_timeout(Duration::from_secs(60)).unwrap();
        }
    }

    #[test]
    fn a_range_deletion_sees_earlier_changes_of_its_batch_and_no_later_ones() {
        let mut batch = Batch::new();
        batch.put("b", "1").put("z", "1");
        batch.delete_range(KeyRange::half_open("a", "d"));
        batch.put("c", "2");
        let stored = |_: &KeyRange| -> Keys<'_> { Box::new([Ok(Bytes::from("a"))].into_iter()) };
        let effect = flatten(&batch, stored).unwrap();
        let expected = [("a", None), ("b", None), ("c", Some("2")), ("z", Some("1"))];
        let expected = expected.map(|(key, value)| (Bytes::from(key), value.map(Bytes::from)));
        assert_eq!(effect, BTreeMap::from(expected));
    }
}
