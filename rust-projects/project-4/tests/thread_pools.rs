//! One contract for the three pools.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use project_4::thread_pool::{
    NaiveThreadPool, PoolError, RayonThreadPool, SharedQueueThreadPool, ThreadPool,
};

/// Longer than any of these tests takes, so that a hang becomes a failure.
const PATIENCE: Duration = Duration::from_secs(30);

macro_rules! for_each_pool {
    ($($test:ident)*) => {
        mod naive {
            $(#[test] fn $test() { super::$test::<super::NaiveThreadPool>(); })*
        }
        mod shared_queue {
            $(#[test] fn $test() { super::$test::<super::SharedQueueThreadPool>(); })*
        }
        mod rayon {
            $(#[test] fn $test() { super::$test::<super::RayonThreadPool>(); })*
        }
    };
}

for_each_pool! {
    every_job_runs_once
    dropping_the_pool_waits_for_jobs_that_are_queued_or_running
    a_thousand_panics_do_not_shrink_the_pool
    a_panic_does_not_keep_drop_waiting
    jobs_come_from_any_thread
    a_pool_without_threads_is_refused
}

fn every_job_runs_once<P: ThreadPool>() {
    let pool = P::new(4).unwrap();
    let runs: Arc<Vec<AtomicUsize>> = Arc::new((0..1000).map(|_| AtomicUsize::new(0)).collect());
    for job in 0..1000 {
        let runs = Arc::clone(&runs);
        pool.spawn(move || {
            runs[job].fetch_add(1, Ordering::Relaxed);
        });
    }
    drop(pool);
    assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
}

fn dropping_the_pool_waits_for_jobs_that_are_queued_or_running<P: ThreadPool>() {
    let pool = P::new(1).unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let (release, released) = mpsc::channel::<()>();
    {
        let done = Arc::clone(&done);
        pool.spawn(move || {
            released.recv().unwrap();
            done.fetch_add(1, Ordering::Relaxed);
        });
    }
    for _ in 0..10 {
        let done = Arc::clone(&done);
        pool.spawn(move || {
            done.fetch_add(1, Ordering::Relaxed);
        });
    }
    let (dropped, is_dropped) = mpsc::channel();
    let dropper = thread::spawn(move || {
        drop(pool);
        dropped.send(()).unwrap();
    });
    assert!(
        is_dropped.recv_timeout(Duration::from_millis(50)).is_err(),
        "the first job cannot have ended"
    );
    release.send(()).unwrap();
    is_dropped.recv_timeout(PATIENCE).unwrap();
    dropper.join().unwrap();
    assert_eq!(done.load(Ordering::Relaxed), 11);
}

fn a_thousand_panics_do_not_shrink_the_pool<P: ThreadPool>() {
    let pool = P::new(4).unwrap();
    pool.spawn(|| panic!("a panic on purpose, printed like any other"));
    for _ in 1..1000 {
        // As `panic!`, but it prints nothing.
        pool.spawn(|| resume_unwind(Box::new("on purpose")));
    }
    // Four jobs that wait for each other end only if four threads run them at once.
    let all_running = Arc::new(Barrier::new(4));
    let (done, is_done) = mpsc::channel();
    for _ in 0..4 {
        let (all_running, done) = (Arc::clone(&all_running), done.clone());
        pool.spawn(move || {
            all_running.wait();
            done.send(()).unwrap();
        });
    }
    for _ in 0..4 {
        if is_done.recv_timeout(PATIENCE).is_err() {
            // Its drop would wait forever.
            std::mem::forget(pool);
            panic!("the pool has fewer than four threads left");
        }
    }
}

fn a_panic_does_not_keep_drop_waiting<P: ThreadPool>() {
    let pool = P::new(2).unwrap();
    for _ in 0..10 {
        pool.spawn(|| resume_unwind(Box::new("on purpose")));
    }
    let (dropped, is_dropped) = mpsc::channel();
    thread::spawn(move || {
        drop(pool);
        let _ = dropped.send(());
    });
    is_dropped.recv_timeout(PATIENCE).unwrap();
}

fn jobs_come_from_any_thread<P: ThreadPool + Sync>() {
    let pool = P::new(2).unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let runs = Arc::clone(&runs);
                    pool.spawn(move || {
                        runs.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
        }
    });
    drop(pool);
    assert_eq!(runs.load(Ordering::Relaxed), 80);
}

fn a_pool_without_threads_is_refused<P: ThreadPool>() {
    assert!(matches!(P::new(0), Err(PoolError::NoThreads)));
}

/// Not so the naive pool, which starts a thread for each.
fn never_more_jobs_at_once_than_threads<P: ThreadPool>() {
    let pool = P::new(3).unwrap();
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    for _ in 0..200 {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        pool.spawn(move || {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
        });
    }
    drop(pool);
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
}

#[test]
fn the_shared_queue_never_runs_more_jobs_at_once_than_it_has_threads() {
    never_more_jobs_at_once_than_threads::<SharedQueueThreadPool>();
}

#[test]
fn rayon_never_runs_more_jobs_at_once_than_it_has_threads() {
    never_more_jobs_at_once_than_threads::<RayonThreadPool>();
}
