//! What the engine does on its own: syncs on an interval, hint files, compaction, the reserve.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::hint::{encode_hint, store_hint};
use super::shared::{Shared, lock};
use crate::{Error, Result, SyncPolicy};

/// How often the background thread looks for work.
const TICK: Duration = Duration::from_millis(100);
/// So many times its rate is allowed to compaction while half of everything is garbage. Without a bound a segment's worth of copying
/// held up writers by a third of a second.
const HURRY: u64 = 4;
/// How long it leaves work alone that failed: a damaged segment would be read over and over.
const RETRY: Duration = Duration::from_secs(1);

/// Calls the background thread.
#[derive(Debug, Default)]
pub(super) struct Signal {
    stop: AtomicBool,
    behind: AtomicBool,
    mutex: Mutex<()>,
    changed: Condvar,
}

impl Signal {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn raise(&self, flag: &AtomicBool) {
        // Most calls find that the last one was not answered yet.
        if !flag.load(Ordering::Acquire) {
            let _guard = lock(&self.mutex);
            flag.store(true, Ordering::Release);
            self.changed.notify_all();
        }
    }

    /// Asks for a sync.
    pub(super) fn write_behind(&self) {
        self.raise(&self.behind);
    }

    /// Waits for `time`, or less if there is something to do.
    fn wait(&self, time: Duration) {
        let is_idle = || !self.is_stopping() && !self.behind.load(Ordering::Acquire);
        let guard = lock(&self.mutex);
        let _guard = self
            .changed
            .wait_timeout_while(guard, time, |()| is_idle())
            .unwrap_or_else(PoisonError::into_inner);
    }
}

/// The background thread of an engine.
#[derive(Debug)]
pub(super) struct Background {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Self> {
        let thread = std::thread::Builder::new()
            .name("kvs-maintenance".into())
            .spawn({
                let shared = Arc::clone(shared);
                move || run(&shared)
            })
            .map_err(|source| Error::io("start a thread for", &shared.dir, source))?;
        Ok(Self {
            shared: Arc::clone(shared),
            thread: Some(thread),
        })
    }

    pub(super) fn stop(&mut self) {
        let signal = &self.shared.signal;
        signal.raise(&signal.stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let mut synced = Instant::now();
    let tick = match shared.options.sync {
        SyncPolicy::Interval(interval) => interval.min(TICK),
        SyncPolicy::Always | SyncPolicy::Never => TICK,
    };
    let mut rest_until = Instant::now();
    while shared.pause(tick) {
        if let SyncPolicy::Interval(interval) = shared.options.sync
            && synced.elapsed() >= interval
        {
            synced = Instant::now();
            // A failure poisons the engine, and that is how callers learn of it.
            let _ = shared.commit(true);
        }
        if Instant::now() < rest_until {
            continue;
        }
        let pace = Pacer {
            shared,
            began: Instant::now(),
            due: std::cell::Cell::new(Duration::ZERO),
        };
        // Out of space or a damaged file: it is tried again later, and until it works the figures say why.
        let outcome = shared.maintain(&|bytes| pace.spend(bytes));
        if outcome.is_err() {
            rest_until = Instant::now() + RETRY;
        }
        *lock(&shared.maintenance_error) = outcome.err().map(|error| error.to_string());
    }
}

/// Keeps compaction below its rate, or [`HURRY`] times as much.
struct Pacer<'a> {
    shared: &'a Shared,
    began: Instant,
    /// When what was copied so far is due, since then.
    due: std::cell::Cell<Duration>,
}

impl Pacer<'_> {
    fn spend(&self, bytes: u64) -> bool {
        let rate = self.shared.options.compaction_bytes_per_second.max(1);
        let rate = if self.is_urgent() { rate * HURRY } else { rate };
        let now = self.began.elapsed();
        // Time that went by otherwise, with hints or in the disk, is not saved up to hurry later.
        let due = self.due.get().max(now) + Duration::from_secs_f64(bytes as f64 / rate as f64);
        self.due.set(due);
        let ahead = due.saturating_sub(now);
        // Without its reserve the store does not grow until compaction has made room: nobody is to be spared.
        if ahead < Duration::from_millis(2) || !self.shared.reserve.is_held() {
            return !self.shared.signal.is_stopping();
        }
        self.shared.pause(ahead)
    }

