//! Tells the log and the metrics what a node's replica has become. It looks, and decides nothing.

use std::sync::Arc;

use raft::{Configuration, Core, Index, NodeId, Role, SnapshotMeta, Term};

use super::metrics::Metrics;

/// What is looked at after each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    term: Term,
    voted_for: Option<NodeId>,
    role: Role,
    leader: Option<NodeId>,
    /// Where the members that count now stand in the log.
    configured: Index,
}

impl Seen {
    fn of(core: &Core) -> Self {
        let hard_state = core.hard_state();
        Self {
            term: hard_state.term,
            voted_for: hard_state.voted_for,
            role: core.role(),
            leader: core.leader(),
            configured: core.configuration().0,
        }
    }
}

pub(crate) struct Observer {
    metrics: Arc<Metrics>,
    seen: Seen,
    /// Whoever led last.
    led: Option<(Term, NodeId)>,
    members: Configuration,
}

impl Observer {
    pub(crate) fn new(core: &Core, metrics: Arc<Metrics>) -> Self {
        let seen = Seen::of(core);
        Self {
            metrics,
            led: seen.leader.map(|leader| (seen.term, leader)),
            members: core.configuration().1.clone(),
            seen,
        }
    }

    /// To be called after each step.
    pub(crate) fn look(&mut self, core: &Core) {
        let now = Seen::of(core);
        if now == self.seen {
            return;
        }
        let before = std::mem::replace(&mut self.seen, now);
        // Compaction moves them to the snapshot's entry, and changes nothing.
        if now.configured != before.configured && *core.configuration().1 != self.members {
            self.members = core.configuration().1.clone();
            tracing::info!(
                index = now.configured,
                voters = ?self.members.voters,
                learners = ?self.members.learners,
                joint = self.members.is_joint(),
                "the members are others now"
            );
        }
        self.election(core.id(), before, now);
    }

    /// A leader's snapshot has replaced the state.
    pub(crate) fn installed(&self, snapshot: &SnapshotMeta) {
        self.metrics.snapshots_installed.add(1);
        tracing::info!(
            index = snapshot.last.index,
            term = snapshot.last.term,
            "a snapshot was installed"
        );
    }

    /// What became of a snapshot sent.
    pub(crate) fn snapshot_sent(&self, delivered: bool) {
        let counter = match delivered {
            true => &self.metrics.snapshots_delivered,
            false => &self.metrics.snapshots_failed,
        };
        counter.add(1);
    }

    fn election(&mut self, own: NodeId, before: Seen, now: Seen) {
        let Seen { term, leader, .. } = now;
        if term > before.term && now.voted_for == Some(own) {
            self.metrics.elections_started.add(1);
            tracing::info!(term, "stands for election");
        }
        let (led, leads) = (before.role == Role::Leader, now.role == Role::Leader);
        if led && !(leads && term == before.term) {
            tracing::info!(term, led_term = before.term, ?leader, "leads no more");
        }
        if leads && !(led && term == before.term) {
            self.metrics.elections_won.add(1);
            tracing::info!(term, "was elected and leads");
        }
        match leader {
            Some(leader) if self.led != Some((term, leader)) => {
                self.led = Some((term, leader));
                self.metrics.leader_changes.add(1);
                if leader != own {
                    tracing::info!(term, leader, "follows a leader");
                }
            }
            None if before.leader.is_some() && !led => {
                tracing::info!(term, was = ?before.leader, "knows no leader any more");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use raft::{Config, Configuration, Envelope, Input, Message, Outputs, Start, Time};

    use super::*;

    struct Watched {
        core: Core,
        observer: Observer,
        now: Time,
    }

    impl Watched {
        fn new(voters: u64) -> Self {
            let start = Start {
                configuration: Configuration::of_voters(1..=voters),
                ..Start::default()
            };
            let core = Core::new(Config::new(1), start, Time::ZERO, 1);
            let observer = Observer::new(&core, Arc::default());
            Self {
                core,
                observer,
                now: Time::ZERO,
            }
        }

        fn step(&mut self, input: Input) -> Outputs {
            let out = self.core.step(self.now, input);
            self.observer.look(&self.core);
            out
        }

        fn counts(&self) -> [u64; 3] {
            let metrics = &self.observer.metrics;
            [
                metrics.elections_started.get(),
                metrics.elections_won.get(),
                metrics.leader_changes.get(),
            ]
        }
    }

    #[test]
    fn an_election_is_counted_when_it_begins_and_when_it_is_won() {
        let mut watched = Watched::new(1);
        watched.now += std::time::Duration::from_secs(1);
        let out = watched.step(Input::Tick);
        assert_eq!(watched.counts(), [1, 0, 0]);
        let write = out.write.expect("its vote for itself");
        watched.step(Input::Persisted(write.number));
        assert_eq!(watched.counts(), [1, 1, 1]);
        watched.step(Input::Tick);
        assert_eq!(watched.counts(), [1, 1, 1], "nothing else happened");
    }

    #[test]
    fn another_leader_is_a_change_and_the_same_one_heard_again_is_none() {
        let mut watched = Watched::new(3);
        let heartbeat = |from, term| {
            Input::Message(Envelope {
                from,
                to: 1,
                term,
                message: Message::Heartbeat {
                    session: 1,
                    committed: 0,
                    round: 1,
                },
            })
        };
        watched.step(heartbeat(2, 1));
        assert_eq!(watched.counts(), [0, 0, 1]);
        // It asks whether it would be elected, and forgets who leads; then the leader is there again.
        watched.now += std::time::Duration::from_secs(1);
        watched.step(Input::Tick);
        assert_eq!(watched.core.leader(), None);
        watched.step(heartbeat(2, 1));
        assert_eq!(watched.counts(), [0, 0, 1]);
        watched.step(heartbeat(3, 2));
        assert_eq!(watched.counts(), [0, 0, 2]);
    }
}
