//! Those who wait for somebody else's lock: in queues, and in a graph that sees circles.

use std::collections::HashMap;
use std::time::Duration;

use percolator::{Deadlock, LockInfo, Ticket, Timestamp, WaitFor, WaitGraph, WaitQueues, Waiter};
use tokio::sync::oneshot;

/// Who waits, for whom, and how to wake them.
#[derive(Default)]
pub(super) struct Waiters {
    queues: WaitQueues,
    graph: WaitGraph,
    sleeping: HashMap<Ticket, oneshot::Sender<()>>,
}

impl Waiters {
    /// The transaction of `start_ts` waits for a lock; what is given completes when it is gone.
    ///
    /// # Errors
    /// [`Deadlock`]: it would wait for itself.
    pub(super) fn join(
        &mut self,
        start_ts: Timestamp,
        lock: &LockInfo,
        ticket: Ticket,
        patience: Duration,
        now_ms: u64,
    ) -> Result<oneshot::Receiver<()>, Deadlock> {
        let wait = WaitFor {
            waiter: start_ts,
            holder: lock.start_ts,
            key: lock.key.clone(),
        };
        self.graph.wait(&wait, now_ms)?;
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let waiter = Waiter {
            ticket,
            start_ts,
            holder: lock.start_ts,
            deadline_ms: now_ms.saturating_add(patience_ms),
        };
        self.queues.wait(lock.key.clone(), waiter);
        let (sender, receiver) = oneshot::channel();
        self.sleeping.insert(ticket, sender);
        Ok(receiver)
    }

    /// The lock on a key is gone. Who began first is woken first.
    pub(super) fn wake(&mut self, key: &[u8]) {
        for waiter in self.queues.wake(key) {
            self.graph.stop(waiter.start_ts, waiter.holder);
            if let Some(sleeping) = self.sleeping.remove(&waiter.ticket) {
                // Who waits no more has left.
                let _ = sleeping.send(());
            }
        }
    }

    /// This one waits no more, woken or not.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.sleeping.remove(&ticket);
        if let Some(waiter) = self.queues.cancel(ticket) {
            self.graph.stop(waiter.start_ts, waiter.holder);
        }
    }
}
