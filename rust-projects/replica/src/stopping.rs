//! A server that stops hands leadership over first, and lets its clients' requests end; for an election timeout at most.

use raft::{Input, Time};

use crate::event::{Answer, Client};
use crate::machine::MachineError;
use crate::replica::Replica;

/// Why a server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was asked to.
    Asked,
    /// It is no member any more, and never will be again.
    Removed,
}

#[derive(Debug)]
pub(crate) struct Stopping {
    why: Stop,
    deadline: Time,
}

impl Stopping {
    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }
}

impl Replica {
    pub(crate) fn begin_stop(&mut self) -> Result<(), MachineError> {
        if self.stopping.is_some() {
            return Ok(());
        }
        self.stop_soon(Stop::Asked);
        if let Some(to) = self.successor().filter(|_| self.is_leader()) {
            // Refused: it stops all the same, and the others elect.
            let _ = self.propose(Input::Transfer(to))?;
        }
        Ok(())
    }

    fn stop_soon(&mut self, why: Stop) {
        let deadline = self.now.time + self.settings.raft.election_timeout;
        self.stopping = Some(Stopping { why, deadline });
    }

    /// A peer that has applied the removal of this server says so.
    pub(crate) fn was_removed(&mut self) {
        self.actions.stop = Some(Stop::Removed);
    }

    /// Requests that come now would not be answered.
    pub(crate) fn turn_away(&mut self, clients: impl Iterator<Item = Client>) {
        self.actions
            .answers
            .extend(clients.map(|client| (client, Answer::NoLeader)));
    }

    pub(crate) fn keep_stopping(&mut self) {
        if self.stopping.is_none() && self.machine.registry().is_removed(self.core.id()) {
            // Later, as what tells the others that the removal is committed may be under way.
            self.stop_soon(Stop::Removed);
        }
        let Some(stopping) = &self.stopping else {
            return;
        };
        let is_free = stopping.why == Stop::Asked
            && self.successor().filter(|_| self.is_leader()).is_none()
            && self.requests.is_empty()
            && self.reads.is_empty()
            && self.decided.is_empty();
        if is_free || stopping.deadline <= self.now.time {
            self.actions.stop = Some(stopping.why);
        }
    }
}
