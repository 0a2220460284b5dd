//! Requests of this server's clients on their way into the log, and those that peers forward.
//!
//! A request is proposed here if this server leads, and forwarded to the leader otherwise; again whenever the leader changes, or when no word
//! came for a while. It may so get into the log several times; sessions see to it that it is applied once. The server
//! that took it answers its client when it applies it itself, so no reply travels.

use std::collections::{BTreeMap, BTreeSet};

use raft::{Entry, Input, NodeId, Refused, Term, Time};

use crate::event::{Answer, Client, PeerMessage};
use crate::machine::MachineError;
use crate::record::{Body, Origin, Record, Request};
use crate::replica::Replica;
use crate::sessions::WINDOW;

#[derive(Debug)]
struct Pending {
    client: Client,
    request: Request,
    /// Sendings of which nobody said that they were not proposed.
    open: BTreeSet<u64>,
    /// Whom it was given to last.
    given: Option<(Term, NodeId)>,
    next_try: Time,
    given_up: Time,
}

/// Requests that wait for being applied, by sequence number.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pending: BTreeMap<u64, Pending>,
    last_sequence: u64,
    /// Sendings so far, of all requests.
    attempts: u64,
    /// Of each server: the start and the number of the latest sending that came from it.
    seen: BTreeMap<NodeId, (u64, u64)>,
}

impl Requests {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let times = self
            .pending
            .values()
            .map(|pending| pending.next_try.min(pending.given_up));
        times.min()
    }

    /// The leader changed.
    pub(crate) fn try_again(&mut self, now: Time) {
        for pending in self.pending.values_mut() {
            pending.next_try = now;
        }
    }

    pub(crate) fn answer(&mut self, sequence: u64, answer: Answer) -> Option<(Client, Answer)> {
        let pending = self.pending.remove(&sequence)?;
        Some((pending.client, answer))
    }

    /// Takes out those that were applied without this server seeing their replies, within a snapshot.
    pub(crate) fn applied_unseen(
        &mut self,
        was_applied: impl Fn(u64) -> bool,
    ) -> impl Iterator<Item = Client> {
        let taken: Vec<_> = self
            .pending
            .extract_if(.., |&sequence, _| was_applied(sequence))
            .collect();
        taken.into_iter().map(|(_, pending)| pending.client)
    }

    fn oldest(&self, sequence: u64) -> u64 {
        self.pending
            .keys()
            .next()
            .map_or(sequence, |&first| first.min(sequence))
    }
}

impl Replica {
    /// Clients want these applied.
    pub(crate) fn take_requests(
        &mut self,
        requests: Vec<(Client, Request)>,
    ) -> Result<(), MachineError> {
        let mut taken = Vec::new();
        let is_behind = self.is_behind();
        for (client, request) in requests {
            let next = self.requests.last_sequence + 1;
            if is_behind || next >= self.requests.oldest(next) + WINDOW {
                self.actions
                    .answers
                    .push((client, Answer::Refused(Refused::Busy)));
                continue;
            }
            self.requests.last_sequence = next;
            let pending = Pending {
                client,
                request,
                open: BTreeSet::new(),
                given: None,
                next_try: self.now.time,
                given_up: self.now.time + self.settings.give_up,
            };
            self.requests.pending.insert(next, pending);
            taken.push(next);
        }
        self.give(&taken)
    }

    /// Whether more than allowed is committed and not applied here. What comes in would have to wait for it, and the log cannot be compacted meanwhile.
    pub(crate) fn is_behind(&self) -> bool {
        let entries = self.core.committed().saturating_sub(self.core.applied());
        let bytes = || self.core.unapplied().map(Entry::size).sum::<usize>();
        entries > self.settings.max_unapplied_entries || bytes() > self.settings.max_unapplied_bytes
    }

    /// Gives requests to the leader, if there is one.
    fn give(&mut self, sequences: &[u64]) -> Result<(), MachineError> {
        let Some(leader) = self.core.leader() else {
            for sequence in sequences {
                if let Some(pending) = self.requests.pending.get_mut(sequence) {
                    pending.next_try = pending.given_up;
                }
            }
            return Ok(());
        };
        let term = self.core.hard_state().term;
        let mut records = Vec::new();
        for &sequence in sequences {
            let origin = self.origin(sequence);
            let Some(pending) = self.requests.pending.get_mut(&sequence) else {
                continue;
            };
            // What this leader proposed itself stays in its log for as long as it leads.
            if self.core.id() == leader && pending.given == Some((term, leader)) {
                pending.next_try = pending.given_up;
                continue;
            }
            pending.given = Some((term, leader));
            self.requests.attempts += 1;
            let attempt = self.requests.attempts;
            pending.open.insert(attempt);
            pending.next_try = self.now.time + self.settings.retry;
            let request = pending.request.clone();
            if leader == self.core.id() {
                records.push((sequence, attempt, Body::Request(origin, request)));
            } else {
                let message = PeerMessage::Forward {
                    term,
                    origin,
                    attempt,
                    request,
                };
                self.actions.messages.push((leader, message));
            }
        }
        self.propose_own(records)
    }

