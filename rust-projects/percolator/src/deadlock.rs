//! Deadlocks: transactions that wait for each other in a circle.
//!
//! # What it is
//!
//! The graph of who waits for whom, on which key. Pessimistic transactions wait while they hold locks, so a wait that closes a circle would
//! last until somebody's time is over.
//!
//! # What it guarantees
//!
//! The graph never has a circle: a wait that would close one is refused, with all that are part of it.
//!
//! # What it does not
//!
//! It knows what it is told. Waits must be taken out when they end; those of nodes that died are dropped by age. Who is refused is who came
//! last, not who would lose least.
//!
//! # How it works
//!
//! ```text
//!   10 waits for 11 on a     10 -> 11
//!   11 waits for 12 on b     10 -> 11 -> 12
//!   12 waits for 10 on c     12 -> 10 -> 11 -> 12: refused
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::Timestamp;

/// One transaction waits for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitFor {
    /// Who waits: its start timestamp.
    pub waiter: Timestamp,
    /// Who holds the lock.
    pub holder: Timestamp,
    /// On which key.
    pub key: Bytes,
}

/// A wait was refused, as it would close a circle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a deadlock of {} transactions: {} would wait for {} on key {:?}",
    .cycle.len(), .cycle[0].waiter, .cycle[0].holder, .cycle[0].key
)]
pub struct Deadlock {
    /// The circle, each waiting for the next: first the wait that was refused, last the one for who asked.
    pub cycle: Vec<WaitFor>,
}

#[derive(Debug)]
struct Edge {
    key: Bytes,
    since_ms: u64,
}

/// Who waits for whom.
#[derive(Debug, Default)]
pub struct WaitGraph {
    /// By waiter and holder.
    edges: BTreeMap<Timestamp, BTreeMap<Timestamp, Edge>>,
}

impl WaitGraph {
    /// Nobody waits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a wait, at the time `now_ms`. One that is there already is only made younger.
    ///
    /// # Errors
    /// [`Deadlock`] if the holder waits, directly or not, for the waiter. Nothing is added then.
    pub fn wait(&mut self, wait: &WaitFor, now_ms: u64) -> Result<(), Deadlock> {
        if let Some(path) = self.path(wait.holder, wait.waiter) {
            let cycle = std::iter::once(wait.clone()).chain(path).collect();
            return Err(Deadlock { cycle });
        }
        let edge = Edge {
            key: wait.key.clone(),
            since_ms: now_ms,
        };
        let holders = self.edges.entry(wait.waiter).or_default();
        holders.insert(wait.holder, edge);
        Ok(())
    }

    /// `waiter` does not wait for `holder` any more.
    pub fn stop(&mut self, waiter: Timestamp, holder: Timestamp) {
        if let Some(holders) = self.edges.get_mut(&waiter) {
            holders.remove(&holder);
            if holders.is_empty() {
                self.edges.remove(&waiter);
            }
        }
    }

    /// A transaction ended: it waits for nobody, and nobody for it.
    pub fn finish(&mut self, transaction: Timestamp) {
        self.edges.remove(&transaction);
        self.retain(|holder, _| *holder != transaction);
    }

    /// Drops the waits that began before `since_ms`: their nodes would have told of them again.
    pub fn forget_before(&mut self, since_ms: u64) {
        self.retain(|_, edge| edge.since_ms >= since_ms);
    }

