//! What tests and invariants may see of a cluster.

use bytes::Bytes;
use raft::NodeId;
use replica::Replica;
use storage::Durability;

use crate::cluster::Cluster;

/// Looking at it.
impl Cluster {
    /// All servers, running or not.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        1..=self.nodes.len() as u64
    }

    /// A server's replica, if it runs.
    #[must_use]
    pub fn replica(&self, id: NodeId) -> Option<&Replica> {
        let running = self.node(id).running.as_ref()?;
        Some(&running.replica)
    }

    /// The leader of the greatest term, if a running server leads. Others may believe to lead an earlier term.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let running = self.ids().filter_map(|id| Some((id, self.replica(id)?)));
        let leaders = running.filter(|(_, replica)| replica.is_leader());
        let latest = leaders.max_by_key(|(_, replica)| replica.core().hard_state().term);
        latest.map(|(id, _)| id)
    }

    /// How many messages have been sent from one server to another.
    #[must_use]
    pub fn sent(&self, from: NodeId, to: NodeId) -> u64 {
        self.sent.get(&(from, to)).copied().unwrap_or(0)
    }

    /// How many messages have been sent at all.
    #[must_use]
    pub fn sent_by_all(&self) -> u64 {
        self.sent.values().sum()
    }

    /// Bytes of entries in a server's log on disk.
    #[must_use]
    pub fn log_bytes(&self, id: NodeId) -> usize {
        self.node(id).disk.bytes()
    }

    /// Events that servers took in: what "state-changing" means in figures.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Everything in a server's engine, running or not.
    ///
    /// # Errors
    /// The engine's.
    pub fn contents(&self, id: NodeId) -> storage::Result<Vec<(Bytes, Bytes)>> {
        let engine = self.node(id).states.engine();
        let all = storage::KeyRange::all();
        engine
            .latest()
            .scan(&all, storage::Direction::Forward)
            .collect()
    }
}
