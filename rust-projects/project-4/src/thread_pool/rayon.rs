//! rayon's pool: each worker has a queue of its own, and idle ones steal.

use super::outstanding::Outstanding;
use super::{PoolError, ThreadPool};

/// rayon's work-stealing pool.
pub struct RayonThreadPool {
    // Dropped in this order: rayon's own drop only asks its threads to end, so the jobs are waited for before.
    outstanding: Outstanding,
    pool: rayon::ThreadPool,
}

impl ThreadPool for RayonThreadPool {
    fn new(threads: u32) -> Result<Self, PoolError> {
        if threads == 0 {
            return Err(PoolError::NoThreads);
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads as usize)
            // Without a handler rayon ends the process. The panic's message has been printed by now.
            .panic_handler(|_| {})
            .build()?;
        Ok(Self {
            outstanding: Outstanding::default(),
            pool,
        })
    }

    fn spawn<F>(&self, job: F)
    where
        F: FnOnce() + Send + 'static,
    {
        let ticket = self.outstanding.ticket();
        self.pool.spawn(move || {
            let _ticket = ticket;
            job();
        });
    }
}