    /// How many waits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.edges.values().map(BTreeMap::len).sum()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    fn retain(&mut self, keep: impl Fn(&Timestamp, &Edge) -> bool) {
        self.edges.retain(|_, holders| {
            holders.retain(|holder, edge| keep(holder, edge));
            !holders.is_empty()
        });
    }

    /// The waits that lead from one transaction to another; none if they are one. Depth first, each transaction once.
    fn path(&self, from: Timestamp, to: Timestamp) -> Option<Vec<WaitFor>> {
        let mut visited = BTreeSet::from([from]);
        let mut path: Vec<WaitFor> = Vec::new();
        let mut todo: Vec<Vec<WaitFor>> = Vec::new();
        let mut at = from;
        while at != to {
            todo.push(self.waits_of(at, &visited));
            // Back to where something is left to try.
            let next = loop {
                match todo.last_mut()?.pop() {
                    Some(next) if visited.insert(next.holder) => break next,
                    Some(_) => {}
                    None => {
                        todo.pop();
                        path.pop();
                    }
                }
            };
            at = next.holder;
            path.push(next);
        }
        Some(path)
    }

    fn waits_of(&self, waiter: Timestamp, visited: &BTreeSet<Timestamp>) -> Vec<WaitFor> {
        let holders = self.edges.get(&waiter).into_iter().flatten();
        holders
            .filter(|(holder, _)| !visited.contains(holder))
            .map(|(&holder, edge)| WaitFor {
                waiter,
                holder,
                key: edge.key.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wait(waiter: u64, holder: u64) -> WaitFor {
        WaitFor {
            waiter: Timestamp(waiter),
            holder: Timestamp(holder),
            key: format!("{waiter}-{holder}").into(),
        }
    }

    #[test]
    fn a_wait_that_closes_a_circle_is_refused_with_all_of_it() {
        let mut graph = WaitGraph::new();
        for (waiter, holder) in [(10, 11), (10, 20), (11, 21), (11, 12), (21, 22)] {
            assert_eq!(graph.wait(&wait(waiter, holder), 0), Ok(()));
        }
        let deadlock = graph.wait(&wait(12, 10), 0).unwrap_err();
        assert_eq!(deadlock.cycle, [wait(12, 10), wait(10, 11), wait(11, 12)]);
        assert!(
            deadlock
                .to_string()
                .contains("3 transactions: 12 would wait for 10")
        );
        // It was not added, so the others go on.
        assert_eq!(graph.wait(&wait(22, 12), 0), Ok(()));
    }

    #[test]
    fn waiting_for_oneself_is_a_circle_of_one() {
        let deadlock = WaitGraph::new().wait(&wait(5, 5), 0).unwrap_err();
        assert_eq!(deadlock.cycle, [wait(5, 5)]);
    }

    #[test]
    fn waits_that_ended_close_no_circle() {
        let mut graph = WaitGraph::new();
        graph.wait(&wait(1, 2), 10).unwrap();
        graph.stop(Timestamp(1), Timestamp(2));
        graph.wait(&wait(2, 1), 10).unwrap();
        assert!(graph.wait(&wait(1, 2), 10).is_err());
        graph.finish(Timestamp(1));
        assert!(graph.is_empty());
        graph.wait(&wait(1, 2), 10).unwrap();
        graph.wait(&wait(3, 2), 10).unwrap();
        graph.wait(&wait(3, 2), 20).unwrap();
        graph.forget_before(15);
        assert_eq!(graph.len(), 1);
        assert!(graph.wait(&wait(2, 1), 20).is_ok());
        assert!(graph.wait(&wait(2, 3), 20).is_err());
    }

    /// Whether there is a way, by looking for it as often as there are transactions.
    fn reaches(edges: &BTreeSet<(u64, u64)>, from: u64, to: u64) -> bool {
        let mut reached = BTreeSet::from([from]);
        for _ in 0..=edges.len() {
            let next = edges.iter().filter(|(waiter, _)| reached.contains(waiter));
            let next: Vec<_> = next.map(|&(_, holder)| holder).collect();
            reached.extend(next);
        }
        reached.contains(&to)
    }

    proptest! {
        #[test]
        fn exactly_the_waits_that_close_a_circle_are_refused(
            steps in proptest::collection::vec((0..8_u64, 0..8_u64, 0..4_u8), 1..60)
        ) {
            let mut graph = WaitGraph::new();
            let mut edges = BTreeSet::new();
            for (waiter, holder, what) in steps {
                if what == 0 {
                    graph.finish(Timestamp(waiter));
                    edges.retain(|&(a, b)| a != waiter && b != waiter);
                    continue;
                }
                match graph.wait(&wait(waiter, holder), 0) {
                    Ok(()) => {
                        prop_assert!(!reaches(&edges, holder, waiter));
                        edges.insert((waiter, holder));
                    }
                    Err(Deadlock { cycle }) => {
                        prop_assert_eq!(&cycle[0], &wait(waiter, holder));
                        for (index, edge) in cycle.iter().enumerate() {
                            let next = &cycle[(index + 1) % cycle.len()];
                            prop_assert_eq!(edge.holder, next.waiter);
                            prop_assert!(index == 0 || edges.contains(&(edge.waiter.0, edge.holder.0)));
                        }
                    }
                }
                prop_assert_eq!(graph.len(), edges.len());
            }
        }
    }
}
