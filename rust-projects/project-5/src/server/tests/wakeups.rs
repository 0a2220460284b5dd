//! Who is woken when a commit ends, and how many connections share one.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake, Waker};

use storage::Batch;

use super::*;

/// Counts how often a task is woken.
#[derive(Default)]
struct Wakeups(AtomicUsize);

impl Wake for Wakeups {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future polled by hand.
struct Task<F> {
    future: Pin<Box<F>>,
    wakeups: Arc<Wakeups>,
}

impl<F: Future> Task<F> {
    fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            wakeups: Arc::default(),
        }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakeups));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakeups(&self) -> usize {
        self.wakeups.0.load(Ordering::Relaxed)
    }
}

#[test]
fn the_committers_thread_wakes_one_task_per_commit_and_that_wakes_all_who_wait() {
    const WAITING: usize = 10;
    let disk = FaultFs::new();
    let engine = Arc::new(open_engine(&disk, SyncPolicy::Always));
    let durability: Arc<dyn Durability> = Arc::clone(&engine) as _;
    let (committer, thread) = Committer::start(durability).unwrap();
    let mut relay = Task::new(Arc::clone(&committer).relay());
    assert!(relay.poll().is_pending());
    let mut batch = Batch::new();
    batch.put("key", "value");
    let position = engine.submit(&batch).unwrap();

    disk.hold_syncs();
    let mut waiting: Vec<_> = (0..WAITING)
        .map(|_| Task::new(committer.wait(position)))
        .collect();
    for task in &mut waiting {
        assert!(task.poll().is_pending());
    }
    disk.release_syncs();
    // The thread ends after the commit that was asked for.
    committer.stop(thread);
    assert_eq!(relay.wakeups(), 1);
    assert!(waiting.iter().all(|task| task.wakeups() == 0));

    assert!(relay.poll().is_pending());
    for task in &mut waiting {
        assert_eq!(task.wakeups(), 1);
        assert!(matches!(task.poll(), Poll::Ready(Ok(()))));
    }
}

#[test]
fn pipelines_that_arrive_together_are_decided_before_any_is_committed() {
    const ROUNDS: usize = 20;
    let server = TestServer::start(SyncPolicy::Never);
    let (mut one, mut two) = (server.send(""), server.send(""));
    let pipeline = b"SET a 1\r\nSET b 2\r\n";
    let before = server.disk.count(is_write);
    for _ in 0..ROUNDS {
        let (sent, has_sent) = std::sync::mpsc::channel::<()>();
        let wait = move || assert!(has_sent.recv().is_err(), "only the end is sent");
        server.blocking.send(Box::new(wait)).unwrap();
        one.write_all(pipeline).unwrap();
        two.write_all(pipeline).unwrap();
        drop(sent);
        receive(&mut one, "+OK\r\n+OK\r\n");
        receive(&mut two, "+OK\r\n+OK\r\n");
    }
    // One commit, which is one write, for both; the system may now and then deliver the second pipeline late.
    let writes = server.disk.count(is_write) - before;
    assert!(writes >= ROUNDS, "{writes} writes");
    assert!(
        writes <= ROUNDS * 3 / 2,
        "{writes} writes in {ROUNDS} rounds"
    );
}