    /// Garbage grows faster than the rate removes it.
    fn is_urgent(&self) -> bool {
        let all = self.shared.segments.all();
        let size: u64 = all.iter().map(|segment| segment.size()).sum();
        let garbage: u64 = all.iter().map(|segment| segment.garbage()).sum();
        garbage * 2 > size
    }
}

impl Shared {
    /// Waits for `time` and syncs meanwhile when asked to; `false` when the thread is to stop.
    fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.signal.wait(left);
            if self.signal.is_stopping() {
                return false;
            }
            if self.signal.behind.swap(false, Ordering::AcqRel) {
                self.sync_behind();
            } else if left.is_zero() || Instant::now() >= until {
                return true;
            }
        }
    }

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
            // A hint can wait until there is space again.
            if !self.reserve.is_held() {
                break;
            }
            let hinted = segment.hinted.load(Ordering::Relaxed);
            if !hinted && segment.is_sealed() && segment.id() != active {
                let _housekeeping = lock(&self.housekeeping);
                let files = &*self.options.files;
                // It may have been compacted away since.
                let hint = match files.exists(&segment.path)? {
                    true => encode_hint(segment)?,
                    false => None,
                };
                let done = match hint {
                    Some(hint) => {
                        let store = || store_hint(files, segment, &hint);
                        self.reserve.while_held(store)?
                    }
                    None => true,
                };
                segment.hinted.store(done, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::file::fault::{Fault, FaultFs, Operation};
    use crate::kvs::{LogEngine, Options};
    use crate::{Durability, Engine};

    #[test]
    fn work_that_failed_is_not_tried_again_at_every_tick() {
        let disk = FaultFs::new();
        let options = Options {
            files: Arc::new(disk.clone()),
            segment_bytes: 1000,
            reserve_bytes: 0,
            ..Options::default().with_sync(SyncPolicy::Never)
        };
        let engine = LogEngine::open(Path::new("/data"), options).unwrap();
        // Hints read the segments back.
        let attempts = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&attempts);
        disk.fail_from(1, Fault::Io, move |operation| {
            let fails = matches!(operation, Operation::Read { .. });
            counter.fetch_add(u64::from(fails), Ordering::Relaxed);
            fails
        });
        for number in 0..20u8 {
            engine.put(&[number], &[7; 200]).unwrap();
        }
        engine.sync().unwrap();
        let began = Instant::now();
        while began.elapsed() < RETRY * 3 / 2 || attempts.load(Ordering::Relaxed) == 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "no attempt");
            std::thread::sleep(TICK / 10);
        }
        assert!(engine.stats().maintenance_error.is_some());
        let (attempts, periods) = (
            attempts.load(Ordering::Relaxed),
            began.elapsed().div_duration_f64(RETRY),
        );
        assert!(
            attempts as f64 <= periods + 2.0,
            "{attempts} attempts in {periods} periods"
        );
    }

    #[test]
    fn the_disk_begins_to_write_before_anybody_asks_for_a_sync() {
        let options = Options {
            files: Arc::new(FaultFs::new()),
            ..Options::default().with_sync(SyncPolicy::Never)
        };
        let engine = LogEngine::open(Path::new("/data"), options).unwrap();
        let value = vec![7; 1 << 20];
        for number in 0..7u8 {
            engine.put(&[number], &value).unwrap();
        }
        assert_eq!(engine.stats().syncs, 0);
        engine.put(b"one more", &value).unwrap();
        engine.put(b"and one", &value).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while engine.stats().syncs == 0 {
            assert!(Instant::now() < deadline, "nothing was synced");
            std::thread::yield_now();
        }
        assert_eq!(engine.acknowledged(), engine.applied());
    }
}