    fn origin(&self, sequence: u64) -> Origin {
        Origin {
            node: self.core.id(),
            boot: self.boot,
            sequence,
            oldest: self.requests.oldest(sequence),
        }
    }

    fn propose_own(&mut self, records: Vec<(u64, u64, Body)>) -> Result<(), MachineError> {
        if records.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = records
            .iter()
            .map(|(sequence, attempt, _)| (*sequence, *attempt))
            .collect();
        let bodies = records.into_iter().map(|(_, _, body)| body);
        if let Err(why) = self.propose_records(bodies.collect())? {
            for (sequence, attempt) in names {
                self.not_proposed(self.boot, sequence, attempt, why);
            }
        }
        Ok(())
    }

    /// Proposes records, stamped with this server's clock.
    pub(crate) fn propose_records(
        &mut self,
        bodies: Vec<Body>,
    ) -> Result<Result<raft::LogId, Refused>, MachineError> {
        let stamp_ms = self.now.wall_ms;
        let commands = bodies
            .into_iter()
            .map(|body| Record { stamp_ms, body }.encode());
        self.propose(Input::Propose(commands.collect()))
    }

    /// A peer forwards a request. A refusal is a promise that this sending is not in the log and never will be, and the network may bring a
    /// sending again. So each counts once, when it first comes, for the one term in which its sender knows this server to lead; what may have
    /// come before, to this start or an earlier one, gets no answer.
    pub(crate) fn forwarded(
        &mut self,
        from: NodeId,
        term: Term,
        origin: Origin,
        attempt: u64,
        request: Request,
    ) -> Result<(), MachineError> {
        let seen = self.requests.seen.entry(origin.node).or_default();
        if (origin.boot, attempt) <= *seen || term <= self.started_in {
            return Ok(());
        }
        *seen = (origin.boot, attempt);
        let outside_window = origin.sequence >= origin.oldest.saturating_add(WINDOW);
        let proposed = if !self.is_leader() || term != self.core.hard_state().term {
            Err(Refused::NotLeader(self.core.leader()))
        } else if outside_window || self.is_behind() {
            Err(Refused::Busy)
        } else {
            self.propose_records(vec![Body::Request(origin, request)])?
        };
        if let Err(why) = proposed {
            let message = PeerMessage::NotProposed {
                boot: origin.boot,
                sequence: origin.sequence,
                attempt,
                why,
            };
            self.actions.messages.push((from, message));
        }
        Ok(())
    }

    /// One sending of a request came to nothing, for certain.
    pub(crate) fn not_proposed(&mut self, boot: u64, sequence: u64, attempt: u64, why: Refused) {
        let Some(pending) = self
            .requests
            .pending
            .get_mut(&sequence)
            .filter(|_| boot == self.boot)
        else {
            return;
        };
        pending.open.remove(&attempt);
        pending.given = None;
        if why == Refused::Busy && pending.open.is_empty() {
            self.actions
                .answers
                .extend(self.requests.answer(sequence, Answer::Refused(why)));
        }
    }

    /// Sends again what got no word, and gives up what is too old.
    pub(crate) fn keep_requests(&mut self) -> Result<(), MachineError> {
        let now = self.now.time;
        if self
            .requests
            .deadline()
            .is_none_or(|deadline| deadline > now)
        {
            return Ok(());
        }
        let old = self
            .requests
            .pending
            .extract_if(.., |_, pending| pending.given_up <= now);
        self.actions.answers.extend(old.map(|(_, pending)| {
            let is_certain = pending.open.is_empty();
            (
                pending.client,
                if is_certain {
                    Answer::NoLeader
                } else {
                    Answer::Unknown
                },
            )
        }));
        let due = self
            .requests
            .pending
            .iter()
            .filter(|(_, pending)| pending.next_try <= now);
        let due: Vec<_> = due.map(|(&sequence, _)| sequence).collect();
        self.give(&due)
    }
}
