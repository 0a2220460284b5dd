//! Equal replicas: two state machines that applied the same entries hold the same (Raft paper, section 2; design decision 8). The
//! machine's hash chains all changes, so its equality at one index says it of all before.

use std::collections::BTreeMap;

use raft::{Index, NodeId};
use replica::Machine;

use super::{Checked, broken};

#[derive(Debug, Default)]
pub(super) struct EqualReplicas {
    /// Hash and time of the state after an entry, and who was first there.
    states: BTreeMap<Index, (u64, u64, NodeId)>,
}

impl EqualReplicas {
    pub(super) fn check(&mut self, node: NodeId, machine: &Machine) -> Checked {
        let index = machine.applied().index;
        let (hash, time_ms) = (machine.hash(), machine.time_ms());
        let first = *self.states.entry(index).or_insert((hash, time_ms, node));
        if (first.0, first.1) != (hash, time_ms) {
            return broken(
                "equal replicas",
                format!(
                    "after entry {index} server {node} differs from server {}",
                    first.2
                ),
            );
        }
        Ok(())
    }
}
