//! Who waits for a lock, and who is next.
//!
//! # What it is
//!
//! Queues of requests for pessimistic locks, one for each key that somebody else holds.
//!
//! # What it guarantees
//!
//! When a lock is gone, those who wait for it are woken in the order of their start timestamps: who began first, and so holds most and has
//! waited longest, comes first. Nobody waits beyond his deadline.
//!
//! # What it does not
//!
//! It grants nothing: who is woken asks again, and may find that another was faster, or that the key has changed. All that wait for the key are
//! woken, so that each is told whom it waits for now; with many waiters on one key that is work for nothing.
//!
//! # How it works
//!
//! ```text
//!   k is held by 9:   30, 12 and 20 wait
//!   9 commits:        woken: 12, 20, 30     12 gets the lock, 20 and 30 wait for 12 now
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Ticket, Timestamp};

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// The name of the request, chosen by the caller; unique among those that wait.
    pub ticket: Ticket,
    /// When its transaction began.
    pub start_ts: Timestamp,
    /// Whom it waits for.
    pub holder: Timestamp,
    /// Until when, in milliseconds.
    pub deadline_ms: u64,
}

/// Those who wait, by key.
#[derive(Debug, Default)]
pub struct WaitQueues {
    /// By start timestamp, and then by ticket, as a transaction may ask more than once.
    queues: BTreeMap<Bytes, BTreeMap<(Timestamp, Ticket), Waiter>>,
    /// Where each stands.
    places: BTreeMap<Ticket, (Bytes, Timestamp)>,
}

impl WaitQueues {
    /// Nobody waits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `waiter` wait for `key`. A ticket that waited elsewhere does so no more.
    pub fn wait(&mut self, key: Bytes, waiter: Waiter) {
        self.cancel(waiter.ticket);
        self.places
            .insert(waiter.ticket, (key.clone(), waiter.start_ts));
        let queue = self.queues.entry(key).or_default();
        queue.insert((waiter.start_ts, waiter.ticket), waiter);
    }

    /// The lock on `key` is gone: takes out all that waited for it, in the order in which they should ask again.
    pub fn wake(&mut self, key: &[u8]) -> Vec<Waiter> {
        let queue = self.queues.remove(key).unwrap_or_default();
        for &(_, ticket) in queue.keys() {
            self.places.remove(&ticket);
        }
        queue.into_values().collect()
    }

    /// Takes out those whose deadline is over at the time `now_ms`, by ticket.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Waiter> {
        let waiters = self.queues.values().flat_map(BTreeMap::values);
        let late = waiters.filter(|waiter| waiter.deadline_ms <= now_ms);
        let mut tickets: Vec<_> = late.map(|waiter| waiter.ticket).collect();
        tickets.sort_unstable();
        tickets
            .into_iter()
            .filter_map(|ticket| self.cancel(ticket))
            .collect()
    }

    /// Takes out one request, if it waits.
    pub fn cancel(&mut self, ticket: Ticket) -> Option<Waiter> {
        let (key, start_ts) = self.places.remove(&ticket)?;
        let queue = self.queues.get_mut(&key)?;
        let waiter = queue.remove(&(start_ts, ticket));
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        waiter
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(ticket: Ticket, start: u64, deadline_ms: u64) -> Waiter {
        Waiter {
            ticket,
            start_ts: Timestamp(start),
            holder: Timestamp(9),
            deadline_ms,
        }
    }

    fn key(name: &'static str) -> Bytes {
        Bytes::from_static(name.as_bytes())
    }

    fn tickets(waiters: Vec<Waiter>) -> Vec<Ticket> {
        waiters.into_iter().map(|waiter| waiter.ticket).collect()
    }

    #[test]
    fn those_who_wait_are_woken_in_the_order_of_their_starts_and_only_for_their_key() {
        let mut queues = WaitQueues::new();
        queues.wait(key("k"), waiter(1, 30, 100));
        queues.wait(key("k"), waiter(2, 12, 100));
        queues.wait(key("other"), waiter(3, 5, 100));
        queues.wait(key("k"), waiter(4, 20, 100));
        queues.wait(key("k"), waiter(5, 12, 100));
        assert_eq!(tickets(queues.wake(b"k")), [2, 5, 4, 1]);
        assert_eq!(queues.wake(b"k"), []);
        assert_eq!(queues.len(), 1);
    }

    #[test]
    fn nobody_waits_beyond_his_deadline_or_in_two_places() {
        let mut queues = WaitQueues::new();
        queues.wait(key("k"), waiter(1, 30, 100));
        queues.wait(key("k"), waiter(2, 12, 90));
        queues.wait(key("l"), waiter(3, 5, 90));
        queues.wait(key("l"), waiter(1, 30, 95));
        assert_eq!(tickets(queues.expire(89)), []);
        assert_eq!(tickets(queues.expire(90)), [2, 3]);
        assert_eq!(queues.wake(b"k"), []);
        assert_eq!(queues.cancel(1), Some(waiter(1, 30, 95)));
        assert_eq!(queues.cancel(1), None);
        assert!(queues.is_empty());
    }
}
