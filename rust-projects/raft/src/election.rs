//! Elections: pre-vote, votes, terms (sections 5.1, 5.2, 5.4.1; thesis, 4.2.3 and 9.6).

use std::collections::BTreeMap;

use crate::configuration::Tally;
use crate::core::{After, Core, Part};
use crate::leader::Leader;
use crate::progress::Progress;
use crate::reads::{Question, Reads};
use crate::{HardState, LogId, Message, NodeId, Payload, ReadState, Term};

impl Core {
    /// Whether this server may begin an election: it is a voter, or was one until an entry that is not known to be committed.
    /// Its log may be the only one with that entry and so the only one that can be elected (thesis, 4.2.2).
    pub(crate) fn may_campaign(&self) -> bool {
        let mut since_commit = self.log.configurations_since(self.committed);
        since_commit.any(|configuration| configuration.is_voter(self.config.id))
    }

    pub(crate) fn postpone_election(&mut self) {
        let spread = self.random.below(self.config.election_spread);
        self.election_deadline = self.now + self.config.election_timeout + spread;
    }

    /// The time to begin an election has come: asks first whether it could be won.
    pub(crate) fn campaign(&mut self) {
        if matches!(self.part, Part::Leader(_)) || !self.may_campaign() {
            return;
        }
        self.leader = None;
        self.fail_asked();
        self.postpone_election();
        self.part = Part::PreCandidate(BTreeMap::from([(self.config.id, true)]));
        let last = self.log.last();
        self.ask_electorate(
            After::Nothing,
            self.hard_state.term + 1,
            &Message::PreVote { last },
        );
        self.count_pre_votes();
    }

    /// Begins an election (section 5.2). Its own vote counts once it is durable.
    pub(crate) fn stand(&mut self, forced: bool) {
        self.set_hard_state(HardState {
            term: self.hard_state.term + 1,
            voted_for: Some(self.config.id),
        });
        self.leader = None;
        self.fail_asked();
        self.postpone_election();
        self.part = Part::Candidate(BTreeMap::new());
        let last = self.log.last();
        let question = Message::Vote { last, forced };
        self.ask_electorate(After::HardState, self.hard_state.term, &question);
    }

    fn ask_electorate(&mut self, after: After, term: Term, question: &Message) {
        let (_, configuration) = self.log.configuration();
        let others: Vec<_> = configuration
            .electorate()
            .filter(|&node| node != self.config.id)
            .collect();
        for node in others {
            self.send_in_term(after, node, term, question.clone());
        }
    }

    pub(crate) fn count_own_vote(&mut self) {
        if let Part::Candidate(votes) = &mut self.part
            && self.writes.is_durable(self.writes.hard_state())
        {
            votes.insert(self.config.id, true);
            self.count_votes();
        }
    }

    fn count_pre_votes(&mut self) {
        if let Part::PreCandidate(votes) = &self.part {
            match self.log.configuration().1.tally(votes) {
                Tally::Won => self.stand(false),
                Tally::Lost => self.part = Part::Follower,
                Tally::Pending => {}
            }
        }
    }

    fn count_votes(&mut self) {
        if let Part::Candidate(votes) = &self.part {
            match self.log.configuration().1.tally(votes) {
                Tally::Won => self.become_leader(),
                Tally::Lost => self.part = Part::Follower,
                Tally::Pending => {}
            }
        }
    }

    /// A server asks for this one's vote, or whether it would get it.
    pub(crate) fn vote_asked(&mut self, from: NodeId, term: Term, last: LogId) {
        let free = self.hard_state.voted_for.is_none_or(|voted| voted == from);
        let granted = term == self.hard_state.term && free && self.would_elect(last);
        if granted {
            self.set_hard_state(HardState {
                voted_for: Some(from),
                ..self.hard_state
            });
            self.postpone_election();
        }
        self.send(After::HardState, from, Message::VoteReply { granted });
    }

    pub(crate) fn pre_vote_asked(&mut self, from: NodeId, term: Term, last: LogId) {
        let granted = term > self.hard_state.term && self.would_elect(last);
        // A refusal carries this server's own term: a server that is behind in terms would otherwise ask for ever.
        let term = if granted { term } else { self.hard_state.term };
        self.send_in_term(
            After::Nothing,
            from,
            term,
            Message::PreVoteReply { granted },
        );
    }

    /// Whether a log that ends in `last` is at least as up-to-date as this one (section 5.4.1).
    fn would_elect(&self, last: LogId) -> bool {
        last >= self.log.last()
    }

    /// Whether a leader was heard so lately that others should not be elected (section 6): it may be a removed server that asks.
    pub(crate) fn hears_leader(&self) -> bool {
        matches!(self.part, Part::Leader(_))
            || self.leader.is_some()
                && self.now < self.heard_from_leader + self.config.leader_stickiness
    }

    pub(crate) fn pre_vote_answered(&mut self, from: NodeId, term: Term, granted: bool) {
        if let Part::PreCandidate(votes) = &mut self.part
            && (!granted || term == self.hard_state.term + 1)
        {
            votes.insert(from, granted);
            self.count_pre_votes();
        }
    }

    pub(crate) fn vote_answered(&mut self, from: NodeId, granted: bool) {
        if let Part::Candidate(votes) = &mut self.part {
            votes.insert(from, granted);
            self.count_votes();
        }
    }

    /// Follows `leader`, if given, in `term`, which is not behind this server's.
    pub(crate) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        if term > self.hard_state.term {
            self.set_hard_state(HardState {
                term,
                voted_for: None,
            });
        }
        if let Part::Leader(led) = std::mem::replace(&mut self.part, Part::Follower) {
            self.fail_reads(led.reads);
            self.postpone_election();
        }
        if self.leader != leader {
            self.fail_asked();
        }
        self.leader = leader;
    }

    fn fail_reads(&mut self, reads: Reads) {
        for Question { from, id } in reads.into_questions() {
            // Others learn of the new term by themselves.
            if from == self.config.id {
                self.out.reads.push(ReadState { id, index: None });
            }
        }
    }

    /// The election is won (section 5.2). The new leader's first entry carries nothing: its commitment tells what else is
    /// committed (section 8).
    fn become_leader(&mut self) {
        let last = self.log.last().index;
        let uncommitted = self.log.range(self.committed + 1, last);
        let mut leader = Box::new(Leader {
            progress: BTreeMap::new(),
            first_of_term: last + 1,
            heartbeat_deadline: self.now + self.config.heartbeat_interval,
            timed_round: 0,
            uncommitted_bytes: uncommitted.map(crate::Entry::size).sum(),
            reads: Reads::default(),
            transfer: None,
        });
        let (from, configuration) = self.log.configuration();
        leader.follow_configuration(configuration, from, self.config.id, last + 1, self.now);
        let mut own = Progress::new(0, last + 1, self.now);
        own.matched(self.writes.stable(), &self.log);
        leader.progress.insert(self.config.id, own);
        self.part = Part::Leader(leader);
        self.leader = Some(self.config.id);
        self.append(Payload::Noop);
        self.replicate();
    }
}
