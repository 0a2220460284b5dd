//! A fixed number of workers that take jobs from one queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{PoolError, ThreadPool};

type Job = Box<dyn FnOnce() + Send + 'static>;

/// Workers that take jobs from one queue, first come, first served.
pub struct SharedQueueThreadPool {
    /// `None` only while dropping: a closed queue is how the workers learn that no more will come.
    jobs: Option<Sender<Job>>,
    workers: Vec<JoinHandle<()>>,
}

impl ThreadPool for SharedQueueThreadPool {
    fn new(threads: u32) -> Result<Self, PoolError> {
        if threads == 0 {
            return Err(PoolError::NoThreads);
        }
        let (jobs, queue) = unbounded();
        // Made first: if a worker cannot be started, its drop ends those that were.
        let mut pool = Self {
            jobs: Some(jobs),
            workers: Vec::new(),
        };
        for number in 0..threads {
            let queue = queue.clone();
            let worker = thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || work(&queue))?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    fn spawn<F>(&self, job: F)
    where
        F: FnOnce() + Send + 'static,
    {
        self.jobs
            .as_ref()
            .expect("only drop closes the queue")
            .send(Box::new(job))
            .expect("workers end only after the queue is closed");
    }
}

impl Drop for SharedQueueThreadPool {
    fn drop(&mut self) {
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // A worker catches every panic of a job, so there is no result worth looking at.
            let _ = worker.join();
        }
    }
}

fn work(queue: &Receiver<Job>) {
    for job in queue {
        // Unwinding safety is about what the job shares with others. That is for those who wrote it; the pool itself
        // shares nothing with it. The panic's message has been printed by now.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}
