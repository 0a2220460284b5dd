//! Changes that somebody decided on what the leader had applied, under latches of his own: transactions.
//!
//! A decision is good as long as what it rests on is: under the same leader, who lets nobody else decide about the same keys, and for the same
//! region. So [`Changes`] name both, the term and the epoch. They are proposed only by the leader of that term and applied only to that
//! epoch; otherwise nothing happens, and whoever decided is told so and decides again on what there is then.
//!
//! ```text
//!   Lead --> Answer::Leads(term 7, engine)       all that was committed is applied here, and this server leads
//!   decide on a snapshot of the engine
//!   Decide(term 7, epoch, changes) --> log --> Applied      the same leader, the same epoch
//!                                  '--> Refused | Stale     another leader, or another epoch: nothing happened
//!                                  '--> Unknown             leadership ended meanwhile: the next leader may apply them before it decides anything
//! ```
//!
//! A leader decides only once all entries of earlier terms are applied, so changes of an earlier leader that survive come before its first decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft::{Index, LogId, Refused, Term};
use storage::Batch;

use crate::event::{Answer, Client};
use crate::machine::{MachineError, StateEngine};
use crate::record::Body;
use crate::region::Epoch;
use crate::replica::Replica;

/// Changes, and what they rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The term whose leader decided them.
    pub term: Term,
    /// The epoch of the region that they are for.
    pub epoch: Epoch,
    /// What to change.
    pub batch: Batch,
}

/// What a leader has applied.
#[derive(Clone)]
pub struct Lead {
    /// In which it leads.
    pub term: Term,
    /// Holds everything that was committed before the question.
    pub engine: Arc<dyn StateEngine>,
}

impl std::fmt::Debug for Lead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lead")
            .field("term", &self.term)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Lead {
    fn eq(&self, other: &Self) -> bool {
        self.term == other.term && Arc::ptr_eq(&self.engine, &other.engine)
    }
}

/// Changes that are in the log and not applied yet.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    term: Term,
    pending: BTreeMap<Index, Client>,
}

impl Decided {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

impl Replica {
    /// Whether this server leads in that term.
    pub(crate) fn leads_in(&self, term: Term) -> bool {
        self.is_leader() && self.core.hard_state().term == term
    }

    pub(crate) fn take_decided(
        &mut self,
        decided: Vec<(Client, Changes)>,
    ) -> Result<(), MachineError> {
        let (good, stale): (Vec<_>, Vec<_>) = decided
            .into_iter()
            .partition(|(_, changes)| self.leads_in(changes.term));
        let why = Refused::NotLeader(self.core.leader());
        for (client, _) in stale {
            self.refuse(client, why);
        }
        let (clients, bodies): (Vec<_>, Vec<_>) = good
            .into_iter()
            .map(|(client, changes)| (client, Body::Changes(changes)))
            .unzip();
        if clients.is_empty() {
            return Ok(());
        }
        let proposed = match self.is_behind() {
            true => Err(Refused::Busy),
            false => self.propose_records(bodies)?,
        };
        match proposed {
            Err(why) => clients
                .into_iter()
                .for_each(|client| self.refuse(client, why)),
            // Nothing of it can be applied yet: it is not even durable.
            Ok(last) => {
                self.decided.term = last.term;
                let first = last.index + 1 - clients.len() as u64;
                self.decided.pending.extend((first..).zip(clients));
            }
        }
        Ok(())
    }

    /// Changes came out of the log, and were applied or not.
    pub(crate) fn decided_applied(&mut self, id: LogId, were_applied: bool) {
        if id.term != self.decided.term {
            return;
        }
        if let Some(client) = self.decided.pending.remove(&id.index) {
            let answer = match were_applied {
                true => Answer::Done(id),
                false => Answer::Stale,
            };
            self.actions.answers.push((client, answer));
        }
    }

    /// Once leadership has ended nobody here learns what becomes of the changes that wait.
    pub(crate) fn keep_decided(&mut self) {
        if !self.decided.is_empty() && !self.leads_in(self.decided.term) {
            let pending = std::mem::take(&mut self.decided.pending);
            let answers = &mut self.actions.answers;
            answers.extend(
                pending
                    .into_values()
                    .map(|client| (client, Answer::Unknown)),
            );
        }
    }
}
