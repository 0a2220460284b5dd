//! Latches: who may decide about a key now.
//!
//! # What it is
//!
//! A decision reads, is proposed, and is applied later. Between reading and applying nobody else may decide about its keys, or two could each
//! find no lock and both lock. A latch per key holds the others back. The paper has Bigtable's row transactions for this (section 2.2).
//!
//! # What it guarantees
//!
//! Of two requests with a key in common at most one holds its latches. Requests get a key in the order in which they came, and none waits
//! for ever: each joins the queues of all of its keys at once, so whoever waits does so only for those that came before it.
//!
//! # What it does not
//!
//! Reads take no latches: a snapshot is enough for them. Nothing is remembered of a request that released.
//!
//! # How it works
//!
//! ```text
//!   1 wants a b      a: 1 2      1 holds all of its keys
//!   2 wants a c      b: 1 3      2 is second on a
//!   3 wants b c      c: 2 3      3 waits for both
//!   1 releases       a: 2   b: 3   c: 2 3      ->  2 holds all now
//! ```

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

/// The name of a request, chosen by the caller; unique among those that wait or hold.
pub type Ticket = u64;

#[derive(Debug)]
struct Request {
    keys: BTreeSet<Bytes>,
    /// On how many of them others come first.
    behind: usize,
}

/// The latches of all keys.
#[derive(Debug, Default)]
pub struct Latches {
    queues: BTreeMap<Bytes, VecDeque<Ticket>>,
    requests: BTreeMap<Ticket, Request>,
}

impl Latches {
    /// No latch is held.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues `ticket` for `keys` and says whether it holds them all; else a later [`Latches::release`] names it.
    ///
    /// # Panics
    /// If the ticket is in use: two requests would take each other's latches.
    pub fn acquire(&mut self, ticket: Ticket, keys: BTreeSet<Bytes>) -> bool {
        assert!(
            !self.requests.contains_key(&ticket),
            "ticket {ticket} is in use"
        );
        let mut behind = 0;
        for key in &keys {
            let queue = self.queues.entry(key.clone()).or_default();
            behind += usize::from(!queue.is_empty());
            queue.push_back(ticket);
        }
        self.requests.insert(ticket, Request { keys, behind });
        behind == 0
    }

    /// Takes `ticket` out, whether it holds its latches or waits, and names those that hold all of theirs now, in the order of keys. A
    /// ticket that is not known changes nothing.
    pub fn release(&mut self, ticket: Ticket) -> Vec<Ticket> {
        let Some(request) = self.requests.remove(&ticket) else {
            return Vec::new();
        };
        let mut ready = Vec::new();
        for key in request.keys {
            let Entry::Occupied(mut queue) = self.queues.entry(key) else {
                continue;
            };
            let was_first = queue.get().front() == Some(&ticket);
            queue.get_mut().retain(|&waiting| waiting != ticket);
            let first = queue.get().front().copied();
            if first.is_none() {
                queue.remove();
            }
            if was_first
                && let Some(first) = first
                && let Some(next) = self.requests.get_mut(&first)
            {
                next.behind -= 1;
                if next.behind == 0 {
                    ready.push(first);
                }
            }
        }
        ready
    }

    /// Whether nobody holds or waits for anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.queues.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(names: &str) -> BTreeSet<Bytes> {
        let names = names.as_bytes().iter();
        names.map(|&name| Bytes::copy_from_slice(&[name])).collect()
    }

    #[test]
    fn requests_get_their_keys_in_the_order_in_which_they_came() {
        let mut latches = Latches::new();
        assert!(latches.acquire(1, keys("ab")));
        assert!(!latches.acquire(2, keys("ac")));
        assert!(!latches.acquire(3, keys("bc")));
        assert!(latches.acquire(4, keys("d")));
        assert_eq!(latches.release(1), [2]);
        assert_eq!(latches.release(2), [3]);
        assert_eq!(latches.release(3), []);
        assert_eq!(latches.release(4), []);
        assert!(latches.is_idle());
    }

    #[test]
    fn who_gives_up_waiting_lets_those_behind_pass_but_not_those_in_front() {
        let mut latches = Latches::new();
        assert!(latches.acquire(1, keys("a")));
        assert!(!latches.acquire(2, keys("ab")));
        assert!(!latches.acquire(3, keys("b")));
        assert_eq!(latches.release(2), [3]);
        assert!(!latches.acquire(4, keys("a")));
        assert_eq!(latches.release(1), [4]);
        assert_eq!(latches.release(9), [], "nobody of that name");
    }

    proptest! {
        #[test]
        fn nobody_shares_a_key_and_everybody_has_a_turn(
            steps in proptest::collection::vec((proptest::collection::btree_set(0..5_u8, 0..4), any::<prop::sample::Index>()), 1..60)
        ) {
            let mut latches = Latches::new();
            let mut wanted = BTreeMap::new();
            let mut holding = BTreeSet::new();
            let check = |holding: &BTreeSet<u64>, wanted: &BTreeMap<u64, BTreeSet<Bytes>>| {
                let held: Vec<_> = holding.iter().flat_map(|ticket| &wanted[ticket]).collect();
                assert_eq!(held.len(), held.iter().collect::<BTreeSet<_>>().len());
            };
            for (ticket, (keys, other)) in steps.into_iter().enumerate() {
                let ticket = ticket as u64;
                let keys: BTreeSet<_> = keys.into_iter().map(|key| Bytes::from(vec![key])).collect();
                wanted.insert(ticket, keys.clone());
                if latches.acquire(ticket, keys) {
                    holding.insert(ticket);
                }
                check(&holding, &wanted);
                if other.index(3) == 0 {
                    let tickets: Vec<_> = wanted.keys().copied().collect();
                    let gone = tickets[other.index(tickets.len())];
                    holding.remove(&gone);
                    wanted.remove(&gone);
                    holding.extend(latches.release(gone));
                    check(&holding, &wanted);
                }
            }
            while let Some(done) = holding.pop_first() {
                wanted.remove(&done);
                holding.extend(latches.release(done));
                check(&holding, &wanted);
            }
            prop_assert!(wanted.is_empty() && latches.is_idle(), "{:?}", wanted);
        }
    }
}
