//! What an operator asks for: other members, another leader. Only the leader does it; its answer comes when it is done.

use std::collections::BTreeSet;
use std::time::Duration;

use raft::{Configuration, Index, Input, LogId, NodeId, Refused, Time};

use crate::event::{Answer, Client};
use crate::machine::{FORMAT, MachineError};
use crate::record::Body;
use crate::registry::Member;
use crate::replica::Replica;

/// A learner may be that many entries behind to become a voter: fewer than a second's worth, so that the group does not wait for it.
pub const MAX_PROMOTION_LAG: Index = 1000;

/// What an operator, or a server that wants to join, asks of the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Let a server receive the log, without a vote. Done again, it is done.
    Add(NodeId, Member),
    /// Give a learner, that has caught up, a vote.
    Promote(NodeId),
    /// Let a server be none of the members any more; for good.
    Remove(NodeId),
    /// Hand leadership to this voter, or to the one that is best prepared.
    Transfer(Option<NodeId>),
}

/// Why an order is not carried out. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// Numbers are not used twice.
    #[error("node {0} was removed from the cluster for good; choose a number that was never used")]
    WasRemoved(NodeId),
    /// The number belongs to a server with another data directory: this one lost its own, or never had it.
    #[error(
        "node {0} is known to the cluster with other data than this; if its directory was lost, remove node {0} and start a node with a number that was never used"
    )]
    OtherData(NodeId),
    /// Software of another version, whose log this cluster cannot share.
    #[error(
        "node {node} works with format {its}, the cluster with {FORMAT}; run the cluster's version of kvs-node"
    )]
    Format {
        /// Which server.
        node: NodeId,
        /// Its format.
        its: u8,
    },
    /// No such member.
    #[error("node {0} is no member of the cluster; see `kvs-admin cluster status`")]
    NotAMember(NodeId),
    /// It has a vote.
    #[error("node {0} votes already")]
    Votes(NodeId),
    /// It would hold up the group.
    #[error("node {node} is {behind} entries behind the leader; promote it when it has caught up")]
    Behind {
        /// Which server.
        node: NodeId,
        /// Entries that it does not have yet, as far as the leader knows.
        behind: Index,
    },
    /// Leadership stays where it is.
    #[error("no other voter can be reached that could lead")]
    NobodyElse,
    /// It did not begin to lead within the time of an election.
    #[error("node {0} did not take over in time; see `kvs-admin cluster status` for who leads")]
    NotTaken(NodeId),
}

/// When an order is done.
#[derive(Debug)]
enum Goal {
    /// When this is applied and no joint configuration is.
    Applied(LogId),
    /// When this server leads.
    Leads(NodeId),
}

/// An order that a client waits for.
#[derive(Debug)]
pub(crate) struct Pending {
    client: Client,
    goal: Goal,
    given_up: Time,
}

impl Pending {
    pub(crate) fn deadline(&self) -> Time {
        self.given_up
    }
}

impl Replica {
    /// Has the core do something that ends with an entry.
    pub(crate) fn order(&mut self, client: Client, input: Input) -> Result<(), MachineError> {
        match self.propose(input)? {
            Ok(id) => self.wait_for(client, Goal::Applied(id), self.settings.give_up),
            Err(why) => self.refuse(client, why),
        }
        Ok(())
    }

    fn wait_for(&mut self, client: Client, goal: Goal, patience: Duration) {
        self.orders.push(Pending {
            client,
            goal,
            given_up: self.now.time + patience,
        });
    }

    pub(crate) fn refuse(&mut self, client: Client, why: Refused) {
        self.actions.answers.push((client, Answer::Refused(why)));
    }

    fn decline(&mut self, client: Client, why: Declined) {
        self.actions.answers.push((client, Answer::Declined(why)));
    }

    /// An operator asks for something.
    pub(crate) fn take_order(&mut self, client: Client, order: Order) -> Result<(), MachineError> {
        if !self.is_leader() {
            self.refuse(client, Refused::NotLeader(self.core.leader()));
            return Ok(());
        }
        match order {
            Order::Add(node, member) => self.add(client, node, member),
            Order::Promote(node) => match self.promotion(node) {
                Ok(change) => self.order(client, change),
                Err(why) => {
                    self.decline(client, why);
                    Ok(())
                }
            },
            Order::Remove(node) => self.remove(client, node),
            Order::Transfer(to) => self.hand_over(client, to),
        }
    }

