//! What the engine does on its own: syncs on an interval, hint files, compaction, the reserve.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::hint::write_hint;
use super::shared::{Shared, lock};
use crate::{Error, Result, SyncPolicy};

/// How often the background thread looks for work.
const TICK: Duration = Duration::from_millis(100);

/// Stops the background thread.
#[derive(Debug, Default)]
pub(super) struct Stop {
    asked: AtomicBool,
    mutex: Mutex<()>,
    changed: Condvar,
}

impl Stop {
    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    fn ask(&self) {
        let _guard = lock(&self.mutex);
        self.asked.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    /// Waits for `time` or until asked to stop; `false` when asked.
    fn sleep(&self, time: Duration) -> bool {
        let guard = lock(&self.mutex);
        let _guard = self
            .changed
            .wait_timeout_while(guard, time, |()| !self.is_asked())
            .unwrap_or_else(PoisonError::into_inner);
        !self.is_asked()
    }
}

/// The background thread of an engine.
#[derive(Debug)]
pub(super) struct Background {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Self> {
        let stop = Arc::new(Stop::default());
        let thread = std::thread::Builder::new()
            .name("kvs-maintenance".into())
            .spawn({
                let (shared, stop) = (Arc::clone(shared), Arc::clone(&stop));
                move || run(&shared, &stop)
            })
            .map_err(|source| Error::io("start a thread for", &shared.dir, source))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    pub(super) fn stop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, stop: &Stop) {
    let mut synced = Instant::now();
    let tick = match shared.options.sync {
        SyncPolicy::Interval(interval) => interval.min(TICK),
        SyncPolicy::Always | SyncPolicy::Never => TICK,
    };
    while stop.sleep(tick) {
        if let SyncPolicy::Interval(interval) = shared.options.sync
            && synced.elapsed() >= interval
        {
            synced = Instant::now();
            // A failure poisons the engine, and that is how callers learn of it.
            let _ = shared.commit(true);
        }
        let pace = Pacer {
            shared,
            stop,
            began: Instant::now(),
            bytes: std::cell::Cell::new(0),
        };
        // Out of space or a damaged file: it is tried again at the next tick, and until it works the figures say why.
        let outcome = shared.maintain(&|bytes| pace.spend(bytes));
        *lock(&shared.maintenance_error) = outcome.err().map(|error| error.to_string());
    }
}

/// Keeps compaction below its rate.
struct Pacer<'a> {
    shared: &'a Shared,
    stop: &'a Stop,
    began: Instant,
    bytes: std::cell::Cell<u64>,
}

impl Pacer<'_> {
    fn spend(&self, bytes: u64) -> bool {
        self.bytes.set(self.bytes.get() + bytes);
        let rate = self.shared.options.compaction_bytes_per_second.max(1);
        let due = Duration::from_secs_f64(self.bytes.get() as f64 / rate as f64);
        let ahead = due.saturating_sub(self.began.elapsed());
        if ahead < Duration::from_millis(2) || self.is_urgent() {
            return !self.stop.is_asked();
        }
        self.stop.sleep(ahead)
    }

    /// Garbage grows faster than the rate removes it.
    fn is_urgent(&self) -> bool {
        let all = self.shared.segments.all();
        let size: u64 = all.iter().map(|segment| segment.size()).sum();
        let garbage: u64 = all.iter().map(|segment| segment.garbage()).sum();
        !self.shared.reserve.is_held()
            || garbage * 100 > size * (2 * self.shared.options.garbage_percent).min(90)
    }
}

impl Shared {
    /// Does what is due: hints for sealed segments, compaction until there is little garbage, the reserve.
    pub(super) fn maintain(&self, pace: super::compaction::Pace<'_>) -> Result<()> {
        let _ = self.reserve.take();
        let waiting = std::mem::take(&mut *lock(&self.waiting_tombstones));
        self.retry_tombstones(&waiting);
        self.write_hints()?;
        while self.compact(pace)? {}
        Ok(())
    }

    fn write_hints(&self) -> Result<()> {
        let active = lock(&self.writer).active.id();
        for segment in self.segments.all().iter() {
            let hinted = segment.hinted.load(Ordering::Relaxed);
            if !hinted && segment.is_sealed() && segment.id() != active {
                let _housekeeping = lock(&self.housekeeping);
                let files = &*self.options.files;
                // It may have been compacted away since.
                if files.exists(&segment.path)? {
                    write_hint(files, segment)?;
                }
                segment.hinted.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
