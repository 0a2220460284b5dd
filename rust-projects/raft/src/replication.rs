//! Replication and commitment: AppendEntries from both sides (sections 5.3 and 5.4).

use bytes::Bytes;

use crate::core::{After, Core, Part};
use crate::leader::Leader;
use crate::progress::{Next, Progress};
use crate::{Appended, Entry, Index, LogId, Message, NodeId, Payload, Refused, Time};

/// The leader's side.
impl Core {
    /// Commands of clients: appended in order, and sent in one message a peer.
    pub(crate) fn propose(&mut self, commands: Vec<Bytes>) {
        let checked = self.may_propose();
        if checked.is_ok() {
            for command in commands {
                self.append(Payload::Command(command));
            }
            self.replicate();
        }
        self.out.proposed = Some(checked.map(|()| self.log.last()));
    }

    fn may_propose(&self) -> Result<(), Refused> {
        let Part::Leader(leader) = &self.part else {
            return Err(Refused::NotLeader(self.leader));
        };
        if let Some(transfer) = &leader.transfer {
            return Err(Refused::Transferring(transfer.to));
        }
        if leader.uncommitted_bytes >= self.config.max_uncommitted_bytes {
            return Err(Refused::Busy);
        }
        Ok(())
    }

    /// Appends an entry of this term, as the leader.
    pub(crate) fn append(&mut self, payload: Payload) {
        let id = LogId::new(self.hard_state.term, self.log.last().index + 1);
        let entry = Entry { id, payload };
        let size = entry.size();
        let is_configuration = matches!(entry.payload, Payload::Configuration(_));
        self.log.push(entry.clone());
        self.write().entries.push(entry);
        let Part::Leader(leader) = &mut self.part else {
            return;
        };
        leader.uncommitted_bytes += size;
        if is_configuration {
            let (from, configuration) = self.log.configuration();
            leader.follow_configuration(configuration, from, self.config.id, id.index, self.now);
        }
    }

    /// Sends every peer what it may have.
    pub(crate) fn replicate(&mut self) {
        for peer in self.peers() {
            self.replicate_to(peer, false);
        }
    }

    pub(crate) fn peers(&self) -> Vec<NodeId> {
        let Part::Leader(leader) = &self.part else {
            return Vec::new();
        };
        let all = leader.progress.keys().copied();
        all.filter(|&node| node != self.config.id).collect()
    }

    /// Sends a peer what it may have; with `probe` at least an empty message, whose refusal tells of losses.
    pub(crate) fn replicate_to(&mut self, peer: NodeId, mut probe: bool) {
        loop {
            let Part::Leader(leader) = &mut self.part else {
                return;
            };
            let Some(progress) = leader.progress.get_mut(&peer) else {
                return;
            };
            let flow = &self.config.flow;
            let snapshot = self.snapshot.as_ref();
            match progress.next_message(&self.log, self.committed, flow, snapshot, probe) {
                Next::Message(message) => self.send(After::Nothing, peer, message),
                Next::SnapshotWanted => {
                    self.out.snapshot_wanted = true;
                    return;
                }
                Next::Nothing => return,
            }
            probe = false;
        }
    }

    pub(crate) fn append_answered(&mut self, from: NodeId, session: u64, outcome: Appended) {
        let last = self.log.last().index;
        let Part::Leader(leader) = &mut self.part else {
            return;
        };
        let Some(progress) = leader.peer(from, session) else {
            return;
        };
        progress.heard = self.now;
        match outcome {
            Appended::Matched(index) => {
                let (held, committed) = (progress.matched, self.committed);
                if progress.matched(index.min(last), &self.log) {
                    self.advance_commit();
                    if self.committed == committed {
                        self.tell_late(from, held);
                    }
                }
                self.hand_over_when_ready();
            }
            Appended::Conflict { previous, hint } => progress.conflict(previous, hint, &self.log),
        }
        self.replicate_to(from, false);
    }

    /// The clock says to tell everybody that this server leads.
    pub(crate) fn heartbeat(&mut self) {
        let next = self.now + self.config.heartbeat_interval;
        if let Part::Leader(leader) = &mut self.part {
            leader.timed_round = leader.reads.round + 1;
            leader.heartbeat_deadline = next;
        }
        self.send_round();
    }

    /// Sends heartbeats in a round of their own.
    pub(crate) fn send_round(&mut self) {
        if let Part::Leader(leader) = &mut self.part {
            leader.reads.round += 1;
        }
        self.tell_commit(|_, _| true);
    }

    /// A peer has just acknowledged more than `held`, and nothing was committed by that. If some of it was committed before, and nothing is under
    /// way that will tell the peer, it is told: clients may wait there.
    fn tell_late(&mut self, peer: NodeId, held: Index) {
        if held < self.committed && self.committed == self.log.last().index {
            self.tell_commit(|node, _| node == peer);
        }
    }