    /// The membership first, then the address: so whoever is in the registry was a member when it got there.
    fn add(&mut self, client: Client, node: NodeId, member: Member) -> Result<(), MachineError> {
        let registry = self.machine.registry();
        if let Err(why) = registry.admits(node, &member) {
            self.decline(client, why);
            return Ok(());
        }
        let is_known = registry.get(node).is_some();
        let (voters, mut learners) = self.members();
        if voters.contains(&node) && !is_known {
            // A founder that has not announced itself yet, or one that lost its data and comes back.
            self.decline(client, Declined::OtherData(node));
            return Ok(());
        }
        if !voters.contains(&node) && learners.insert(node) {
            let change = Input::Change { voters, learners };
            if let Err(why) = self.propose(change)? {
                self.refuse(client, why);
                return Ok(());
            }
        }
        match self.propose_records(vec![Body::Announce(node, member)])? {
            Ok(id) => self.wait_for(client, Goal::Applied(id), self.settings.give_up),
            Err(why) => self.refuse(client, why),
        }
        Ok(())
    }

    /// The latest voters and learners; of a joint configuration, which cannot be changed anyway, those of its end.
    fn members(&self) -> (BTreeSet<NodeId>, BTreeSet<NodeId>) {
        let Configuration {
            voters, learners, ..
        } = self.core.configuration().1.leave_joint();
        (voters, learners)
    }

    fn promotion(&self, node: NodeId) -> Result<Input, Declined> {
        let (mut voters, mut learners) = self.members();
        if voters.contains(&node) {
            return Err(Declined::Votes(node));
        }
        if !learners.remove(&node) {
            return Err(Declined::NotAMember(node));
        }
        let matched = self.core.matched().find(|(peer, _)| *peer == node);
        let matched = matched.map_or(0, |(_, matched)| matched);
        let behind = self.core.last().index.saturating_sub(matched);
        if matched == 0 || behind > MAX_PROMOTION_LAG {
            return Err(Declined::Behind { node, behind });
        }
        voters.insert(node);
        Ok(Input::Change { voters, learners })
    }

    fn remove(&mut self, client: Client, node: NodeId) -> Result<(), MachineError> {
        let (mut voters, mut learners) = self.members();
        if !voters.remove(&node) && !learners.remove(&node) {
            self.decline(client, Declined::NotAMember(node));
            return Ok(());
        }
        self.order(client, Input::Change { voters, learners })
    }

    fn hand_over(&mut self, client: Client, to: Option<NodeId>) -> Result<(), MachineError> {
        if to == Some(self.core.id()) {
            let goal = Goal::Leads(self.core.id());
            self.wait_for(client, goal, Duration::ZERO);
            return Ok(());
        }
        let Some(to) = to.or_else(|| self.successor()) else {
            self.decline(client, Declined::NobodyElse);
            return Ok(());
        };
        match self.propose(Input::Transfer(to))? {
            // One election timeout until the core gives up, and time for the election.
            Ok(_) => self.wait_for(
                client,
                Goal::Leads(to),
                4 * self.settings.raft.election_timeout,
            ),
            Err(why) => self.refuse(client, why),
        }
        Ok(())
    }

    /// Who should lead next: of the voters heard of lately the one whose log is longest.
    pub(crate) fn successor(&self) -> Option<NodeId> {
        let (voters, _) = self.members();
        let patience = self.settings.raft.election_timeout;
        let others = self.core.progress().filter(|peer| {
            peer.node != self.core.id()
                && voters.contains(&peer.node)
                && self.now.time.saturating_sub(peer.heard) < patience
        });
        others
            .max_by_key(|peer| (peer.matched, peer.heard))
            .map(|peer| peer.node)
    }

    pub(crate) fn keep_orders(&mut self) {
        for order in std::mem::take(&mut self.orders) {
            match self.outcome(&order) {
                Some(answer) => self.actions.answers.push((order.client, answer)),
                None => self.orders.push(order),
            }
        }
    }

    /// What became of an order, if that is known, or too much time has passed.
    fn outcome(&self, order: &Pending) -> Option<Answer> {
        let is_late = order.given_up <= self.now.time;
        match order.goal {
            Goal::Applied(id) => self
                .applied_outcome(id)
                .or(is_late.then_some(Answer::Unknown)),
            Goal::Leads(node) => match self.core.leader() {
                Some(leader) if leader == node => Some(Answer::Done(self.machine.applied())),
                Some(_) if is_late => Some(Answer::Declined(Declined::NotTaken(node))),
                None if is_late => Some(Answer::Unknown),
                _ => None,
            },
        }
    }

    fn applied_outcome(&self, id: LogId) -> Option<Answer> {
        if self.machine.applied().index < id.index {
            return None;
        }
        match self.core.term_at(id.index) {
            Some(term) if term == id.term => {
                (!self.machine.configuration().is_joint()).then_some(Answer::Done(id))
            }
            // Another leader's entry is committed in its place.
            Some(_) => Some(Answer::Refused(Refused::NotLeader(self.core.leader()))),
            None => Some(Answer::Unknown),
        }
    }
}
