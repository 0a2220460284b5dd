//! A server sees to it that the registry says of it what is true: where it is and what it runs.

use raft::{NodeId, Time};

use crate::event::PeerMessage;
use crate::machine::MachineError;
use crate::record::Body;
use crate::registry::Member;
use crate::replica::Replica;

/// When to say it next, should it still not be known.
#[derive(Debug)]
pub(crate) struct Announcement {
    next_try: Time,
}

impl Announcement {
    pub(crate) fn new(now: Time) -> Self {
        Self { next_try: now }
    }

    /// The leader changed.
    pub(crate) fn try_again(&mut self, now: Time) {
        self.next_try = now;
    }
}

impl Replica {
    /// What is to be announced: not what is known, and not by one that was removed.
    fn unannounced(&self) -> Option<&Member> {
        let registry = self.machine.registry();
        let id = self.core.id();
        let own = self.settings.member.as_ref()?;
        (registry.get(id) != Some(own) && registry.admits(id, own).is_ok()).then_some(own)
    }

    pub(crate) fn announce_deadline(&self) -> Option<Time> {
        self.unannounced().map(|_| self.announcement.next_try)
    }

    /// Tells the leader; or everybody, as those who do not know where this server is cannot tell it who leads.
    pub(crate) fn keep_announcing(&mut self) -> Result<(), MachineError> {
        let now = self.now.time;
        let Some(own) = self
            .unannounced()
            .filter(|_| self.announcement.next_try <= now)
        else {
            return Ok(());
        };
        let own = own.clone();
        self.announcement.next_try = now + self.settings.retry;
        let id = self.core.id();
        if self.is_leader() {
            return self.announced(id, own);
        }
        let everybody = self.core.configuration().1.members();
        let others: Vec<_> = match self.core.leader() {
            Some(leader) => vec![leader],
            None => everybody.filter(|&peer| peer != id).collect(),
        };
        let messages = others
            .into_iter()
            .map(|peer| (peer, PeerMessage::Announce(own.clone())));
        self.actions.messages.extend(messages);
        Ok(())
    }

    /// A server says where it is: news goes into the log, if it is a member.
    pub(crate) fn announced(&mut self, from: NodeId, member: Member) -> Result<(), MachineError> {
        let registry = self.machine.registry();
        let is_news = registry.get(from) != Some(&member) && registry.admits(from, &member).is_ok();
        let mut members = self.core.configuration().1.members();
        if self.is_leader() && is_news && members.any(|node| node == from) {
            drop(members);
            // Refused: it will be said again.
            let _ = self.propose_records(vec![Body::Announce(from, member)])?;
        }
        Ok(())
    }
}
