//! Changing the members by joint consensus (section 6; thesis, 4.3), and handing leadership over (thesis, 3.10).

use std::collections::BTreeSet;

use crate::core::{After, Core, Part};
use crate::leader::Transfer;
use crate::{ChangeError, Message, NodeId, Payload, Refused};

impl Core {
    /// Begins a change of the members: appends the joint configuration, which counts at once.
    pub(crate) fn change(&mut self, voters: BTreeSet<NodeId>, learners: BTreeSet<NodeId>) {
        let changed = self.try_change(voters, learners);
        self.out.proposed = Some(changed.map(|()| self.log.last()));
    }

    fn try_change(
        &mut self,
        voters: BTreeSet<NodeId>,
        learners: BTreeSet<NodeId>,
    ) -> Result<(), Refused> {
        let Part::Leader(leader) = &self.part else {
            return Err(Refused::NotLeader(self.leader));
        };
        if let Some(transfer) = &leader.transfer {
            return Err(Refused::Transferring(transfer.to));
        }
        let (from, configuration) = self.log.configuration();
        // Before an entry of its own term is committed, a leader may not know that an earlier change is still open.
        if from > self.committed || self.committed < leader.first_of_term {
            return Err(ChangeError::UnderWay.into());
        }
        let next = configuration.change_to(voters, learners)?;
        self.append(Payload::Configuration(next));
        self.replicate();
        Ok(())
    }

    /// Something was committed. If the latest configuration was, a joint one is left, and a leader that it does not contain
    /// steps down, having led the others up to here (section 6).
    pub(crate) fn configuration_committed(&mut self) {
        let (from, configuration) = self.log.configuration();
        if from > self.committed || !matches!(self.part, Part::Leader(_)) {
            return;
        }
        if configuration.is_joint() {
            let next = configuration.leave_joint();
            self.append(Payload::Configuration(next));
            self.replicate();
        } else if !configuration.is_voter(self.config.id) {
            self.become_follower(self.hard_state.term, None);
        }
    }

    /// Begins to hand leadership to `to`: takes no more proposals, waits until `to` holds the whole log, then tells it to begin an
    /// election. Given up after an election timeout.
    pub(crate) fn transfer(&mut self, to: NodeId) {
        let begun = self.try_transfer(to);
        self.out.proposed = Some(begun.map(|()| self.log.last()));
    }

    fn try_transfer(&mut self, to: NodeId) -> Result<(), Refused> {
        let (_, configuration) = self.log.configuration();
        let Part::Leader(leader) = &mut self.part else {
            return Err(Refused::NotLeader(self.leader));
        };
        if to == self.config.id || !configuration.voters.contains(&to) {
            return Err(Refused::NotAVoter(to));
        }
        leader.transfer = Some(Transfer {
            to,
            deadline: self.now + self.config.election_timeout,
            told: false,
        });
        self.hand_over_when_ready();
        Ok(())
    }

    pub(crate) fn hand_over_when_ready(&mut self) {
        let last = self.log.last().index;
        let Part::Leader(leader) = &mut self.part else {
            return;
        };
        if let Some(transfer) = &mut leader.transfer
            && let Some(progress) = leader.progress.get(&transfer.to)
            && progress.matched == last
            && !std::mem::replace(&mut transfer.told, true)
        {
            let to = transfer.to;
            self.send(After::Nothing, to, Message::TimeoutNow);
        }
    }
}