    /// Tells these peers what is committed, of that which each is known to hold.
    fn tell_commit(&mut self, is_told: impl Fn(NodeId, &Progress) -> bool) {
        let Part::Leader(leader) = &self.part else {
            return;
        };
        let round = leader.reads.round;
        let told: Vec<_> = leader
            .progress
            .iter()
            .filter(|&(&peer, progress)| peer != self.config.id && is_told(peer, progress))
            .map(|(&peer, progress)| {
                let message = Message::Heartbeat {
                    session: progress.session,
                    committed: self.committed.min(progress.matched),
                    round,
                };
                (peer, message)
            })
            .collect();
        for (peer, message) in told {
            self.send(After::Nothing, peer, message);
        }
    }

    pub(crate) fn heartbeat_answered(&mut self, from: NodeId, session: u64, round: u64) {
        let last = self.log.last().index;
        let Part::Leader(leader) = &mut self.part else {
            return;
        };
        let timed_round = leader.timed_round;
        let Some(progress) = leader.peer(from, session) else {
            return;
        };
        progress.heard = self.now;
        // Once for each heartbeat of the clock: rounds of reads and news of commits may follow each other much faster than a disk
        // that is slow takes entries, and would lift the bound on what is under way to it.
        let resumes = progress.round < timed_round && round >= timed_round;
        progress.round = progress.round.max(round);
        if resumes {
            progress.resume(&self.config.flow);
            if progress.matched < last {
                self.replicate_to(from, true);
            }
        }
        self.confirm_reads();
    }

    /// What a majority holds is committed, if it is of this term; what is before it then is too. An entry of an earlier term may be held by a
    /// majority and still be overwritten (section 5.4.2, figure 8).
    pub(crate) fn advance_commit(&mut self) {
        let (_, configuration) = self.log.configuration();
        let Part::Leader(leader) = &mut self.part else {
            return;
        };
        let held = configuration.quorum(|node| leader.progress.get(&node).map_or(0, |p| p.matched));
        let Some(index) = held.filter(|&index| index > self.committed) else {
            return;
        };
        if self.log.term_at(index) != Some(self.hard_state.term) {
            return;
        }
        let newly = self.log.range(self.committed + 1, index);
        let bytes: usize = newly.map(Entry::size).sum();
        leader.uncommitted_bytes = leader.uncommitted_bytes.saturating_sub(bytes);
        let before = std::mem::replace(&mut self.committed, index);
        self.hand_out_committed();
        // To who is not known to hold any of it, it would say nothing: see `tell_late`.
        self.tell_commit(|_, progress| progress.matched > before);
        self.configuration_committed();
        self.begin_round();
    }

    /// When a majority will have been silent for an election timeout.
    pub(crate) fn quorum_deadline(&self, leader: &Leader) -> Option<Time> {
        let (_, configuration) = self.log.configuration();
        let heard = configuration.quorum(|node| match leader.progress.get(&node) {
            Some(progress) if node != self.config.id => progress.heard,
            _ => self.now,
        });
        heard.map(|heard| heard + self.config.election_timeout)
    }
}

/// The follower's side.
impl Core {
    /// AppendEntries, receiver implementation (Figure 2).
    pub(crate) fn append_asked(
        &mut self,
        from: NodeId,
        session: u64,
        previous: LogId,
        entries: Vec<Entry>,
        committed: Index,
    ) {
        // What is committed here is in every later leader's log (Leader Completeness), compacted here or not.
        if previous.index > self.committed && !self.log.holds(previous) {
            let limit = (previous.index - 1).min(self.log.last().index);
            let outcome = Appended::Conflict {
                previous: previous.index,
                hint: self.log.last_possible_match(limit, previous.term),
            };
            self.send(
                After::HardState,
                from,
                Message::AppendReply { session, outcome },
            );
            return;
        }
        let sent = entries
            .last()
            .map_or(previous.index, |entry| entry.id.index);
        self.take_over(entries);
        let matched = if previous.index <= self.committed {
            sent.max(self.committed)
        } else {
            sent
        };
        self.commit_to(committed.min(matched));
        let outcome = Appended::Matched(matched);
        self.send(
            After::Everything,
            from,
            Message::AppendReply { session, outcome },
        );
    }

    /// Takes over what is new of the leader's entries, and drops what contradicts them.
    fn take_over(&mut self, entries: Vec<Entry>) {
        let committed = self.committed;
        let new = entries
            .into_iter()
            .skip_while(|entry| entry.id.index <= committed || self.log.holds(entry.id));
        let new: Vec<_> = new.collect();
        let Some(first) = new.first().map(|entry| entry.id.index) else {
            return;
        };
        if first <= self.log.last().index {
            self.log.truncate(first);
            self.writes.overwrite(first);
        }
        for entry in &new {
            self.log.push(entry.clone());
        }
        self.write().entries = new;
    }

    pub(crate) fn heartbeat_asked(
        &mut self,
        from: NodeId,
        session: u64,
        committed: Index,
        round: u64,
    ) {
        self.commit_to(committed.min(self.log.last().index));
        self.send(
            After::HardState,
            from,
            Message::HeartbeatReply { session, round },
        );
    }

    /// The leader says that all up to `index`, which this log shares with its own, is committed.
    pub(crate) fn commit_to(&mut self, index: Index) {
        self.committed = self.committed.max(index);
        self.hand_out_committed();
    }
}
