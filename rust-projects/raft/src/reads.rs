//! Linearizable reads without a log entry: `ReadIndex` (thesis, 6.4).
//!
//! A read is safe at the commit index of the moment it began, if its server still was the leader *after* that moment. So
//! each read belongs to a round of heartbeats that began after it; a majority's answers to that round, or to a later one,
//! confirm it. Reads that come while a round is under way wait for the next: one round serves all of them. Each sending of
//! heartbeats has a number of its own, so answers to an earlier sending, delivered after a pause, confirm nothing that began since.

use crate::core::{After, Core, Part};
use crate::{Index, Message, NodeId, ReadState};

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) from: NodeId,
    pub(crate) id: u64,
}

/// Reads that wait at a leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reads {
    /// The number of the last sending of heartbeats.
    pub(crate) round: u64,
    /// For the next round.
    waiting: Vec<Question>,
    /// The first round that confirms these, their index, and they themselves.
    under_way: Option<(u64, Index, Vec<Question>)>,
}

impl Reads {
    /// All that wait, in the order in which they came.
    pub(crate) fn into_questions(self) -> impl Iterator<Item = Question> {
        let under_way = self
            .under_way
            .into_iter()
            .flat_map(|(_, _, questions)| questions);
        under_way.chain(self.waiting)
    }
}

impl Core {
    /// A read begins on this server.
    pub(crate) fn read(&mut self, id: u64) {
        let from = self.config.id;
        match (&mut self.part, self.leader) {
            (Part::Leader(leader), _) => {
                leader.reads.waiting.push(Question { from, id });
                self.begin_round();
            }
            (_, Some(leader)) => {
                self.asked.insert(id);
                self.send(After::Nothing, leader, Message::ReadIndex { id });
            }
            (_, None) => self.out.reads.push(ReadState { id, index: None }),
        }
    }

    /// A follower asks. Who is not the leader does not answer: the follower learns of the new leader and fails the read itself.
    pub(crate) fn read_index_asked(&mut self, from: NodeId, id: u64) {
        if let Part::Leader(leader) = &mut self.part {
            leader.reads.waiting.push(Question { from, id });
            self.begin_round();
        }
    }

    pub(crate) fn read_index_answered(&mut self, id: u64, index: Index) {
        if self.asked.remove(&id) {
            let index = Some(index);
            self.out.reads.push(ReadState { id, index });
        }
    }

    /// Sends the round for the reads that wait, unless one is under way, or nothing of this term is committed yet: until then the
    /// commit index may be behind what an earlier leader acknowledged (section 8).
    pub(crate) fn begin_round(&mut self) {
        let committed = self.committed;
        let Part::Leader(leader) = &mut self.part else {
            return;
        };
        if leader.reads.under_way.is_some()
            || leader.reads.waiting.is_empty()
            || committed < leader.first_of_term
        {
            return;
        }
        let questions = std::mem::take(&mut leader.reads.waiting);
        leader.reads.under_way = Some((leader.reads.round + 1, committed, questions));
        self.send_round();
        self.confirm_reads();
    }

    /// A peer answered a round: answers what is confirmed by it.
    pub(crate) fn confirm_reads(&mut self) {
        let own = self.config.id;
        let (_, configuration) = self.log.configuration();
        let Part::Leader(leader) = &mut self.part else {
            return;
        };
        let round = leader.reads.round;
        let confirmed = configuration.quorum(|node| match leader.progress.get(&node) {
            _ if node == own => round,
            Some(progress) => progress.round,
            None => 0,
        });
        let under_way = leader
            .reads
            .under_way
            .take_if(|(round, ..)| confirmed.is_some_and(|confirmed| confirmed >= *round));
        let Some((_, index, questions)) = under_way else {
            return;
        };
        for Question { from, id } in questions {
            if from == own {
                let index = Some(index);
                self.out.reads.push(ReadState { id, index });
            } else {
                self.send(After::Nothing, from, Message::ReadIndexReply { id, index });
            }
        }
        self.begin_round();
    }

    /// Leadership or the leader changed: what was asked before gets no answer any more.
    pub(crate) fn fail_asked(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        let failed = asked.into_iter().map(|id| ReadState { id, index: None });
        self.out.reads.extend(failed);
    }
}
