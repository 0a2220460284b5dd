//! A thread per job: no pool at all, and the measure of what a pool saves.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::outstanding::Outstanding;
use super::{PoolError, ThreadPool};

/// Starts a thread for every job. The number of threads it was made with means nothing to it.
#[derive(Default)]
pub struct NaiveThreadPool {
    outstanding: Outstanding,
}

impl ThreadPool for NaiveThreadPool {
    fn new(threads: u32) -> Result<Self, PoolError> {
        if threads == 0 {
            return Err(PoolError::NoThreads);
        }
        Ok(Self::default())
    }

    fn spawn<F>(&self, job: F)
    where
        F: FnOnce() + Send + 'static,
    {
        let ticket = self.outstanding.ticket();
        // A thread that cannot be started takes its closure with it; the job must not be lost, so it stays here too.
        let slot = Arc::new(Mutex::new(Some(job)));
        let run = {
            let slot = Arc::clone(&slot);
            move || {
                let _ticket = ticket;
                if let Some(job) = take(&slot) {
                    job();
                }
            }
        };
        if thread::Builder::new().spawn(run).is_err() {
            // Too many threads: the caller does the job, and so spawns no more meanwhile.
            if let Some(job) = take(&slot) {
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        }
    }
}

fn take<F>(slot: &Mutex<Option<F>>) -> Option<F> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}
