//! What must hold after every step, one file each, tagged with where it comes from. Each looks only at what the step changed.

mod election_safety;
mod equal_replicas;
mod exactly_once;
mod leader_append_only;
mod leader_completeness;
mod log_matching;
mod monotonic_reads;
mod state_machine_safety;

use raft::{Index, LogId, NodeId, Role, Term};
use replica::{Actions, Replica};

use crate::counters::Counters;

pub(crate) use exactly_once::ExactlyOnce;
pub(crate) use monotonic_reads::MonotonicReads;

/// An invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {what}")]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

/// What a check says.
pub(crate) type Checked = Result<(), Violation>;

pub(crate) fn broken(invariant: &'static str, what: impl Into<String>) -> Checked {
    Err(Violation {
        invariant,
        what: what.into(),
    })
}

/// How a server stands, as far as the next step's checks want to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glimpse {
    pub(crate) term: Term,
    pub(crate) role: Role,
    pub(crate) last: LogId,
    pub(crate) committed: Index,
    pub(crate) applied: LogId,
    pub(crate) compacted: Index,
    /// Of the entry that brought the members that count, and whether they are joint.
    pub(crate) configuration: (Index, bool),
}

impl Glimpse {
    pub(crate) fn of(replica: &Replica) -> Self {
        let core = replica.core();
        let (from, configuration) = core.configuration();
        Self {
            term: core.hard_state().term,
            role: core.role(),
            last: core.last(),
            committed: core.committed(),
            applied: replica.machine().applied(),
            compacted: core.compacted().index,
            configuration: (from, configuration.is_joint()),
        }
    }
}

/// One step of a server, seen from outside.
pub(crate) struct Seen<'a> {
    pub(crate) node: NodeId,
    pub(crate) before: Glimpse,
    pub(crate) after: Glimpse,
    pub(crate) replica: &'a Replica,
    pub(crate) actions: &'a Actions,
}

impl Seen<'_> {
    /// Whether the server was elected in this step.
    pub(crate) fn newly_leads(&self) -> bool {
        self.after.role == Role::Leader
            && (self.before.role != Role::Leader || self.before.term != self.after.term)
    }
}

/// All that look at servers.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    election_safety: election_safety::ElectionSafety,
    log_matching: log_matching::LogMatching,
    leader_completeness: leader_completeness::LeaderCompleteness,
    state_machine_safety: state_machine_safety::StateMachineSafety,
    equal_replicas: equal_replicas::EqualReplicas,
}

impl Invariants {
    /// After a step.
    pub(crate) fn check(&mut self, seen: &Seen<'_>, counters: &mut Counters) -> Checked {
        self.election_safety.check(seen)?;
        leader_append_only::check(seen)?;
        self.log_matching.check(seen)?;
        self.leader_completeness.check(seen, counters)?;
        self.state_machine_safety.check(seen, counters)?;
        self.equal_replicas.check(seen.node, seen.replica.machine())
    }

    /// Whether this entry was applied; if not, why it cannot have been.
    pub(crate) fn check_done(&self, done: LogId) -> Result<(), String> {
        let applied = self.state_machine_safety.term_of(done.index);
        if applied == Some(done.term) {
            return Ok(());
        }
        Err(format!(
            "{done:?} is done, but the term of what was applied there is {applied:?}"
        ))
    }

    /// After a server started again.
    pub(crate) fn check_started(&mut self, node: NodeId, replica: &Replica) -> Checked {
        self.election_safety.check_started(node, replica)?;
        self.equal_replicas.check(node, replica.machine())
    }
}
