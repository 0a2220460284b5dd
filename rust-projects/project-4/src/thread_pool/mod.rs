//! Three ways to run jobs on other threads, behind one trait.
//!
//! | pool | a job waits for | a panic costs |
//! |---|---|---|
//! | [`NaiveThreadPool`] | the start of a thread of its own | that thread, which was ending anyway |
//! | [`SharedQueueThreadPool`] | a free worker, in one queue for all | nothing: the worker catches it |
//! | [`RayonThreadPool`] | a free worker; idle workers steal from busy ones | nothing: rayon catches it |
//!
//! # What it guarantees
//!
//! Every job that was accepted runs once. A job that panics neither ends the process nor shrinks the pool. Dropping a
//! pool waits until all its jobs are done. `tests/thread_pools.rs` holds all three to this.
//!
//! # What it does not
//!
//! No queue here is bounded: whoever spawns must bound what it spawns. A pool must not be dropped by one of its own
//! jobs, which would wait for itself.

mod naive;
mod outstanding;
mod rayon;
mod shared_queue;

pub use naive::NaiveThreadPool;
pub use rayon::RayonThreadPool;
pub use shared_queue::SharedQueueThreadPool;

/// Why a pool could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// No threads were asked for, so no job would ever run.
    #[error("a thread pool needs at least one thread")]
    NoThreads,
    /// The operating system refused to start a thread. Ask for fewer.
    #[error("cannot start a thread: {0}")]
    Start(#[from] std::io::Error),
    /// rayon could not build its pool.
    #[error("cannot build the pool: {0}")]
    Rayon(#[from] ::rayon::ThreadPoolBuildError),
}

/// Runs jobs on other threads.
pub trait ThreadPool: Sized + Send + 'static {
    /// A pool of `threads` threads.
    ///
    /// # Errors
    /// [`PoolError::NoThreads`] for 0; the others when threads cannot be started.
    fn new(threads: u32) -> Result<Self, PoolError>;

    /// Has `job` run on a thread of the pool. Returns at once, whether or not a thread is free.
    fn spawn<F>(&self, job: F)
    where
        F: FnOnce() + Send + 'static;
}
